package backtest

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"salescast/pkg/calendar"
	"salescast/pkg/forecast"
	"salescast/pkg/panel"
)

// Run fits f anew at every split, on history up to its cutoff alone, and returns what it forecast from there under the name model.
func Run(ctx context.Context, p *panel.Panel, model string, splits []Split, fit func(Split) forecast.Forecaster, levels []float64) (*Predictions, error) {
	var made []*forecast.Prediction
	for _, s := range splits {
		pr, err := once(ctx, p, s, fit(s), levels)
		if err != nil {
			return nil, fmt.Errorf("backtest of %s at %s: %w", model, p.Frequency.Day(s.Cutoff), err)
		}
		made = append(made, pr)
	}
	return Collect(p, model, made), nil
}

func once(ctx context.Context, p *panel.Panel, s Split, f forecast.Forecaster, levels []float64) (pr *forecast.Prediction, err error) {
	m, err := f.Fit(ctx, p, s.Cutoff)
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := m.Close(); err == nil {
			err = e
		}
	}()
	return m.Forecast(ctx, forecast.Request{Panel: p, Origin: s.Cutoff, Horizon: s.Horizon, Levels: levels})
}

// Collect lays out forecasts of p's series, all with the same levels, as rows in order of cutoff, series and date. Steps without a
// forecast (NaN) have no row. Actual is NaN where no sale was observed.
func Collect(p *panel.Panel, model string, made []*forecast.Prediction) *Predictions {
	out := &Predictions{Keys: p.Keys, Models: []string{model}}
	made = slices.Clone(made)
	slices.SortFunc(made, func(a, b *forecast.Prediction) int { return cmp.Compare(a.Origin, b.Origin) })
	for _, f := range made {
		out.Levels = f.Levels
		cutoff := p.Frequency.Day(f.Origin)
		for s := range f.Series {
			for h := 1; h <= f.Horizon; h++ {
				i := f.At(s, h)
				if math.IsNaN(f.Point[i]) {
					continue
				}
				at := f.Origin + calendar.Step(h)
				actual := math.NaN()
				if r, ok := p.Row(s, at); ok && p.Observed[r] {
					actual = float64(p.Target[r])
				}
				out.Model = append(out.Model, 0)
				out.Series = append(out.Series, int32(s))
				out.Cutoff = append(out.Cutoff, cutoff)
				out.Date = append(out.Date, p.Frequency.Day(at))
				out.Horizon = append(out.Horizon, int32(h))
				out.Actual = append(out.Actual, actual)
				out.Forecast = append(out.Forecast, f.Point[i])
				out.Quantiles = append(out.Quantiles, f.QuantilesAt(i)...)
			}
		}
	}
	return out
}

// Merge puts predictions of the same series with the same levels into one, sorted by model, cutoff, series and date; the models keep
// the order in which they come.
func Merge(parts ...*Predictions) (*Predictions, error) {
	out := &Predictions{}
	for i, p := range parts {
		if i == 0 {
			out.Keys, out.Levels = p.Keys, p.Levels
		}
		if !slices.Equal(p.Levels, out.Levels) {
			return nil, fmt.Errorf("merging predictions of %v and %v: they have different quantile levels", out.Models, p.Models)
		}
		if len(p.Keys) != len(out.Keys) || p.NumSeries() != out.NumSeries() {
			return nil, fmt.Errorf("merging predictions of %v and %v: they have different series", out.Models, p.Models)
		}
		code := make([]int32, len(p.Models))
		for m, name := range p.Models {
			k := slices.Index(out.Models, name)
			if k < 0 {
				k = len(out.Models)
				out.Models = append(out.Models, name)
			}
			code[m] = int32(k)
		}
		for _, m := range p.Model {
			out.Model = append(out.Model, code[m])
		}
		out.Series = append(out.Series, p.Series...)
		out.Cutoff = append(out.Cutoff, p.Cutoff...)
		out.Date = append(out.Date, p.Date...)
		out.Horizon = append(out.Horizon, p.Horizon...)
		out.Actual = append(out.Actual, p.Actual...)
		out.Forecast = append(out.Forecast, p.Forecast...)
		out.Quantiles = append(out.Quantiles, p.Quantiles...)
	}
	return out, out.sort()
}

// Append adds the rows of q, which has the same models and levels.
func (p *Predictions) Append(q *Predictions) error {
	if !slices.Equal(p.Levels, q.Levels) || !slices.Equal(p.Models, q.Models) {
		return fmt.Errorf("appending predictions of %v at %v to those of %v at %v: they differ", q.Models, q.Levels, p.Models, p.Levels)
	}
	p.Model, p.Series = append(p.Model, q.Model...), append(p.Series, q.Series...)
	p.Cutoff, p.Date, p.Horizon = append(p.Cutoff, q.Cutoff...), append(p.Date, q.Date...), append(p.Horizon, q.Horizon...)
	p.Actual, p.Forecast, p.Quantiles = append(p.Actual, q.Actual...), append(p.Forecast, q.Forecast...), append(p.Quantiles, q.Quantiles...)
	return nil
}

// sort orders the rows and refuses two of one (model, cutoff, series, date).
func (p *Predictions) sort() error {
	order := make([]int, p.Rows())
	for i := range order {
		order[i] = i
	}
	compare := func(a, b int) int {
		return cmp.Or(cmp.Compare(p.Model[a], p.Model[b]), cmp.Compare(p.Cutoff[a], p.Cutoff[b]), cmp.Compare(p.Series[a], p.Series[b]), cmp.Compare(p.Date[a], p.Date[b]))
	}
	slices.SortFunc(order, compare)
	for k := 1; k < len(order); k++ {
		if compare(order[k-1], order[k]) == 0 {
			i := order[k]
			return fmt.Errorf("merging predictions: model %q has two forecasts from %s for series %d on %s", p.Models[p.Model[i]], p.Cutoff[i], p.Series[i], p.Date[i])
		}
	}
	q := make([]float64, 0, len(p.Quantiles))
	for _, i := range order {
		q = append(q, p.Quantiles[i*len(p.Levels):(i+1)*len(p.Levels)]...)
	}
	p.Quantiles = q
	p.Model, p.Series, p.Cutoff, p.Date = pick(p.Model, order), pick(p.Series, order), pick(p.Cutoff, order), pick(p.Date, order)
	p.Horizon, p.Actual, p.Forecast = pick(p.Horizon, order), pick(p.Actual, order), pick(p.Forecast, order)
	return nil
}

func pick[T any](v []T, order []int) []T {
	out := make([]T, len(order))
	for k, i := range order {
		out[k] = v[i]
	}
	return out
}

// Filter returns the rows for which keep is true, sharing keys, models and levels.
func (p *Predictions) Filter(keep func(row int) bool) *Predictions {
	var rows []int
	for i := range p.Rows() {
		if keep(i) {
			rows = append(rows, i)
		}
	}
	out := &Predictions{
		Keys: p.Keys, Models: p.Models, Levels: p.Levels,
		Model: pick(p.Model, rows), Series: pick(p.Series, rows), Cutoff: pick(p.Cutoff, rows), Date: pick(p.Date, rows),
		Horizon: pick(p.Horizon, rows), Actual: pick(p.Actual, rows), Forecast: pick(p.Forecast, rows),
	}
	for _, i := range rows {
		out.Quantiles = append(out.Quantiles, p.Quantiles[i*len(p.Levels):(i+1)*len(p.Levels)]...)
	}
	return out
}

// Points returns the forecasts of one model made at one origin for all series of p's frequency, laid out as [forecast.Prediction] is:
// horizon values per series, NaN where there is none.
func (p *Predictions) Points(model string, f calendar.Frequency, origin calendar.Step, series, horizon int) []float64 {
	out := make([]float64, series*horizon)
	for i := range out {
		out[i] = math.NaN()
	}
	m := slices.Index(p.Models, model)
	cutoff := f.Day(origin)
	for i := range p.Rows() {
		if int(p.Model[i]) == m && p.Cutoff[i] == cutoff && int(p.Horizon[i]) <= horizon {
			out[int(p.Series[i])*horizon+int(p.Horizon[i])-1] = p.Forecast[i]
		}
	}
	return out
}
