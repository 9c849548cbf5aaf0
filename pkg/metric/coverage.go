package metric

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/gonum/stat/distuv"

	"salescast/pkg/backtest"
	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

// IntervalScores say how central intervals kept their word over a group of predictions. Only rows with an observed sale, a forecast and
// all quantiles count; shares of none are NaN.
type IntervalScores struct {
	// Series is the number of series that the rows are of.
	Series int `json:"series"`
	Rows   int `json:"rows"`
	// Coverage80 and Coverage95 are the shares of sales inside the intervals, ends included.
	Coverage80 Value `json:"coverage_80"`
	Coverage95 Value `json:"coverage_95"`
	// Below95 and Above95 are the shares of sales under and over the 95 % interval: each is to be 2.5 %.
	Below95 Value `json:"below_95"`
	Above95 Value `json:"above_95"`
	// Zeros is the share of sales that are 0.
	Zeros Value `json:"zeros"`
	// ZeroFloor is the share of 95 % intervals that begin at 0 or below it. Sales are not negative, so nothing can lie under them: where
	// this share is 1, an interval whose upper end is right holds 97.5 %.
	ZeroFloor Value `json:"zero_floor"`
	// Width95 is the mean width of the 95 % intervals over the mean sale.
	Width95 Value `json:"width_95"`
}

// HorizonCoverage is that of one step ahead.
type HorizonCoverage struct {
	Horizon int `json:"horizon"`
	IntervalScores
}

// ClassCoverage is that of the series of one [VolumeClasses] class.
type ClassCoverage struct {
	Class string `json:"class"`
	IntervalScores
}

// SeriesCoverage says how the coverage of 95 % intervals spreads over series.
type SeriesCoverage struct {
	// Judged is the number of series with [minJudged] rows or more; the other fields are of these.
	Judged int `json:"judged"`
	// Lowest, Tenth, Median and Ninetieth are quantiles of the series' coverage.
	Lowest    Value `json:"lowest"`
	Tenth     Value `json:"tenth"`
	Median    Value `json:"median"`
	Ninetieth Value `json:"ninetieth"`
	// Under90 is the number of series whose coverage is below 90 %, Chance the number that would be if every interval covered 95 % and
	// misses were independent. They are not, within a series: more than Chance is to be expected.
	Under90 int   `json:"under_90"`
	Chance  Value `json:"chance_under_90"`
}

// Coverage is how the intervals of one model kept their word, by horizon, by volume class and by series.
type Coverage struct {
	Model      string            `json:"model"`
	ByHorizon  []HorizonCoverage `json:"by_horizon"`
	ByClass    []ClassCoverage   `json:"by_class"`
	OverSeries SeriesCoverage    `json:"over_series"`
	// BySeries and Class have one entry for each series of the predictions.
	BySeries []IntervalScores `json:"-"`
	Class    []string         `json:"-"`
}

// minJudged is the number of rows from which on a series' coverage says anything: one miss is then at most a twentieth.
const minJudged = 20

// CoverageTally accumulates the Coverage of one model; predictions may come in blocks of rows. Its memory is a few numbers per series
// and step ahead.
type CoverageTally struct {
	model     string
	keys      []panel.Key
	layout    layout
	bySeries  []intervalTally
	byHorizon []intervalTally
	// seen has, for each step ahead, whether a series has a row there.
	seen  [][]bool
	first calendar.Day
	rows  int
}

type intervalTally struct {
	rows, in80, in95, below, above, zeros, floor int
	width, sold                                  float64
}

// NewCoverage begins the tally of a model whose predictions have the keys and quantile levels of pr, whose rows it does not read.
// ok is false where pr lacks the levels of 80 % and 95 % intervals.
func NewCoverage(pr *backtest.Predictions, model string) (t *CoverageTally, ok bool) {
	l := newLayout(pr.Levels)
	t = &CoverageTally{model: model, keys: pr.Keys, layout: l, bySeries: make([]intervalTally, seriesCount(pr))}
	return t, l.lo95 >= 0 && l.hi95 >= 0 && l.lo80 >= 0 && l.hi80 >= 0
}

// Add takes in the model's rows among those of pr, which has the keys and levels that the tally began with.
func (t *CoverageTally) Add(pr *backtest.Predictions) {
	m := slices.Index(pr.Models, t.model)
	k := len(t.layout.levels)
	for i := range pr.Rows() {
		q := pr.Quantiles[i*k : (i+1)*k]
		if int(pr.Model[i]) != m || math.IsNaN(pr.Actual[i]) || math.IsNaN(pr.Forecast[i]) || !complete(q) {
			continue
		}
		if t.rows == 0 || pr.Cutoff[i] < t.first {
			t.first = pr.Cutoff[i]
		}
		t.rows++
		s, h := int(pr.Series[i]), int(pr.Horizon[i])
		for len(t.byHorizon) < h {
			t.byHorizon, t.seen = append(t.byHorizon, intervalTally{}), append(t.seen, make([]bool, len(t.bySeries)))
		}
		t.seen[h-1][s] = true
		t.bySeries[s].row(&t.layout, pr.Actual[i], q)
		t.byHorizon[h-1].row(&t.layout, pr.Actual[i], q)
	}
}

func (t *intervalTally) row(l *layout, y float64, q []float64) {
	lo, hi := q[l.lo95], q[l.hi95]
	t.rows++
	t.sold += math.Abs(y)
	t.width += hi - lo
	if y >= q[l.lo80] && y <= q[l.hi80] {
		t.in80++
	}
	switch {
	case y < lo:
		t.below++
	case y > hi:
		t.above++
	default:
		t.in95++
	}
	if y == 0 {
		t.zeros++
	}
	if lo <= 0 {
		t.floor++
	}
}

func (t *intervalTally) add(o intervalTally) {
	t.rows, t.in80, t.in95, t.below, t.above = t.rows+o.rows, t.in80+o.in80, t.in95+o.in95, t.below+o.below, t.above+o.above
	t.zeros, t.floor, t.width, t.sold = t.zeros+o.zeros, t.floor+o.floor, t.width+o.width, t.sold+o.sold
}

func (t *intervalTally) scores(series int) IntervalScores {
	n := float64(t.rows)
	share := func(k int) Value { return ratio(float64(k), n) }
	return IntervalScores{
		Series: series, Rows: t.rows, Coverage80: share(t.in80), Coverage95: share(t.in95), Below95: share(t.below), Above95: share(t.above),
		Zeros: share(t.zeros), ZeroFloor: share(t.floor), Width95: ratio(t.width, t.sold),
	}
}

// CoverageOf closes the tally with the volumes of the panel that the predictions were made from.
func (t *CoverageTally) CoverageOf(v *Volumes) (*Coverage, error) {
	for s, known := range v.known {
		if !known {
			return nil, fmt.Errorf("measure coverage: predicted series %v is not in the panel", id(t.keys, s))
		}
	}
	out := &Coverage{Model: t.model, ByHorizon: []HorizonCoverage{}, ByClass: []ClassCoverage{}, Class: classify(v.of)}
	byClass, members := map[string]*intervalTally{}, map[string]int{}
	for s := range t.bySeries {
		own := &t.bySeries[s]
		c := out.Class[s]
		out.BySeries = append(out.BySeries, own.scores(min(own.rows, 1)))
		if own.rows == 0 {
			continue
		}
		if byClass[c] == nil {
			byClass[c] = &intervalTally{}
		}
		byClass[c].add(*own)
		members[c]++
	}
	for _, c := range classOrder() {
		if byClass[c] != nil {
			out.ByClass = append(out.ByClass, ClassCoverage{c, byClass[c].scores(members[c])})
		}
	}
	for h := range t.byHorizon {
		n := 0
		for _, seen := range t.seen[h] {
			if seen {
				n++
			}
		}
		out.ByHorizon = append(out.ByHorizon, HorizonCoverage{h + 1, t.byHorizon[h].scores(n)})
	}
	out.OverSeries = overSeries(out.BySeries)
	return out, nil
}

func overSeries(all []IntervalScores) SeriesCoverage {
	out := SeriesCoverage{Chance: 0}
	var shares []float64
	for _, s := range all {
		if s.Rows < minJudged {
			continue
		}
		c := float64(s.Coverage95)
		shares = append(shares, c)
		if c < 0.9 {
			out.Under90++
		}
		// Fewer than nine tenths are held when at most the next whole number below that is.
		most := math.Ceil(0.9*float64(s.Rows)) - 1
		out.Chance += Value(distuv.Binomial{N: float64(s.Rows), P: 0.95}.CDF(most))
	}
	slices.Sort(shares)
	out.Judged = len(shares)
	at := func(q float64) Value {
		if len(shares) == 0 {
			return Value(math.NaN())
		}
		return Value(shares[int(math.Round(q*float64(len(shares)-1)))])
	}
	out.Lowest, out.Tenth, out.Median, out.Ninetieth = at(0), at(0.1), at(0.5), at(0.9)
	return out
}

// The volume classes. Intermittent series sell on so few steps that their mean interval between sales is 1.32 steps or more (Syntetos and
// Boylan, 2005); new ones had not sold at the origin; the others are high, middle or low, a third of them each, by mean sale.
const (
	ClassHigh         = "high"
	ClassMiddle       = "middle"
	ClassLow          = "low"
	ClassIntermittent = "intermittent"
	ClassNew          = "new"

	intermittentInterval = 1.32
)

func classOrder() []string {
	return []string{ClassHigh, ClassMiddle, ClassLow, ClassIntermittent, ClassNew}
}

// Volumes gathers what each series sold up to an origin, from a panel that may come in several parts.
type Volumes struct {
	origin calendar.Day
	index  map[string]int
	known  []bool
	of     []volume
}

// NewVolumes prepares for the series of head.
func NewVolumes(head *backtest.Predictions, origin calendar.Day) *Volumes {
	ids := joinedIDs(head)
	v := &Volumes{origin: origin, index: make(map[string]int, len(ids)), known: make([]bool, len(ids)), of: make([]volume, len(ids))}
	for s, joined := range ids {
		v.index[joined] = s
	}
	return v
}

// Add takes in series; those that the predictions do not have are passed over.
func (v *Volumes) Add(p *panel.Panel) {
	origin := p.Frequency.Floor(v.origin)
	for ps := range p.Series() {
		if s, ok := v.index[joinID(p.Keys, ps)]; ok {
			v.of[s], v.known[s] = volumeOf(p, ps, origin), true
		}
	}
}

// volume is what one series sold: on how many of its rows, and in all.
type volume struct {
	rows, sold int
	sum        float64
}

func volumeOf(p *panel.Panel, s int, origin calendar.Step) (v volume) {
	lo, hi := p.Span(s)
	hi = min(hi, lo+max(0, int(origin)+1-int(p.Start[s])))
	for r := lo; r < hi; r++ {
		y := float64(p.Target[r])
		if !p.Observed[r] || v.rows == 0 && y == 0 {
			continue
		}
		v.rows++
		v.sum += y
		if y != 0 {
			v.sold++
		}
	}
	return v
}

func classify(all []volume) []string {
	out := make([]string, len(all))
	var regular []int
	for s, v := range all {
		switch {
		case v.sold == 0:
			out[s] = ClassNew
		case float64(v.rows) >= intermittentInterval*float64(v.sold):
			out[s] = ClassIntermittent
		default:
			regular = append(regular, s)
		}
	}
	mean := func(s int) float64 { return all[s].sum / float64(all[s].rows) }
	slices.SortStableFunc(regular, func(a, b int) int { return cmp.Compare(mean(b), mean(a)) })
	for i, s := range regular {
		out[s] = classOrder()[3*i/len(regular)]
		if len(regular) < 3 {
			out[s] = ClassMiddle
		}
	}
	return out
}

// WriteCSV writes one row for each step ahead, volume class and series: by, value (the step or class), the keys (of a series), its class,
// and the figures of [IntervalScores]. A figure that is not defined is empty.
func (c *Coverage) WriteCSV(w io.Writer, keys []panel.Key) error {
	out := csv.NewWriter(w)
	head := []string{"by", "value"}
	for _, k := range keys {
		head = append(head, k.Name)
	}
	head = append(head, "volume_class", "series", "rows", "coverage_80", "coverage_95", "below_95", "above_95", "zeros", "zero_floor", "width_95")
	none := make([]string, len(keys))
	row := func(by, value string, id []string, class string, s IntervalScores) error {
		r := append(append([]string{by, value}, id...), class, strconv.Itoa(s.Series), strconv.Itoa(s.Rows))
		for _, v := range []Value{s.Coverage80, s.Coverage95, s.Below95, s.Above95, s.Zeros, s.ZeroFloor, s.Width95} {
			field := ""
			if v.Defined() {
				field = strconv.FormatFloat(float64(v), 'g', -1, 64)
			}
			r = append(r, field)
		}
		return out.Write(r)
	}
	err := out.Write(head)
	for _, h := range c.ByHorizon {
		err = cmp.Or(err, row("horizon", strconv.Itoa(h.Horizon), none, "", h.IntervalScores))
	}
	for _, k := range c.ByClass {
		err = cmp.Or(err, row("volume_class", k.Class, none, k.Class, k.IntervalScores))
	}
	for s, v := range c.BySeries {
		err = cmp.Or(err, row("series", strconv.Itoa(s), id(keys, s), c.Class[s], v))
	}
	out.Flush()
	if err = cmp.Or(err, out.Error()); err != nil {
		return fmt.Errorf("write coverage: %w", err)
	}
	return nil
}
