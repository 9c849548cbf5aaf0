package prophet

import "math"

// trendOffsets returns the rate and the offset of the trend in each of the len(delta)+1 segments between changepoints:
// linear rate*t+offset, logistic cap/(1+exp(-rate*(t-offset))).
func trendSegments(g Growth, k, m float64, delta, at []float64) (rate, offset []float64) {
	rate, offset = make([]float64, len(delta)+1), make([]float64, len(delta)+1)
	rate[0], offset[0] = k, m
	for j, d := range delta {
		rate[j+1] = rate[j] + d
		if g == Logistic {
			offset[j+1] = offset[j] + (at[j]-offset[j])*(1-rate[j]/rate[j+1])
		} else {
			offset[j+1] = offset[j] - at[j]*d
		}
	}
	return rate, offset
}

// trendAt writes the scaled trend at increasing or unordered scaled times t.
func trendAt(g Growth, k, m float64, delta, changepoints, t, caps, dst []float64) {
	if g == Flat {
		for i := range dst {
			dst[i] = m
		}
		return
	}
	rate, offset := trendSegments(g, k, m, delta, changepoints)
	seg := 0
	for i, x := range t {
		for seg < len(changepoints) && x >= changepoints[seg] {
			seg++
		}
		for seg > 0 && x < changepoints[seg-1] {
			seg--
		}
		if g == Logistic {
			dst[i] = caps[i] / (1 + math.Exp(-rate[seg]*(x-offset[seg])))
		} else {
			dst[i] = rate[seg]*x + offset[seg]
		}
	}
}

// trendJacobian writes the derivative of the scaled trend at increasing times with respect to k, m and every delta: cols[0], cols[1], cols[2:].
func trendJacobian(g Growth, k, m float64, delta, changepoints, t, caps []float64, cols [][]float64) {
	switch g {
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
			for j, s := range changepoints {
				cols[2+j][i] = max(x-s, 0)
			}
		}
	case Logistic:
		logisticJacobian(k, m, delta, changepoints, t, caps, cols)
	}
}

// logisticJacobian differentiates forward: the rates and offsets of all segments with respect to (k, m, delta) are carried along.
func logisticJacobian(k, m float64, delta, changepoints, t, caps []float64, cols [][]float64) {
	n := len(delta)
	rate, offset := trendSegments(Logistic, k, m, delta, changepoints)
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
