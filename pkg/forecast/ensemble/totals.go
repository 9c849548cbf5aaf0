package ensemble

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"salescast/pkg/backtest"
	"salescast/pkg/calendar"
	"salescast/pkg/conformal"
	"salescast/pkg/forecast"
	"salescast/pkg/panel"
)

// All is the level, and its one value, of the sum of every series.
const All = "all"

// Totals is the calibration of the sums of one level: of all series, or of those that share a value of a key. It is learned from the
// errors of the sums themselves: errors of series go together, so that neither their quantiles nor their variances add up.
type Totals struct {
	// Level is [All] or the name of a key.
	Level string `json:"level"`
	// Values are the key's, in the order of the calibration's series.
	Values []string `json:"values"`
	*conformal.Calibration
}

// level says which sum of a level each series is part of.
type level struct {
	name   string
	values []string
	code   []int32
	// absent are the values of which some series is not in the panel.
	absent map[int32]bool
}

// levelsOf are all series and the keys of which some value has several series. absent, which may be nil, are series that a sum has too, with
// codes of the same levels.
func levelsOf(p, absent *panel.Panel) []level {
	if absent == nil {
		absent = &panel.Panel{Keys: make([]panel.Key, len(p.Keys))}
	}
	out := []level{{All, []string{All}, make([]int32, p.Series()), map[int32]bool{0: absent.Series() > 0}}}
	for i, k := range p.Keys {
		used, lack := map[int32]bool{}, map[int32]bool{}
		for _, c := range k.Codes {
			used[c] = true
		}
		for _, c := range absent.Keys[i].Codes {
			used[c], lack[c] = true, true
		}
		if len(used) < p.Series()+absent.Series() {
			out = append(out, level{k.Name, k.Levels, k.Codes, lack})
		}
	}
	return out
}

// calibrateTotals learns, level by level, from the sums of points[w], what was forecast in windows[w]. Series that are too young, and
// steps without a sale, are in neither the sums of forecasts nor those of sales.
func calibrateTotals(ctx context.Context, p *panel.Panel, windows []Window, points [][]float64, horizon int, set Settings) ([]Totals, error) {
	closed := make([][]int, len(windows))
	for w := range windows {
		if o := windows[w].Origin; !set.Plain {
			closed[w] = closedSteps(p, ClosedFlags(p, o), set.known(p, o), o, horizon)
		}
	}
	var out []Totals
	for _, l := range levelsOf(p, nil) {
		var e conformal.Errors
		for w := range windows {
			l.addErrors(&e, w, p, windows[w].Origin, points[w], closed[w], horizon)
		}
		o := conformal.Options{Levels: set.Levels, Frequency: p.Frequency, NonNegative: set.NonNegative, Dependent: true}
		c, err := conformal.Fit(ctx, e, len(l.values), o)
		if errors.Is(err, conformal.ErrNoErrors) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("calibrate the totals by %s: %w", l.name, err)
		}
		out = append(out, Totals{Level: l.name, Values: l.values, Calibration: c})
	}
	return out, nil
}

// addErrors appends the sums of one window. At closed steps, which have no points, the forecast is 0; a sum of nothing else teaches nothing.
func (l level) addErrors(e *conformal.Errors, window int, p *panel.Panel, origin calendar.Step, points []float64, closed []int, horizon int) {
	n := len(l.values) * horizon
	forecasts, sales, open := make([]float64, n), make([]float64, n), make([]bool, n)
	zero := make([]bool, len(points))
	for _, i := range closed {
		zero[i] = true
	}
	for s := range p.Series() {
		if !Mature(p, s, origin) {
			continue
		}
		for h := range horizon {
			from, to := s*horizon+h, int(l.code[s])*horizon+h
			r, ok := p.Row(s, origin+calendar.Step(h+1))
			if !ok || !p.Observed[r] || !zero[from] && math.IsNaN(points[from]) {
				continue
			}
			sales[to] += float64(p.Target[r])
			if !zero[from] {
				forecasts[to] += points[from]
				open[to] = true
			}
		}
	}
	for i := range open {
		if open[i] {
			e.Add(i/horizon, i%horizon+1, window, forecasts[i], sales[i])
		}
	}
}

// Sum returns the totals of a forecast of p's series, as predictions whose keys are level and value; their points are sums. Without
// totals there are no quantiles, and of levels that totals lack, which new series may bring, no sums. A sum that has a series of absent,
// which may be nil, is left out: it would be of a part alone, and its errors were those of the whole. The keys of absent have the levels of
// p's. Where a sale of any series was observed the sums are, like Actual, of the series whose sale was; else they are of all that have a
// forecast.
func Sum(p *panel.Panel, f *forecast.Prediction, totals []Totals, absent *panel.Panel) (*backtest.Predictions, error) {
	levels := levelsOf(p, absent)
	quantiles := f.Levels
	if len(totals) == 0 {
		quantiles = nil
	} else {
		all := true // the first level has calibrations of its own
		levels = slices.DeleteFunc(levels, func(l level) bool {
			c := calibrationOf(totals, l, all)
			all = false
			return c == nil
		})
	}
	keys := []panel.Key{{Name: "level"}, {Name: "value"}}
	for _, l := range levels {
		keys[0].Levels = append(keys[0].Levels, l.name)
		keys[1].Levels = append(keys[1].Levels, l.values...)
	}
	for k := range keys {
		slices.Sort(keys[k].Levels)
		keys[k].Levels = slices.Compact(keys[k].Levels)
	}
	out := &backtest.Predictions{Models: []string{"ensemble"}, Levels: quantiles}
	for n, l := range levels {
		sums, sold := sumLevel(p, f, l)
		q, err := l.quantiles(calibrationOf(totals, l, n == 0), quantiles, f, sums)
		if err != nil {
			return nil, err
		}
		for v, value := range l.values {
			if l.absent[int32(v)] {
				continue
			}
			series := int32(len(keys[0].Codes))
			for k, name := range []string{l.name, value} {
				code, _ := slices.BinarySearch(keys[k].Levels, name)
				keys[k].Codes = append(keys[k].Codes, int32(code))
			}
			for h := range f.Horizon {
				i := v*f.Horizon + h
				if math.IsNaN(sums[i]) {
					continue
				}
				out.Model, out.Series, out.Horizon = append(out.Model, 0), append(out.Series, series), append(out.Horizon, int32(h+1))
				out.Cutoff, out.Date = append(out.Cutoff, p.Frequency.Day(f.Origin)), append(out.Date, p.Frequency.Day(f.Origin+calendar.Step(h+1)))
				out.Actual, out.Forecast = append(out.Actual, sold[i]), append(out.Forecast, sums[i])
				out.Quantiles = append(out.Quantiles, q[i*len(quantiles):(i+1)*len(quantiles)]...)
			}
		}
	}
	out.Keys = keys
	return out, nil
}

// calibrationOf finds that of a level, nil where there is none. The first is of all series; a key may have the same name.
func calibrationOf(totals []Totals, l level, first bool) *Totals {
	for i := range totals {
		if totals[i].Level == l.name && (i == 0) == first {
			return &totals[i]
		}
	}
	return nil
}

// sumLevel adds up points and sales, values of the level by steps; a sum of nothing is NaN.
func sumLevel(p *panel.Panel, f *forecast.Prediction, l level) (sums, sold []float64) {
	observed := func(s, h int) (float64, bool) {
		r, ok := p.Row(s, f.Origin+calendar.Step(h+1))
		if !ok || !p.Observed[r] || math.IsNaN(f.Point[s*f.Horizon+h]) {
			return 0, false
		}
		return float64(p.Target[r]), true
	}
	n := len(l.values) * f.Horizon
	sums, sold = make([]float64, n), make([]float64, n)
	for i := range n {
		sums[i], sold[i] = math.NaN(), math.NaN()
	}
	add := func(sum *float64, v float64) {
		if math.IsNaN(*sum) {
			*sum = 0
		}
		*sum += v
	}
	for s, code := range l.code {
		for h := range f.Horizon {
			if y, ok := observed(s, h); ok {
				add(&sold[int(code)*f.Horizon+h], y)
			}
		}
	}
	for s, code := range l.code {
		for h := range f.Horizon {
			i := int(code)*f.Horizon + h
			y := f.Point[s*f.Horizon+h]
			if _, ok := observed(s, h); math.IsNaN(y) || !ok && !math.IsNaN(sold[i]) {
				continue
			}
			add(&sums[i], y)
		}
	}
	return sums, sold
}

// quantiles are those of the sums of a level. Where every series is surely 0 so is their sum.
func (l level) quantiles(t *Totals, levels []float64, f *forecast.Prediction, sums []float64) ([]float64, error) {
	out := make([]float64, len(sums)*len(levels))
	if len(levels) == 0 {
		return out, nil
	}
	pick := make([]int, len(levels))
	for k, q := range levels {
		if pick[k] = slices.Index(t.Levels, q); pick[k] < 0 {
			return nil, fmt.Errorf("quantile level %v was not calibrated for totals; the levels are %v", q, t.Levels)
		}
	}
	open := make([]bool, len(sums))
	for s, code := range l.code {
		for h := range f.Horizon {
			i := s*f.Horizon + h
			moves := slices.ContainsFunc(f.QuantilesAt(i), func(q float64) bool { return q != 0 })
			open[int(code)*f.Horizon+h] = open[int(code)*f.Horizon+h] || moves || f.Point[i] != 0
		}
	}
	index := map[string]int{}
	for i, v := range t.Values {
		index[v] = i
	}
	all := make([]float64, f.Horizon*len(t.Levels))
	for v, value := range l.values {
		series, ok := index[value]
		if !ok {
			series = conformal.Unseen
		}
		t.Apply(series, sums[v*f.Horizon:(v+1)*f.Horizon], nil, all)
		for h := range f.Horizon {
			i := v*f.Horizon + h
			for k := range pick {
				if open[i] {
					out[i*len(levels)+k] = all[h*len(t.Levels)+pick[k]]
				}
			}
		}
	}
	return out, nil
}
