package ensemble

import (
	"math"
	"math/rand/v2"
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
	// they have less weight where there is one.
	Statistical bool
}

// Weight is a member's share of the combination and how it came about.
type Weight struct {
	Member string `json:"member"`
	// Weight is that of all steps ahead together; Steps, which bundles of former releases have, are those of each bucket of them.
	Weight float64      `json:"weight"`
	Steps  []StepWeight `json:"steps,omitempty"`
	// WAPE and RMSSE are those of validation; RMSSE is scaled by the mean sale of the year before the origin.
	WAPE  float64 `json:"wape"`
	RMSSE float64 `json:"rmsse"`
	// Loss is the mean of both, each relative to the best member that uses covariates; 1 is best.
	Loss float64 `json:"loss"`
	// Dropped members have next to no weight, and so none.
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
	// power makes weights of losses, in each resample of the windows: a member 3 % worse has half the weight, one 10 % worse a tenth.
	power = 24
	// unplanned is how many times larger the loss of a member that knows nothing of covariates counts where some are known ahead: what
	// the plan holds next may be what no window held.
	unplanned = 1.1
	// resamples is the number of Bayesian bootstraps that weights are the mean of.
	resamples = 100
	// minWeight is the weight below which a member is not worth being asked.
	minWeight = 0.01
	// minMean is the floor of the mean sale that scales a series' errors.
	minMean = 1e-2
)

// Weigh gives every candidate a weight from what it forecast in the windows, all of which must have been known at the time of the
// weighing; weights are not negative and sum to 1. Only steps with an observed sale for which every member has a forecast, of series
// with enough history at the window's origin, count. Where nothing can be compared all weights are equal.
//
// Few windows say little, and what their series say goes together: so the windows and the series are drawn anew, each with a random
// weight (the Bayesian bootstrap of Rubin, 1981), the members are weighed by their losses in every draw, and the mean is taken, as in
// the pseudo-BMA+ of Yao, Vehtari, Simpson and Gelman (2018). What a single window decides is so shared.
func Weigh(p *panel.Panel, windows []Window, horizon int, candidates []Candidate, method Method) []Weight {
	out := make([]Weight, len(candidates))
	for m, c := range candidates {
		out[m] = Weight{Member: c.Name, Weight: 1 / float64(len(candidates)), Loss: 1}
	}
	t := score(p, windows, horizon, len(candidates))
	if t.rows == 0 {
		return out
	}
	losses(out, t.total(nil, nil), candidates)
	planned := slices.ContainsFunc(p.Covariates, func(c panel.Covariate) bool { return c.Role == panel.KnownFuture })
	mean := t.resampled(p, func(scores []memberScore) []float64 {
		l := relativeLosses(scores)
		for m, c := range candidates {
			if planned && c.Statistical {
				l[m] *= unplanned
			}
		}
		return powers(l)
	})
	var kept []int
	sum := 0.0
	for m, w := range mean {
		if out[m].Dropped = w < minWeight; !out[m].Dropped {
			kept, sum = append(kept, m), sum+w
		}
	}
	for m, w := range mean {
		if out[m].Weight = w / sum; out[m].Dropped {
			out[m].Weight = 0
		}
	}
	if len(kept) > 1 && method == Stacking {
		stack(out, kept, p, windows, horizon)
	}
	return out
}

// powers are the weights of losses, which sum to 1.
func powers(losses []float64) []float64 {
	out := make([]float64, len(losses))
	sum := 0.0
	for m, l := range losses {
		out[m] = math.Exp(-power * math.Log(l))
		sum += out[m]
	}
	for m := range out {
		out[m] /= sum
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

// relativeLosses are those of the members relative to the best of them, which has 1.
func relativeLosses(scores []memberScore) []float64 {
	all := make([]int, len(scores))
	for m := range all {
		all[m] = m
	}
	best := leastOf(scores, all)
	out := make([]float64, len(scores))
	for m := range scores {
		out[m] = scores[m].loss(best)
	}
	least := slices.Min(out)
	for m := range out {
		out[m] /= least
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

// tally are the errors of the members in each series of each window that can be compared.
type tally struct {
	members, rows int
	cells         []cell
	// off and root have, for each cell in turn, every member's sum of absolute errors and root mean squared error over the series' mean sale.
	off, root []float64
}

type cell struct {
	window, series int
	sales          float64
}

func score(p *panel.Panel, windows []Window, horizon, members int) *tally {
	t := &tally{members: members}
	off, square := make([]float64, members), make([]float64, members)
	for k, w := range windows {
		for s := range p.Series() {
			if !Mature(p, s, w.Origin) {
				continue
			}
			clear(off)
			clear(square)
			n, sales := 0, 0.0
			for h := 1; h <= horizon; h++ {
				i := s*horizon + h - 1
				y, ok := w.compared(p, s, h, i)
				if !ok {
					continue
				}
				n++
				sales += math.Abs(y)
				for m, v := range w.Points {
					e := v[i] - y
					off[m] += math.Abs(e)
					square[m] += e * e
				}
			}
			if n == 0 {
				continue
			}
			t.rows += n
			t.cells = append(t.cells, cell{k, s, sales})
			scale := yearMean(p, s, w.Origin)
			for m := range square {
				t.off, t.root = append(t.off, off[m]), append(t.root, math.Sqrt(square[m]/float64(n))/scale)
			}
		}
	}
	return t
}

// total are the scores over all cells, of which each counts the product of its window's and its series' weight; nil weighs all alike.
func (t *tally) total(windows, series []float64) []memberScore {
	out := make([]memberScore, t.members)
	var sales, cells float64
	for i, c := range t.cells {
		g := 1.0
		if windows != nil {
			g = windows[c.window] * series[c.series]
		}
		sales += g * c.sales
		cells += g
		for m := range out {
			out[m].wape += g * t.off[i*t.members+m]
			out[m].rmsse += g * t.root[i*t.members+m]
		}
	}
	for m := range out {
		out[m].wape /= max(sales, 1e-12)
		out[m].rmsse /= max(cells, 1e-12)
	}
	return out
}

// resampled is the mean of what weigh makes of the scores under random weights of windows and series, the same for the same series in any
// order.
func (t *tally) resampled(p *panel.Panel, weigh func([]memberScore) []float64) []float64 {
	if t.members == 1 {
		return []float64{1}
	}
	r := rand.New(rand.NewPCG(resamples, power))
	order := make([]int, p.Series())
	for s := range order {
		order[s] = s
	}
	slices.SortStableFunc(order, func(a, b int) int { return slices.Compare(p.ID(a), p.ID(b)) })
	windows := make([]float64, 1)
	for _, c := range t.cells {
		for len(windows) <= c.window {
			windows = append(windows, 0)
		}
	}
	series, out := make([]float64, p.Series()), make([]float64, t.members)
	for range resamples {
		for w := range windows {
			windows[w] = r.ExpFloat64()
		}
		for _, s := range order {
			series[s] = r.ExpFloat64()
		}
		for m, w := range weigh(t.total(windows, series)) {
			out[m] += w / resamples
		}
	}
	return out
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
