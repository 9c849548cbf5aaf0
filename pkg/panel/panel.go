package panel

import (
	"math"

	"salescast/pkg/calendar"
)

// Role says what a forecast may know of a covariate.
type Role uint8

const (
	// KnownFuture is planned or calendar: it may be read up to the end of the horizon.
	KnownFuture Role = iota + 1
	// PastOnly is observed: it must never be read after the forecast origin.
	PastOnly
	// Stockout is a flag of a source, not a covariate of a panel: a value other than 0 says that the shelf was empty, so that the sale is
	// less than what was asked for. What would have been sold is unknown: such rows are not observed, and their Target is NaN.
	Stockout
)

// Covariate is one numeric column beside the target.
type Covariate struct {
	Name string
	Role Role
	// Values has one value per row of the panel; NaN is unknown.
	Values []float32
}

// Key is one column of the series id, for example the store: its name and, per series, a code into Levels.
type Key struct {
	Name string
	// Levels are the distinct values, sorted, so that codes do not depend on the order of the rows.
	Levels []string
	// Codes has one code per series.
	Codes []int32
}

// Panel is many series on one regular grid.
//
// Rows of series s are Offsets[s] to Offsets[s+1]-1; the row Offsets[s]+i is the step Start[s]+i. Series are sorted by their keys'
// values. A series begins with its first observed sale and its rows may go on after its last one: those rows are the plan, known
// covariates without a sale.
//
// A Panel is read-only once built; slices of it share its memory.
type Panel struct {
	Frequency calendar.Frequency
	Keys      []Key
	// Static has per-series attributes that are not part of the id, coded like keys.
	Static  []Key
	Start   []calendar.Step
	Offsets []int
	// Target is the sale of each row; NaN is unknown: not yet sold, or missing by policy.
	Target []float32
	// Observed is true where the row stood in the data with a sale; a filled gap has a Target and is not observed.
	// Rows that are not observed are never scored and never a training target.
	Observed   []bool
	Covariates []Covariate
	// EndedAfter is the policy of [Panel.Ended]: the number of steps without a sale after which a series has ended; 0 looks at the series'
	// own past, and below 0 none ever ends.
	EndedAfter int
}

// Series returns the number of series.
func (p *Panel) Series() int { return len(p.Start) }

// Rows returns the number of rows of all series.
func (p *Panel) Rows() int { return len(p.Target) }

// Span returns the half-open range of rows of series s.
func (p *Panel) Span(s int) (lo, hi int) { return p.Offsets[s], p.Offsets[s+1] }

// Row returns the row of series s at a step; ok is false where the series has none.
func (p *Panel) Row(s int, at calendar.Step) (row int, ok bool) {
	i := int(at) - int(p.Start[s])
	if i < 0 || i >= p.Offsets[s+1]-p.Offsets[s] {
		return 0, false
	}
	return p.Offsets[s] + i, true
}

// ID returns the key values of series s, in the order of Keys.
func (p *Panel) ID(s int) []string {
	id := make([]string, len(p.Keys))
	for k := range p.Keys {
		id[k] = p.Keys[k].Levels[p.Keys[k].Codes[s]]
	}
	return id
}

// LastObserved returns the last step of series s with an observed sale; ok is false if it has none.
func (p *Panel) LastObserved(s int) (at calendar.Step, ok bool) {
	lo, hi := p.Span(s)
	for r := hi - 1; r >= lo; r-- {
		if p.Observed[r] {
			return p.Start[s] + calendar.Step(r-lo), true
		}
	}
	return 0, false
}

// End returns the last step at which any series has an observed sale: the natural forecast origin. ok is false for a panel without sales.
func (p *Panel) End() (at calendar.Step, ok bool) {
	for s := range p.Start {
		if e, o := p.LastObserved(s); o && (!ok || e > at) {
			at, ok = e, true
		}
	}
	return at, ok
}

// Slice returns series lo to hi-1 as a panel that shares p's columns; key levels stay those of the whole panel.
func (p *Panel) Slice(lo, hi int) *Panel {
	a, b := p.Offsets[lo], p.Offsets[hi]
	q := &Panel{Frequency: p.Frequency, EndedAfter: p.EndedAfter, Start: p.Start[lo:hi], Target: p.Target[a:b], Observed: p.Observed[a:b]}
	q.Offsets = make([]int, hi-lo+1)
	for i := range q.Offsets {
		q.Offsets[i] = p.Offsets[lo+i] - a
	}
	for _, k := range p.Keys {
		q.Keys = append(q.Keys, Key{Name: k.Name, Levels: k.Levels, Codes: k.Codes[lo:hi]})
	}
	for _, k := range p.Static {
		q.Static = append(q.Static, Key{Name: k.Name, Levels: k.Levels, Codes: k.Codes[lo:hi]})
	}
	for _, c := range p.Covariates {
		q.Covariates = append(q.Covariates, Covariate{Name: c.Name, Role: c.Role, Values: c.Values[a:b]})
	}
	return q
}

// Pick returns a copy of some series, in their order; key levels stay those of the whole panel.
func (p *Panel) Pick(series []int) *Panel { return p.PickSteps(series, math.MinInt32, math.MaxInt32) }

// PickSteps is [Panel.Pick] of the rows at the steps from to to alone. A series that has none begins at from, with no row.
func (p *Panel) PickSteps(series []int, from, to calendar.Step) *Panel {
	q := &Panel{Frequency: p.Frequency, EndedAfter: p.EndedAfter, Offsets: []int{0}}
	codes := func(ks []Key) []Key {
		out := make([]Key, len(ks))
		for i, k := range ks {
			out[i] = Key{Name: k.Name, Levels: k.Levels, Codes: make([]int32, len(series))}
			for j, s := range series {
				out[i].Codes[j] = k.Codes[s]
			}
		}
		return out
	}
	q.Keys, q.Static = codes(p.Keys), codes(p.Static)
	for _, c := range p.Covariates {
		q.Covariates = append(q.Covariates, Covariate{Name: c.Name, Role: c.Role})
	}
	for _, s := range series {
		lo, hi := p.Span(s)
		start := max(p.Start[s], from)
		hi = max(lo, min(hi, lo+int(int64(to)-int64(p.Start[s])+1)))
		lo = min(hi, lo+int(start-p.Start[s]))
		q.Start = append(q.Start, start)
		q.Target, q.Observed = append(q.Target, p.Target[lo:hi]...), append(q.Observed, p.Observed[lo:hi]...)
		for c := range q.Covariates {
			q.Covariates[c].Values = append(q.Covariates[c].Values, p.Covariates[c].Values[lo:hi]...)
		}
		q.Offsets = append(q.Offsets, len(q.Target))
	}
	return q
}
