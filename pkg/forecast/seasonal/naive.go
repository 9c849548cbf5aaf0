package seasonal

import (
	"context"
	"math"
	"slices"

	"salescast/pkg/calendar"
	"salescast/pkg/forecast"
	"salescast/pkg/panel"
)

// Naive forecasts the last observed sale of the same season: the weekday for days, the week or month of the year for weeks and months.
// It is the baseline that every other forecast must beat.
type Naive struct {
	// NonNegative cuts quantiles at 0.
	NonNegative bool
}

// Fit returns a model that looks at the panel only when asked for a forecast.
func (n Naive) Fit(context.Context, *panel.Panel, calendar.Step) (forecast.Model, error) {
	return naiveModel{n}, nil
}

type naiveModel struct{ Naive }

func (naiveModel) Close() error { return nil }

// seasonsBack is how many seasons are searched for an observed step.
const seasonsBack = 8

// Forecast implements [forecast.Model]. Quantiles are those of a normal distribution whose standard deviation is that of the series'
// own seasonal differences, times the square root of the number of seasons ahead (Hyndman & Athanasopoulos, Forecasting: Principles
// and Practice, 3rd edition, section 5.5). A series shorter than a season repeats its last observed sale.
func (m naiveModel) Forecast(ctx context.Context, r forecast.Request) (*forecast.Prediction, error) {
	p := r.Panel
	out := forecast.NewPrediction(r.Origin, p.Series(), r.Horizon, r.Levels)
	period := p.Frequency.Cycle()
	for s := range p.Series() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		v := historyOf(p, s, r.Origin)
		last, ok := v.last()
		if !ok {
			continue
		}
		deviation := v.seasonalDeviation(period)
		for h := 1; h <= r.Horizon; h++ {
			ahead := (h + period - 1) / period
			i := out.At(s, h)
			out.Point[i] = last
			for k := range seasonsBack {
				if y, ok := v.at(v.n() - 1 + h - (ahead+k)*period); ok {
					out.Point[i] = y
					break
				}
			}
			width := deviation * math.Sqrt(float64(ahead))
			Normal(out.Point[i], width, r.Levels, m.NonNegative, out.QuantilesAt(i))
		}
	}
	return out, nil
}

// Normal writes the quantiles of a normal distribution into dst.
func Normal(mean, deviation float64, levels []float64, nonNegative bool, dst []float64) {
	for k, q := range levels {
		dst[k] = mean + deviation*math.Sqrt2*math.Erfinv(2*q-1)
		if nonNegative {
			dst[k] = max(dst[k], 0)
		}
	}
}

// history is a series up to an origin; it shares the panel's memory. The last index is the origin, whether or not the series has a row there.
type history struct {
	target   []float32
	observed []bool
	steps    int
}

// historyOf returns the rows of series s at steps up to origin.
func historyOf(p *panel.Panel, s int, origin calendar.Step) history {
	lo, hi := p.Span(s)
	steps := max(0, int(origin)-int(p.Start[s])+1)
	hi = min(hi, lo+steps)
	return history{target: p.Target[lo:hi], observed: p.Observed[lo:hi], steps: steps}
}

// n is the number of steps from the series' start to the origin.
func (v history) n() int { return v.steps }

// at returns the sale at an index; ok is false where none was observed.
func (v history) at(i int) (y float64, ok bool) {
	if i < 0 || i >= len(v.target) || !v.observed[i] {
		return 0, false
	}
	return float64(v.target[i]), true
}

func (v history) last() (y float64, ok bool) {
	for i := range slices.Backward(v.target) {
		if y, ok := v.at(i); ok {
			return y, true
		}
	}
	return 0, false
}

// mean is that of the observed sales at indices a to b-1; NaN where there are none.
func (v history) mean(a, b int) float64 {
	var n, sum float64
	for i := max(a, 0); i < min(b, len(v.target)); i++ {
		if v.observed[i] {
			n, sum = n+1, sum+float64(v.target[i])
		}
	}
	if n == 0 {
		return math.NaN()
	}
	return sum / n
}

// seasonalDeviation is the root mean square of observed seasonal differences; of first differences where there are none.
func (v history) seasonalDeviation(period int) float64 {
	for _, lag := range []int{period, 1} {
		var n, sum float64
		for i := lag; i < len(v.target); i++ {
			a, ok1 := v.at(i)
			b, ok2 := v.at(i - lag)
			if ok1 && ok2 {
				n, sum = n+1, sum+(a-b)*(a-b)
			}
		}
		if n > 0 {
			return math.Sqrt(sum / n)
		}
	}
	return 0
}
