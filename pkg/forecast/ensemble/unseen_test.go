package ensemble_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"salescast/pkg/calendar"
	"salescast/pkg/conformal"
	"salescast/pkg/forecast"
	"salescast/pkg/forecast/ensemble"
	"salescast/pkg/forecast/seasonal"
	"salescast/pkg/panel"
)

// draws is a daily panel of series around 100 whose days are independent, with standard deviation size and horizon more days that are
// not known; it returns what those days sell.
func draws(seed uint64, series, days int, size float64) (p *panel.Panel, next []float64) {
	r := rand.New(rand.NewPCG(seed, 3))
	f, _, _ := calendar.ParseFrequency("D")
	p = &panel.Panel{Frequency: f, Keys: []panel.Key{{Name: "item"}}, Offsets: []int{0}}
	for s := range series {
		p.Keys[0].Levels, p.Keys[0].Codes = append(p.Keys[0].Levels, string(rune('a'+s))), append(p.Keys[0].Codes, int32(s))
		p.Start = append(p.Start, 0)
		for range days {
			p.Target, p.Observed = append(p.Target, float32(100+size*r.NormFloat64())), append(p.Observed, true)
		}
		p.Offsets = append(p.Offsets, len(p.Target))
		for range horizon {
			next = append(next, 100+size*r.NormFloat64())
		}
	}
	return p, next
}

// calibrated is smoothing with a calibration that was learned from other series, whose errors are of size others.
func calibrated(t *testing.T, others float64) *ensemble.Model {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 1))
	var e conformal.Errors
	for w := range 3 {
		for s := range 10 {
			for h := 1; h <= horizon; h++ {
				e.Add(s, h, w, 100, 100+others*r.NormFloat64())
			}
		}
	}
	f, _, _ := calendar.ParseFrequency("D")
	c, err := conformal.Fit(t.Context(), e, 10, conformal.Options{Levels: levels, Frequency: f})
	if err != nil {
		t.Fatal(err)
	}
	one, err := seasonal.Smoothing{}.Fit(t.Context(), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	m := ensemble.New([]ensemble.Member{{Weight: ensemble.Weight{Member: "smoothing", Weight: 1}, Model: one}}, c, nil, false)
	m.SetHorizon(horizon)
	return m
}

// A series that was not validated has intervals as wide as its own past says, however wide those of the others are; one that is too short
// has those of the others.
func TestNewSeriesAreCalibratedOnTheirOwnPast(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		others   float64
		days     int
		min, max float64
	}{{2, 60, 0.92, 0.98}, {2, 200, 0.92, 0.98}, {60, 60, 0.92, 0.985}, {60, 200, 0.92, 0.985}, {60, 31, 0.999, 1}} {
		m := calibrated(t, c.others)
		inside, n := 0, 0
		for seed := range uint64(40) {
			p, next := draws(seed, 3, c.days, 10)
			f, err := m.Forecast(t.Context(), forecast.Request{Panel: p, Origin: calendar.Step(c.days - 1), Horizon: horizon, Levels: levels})
			if err != nil {
				t.Fatal(err)
			}
			for i, y := range next {
				if q := f.QuantilesAt(i); y >= q[0] && y <= q[4] {
					inside++
				}
				n++
			}
		}
		if got := float64(inside) / float64(n); got < c.min || got > c.max {
			t.Errorf("%d days, others' errors %v: 95%% intervals hold %.3f", c.days, c.others, got)
		}
	}
}

// Sales after the origin, other series and the horizon that is asked for change no interval.
func TestNewSeriesLearnFromTheirOwnPastAlone(t *testing.T) {
	t.Parallel()
	m := calibrated(t, 5)
	p, _ := draws(9, 3, 120, 10)
	const origin = 99
	want, err := m.Forecast(t.Context(), forecast.Request{Panel: p, Origin: origin, Horizon: horizon, Levels: levels})
	if err != nil {
		t.Fatal(err)
	}
	later := *p
	later.Target = slices.Clone(p.Target)
	for s := range p.Series() {
		lo, hi := p.Span(s)
		for r := lo + origin + 1; r < hi; r++ {
			later.Target[r] = 1e6
		}
	}
	for name, one := range map[string]struct {
		p       *panel.Panel
		first   int
		horizon int
	}{"later sales": {&later, 0, horizon}, "alone": {p.Slice(1, 2), 1, horizon}, "shorter": {p, 0, 5}} {
		got, err := m.Forecast(t.Context(), forecast.Request{Panel: one.p, Origin: origin, Horizon: one.horizon, Levels: levels})
		if err != nil {
			t.Fatal(err)
		}
		for s := range one.p.Series() {
			for h := 1; h <= one.horizon; h++ {
				a, b := got.QuantilesAt(got.At(s, h)), want.QuantilesAt(want.At(s+one.first, h))
				for k := range a {
					if math.Abs(a[k]-b[k]) > 1e-9 {
						t.Fatalf("%s: series %d step %d has %v, want %v", name, s, h, a, b)
					}
				}
			}
		}
	}
}
