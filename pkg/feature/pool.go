package feature

import (
	"fmt"
	"iter"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

// Pool holds what features read of other series: the observed sales per step of the panel and of every group of series that shares a
// key or an attribute, as prefix sums, and the mean of known-future covariates over the series of one level of the first key.
// It is read-only and safe for concurrent use. Sums run in the order of the series.
type Pool struct {
	first  calendar.Step
	from   int // index of the first step whose sales are held: 0 unless restored from a tail
	steps  int // index after the last step
	groups []poolGroup
	means  []poolMean
	sealed *seal
}

// poolGroup holds prefix sums of one division of the series: row g begins with the sales of group g before step first+from.
type poolGroup struct {
	key    int // 0 is the whole panel, then keys and static attributes
	levels int
	prefix []float64
}

// poolMean holds the mean of one covariate over the series of each level of the first key: value[g*(steps-from)+i-from].
type poolMean struct {
	covariate int
	value     []float64
	count     []int32 // only while it is summed up
}

// groupKeys returns the divisions of the series that the plan's columns read; the first is always the whole panel.
func (p *Plan) groupKeys() []int {
	keys := []int{0}
	d := &p.schema
	for i := range len(d.Keys) + len(d.Static) {
		if n := len(p.keyAt(i + 1).Levels); n > 1 && n < d.Series {
			keys = append(keys, i+1)
		}
	}
	return keys
}

// keyAt counts the whole panel as 0, then the keys, then the static attributes.
func (p *Plan) keyAt(i int) Key {
	if i <= len(p.schema.Keys) {
		return p.schema.Keys[i-1]
	}
	return p.schema.Static[i-1-len(p.schema.Keys)]
}

func panelKeyAt(pn *panel.Panel, i int) panel.Key {
	if i <= len(pn.Keys) {
		return pn.Keys[i-1]
	}
	return pn.Static[i-1-len(pn.Keys)]
}

// UsesPool says whether any column reads other series, so that batches need the pool of the whole panel.
func (p *Plan) UsesPool() bool { return p.needs&needsPool != 0 }

// Pool sums up a whole panel.
func (p *Plan) Pool(pn *panel.Panel) *Pool {
	var first, last calendar.Step
	for s := range pn.Series() {
		lo, hi := pn.Span(s)
		a, b := pn.Start[s], pn.Start[s]+calendar.Step(hi-lo-1)
		if s == 0 {
			first, last = a, b
		}
		first, last = min(first, a), max(last, b)
	}
	pool, err := p.PoolBatches(first, last, func(yield func(*panel.Panel, error) bool) { yield(pn, nil) })
	if err != nil {
		panic(err) // the span was taken from the panel itself
	}
	return pool
}

// PoolBatches sums up a panel that comes in batches of whole series whose rows lie between the steps first and last.
func (p *Plan) PoolBatches(first, last calendar.Step, batches iter.Seq2[*panel.Panel, error]) (*Pool, error) {
	pool := &Pool{first: first, steps: int(last-first) + 1}
	begun := false
	for pn, err := range batches {
		if err != nil {
			return nil, fmt.Errorf("sum up the panel: %w", err)
		}
		if !begun {
			begun = true
			p.beginPool(pool, pn)
		}
		if err := pool.add(pn); err != nil {
			return nil, err
		}
	}
	pool.seal()
	return pool, nil
}

func (p *Plan) beginPool(pool *Pool, pn *panel.Panel) {
	for _, k := range p.groupKeys() {
		n := 1
		if k > 0 {
			n = len(panelKeyAt(pn, k).Levels)
		}
		pool.groups = append(pool.groups, poolGroup{key: k, levels: n, prefix: make([]float64, n*(pool.held()+1))})
	}
	if len(p.schema.Keys) == 0 {
		return
	}
	n := len(pn.Keys[0].Levels) * pool.held()
	for i, c := range p.schema.Covariates {
		if c.Known && c.Varies && len(p.schema.Keys[0].Levels) < p.schema.Series {
			pool.means = append(pool.means, poolMean{covariate: i, value: make([]float64, n), count: make([]int32, n)})
		}
	}
}

// held is the number of steps whose sales are held.
func (pool *Pool) held() int { return pool.steps - pool.from }

// row is the prefix sums of level l of the i-th division.
func (pool *Pool) row(i, l int) []float64 {
	n := pool.held() + 1
	return pool.groups[i].prefix[l*n : (l+1)*n]
}

func (pool *Pool) add(pn *panel.Panel) error {
	for s := range pn.Series() {
		lo, hi := pn.Span(s)
		at := int(pn.Start[s]-pool.first) - pool.from
		if lo == hi {
			continue
		}
		if at < 0 || at+hi-lo > pool.held() {
			return fmt.Errorf("sum up the panel: series %v has rows outside of the steps %d to %d", pn.ID(s), int(pool.first)+pool.from, int(pool.first)+pool.steps-1)
		}
		for i, g := range pool.groups {
			level := 0
			if g.key > 0 {
				level = int(panelKeyAt(pn, g.key).Codes[s])
			}
			row := pool.row(i, level)[at+1:]
			for r := lo; r < hi; r++ {
				if pn.Observed[r] && pn.Target[r] == pn.Target[r] {
					row[r-lo] += float64(pn.Target[r])
				}
			}
		}
		for _, m := range pool.means {
			base := int(pn.Keys[0].Codes[s])*pool.held() + at
			for r, v := range pn.Covariates[m.covariate].Values[lo:hi] {
				if v == v {
					m.value[base+r] += float64(v)
					m.count[base+r]++
				}
			}
		}
	}
	return nil
}

func (pool *Pool) seal() {
	for i, g := range pool.groups {
		for l := range g.levels {
			row := pool.row(i, l)
			for k := 1; k < len(row); k++ {
				row[k] += row[k-1]
			}
		}
	}
	pool.average()
}

// average turns the sums of covariates into means, NaN where no series has a value.
func (pool *Pool) average() {
	for i := range pool.means {
		m := &pool.means[i]
		for j, n := range m.count {
			m.value[j] /= float64(n)
		}
		m.count = nil
	}
}

// poolFork holds the prefix sums after the origin of a fork: levels x steps per group.
type poolFork struct {
	prefix [][]float64
	totals []float64
}

func (pool *Pool) fork(steps int) *poolFork {
	f := &poolFork{}
	most := 0
	for _, g := range pool.groups {
		f.prefix = append(f.prefix, make([]float64, g.levels*steps))
		most = max(most, g.levels)
	}
	f.totals = make([]float64, most)
	return f
}

// append sums up the values that a fork got as its k-th step.
func (f *poolFork) append(st *State, k int) {
	steps := st.fork.steps
	for i, g := range st.pool.groups {
		clear(f.totals)
		var codes []int32
		if g.key > 0 {
			codes = panelKeyAt(st.panel, g.key).Codes
		}
		for s := range st.panel.Series() {
			y := st.fork.y[s*steps+k]
			if y != y {
				continue
			}
			if codes != nil {
				f.totals[codes[s]] += float64(y)
			} else {
				f.totals[0] += float64(y)
			}
		}
		for l := range g.levels {
			f.prefix[i][l*steps+k] = st.poolBefore(i, l, int(st.fork.origin-st.pool.first)+1+k) + f.totals[l]
		}
	}
}

// poolBefore is the sales of level l of the i-th division before the pool's step index at.
func (st *State) poolBefore(i, l, at int) float64 {
	pool := st.pool
	if pool.sealed != nil {
		return pool.groups[i].prefix[l*(pool.sealed.sales+1)+max(0, min(at, pool.sealed.sales))]
	}
	if f := st.fork; f != nil {
		origin := int(f.origin-pool.first) + 1
		if k := min(at-origin, f.appended); k > 0 {
			return f.pool.prefix[i][l*f.steps+k-1]
		}
		at = min(at, origin)
	}
	return pool.groups[i].prefix[l*(pool.held()+1)+max(0, min(at, pool.steps)-pool.from)]
}

// trendOp is the recent sales of a division's group per step against its level.
func trendOp(key int) op {
	return func(b *block, dst []float32) {
		st := b.st
		g := &st.plan.grid
		recent, level := g.windows[0], 2*g.base
		i, codes := st.division(key)
		for r := range dst {
			c := &b.cur[r]
			l := 0
			if codes != nil {
				l = int(codes[c.series])
			}
			v := missing
			if end := st.poolEnd(c); end >= level && l < st.pool.groups[i].levels {
				now := st.poolBefore(i, l, end)
				v = (now - st.poolBefore(i, l, end-recent)) / float64(recent)
				v /= max((now-st.poolBefore(i, l, end-level))/float64(level), 1e-9)
			}
			dst[r] = float32(v)
		}
	}
}

// division finds the pool's division of a key and the codes of the series in it; nil codes are the whole panel.
func (st *State) division(key int) (i int, codes []int32) {
	for i, g := range st.pool.groups {
		if g.key == key {
			if key == 0 {
				return i, nil
			}
			return i, panelKeyAt(st.panel, key).Codes
		}
	}
	return 0, nil
}

// panelYearOp is the sales of the panel per step around the target's date last year against its level before last year's origin.
func panelYearOp(b *block, dst []float32) {
	st := b.st
	g := &st.plan.grid
	for r := range dst {
		c := &b.cur[r]
		v := missing
		end := c.global + c.end
		from := c.global + c.target - g.year - g.panelNear
		last := st.poolLast(end)
		to := min(from+2*g.panelNear+1, last)
		then := end - g.year
		if from >= 0 && to > from && then-g.base >= 0 && then <= last {
			level := (st.poolBefore(0, 0, then) - st.poolBefore(0, 0, then-g.base)) / float64(g.base)
			if level > 0 {
				v = (st.poolBefore(0, 0, to) - st.poolBefore(0, 0, from)) / float64(to-from) / max(level, 1e-9)
			}
		}
		dst[r] = float32(v)
	}
}
