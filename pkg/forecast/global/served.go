package global

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"salescast/pkg/calendar"
	"salescast/pkg/feature"
	"salescast/pkg/forecast"
	"salescast/pkg/panel"
	"salescast/pkg/regress"
)

// Served is a model beside a panel that it knows. It answers for panels of a few series as if they stood in the place of the same series
// there: what features read of other series is what the known panel says, at its end for requests of a later origin.
// It may be used from several goroutines and does not own the model.
type Served struct {
	m    *Model
	plan *feature.Plan // the model's, or an equal one
	pool *feature.Pool
	work sync.Pool
}

// Serve prepares answers beside p, whose sales are known up to the step end. Others that were prepared beside the same panel share what
// they have of the same features.
func (m *Model) Serve(ctx context.Context, p *panel.Panel, end calendar.Step, others ...*Served) (*Served, error) {
	s := &Served{m: m, plan: m.plan}
	s.work.New = func() any { return new(batch) }
	for _, o := range others {
		if !o.plan.Equal(m.plan) {
			continue
		}
		s.plan = o.plan
		if !m.walks() && !o.m.walks() {
			s.pool = o.pool
			return s, nil
		}
	}
	var walk *feature.State
	if m.walks() {
		st, err := s.plan.NewState(p, nil)
		if err != nil {
			return nil, err
		}
		r := forecast.Request{Panel: p, Origin: end, Horizon: m.plan.Schema().Horizon}
		if walk, err = st.Fork(end, r.Horizon); err != nil {
			return nil, err
		}
		out := forecast.NewPrediction(end, p.Series(), r.Horizon, nil)
		if err := m.recursive(ctx, walk, r, m.series(p, end), out, new(batch)); err != nil {
			return nil, fmt.Errorf("forecast all series ahead of requests: %w", err)
		}
	}
	var err error
	s.pool, err = s.plan.Seal(p, end, walk)
	return s, err
}

// walks says whether the model's features of other series depend on what it forecasts of them.
func (m *Model) walks() bool { return m.spec.Strategy == Recursive && m.plan.UsesPool() }

// States are the features of one panel's own sales, for all models that are asked about it. The zero value has none yet.
type States struct {
	panel *panel.Panel
	made  []*feature.State
}

// Release lets the next panel have the memory of the states.
func (x *States) Release() {
	for _, st := range x.made {
		st.Release()
	}
	*x = States{}
}

// of returns the state of p with the columns of plan and a sealed pool; with nil, that of p itself, as all others of these states then have.
func (x *States) of(plan *feature.Plan, pool *feature.Pool, p *panel.Panel) (*feature.State, error) {
	if x.panel != p {
		x.Release()
		x.panel = p
	}
	for _, st := range x.made {
		if st.Plan() != plan {
			continue
		}
		if pool == nil {
			return st, nil
		}
		return st.Beside(pool), nil
	}
	st, err := plan.NewState(p, pool)
	if err == nil {
		x.made = append(x.made, st)
	}
	return st, err
}

// Forecast is [Model.Forecast] for a panel of a few series, whose key levels begin with those of the known panel. known, unless nil, are
// the states of the panel, which is not changed between calls with them. explain, unless nil, is filled with what each group of features
// brings.
func (s *Served) Forecast(ctx context.Context, r forecast.Request, known *States, explain *Explanation) (*forecast.Prediction, error) {
	return s.forecast(ctx, s.pool, r, known, explain)
}

// Alone is Forecast of a panel by itself, which has other totals than the known one: known and explain may be nil as there, and states that
// Forecast was given are not for Alone.
func (s *Served) Alone(ctx context.Context, r forecast.Request, known *States, explain *Explanation) (*forecast.Prediction, error) {
	if explain == nil && r.Panel.Rows() > stateRows {
		return s.m.Forecast(ctx, r)
	}
	return s.forecast(ctx, nil, r, known, explain)
}

func (s *Served) forecast(ctx context.Context, pool *feature.Pool, r forecast.Request, known *States, explain *Explanation) (*forecast.Prediction, error) {
	if longest := s.m.plan.Schema().Horizon; r.Horizon > longest {
		return nil, fmt.Errorf("forecast %d steps: the model was fitted for %d", r.Horizon, longest)
	}
	if known == nil {
		known = new(States)
	}
	st, err := known.of(s.plan, pool, r.Panel)
	if err != nil {
		return nil, err
	}
	b := s.work.Get().(*batch)
	defer s.work.Put(b)
	if explain != nil {
		b.explain = newExplainer(s.m, r, explain)
		defer func() { b.explain = nil }()
	}
	return s.m.forecastFrom(ctx, st, r, b)
}

// Explanation is what each group of features brings to a forecast, in units of the target.
type Explanation struct {
	// Groups are the names, sorted.
	Groups []string
	// Base has the forecast that the model would make of any row, laid out as [forecast.Prediction.Point]; NaN where there is no forecast.
	Base []float64
	// Parts has len(Groups) values for each point; with Base they add up to the model's forecast.
	Parts []float64
}

// ErrUnexplained says that an engine does not know the contributions of features.
var ErrUnexplained = errors.New("the engine does not tell the contributions of features")

// explainer sums TreeSHAP contributions, which are on the scale of the link, into groups. In units of sales a group's part is its
// contribution times the mean slope of the inverse link between the base and the forecast, so that parts add up without a rest.
type explainer struct {
	to      *Explanation
	group   []int // per column
	origin  calendar.Step
	horizon int
	raw     []float32
}

func newExplainer(m *Model, r forecast.Request, to *Explanation) *explainer {
	e := &explainer{to: to, origin: r.Origin, horizon: r.Horizon}
	to.Groups = to.Groups[:0]
	for _, c := range m.plan.Columns() {
		to.Groups = append(to.Groups, c.Group)
	}
	slices.Sort(to.Groups)
	to.Groups = slices.Compact(to.Groups)
	for _, c := range m.plan.Columns() {
		e.group = append(e.group, slices.Index(to.Groups, c.Group))
	}
	n := r.Panel.Series() * r.Horizon
	to.Base, to.Parts = make([]float64, n), make([]float64, n*len(to.Groups))
	for i := range to.Base {
		to.Base[i] = math.NaN()
	}
	return e
}

func (e *explainer) add(ctx context.Context, m *Model, b *batch, rows []feature.Row) error {
	columns := len(e.group)
	n := len(rows) * (columns + 1)
	if cap(e.raw) < n {
		e.raw = make([]float32, n)
	}
	e.raw = e.raw[:n]
	share := 1 / float64(len(m.engines))
	for k, engine := range m.engines {
		c, ok := engine.(regress.Contributor)
		if !ok {
			return ErrUnexplained
		}
		if err := c.Contributions(ctx, &b.x, e.raw); err != nil {
			return err
		}
		for i, row := range rows {
			at := int(row.Series)*e.horizon + int(row.Target-e.origin) - 1
			if k == 0 {
				e.to.Base[at] = 0
			}
			v := e.raw[i*(columns+1) : (i+1)*(columns+1)]
			parts := e.to.Parts[at*len(e.to.Groups) : (at+1)*len(e.to.Groups)]
			base, total := float64(v[columns]), 0.0
			for _, x := range v[:columns] {
				total += float64(x)
			}
			from := m.spec.Target.response(base)
			slope := from
			if math.Abs(total) > 1e-9 {
				slope = (m.spec.Target.response(base+total) - from) / total
			}
			e.to.Base[at] += from * b.scale[i] * share
			for j, x := range v[:columns] {
				parts[e.group[j]] += float64(x) * slope * b.scale[i] * share
			}
		}
	}
	return nil
}

// response is the ratio of a sum of contributions: the inverse of the learner's link and of forward.
func (t Target) response(margin float64) float64 {
	if t == Log {
		return t.backward(margin)
	}
	return math.Exp(margin)
}
