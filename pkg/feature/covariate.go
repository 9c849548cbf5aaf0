package feature

import "math"

// The ops of this file read known-future covariates at or around the target, and any covariate's mean up to the origin.

// value is covariate k at index i, NaN where the panel has no row.
func (st *State) value(c *cursor, k, i int) float32 {
	if i < c.held || i >= c.rows {
		return nan32
	}
	return st.cov[k].values[c.row+i]
}

// trailing is the mean of covariate k over the last w steps up to the origin.
func (st *State) trailing(c *cursor, k, w int) float64 {
	v := &st.cov[k]
	a, b := c.lo+max(c.end-w, c.held), c.lo+min(c.end, c.rows)
	if b <= a {
		return missing
	}
	n := b - a
	if v.counts != nil {
		if n = int(v.counts[b] - v.counts[a]); n == 0 {
			return missing
		}
	}
	return (v.sum[b] - v.sum[a]) / float64(n)
}

// valueOp reads by steps after the target; reads behind the limit repeat the value at the limit.
func valueOp(k, by int) op {
	return func(b *block, dst []float32) {
		for r := range dst {
			c := &b.cur[r]
			i := c.target
			if by > 0 {
				i = min(i+by, c.limit)
			} else {
				i += by
			}
			dst[r] = b.st.value(c, k, i)
		}
	}
}

func againstMeanOp(k, w int) op {
	return func(b *block, dst []float32) {
		for r := range dst {
			c := &b.cur[r]
			dst[r] = float32(float64(b.st.value(c, k, c.target)) - b.st.trailing(c, k, w))
		}
	}
}

func logAgainstMeanOp(k, w int) op {
	return func(b *block, dst []float32) {
		for r := range dst {
			c := &b.cur[r]
			dst[r] = float32(logRatio(float64(b.st.value(c, k, c.target)), b.st.trailing(c, k, w)))
		}
	}
}

func logRatioOp(k, over int) op {
	return func(b *block, dst []float32) {
		for r := range dst {
			c := &b.cur[r]
			dst[r] = float32(logRatio(float64(b.st.value(c, k, c.target)), float64(b.st.value(c, over, c.target))))
		}
	}
}

// logRatio is missing where either side is missing or not positive.
func logRatio(x, y float64) float64 {
	if !(x > 0) || !(y > 0) {
		return missing
	}
	return math.Log(x / y)
}

// againstGroupOp is the mean of the covariate over the series of the first key's level at the target, less the series' own value.
func againstGroupOp(k int) op {
	return func(b *block, dst []float32) {
		st := b.st
		var mean []float64
		for _, m := range st.pool.means {
			if m.covariate == k {
				mean = m.value
			}
		}
		codes := st.panel.Keys[0].Codes
		for r := range dst {
			c := &b.cur[r]
			v := missing
			if i := c.global + c.target - st.pool.from; i >= 0 && i < st.pool.held() && int(codes[c.series]) < len(mean)/st.pool.held() {
				v = mean[int(codes[c.series])*st.pool.held()+i] - float64(st.value(c, k, c.target))
			}
			dst[r] = float32(v)
		}
	}
}
