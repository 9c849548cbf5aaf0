package ensemble

import (
	"math"
	"slices"

	"salescast/pkg/calendar"
	"salescast/pkg/conformal"
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
	Member string `json:"member"`
	// Weight is that of all steps ahead together; Steps are those of each bucket of them, nil where Weight holds for all.
	Weight float64      `json:"weight"`
	Steps  []StepWeight `json:"steps,omitempty"`
	// WAPE and RMSSE are those of validation; RMSSE is scaled by the mean sale of the year before the origin.
	WAPE  float64 `json:"wape"`
	RMSSE float64 `json:"rmsse"`
	// Loss is the mean of both, each relative to the best member that uses covariates; 1 is best.
	Loss float64 `json:"loss"`
	// Dropped members are too much worse than the best.
	Dropped bool `json:"dropped,omitempty"`
}

// StepWeight is the weight From so many steps ahead on, until the next.
type StepWeight struct {
	From   int     `json:"from"`
	Weight float64 `json:"weight"`
}

// At is the weight h steps ahead.
func (w Weight) At(h int) float64 {
	out := w.Weight
	for _, s := range w.Steps {
		if h >= s.From {
			out = s.Weight
		}
	}
	return out
}

// Method is how weights come from what the members forecast out of sample.
type Method string

// The methods. ByLoss weighs each member by its own loss, Stacking all of them together by the squared errors of their mean.
const (
	ByLoss   Method = "loss"
	Stacking Method = "stacking"
)

// Methods returns all of them, the default first.
func Methods() []string { return []string{string(ByLoss), string(Stacking)} }

const (
	dropLoss            = 1.10
	dropLossStatistical = 1.06
	// power makes weights of losses: a member 2 % worse has half the weight, one 5 % worse a fifth.
	power = 32
	// bucketPrior is the number of errors by which the loss of a bucket of steps ahead is shrunk to that of all steps.
	bucketPrior = 500
	// minMean is the floor of the mean sale that scales a series' errors.
	minMean = 1e-2
)

// Weigh gives every candidate a weight from what it forecast in the windows, all of which must have been known at the time of the
// weighing; weights are not negative and sum to 1. Only steps with an observed sale for which every member has a forecast, of series
// with enough history at the window's origin, count. Where nothing can be compared all weights are equal.
func Weigh(p *panel.Panel, windows []Window, horizon int, candidates []Candidate, method Method) []Weight {
	out := make([]Weight, len(candidates))
	for m, c := range candidates {
		out[m] = Weight{Member: c.Name, Weight: 1 / float64(len(candidates)), Loss: 1}
	}
	scores, rows := score(p, windows, 1, horizon, horizon, len(candidates))
	if rows == 0 {
		return out
	}
	losses(out, scores, candidates)
	var kept []int
	for m := range out {
		limit := dropLoss
		if candidates[m].Statistical {
			limit = dropLossStatistical
		}
		out[m].Dropped = out[m].Loss > limit
		out[m].Weight = 0
		if !out[m].Dropped {
			kept = append(kept, m)
		}
	}
	all := relativeLosses(scores, kept)
	for k, w := range powers(all, nil, 0) {
		out[kept[k]].Weight = w
	}
	switch {
	case len(kept) < 2:
	case method == Stacking:
		stack(out, kept, p, windows, horizon)
	default:
		weighSteps(out, kept, all, p, windows, horizon)
	}
	return out
}

// weighSteps gives the kept members weights of their own for each bucket of steps ahead, from the losses there, shrunk to those of all.
func weighSteps(out []Weight, kept []int, all []float64, p *panel.Panel, windows []Window, horizon int) {
	starts := conformal.HorizonBuckets(p.Frequency, horizon)
	if len(starts) < 2 {
		return
	}
	for b, from := range starts {
		to := horizon
		if b+1 < len(starts) {
			to = starts[b+1] - 1
		}
		scores, rows := score(p, windows, from, to, horizon, len(out))
		own := all
		if rows > 0 {
			own = relativeLosses(scores, kept)
		}
		for k, w := range powers(all, own, float64(rows)/float64(rows+bucketPrior)) {
			out[kept[k]].Steps = append(out[kept[k]].Steps, StepWeight{from, w})
		}
	}
}

// powers are the weights of losses: to the geometric mean of both, of which own has the share.
func powers(all, own []float64, share float64) []float64 {
	out := make([]float64, len(all))
	sum := 0.0
	for k := range out {
		l := math.Log(all[k])
		if share > 0 {
			l = (1-share)*l + share*math.Log(own[k])
		}
		out[k] = math.Exp(-power * l)
		sum += out[k]
	}
	for k := range out {
		out[k] /= sum
	}
	return out
}

// memberScore is the error of one member over all windows.
type memberScore struct{ wape, rmsse float64 }

// losses are the means of both scores, each relative to that of the best member with covariates, or of all where there is none; the best
// member has 1.
func losses(out []Weight, scores []memberScore, candidates []Candidate) {
	var reference, all []int
	for m := range scores {
		all = append(all, m)
		if !candidates[m].Statistical {
			reference = append(reference, m)
		}
	}
	if len(reference) == 0 {
		reference = all
	}
	best := leastOf(scores, reference)
	least := math.Inf(1)
	for m, s := range scores {
		out[m].WAPE, out[m].RMSSE, out[m].Loss = s.wape, s.rmsse, s.loss(best)
		least = min(least, out[m].Loss)
	}
	for m := range out {
		out[m].Loss /= least
	}
}

// relativeLosses are those of the kept members relative to the best of them, which has 1.
func relativeLosses(scores []memberScore, kept []int) []float64 {
	best := leastOf(scores, kept)
	out := make([]float64, len(kept))
	for k, m := range kept {
		out[k] = scores[m].loss(best)
	}
	least := slices.Min(out)
	for k := range out {
		out[k] /= least
	}
	return out
}

// leastOf has the least of each score.
func leastOf(scores []memberScore, members []int) memberScore {
	best := memberScore{math.Inf(1), math.Inf(1)}
	for _, m := range members {
		best.wape, best.rmsse = min(best.wape, scores[m].wape), min(best.rmsse, scores[m].rmsse)
	}
	return best
}

// loss is the mean of both scores, each relative to that of best.
func (s memberScore) loss(best memberScore) float64 {
	return 0.5*relative(s.wape, best.wape) + 0.5*relative(s.rmsse, best.rmsse)
}

// relative is a/b where a forecast without any error is as good as another one.
func relative(a, b float64) float64 {
	const tiny = 1e-12
	return (a + tiny) / (b + tiny)
}

// score returns the errors of the members from so many to so many steps ahead, and the number of rows that they are over.
func score(p *panel.Panel, windows []Window, from, to, horizon, members int) (out []memberScore, rows int) {
	out = make([]memberScore, members)
	var sales, cells float64
	square := make([]float64, members)
	for _, w := range windows {
		for s := range p.Series() {
			if !Mature(p, s, w.Origin) {
				continue
			}
			clear(square)
			n := 0
			for h := from; h <= to; h++ {
				i := s*horizon + h - 1
				y, ok := w.compared(p, s, h, i)
				if !ok {
					continue
				}
				n++
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
			rows += n
			cells++
			scale := yearMean(p, s, w.Origin)
			for m := range square {
				out[m].rmsse += math.Sqrt(square[m]/float64(n)) / scale
			}
		}
	}
	for m := range out {
		out[m].wape /= max(sales, 1e-12)
		out[m].rmsse /= max(cells, 1)
	}
	return out, rows
}

// compared is the sale of series s h steps after the origin; ok is false where none was observed or a member has no forecast, at index i.
func (w Window) compared(p *panel.Panel, s, h, i int) (y float64, ok bool) {
	r, ok := p.Row(s, w.Origin+calendar.Step(h))
	if !ok || !p.Observed[r] || slices.ContainsFunc(w.Points, func(v []float64) bool { return math.IsNaN(v[i]) }) {
		return 0, false
	}
	return float64(p.Target[r]), true
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

// Combine returns the weighted mean of the members' points, horizon for each series; where a member has none, of the others.
func Combine(weights []Weight, points [][]float64, horizon int) []float64 {
	shares := make([][]float64, len(weights))
	for m, w := range weights {
		shares[m] = make([]float64, horizon)
		for h := range shares[m] {
			shares[m][h] = w.At(h + 1)
		}
	}
	n := 0
	for _, v := range points {
		n = max(n, len(v))
	}
	out := make([]float64, n)
	for i := range out {
		var sum, weight float64
		for m, v := range points {
			if w := shares[m][i%horizon]; w > 0 && !math.IsNaN(v[i]) {
				sum, weight = sum+w*v[i], weight+w
			}
		}
		out[i] = math.NaN()
		if weight > 0 {
			out[i] = sum / weight
		}
	}
	return out
}
