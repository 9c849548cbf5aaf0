package ensemble

import (
	"math"
	"slices"

	"salescast/pkg/calendar"
	"salescast/pkg/forecast/seasonal"
	"salescast/pkg/panel"
)

// Window is what the members forecast from one origin, before what was then sold became known.
type Window struct {
	Origin calendar.Step
	// Points has, for each member, horizon values per series, series-major; NaN where there is no forecast.
	Points [][]float64
}

// Candidate is a member before it is weighed.
type Candidate struct {
	Name string
	// Statistical members know nothing of covariates: where the plan holds an event that the validation windows lack they are wrong, so
	// they are dropped earlier.
	Statistical bool
}

// Weight is a member's share of the combination and how it came about.
type Weight struct {
	Member string  `json:"member"`
	Weight float64 `json:"weight"`
	// WAPE and RMSSE are those of validation; RMSSE is scaled by the mean sale of the year before the origin.
	WAPE  float64 `json:"wape"`
	RMSSE float64 `json:"rmsse"`
	// Loss is the mean of both, each relative to the best member that uses covariates; 1 is best.
	Loss float64 `json:"loss"`
	// Dropped members are too much worse than the best.
	Dropped bool `json:"dropped,omitempty"`
}

const (
	dropLoss            = 1.10
	dropLossStatistical = 1.06
	// power makes weights of losses: a member 5 % worse has two thirds of the weight.
	power = 8
	// shrinkage is the share of the weight that is spread equally over the members that were kept: losses are measured with noise.
	shrinkage = 0.2
	// minMean is the floor of the mean sale that scales a series' errors.
	minMean = 1e-2
)

// Weigh gives every candidate a weight from what it forecast in the windows, all of which must have been known at the time of the
// weighing; weights are not negative and sum to 1. Only steps with an observed sale for which every member has a forecast, of series
// with enough history at the window's origin, count. Where nothing can be compared all weights are equal.
func Weigh(p *panel.Panel, windows []Window, horizon int, candidates []Candidate) []Weight {
	out := make([]Weight, len(candidates))
	for m, c := range candidates {
		out[m] = Weight{Member: c.Name, Weight: 1 / float64(len(candidates)), Loss: 1}
	}
	scores, ok := score(p, windows, horizon, len(candidates))
	if !ok {
		return out
	}
	losses(out, scores, candidates)
	sum, kept := 0.0, 0.0
	for m := range out {
		limit := dropLoss
		if candidates[m].Statistical {
			limit = dropLossStatistical
		}
		out[m].Dropped = out[m].Loss > limit
		out[m].Weight = 0
		if !out[m].Dropped {
			out[m].Weight = math.Pow(out[m].Loss, -power)
			sum += out[m].Weight
			kept++
		}
	}
	for m := range out {
		if !out[m].Dropped {
			out[m].Weight = (1-shrinkage)*out[m].Weight/sum + shrinkage/kept
		}
	}
	return out
}

// memberScore is the error of one member over all windows.
type memberScore struct{ wape, rmsse float64 }

// losses divides both scores by those of the best member with covariates, or of all where there is none, averages them, and lets the
// best member have 1.
func losses(out []Weight, scores []memberScore, candidates []Candidate) {
	best := memberScore{math.Inf(1), math.Inf(1)}
	for _, statistical := range []bool{false, true} {
		for m, s := range scores {
			if candidates[m].Statistical == statistical {
				best.wape, best.rmsse = min(best.wape, s.wape), min(best.rmsse, s.rmsse)
			}
		}
		if !math.IsInf(best.wape, 1) {
			break
		}
	}
	least := math.Inf(1)
	for m, s := range scores {
		out[m].WAPE, out[m].RMSSE = s.wape, s.rmsse
		out[m].Loss = 0.5*relative(s.wape, best.wape) + 0.5*relative(s.rmsse, best.rmsse)
		least = min(least, out[m].Loss)
	}
	for m := range out {
		out[m].Loss /= least
	}
}

// relative is a/b where a forecast without any error is as good as another one.
func relative(a, b float64) float64 {
	const tiny = 1e-12
	return (a + tiny) / (b + tiny)
}

func score(p *panel.Panel, windows []Window, horizon, members int) ([]memberScore, bool) {
	out := make([]memberScore, members)
	var sales, cells float64
	square := make([]float64, members)
	for _, w := range windows {
		for s := range p.Series() {
			if !Mature(p, s, w.Origin) {
				continue
			}
			scale := yearMean(p, s, w.Origin)
			clear(square)
			n := 0.0
			for h := 1; h <= horizon; h++ {
				i := s*horizon + h - 1
				r, ok := p.Row(s, w.Origin+calendar.Step(h))
				if !ok || !p.Observed[r] || slices.ContainsFunc(w.Points, func(v []float64) bool { return math.IsNaN(v[i]) }) {
					continue
				}
				n++
				y := float64(p.Target[r])
				sales += math.Abs(y)
				for m, v := range w.Points {
					e := v[i] - y
					out[m].wape += math.Abs(e)
					square[m] += e * e
				}
			}
			if n == 0 {
				continue
			}
			cells++
			for m := range square {
				out[m].rmsse += math.Sqrt(square[m]/n) / scale
			}
		}
	}
	for m := range out {
		out[m].wape /= max(sales, 1e-12)
		out[m].rmsse /= max(cells, 1)
	}
	return out, cells > 0
}

// Mature says whether series s has enough history at an origin for its errors to teach anything.
func Mature(p *panel.Panel, s int, origin calendar.Step) bool {
	return int(origin)+1-int(p.Start[s]) >= seasonal.MinHistory(p.Frequency)
}

// yearMean is the mean observed sale of the year up to the origin.
func yearMean(p *panel.Panel, s int, origin calendar.Step) float64 {
	lo, hi := p.Span(s)
	end := min(hi, lo+int(origin)+1-int(p.Start[s]))
	var n, sum float64
	for r := max(lo, lo+int(origin)+1-int(p.Start[s])-p.Frequency.Year()); r < end; r++ {
		if p.Observed[r] {
			n, sum = n+1, sum+float64(p.Target[r])
		}
	}
	return max(sum/max(n, 1), minMean)
}

// Combine returns the weighted mean of the members' points; where a member has none, of the others.
func Combine(weights []Weight, points [][]float64) []float64 {
	if len(points) == 0 {
		return nil
	}
	out := make([]float64, len(points[0]))
	for i := range out {
		var sum, weight float64
		for m, w := range weights {
			if w.Weight > 0 && !math.IsNaN(points[m][i]) {
				sum, weight = sum+w.Weight*points[m][i], weight+w.Weight
			}
		}
		out[i] = math.NaN()
		if weight > 0 {
			out[i] = sum / weight
		}
	}
	return out
}
