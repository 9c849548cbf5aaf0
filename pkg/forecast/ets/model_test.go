package ets

import (
	"math"
	"math/rand/v2"
	"testing"
)

// The initial states are the best there are: moving any of them makes the squared error no smaller.
func TestInitialStatesAreTheBest(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	y := make([]float64, 60)
	for i := range y {
		y[i] = 50 + 0.3*float64(i) + 8*math.Sin(2*math.Pi*float64(i)/7) + rng.NormFloat64()
		if i%11 == 5 {
			y[i] = math.NaN()
		}
	}
	for _, f := range Forms(len(y), 7) {
		w := newWork(y, f)
		x := make([]float64, f.constants())
		m := w.constantsOf(x)
		w.errorsOf(m)
		w.solve()
		m.run(y, w.centre, w.state)
		least := m.SSE
		if got := math.Exp(w.loss(x)); math.Abs(got-least) > 1e-9*least {
			t.Errorf("%+v: the sums say %g, the recursion %g", f, got, least)
		}
		for k := range w.state {
			for _, d := range []float64{-0.01, 0.01} {
				w.state[k] += d
				m.run(y, w.centre, w.state)
				if m.SSE < least {
					t.Errorf("%+v: state %d moved by %g has error %g, below %g", f, k, d, m.SSE, least)
				}
				w.state[k] -= d
			}
		}
	}
}

// Deviations are those of futures that the model draws itself.
func TestDeviationsAreThoseOfSimulation(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	m := &Model{Form: Form{Trend: true, Season: 4}, Alpha: 0.3, Beta: 0.1, Gamma: 0.2, Phi: 0.9, Sigma: 2, level: 10, slope: 1, season: []float64{1, -1, 2, -2}}
	const horizon, draws = 10, 40_000
	mean, want, point := make([]float64, horizon), make([]float64, horizon), make([]float64, horizon)
	m.Forecast(point)
	m.Deviations(want)
	square := make([]float64, horizon)
	for range draws {
		l, b, s := m.level, m.slope, append([]float64{}, m.season...)
		for h := range horizon {
			e := m.Sigma * rng.NormFloat64()
			l, b = l+m.Phi*b, m.Phi*b
			y := l + s[h%4] + e
			l, b, s[h%4] = l+m.Alpha*e, b+m.Beta*e, s[h%4]+m.Gamma*e
			mean[h] += y / draws
			square[h] += (y - point[h]) * (y - point[h]) / draws
		}
	}
	for h := range horizon {
		if got := math.Sqrt(square[h]); math.Abs(got/want[h]-1) > 0.02 {
			t.Errorf("step %d: drawn futures deviate by %.3f, closed form %.3f", h+1, got, want[h])
		}
		if math.Abs(mean[h]-point[h]) > 5*want[h]/math.Sqrt(draws) {
			t.Errorf("step %d: drawn futures have mean %.3f, the forecast is %.3f", h+1, mean[h], point[h])
		}
	}
}

func TestHardSeries(t *testing.T) {
	t.Parallel()
	same := func(v float64, n int) []float64 {
		y := make([]float64, n)
		for i := range y {
			y[i] = v
		}
		return y
	}
	spike := same(0, 60)
	spike[40] = 1e6
	gaps := same(math.NaN(), 60)
	for i := 0; i < 60; i += 6 {
		gaps[i] = float64(i)
	}
	for name, c := range map[string]struct {
		y  []float64
		ok bool
	}{
		"zeros": {same(0, 50), true}, "constant": {same(7.5, 50), true}, "three points": {[]float64{1, 2, 3}, false}, "all unknown": {same(math.NaN(), 30), false},
		"one spike": {spike, true}, "gaps": {gaps, true}, "eight points": {[]float64{1, 2, 3, 4, 5, 6, 7, 9}, true}, "infinite": {[]float64{1, 2, math.Inf(1), 4, 5, 6, 7, 8, 9}, false},
		"huge": {[]float64{1e38, 2e37, 1e38, 3e37, 1e38, 2e37, 1e38, 3e37, 5e37}, true},
	} {
		m, err := Fit(c.y, 7)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			continue
		}
		got, wide := make([]float64, 10), make([]float64, 10)
		m.Forecast(got)
		m.Deviations(wide)
		for h := range got {
			if math.IsNaN(got[h]) || math.IsInf(got[h], 0) || math.IsNaN(wide[h]) || wide[h] < 0 {
				t.Fatalf("%s: step %d is %g with deviation %g", name, h+1, got[h], wide[h])
			}
		}
		if name == "constant" && (got[9] != 7.5 || wide[9] != 0) {
			t.Errorf("a constant of 7.5 is forecast %g with deviation %g", got[9], wide[9])
		}
	}
}

func BenchmarkFit(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	y := make([]float64, 728)
	for i := range y {
		y[i] = 50 + 8*math.Sin(2*math.Pi*float64(i)/7) + 5*rng.NormFloat64()
	}
	for b.Loop() {
		if _, err := Fit(y, 7); err != nil {
			b.Fatal(err)
		}
	}
}
