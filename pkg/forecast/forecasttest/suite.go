package forecasttest

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"testing"

	"salescast/pkg/calendar"
	"salescast/pkg/forecast"
	"salescast/pkg/panel"
)

// Traits say which laws hold for a forecaster beyond those of all.
type Traits struct {
	// Plan forecasters use known-future covariates: changing the plan at step k changes the forecast at step k.
	Plan bool
	// Quantiles forecasters answer the levels of a request.
	Quantiles bool
	// Horizon is the longest that is asked for; 14 where it is 0.
	Horizon int
	// Order is the largest relative difference that the order of the series may make, 0 where it may make none: a learner that draws
	// rows in order sees other draws.
	Order float64
}

// levels that the suite asks for.
var levels = []float64{0.025, 0.25, 0.5, 0.75, 0.975}

// Run tries the laws on the forecaster that build returns.
func Run(t *testing.T, traits Traits, build func(t *testing.T) forecast.Forecaster) {
	t.Helper()
	if traits.Horizon == 0 {
		traits.Horizon = 14
	}
	u := suite{traits, build}
	for _, law := range []struct {
		name string
		test func(*testing.T)
	}{
		{"garbage after the origin changes no bit", u.garbage},
		{"the next origin changes the forecast", u.moves},
		{"the plan at step k changes the forecast at step k", u.plan},
		{"the order of series does not matter", u.order},
		{"missing, short and zero series", u.hard},
		{"quantiles increase", u.quantiles},
		{"a weekly panel", func(t *testing.T) { u.other(t, calendar.Frequency{Unit: calendar.Weekly, Anchor: 3}, 150) }},
		{"a monthly panel", func(t *testing.T) { u.other(t, calendar.Frequency{Unit: calendar.Monthly}, 60) }},
		{"a quarterly panel", func(t *testing.T) { u.other(t, calendar.Frequency{Unit: calendar.Quarterly, Anchor: 1, End: true}, 40) }},
		{"a yearly panel", func(t *testing.T) { u.other(t, calendar.Frequency{Unit: calendar.Yearly, Anchor: 3}, 36) }},
		{"one series", u.single},
		{"a cancelled context", u.cancelled},
		{"several goroutines", u.concurrent},
	} {
		t.Run(law.name, law.test)
	}
}

type suite struct {
	Traits
	build func(*testing.T) forecast.Forecaster
}

// origin leaves one and a half horizons of known sales after it.
func (u suite) origin(p *panel.Panel) calendar.Step {
	end, _ := p.End()
	return end - calendar.Step(u.Horizon*3/2)
}

func (u suite) fit(t *testing.T, p *panel.Panel, o calendar.Step) forecast.Model {
	t.Helper()
	m, err := u.build(t).Fit(t.Context(), p, o)
	if err != nil {
		t.Fatalf("fit: %v", err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return m
}

func (u suite) request(p *panel.Panel, o calendar.Step) forecast.Request {
	r := forecast.Request{Panel: p, Origin: o, Horizon: u.Horizon}
	if u.Quantiles {
		r.Levels = levels
	}
	return r
}

func (u suite) forecast(t *testing.T, m forecast.Model, p *panel.Panel, o calendar.Step) *forecast.Prediction {
	t.Helper()
	f, err := m.Forecast(t.Context(), u.request(p, o))
	if err != nil {
		t.Fatalf("forecast: %v", err)
	}
	if f.Series != p.Series() || f.Horizon != u.Horizon || len(f.Point) != p.Series()*u.Horizon {
		t.Fatalf("the forecast has %d series x %d steps and %d points, want %d x %d", f.Series, f.Horizon, len(f.Point), p.Series(), u.Horizon)
	}
	return f
}

func (u suite) garbage(t *testing.T) {
	p := Panel(Daily())
	o := u.origin(p)
	g := Garbage(p, o, u.Horizon)
	a, b := u.forecast(t, u.fit(t, p, o), p, o), u.forecast(t, u.fit(t, g, o), g, o)
	same(t, a.Point, b.Point)
	same(t, a.Quantiles, b.Quantiles)
	finite(t, a.Point)
}

func same(t *testing.T, a, b []float64) {
	t.Helper()
	for i := range a {
		if math.Float64bits(a[i]) != math.Float64bits(b[i]) {
			t.Fatalf("value %d: %v became %v", i, a[i], b[i])
		}
	}
}

func finite(t *testing.T, v []float64) {
	t.Helper()
	for i, y := range v {
		if math.IsNaN(y) || math.IsInf(y, 0) {
			t.Fatalf("value %d is %v", i, y)
		}
	}
}

func (u suite) moves(t *testing.T) {
	p := Panel(Daily())
	o := u.origin(p)
	m := u.fit(t, p, o)
	a, b := u.forecast(t, m, p, o), u.forecast(t, m, p, o+1)
	if slices.Equal(a.Point, b.Point) {
		t.Fatal("one more day of sales changed nothing")
	}
	if b.Origin != o+1 {
		t.Fatalf("the prediction's origin is %d, want %d", b.Origin, o+1)
	}
}

func (u suite) plan(t *testing.T) {
	p := Panel(Daily())
	o := u.origin(p)
	m := u.fit(t, p, o)
	a := u.forecast(t, m, p, o)
	for _, k := range []int{1, u.Horizon / 2, u.Horizon} {
		q := Clone(p)
		for s := range q.Series() {
			r, _ := q.Row(s, o+calendar.Step(k))
			q.Covariates[0].Values[r] = 1 - q.Covariates[0].Values[r]
		}
		b := u.forecast(t, m, q, o)
		changed := false
		for s := range p.Series() {
			changed = changed || a.Point[a.At(s, k)] != b.Point[b.At(s, k)]
		}
		if changed != u.Plan {
			t.Errorf("other promotions at step %d: the forecast there changed = %v, want %v", k, changed, u.Plan)
		}
	}
}

func (u suite) order(t *testing.T) {
	p := Panel(Daily())
	o := u.origin(p)
	q := Reverse(p)
	a, b := u.forecast(t, u.fit(t, p, o), p, o), u.forecast(t, u.fit(t, q, o), q, o)
	var difference, sum float64
	for s := range p.Series() {
		for h := 1; h <= u.Horizon; h++ {
			y, z := a.Point[a.At(s, h)], b.Point[b.At(p.Series()-1-s, h)]
			difference, sum = difference+math.Abs(y-z), sum+math.Abs(y)
		}
	}
	if difference > u.Order*sum+1e-9*sum {
		t.Fatalf("reversing the series changed the forecast by %.3g of its sum, allowed is %.3g", difference/sum, u.Order)
	}
}

// hard has a gap, unobserved rows, a series of zeros, one of three sales, one that begins after the origin and one that ended long ago.
func (u suite) hard(t *testing.T) {
	shape := Daily()
	shape.Stores = 3
	p := Panel(shape)
	o := u.origin(p)
	cut := func(s int, from, to int, y float32, observed bool) {
		lo, hi := p.Span(s)
		for r := lo + from; r < min(lo+to, hi); r++ {
			p.Target[r], p.Observed[r] = y, observed
		}
	}
	nan := float32(math.NaN())
	n := int(o) - int(p.Start[0]) + 1
	cut(0, 100, 130, nan, false)
	cut(0, n-5, n-2, nan, false)
	cut(1, 0, n+u.Horizon, 0, true)
	cut(4, 200, n+u.Horizon*2, nan, false)
	p = Late(Late(p, 2, n-3), 3, n+2)
	m := u.fit(t, p, o)
	f := u.forecast(t, m, p, o)
	for s := range p.Series() {
		for h := 1; h <= u.Horizon; h++ {
			y := f.Point[f.At(s, h)]
			switch {
			case math.IsInf(y, 0) || y < 0:
				t.Fatalf("series %d step %d is forecast %v", s, h, y)
			case math.IsNaN(y) && s != 2 && s != 3:
				t.Fatalf("series %d step %d has no forecast", s, h)
			case s == 1 && y > 0.5:
				t.Fatalf("a series of zeros is forecast %v at step %d", y, h)
			}
		}
	}
}

func (u suite) quantiles(t *testing.T) {
	p := Panel(Daily())
	o := u.origin(p)
	f := u.forecast(t, u.fit(t, p, o), p, o)
	if !u.Quantiles {
		if len(f.Levels) != 0 {
			t.Fatalf("levels %v were answered and not asked", f.Levels)
		}
		return
	}
	if !slices.Equal(f.Levels, levels) {
		t.Fatalf("levels are %v, want %v", f.Levels, levels)
	}
	finite(t, f.Quantiles)
	for i := range f.Point {
		if q := f.QuantilesAt(i); !slices.IsSorted(q) || q[0] < 0 {
			t.Fatalf("quantiles of point %d are %v", i, q)
		}
	}
}

func (u suite) single(t *testing.T) {
	shape := Daily()
	shape.Stores, shape.Items = 1, 1
	p := Panel(shape)
	p.Keys = p.Keys[:1]
	o := u.origin(p)
	finite(t, u.forecast(t, u.fit(t, p, o), p, o).Point)
}

// other is a panel of another frequency; its forecast has about the size of its history.
func (u suite) other(t *testing.T, f calendar.Frequency, steps int) {
	p := Panel(Shape{Frequency: f, Stores: 3, Items: 2, Steps: steps, Plan: u.Horizon, Seed: 3, Covariates: true})
	o, _ := p.End()
	made := u.forecast(t, u.fit(t, p, o), p, o)
	finite(t, made.Point)
	var sum, mean float64
	for i := range made.Point {
		sum += made.Point[i]
	}
	for r, y := range p.Target {
		if p.Observed[r] {
			mean += float64(y)
		}
	}
	mean *= float64(u.Horizon) / float64(steps)
	if sum < 0.5*mean || sum > 2*mean {
		t.Fatalf("the total forecast is %.1f where history has %.1f in as many steps", sum, mean)
	}
}

func (u suite) cancelled(t *testing.T) {
	p := Panel(Daily())
	o := u.origin(p)
	m := u.fit(t, p, o)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Forecast(ctx, u.request(p, o)); !errors.Is(err, context.Canceled) {
		t.Errorf("forecast under a cancelled context: %v", err)
	}
}

func (u suite) concurrent(t *testing.T) {
	p := Panel(Daily())
	o := u.origin(p)
	m := u.fit(t, p, o)
	want := u.forecast(t, m, p, o)
	got := make([]*forecast.Prediction, 4)
	errs := make([]error, len(got))
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() { got[i], errs[i] = m.Forecast(t.Context(), u.request(p, o)) })
	}
	wg.Wait()
	for i := range got {
		if errs[i] != nil {
			t.Fatalf("goroutine %d: %v", i, errs[i])
		}
		same(t, want.Point, got[i].Point)
	}
}
