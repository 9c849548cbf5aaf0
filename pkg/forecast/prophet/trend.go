package prophet

import "math"

// trend is a scaled trend: it begins with rate k and offset m, and its rate changes by delta at each of the changepoints.
type trend struct {
	growth              Growth
	k, m                float64
	delta, changepoints []float64
}

// segments returns the rate and the offset in each of the len(delta)+1 segments between changepoints: linear rate*t+offset, logistic
// cap/(1+exp(-rate*(t-offset))).
func (tr trend) segments() (rate, offset []float64) {
	rate, offset = make([]float64, len(tr.delta)+1), make([]float64, len(tr.delta)+1)
	rate[0], offset[0] = tr.k, tr.m
	for j, d := range tr.delta {
		rate[j+1] = rate[j] + d
		if tr.growth == Logistic {
			offset[j+1] = offset[j] + (tr.changepoints[j]-offset[j])*(1-rate[j]/rate[j+1])
		} else {
			offset[j+1] = offset[j] - tr.changepoints[j]*d
		}
	}
	return rate, offset
}

// at writes the trend at increasing or unordered scaled times t.
func (tr trend) at(t, caps, dst []float64) {
	if tr.growth == Flat {
		for i := range dst {
			dst[i] = tr.m
		}
		return
	}
	rate, offset := tr.segments()
	changepoints, seg := tr.changepoints, 0
	for i, x := range t {
		for seg < len(changepoints) && x >= changepoints[seg] {
			seg++
		}
		for seg > 0 && x < changepoints[seg-1] {
			seg--
		}
		if tr.growth == Logistic {
			dst[i] = caps[i] / (1 + math.Exp(-rate[seg]*(x-offset[seg])))
		} else {
			dst[i] = rate[seg]*x + offset[seg]
		}
	}
}

// jacobian writes the derivative of the trend at increasing times with respect to k, m and every delta: cols[0], cols[1], cols[2:].
func (tr trend) jacobian(t, caps []float64, cols [][]float64) {
	switch tr.growth {
	case Flat:
		for i := range t {
			cols[0][i], cols[1][i] = 0, 1
		}
		for _, c := range cols[2:] {
			clear(c)
		}
	case Linear:
		for i, x := range t {
			cols[0][i], cols[1][i] = x, 1
			for j, s := range tr.changepoints {
				cols[2+j][i] = max(x-s, 0)
			}
		}
	case Logistic:
		tr.logisticJacobian(t, caps, cols)
	}
}

// logisticJacobian differentiates forward: the rates and offsets of all segments with respect to (k, m, delta) are carried along.
func (tr trend) logisticJacobian(t, caps []float64, cols [][]float64) {
	n, changepoints := len(tr.delta), tr.changepoints
	rate, offset := tr.segments()
	dRate, dOff := make([]float64, n+2), make([]float64, n+2) // of the current segment
	dRate[0], dOff[1] = 1, 1
	seg := 0
	for i, x := range t {
		for seg < n && x >= changepoints[seg] {
			ratio := rate[seg] / rate[seg+1]
			for p := range dOff {
				next := dRate[p]
				if p == seg+2 {
					next++
				}
				dOff[p] = dOff[p]*ratio - (changepoints[seg]-offset[seg])*(dRate[p]-ratio*next)/rate[seg+1]
				dRate[p] = next
			}
			seg++
		}
		p := 1 / (1 + math.Exp(-rate[seg]*(x-offset[seg])))
		slope := caps[i] * p * (1 - p)
		for j, c := range cols {
			c[i] = slope * (dRate[j]*(x-offset[seg]) - rate[seg]*dOff[j])
		}
	}
}
