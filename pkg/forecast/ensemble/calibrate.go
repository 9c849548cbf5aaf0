package ensemble

import (
	"context"
	"math"

	"salescast/pkg/calendar"
	"salescast/pkg/conformal"
	"salescast/pkg/forecast"
	"salescast/pkg/forecast/seasonal"
	"salescast/pkg/panel"
)

// Calibrate learns quantiles from the errors of one forecast, points[w] made in windows[w]; series too young at a window's origin do
// not count. It answers [conformal.ErrNoErrors] where there is nothing to learn from.
func Calibrate(ctx context.Context, p *panel.Panel, windows []Window, points [][]float64, horizon int, set Settings) (*conformal.Calibration, error) {
	var e conformal.Errors
	o := conformal.Options{Levels: set.Levels, Frequency: p.Frequency, NonNegative: set.NonNegative, Learner: set.Sizes}
	var rows []*panel.Frame
	for w := range windows {
		origin := windows[w].Origin
		var kept []int
		for s := range p.Series() {
			if !Mature(p, s, origin) {
				continue
			}
			size := pastOf(p, s, origin).size
			for h := 1; h <= horizon; h++ {
				if r, ok := p.Row(s, origin+calendar.Step(h)); ok && p.Observed[r] {
					i := s*horizon + h - 1
					if e.Add(s, h, w, points[w][i], float64(p.Target[r])) {
						kept = append(kept, i)
						e.Size = append(e.Size, size)
					}
				}
			}
		}
		if set.Sizes != nil {
			rows = append(rows, conformal.Rows(sizeFeatures(p, set.known(p, origin), origin, horizon, points[w]), kept))
		}
	}
	if set.Sizes != nil {
		o.Features = conformal.Stack(rows)
	}
	return conformal.Fit(ctx, e, p.Series(), o)
}

// spread writes the calibrated quantiles of the points forecast from origin with what plan knows after it; series maps the panel's series
// to those of the calibration.
func spread(ctx context.Context, c *conformal.Calibration, p *panel.Panel, plan *forecast.Plan, series func(int) int, origin calendar.Step, horizon int, point, dst []float64) error {
	var size []float64
	if c.Sizes != nil {
		size = make([]float64, len(point))
		if err := c.Sizes.Factors(ctx, sizeFeatures(p, plan, origin, horizon, point), size); err != nil {
			return err
		}
	}
	n := len(c.Levels)
	for s := range len(point) / max(horizon, 1) {
		a, b := s*horizon, (s+1)*horizon
		var own []float64
		if size != nil {
			own = size[a:b]
		}
		quantilesOf(c, series(s), pastOf(p, s, origin), point[a:b], own, dst[a*n:b*n])
		if !Mature(p, s, origin) {
			widen(p, s, origin, point[a:b], c.Levels, dst[a*n:b*n])
		}
	}
	return nil
}

// widen makes the quantiles of a series with little or no history at least as wide as what is known of it lets them be: the errors of
// older series do not say how far it is from its kin.
func widen(p *panel.Panel, s int, origin calendar.Step, point, levels, dst []float64) {
	n := len(levels)
	wide := make([]float64, n)
	for h, y := range point {
		if !finite(y) {
			continue
		}
		q := dst[h*n : (h+1)*n]
		floor := math.Inf(-1)
		if y >= 0 && !(q[0] < 0) {
			floor = 0
		}
		seasonal.Normal(y, seasonal.Spread(y, int(origin)+1-int(p.Start[s]), p.Frequency), levels, false, wide)
		for k := range q {
			switch {
			case levels[k] < 0.5:
				q[k] = min(q[k], max(wide[k], floor))
			case levels[k] > 0.5:
				q[k] = max(q[k], wide[k])
			}
		}
	}
}

func identity(s int) int { return s }

// finite is false where a point is missing.
func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
