package seasonal_test

import (
	"math"
	"testing"

	"salescast/pkg/calendar"
	"salescast/pkg/forecast"
	"salescast/pkg/forecast/forecasttest"
	"salescast/pkg/forecast/seasonal"
	"salescast/pkg/panel"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]forecast.Forecaster{
		"naive":     seasonal.Naive{NonNegative: true},
		"smoothing": seasonal.Smoothing{NonNegative: true},
		"yearly":    seasonal.Smoothing{Yearly: true, NonNegative: true},
		"group":     seasonal.Complete(seasonal.Smoothing{NonNegative: true}, true),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			forecasttest.Run(t, forecasttest.Traits{Quantiles: true}, func(*testing.T) forecast.Forecaster { return f })
		})
	}
}

// single is one daily series that starts on a Monday.
func single(y ...float32) *panel.Panel {
	p := &panel.Panel{
		Frequency: calendar.Frequency{Unit: calendar.Daily}, Start: []calendar.Step{calendar.Step(calendar.DateOf(2024, 1, 1))}, Offsets: []int{0, len(y)},
		Target: y, Observed: make([]bool, len(y)), Keys: []panel.Key{{Name: "id", Levels: []string{"a"}, Codes: []int32{0}}},
	}
	for i := range y {
		p.Observed[i] = y[i] == y[i]
	}
	return p
}

func at(t *testing.T, f forecast.Forecaster, p *panel.Panel, horizon int) *forecast.Prediction {
	t.Helper()
	o, _ := p.End()
	m, err := f.Fit(t.Context(), p, o)
	if err != nil {
		t.Fatal(err)
	}
	out, err := m.Forecast(t.Context(), forecast.Request{Panel: p, Origin: o, Horizon: horizon, Levels: []float64{0.1, 0.5, 0.9}})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestNaiveRepeatsTheSeason(t *testing.T) {
	t.Parallel()
	nan := float32(math.NaN())
	f := at(t, seasonal.Naive{}, single(1, 2, 3, 4, 5, 6, 7, 11, 12, nan, 14, 15, 16, 17), 9)
	want := []float64{11, 12, 3, 14, 15, 16, 17, 11, 12} // Wednesday was not observed: the one before it
	for h, y := range want {
		if f.Point[h] != y {
			t.Errorf("step %d is %v, want %v", h+1, f.Point[h], y)
		}
	}
	if f := at(t, seasonal.Naive{}, single(4, 9), 3); f.Point[0] != 9 || f.Point[2] != 9 {
		t.Errorf("two days of history are forecast %v, want the last one", f.Point)
	}
}

// A profile that repeats exactly is forecast exactly, with no width, and a weekday that never sells is 0.
func TestSmoothingIsExactOnARepeatingWeek(t *testing.T) {
	t.Parallel()
	var y []float32
	week := []float32{10, 20, 30, 40, 50, 60, 0}
	for range 60 {
		y = append(y, week...)
	}
	f := at(t, seasonal.Smoothing{NonNegative: true}, single(y...), 14)
	for h := range 14 {
		if math.Abs(f.Point[h]-float64(week[h%7])) > 1e-4 {
			t.Errorf("step %d is %v, want %v", h+1, f.Point[h], week[h%7])
		}
		if q := f.QuantilesAt(h); math.Abs(q[2]-q[0]) > 1e-3 {
			t.Errorf("step %d has quantiles %v of a series without noise", h+1, q)
		}
	}
}

// The slow, obvious version of one weekly series: level by the recursion, constant by the sum of absolute errors.
func TestSmoothingOracle(t *testing.T) {
	t.Parallel()
	p := forecasttest.Panel(forecasttest.Shape{Frequency: calendar.Frequency{Unit: calendar.Weekly}, Stores: 1, Items: 3, Steps: 200, Seed: 5})
	f := at(t, seasonal.Smoothing{}, p, 4)
	for s := range p.Series() {
		lo, hi := p.Span(s)
		y := p.Target[hi-156 : hi]
		if hi-156 < lo {
			t.Fatal("the test needs three years")
		}
		best, level := math.Inf(1), 0.0
		for _, alpha := range []float64{.02, .05, .1, .15, .2, .3, .4, .5, .7} {
			l, loss := float64(y[0]), 0.0
			for i := 1; i < len(y); i++ {
				if float64(i) > 0.2*156 {
					loss += math.Abs(float64(y[i]) - l)
				}
				l = alpha*float64(y[i]) + (1-alpha)*l
			}
			if loss < best {
				best, level = loss, l
			}
		}
		if got := f.Point[f.At(s, 3)]; math.Abs(got-level) > 1e-9*level {
			t.Errorf("series %d is %v, want %v", s, got, level)
		}
	}
}

// A series without history is forecast like the same item elsewhere; one with three sales is drawn towards them.
func TestGroupForecastsKin(t *testing.T) {
	t.Parallel()
	p := forecasttest.Panel(forecasttest.Shape{Frequency: calendar.Frequency{Unit: calendar.Daily}, Stores: 3, Items: 2, Steps: 100, Seed: 5})
	for r := range p.Target { // item 0 sells 10, item 1 sells 50
		s := r / 100
		p.Target[r] = []float32{10, 50}[s%2]
	}
	lo, hi := p.Span(5)
	for r := lo; r < hi; r++ {
		p.Target[r] = 200
	}
	p = forecasttest.Late(forecasttest.Late(p, 4, 100), 5, 97)
	f := at(t, seasonal.Group{NonNegative: true}, p, 7)
	if got := f.Point[f.At(4, 2)]; math.Abs(got-10) > 1e-9 {
		t.Errorf("an item without history is forecast %v, want its kin's 10", got)
	}
	if got := f.Point[f.At(5, 2)]; got <= 50 || got >= 200 {
		t.Errorf("an item with three days of 200 where its kin sell 50 is forecast %v", got)
	}
}
