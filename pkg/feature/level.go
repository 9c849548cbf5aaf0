package feature

import "math"

// The ops of this file read the sales of the row's own series up to the origin.

func meanOp(w int) op {
	return func(b *block, dst []float32) {
		for r := range dst {
			c := &b.cur[r]
			dst[r] = float32(b.st.mean(c, c.end-w, c.end) * b.inv[r])
		}
	}
}

func meanAllOp(b *block, dst []float32) {
	for r := range dst {
		v := missing
		if a := b.st.at(&b.cur[r], b.cur[r].end); a.count > 0 {
			v = a.sum / float64(a.count) * b.inv[r]
		}
		dst[r] = float32(v)
	}
}

func ewmOp(k int) op {
	return func(b *block, dst []float32) {
		for r := range dst {
			v := missing
			if a := b.st.at(&b.cur[r], b.cur[r].end); a.count > 0 {
				v = float64(a.ewm[k]) * b.inv[r]
			}
			dst[r] = float32(v)
		}
	}
}

// stdOp is the sample standard deviation (n-1); missing below two values.
func stdOp(w int) op {
	return func(b *block, dst []float32) {
		for r := range dst {
			c := &b.cur[r]
			x, y := b.st.at(c, c.end-w), b.st.at(c, c.end)
			v := missing
			if n := float64(y.count - x.count); n > 1 {
				sum := y.sum - x.sum
				v = math.Sqrt(max(y.squares-x.squares-sum*sum/n, 0)/(n-1)) * b.inv[r]
			}
			dst[r] = float32(v)
		}
	}
}

func zerosOp(w int) op {
	return func(b *block, dst []float32) {
		for r := range dst {
			c := &b.cur[r]
			x, y := b.st.at(c, c.end-w), b.st.at(c, c.end)
			v := missing
			if y.count > x.count {
				v = float64(y.zeros-x.zeros) / float64(y.count-x.count)
			}
			dst[r] = float32(v)
		}
	}
}

func lagOp(k int) op {
	return func(b *block, dst []float32) {
		for r := range dst {
			c := &b.cur[r]
			dst[r] = float32(float64(b.st.sale(c, c.end-k)) * b.inv[r])
		}
	}
}

// seasons reads the sales of the target's phase in the last seasons that the origin knows: index 0 is the nearest.
func (b *block) seasons() {
	season := b.st.plan.grid.season
	for r := range b.n {
		c := &b.cur[r]
		nearest := c.target - season*((c.target-c.end)/season+1)
		for j := range seasonLags {
			b.season[j][r] = float64(b.st.sale(c, nearest-season*j)) * b.inv[r]
		}
	}
}

func seasonLagOp(j int) op {
	return func(b *block, dst []float32) {
		for r := range dst {
			dst[r] = float32(b.season[j][r])
		}
	}
}

func seasonMeanOp(n int) op {
	return func(b *block, dst []float32) {
		for r := range dst {
			sum, count := 0.0, 0
			for j := range n {
				if v := b.season[j][r]; v == v {
					sum += v
					count++
				}
			}
			v := missing
			if count > 0 {
				v = sum / float64(count)
			}
			dst[r] = float32(v)
		}
	}
}

func seasonMedianOp(b *block, dst []float32) {
	for r := range dst {
		var v [seasonLags]float64
		n := 0
		for j := range seasonLags {
			x := b.season[j][r]
			if x != x {
				continue
			}
			i := n
			for ; i > 0 && v[i-1] > x; i-- {
				v[i] = v[i-1]
			}
			v[i] = x
			n++
		}
		switch {
		case n == 0:
			dst[r] = nan32
		case n%2 == 1:
			dst[r] = float32(v[n/2])
		default:
			dst[r] = float32((v[n/2-1] + v[n/2]) / 2)
		}
	}
}

// yearBlock holds the sales around the target's date one year ago, the level before last year's origin, and the sums of both over the
// last three years, in units of sales.
type yearBlock struct {
	near, level       [blockRows]float64
	sumNear, sumLevel [blockRows]float64
}

const pastYears = 3

func (b *block) years() {
	g := &b.st.plan.grid
	y := &b.year
	for r := range b.n {
		c := &b.cur[r]
		origin := c.end - 1
		num, den := 0.0, 0.0
		for k := 1; k <= pastYears; k++ {
			at, from := c.target-k*g.year, origin-k*g.year+1
			if at+g.near+1 <= c.held || from <= c.held { // nothing is held so far back
				if k == 1 {
					y.near[r], y.level[r] = b.st.mean(c, at-g.near, min(at+g.near+1, c.end)), b.st.mean(c, from-g.base, from)
				}
				break
			}
			near := b.st.mean(c, at-g.near, min(at+g.near+1, c.end))
			level := b.st.mean(c, from-g.base, from)
			if near == near && level == level {
				num += near
				den += level
			}
			if k == 1 {
				y.near[r], y.level[r] = near, level
			}
		}
		y.sumNear[r], y.sumLevel[r] = num, den
	}
}

func yearNearOp(b *block, dst []float32) {
	for r := range dst {
		dst[r] = float32(b.year.near[r] * b.inv[r])
	}
}

func yearLevelOp(b *block, dst []float32) {
	for r := range dst {
		dst[r] = float32(b.year.level[r] * b.inv[r])
	}
}

// yearRatioOp guards the level by a share of the scale; the recent scale is used where the row is unscaled.
func yearRatioOp(b *block, dst []float32) {
	for r := range dst {
		v := missing
		if b.year.level[r] == b.year.level[r] {
			v = b.year.near[r] / max(b.year.level[r], 0.02*b.guard(r))
		}
		dst[r] = float32(v)
	}
}

func yearsRatioOp(b *block, dst []float32) {
	for r := range dst {
		v := missing
		if b.year.sumLevel[r] > 0 {
			v = b.year.sumNear[r] / b.year.sumLevel[r]
		}
		dst[r] = float32(v)
	}
}

// yearLagOp is the sale one year before the target, and by steps after that; missing where the origin does not know it.
func yearLagOp(by int) op {
	return func(b *block, dst []float32) {
		year := b.st.plan.grid.year
		for r := range dst {
			c := &b.cur[r]
			v := missing
			if i := c.target - year + by; i < c.end {
				v = float64(b.st.sale(c, i)) * b.inv[r]
			}
			dst[r] = float32(v)
		}
	}
}

// guard is the row's scale for floors of denominators, which must not depend on whether the row is scaled.
func (b *block) guard(r int) float64 {
	if b.kind != Unscaled {
		return b.scale[r]
	}
	return b.st.scale(&b.cur[r], Recent)
}
