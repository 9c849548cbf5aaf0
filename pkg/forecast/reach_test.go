package forecast_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"salescast/pkg/calendar"
	"salescast/pkg/forecast"
	"salescast/pkg/forecast/forecasttest"
	"salescast/pkg/panel"
)

// cut makes the plan of covariate c unknown from the step after k steps of every series on.
func cut(p *panel.Panel, c int, end calendar.Step, k int) {
	p.Covariates[c].Values = slices.Clone(p.Covariates[c].Values)
	for s := range p.Series() {
		for at := end + calendar.Step(k) + 1; ; at++ {
			r, ok := p.Row(s, at)
			if !ok {
				break
			}
			p.Covariates[c].Values[r] = float32(math.NaN())
		}
	}
}

func TestReachCountsWhatTheSourceKnows(t *testing.T) {
	t.Parallel()
	for _, k := range []int{0, 1, 13, 28} {
		p := forecasttest.Panel(forecasttest.Daily()) // promo is planned for 28 days
		end, _ := p.End()
		cut(p, 0, end, k)
		r := forecast.ReachOf(p, end, 28)
		if len(r.Columns) != 1 || r.Columns[0].Name != "promo" {
			t.Fatalf("columns %v, want promo alone: weather is not planned", r.Columns)
		}
		if c := r.Columns[0]; c.Least != k || c.Median != k || c.Most != k || r.Whole() != (k == 28) {
			t.Errorf("cut after %d steps: reach %d, %d, %d, whole %t", k, c.Least, c.Median, c.Most, r.Whole())
		}
	}
}

// What the source does not know at the end of the data reaches no model at an earlier origin; all else does.
func TestPlanHidesExactlyWhatIsBeyondReach(t *testing.T) {
	t.Parallel()
	const horizon, reach = 28, 7
	p := forecasttest.Panel(forecasttest.Daily())
	end, _ := p.End()
	cut(p, 0, end, reach)
	r := forecast.ReachOf(p, end, horizon)
	origin := end - 60
	want := r.At(p, origin).Panel()
	if forecast.ReachOf(p, end-200, horizon).At(p, origin).Panel() != p {
		t.Error("a whole plan makes a copy")
	}

	garbled := forecasttest.Panel(forecasttest.Daily())
	cut(garbled, 0, end, reach)
	rng := rand.New(rand.NewPCG(1, 2))
	for s := range p.Series() {
		for h := 1; h <= horizon; h++ {
			if row, ok := garbled.Row(s, origin+calendar.Step(h)); ok && h > reach {
				garbled.Covariates[0].Values[row] = rng.Float32() * 1e6
			}
		}
	}
	got := r.At(garbled, origin).Panel()
	for s := range p.Series() {
		for h := 1; h <= horizon; h++ {
			row, ok := p.Row(s, origin+calendar.Step(h))
			if !ok {
				continue
			}
			if v := r.At(p, origin).Value(s, 0, h); math.Float32bits(v) != math.Float32bits(want.Covariates[0].Values[row]) {
				t.Fatalf("series %d, %d steps ahead: the plan says %v, its panel %v", s, h, v, want.Covariates[0].Values[row])
			}
			a, b := want.Covariates[0].Values[row], got.Covariates[0].Values[row]
			if math.Float32bits(a) != math.Float32bits(b) {
				t.Fatalf("series %d, %d steps ahead: %v, and %v after garbage beyond the reach", s, h, a, b)
			}
			if h <= reach && a != p.Covariates[0].Values[row] {
				t.Fatalf("series %d, %d steps ahead: %v, and the plan says %v", s, h, a, p.Covariates[0].Values[row])
			}
		}
	}
	if whole := r.At(p, origin, "promo").Panel(); whole != p {
		t.Error("with the whole plan given there is nothing to hide")
	}
}

// A forecast after the last sale and one made at an earlier origin of the longer data are given the same values.
func TestPlanIsWhatTheForecastAssumes(t *testing.T) {
	t.Parallel()
	const horizon = 14
	p := forecasttest.Panel(forecasttest.Shape{Frequency: daily, Stores: 2, Items: 3, Steps: 300, Covariates: true})
	end, _ := p.End()
	origin := end - 40
	r := forecast.ReachOf(p, end, horizon) // no plan at all
	known := r.At(p, origin).Panel()
	all := make([]int, p.Series())
	for s := range all {
		all[s] = s
	}
	then, _ := forecast.CompletePlan(p.PickSteps(all, math.MinInt32, origin), origin, horizon, nil)
	for s := range p.Series() {
		for h := 1; h <= horizon; h++ {
			a, ok := known.Row(s, origin+calendar.Step(h))
			b, there := then.Row(s, origin+calendar.Step(h))
			if !ok || !there {
				t.Fatalf("series %d has no row %d steps ahead", s, h)
			}
			if x, y := known.Covariates[0].Values[a], then.Covariates[0].Values[b]; math.Float32bits(x) != math.Float32bits(y) {
				t.Fatalf("series %d, %d steps ahead: the backtest is given %v, the forecast %v", s, h, x, y)
			}
		}
	}
}

func TestReachOfEndedSeriesIsThatOfTheOthers(t *testing.T) {
	t.Parallel()
	p := forecasttest.Panel(forecasttest.Daily())
	end, _ := p.End()
	lo, hi := p.Span(0)
	for r := lo + (hi-lo)/2; r < hi; r++ { // nothing is sold or planned of it any more
		p.Observed[r], p.Target[r], p.Covariates[0].Values[r] = false, float32(math.NaN()), float32(math.NaN())
	}
	if !p.Ended(0, end) {
		t.Fatal("the series has not ended")
	}
	if r := forecast.ReachOf(p, end, 28); !r.Whole() {
		t.Errorf("the plan of the series that are sold is whole: %v", r.Columns)
	}
}

var daily = calendar.Frequency{Unit: calendar.Daily}
