package conformal_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"salescast/pkg/conformal"
)

// past draws the errors of one series in windows of 28 steps, 13 apart: noise of its own size, and a bias.
func past(r *rand.Rand, windows int, size, bias float64) (e conformal.Errors, dates int) {
	noise := make([]float64, 28+13*(windows-1))
	for i := range noise {
		noise[i] = size * r.NormFloat64()
	}
	for w := range windows {
		for h := 1; h <= 28; h++ {
			e.Add(0, h, w, 100, 100+bias+noise[w*13+h-1])
		}
	}
	return e, len(noise)
}

// Where the calibration comes from series with errors several times as large, or a fraction, a new series with a past of its own has
// intervals that hold what it sells; without a past it has those of the others.
func TestIndividualCovers(t *testing.T) {
	t.Parallel()
	for _, others := range []float64{0.02, 0.1, 0.4} {
		r := rand.New(rand.NewPCG(5, 6))
		var e conformal.Errors
		for w := range 3 {
			for s := range 10 {
				for h := 1; h <= 28; h++ {
					e.Add(s, h, w, 100, 100*(1+others*r.NormFloat64()))
				}
			}
		}
		c, err := conformal.Fit(t.Context(), e, 10, options())
		if err != nil {
			t.Fatal(err)
		}
		for _, bias := range []float64{0, 15} {
			inside, n := 0, 0
			q := make([]float64, 28*len(levels))
			point := slices.Repeat([]float64{100}, 28)
			for range 200 {
				own, dates := past(r, 6, 10, bias)
				one, ok := c.Individual(own, dates)
				if !ok {
					t.Fatalf("%d days are too few", dates)
				}
				c.ApplyOwn(one, point, q)
				for h := range 28 {
					row := q[h*len(levels) : (h+1)*len(levels)]
					if !slices.IsSorted(row) || row[0] > 100 || row[6] < 100 {
						t.Fatalf("quantiles %v of 100", row)
					}
					if y := 100 + bias + 10*r.NormFloat64(); y >= row[0] && y <= row[6] {
						inside++
					}
					n++
				}
			}
			if got := float64(inside) / float64(n); got < 0.935 || got > 0.985 {
				t.Errorf("others' errors %v, bias %v: 95%% intervals hold %.3f", others, bias, got)
			}
		}
	}
}

func TestIndividualNeedsDays(t *testing.T) {
	t.Parallel()
	c, err := conformal.Fit(t.Context(), world(1, 3, 3, (*rand.Rand).NormFloat64), 3, options())
	if err != nil {
		t.Fatal(err)
	}
	var e conformal.Errors
	for h := 1; h <= 6; h++ {
		e.Add(0, h, 0, 10, 11)
	}
	if _, ok := c.Individual(e, 6); ok {
		t.Error("six days are enough")
	}
	e.Add(0, 7, 0, 0, 0)
	one, ok := c.Individual(e, 7)
	if !ok || slices.ContainsFunc(append(one.Quantiles, one.Mean, one.Scale), func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }) {
		t.Errorf("a week gives %v %v", one, ok)
	}
}
