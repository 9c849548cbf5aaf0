package global

import (
	"context"
	"errors"
	"fmt"
	"math"

	"salescast/pkg/calendar"
	"salescast/pkg/feature"
	"salescast/pkg/forecast"
	"salescast/pkg/forecast/seasonal"
	"salescast/pkg/panel"
	"salescast/pkg/regress"
)

// Model is a plan of features and trees fitted on them; it is a [forecast.Model] without quantiles of its own.
type Model struct {
	spec    Spec
	kind    feature.ScaleKind
	plan    *feature.Plan
	engines []regress.Model
	// rows and parameters are those of the fit; a restored model does not know them.
	rows       int
	parameters map[string]string
}

// Restore puts a model together from its parts, which it owns from then on.
func Restore(spec Spec, plan *feature.Plan, engines []regress.Model) (*Model, error) {
	kind, err := spec.check()
	if err != nil {
		return nil, fmt.Errorf("restore a global model: %w", err)
	}
	if len(engines) == 0 {
		return nil, errors.New("restore a global model: it has no fitted engine")
	}
	return &Model{spec: spec, kind: kind, plan: plan, engines: engines}, nil
}

// Spec returns the declaration that was fitted.
func (m *Model) Spec() Spec { return m.spec }

// Rows returns the number of training rows, and Parameters what the first engine was given; a restored model knows neither.
func (m *Model) Rows() int { return m.rows }

// Parameters returns what the first engine was given, in its own names.
func (m *Model) Parameters() map[string]string { return m.parameters }

// Plan returns the features.
func (m *Model) Plan() *feature.Plan { return m.plan }

// Engines returns the fitted models whose mean is the forecast; they stay the Model's.
func (m *Model) Engines() []regress.Model { return m.engines }

// Importance returns the share of the total gain of every column of the plan, averaged over the engines; nil where they know none.
func (m *Model) Importance() ([]float64, error) {
	out := make([]float64, len(m.plan.Names()))
	for _, e := range m.engines {
		gain, err := e.Importance()
		if err != nil || gain == nil {
			return nil, err
		}
		total := 0.0
		for _, g := range gain {
			total += g
		}
		for c, g := range gain {
			if total > 0 {
				out[c] += g / total / float64(len(m.engines))
			}
		}
	}
	return out, nil
}

// Forecast implements [forecast.Model].
func (m *Model) Forecast(ctx context.Context, r forecast.Request) (*forecast.Prediction, error) {
	if longest := m.plan.Schema().Horizon; r.Horizon > longest {
		return nil, fmt.Errorf("forecast %d steps: the model was fitted for %d", r.Horizon, longest)
	}
	if m.spec.Strategy == Direct {
		out := forecast.NewPrediction(r.Origin, r.Panel.Series(), r.Horizon, nil)
		return out, m.direct(ctx, newStates(m.plan, r.Panel), r, m.series(r.Panel, r.Origin), out, new(batch))
	}
	st, err := m.plan.NewState(r.Panel, nil)
	if err != nil {
		return nil, err
	}
	return m.forecastFrom(ctx, st, r, new(batch))
}

// forecastFrom is Forecast with the features of a state of the request's panel, and the working memory b.
func (m *Model) forecastFrom(ctx context.Context, st *feature.State, r forecast.Request, b *batch) (*forecast.Prediction, error) {
	out := forecast.NewPrediction(r.Origin, r.Panel.Series(), r.Horizon, nil)
	series := m.series(r.Panel, r.Origin)
	if m.spec.Strategy == Recursive {
		walk, err := st.Fork(r.Origin, r.Horizon)
		if err != nil {
			return nil, err
		}
		return out, m.recursive(ctx, walk, r, series, out, b)
	}
	return out, m.direct(ctx, st, r, series, out, b)
}

// series returns those with enough history at origin.
func (m *Model) series(p *panel.Panel, origin calendar.Step) []int32 {
	var out []int32
	for s := range p.Series() {
		if int(origin-p.Start[s])+1 >= seasonal.MinHistory(p.Frequency) {
			out = append(out, int32(s))
		}
	}
	return out
}

func (m *Model) direct(ctx context.Context, st filler, r forecast.Request, series []int32, out *forecast.Prediction, b *batch) error {
	rows := make([]feature.Row, 0, min(blockRows, len(series)*r.Horizon))
	flush := func() error {
		values, err := m.predict(ctx, b, rows, func() error { return st.Fill(rows, m.kind, &b.x, b.scale) })
		if err != nil {
			return err
		}
		for i, row := range rows {
			out.Point[out.At(int(row.Series), int(row.Target-row.Origin))] = values[i]
		}
		rows = rows[:0]
		return nil
	}
	for _, s := range series {
		for h := 1; h <= r.Horizon; h++ {
			rows = append(rows, feature.Row{Series: s, Origin: r.Origin, Target: r.Origin + calendar.Step(h)})
			if len(rows) == blockRows {
				if err := flush(); err != nil {
					return err
				}
			}
		}
	}
	return flush()
}

func (m *Model) recursive(ctx context.Context, walk *feature.State, r forecast.Request, series []int32, out *forecast.Prediction, b *batch) error {
	rows := make([]feature.Row, len(series))
	next := make([]float64, r.Panel.Series())
	for h := 1; h <= r.Horizon; h++ {
		at := r.Origin + calendar.Step(h)
		for i, s := range series {
			rows[i] = feature.Row{Series: s, Origin: at - 1, Target: at}
		}
		values, err := m.predict(ctx, b, rows, func() error { return walk.FillFrom(r.Origin, rows, m.kind, &b.x, b.scale) })
		if err != nil {
			return err
		}
		for s := range next {
			next[s] = math.NaN()
		}
		for i, s := range series {
			next[s] = values[i]
			out.Point[out.At(int(s), h)] = values[i]
		}
		if err := walk.Append(next); err != nil {
			return err
		}
	}
	return nil
}

// batch is the working memory of predict.
type batch struct {
	x          panel.Frame
	scale, sum []float64
	y          []float32
	// explain, unless nil, takes the contributions of every row that is predicted.
	explain *explainer
}

// predict returns the forecasts of rows in units of the target; they are valid until the next call.
func (m *Model) predict(ctx context.Context, b *batch, rows []feature.Row, fill func() error) ([]float64, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	n := len(rows)
	if cap(b.scale) < n {
		b.scale, b.sum, b.y = make([]float64, n), make([]float64, n), make([]float32, n)
	}
	b.scale, b.sum, b.y = b.scale[:n], b.sum[:n], b.y[:n]
	if n == 0 {
		return nil, nil
	}
	if err := fill(); err != nil {
		return nil, err
	}
	clear(b.sum)
	for _, e := range m.engines {
		if err := e.Predict(ctx, &b.x, b.y); err != nil {
			return nil, err
		}
		for i, y := range b.y {
			b.sum[i] += m.spec.Target.backward(float64(y)) * b.scale[i] / float64(len(m.engines))
		}
	}
	if b.explain != nil {
		if err := b.explain.add(ctx, m, b, rows); err != nil {
			return nil, err
		}
	}
	return b.sum, nil
}

// Close frees the engines.
func (m *Model) Close() error {
	errs := make([]error, len(m.engines))
	for i, e := range m.engines {
		errs[i] = e.Close()
	}
	return errors.Join(errs...)
}
