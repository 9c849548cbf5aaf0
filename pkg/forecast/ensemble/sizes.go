package ensemble

import (
	"math"
	"strconv"

	"salescast/pkg/calendar"
	"salescast/pkg/forecast"
	"salescast/pkg/panel"
)

// SizeParameters are those of the LightGBM that learns the size of errors from so many rows: small trees, and few of them, since the
// rows of a window are not independent.
func SizeParameters(rows int, seed uint64) map[string]string {
	return map[string]string{
		"objective": "regression", "rounds": "60", "num_leaves": "6", "learning_rate": "0.05",
		"min_data_in_leaf": strconv.Itoa(max(40, rows/40)), "lambda_l2": "20", "feature_fraction": "0.7", "max_bin": "63",
		"seed": strconv.FormatUint(seed%(1<<31), 10), "num_threads": "1", "force_row_wise": "true", "deterministic": "true",
	}
}

// sizeColumns are what the size of an error may depend on: the step, the forecast, the season, how much the series varied in the year
// before the origin, and the known-future covariates.
func sizeColumns(p *panel.Panel) []string {
	out := []string{"horizon", "relative", "log", "season", "variation"}
	for _, c := range p.Covariates {
		if c.Role == panel.KnownFuture {
			out = append(out, "known "+c.Name)
		}
	}
	return out
}

// sizeFeatures returns one row for each point of a forecast, laid out as [forecast.Prediction.Point], with what plan knows after the origin.
func sizeFeatures(p *panel.Panel, plan *forecast.Plan, origin calendar.Step, horizon int, points []float64) *panel.Frame {
	x := &panel.Frame{Names: sizeColumns(p)}
	x.Resize(len(points))
	for s := range p.Series() {
		own := points[s*horizon : (s+1)*horizon]
		level, n := 0.0, 0.0
		for _, f := range own {
			if finite(f) {
				level, n = level+f, n+1
			}
		}
		level = max(level/max(n, 1), minMean)
		cv := variation(p, s, origin)
		for h := 1; h <= horizon; h++ {
			at, i := origin+calendar.Step(h), s*horizon+h-1
			x.Column(0)[i] = float32(h)
			x.Column(1)[i] = float32(points[i] / level)
			x.Column(2)[i] = float32(math.Log1p(max(points[i], 0)))
			x.Column(3)[i] = season(p.Frequency, at)
			x.Column(4)[i] = float32(cv)
			k := 5
			for c := range p.Covariates {
				if p.Covariates[c].Role == panel.KnownFuture {
					x.Column(k)[i] = plan.Value(s, c, h)
					k++
				}
			}
		}
	}
	return x
}

// season is the weekday where the panel is daily, else the month.
func season(f calendar.Frequency, at calendar.Step) float32 {
	if f.Unit == calendar.Daily {
		return float32(f.Day(at).Weekday())
	}
	_, month, _ := f.Day(at).Date()
	return float32(month)
}

// variation is the standard deviation of the observed sales of the year up to the origin over their mean.
func variation(p *panel.Panel, s int, origin calendar.Step) float64 {
	lo, hi := p.Span(s)
	end := min(hi, lo+int(origin)+1-int(p.Start[s]))
	var n, sum, squares float64
	for r := max(lo, end-p.Frequency.Year()); r < end; r++ {
		if p.Observed[r] {
			y := float64(p.Target[r])
			n, sum, squares = n+1, sum+y, squares+y*y
		}
	}
	if n == 0 || sum <= 0 {
		return 0
	}
	mean := sum / n
	return math.Sqrt(max(0, squares/n-mean*mean)) / mean
}
