package metric

import (
	"math"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

// Scale is what a naive forecast errs inside the history of one series up to an origin: the unit of MASE, RMSSE and MSIS
// (Hyndman and Koehler, 2006). NaN where the history is too short.
type Scale struct {
	// Absolute is the mean absolute difference between sales one season apart.
	Absolute float64
	// Squared is the mean squared difference between consecutive sales.
	Squared float64
}

// ScaleOf computes the Scale of series s of p from its rows up to origin, filled gaps included, beginning with the first sale that is
// not zero: the time before an article was sold says nothing about how hard it is to forecast. The season is that of p's frequency.
func ScaleOf(p *panel.Panel, s int, origin calendar.Step) Scale {
	lo, hi := p.Span(s)
	if last := lo + int(origin) - int(p.Start[s]) + 1; last < hi {
		hi = max(last, lo)
	}
	y := p.Target[lo:hi]
	for len(y) > 0 && (y[0] == 0 || math.IsNaN(float64(y[0]))) {
		y = y[1:]
	}
	abs, _ := meanDifference(y, p.Frequency.Season())
	_, sq := meanDifference(y, 1)
	return Scale{Absolute: abs, Squared: sq}
}

// meanDifference returns the mean absolute and the mean squared difference at a lag, over pairs that are both known.
func meanDifference(y []float32, lag int) (abs, sq float64) {
	n := 0
	for i := lag; i < len(y); i++ {
		d := float64(y[i]) - float64(y[i-lag])
		if math.IsNaN(d) {
			continue
		}
		n++
		abs += math.Abs(d)
		sq += d * d
	}
	if n == 0 {
		return math.NaN(), math.NaN()
	}
	return abs / float64(n), sq / float64(n)
}
