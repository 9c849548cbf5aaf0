package forecast_test

import (
	"math"
	"slices"
	"testing"

	"salescast/pkg/calendar"
	"salescast/pkg/forecast"
	"salescast/pkg/panel"
)

func TestCompletePlan(t *testing.T) {
	t.Parallel()
	const days, horizon = 70, 10
	first, ok := calendar.Frequency{Unit: calendar.Daily}.Step(calendar.DateOf(2024, 1, 1)) // a Monday
	if !ok {
		t.Fatal("no step")
	}
	p := &panel.Panel{Frequency: calendar.Frequency{Unit: calendar.Daily}, Start: []calendar.Step{first, first + 60}, Offsets: []int{0, days, days + 10}}
	closed, rain, rare := []float32{}, []float32{}, []float32{}
	for r := range days + 10 {
		day := r % days
		if r >= days {
			day = r - days + 60
		}
		sunday := float32(0)
		if day%7 == 6 {
			sunday = 1
		}
		closed, rain = append(closed, sunday), append(rain, float32(r))
		promo := float32(0)
		if day == 69 { // once, on the last day
			promo = 1
		}
		rare = append(rare, promo)
		p.Target, p.Observed = append(p.Target, float32(r)), append(p.Observed, true)
	}
	p.Covariates = []panel.Covariate{{Name: "closed", Role: panel.KnownFuture, Values: closed}, {Name: "promo", Role: panel.KnownFuture, Values: rare}, {Name: "rain", Role: panel.PastOnly, Values: rain}}
	origin, _ := p.End()
	if forecast.HasPlan(p, origin) {
		t.Error("a panel that ends at the origin has a plan")
	}
	q, names := forecast.CompletePlan(p, origin, horizon, nil)
	if !forecast.HasPlan(q, origin) || !slices.Equal(names, []forecast.Assumed{{Name: "closed", Steps: horizon}, {Name: "promo", Steps: horizon}}) {
		t.Errorf("columns %v", names)
	}
	for s := range p.Start {
		lo, hi := p.Span(s)
		from, to := q.Span(s)
		n := hi - lo
		if to-from != n+horizon {
			t.Fatalf("series %d has %d rows, want %d and %d", s, to-from, n, horizon)
		}
		for c := range p.Covariates {
			if !slices.Equal(p.Covariates[c].Values[lo:hi], q.Covariates[c].Values[from:from+n]) {
				t.Errorf("series %d: the past of %s changed", s, p.Covariates[c].Name)
			}
		}
		for h := range horizon {
			row := from + n + h
			sunday := float32(0)
			if (days+h)%7 == 6 {
				sunday = 1
			}
			if got := q.Covariates[0].Values[row]; got != sunday {
				t.Errorf("series %d, step %d: closed is %v, want %v", s, h+1, got, sunday)
			}
			if !math.IsNaN(float64(q.Covariates[2].Values[row])) || !math.IsNaN(float64(q.Target[row])) || q.Observed[row] {
				t.Errorf("series %d, step %d: rain %v, sale %v, observed %t: nothing may be known", s, h+1, q.Covariates[2].Values[row], q.Target[row], q.Observed[row])
			}
			if s == 0 && q.Covariates[1].Values[row] != 0 {
				t.Errorf("step %d: a single promotion became the usual", h+1)
			}
		}
	}
	if end, _ := q.End(); end != origin {
		t.Errorf("the origin moved to %v", end)
	}
	p.Covariates = p.Covariates[2:]
	if same, names := forecast.CompletePlan(p, origin, horizon, nil); same != p || names != nil {
		t.Errorf("without known-future columns: %v", names)
	}
}
