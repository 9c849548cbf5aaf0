package serve

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"salescast/pkg/bundle"
	"salescast/pkg/calendar"
	"salescast/pkg/forecast"
	"salescast/pkg/forecast/ensemble"
	"salescast/pkg/forecast/global"
	"salescast/pkg/forecast/member"
	"salescast/pkg/forecast/seasonal"
	"salescast/pkg/panel"
)

// aheadPoints is the most points that are forecast when a bundle is opened, for requests that change nothing.
const aheadPoints = 60_000

// opened is a bundle at work: its history, and what of it every request needs.
type opened struct {
	bundle *bundle.Bundle
	// history reaches, with the plan that was known or is usual, from the bundle's past to its horizon.
	history *panel.Panel
	end     calendar.Step
	// assumed are the columns of the plan that the bundle did not know.
	assumed []string
	closed  []int
	index   map[string]int
	// served has one entry per member, nil for those that are not trees.
	served []*global.Served
	// users are the requests at work; the bundle is closed when they have ended.
	users sync.WaitGroup
}

// view is one model of an opened bundle: the ensemble, or one of its members.
type view struct {
	*opened
	name string
	// member is the index of the member, -1 for the ensemble.
	member int
	model  *ensemble.Model
	// ahead is the forecast of all series at the end of the history; nil where there are too many.
	ahead *forecast.Prediction
}

// openBundle reads a bundle with its history.
func openBundle(ctx context.Context, r bundle.Reader, loaders bundle.Loaders) (o *opened, err error) {
	b, err := bundle.Open(ctx, r, loaders)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}()
	o = &opened{bundle: b, index: map[string]int{}}
	if o.history, err = b.History(ctx); err != nil {
		return nil, err
	}
	end, ok := o.history.End()
	if !ok {
		return nil, errors.New("open bundle: its history has no sale")
	}
	o.end = end
	if !forecast.HasPlan(o.history, end) {
		o.history, o.assumed = forecast.UsualPlan(o.history, end, b.Manifest.Horizon)
	}
	o.closed = ensemble.ClosedFlags(o.history, end)
	for s := range o.history.Series() {
		o.index[joinID(o.history.ID(s))] = s
	}
	for _, m := range b.Members() {
		var served *global.Served
		if t := m.Model.(*member.Model); t.Kind == member.Trees {
			if served, err = t.Trees.Serve(ctx, o.history, end, slices.DeleteFunc(slices.Clone(o.served), func(s *global.Served) bool { return s == nil })...); err != nil {
				return nil, fmt.Errorf("prepare member %s: %w", m.Member, err)
			}
		}
		o.served = append(o.served, served)
	}
	return o, nil
}

func joinID(id []string) string { return strings.Join(id, "\x1f") }

// views are the models of the bundle by name; the ensemble comes first.
func (o *opened) views(ctx context.Context) ([]*view, error) {
	out := []*view{{opened: o, name: ensembleName, member: -1, model: o.bundle.Model}}
	for k, m := range o.bundle.Members() {
		out = append(out, &view{opened: o, name: m.Member, member: k, model: o.bundle.Alone(k)})
	}
	for _, v := range out {
		if err := v.forecastAhead(ctx); err != nil {
			return nil, fmt.Errorf("forecast with %s: %w", v.name, err)
		}
	}
	return out, nil
}

// forecastAhead makes the forecast that requests without history ask for.
func (v *view) forecastAhead(ctx context.Context) error {
	m := v.bundle.Manifest
	if v.history.Series()*m.Horizon > aheadPoints || !v.planned(m.Horizon) {
		return nil
	}
	f, err := v.model.Forecast(ctx, forecast.Request{Panel: v.history, Origin: v.end, Horizon: m.Horizon, Levels: m.Levels})
	v.ahead = f
	return err
}

// planned says whether the stored plan reaches the horizon.
func (v *view) planned(horizon int) bool {
	return !v.needsPlan() || forecast.CheckPlan(v.history, v.end, horizon) == nil
}

// needsPlan says whether any member reads the plan.
func (v *view) needsPlan() bool {
	for k, s := range v.served {
		if s != nil && (v.member < 0 || v.member == k) {
			return true
		}
	}
	return false
}

// close waits for the requests at work and frees the engines.
func (o *opened) close() error {
	o.users.Wait()
	return o.bundle.Close()
}

// drivers are the parts of a forecast by group of features, in units of the target.
type drivers struct {
	groups []string
	base   []float64
	parts  []float64 // points x groups
}

// forecast answers for a panel of a few series with their plan, whose key levels begin with those of the history.
func (v *view) forecast(ctx context.Context, r forecast.Request, why *drivers) (*forecast.Prediction, error) {
	if v.needsPlan() {
		if err := forecast.CheckPlan(r.Panel, r.Origin, r.Horizon); err != nil {
			return nil, err
		}
	}
	rest := &besides{v: v, r: r}
	points, err := v.points(ctx, r, rest, why)
	if err != nil {
		return nil, err
	}
	closed := v.closed
	if r.Origin < v.end { // nothing of what happened later
		whole, err := rest.panel()
		if err != nil {
			return nil, err
		}
		closed = ensemble.ClosedFlags(whole, r.Origin)
	}
	out, err := v.model.Finish(ctx, r, points, closed, func(ctx context.Context, r forecast.Request, series []int) ([][]float64, error) {
		if len(series) < r.Panel.Series() {
			r.Panel = pick(r.Panel, series)
		}
		return v.points(ctx, r, &besides{v: v, r: r}, nil)
	})
	if err == nil && why != nil {
		why.rest(out.Point)
	}
	return out, err
}

// points are what each member says; why, unless nil, takes the parts.
func (v *view) points(ctx context.Context, r forecast.Request, rest *besides, why *drivers) ([][]float64, error) {
	points := make([][]float64, len(v.model.Members()))
	for i, m := range v.model.Members() {
		if m.Weight.Weight == 0 {
			continue
		}
		var explain *global.Explanation
		if why != nil {
			explain = &global.Explanation{}
		}
		k := i
		if v.member >= 0 {
			k = v.member
		}
		f, err := v.ask(ctx, k, m.Model.(*member.Model), r, rest, explain)
		if err != nil {
			return nil, fmt.Errorf("member %s: %w", m.Member, err)
		}
		points[i] = f
		if why != nil {
			why.add(m.Weight, r.Horizon, f, explain)
		}
	}
	return points, nil
}

// ask returns the points of one member. What it learns from a series' kin comes from the whole history.
func (v *view) ask(ctx context.Context, k int, m *member.Model, r forecast.Request, b *besides, explain *global.Explanation) ([]float64, error) {
	r.Levels = nil
	young := b.young()
	if v.served[k] == nil {
		if !young && m.Kind != member.SmoothingYearly {
			f, err := m.Forecast(ctx, r)
			if err != nil {
				return nil, err
			}
			return f.Point, nil
		}
		return b.ask(ctx, m)
	}
	f, err := v.served[k].Forecast(ctx, r, &b.states, explain)
	if err != nil || !young {
		return pointsOf(f), err
	}
	group, err := seasonal.Group{NonNegative: m.Trees.Spec().NonNegative}.Fit(ctx, nil, 0)
	if err != nil {
		return nil, err
	}
	kin, err := b.ask(ctx, group)
	if err != nil {
		return nil, err
	}
	for i, y := range f.Point {
		if math.IsNaN(y) {
			f.Point[i] = kin[i]
		}
	}
	return f.Point, nil
}

func pointsOf(f *forecast.Prediction) []float64 {
	if f == nil {
		return nil
	}
	return f.Point
}

// besides is the request's panel in its place among the whole history, made when it is first asked for.
type besides struct {
	v     *view
	r     forecast.Request
	whole *panel.Panel
	first int // the request's first series in whole
	// states are the features of the request's panel.
	states global.States
}

// young says whether any series is too short for a forecast of its own.
func (b *besides) young() bool {
	for _, s := range b.r.Panel.Start {
		if int(b.r.Origin-s)+1 < seasonal.MinHistory(b.r.Panel.Frequency) {
			return true
		}
	}
	return false
}

func (b *besides) panel() (*panel.Panel, error) {
	if b.whole != nil {
		return b.whole, nil
	}
	mine := map[string]bool{}
	for s := range b.r.Panel.Series() {
		mine[joinID(b.r.Panel.ID(s))] = true
	}
	var others []int
	for s := range b.v.history.Series() {
		if !mine[joinID(b.v.history.ID(s))] {
			others = append(others, s)
		}
	}
	b.first = len(others)
	rest := pick(b.v.history, others)
	for k := range rest.Keys { // the request's levels begin with the history's
		rest.Keys[k].Levels = b.r.Panel.Keys[k].Levels
	}
	for k := range rest.Static {
		rest.Static[k].Levels = b.r.Panel.Static[k].Levels
	}
	var err error
	b.whole, err = panel.Concat(rest, b.r.Panel)
	return b.whole, err
}

// ask returns the points of the request's series, forecast among all.
func (b *besides) ask(ctx context.Context, m forecast.Model) ([]float64, error) {
	whole, err := b.panel()
	if err != nil {
		return nil, err
	}
	f, err := m.Forecast(ctx, forecast.Request{Panel: whole, Origin: b.r.Origin, Horizon: b.r.Horizon})
	if err != nil {
		return nil, err
	}
	return f.Point[b.first*b.r.Horizon:], nil
}

// pick returns a copy of some series of p; key levels stay those of p.
func pick(p *panel.Panel, series []int) *panel.Panel {
	q := &panel.Panel{Frequency: p.Frequency, Offsets: []int{0}}
	codes := func(ks []panel.Key) []panel.Key {
		out := make([]panel.Key, len(ks))
		for i, k := range ks {
			out[i] = panel.Key{Name: k.Name, Levels: k.Levels, Codes: make([]int32, len(series))}
			for j, s := range series {
				out[i].Codes[j] = k.Codes[s]
			}
		}
		return out
	}
	q.Keys, q.Static = codes(p.Keys), codes(p.Static)
	for _, c := range p.Covariates {
		q.Covariates = append(q.Covariates, panel.Covariate{Name: c.Name, Role: c.Role})
	}
	for _, s := range series {
		lo, hi := p.Span(s)
		q.Start = append(q.Start, p.Start[s])
		q.Target, q.Observed = append(q.Target, p.Target[lo:hi]...), append(q.Observed, p.Observed[lo:hi]...)
		for c := range q.Covariates {
			q.Covariates[c].Values = append(q.Covariates[c].Values, p.Covariates[c].Values[lo:hi]...)
		}
		q.Offsets = append(q.Offsets, len(q.Target))
	}
	return q
}

// add takes the parts of a member; one that is not explained, or a series that it cannot explain, is all base.
func (d *drivers) add(share ensemble.Weight, horizon int, points []float64, e *global.Explanation) {
	if d.base == nil {
		d.base = make([]float64, len(points))
	}
	for _, g := range e.Groups {
		if !slices.Contains(d.groups, g) {
			d.widen(g, len(points))
		}
	}
	at := make([]int, len(e.Groups))
	for i, g := range e.Groups {
		at[i] = slices.Index(d.groups, g)
	}
	for i, y := range points {
		weight := share.At(i%horizon + 1)
		if len(e.Base) == 0 || math.IsNaN(e.Base[i]) {
			d.base[i] += weight * y
			continue
		}
		d.base[i] += weight * e.Base[i]
		for g, to := range at {
			d.parts[i*len(d.groups)+to] += weight * e.Parts[i*len(at)+g]
		}
	}
}

// widen adds a group.
func (d *drivers) widen(group string, points int) {
	n := len(d.groups)
	parts := make([]float64, points*(n+1))
	for i := range points {
		copy(parts[i*(n+1):], d.parts[i*n:(i+1)*n])
	}
	d.groups, d.parts = append(d.groups, group), parts
}

// restGroup is what closing flags and members' weights change after the models.
const restGroup = "rest"

// rest makes the parts add up to the forecast.
func (d *drivers) rest(points []float64) {
	d.widen(restGroup, len(points))
	n := len(d.groups)
	for i, y := range points {
		sum := d.base[i]
		for _, v := range d.parts[i*n : (i+1)*n] {
			sum += v
		}
		d.parts[(i+1)*n-1] = y - sum
	}
}
