package bundle

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path"

	"salescast/pkg/calendar"
	"salescast/pkg/forecast/ensemble"
	"salescast/pkg/regress"
)

// AlteredError says that a bundle's files were read and are not what a bundle can be: broken on the way, or not written by salescast.
type AlteredError struct{ Err error }

func (e *AlteredError) Error() string { return e.Err.Error() }

func (e *AlteredError) Unwrap() error { return e.Err }

// unread is the failure to read a file at all.
type unread struct{ error }

func (e unread) Unwrap() error { return e.error }

// fetching marks what keeps a file from being read.
type fetching struct{ Reader }

func (f fetching) ReadFile(ctx context.Context, name string, limit int64) ([]byte, error) {
	b, err := f.Reader.ReadFile(ctx, name, limit)
	if err != nil {
		return nil, unread{err}
	}
	return b, nil
}

// blame makes an AlteredError of what is neither the failure to read a file, nor that of a library, nor an interruption.
func blame(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if _, ok := errors.AsType[unread](err); ok {
		return err
	}
	if _, ok := errors.AsType[*regress.UnavailableError](err); ok {
		return err
	}
	return &AlteredError{err}
}

// What a bundle may say; far above what any configuration asks for.
const (
	maxHorizon = 5000
	maxMembers = 100
	maxLevels  = 100
	maxFiles   = 10_000
)

// check reports what keeps bundle.json from being one.
func (m *Manifest) check() error {
	switch {
	case m.Schema != Schema:
		return fmt.Errorf("its schema is %q, this version reads %s", m.Schema, Schema)
	case m.Frequency == (calendar.Frequency{}):
		return errors.New("it has no frequency")
	case m.Horizon < 1 || m.Horizon > maxHorizon:
		return fmt.Errorf("its horizon is %d, not 1 to %d", m.Horizon, maxHorizon)
	case len(m.Members) == 0 || len(m.Members) > maxMembers:
		return fmt.Errorf("it has %d members, not 1 to %d", len(m.Members), maxMembers)
	case len(m.Levels) > maxLevels || len(m.Files) > maxFiles:
		return fmt.Errorf("it has %d quantiles and %d files, more than %d or %d", len(m.Levels), len(m.Files), maxLevels, maxFiles)
	}
	for i, q := range m.Levels {
		if !(q > 0 && q < 1) || i > 0 && q <= m.Levels[i-1] {
			return fmt.Errorf("its quantiles %v do not rise between 0 and 1", m.Levels)
		}
	}
	seen := map[string]bool{}
	for _, s := range m.Members {
		if s.Name == "" || path.Base(s.Name) != s.Name || seen[s.Name] {
			return fmt.Errorf("the name %.40q of a member is none, or stands twice", s.Name)
		}
		seen[s.Name] = true
		if err := s.check(); err != nil {
			return fmt.Errorf("member %s: %w", s.Name, err)
		}
	}
	return nil
}

// check reports weights that are none: members may together weigh more or less than 1.
func (s Share) check() error {
	weights := []float64{s.Weight}
	for i, w := range s.Steps {
		weights = append(weights, w.Weight)
		if i > 0 && w.From <= s.Steps[i-1].From {
			return errors.New("the steps of its weights do not rise")
		}
	}
	for _, w := range weights {
		if !(w >= 0 && w <= maxWeight) || math.IsNaN(w) {
			return fmt.Errorf("its weight is %g", w)
		}
	}
	return nil
}

const maxWeight = 1000

// checkCalibrations reports quantiles that are not those of the bundle.
func checkCalibrations(c *calibrationFile, totals []ensemble.Totals) error {
	if c.Calibration != nil {
		if err := c.Check(len(c.Series)); err != nil {
			return fmt.Errorf("%s: %w", CalibrationName, err)
		}
	}
	if len(totals) > maxMembers {
		return fmt.Errorf("%s: there are %d levels, more than %d", TotalsName, len(totals), maxMembers)
	}
	for _, t := range totals {
		if t.Calibration == nil || t.Sizes != nil {
			return fmt.Errorf("%s: the level %.40q has no calibration of its own", TotalsName, t.Level)
		}
		if err := t.Check(len(t.Values)); err != nil {
			return fmt.Errorf("%s: level %.40q: %w", TotalsName, t.Level, err)
		}
	}
	return nil
}
