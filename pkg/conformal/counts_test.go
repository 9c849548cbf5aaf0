package conformal_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"salescast/pkg/conformal"
)

// spare draws series of which most steps sell nothing: now and then, as often as the forecast says, one sells about its size.
func spare(seed uint64, series int) (e conformal.Errors) {
	r := rand.New(rand.NewPCG(seed, 11))
	for w := range 3 {
		for s := range series {
			size := math.Exp(float64(s%5) - 1)
			for h := 1; h <= 12; h++ {
				often := 0.05 + 0.35*float64((h+s)%12)/11
				y := 0.0
				if r.Float64() < often {
					y = size * (0.5 + r.ExpFloat64()/2)
				}
				e.Add(s, h, w, often*size, y)
				e.Size = append(e.Size, size)
			}
		}
	}
	return e
}

// Quantiles of series that seldom sell are those of fresh draws: each level holds its share, whether the forecast is small or large.
func TestCountsHoldTheirLevels(t *testing.T) {
	t.Parallel()
	o := options()
	o.Levels = []float64{0.025, 0.5, 0.75, 0.9, 0.975}
	c, err := conformal.Fit(t.Context(), spare(1, 100), 100, o)
	if err != nil {
		t.Fatal(err)
	}
	if c.Counts == nil {
		t.Fatal("no counts were learned")
	}
	if err := c.Check(100); err != nil {
		t.Fatal(err)
	}
	fresh := spare(2, 100)
	q := make([]float64, len(o.Levels))
	for _, part := range []struct{ from, to float64 }{{0, 0.2}, {0.2, 1}, {0, 1}} {
		under, n := make([]float64, len(o.Levels)), 0.0
		for i := range fresh.Series {
			rate := fresh.Forecast[i] / fresh.Size[i]
			if rate < part.from || rate >= part.to {
				continue
			}
			c.ApplyCounts(fresh.Size[i], fresh.Forecast[i:i+1], q)
			if !slices.IsSorted(q) || q[0] != 0 || q[1] != 0 {
				t.Fatalf("a forecast of %g of a size has quantiles %v; most steps sell nothing", rate, q)
			}
			n++
			for k := range q {
				if fresh.Actual[i] <= q[k] {
					under[k]++
				}
			}
		}
		for k, level := range o.Levels {
			if got := under[k] / n; level > 0.8 && math.Abs(got-level) > 0.04 || got < level-0.03 {
				t.Errorf("forecasts of %g to %g of a size: %.3f of sales are at most the quantile at %g", part.from, part.to, got, level)
			}
		}
	}
}

// A series that was forecast to sell next to nothing, and sold once, has quantiles of the size of what it sold when more is forecast: the
// scale is not that of one sale over next to nothing.
func TestNextToNothingScalesNothingUp(t *testing.T) {
	t.Parallel()
	for _, little := range []float64{0, 1e-9, 1e-4, 0.01, 0.3} {
		r := rand.New(rand.NewPCG(3, 3))
		var e conformal.Errors
		for w := range 3 {
			for s := range 30 {
				for h := 1; h <= 6; h++ {
					f := little
					if s%2 == 0 {
						f = 2
					}
					y := 0.0
					if r.Float64() < 0.1 {
						y = 1 + math.Floor(8*r.Float64())
					}
					e.Add(s, h, w, f, y)
				}
			}
		}
		c, err := conformal.Fit(t.Context(), e, 30, options())
		if err != nil {
			t.Fatal(err)
		}
		q := make([]float64, len(levels))
		for s := range 30 {
			c.Apply(s, []float64{1.5}, nil, q)
			if q[len(q)-1] > 200 {
				t.Errorf("forecasts of %g, sales to 8, then a forecast of 1.5: series %d has quantiles %v", little, s, q)
			}
			if q[3] != 1.5 || q[2] > 1.5 || q[4] < 1.5 {
				t.Errorf("the forecast 1.5 is not the quantile at 0.5 of %v", q)
			}
		}
	}
}
