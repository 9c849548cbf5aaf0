package ensemble

import (
	"math"

	"salescast/pkg/calendar"
	"salescast/pkg/conformal"
	"salescast/pkg/panel"
)

const (
	// idleShare is the share of a year's steps without a sale from which on a series is calibrated on counts.
	idleShare = 0.5
	// thinkable is how many times the largest sale that a series ever had, or its forecast, a quantile is at most.
	thinkable = 3
	// unknownSize stands for that of a series that sells seldom and of which no sale is known.
	unknownSize = -1
)

// past is what a series sold up to an origin.
type past struct {
	// size is that of its sales where most steps of the latest year had none, see [conformal.Errors.Size]: the mean size that a unit sold
	// was part of, so that a series of a few large sales is not one of many small ones. It is 0 where most steps had some.
	size float64
	// most is its largest sale.
	most float64
}

func pastOf(p *panel.Panel, s int, origin calendar.Step) (out past) {
	lo, hi := p.Span(s)
	end := max(lo, min(hi, lo+int(origin)+1-int(p.Start[s])))
	var rows, idle, sum, squares float64
	for r := lo; r < end; r++ {
		if !p.Observed[r] {
			continue
		}
		y := max(float64(p.Target[r]), 0)
		out.most = max(out.most, y)
		sum, squares = sum+y, squares+y*y
		if end-r <= p.Frequency.Year() {
			rows++
			if y == 0 {
				idle++
			}
		}
	}
	switch {
	case rows == 0 || idle < idleShare*rows:
	case sum > 0:
		out.size = squares / sum
	default:
		out.size = unknownSize
	}
	return out
}

// quantilesOf writes the calibrated quantiles of the points of a series with a past; none is beyond what that makes thinkable.
func quantilesOf(c *conformal.Calibration, series int, was past, point, size, dst []float64) {
	switch {
	case c.Counts == nil || was.size == 0:
		c.Apply(series, point, size, dst)
	case was.size == unknownSize:
		c.ApplyCounts(c.Counts.Kin, point, dst)
	default:
		c.ApplyCounts(was.size, point, dst)
	}
	was.bound(point, dst)
}

// bound cuts quantiles, some for each point, at what is thinkable: errors of other series, of other times or of other forecasts may be
// beyond all that this one ever sold.
func (was past) bound(point, dst []float64) {
	n := len(dst) / max(len(point), 1)
	for i, f := range point {
		top := thinkable * max(was.most, f)
		if math.IsNaN(top) {
			continue
		}
		for k, q := range dst[i*n : (i+1)*n] {
			if q > top {
				dst[i*n+k] = top
			}
		}
	}
}
