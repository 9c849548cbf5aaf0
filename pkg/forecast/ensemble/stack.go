package ensemble

import (
	"math"
	"slices"

	"salescast/pkg/panel"
)

const (
	// stackRidge pulls stacked weights towards those by loss: so many times the mean squared error of the members.
	stackRidge = 0.1
	// stackSteps bounds the descent, stackStill is the change of a weight at which it ends.
	stackSteps = 3000
	stackStill = 1e-9
)

// stack replaces the weights of the kept members by those that minimise the squared error of their mean over the windows, each series in
// units of its mean sale, plus a ridge that pulls them towards the weights they have. They stay non-negative with sum 1: free ones learn
// the bias of the windows, which does not last, and forecast worse than no stacking (Breiman, 1996, found the same of the first).
func stack(out []Weight, kept []int, p *panel.Panel, windows []Window, horizon int) {
	n := len(kept)
	// With weights that sum to 1 the error of the mean is the mean of the errors: a has the mean products of the members' errors.
	a := make([]float64, n*n)
	e := make([]float64, n)
	for _, w := range windows {
		for s := range p.Series() {
			if !Mature(p, s, w.Origin) {
				continue
			}
			scale := yearMean(p, s, w.Origin)
			for h := 1; h <= horizon; h++ {
				i := s*horizon + h - 1
				y, ok := w.compared(p, s, h, i)
				if !ok {
					continue
				}
				for k, m := range kept {
					e[k] = (w.Points[m][i] - y) / scale
				}
				for k := range n {
					for j := range n {
						a[k*n+j] += e[k] * e[j]
					}
				}
			}
		}
	}
	prior, trace := make([]float64, n), 0.0
	for k, m := range kept {
		prior[k] = out[m].Weight
		trace += a[k*n+k]
	}
	if trace == 0 {
		return
	}
	for k, w := range simplexRidge(a, prior, stackRidge*trace/float64(n)) {
		out[kept[k]].Weight = w
	}
}

// simplexRidge minimises w'aw + ridge |w-prior|^2 over non-negative w with sum 1, by projected gradients. a is symmetric and positive
// semidefinite, row-major.
func simplexRidge(a, prior []float64, ridge float64) []float64 {
	n := len(prior)
	step := ridge
	for k := range n {
		step += a[k*n+k]
	}
	w, next := slices.Clone(prior), make([]float64, n)
	for range stackSteps {
		moved := 0.0
		for k := range n {
			g := ridge * (w[k] - prior[k])
			for j := range n {
				g += a[k*n+j] * w[j]
			}
			next[k] = w[k] - g/step
		}
		projectSimplex(next)
		for k := range n {
			moved = max(moved, math.Abs(next[k]-w[k]))
		}
		copy(w, next)
		if moved < stackStill {
			break
		}
	}
	return w
}

// projectSimplex replaces w by the nearest point that is not negative and sums to 1 (Held, Wolfe and Crowder, 1974).
func projectSimplex(w []float64) {
	sorted := slices.Clone(w)
	slices.Sort(sorted)
	slices.Reverse(sorted)
	sum, shift := 0.0, 0.0
	for k, v := range sorted {
		sum += v
		if t := (sum - 1) / float64(k+1); v > t {
			shift = t
		}
	}
	for k := range w {
		w[k] = max(w[k]-shift, 0)
	}
}
