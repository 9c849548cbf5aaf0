// Package boost has what both gradient-boosting engines need around their C calls: parameters, early stopping, checks of columns, threads.
package boost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"salescast/pkg/internal/dl"
	"salescast/pkg/panel"
	"salescast/pkg/regress"
)

// DefaultRounds is the number of boosting rounds where the parameters name none.
const DefaultRounds = 100

// MaxModelBytes bounds a saved model as it is read.
const MaxModelBytes = 1 << 30

// Params are an engine's own parameters, in sorted order, and what was taken out of them.
type Params struct {
	Rounds int
	Keys   []string
	Values map[string]string
}

// Parse splits the number of rounds, given under any one of the names, from the engine's own parameters. Names and values go to the
// engine as they are; neither may be empty or hold white space.
func Parse(params map[string]string, rounds ...string) (Params, error) {
	p := Params{Rounds: DefaultRounds, Values: map[string]string{}}
	given := ""
	for _, k := range sortedKeys(params) {
		v := params[k]
		if k == "" || v == "" || strings.ContainsAny(k+v, " \t\r\n=") {
			return p, fmt.Errorf("parameter %q = %q: names and values are words without spaces", k, v)
		}
		if !slices.Contains(rounds, k) {
			p.Keys, p.Values[k] = append(p.Keys, k), v
			continue
		}
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return p, fmt.Errorf("parameter %s = %q: want a whole number of rounds, 1 or more", k, v)
		}
		if given != "" {
			return p, fmt.Errorf("parameters %s and %s both give the number of rounds", given, k)
		}
		given, p.Rounds = k, n
	}
	return p, nil
}

// Default sets a parameter that was not given under the name or one of its aliases.
func (p *Params) Default(name, value string, aliases ...string) {
	for _, k := range append(aliases, name) {
		if _, ok := p.Values[k]; ok {
			return
		}
	}
	p.Keys = append(p.Keys, name)
	slices.Sort(p.Keys)
	p.Values[name] = value
}

// With returns a copy with a parameter set, whatever it was.
func (p Params) With(name, value string) Params {
	p.Values = maps.Clone(p.Values)
	if _, ok := p.Values[name]; !ok {
		p.Keys = append(slices.Clone(p.Keys), name)
		slices.Sort(p.Keys)
	}
	p.Values[name] = value
	return p
}

// Watch says after which rounds a fit tells its loss; the zero Watch never.
type Watch struct {
	Every int
	Tell  func(rounds int, loss float64)
}

// Due reports whether the loss is told after so many rounds.
func (w Watch) Due(rounds int) bool { return w.Tell != nil && w.Every > 0 && rounds%w.Every == 0 }

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Stop decides when validation no longer improves.
type Stop struct {
	Patience int
	// Higher is true for a metric that is better when larger.
	Higher bool
	// Best is the round with the best score so far, counted from 1; 0 before the first.
	Best  int
	score float64
}

// Done takes the score after round (from 1) and reports whether training shall end. A NaN never improves.
func (s *Stop) Done(round int, score float64) bool {
	if better := s.Best == 0 || (s.Higher && score > s.score) || (!s.Higher && score < s.score); better && score == score {
		s.Best, s.score = round, score
	}
	return round-s.Best >= s.Patience
}

// Rounds are the trees of a fit, one after the other.
type Rounds struct {
	Number int
	Watch  Watch
	// Stop decides on the scores of validation; nil grows all rounds.
	Stop *Stop
	// Grow adds the tree of a round, counted from 0; where it finds nothing to add the fit is at its end.
	Grow func(round int) (more bool, err error)
	// Loss and Score are of the training and of the validation set after a round.
	Loss, Score func(round int) (float64, error)
}

// Run grows the trees. The error is ctx's where it ends between two rounds.
func (r Rounds) Run(ctx context.Context) error {
	for round := range r.Number {
		if err := ctx.Err(); err != nil {
			return err
		}
		if more, err := r.Grow(round); err != nil || !more {
			return err
		}
		if r.Watch.Due(round + 1) {
			loss, err := r.Loss(round)
			if err != nil {
				return err
			}
			r.Watch.Tell(round+1, loss)
		}
		if r.Stop == nil {
			continue
		}
		score, err := r.Score(round)
		if err != nil || r.Stop.Done(round+1, score) {
			return err
		}
	}
	return nil
}

// CheckFit returns an error for what no engine can fit. valid may be nil.
func CheckFit(train regress.Source, valid *regress.Valid) error {
	if err := CheckSource(train); err != nil || valid == nil {
		return err
	}
	return CheckValid(train, valid)
}

// CheckSource returns an error for a design matrix that no engine can fit.
func CheckSource(s regress.Source) error {
	if len(s.Columns()) == 0 {
		return errors.New("the design matrix has no columns")
	}
	if s.Rows() == 0 {
		return errors.New("the design matrix has no rows")
	}
	seen := map[string]bool{}
	for _, c := range s.Columns() {
		if c.Name == "" || seen[c.Name] {
			return fmt.Errorf("column %q stands twice in the design matrix, or has no name", c.Name)
		}
		seen[c.Name] = true
	}
	return nil
}

// CheckValid returns an error for a validation set that does not fit the training set.
func CheckValid(train regress.Source, v *regress.Valid) error {
	if v.Patience < 1 {
		return fmt.Errorf("early stopping after %d rounds without improvement: want 1 or more", v.Patience)
	}
	if err := CheckSource(v.Source); err != nil {
		return fmt.Errorf("validation: %w", err)
	}
	if err := CheckNames(names(train.Columns()), names(v.Source.Columns())); err != nil {
		return fmt.Errorf("validation: %w", err)
	}
	return nil
}

func names(columns []regress.Column) (n []string) {
	for _, c := range columns {
		n = append(n, c.Name)
	}
	return n
}

// SameColumns returns an error unless bins of one design matrix can hold the rows of another.
func SameColumns(binned, given []regress.Column) error {
	if err := CheckNames(names(binned), names(given)); err != nil {
		return fmt.Errorf("the bins are of other columns: %w", err)
	}
	for i, c := range binned {
		if c.Categorical != given[i].Categorical {
			return fmt.Errorf("column %q is categorical in one of the bins and the design matrix alone", c.Name)
		}
	}
	return nil
}

// CheckBlock returns an error for a block that is not what its source announced.
func CheckBlock(b regress.Block, columns, rowsLeft int) error {
	switch {
	case b.X == nil || len(b.X.Data) != b.X.Rows*columns:
		return fmt.Errorf("a block of the design matrix does not have %d columns", columns)
	case len(b.Y) != b.X.Rows || (b.Weight != nil && len(b.Weight) != b.X.Rows):
		return fmt.Errorf("a block of %d rows has %d targets and %d weights", b.X.Rows, len(b.Y), len(b.Weight))
	case b.X.Rows > rowsLeft:
		return errors.New("the design matrix yields more rows than it announced")
	}
	return nil
}

// CheckNames returns an error that names the first difference between the columns of a model and those given. A model without names
// takes any.
func CheckNames(want, got []string) error {
	if len(want) != len(got) {
		return fmt.Errorf("the model has %d columns, the frame %d", len(want), len(got))
	}
	for i := range want {
		if want[i] != got[i] {
			return fmt.Errorf("column %d is %q in the model and %q in the frame", i+1, want[i], got[i])
		}
	}
	return nil
}

// CheckFrame checks the size of a frame and of the destination for per values of each row.
func CheckFrame(x *panel.Frame, columns, per, dst int) error {
	if len(x.Data) != x.Rows*columns {
		return fmt.Errorf("a frame of %d rows holds %d values; the model has %d columns", x.Rows, len(x.Data), columns)
	}
	if dst != x.Rows*per {
		return fmt.Errorf("%d rows need a destination of %d values, not %d", x.Rows, x.Rows*per, dst)
	}
	return nil
}

// Load reads a saved model of an engine, and opens it once check has found it whole.
func Load[M regress.Model](engine string, r io.Reader, check func([]byte) error, open func([]byte) (M, error)) (regress.Model, error) {
	b, err := ReadModel(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", engine, err)
	}
	var m M
	if err = check(b); err == nil {
		m, err = open(b)
	}
	if err != nil {
		return nil, fmt.Errorf("open a model of %s of %d bytes: %w", engine, len(b), err)
	}
	return m, nil
}

// ReadModel reads a saved model, up to MaxModelBytes.
func ReadModel(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, MaxModelBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read a model: %w", err)
	case len(b) > MaxModelBytes:
		return nil, fmt.Errorf("read a model: larger than %d bytes", MaxModelBytes)
	case len(b) == 0:
		return nil, errors.New("read a model: empty")
	}
	return b, nil
}

// Worker runs the training of one engine: one fit at a time, on one thread, so that the engines' random states, which belong to a
// thread, never mix and OpenMP keeps a single pool.
type Worker struct {
	Thread *dl.Thread
	turn   chan struct{}
}

// NewWorker starts a worker; Close ends it.
func NewWorker() *Worker { return &Worker{Thread: dl.NewThread(), turn: make(chan struct{}, 1)} }

// Begin waits for the turn to fit; the returned function ends it.
func (w *Worker) Begin(ctx context.Context) (end func(), err error) {
	select {
	case w.turn <- struct{}{}:
		return func() { <-w.turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Close ends the thread.
func (w *Worker) Close() { w.Thread.Close() }

// grain is the number of rows that one call into an engine predicts: large enough to hide the call, small enough to notice a cancelled
// context soon.
const grain = 4096

// smallest is the number of rows from which a second goroutine pays.
const smallest = 256

// Spread calls f for ranges of rows that cover [0, rows), from up to threads goroutines, each locked to its thread. It returns the
// first error in the order of the rows, or ctx's.
func Spread(ctx context.Context, rows, threads int, f func(lo, hi int) error) error {
	parts := max(1, min(threads, rows/smallest))
	if parts == 1 {
		return locked(ctx, 0, rows, f)
	}
	errs := make([]error, parts)
	var wg sync.WaitGroup
	for p := range parts {
		wg.Go(func() { errs[p] = locked(ctx, rows*p/parts, rows*(p+1)/parts, f) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func locked(ctx context.Context, lo, hi int, f func(lo, hi int) error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for ; lo < hi; lo += grain {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f(lo, min(lo+grain, hi)); err != nil {
			return err
		}
	}
	return ctx.Err()
}
