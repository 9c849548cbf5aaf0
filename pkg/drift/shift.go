package drift

import (
	"fmt"
	"math"
	"slices"

	"salescast/pkg/calendar"
	"salescast/pkg/metric"
	"salescast/pkg/panel"
)

const (
	// cells is the number of quantiles of the history at which distributions are compared.
	cells = 256
	// maxSample bounds the values that those quantiles are found from.
	maxSample = 1 << 20
	// bins is the number of bins of PSI, as it is customary, and without a limit of their own two distributions of 10 bins are the same
	// below 0.1 and others above 0.2 (Siddiqi, Credit Risk Scorecards, 2006).
	bins = 10
	// MinPrecedents is the number of earlier windows below which nothing is said of the latest: it would be the farthest of all too often.
	MinPrecedents = 10
)

// Shift says how far the values of a column in the latest window are from those of the history. Values are relative to the mean size of
// their series' values in the history, so that large series and small ones count alike; series that the history lacks are left out.
type Shift struct {
	Column string `json:"column"`
	// Rows is the number of values in the window; Missing and PastMissing are the shares that are unknown, there and in the history.
	Rows        int          `json:"rows"`
	Missing     metric.Value `json:"missing"`
	PastMissing metric.Value `json:"past_missing"`
	// KS is the largest difference of the two distribution functions (Kolmogorov and Smirnov), taken at 256 quantiles of the history. PSI is
	// the population stability index over the deciles of the history and one more bin for what is unknown.
	KS  metric.Value `json:"ks"`
	PSI metric.Value `json:"psi"`
	// PastKS and PastPSI are the largest of Precedents windows of the history of the same length, each against the rest of the history.
	PastKS     metric.Value `json:"past_ks"`
	PastPSI    metric.Value `json:"past_psi"`
	Precedents int          `json:"precedents"`
}

// Compare tells how far each column of p in the window's last block is from the history up to the step that was learned until, and how many
// of p's series the history lacks. The columns are the target, by the name that is given, and the covariates that both have. A Shift without
// any value in the history or the block has NaN.
func (w Window) Compare(history, p *panel.Panel, target string) (shifts []Shift, unknown int) {
	c := comparison{history: history, p: p, series: places(history, p), end: w.Learned, from: w.End - calendar.Step(w.Steps), to: w.End}
	for _, at := range c.series {
		if at < 0 {
			unknown++
		}
	}
	shifts = append(shifts, c.shift(target, history.Target, p.Target))
	for _, mine := range p.Covariates {
		for _, past := range history.Covariates {
			if past.Name == mine.Name {
				shifts = append(shifts, c.shift(mine.Name, past.Values, mine.Values))
			}
		}
	}
	return shifts, unknown
}

// Finding is what a shift means: nothing within the limits, or within what the history did by itself.
func (s Shift) Finding(l Limits) (Finding, bool) {
	if s.Precedents < MinPrecedents {
		return Finding{}, false
	}
	f := Finding{Check: "shift", Column: s.Column, Severity: Watch}
	switch {
	case float64(s.KS) > max(l.KS, float64(s.PastKS)):
		f.Value, f.Reference, f.Limit = s.KS, s.PastKS, metric.Value(max(l.KS, float64(s.PastKS)))
		f.Message = fmt.Sprintf("the values of %s are further from those of the history than in each of %d windows before: a distance of distributions (KS) of %.2f, at most %.2f then", s.Column, s.Precedents, float64(s.KS), float64(s.PastKS))
	case float64(s.PSI) > max(l.PSI, float64(s.PastPSI)):
		f.Value, f.Reference, f.Limit = s.PSI, s.PastPSI, metric.Value(max(l.PSI, float64(s.PastPSI)))
		f.Message = fmt.Sprintf("the values of %s are further from those of the history than in each of %d windows before: a stability index (PSI) of %.2f, at most %.2f then; %.0f %% are missing, and %.0f %% were", s.Column, s.Precedents, float64(s.PSI), float64(s.PastPSI), 100*float64(s.Missing), 100*float64(s.PastMissing))
	default:
		return Finding{}, false
	}
	return f, true
}

// comparison is of the steps after from and up to to of p with the history up to its end.
type comparison struct {
	history, p    *panel.Panel
	series        []int // of p in history; -1 for none
	end, from, to calendar.Step
}

// histogram counts values by cell, the last of which is of what is unknown.
type histogram [cells + 2]int

func (x comparison) shift(name string, past, now []float32) Shift {
	sizes := x.sizes(past)
	edges := x.edges(past, sizes)
	all, earlier := x.count(edges, past, sizes)
	var latest histogram
	for s, h := range x.series {
		if h < 0 {
			continue
		}
		for at := x.from + 1; at <= x.to; at++ {
			if r, ok := x.p.Row(s, at); ok {
				latest[cellOf(edges, now[r], sizes[h])]++
			}
		}
	}
	out := Shift{Column: name, PastKS: nan(), PastPSI: nan()}
	coarse := coarser(&all)
	out.KS, out.PSI = distance(&all, &latest, coarse)
	out.Rows, out.Missing = latest.rows()
	_, out.PastMissing = all.rows()
	for _, h := range earlier {
		rest := all
		for c := range rest {
			rest[c] -= h[c]
		}
		ks, psi := distance(&rest, h, coarse)
		if !ks.Defined() {
			continue
		}
		out.Precedents++
		out.PastKS, out.PastPSI = larger(out.PastKS, ks), larger(out.PastPSI, psi)
	}
	return out
}

// count are the values of the history, in all and by window of its own, counted back from its end. A window that the history begins within
// is none.
func (x comparison) count(edges []float64, values []float32, sizes []float64) (all histogram, earlier []*histogram) {
	length := int(x.to - x.from)
	first := x.end
	for _, start := range x.history.Start {
		first = min(first, start)
	}
	for range (int(x.end-first) + 1) / length {
		earlier = append(earlier, &histogram{})
	}
	for s, start := range x.history.Start {
		lo, hi := x.history.Span(s)
		for r := lo; r < hi; r++ {
			back := int(x.end-start) - (r - lo) // 0 at the end
			if back < 0 {
				break
			}
			c := cellOf(edges, values[r], sizes[s])
			all[c]++
			if k := back / length; k < len(earlier) {
				earlier[k][c]++
			}
		}
	}
	return all, earlier
}

func nan() metric.Value { return metric.Value(math.NaN()) }

func larger(a, b metric.Value) metric.Value {
	if a.Defined() && a > b {
		return a
	}
	return b
}

// sizes are the mean sizes of each series' values in the history; 1 where they are all zero or unknown.
func (x comparison) sizes(values []float32) []float64 {
	out := make([]float64, x.history.Series())
	for s := range out {
		lo, hi := x.history.Span(s)
		hi = min(hi, lo+max(0, int(x.end-x.history.Start[s])+1))
		sum, n := 0.0, 0
		for _, v := range values[lo:hi] {
			if v == v {
				sum += math.Abs(float64(v))
				n++
			}
		}
		if out[s] = 1; sum > 0 {
			out[s] = sum / float64(n)
		}
	}
	return out
}

// edges are the distinct values at the quantiles of the history, increasing: upper ends of cells.
func (x comparison) edges(values []float32, sizes []float64) []float64 {
	stride := max(1, x.history.Rows()/maxSample)
	var sample []float64
	for s := range x.history.Series() {
		lo, hi := x.history.Span(s)
		hi = min(hi, lo+max(0, int(x.end-x.history.Start[s])+1))
		for r := lo; r < hi; r++ {
			if v := values[r]; v == v && scattered(r)%uint64(stride) == 0 {
				sample = append(sample, float64(v)/sizes[s])
			}
		}
	}
	slices.Sort(sample)
	if len(sample) == 0 {
		return nil
	}
	edges := make([]float64, 0, cells)
	for i := range cells {
		edges = append(edges, sample[(i+1)*len(sample)/cells-min(1, (i+1)*len(sample)/cells)])
	}
	return slices.Compact(edges)
}

// scattered spreads row numbers, so that one in a few is not always the same day of the week (Fibonacci hashing, Knuth, TAOCP 6.4).
func scattered(row int) uint64 { return uint64(row) * 0x9E3779B97F4A7C15 >> 32 }

// cellOf is the place of a value: that of the first edge that it does not pass, the one after the last edge, or that of what is unknown.
func cellOf(edges []float64, v float32, size float64) int {
	if v != v {
		return cells + 1
	}
	c, _ := slices.BinarySearch(edges, float64(v)/size)
	return c
}

// rows is the number of values and the share of them that are unknown.
func (h *histogram) rows() (n int, missing metric.Value) {
	for _, c := range h {
		n += c
	}
	return n, metric.Value(float64(h[cells+1]) / float64(n))
}

// coarser gives each cell its bin of PSI: tenths of the history, the last bin that of what is unknown.
func coarser(all *histogram) [cells + 2]int {
	var out [cells + 2]int
	known := 0
	for _, c := range all[:cells+1] {
		known += c
	}
	before := 0
	for c := range cells + 1 {
		out[c] = min(bins-1, bins*before/max(1, known))
		before += all[c]
	}
	out[cells+1] = bins
	return out
}

// distance is KS and PSI of a sample from a reference; NaN where either is empty.
func distance(reference, sample *histogram, coarse [cells + 2]int) (ks, psi metric.Value) {
	known, sampled := 0, 0
	for c := range cells + 1 {
		known += reference[c]
		sampled += sample[c]
	}
	all, rows := known+reference[cells+1], sampled+sample[cells+1]
	if all == 0 || rows == 0 {
		return nan(), nan()
	}
	if ks = nan(); known > 0 && sampled > 0 {
		ks = 0
		a, b := 0, 0
		for c := range cells + 1 {
			a += reference[c]
			b += sample[c]
			ks = max(ks, metric.Value(math.Abs(float64(a)/float64(known)-float64(b)/float64(sampled))))
		}
	}
	var p, q [bins + 1]float64
	for c := range reference {
		p[coarse[c]] += float64(reference[c])
		q[coarse[c]] += float64(sample[c])
	}
	for i := range p {
		if p[i]+q[i] == 0 {
			continue
		}
		// Half a value more in each bin keeps the logarithm finite.
		a, b := (p[i]+0.5)/(float64(all)+0.5*(bins+1)), (q[i]+0.5)/(float64(rows)+0.5*(bins+1))
		psi += metric.Value((b - a) * math.Log(b/a))
	}
	return ks, psi
}
