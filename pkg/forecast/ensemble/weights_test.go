package ensemble

import (
	"math"
	"math/rand/v2"
	"reflect"
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

// steady has one daily series that sells 100 each day, long enough to be mature everywhere.
func steady() *panel.Panel {
	const steps = 400
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

// Weights by steps ahead, which bundles of former releases have, weigh the steps that they are for.
func TestWeightsByStepsAhead(t *testing.T) {
	t.Parallel()
	w := []Weight{{Weight: 0.5, Steps: []StepWeight{{1, 0.2}, {8, 0.7}}}, {Weight: 0.5, Steps: []StepWeight{{1, 0.8}, {8, 0.3}}}}
	got := Combine(w, [][]float64{make([]float64, 28), slices.Repeat([]float64{1}, 28)}, 28)
	for h := range got {
		want := 0.8
		if h >= 7 {
			want = 0.3
		}
		if math.Abs(got[h]-want) > 1e-12 {
			t.Errorf("step %d is combined with %g, want %g", h+1, got[h], want)
		}
	}
}

// Where one window alone says which member is better, and says it loudly, the weights know how little that is; where all say so they do not
// doubt it.
func TestOneWindowDecidesLittle(t *testing.T) {
	t.Parallel()
	candidates := []Candidate{{Name: "a"}, {Name: "b"}}
	even := alternating(10)
	once := func(by float64) func(int, int) float64 {
		return func(h, i int) float64 {
			if i >= 56 {
				return by * even(h, i)
			}
			return even(h, i)
		}
	}
	always := func(h, i int) float64 { return 1.1 * even(h, i) }
	one := Weigh(steady(), windowsOf(even, once(1.3)), 28, candidates, ByLoss)
	all := Weigh(steady(), windowsOf(even, always), 28, candidates, ByLoss)
	if math.Abs(one[1].Loss-all[1].Loss) > 1e-6 {
		t.Fatalf("the losses are %g and %g, which were to be the same", one[1].Loss, all[1].Loss)
	}
	if one[1].Weight < 1.3*all[1].Weight {
		t.Errorf("a member 10 %% worse has %.3f by one window and %.3f by all three", one[1].Weight, all[1].Weight)
	}
	if again := Weigh(steady(), windowsOf(even, once(1.3)), 28, candidates, ByLoss); !reflect.DeepEqual(one, again) {
		t.Errorf("the same windows weigh %+v and %+v", one, again)
	}
}

// Two members whose errors cancel share; by their losses, the better of them has more, and a third like the first adds nothing.
func TestStackingSeesThatErrorsCancel(t *testing.T) {
	t.Parallel()
	plus, minus := alternating(10), alternating(-10.2)
	candidates := []Candidate{{Name: "plus"}, {Name: "again"}, {Name: "minus"}}
	w := Weigh(steady(), windowsOf(plus, plus, minus), 28, candidates, Stacking)
	by := Weigh(steady(), windowsOf(plus, plus, minus), 28, candidates, ByLoss)
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
