package metric

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"

	"salescast/pkg/backtest"
	"salescast/pkg/calendar"
)

// Contender is one model of a set of predictions.
type Contender struct {
	Predictions *backtest.Predictions
	Model       string
}

// Interval is a central 95 % confidence interval; NaN where there is too little to say.
type Interval struct {
	Low  Value `json:"low"`
	High Value `json:"high"`
}

// Comparison says how much lower or higher the WAPE of a candidate is than that of a reference on the very same sales.
type Comparison struct {
	// Rows and Series are those that both predicted and that were sold; Wins is the number of series in which the candidate errs less.
	Rows   int `json:"rows"`
	Series int `json:"series"`
	Wins   int `json:"wins"`
	// Candidate and Reference are the WAPE of each; Difference is Candidate - Reference, negative where the candidate is better.
	Candidate  Value `json:"candidate"`
	Reference  Value `json:"reference"`
	Difference Value `json:"difference"`
	// BySeries is the interval of Difference from a bootstrap that draws whole series: would other articles of this kind say the same?
	BySeries Interval `json:"by_series"`
	// ByDate is the interval of Difference from its spread over dates (Diebold and Mariano, 1995, with the small-sample correction of
	// Harvey, Leybourne and Newbold, 1997): would other days say the same?
	ByDate Interval `json:"by_date"`
}

// Better reports whether both intervals lie below zero.
func (c *Comparison) Better() bool { return c.BySeries.High < 0 && c.ByDate.High < 0 }

// bootstrapDraws makes the ends of a 95 % interval stable to a few hundredths of its width.
const bootstrapDraws = 2000

// Paired compares two contenders over the rows that both have: same series, cutoff and date. The same seed gives the same intervals.
func Paired(candidate, reference Contender, seed uint64) (*Comparison, error) {
	other, err := reference.errors()
	if err != nil {
		return nil, err
	}
	m, err := candidate.model()
	if err != nil {
		return nil, err
	}
	c := candidate.Predictions
	bySeries, byDate := map[int32]pair{}, map[calendar.Day]pair{}
	keys := joinedIDs(c)
	horizon, rows := int32(0), 0
	for i := range c.Rows() {
		if int(c.Model[i]) != m || math.IsNaN(c.Actual[i]) || math.IsNaN(c.Forecast[i]) {
			continue
		}
		r, ok := other[cell{keys[c.Series[i]], c.Cutoff[i], c.Date[i]}]
		if !ok {
			continue
		}
		if r.y != c.Actual[i] {
			return nil, fmt.Errorf("the sale of series %v on %s is %v beside %s and %v beside %s; compare predictions of the same data",
				id(c.Keys, int(c.Series[i])), c.Date[i], c.Actual[i], candidate.Model, r.y, reference.Model)
		}
		d := pair{math.Abs(c.Forecast[i] - r.y), r.abs, math.Abs(r.y)}
		bySeries[c.Series[i]] = bySeries[c.Series[i]].plus(d)
		byDate[c.Date[i]] = byDate[c.Date[i]].plus(d)
		horizon, rows = max(horizon, c.Horizon[i]), rows+1
	}
	return compare(ordered(bySeries), ordered(byDate), rows, int(horizon), seed)
}

func compare(series, dates []pair, rows, horizon int, seed uint64) (*Comparison, error) {
	out := &Comparison{Rows: rows, Series: len(series)}
	var total pair
	for _, s := range series {
		total = total.plus(s)
		if s.candidate < s.reference {
			out.Wins++
		}
	}
	if total.sold == 0 {
		return nil, errors.New("candidate and reference have no sales in common to be compared on")
	}
	out.Candidate, out.Reference = Value(total.candidate/total.sold), Value(total.reference/total.sold)
	out.Difference = Value(total.difference())
	out.BySeries = bootstrap(series, seed)
	out.ByDate = dieboldMariano(dates, total, horizon)
	return out, nil
}

// pair sums the absolute errors of both contenders and the absolute sales.
type pair struct{ candidate, reference, sold float64 }

func (p pair) plus(q pair) pair {
	return pair{p.candidate + q.candidate, p.reference + q.reference, p.sold + q.sold}
}

// difference is that of the two WAPEs.
func (p pair) difference() float64 { return (p.candidate - p.reference) / p.sold }

// ordered returns the values of m by increasing key, so that sums do not depend on the map's order.
func ordered[K cmp.Ordered](m map[K]pair) []pair {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	out := make([]pair, len(keys))
	for i, k := range keys {
		out[i] = m[k]
	}
	return out
}

// cell is what both contenders predicted.
type cell struct {
	series       string
	cutoff, date calendar.Day
}

type miss struct{ abs, y float64 }

func (c Contender) model() (int, error) {
	m := slices.Index(c.Predictions.Models, c.Model)
	if m < 0 {
		return 0, fmt.Errorf("model %q is not among the predictions, which have %v", c.Model, c.Predictions.Models)
	}
	return m, nil
}

// errors returns what the contender missed, by cell.
func (c Contender) errors() (map[cell]miss, error) {
	m, err := c.model()
	if err != nil {
		return nil, err
	}
	p, keys := c.Predictions, joinedIDs(c.Predictions)
	out := map[cell]miss{}
	for i := range p.Rows() {
		if int(p.Model[i]) == m && !math.IsNaN(p.Actual[i]) && !math.IsNaN(p.Forecast[i]) {
			out[cell{keys[p.Series[i]], p.Cutoff[i], p.Date[i]}] = miss{math.Abs(p.Forecast[i] - p.Actual[i]), p.Actual[i]}
		}
	}
	return out, nil
}

// bootstrap is the percentile interval of the difference over resampled series.
func bootstrap(series []pair, seed uint64) Interval {
	if len(series) < 2 {
		return undefined()
	}
	rng := rand.New(rand.NewPCG(seed, 0x70616972)) // "pair"
	draws := make([]float64, 0, bootstrapDraws)
	for range bootstrapDraws {
		var sum pair
		for range series {
			sum = sum.plus(series[rng.IntN(len(series))])
		}
		if sum.sold > 0 {
			draws = append(draws, sum.difference())
		}
	}
	slices.Sort(draws)
	at := func(q float64) Value { return Value(draws[int(q*float64(len(draws)-1)+0.5)]) }
	return Interval{at(0.025), at(0.975)}
}

// dieboldMariano is the interval of the difference from its series over dates, whose autocovariances up to horizon-1 are counted with
// Bartlett's weights, which keep the variance positive.
func dieboldMariano(dates []pair, total pair, horizon int) Interval {
	n := len(dates)
	if n < 8 || horizon >= n {
		return undefined()
	}
	d, mean := make([]float64, n), 0.0
	for i, p := range dates {
		d[i] = p.candidate - p.reference
		mean += d[i] / float64(n)
	}
	variance := 0.0
	for lag := range horizon {
		cov := 0.0
		for i := lag; i < n; i++ {
			cov += (d[i] - mean) * (d[i-lag] - mean) / float64(n)
		}
		if lag == 0 {
			variance += cov
		} else {
			variance += 2 * cov * (1 - float64(lag)/float64(horizon))
		}
	}
	h, fn := float64(horizon), float64(n)
	// HLN's factor is for the rectangular window; it is kept as the more careful choice and never shrinks the interval.
	correction := max((fn+1-2*h+h*(h-1)/fn)/fn, 1/fn)
	se := math.Sqrt(max(variance, 0) / fn / min(correction, 1))
	half := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: fn - 1}.Quantile(0.975) * se
	perSale := fn / total.sold // from errors per date to a difference of WAPE
	return Interval{Value((mean - half) * perSale), Value((mean + half) * perSale)}
}

func undefined() Interval { return Interval{Value(math.NaN()), Value(math.NaN())} }
