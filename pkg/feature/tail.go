package feature

import (
	"fmt"
	"slices"
	"strings"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

// Tail is the bounded memory of every series at an origin: what Plan.Restore needs to give, for that origin and later ones, the very
// features that the whole history gives. Its size does not grow with the length of the history.
type Tail struct {
	// Origin is the last step that is known; rows of earlier origins cannot be filled from a tail.
	Origin calendar.Step
	// Panel has the last Plan.Lookback rows of every series up to the origin, none where a series ended longer ago.
	Panel *panel.Panel
	// Carry has one entry per series: what its steps before those rows add up to.
	Carry []Carry
	// Totals are of the groups that the plan's columns read; empty where none reads other series.
	Totals []Total
	// TotalsFirst is the first step of the panel as a whole, TotalsFrom the step before which the first of each total's sums lies.
	TotalsFirst, TotalsFrom calendar.Step
}

// Carry is what a series' past adds up to before the first row that a tail holds. Starting from the very sums, not from their
// differences, gives the very bits that the whole history gives.
type Carry struct {
	// Start is the first step of the series.
	Start calendar.Step
	// Sum and Squares are the sums of the observed sales and of their squares, Count and Zeros how many there are and how many are 0.
	Sum, Squares float64
	Count, Zeros int32
	// EWM holds the exponentially weighted means.
	EWM [2]float32
}

// Total is the prefix sums of one division of the series: the panel, or the groups of a key or attribute.
type Total struct {
	// Key is the name of the key or attribute, empty for the whole panel.
	Key string
	// Before has, for each level of the key in the order of its Levels, the sales before the steps TotalsFrom to Origin+1.
	Before []float64
}

func (c Carry) sums() sums {
	return sums{sum: c.Sum, squares: c.Squares, count: c.Count, zeros: c.Zeros, ewm: c.EWM}
}

// minEnd is the least index after the origin for which a series of a restored state holds all that the plan reads.
func (st *State) minEnd(s int32) int { return int(st.held[s]) + st.plan.lookback }

// Tail cuts the memory down to what origins from origin on need. The state must not be a fork.
func (st *State) Tail(origin calendar.Step) (*Tail, error) {
	if st.fork != nil {
		return nil, fmt.Errorf("cut the state at step %d: it is a fork", origin)
	}
	t := &Tail{Origin: origin}
	p := st.panel
	q := &panel.Panel{Frequency: p.Frequency, Offsets: []int{0}}
	for _, k := range p.Keys {
		q.Keys = append(q.Keys, panel.Key{Name: k.Name, Levels: k.Levels, Codes: slices.Clone(k.Codes)})
	}
	for _, k := range p.Static {
		q.Static = append(q.Static, panel.Key{Name: k.Name, Levels: k.Levels, Codes: slices.Clone(k.Codes)})
	}
	for _, c := range p.Covariates {
		q.Covariates = append(q.Covariates, panel.Covariate{Name: c.Name, Role: c.Role})
	}
	for s := range p.Series() {
		held, n := int(st.held[s]), int(st.n[s])
		end := int(origin) + 1 - int(st.start[s])
		if end > 0 && held > 0 && end < st.minEnd(int32(s)) {
			return nil, fmt.Errorf("cut the state at step %d: of series %v it holds too little before that step", origin, p.ID(s))
		}
		to := max(held, min(n, end))
		from := min(to, max(held, end-st.plan.lookback))
		a := st.sums[st.off[s]+from-held]
		t.Carry = append(t.Carry, Carry{Start: st.start[s], Sum: a.sum, Squares: a.squares, Count: a.count, Zeros: a.zeros, EWM: a.ewm})
		lo := p.Offsets[s] + from - held
		hi := p.Offsets[s] + to - held
		q.Start = append(q.Start, st.start[s]+calendar.Step(from))
		q.Target, q.Observed = append(q.Target, p.Target[lo:hi]...), append(q.Observed, p.Observed[lo:hi]...)
		for k := range q.Covariates {
			q.Covariates[k].Values = append(q.Covariates[k].Values, p.Covariates[k].Values[lo:hi]...)
		}
		q.Offsets = append(q.Offsets, len(q.Target))
	}
	t.Panel = q
	st.tailPool(t)
	return t, nil
}

func (st *State) tailPool(t *Tail) {
	pool := st.pool
	if pool == nil {
		return
	}
	end := int(t.Origin-pool.first) + 1
	from := max(pool.from, end-st.plan.lookback)
	t.TotalsFirst, t.TotalsFrom = pool.first, pool.first+calendar.Step(from)
	for i, g := range pool.groups {
		total := Total{}
		if g.key > 0 {
			total.Key = st.plan.keyAt(g.key).Name
		}
		for l := range g.levels {
			for at := from; at <= end; at++ {
				total.Before = append(total.Before, st.poolBefore(i, l, at))
			}
		}
		t.Totals = append(t.Totals, total)
	}
}

// Restore makes a state from a tail and what is known beyond its origin: future has later rows of the same series, found by their
// keys, with the plan of known-future covariates and whatever was sold since; nil where nothing is. The rows of a series must follow
// its tail's without a hole, a series that the tail does not know is left out.
func (p *Plan) Restore(t *Tail, future *panel.Panel) (*State, error) {
	if err := p.fits(t.Panel); err != nil {
		return nil, err
	}
	whole, err := extend(t, future)
	if err != nil {
		return nil, fmt.Errorf("restore features: %w", err)
	}
	var pool *Pool
	if p.UsesPool() {
		if pool, err = p.restorePool(t, whole); err != nil {
			return nil, fmt.Errorf("restore features: %w", err)
		}
	}
	return p.newState(whole, pool, t.Carry)
}

// extend appends the rows of future to those of the tail, series by series.
func extend(t *Tail, future *panel.Panel) (*panel.Panel, error) {
	p := t.Panel
	q := &panel.Panel{Frequency: p.Frequency, Keys: p.Keys, Static: p.Static, Start: slices.Clone(p.Start), Offsets: []int{0}}
	for _, c := range p.Covariates {
		q.Covariates = append(q.Covariates, panel.Covariate{Name: c.Name, Role: c.Role})
	}
	at := map[string]int{}
	if future != nil {
		if len(future.Covariates) != len(p.Covariates) || future.Frequency != p.Frequency {
			return nil, fmt.Errorf("the later rows have another frequency or %d covariates, the earlier ones %d", len(future.Covariates), len(p.Covariates))
		}
		for s := range future.Series() {
			at[strings.Join(future.ID(s), "\x00")] = s
		}
	}
	take := func(from *panel.Panel, lo, hi int) {
		q.Target, q.Observed = append(q.Target, from.Target[lo:hi]...), append(q.Observed, from.Observed[lo:hi]...)
		for k := range q.Covariates {
			q.Covariates[k].Values = append(q.Covariates[k].Values, from.Covariates[k].Values[lo:hi]...)
		}
	}
	for s := range p.Series() {
		lo, hi := p.Span(s)
		take(p, lo, hi)
		if f, ok := at[strings.Join(p.ID(s), "\x00")]; ok {
			next := p.Start[s] + calendar.Step(hi-lo)
			a, b := future.Span(f)
			skip := int(next - future.Start[f])
			if skip < 0 {
				return nil, fmt.Errorf("series %v goes on at step %d, its known rows end before step %d", p.ID(s), future.Start[f], next)
			}
			take(future, min(a+skip, b), b)
		}
		q.Offsets = append(q.Offsets, len(q.Target))
	}
	return q, nil
}

// restorePool takes the sums up to the tail's origin from the tail and sums up what follows.
func (p *Plan) restorePool(t *Tail, whole *panel.Panel) (*Pool, error) {
	last := t.Origin
	for s := range whole.Series() {
		lo, hi := whole.Span(s)
		last = max(last, whole.Start[s]+calendar.Step(hi-lo-1))
	}
	pool := &Pool{first: t.TotalsFirst, from: int(t.TotalsFrom - t.TotalsFirst), steps: int(last-t.TotalsFirst) + 1}
	p.beginPool(pool, whole)
	if len(t.Totals) != len(pool.groups) {
		return nil, fmt.Errorf("the tail has totals of %d divisions, the plan reads %d", len(t.Totals), len(pool.groups))
	}
	if err := pool.add(whole); err != nil {
		return nil, err
	}
	held := int(t.Origin-t.TotalsFrom) + 2
	for i, g := range pool.groups {
		if len(t.Totals[i].Before) != g.levels*held {
			return nil, fmt.Errorf("the tail's totals of %q do not fit its %d levels", t.Totals[i].Key, g.levels)
		}
		for l := range g.levels {
			row := pool.row(i, l)
			copy(row, t.Totals[i].Before[l*held:(l+1)*held])
			for k := held; k < len(row); k++ {
				row[k] += row[k-1]
			}
		}
	}
	pool.average()
	return pool, nil
}
