package ensemble

import (
	"math"

	"salescast/pkg/calendar"
	"salescast/pkg/conformal"
	"salescast/pkg/panel"
)

// Calibrate learns quantiles from the errors of one forecast, points[w] made in windows[w]; series too young at a window's origin do
// not count. It answers [conformal.ErrNoErrors] where there is nothing to learn from.
func Calibrate(p *panel.Panel, windows []Window, points [][]float64, horizon int, levels []float64, nonNegative bool) (*conformal.Calibration, error) {
	var e conformal.Errors
	for w := range windows {
		o := windows[w].Origin
		for s := range p.Series() {
			if !Mature(p, s, o) {
				continue
			}
			for h := 1; h <= horizon; h++ {
				if r, ok := p.Row(s, o+calendar.Step(h)); ok && p.Observed[r] {
					e.Add(s, h, w, points[w][s*horizon+h-1], float64(p.Target[r]))
				}
			}
		}
	}
	return conformal.Fit(e, p.Series(), conformal.Options{Levels: levels, Frequency: p.Frequency, NonNegative: nonNegative})
}

// spread writes the calibrated quantiles of a forecast's points; series maps the panel's series to those of the calibration.
func spread(c *conformal.Calibration, series func(int) int, horizon int, point, dst []float64) {
	n := len(c.Levels)
	for s := range len(point) / max(horizon, 1) {
		a, b := s*horizon, (s+1)*horizon
		c.Apply(series(s), point[a:b], dst[a*n:b*n])
	}
}

func identity(s int) int { return s }

// finite is false where a point is missing.
func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
