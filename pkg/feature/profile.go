package feature

import "math"

// profileWeights are exp(-j / (n/2)) for the n past steps of a profile, the nearest first.
func profileWeights(n int) []float64 {
	w := make([]float64, n)
	for j := range w {
		w[j] = math.Exp(-float64(j) / (float64(n) / 2))
	}
	return w
}

// analogShrink pulls an analog forecast with few likenesses towards the profile.
const analogShrink = 0.05

// profiles averages the past sales in the target's phase of the season, the recent ones weighing more; the analog weighs them also by
// the likeness of their covariates to the target's: a Gaussian kernel of half a standard deviation in each.
func (b *block) profiles(analog bool) {
	st := b.st
	g := &st.plan.grid
	weights := st.plan.weights
	for r := range b.n {
		c := &b.cur[r]
		i, step := c.end-1, 1
		if g.season > 1 {
			step = g.season
			i = c.target - step*((c.target-c.end)/step+1)
		}
		var num, den, likeNum, likeDen float64
		for _, w := range weights {
			if i < c.held {
				break
			}
			y := st.sale(c, i)
			if y == y {
				num += w * float64(y)
				den += w
				if analog {
					k := w * st.likeness(c, i)
					likeNum += k * float64(y)
					likeDen += k
				}
			}
			i -= step
		}
		b.profile[r], b.analog[r] = missing, missing
		if den > 0 {
			b.profile[r] = num / den
			b.analog[r] = (likeNum + analogShrink*b.profile[r]) / (likeDen + analogShrink)
		}
	}
}

// likeness compares the known-future covariates at index i with those at the target; a missing value is no likeness to speak of and
// leaves its covariate out.
func (st *State) likeness(c *cursor, i int) float64 {
	q := 0.0
	for _, k := range st.plan.analogCovariates {
		v := st.cov[k].values
		if i >= c.rows || c.target >= c.rows {
			continue
		}
		if d := (float64(v[c.row+i]) - float64(v[c.row+c.target])) / st.plan.schema.Covariates[k].Spread; d == d {
			q += d * d
		}
	}
	return math.Exp(-2 * q)
}

func profileOp(b *block, dst []float32) {
	for r := range dst {
		dst[r] = float32(b.profile[r] * b.inv[r])
	}
}

func profileRatioOp(b *block, dst []float32) {
	w := b.st.plan.grid.profileLevel
	for r := range dst {
		c := &b.cur[r]
		v := missing
		if m := b.st.mean(c, c.end-w, c.end); m == m {
			v = b.profile[r] / max(m, 0.01*b.guard(r))
		}
		dst[r] = float32(v)
	}
}

func analogOp(b *block, dst []float32) {
	for r := range dst {
		dst[r] = float32(b.analog[r] * b.inv[r])
	}
}

func analogRatioOp(b *block, dst []float32) {
	for r := range dst {
		v := missing
		if b.profile[r] == b.profile[r] {
			v = b.analog[r] / max(b.profile[r], 1e-9)
		}
		dst[r] = float32(v)
	}
}
