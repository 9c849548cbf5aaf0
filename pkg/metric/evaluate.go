package metric

import (
	"cmp"
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
	horizons := 0
	for _, h := range pr.Horizon {
		horizons = max(horizons, int(h))
	}
	sc, err := NewScorer(pr, p.Frequency, distinct(pr.Cutoff), horizons)
	if err == nil {
		err = sc.AddPanel(p)
	}
	if err == nil {
		err = sc.Add(pr)
	}
	if err != nil {
		return nil, err
	}
	return sc.Finish()
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

// maxScored bounds what a Scorer keeps: steps after origins, over all series.
const maxScored = 1 << 30

// Scorer makes an [Evaluation] of predictions that come block by block. It keeps the sales after each origin and the sums that scores
// follow from; neither the history nor the predictions.
type Scorer struct {
	head     *backtest.Predictions
	f        calendar.Frequency
	origins  []calendar.Day
	steps    []calendar.Step
	horizons int
	index    map[string]int
	known    []bool
	sold     []float32 // by series, origin and step ahead; NaN where none was observed
	scales   []Scale   // by series and origin
	layout   layout
	tallies  *tallies
	open     run
	ev       *Evaluation
}

// NewScorer prepares for predictions with the keys, models and levels of head, made at origins up to horizons steps ahead. The panel
// must be added before the predictions.
func NewScorer(head *backtest.Predictions, f calendar.Frequency, origins []calendar.Day, horizons int) (*Scorer, error) {
	n := seriesCount(head)
	if cells := float64(n) * float64(len(origins)) * float64(horizons); cells > maxScored {
		return nil, fmt.Errorf("predictions of %d series from %d origins, %d steps ahead, are more than can be scored at once", n, len(origins), horizons)
	}
	sc := &Scorer{
		head: head, f: f, origins: origins, horizons: horizons, index: make(map[string]int, n), known: make([]bool, n),
		sold: make([]float32, n*len(origins)*horizons), scales: make([]Scale, n*len(origins)), layout: newLayout(head.Levels),
		ev: &Evaluation{Models: head.Models, Levels: head.Levels, Series: n, Origins: origins, Horizons: horizons},
	}
	for _, o := range origins {
		step, ok := f.Step(o)
		if !ok {
			return nil, fmt.Errorf("cutoff %s is not on the panel's grid %s", o, f)
		}
		sc.steps = append(sc.steps, step)
	}
	for s, joined := range joinedIDs(head) {
		sc.index[joined] = s
	}
	sc.tallies = newTallies(sc.ev)
	return sc, nil
}

// AddPanel takes in what the scores need of the panel's series; the panel may come in several parts.
func (sc *Scorer) AddPanel(p *panel.Panel) error {
	for ps := range p.Series() {
		s, ok := sc.index[joinID(p.Keys, ps)]
		if !ok {
			continue
		}
		if sc.known[s] {
			return fmt.Errorf("series %v comes twice", p.ID(ps))
		}
		sc.known[s] = true
		for o, origin := range sc.steps {
			sc.scales[s*len(sc.steps)+o] = ScaleOf(p, ps, origin)
			for h := range sc.horizons {
				y := float32(math.NaN())
				if row, ok := p.Row(ps, origin+calendar.Step(h+1)); ok && p.Observed[row] {
					y = p.Target[row]
				}
				sc.sold[(s*len(sc.steps)+o)*sc.horizons+h] = y
			}
		}
	}
	return nil
}

// run is a model's rows of one origin and series, which may lie in two blocks.
type run struct {
	model, series               int32
	origin                      int
	cutoff, date                calendar.Day
	started                     bool
	n, squared, absolute, width float64
}

// Add takes in the next rows; Model and Series index the head's.
func (sc *Scorer) Add(pr *backtest.Predictions) error {
	if len(pr.Quantiles) != pr.Rows()*len(sc.head.Levels) {
		return fmt.Errorf("%d predictions at %d levels have %d quantiles", pr.Rows(), len(sc.head.Levels), len(pr.Quantiles))
	}
	for i := range pr.Rows() {
		if err := sc.begin(pr, i); err != nil {
			return err
		}
		if err := sc.row(pr, i); err != nil {
			return err
		}
	}
	return nil
}

// begin starts a new run where row i is not of the open one.
func (sc *Scorer) begin(pr *backtest.Predictions, i int) error {
	r := &sc.open
	m, c, s, d := pr.Model[i], pr.Cutoff[i], pr.Series[i], pr.Date[i]
	order := cmp.Or(cmp.Compare(r.model, m), cmp.Compare(r.cutoff, c), cmp.Compare(r.series, s), cmp.Compare(r.date, d))
	if r.started && order >= 0 {
		return fmt.Errorf("predictions are not unique and sorted by model, cutoff, series and date at series %v, %s", id(sc.head.Keys, int(s)), d)
	}
	if r.started && m == r.model && c == r.cutoff && s == r.series {
		r.date = d
		return nil
	}
	sc.end()
	if !sc.known[s] {
		return fmt.Errorf("predicted series %v is not in the panel; evaluate predictions beside the panel they were made from", id(sc.head.Keys, int(s)))
	}
	o, ok := slices.BinarySearch(sc.origins, c)
	if !ok {
		return fmt.Errorf("cutoff %s is not one of the origins %v", c, sc.origins)
	}
	*r = run{model: m, series: s, origin: o, cutoff: c, date: d, started: true}
	return nil
}

// row scores row i, which is of the open run.
func (sc *Scorer) row(pr *backtest.Predictions, i int) error {
	r, l, t := &sc.open, &sc.layout, sc.tallies
	s, at := int(r.series), int(r.series)*len(sc.steps)+r.origin
	step, ok := sc.f.Step(pr.Date[i])
	if ahead := int(step - sc.steps[r.origin]); !ok || ahead < 1 || ahead != int(pr.Horizon[i]) || ahead > sc.horizons {
		return fmt.Errorf("prediction of series %v for %s from cutoff %s says it is %d steps ahead, and is not", id(sc.head.Keys, s), pr.Date[i], r.cutoff, pr.Horizon[i])
	}
	y, want := pr.Actual[i], sc.sold[at*sc.horizons+int(pr.Horizon[i])-1]
	if math.IsNaN(y) && want != want {
		return nil
	}
	if float32(y) != want {
		return fmt.Errorf("actual %v of series %v on %s is %v in the panel; evaluate predictions beside the panel they were made from", y, id(sc.head.Keys, s), pr.Date[i], want)
	}
	f, q := pr.Forecast[i], pr.Quantiles[i*len(l.levels):(i+1)*len(l.levels)]
	if math.IsNaN(f) {
		return nil
	}
	m := int(r.model)
	for _, w := range [...]*tally{&t.overall[m], &t.bySeries[m][s], &t.byOrigin[m][r.origin]} {
		w.row(l, y, f, q)
	}
	h := &t.byHorizon[m][pr.Horizon[i]-1]
	h.row(l, y, f, q)
	is := math.NaN()
	if l.lo95 >= 0 && l.hi95 >= 0 {
		is = intervalScore(y, q[l.lo95], q[l.hi95])
	}
	h.scale(sc.scales[at], (f-y)*(f-y), math.Abs(f-y), is)
	r.n, r.squared, r.absolute, r.width = r.n+1, r.squared+(f-y)*(f-y), r.absolute+math.Abs(f-y), r.width+is
	for j, v := range q {
		if y < v {
			t.below[m][j]++
		}
		if y <= v {
			t.atOrBelow[m][j]++
		}
	}
	return nil
}

// end closes the open run: scaled errors are means over runs.
func (sc *Scorer) end() {
	r, t := &sc.open, sc.tallies
	if r.n == 0 {
		return
	}
	scale := sc.scales[int(r.series)*len(sc.steps)+r.origin]
	for _, w := range [...]*tally{&t.overall[r.model], &t.bySeries[r.model][r.series], &t.byOrigin[r.model][r.origin]} {
		w.scale(scale, r.squared/r.n, r.absolute/r.n, r.width/r.n)
	}
}

// Finish returns the scores. Sales after an origin that no prediction stands against are counted: a model that says nothing of a hard
// series must not look better for it unseen.
func (sc *Scorer) Finish() (*Evaluation, error) {
	sc.end()
	sc.open = run{}
	for s, known := range sc.known {
		if !known {
			return nil, fmt.Errorf("predicted series %v is not in the panel; evaluate predictions beside the panel they were made from", id(sc.head.Keys, s))
		}
	}
	t := sc.tallies
	for i, y := range sc.sold {
		if y != y {
			continue
		}
		h, o, s := i%sc.horizons, i/sc.horizons%len(sc.steps), i/sc.horizons/len(sc.steps)
		for m := range sc.ev.Models {
			for _, w := range [...]*tally{&t.overall[m], &t.bySeries[m][s], &t.byOrigin[m][o], &t.byHorizon[m][h]} {
				w.sold++
			}
		}
	}
	t.finish(sc.ev, &sc.layout)
	return sc.ev, nil
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

// tallies are the accumulators of an Evaluation.
type tallies struct {
	overall                       []tally
	byHorizon, bySeries, byOrigin [][]tally
	below, atOrBelow              [][]int
}

func newTallies(ev *Evaluation) *tallies {
	m := len(ev.Models)
	t := &tallies{overall: make([]tally, m)}
	for range m {
		t.byHorizon = append(t.byHorizon, make([]tally, ev.Horizons))
		t.bySeries = append(t.bySeries, make([]tally, ev.Series))
		t.byOrigin = append(t.byOrigin, make([]tally, len(ev.Origins)))
		t.below = append(t.below, make([]int, len(ev.Levels)))
		t.atOrBelow = append(t.atOrBelow, make([]int, len(ev.Levels)))
	}
	return t
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
