package metric

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"salescast/pkg/backtest"
	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

// Evaluation holds the scores of every model, whole and by part. The first index of every table is the model.
type Evaluation struct {
	Models []string
	// Levels are the quantile levels that were scored.
	Levels []float64
	// Origins are the forecast origins, increasing; Horizons the number of steps ahead; Series the number of series.
	Origins  []calendar.Day
	Horizons int
	Series   int

	Overall   []Scores
	ByHorizon [][]Scores // [model][step ahead - 1]
	BySeries  [][]Scores // [model][series of the predictions]
	ByOrigin  [][]Scores // [model][origin]
	// Below and AtOrBelow are the observed shares of sales below, and at or below, each quantile, [model][level]. They differ where sales
	// equal their quantile, as those of zero often do; a calibrated quantile has its level between the two.
	Below, AtOrBelow [][]Value
}

// Evaluate scores predictions. p is the panel they were made from: it gives the scales, and every Actual is compared with it, so that
// predictions of other data, or with sales left out, are an error and not a better score. Rows must be unique and sorted as
// backtest.Predictions says.
func Evaluate(p *panel.Panel, pr *backtest.Predictions) (*Evaluation, error) {
	b, err := bind(p, pr)
	if err != nil {
		return nil, err
	}
	ev := &Evaluation{Models: pr.Models, Levels: pr.Levels, Series: seriesCount(pr), Origins: distinct(pr.Cutoff)}
	for _, h := range pr.Horizon {
		ev.Horizons = max(ev.Horizons, int(h))
	}
	l := newLayout(pr.Levels)
	t := newTallies(ev)
	for lo := 0; lo < pr.Rows(); {
		hi := lo + 1
		for hi < pr.Rows() && sameBlock(pr, lo, hi) {
			hi++
		}
		if err := t.block(b, &l, lo, hi); err != nil {
			return nil, err
		}
		lo = hi
	}
	t.miss(b, ev)
	t.finish(ev, &l)
	return ev, nil
}

// distinct returns the sorted distinct days.
func distinct(days []calendar.Day) []calendar.Day {
	seen := map[calendar.Day]struct{}{}
	for _, d := range days {
		seen[d] = struct{}{}
	}
	out := make([]calendar.Day, 0, len(seen))
	for d := range seen {
		out = append(out, d)
	}
	slices.Sort(out)
	return out
}

func sameBlock(pr *backtest.Predictions, a, b int) bool {
	return pr.Model[a] == pr.Model[b] && pr.Cutoff[a] == pr.Cutoff[b] && pr.Series[a] == pr.Series[b]
}

// bound are predictions tied to the rows of their panel.
type bound struct {
	p  *panel.Panel
	pr *backtest.Predictions
	// series is the panel's series of each series of the predictions.
	series []int
}

func bind(p *panel.Panel, pr *backtest.Predictions) (*bound, error) {
	if len(pr.Quantiles) != pr.Rows()*len(pr.Levels) {
		return nil, fmt.Errorf("%d predictions at %d levels have %d quantiles", pr.Rows(), len(pr.Levels), len(pr.Quantiles))
	}
	at := make(map[string]int, p.Series())
	for s := range p.Series() {
		at[joinID(p.Keys, s)] = s
	}
	b := &bound{p: p, pr: pr, series: make([]int, seriesCount(pr))}
	for s, joined := range joinedIDs(pr) {
		ps, ok := at[joined]
		if !ok {
			return nil, fmt.Errorf("predicted series %v is not in the panel; evaluate predictions beside the panel they were made from", id(pr.Keys, s))
		}
		b.series[s] = ps
	}
	return b, nil
}

func id(keys []panel.Key, s int) []string {
	v := make([]string, len(keys))
	for i, k := range keys {
		v[i] = k.Levels[k.Codes[s]]
	}
	return v
}

// seriesCount is 1 for a panel without keys.
func seriesCount(pr *backtest.Predictions) int {
	if len(pr.Keys) == 0 {
		return 1
	}
	return len(pr.Keys[0].Codes)
}

// joinedIDs returns one string per series that no other series has.
func joinedIDs(pr *backtest.Predictions) []string {
	out := make([]string, seriesCount(pr))
	for s := range out {
		out[s] = joinID(pr.Keys, s)
	}
	return out
}

func joinID(keys []panel.Key, s int) string { return strings.Join(id(keys, s), "\x00") }

// actual returns the sale of row i, which is at that step, NaN if none was observed.
func (b *bound) actual(i int, at calendar.Step) (float64, error) {
	pr, p := b.pr, b.p
	s := b.series[pr.Series[i]]
	y, want := pr.Actual[i], math.NaN()
	if row, ok := p.Row(s, at); ok && p.Observed[row] {
		want = float64(p.Target[row])
	}
	if math.IsNaN(y) && math.IsNaN(want) {
		return y, nil
	}
	if float32(y) != float32(want) {
		return 0, fmt.Errorf("actual %v of series %v on %s is %v in the panel; evaluate predictions beside the panel they were made from", y, p.ID(s), pr.Date[i], want)
	}
	return y, nil
}

// tallies are the accumulators of an Evaluation.
type tallies struct {
	overall                       []tally
	byHorizon, bySeries, byOrigin [][]tally
	below, atOrBelow              [][]int
	origins                       map[calendar.Day]int
	scales                        map[[2]int]Scale
	last                          int
}

func newTallies(ev *Evaluation) *tallies {
	m := len(ev.Models)
	t := &tallies{overall: make([]tally, m), origins: map[calendar.Day]int{}, scales: map[[2]int]Scale{}, last: -1}
	for i, d := range ev.Origins {
		t.origins[d] = i
	}
	for range m {
		t.byHorizon = append(t.byHorizon, make([]tally, ev.Horizons))
		t.bySeries = append(t.bySeries, make([]tally, ev.Series))
		t.byOrigin = append(t.byOrigin, make([]tally, len(ev.Origins)))
		t.below = append(t.below, make([]int, len(ev.Levels)))
		t.atOrBelow = append(t.atOrBelow, make([]int, len(ev.Levels)))
	}
	return t
}

// block adds rows lo to hi-1: one model, origin and series.
func (t *tallies) block(b *bound, l *layout, lo, hi int) error {
	pr := b.pr
	m, s, o := int(pr.Model[lo]), int(pr.Series[lo]), t.origins[pr.Cutoff[lo]]
	origin, ok := b.p.Frequency.Step(pr.Cutoff[lo])
	if !ok {
		return fmt.Errorf("cutoff %s is not on the panel's grid %s", pr.Cutoff[lo], b.p.Frequency)
	}
	scale := t.scaleOf(b, s, o, origin)
	wholes := [...]*tally{&t.overall[m], &t.bySeries[m][s], &t.byOrigin[m][o]}
	var n, sq, abs, interval float64
	for i := lo; i < hi; i++ {
		if t.last >= 0 && !less(pr, t.last, i) {
			return fmt.Errorf("predictions are not unique and sorted by model, cutoff, series and date at row %d (series %v, %s)", i, id(pr.Keys, s), pr.Date[i])
		}
		t.last = i
		at, ok := b.p.Frequency.Step(pr.Date[i])
		if ahead := int(at - origin); !ok || ahead < 1 || ahead != int(pr.Horizon[i]) {
			return fmt.Errorf("prediction of series %v for %s from cutoff %s says it is %d steps ahead, and is not", id(pr.Keys, s), pr.Date[i], pr.Cutoff[lo], pr.Horizon[i])
		}
		y, err := b.actual(i, at)
		if err != nil {
			return err
		}
		if math.IsNaN(y) {
			continue
		}
		h := &t.byHorizon[m][pr.Horizon[i]-1]
		f, q := pr.Forecast[i], pr.Quantiles[i*len(pr.Levels):(i+1)*len(pr.Levels)]
		if math.IsNaN(f) {
			continue
		}
		for _, w := range wholes {
			w.row(l, y, f, q)
		}
		h.row(l, y, f, q)
		is := math.NaN()
		if l.lo95 >= 0 && l.hi95 >= 0 {
			is = intervalScore(y, q[l.lo95], q[l.hi95])
		}
		h.scale(scale, (f-y)*(f-y), math.Abs(f-y), is)
		n, sq, abs, interval = n+1, sq+(f-y)*(f-y), abs+math.Abs(f-y), interval+is
		for j, v := range q {
			if y < v {
				t.below[m][j]++
			}
			if y <= v {
				t.atOrBelow[m][j]++
			}
		}
	}
	if n > 0 {
		for _, w := range wholes {
			w.scale(scale, sq/n, abs/n, interval/n)
		}
	}
	return nil
}

// miss counts the sales after each origin that no prediction stands against: a model that says nothing of a hard series must not look
// better for it unseen.
func (t *tallies) miss(b *bound, ev *Evaluation) {
	for o, day := range ev.Origins {
		origin, _ := b.p.Frequency.Step(day) // block has seen that it is on the grid
		for s, ps := range b.series {
			for h := range ev.Horizons {
				row, ok := b.p.Row(ps, origin+calendar.Step(h+1))
				if !ok || !b.p.Observed[row] {
					continue
				}
				for m := range ev.Models {
					for _, w := range [...]*tally{&t.overall[m], &t.bySeries[m][s], &t.byOrigin[m][o], &t.byHorizon[m][h]} {
						w.sold++
					}
				}
			}
		}
	}
}

// scaleOf is computed once per series and origin, not once per model.
func (t *tallies) scaleOf(b *bound, s, o int, origin calendar.Step) Scale {
	k := [2]int{s, o}
	v, ok := t.scales[k]
	if !ok {
		v = ScaleOf(b.p, b.series[s], origin)
		t.scales[k] = v
	}
	return v
}

// less orders rows a and b by model, cutoff, series and date.
func less(pr *backtest.Predictions, a, b int) bool {
	switch {
	case pr.Model[a] != pr.Model[b]:
		return pr.Model[a] < pr.Model[b]
	case pr.Cutoff[a] != pr.Cutoff[b]:
		return pr.Cutoff[a] < pr.Cutoff[b]
	case pr.Series[a] != pr.Series[b]:
		return pr.Series[a] < pr.Series[b]
	}
	return pr.Date[a] < pr.Date[b]
}

func (t *tallies) finish(ev *Evaluation, l *layout) {
	all := func(ts []tally) []Scores {
		out := make([]Scores, len(ts))
		for i := range ts {
			out[i] = ts[i].scores(l)
		}
		return out
	}
	ev.Overall = all(t.overall)
	for m := range ev.Models {
		ev.ByHorizon = append(ev.ByHorizon, all(t.byHorizon[m]))
		ev.BySeries = append(ev.BySeries, all(t.bySeries[m]))
		ev.ByOrigin = append(ev.ByOrigin, all(t.byOrigin[m]))
		ev.Below, ev.AtOrBelow = append(ev.Below, t.shares(m, t.below[m])), append(ev.AtOrBelow, t.shares(m, t.atOrBelow[m]))
	}
}

// shares are counts over the scored rows of model m; NaN where it lacks quantiles.
func (t *tallies) shares(m int, counts []int) []Value {
	out := make([]Value, len(counts))
	for j, n := range counts {
		out[j] = ratio(float64(n), float64(t.overall[m].rows))
		if t.overall[m].noQuantiles {
			out[j] = Value(math.NaN())
		}
	}
	return out
}

// Held is what quantile level j of model m came to: the share of sales below it, with of the sales that equal it as many as bring that
// share nearest to the level.
func (ev *Evaluation) Held(m, j int) Value {
	return min(max(Value(ev.Levels[j]), ev.Below[m][j]), ev.AtOrBelow[m][j])
}
