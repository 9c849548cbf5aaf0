package global

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"salescast/pkg/calendar"
	"salescast/pkg/feature"
	"salescast/pkg/panel"
	"salescast/pkg/regress"
)

// Bench is the rows of one origin, filled and binned once, on which trees are fitted with other parameters again and again. It is used by
// one goroutine at a time.
type Bench struct {
	forecaster Forecaster
	kind       feature.ScaleKind
	plan       *feature.Plan
	size       size
	bins       regress.Bins
}

// ErrNoSteps says that an engine does not grow its trees in steps.
var ErrNoSteps = errors.New("the engine does not grow trees in steps")

// Bench bins the rows that Fit would use at an origin; its trees are one model, not a mean over seeds. Parameters that the forecaster was
// given hold for every fit. The bins are those of older, another Bench of the same forecaster at an earlier origin, where both have the
// same columns; older may be nil.
//
// Nothing leaks through shared bins: their edges come from rows whose targets and features were known at the earlier origin, so at the
// later one they hold less than what is known there, and nothing goes the other way. That is why they are not taken from a later Bench.
func (f Forecaster) Bench(ctx context.Context, p *panel.Panel, origin calendar.Step, older *Bench) (*Bench, error) {
	b, err := f.bench(ctx, p, origin, older)
	if err != nil {
		return nil, fmt.Errorf("bin the rows of %s %s at %s: %w", f.Strategy, f.Engine, p.Frequency.Day(origin), err)
	}
	return b, nil
}

func (f Forecaster) bench(ctx context.Context, p *panel.Panel, origin calendar.Step, older *Bench) (*Bench, error) {
	d, err := f.design(p, origin)
	if err != nil {
		return nil, err
	}
	b := &Bench{forecaster: f, kind: d.kind, plan: d.plan, size: d.size}
	booster, _, err := b.booster(nil)
	if err != nil {
		return nil, err
	}
	var like regress.Bins
	if older != nil && slices.Equal(older.plan.Learner(), b.plan.Learner()) {
		like = older.bins
	}
	b.bins, err = booster.Bin(ctx, d.train, like)
	return b, err
}

// booster is the engine under the forecaster's parameters and others, which give way to those that the forecaster was given.
func (b *Bench) booster(params map[string]string) (regress.Booster, map[string]string, error) {
	spec := b.forecaster.Spec
	given := maps.Clone(params)
	if given == nil {
		given = map[string]string{}
	}
	maps.Copy(given, spec.Params)
	spec.Params = given
	all := spec.parameters(b.size, b.forecaster.Seed)
	l, err := b.forecaster.Learners(spec.Engine, all)
	if err != nil {
		return nil, nil, err
	}
	booster, ok := l.(regress.Booster)
	if !ok {
		return nil, nil, fmt.Errorf("%s: %w", spec.Engine, ErrNoSteps)
	}
	return booster, all, nil
}

// Rounds is how many rounds a fit with these parameters has.
func (b *Bench) Rounds(params map[string]string) (int, error) {
	_, all, err := b.booster(params)
	return rounds(all), err
}

// Rows is the number of training rows.
func (b *Bench) Rows() int { return b.bins.Rows() }

// Close frees the bins.
func (b *Bench) Close() error { return b.bins.Close() }

// Growth is a fit in progress on a Bench.
type Growth struct {
	bench  *Bench
	fit    regress.Boosting
	params map[string]string
	grown  int
}

// Begin begins a fit. Of params it takes those that the forecaster was not given.
func (b *Bench) Begin(ctx context.Context, params map[string]string) (*Growth, error) {
	booster, all, err := b.booster(params)
	if err != nil {
		return nil, err
	}
	fit, err := booster.Boost(ctx, b.bins)
	if err != nil {
		return nil, err
	}
	return &Growth{bench: b, fit: fit, params: all}, nil
}

// Grown is the number of rounds so far.
func (g *Growth) Grown() int { return g.grown }

// GrowTo goes on until there are so many rounds, or no more can be.
func (g *Growth) GrowTo(ctx context.Context, rounds int) (err error) {
	g.grown, err = g.fit.Grow(ctx, max(0, rounds-g.grown))
	return err
}

// Model is what has grown so far; the caller closes it.
func (g *Growth) Model() (*Model, error) {
	e, err := g.fit.Model()
	if err != nil {
		return nil, err
	}
	b := g.bench
	return &Model{spec: b.forecaster.Spec, kind: b.kind, plan: b.plan, rows: b.Rows(), parameters: g.params, engines: []regress.Model{e}}, nil
}

// Close ends the fit.
func (g *Growth) Close() error { return g.fit.Close() }
