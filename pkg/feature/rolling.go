package feature

import (
	"cmp"
	"slices"

	"salescast/pkg/calendar"
)

// orderStat is a statistic that prefix sums cannot give: it is rolled along every series when a state is made.
type orderStat struct {
	kind   orderKind
	window int
}

type orderKind uint8

const (
	rollMin orderKind = iota + 1
	rollMax
	rollMedian
)

func (a orderStat) compare(b orderStat) int {
	return cmp.Or(cmp.Compare(a.window, b.window), cmp.Compare(a.kind, b.kind))
}

// of takes the statistic from a sorted window.
func (a orderStat) of(sorted []float32) float32 {
	n := len(sorted)
	switch {
	case n == 0:
		return nan32
	case a.kind == rollMin:
		return sorted[0]
	case a.kind == rollMax:
		return sorted[n-1]
	case n%2 == 1:
		return sorted[n/2]
	}
	return float32((float64(sorted[n/2-1]) + float64(sorted[n/2])) / 2)
}

// rollAll fills st.order. One sorted window per length gives all its statistics: to keep a few dozen values sorted costs less than
// any cleverer structure.
func (st *State) rollAll() {
	stats := st.plan.stats
	for k := range st.order {
		st.order[k] = sized(st.order[k], len(st.sums))
	}
	for lo := 0; lo < len(stats); {
		w := stats[lo].window
		hi := lo
		for hi < len(stats) && stats[hi].window == w {
			hi++
		}
		sorted := make([]float32, 0, min(w, len(st.y)))
		for s := range st.start {
			a := st.off[s]
			b := a + int(st.n[s]-st.held[s])
			sorted = sorted[:0]
			for k := lo; k < hi; k++ {
				st.order[k][a] = nan32
			}
			for i := a + 1; i <= b; i++ {
				old := nan32
				if i-w > a {
					old = st.y[i-w]
				}
				sorted = replace(sorted, old, st.y[i])
				for k := lo; k < hi; k++ {
					st.order[k][i] = stats[k].of(sorted)
				}
			}
		}
		lo = hi
	}
}

// replace takes old out of a sorted window and puts y in; NaN is nothing.
func replace(v []float32, old, y float32) []float32 {
	in, out := y == y, old == old
	i := 0
	switch {
	case out && in:
		for v[i] != old {
			i++
		}
		for ; i+1 < len(v) && v[i+1] < y; i++ {
			v[i] = v[i+1]
		}
		for ; i > 0 && v[i-1] > y; i-- {
			v[i] = v[i-1]
		}
		v[i] = y
	case out:
		for v[i] != old {
			i++
		}
		copy(v[i:], v[i+1:])
		v = v[:len(v)-1]
	case in:
		v = append(v, y)
		for i = len(v) - 1; i > 0 && v[i-1] > y; i-- {
			v[i] = v[i-1]
		}
		v[i] = y
	}
	return v
}

// rollFork gives the statistics after a fork's k-th step.
func (st *State) rollFork(k int) {
	stats := st.plan.stats
	if len(stats) == 0 {
		return
	}
	f := st.fork
	var window []float32
	for s := range st.start {
		var c cursor
		st.locate(&c, int32(s), f.origin+calendar.Step(k+1))
		for i, a := range stats {
			f.order[i][s*f.steps+k] = st.roll(&c, a, &window)
		}
	}
}

// roll takes a statistic anew from the sales before the cursor's end.
func (st *State) roll(c *cursor, a orderStat, window *[]float32) float32 {
	v := (*window)[:0]
	for j := c.end - a.window; j < c.end; j++ {
		if y := st.sale(c, j); y == y {
			v = append(v, y)
		}
	}
	slices.Sort(v)
	*window = v
	return a.of(v)
}

// orderOp reads a rolled statistic.
func orderOp(a orderStat) op {
	return func(b *block, dst []float32) {
		st := b.st
		i := slices.Index(st.plan.stats, a)
		for r := range dst {
			dst[r] = float32(float64(st.orderAt(&b.cur[r], i, &b.window)) * b.inv[r])
		}
	}
}

// orderAt is the i-th rolled statistic of the window that ends before the cursor's end. Unlike a sum it goes on changing after the
// last row, as the window leaves the sales behind: there it is taken anew.
func (st *State) orderAt(c *cursor, i int, window *[]float32) float32 {
	switch {
	case c.end <= c.held:
		return nan32
	case c.end <= c.cut:
		return st.order[i][c.lo+c.end]
	}
	if f := st.fork; f != nil && c.end > c.fork && c.end-c.fork <= f.appended {
		return f.order[i][c.ov+c.end-c.fork-1]
	}
	return st.roll(c, st.plan.stats[i], window)
}
