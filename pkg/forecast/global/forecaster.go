package global

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"salescast/pkg/calendar"
	"salescast/pkg/feature"
	"salescast/pkg/forecast"
	"salescast/pkg/forecast/seasonal"
	"salescast/pkg/panel"
	"salescast/pkg/regress"
)

// Learners makes an engine's learner with parameters in the engine's own names.
type Learners func(engine string, params map[string]string) (regress.Learner, error)

// Forecaster fits one model on rows pooled over all series; it is a [forecast.Forecaster].
type Forecaster struct {
	Spec
	// Horizon is the longest that the model can forecast.
	Horizon int
	// Rows is the most training rows.
	Rows     int
	Seed     uint64
	Learners Learners
	// Watch is told of the training loss of the first model at about fifty of its rounds, by engines that can; it may be nil.
	Watch func(rounds int, loss float64)
}

// ErrTooShort says that no series has enough history to train on, or that all that was sold is nothing.
var ErrTooShort = errors.New("no series has enough history with sales to train on")

// Fit implements [forecast.Forecaster]. It answers ErrTooShort where there are no training rows. Series without enough history at
// the origin are not forecast: their points are NaN.
func (f Forecaster) Fit(ctx context.Context, p *panel.Panel, origin calendar.Step) (forecast.Model, error) {
	m, err := f.fit(ctx, p, origin)
	if err != nil {
		return nil, fmt.Errorf("fit %s %s at %s: %w", f.Strategy, f.Engine, p.Frequency.Day(origin), err)
	}
	return m, nil
}

func (f Forecaster) fit(ctx context.Context, p *panel.Panel, origin calendar.Step) (m *Model, err error) {
	d, err := f.design(p, origin)
	if err != nil {
		return nil, err
	}
	m = &Model{spec: f.Spec, kind: d.kind, plan: d.plan, rows: d.train.Rows()}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.Close())
		}
	}()
	for k := range d.size.bag {
		params := f.parameters(d.size, f.Seed+uint64(k))
		if k == 0 {
			m.parameters = params
		}
		learner, err := f.Learners(f.Engine, params)
		if err != nil {
			return m, err
		}
		if w, ok := learner.(regress.Watcher); ok && k == 0 && f.Watch != nil {
			learner = w.Watch(max(1, rounds(params)/curvePoints), f.Watch)
		}
		e, err := learner.Fit(ctx, d.train, nil)
		if err != nil {
			return m, err
		}
		m.engines = append(m.engines, e)
	}
	return m, nil
}

// curvePoints is about how often a fit that is watched tells its loss.
const curvePoints = 50

// rounds is the number of trees that parameters ask for.
func rounds(params map[string]string) int {
	n, err := strconv.Atoi(params["rounds"])
	if err != nil { // the engine will say it
		return trees
	}
	return n
}

// design is what trees are fitted on at an origin.
type design struct {
	kind  feature.ScaleKind
	plan  *feature.Plan
	train *source
	size  size
}

func (f Forecaster) design(p *panel.Panel, origin calendar.Step) (*design, error) {
	kind, err := f.check()
	if err != nil {
		return nil, err
	}
	plan, err := feature.NewPlan(feature.Spec{}, feature.Describe(p, origin, f.Horizon, f.Country))
	if err != nil {
		return nil, err
	}
	rows := draw(p, f.Strategy, origin, f.Horizon, f.Rows, seasonal.MinHistory(p.Frequency), f.Seed)
	if len(rows.rows) == 0 || !anySold(p, rows.rows) {
		return nil, ErrTooShort
	}
	scales, err := scalesOf(plan, p, kind, rows.rows)
	if err != nil {
		return nil, err
	}
	z := sizeOf(Observed(p, origin))
	if f.Engine == "golearn" {
		z.bag = 1 // its trees are the same under every seed
	}
	return &design{kind: kind, plan: plan, train: newSource(newStates(plan, p), scales, p, origin, f.Spec, kind, rows), size: z}, nil
}

// scalesOf returns the scale of every row; it needs no columns.
func scalesOf(plan *feature.Plan, p *panel.Panel, kind feature.ScaleKind, rows []feature.Row) ([]float64, error) {
	bare, err := plan.Select()
	if err != nil {
		return nil, err
	}
	out := make([]float64, len(rows))
	return out, newStates(bare, p).Fill(rows, kind, &panel.Frame{}, out)
}

// anySold says whether any row has a sale that is not 0: of zeros alone there is nothing to learn, and engines refuse them.
func anySold(p *panel.Panel, rows []feature.Row) bool {
	for _, r := range rows {
		if row, ok := p.Row(int(r.Series), r.Target); ok && p.Target[row] != 0 {
			return true
		}
	}
	return false
}

// Observed is the number of observed sales up to an origin.
func Observed(p *panel.Panel, origin calendar.Step) int {
	n := 0
	for s := range p.Series() {
		lo, hi := p.Span(s)
		for r := lo; r < min(hi, lo+int(origin-p.Start[s])+1); r++ {
			if p.Observed[r] {
				n++
			}
		}
	}
	return n
}
