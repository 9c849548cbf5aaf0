package serve

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"salescast/pkg/bundle"
	"salescast/pkg/calendar"
	"salescast/pkg/forecast"
	"salescast/pkg/forecast/ensemble"
	"salescast/pkg/forecast/global"
	"salescast/pkg/panel"
)

// aheadPoints is the most points that are forecast when a bundle is opened, for requests that change nothing.
const aheadPoints = 60_000

// opened is a bundle at work: its history, and what of it every request needs.
type opened struct {
	bundle *bundle.Bundle
	known  *bundle.Known
	input  bundle.Input
	// history reaches, with the plan that was known or is usual, from the bundle's past to its horizon.
	history *panel.Panel
	end     calendar.Step
	// assumed are the columns of the plan that the bundle did not know.
	assumed []string
	index   map[string]int
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
	k, err := b.Know(ctx)
	if err != nil {
		return nil, err
	}
	input, err := bundle.ReadInput(ctx, r)
	if err != nil {
		return nil, err
	}
	return &opened{bundle: b, known: k, input: input, history: k.Panel, end: k.End, assumed: k.Assumed, index: k.Index}, nil
}

func joinID(id []string) string { return bundle.JoinID(id) }

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
	f, err := v.forecast(ctx, forecast.Request{Panel: v.history, Origin: v.end, Horizon: m.Horizon, Levels: m.Levels}, nil)
	v.ahead = f
	return err
}

// planned says whether the stored plan reaches the horizon.
func (v *view) planned(horizon int) bool {
	return !bundle.NeedsPlan(v.model) || forecast.CheckPlan(v.history, v.end, horizon) == nil
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

// forecast answers for a panel with its plan, whose key levels begin with those of the history; why, unless nil, takes the parts.
func (v *view) forecast(ctx context.Context, r forecast.Request, why *drivers) (*forecast.Prediction, error) {
	var explain bundle.Explain
	if why != nil {
		explain = func(share ensemble.Weight, points []float64, e *global.Explanation) {
			why.add(share, r.Horizon, points, e)
		}
	}
	out, err := v.known.Forecast(ctx, v.model, r, explain)
	if err == nil && why != nil {
		why.rest(out.Point)
	}
	return out, err
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
