package ensemble

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

// Two members may each be the best by one score and far behind by the other: somebody must still forecast.
func TestTheBestMemberIsNeverDropped(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(11, 12))
	for range 500 {
		n := 2 + rng.IntN(4)
		out, scores, candidates := make([]Weight, n), make([]memberScore, n), make([]Candidate, n)
		for m := range scores {
			scores[m] = memberScore{math.Exp(3 * rng.NormFloat64()), math.Exp(3 * rng.NormFloat64())}
			candidates[m].Statistical = rng.IntN(2) == 0
		}
		losses(out, scores, candidates)
		least := math.Inf(1)
		for _, w := range out {
			least = min(least, w.Loss)
		}
		if math.Abs(least-1) > 1e-12 {
			t.Fatalf("the smallest loss is %g, want 1: %+v", least, out)
		}
	}
}

// panelOf has one daily series that sells 100 each day, long enough to be mature everywhere.
func panelOf(steps int) *panel.Panel {
	p := &panel.Panel{Frequency: calendar.Frequency{Unit: calendar.Daily}, Offsets: []int{0, steps}, Start: []calendar.Step{0}}
	p.Keys = []panel.Key{{Name: "item", Levels: []string{"a"}, Codes: []int32{0}}}
	for range steps {
		p.Target, p.Observed = append(p.Target, 100), append(p.Observed, true)
	}
	return p
}

// windowsOf has three windows of 28 days in which member m errs by errors[m](h, i), where i counts all draws.
func windowsOf(errors ...func(h, i int) float64) []Window {
	var out []Window
	i := 0
	for w := range 3 {
		v := Window{Origin: calendar.Step(200 + 28*w)}
		for range errors {
			v.Points = append(v.Points, make([]float64, 28))
		}
		for h := 1; h <= 28; h++ {
			for m, e := range errors {
				v.Points[m][h-1] = 100 + e(h, i)
			}
			i++
		}
		out = append(out, v)
	}
	return out
}

func alternating(size float64) func(int, int) float64 {
	return func(_, i int) float64 { return size * float64(1-2*(i%2)) }
}

// A member that is good at first and another that is good later have weights that say so, shrunk to those of all steps: 21 errors move a
// weight by 21 parts of 521 only.
func TestWeightsByStepsAhead(t *testing.T) {
	t.Parallel()
	early := func(h, i int) float64 { return alternating(10+0.05*float64(h))(h, i) }
	late := func(h, i int) float64 { return alternating(11.45-0.05*float64(h))(h, i) }
	w := Weigh(panelOf(400), windowsOf(early, late), 28, []Candidate{{Name: "early"}, {Name: "late"}}, ByLoss)
	if math.Abs(w[0].Weight-0.5) > 0.01 {
		t.Errorf("over all steps both are as good: %+v", w)
	}
	if len(w[0].Steps) != 4 || w[0].Steps[1].From != 8 {
		t.Fatalf("the steps are %+v", w[0].Steps)
	}
	for k := range 4 {
		if a, b := w[0].Steps[k].Weight, w[1].Steps[k].Weight; math.Abs(a+b-1) > 1e-12 || (k < 2) != (a > b) {
			t.Errorf("bucket %d has weights %g and %g", k, a, b)
		}
	}
	// Losses of the first week: 10.2 and 11.25; the exponent is 32 times 21/521.
	want := 1 / (1 + math.Pow(11.25/10.2, -32.0*21/521))
	if got := w[0].At(3); math.Abs(got-want) > 0.005 {
		t.Errorf("the weight 3 days ahead is %g, want %g", got, want)
	}
	got := Combine(w, [][]float64{make([]float64, 28), slices.Repeat([]float64{1}, 28)}, 28)
	for h := range got {
		if math.Abs(got[h]-w[1].At(h+1)) > 1e-12 {
			t.Errorf("step %d is combined with %g, want %g", h+1, got[h], w[1].At(h+1))
		}
	}
}

// Two members whose errors cancel share; by their losses, the better of them has more, and a third like the first adds nothing.
func TestStackingSeesThatErrorsCancel(t *testing.T) {
	t.Parallel()
	plus, minus := alternating(10), alternating(-10.2)
	candidates := []Candidate{{Name: "plus"}, {Name: "again"}, {Name: "minus"}}
	w := Weigh(panelOf(400), windowsOf(plus, plus, minus), 28, candidates, Stacking)
	by := Weigh(panelOf(400), windowsOf(plus, plus, minus), 28, candidates, ByLoss)
	sum := 0.0
	for _, v := range w {
		if v.Weight < 0 || v.Steps != nil {
			t.Errorf("weight %+v", v)
		}
		sum += v.Weight
	}
	if math.Abs(sum-1) > 1e-9 {
		t.Errorf("weights sum to %g", sum)
	}
	if math.Abs(w[0].Weight-w[1].Weight) > 1e-9 {
		t.Errorf("members alike have weights %g and %g", w[0].Weight, w[1].Weight)
	}
	if w[2].Weight < 0.45 || by[2].Weight > 0.25 {
		t.Errorf("the member that cancels has %g stacked and %g by loss", w[2].Weight, by[2].Weight)
	}
}

// The descent ends at the least of its objective on the simplex: no draw of weights has less.
func TestSimplexRidgeIsTheLeast(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(5, 6))
	for range 30 {
		const n = 4
		var x [20][n]float64
		for i := range x {
			for k := range n {
				x[i][k] = rng.NormFloat64() + 0.5
			}
		}
		a := make([]float64, n*n)
		for _, row := range x {
			for k := range n {
				for j := range n {
					a[k*n+j] += row[k] * row[j]
				}
			}
		}
		prior := []float64{0.25, 0.25, 0.25, 0.25}
		objective := func(w []float64) (out float64) {
			for k := range n {
				for j := range n {
					out += w[k] * a[k*n+j] * w[j]
				}
				out += 2 * (w[k] - prior[k]) * (w[k] - prior[k])
			}
			return out
		}
		w := simplexRidge(a, prior, 2)
		least := objective(w)
		for range 2000 {
			v, sum := make([]float64, n), 0.0
			for k := range n {
				v[k] = rng.ExpFloat64()
				if rng.IntN(3) == 0 {
					v[k] = 0
				}
				sum += v[k]
			}
			if sum == 0 {
				continue
			}
			for k := range n {
				v[k] /= sum
			}
			if objective(v) < least-1e-6 {
				t.Fatalf("weights %v have %g, %v have less: %g", w, least, v, objective(v))
			}
		}
	}
}

// Points of members without weight need not be there.
func TestCombineWithoutPoints(t *testing.T) {
	t.Parallel()
	got := Combine([]Weight{{}, {Weight: 0.5}, {Weight: 0.5}}, [][]float64{nil, {1, math.NaN()}, {3, 5}}, 2)
	if !slices.Equal(got, []float64{2, 5}) {
		t.Errorf("combined are %v", got)
	}
}
