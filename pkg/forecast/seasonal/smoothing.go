package seasonal

import (
	"context"
	"math"

	"salescast/pkg/calendar"
	"salescast/pkg/forecast"
	"salescast/pkg/panel"
)

// Smoothing forecasts a level, smoothed exponentially, times a weekday profile where the panel is daily. Each series has the smoothing
// constant with the smallest sum of absolute one-step errors.
type Smoothing struct {
	// Yearly multiplies by last years' ratio of the season to the level before it, half the series' own and half the panel's.
	Yearly      bool
	NonNegative bool
}

// Fit returns a model that looks at the panel only when asked for a forecast.
func (m Smoothing) Fit(context.Context, *panel.Panel, calendar.Step) (forecast.Model, error) {
	return smoothingModel{m}, nil
}

type smoothingModel struct{ Smoothing }

func (smoothingModel) Close() error { return nil }

const (
	// smoothingYears is how far back the level is followed.
	smoothingYears = 3
	// profileWeeks and profileDecay are the window of the weekday profile and the age in weeks at which a sale's weight is 1/e.
	profileWeeks = 52
	profileDecay = 26.0
	// closedIndex is the weekday index at and below which a weekday teaches nothing about the level; below neverIndex it is forecast 0.
	closedIndex = 0.05
	neverIndex  = 0.02
	// warmUp is the share of the history whose one-step errors do not count.
	warmUp = 0.2
)

var (
	dailyAlphas = []float64{.01, .02, .04, .07, .1, .15, .2, .3, .45}
	otherAlphas = []float64{.02, .05, .1, .15, .2, .3, .4, .5, .7}
)

// Forecast implements [forecast.Model]. Quantiles are normal, from the mean absolute one-step error of the chosen constant alpha,
// widened by sqrt(1+alpha^2 (h-1)) as the state space form of simple exponential smoothing has it. A weekday whose index is below
// 0.02 is forecast 0.
func (m smoothingModel) Forecast(ctx context.Context, r forecast.Request) (*forecast.Prediction, error) {
	p := r.Panel
	out := forecast.NewPrediction(r.Origin, p.Series(), r.Horizon, r.Levels)
	var yearly []float64
	if m.Yearly {
		yearly = panelYear(p, r.Origin, r.Horizon)
	}
	for s := range p.Series() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		v := historyOf(p, s, r.Origin)
		index := weekdayIndex(v, p.Frequency, p.Start[s])
		fit := smooth(v, p.Frequency, index, p.Start[s])
		if math.IsNaN(fit.level) {
			continue
		}
		for h := 1; h <= r.Horizon; h++ {
			factor := 1.0
			if p.Frequency.Unit == calendar.Daily {
				factor = index[p.Frequency.Day(r.Origin+calendar.Step(h)).Weekday()]
			}
			if factor < neverIndex {
				factor = 0
			}
			if m.Yearly {
				factor *= min(max(0.5*orOne(v.yearRatio(p.Frequency, h))+0.5*orOne(yearly[h-1]), 0.3), 3)
			}
			i := out.At(s, h)
			out.Point[i] = fit.level * factor
			if m.NonNegative {
				out.Point[i] = max(out.Point[i], 0)
			}
			width := fit.deviation * factor * math.Sqrt(1+fit.alpha*fit.alpha*float64(h-1))
			Normal(out.Point[i], width, r.Levels, m.NonNegative, out.QuantilesAt(i))
		}
	}
	return out, nil
}

func orOne(v float64) float64 {
	if math.IsNaN(v) {
		return 1
	}
	return v
}

// weekdayIndex is each weekday's recent mean, weighted towards the latest, over the plain mean of the last 52 weeks; 1 where unknown.
func weekdayIndex(v history, f calendar.Frequency, start calendar.Step) [7]float64 {
	index := [7]float64{1, 1, 1, 1, 1, 1, 1}
	if f.Unit != calendar.Daily {
		return index
	}
	n := v.n()
	span := min(n, profileWeeks*7)
	total := v.mean(n-span, n)
	if math.IsNaN(total) {
		return index
	}
	var sum, weight [7]float64
	for age := range span {
		i := n - 1 - age
		if y, ok := v.at(i); ok {
			d := f.Day(start + calendar.Step(i)).Weekday()
			w := math.Exp(-float64(age/7) / profileDecay)
			sum[d] += w * y
			weight[d] += w
		}
	}
	for d := range index {
		if weight[d] > 0 {
			index[d] = max(sum[d]/weight[d]/max(total, 1e-9), 1e-3)
		}
	}
	return index
}

// smoothed is the level at the origin under the best constant; level is NaN where nothing was observed.
type smoothed struct{ level, alpha, deviation float64 }

func smooth(v history, f calendar.Frequency, index [7]float64, start calendar.Step) smoothed {
	alphas := otherAlphas
	daily := f.Unit == calendar.Daily
	if daily {
		alphas = dailyAlphas
	}
	n := v.n()
	lo := max(0, n-smoothingYears*f.Year())
	var level, loss [9]float64
	seen, counted := false, 0.0
	for i := lo; i < n; i++ {
		y, ok := v.at(i)
		if daily && ok {
			d := index[f.Day(start+calendar.Step(i)).Weekday()]
			y, ok = y/max(d, closedIndex), d > closedIndex
		}
		if !ok {
			continue
		}
		if !seen {
			seen = true
			for a := range alphas {
				level[a] = y
			}
			continue
		}
		late := float64(i-lo) > warmUp*float64(n-lo)
		if late {
			counted++
		}
		for a, alpha := range alphas {
			e := y - level[a]
			if late {
				loss[a] += math.Abs(e)
			}
			level[a] += alpha * e
		}
	}
	if !seen {
		if _, ok := v.last(); ok { // observed, but only on weekdays that never sell
			return smoothed{}
		}
		return smoothed{level: math.NaN()}
	}
	best := 0
	for a := range alphas {
		if loss[a] < loss[best] {
			best = a
		}
	}
	// The mean absolute deviation of a normal distribution is sqrt(2/pi) of its standard deviation.
	return smoothed{level: level[best], alpha: alphas[best], deviation: loss[best] / max(counted, 1) * math.Sqrt(math.Pi/2)}
}

// yearShape is the half width of the window around the same step of earlier years, and the length of the level it is compared with.
func yearShape(f calendar.Frequency) (half, base int) {
	switch f.Unit {
	case calendar.Daily:
		return 3, 28
	case calendar.Weekly:
		return 1, 8
	case calendar.Quarterly:
		return 0, 4
	case calendar.Yearly:
		return 0, 3
	case calendar.Monthly:
	}
	return 0, 6
}

// yearRatio is the sum over up to three earlier years of the mean around the step h after the origin, over the sum of the means of
// the level before those years' origins; NaN where no year is known. Windows stop at the origin.
func (v history) yearRatio(f calendar.Frequency, h int) float64 {
	half, base := yearShape(f)
	o := v.n() - 1
	var num, den float64
	for k := 1; k <= 3; k++ {
		back := k * f.Year()
		a := v.mean(o+h-back-half, min(o+h-back+half+1, o+1))
		b := v.mean(o-back-base+1, o-back+1)
		if !math.IsNaN(a) && !math.IsNaN(b) {
			num, den = num+a, den+b
		}
	}
	if den <= 0 {
		return math.NaN()
	}
	return num / den
}

// panelYear is last year's ratio of the panel's total around each step to its total before the origin, per step; NaN where the panel
// does not reach back so far.
func panelYear(p *panel.Panel, origin calendar.Step, horizon int) []float64 {
	half, base := yearShape(p.Frequency)
	if p.Frequency.Unit != calendar.Daily {
		half = 0
	}
	year := p.Frequency.Year()
	first := origin
	for _, s := range p.Start {
		first = min(first, s)
	}
	// Totals by step, from one base before last year's origin to the end of last year's horizon.
	from := int(origin) - year - base + 1
	total := make([]float64, base+horizon+half+1)
	for s := range p.Series() {
		v := historyOf(p, s, origin)
		for k := range total {
			if y, ok := v.at(from + k - int(p.Start[s])); ok {
				total[k] += y
			}
		}
	}
	sum := func(a, b int) float64 { // of steps a to b-1, counted from from
		t := 0.0
		for k := max(a, 0); k < b; k++ {
			t += total[k]
		}
		return t
	}
	out := make([]float64, horizon)
	level := sum(0, base) / float64(base)
	for h := range out {
		a := base - 1 + h + 1 - half
		b := min(base-1+h+1+half+1, year+base) // steps up to the origin alone
		out[h] = math.NaN()
		if int(first) <= from && level > 0 && b > a {
			out[h] = sum(a, b) / float64(b-a) / level
		}
	}
	return out
}
