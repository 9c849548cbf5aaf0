package prophet

import (
	"math"
	"math/rand/v2"
	"testing"
)

// The oracle is coordinate descent: slow, and obviously a minimiser of a convex function whose kinks are separable.
func TestFeatureSignIsTheMinimum(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for trial := range 200 {
		n, rows := 1+rng.IntN(12), 30
		a := make([]float64, rows*n)
		for i := range a {
			a[i] = rng.NormFloat64()
		}
		s, r := make([]float64, n*n), make([]float64, n)
		for i := range n {
			for k := range rows {
				r[i] += a[k*n+i] * rng.NormFloat64() * 3
				for j := range n {
					s[i*n+j] += a[k*n+i] * a[k*n+j]
				}
			}
		}
		lambda := math.Exp(rng.NormFloat64() * 2)
		got, want := make([]float64, n), make([]float64, n)
		for i := range got {
			if rng.IntN(2) == 0 {
				got[i] = rng.NormFloat64() // any start gives the same minimum
			}
		}
		featureSign(s, r, lambda, got)
		for range 5000 {
			for i := range n {
				g := r[i] + s[i*n+i]*want[i]
				for j := range n {
					g -= s[i*n+j] * want[j]
				}
				want[i] = math.Copysign(max(math.Abs(g)-lambda, 0), g) / s[i*n+i]
			}
		}
		for i := range n {
			if math.Abs(got[i]-want[i]) > 1e-8 {
				t.Fatalf("trial %d: parameter %d is %g, want %g", trial, i, got[i], want[i])
			}
		}
	}
}

func TestTrendJacobianIsTheDerivative(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	cps := []float64{0.1, 0.3, 0.6}
	ts, caps := make([]float64, 50), make([]float64, 50)
	for i := range ts {
		ts[i], caps[i] = float64(i)/49, 1.1
	}
	for _, g := range []Growth{Linear, Logistic, Flat} {
		x := []float64{2, 0.4, 0.3, -0.2, 0.5}
		for i := range x {
			x[i] += 0.1 * rng.NormFloat64()
		}
		cols := make([][]float64, len(x))
		for i := range cols {
			cols[i] = make([]float64, len(ts))
		}
		trend{g, x[0], x[1], x[2:], cps}.jacobian(ts, caps, cols)
		at := func(i int, h float64) []float64 {
			y := append([]float64(nil), x...)
			y[i] += h
			out := make([]float64, len(ts))
			trend{g, y[0], y[1], y[2:], cps}.at(ts, caps, out)
			return out
		}
		for i := range x {
			const h = 1e-6
			up, down := at(i, h), at(i, -h)
			for j := range ts {
				if want := (up[j] - down[j]) / (2 * h); math.Abs(cols[i][j]-want) > 1e-7 {
					t.Fatalf("%s: derivative by parameter %d at %d is %g, want %g", g, i, j, cols[i][j], want)
				}
			}
		}
	}
}

func TestFitRefusesWhatItCannotFit(t *testing.T) {
	t.Parallel()
	nan := math.NaN()
	for name, c := range map[string]struct {
		o func(*Options)
		x Times
		y []float64
	}{
		"one value":        {nil, Times{At: []float64{1, 2}}, []float64{1, nan}},
		"infinite":         {nil, Times{At: []float64{1, 2, 3}}, []float64{1, math.Inf(1), 2}},
		"unsorted":         {nil, Times{At: []float64{2, 1, 3}}, []float64{1, 2, 3}},
		"no capacity":      {func(o *Options) { o.Growth = Logistic }, Times{At: []float64{1, 2, 3}}, []float64{1, 2, 3}},
		"unknown growth":   {func(o *Options) { o.Growth = "cubic" }, Times{At: []float64{1, 2, 3}}, []float64{1, 2, 3}},
		"missing column":   {func(o *Options) { o.Regressors = []Regressor{{Name: "promo"}} }, Times{At: []float64{1, 2, 3}}, []float64{1, 2, 3}},
		"NaN in regressor": {func(o *Options) { o.Regressors = []Regressor{{Name: "promo"}} }, Times{At: []float64{1, 2, 3}, Regressors: [][]float64{{0, nan, 1}}}, []float64{1, 2, 3}},
	} {
		o := DefaultOptions()
		if c.o != nil {
			c.o(&o)
		}
		if _, err := Fit(t.Context(), o, c.x, c.y); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
