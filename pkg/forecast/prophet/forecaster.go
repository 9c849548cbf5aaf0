package prophet

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"salescast/pkg/calendar"
	"salescast/pkg/forecast"
	"salescast/pkg/panel"
)

// Forecaster fits one model per series of a panel. Known-future covariates become regressors; a covariate that is constant up to the
// origin, or unknown somewhere a series needs it, is left out for that series.
type Forecaster struct {
	// Options.SeasonalityMode may be ByZeros.
	Options Options
	// Country is the ISO 3166 code whose public holidays are added to Options.Holidays where sales are daily; empty for none.
	Country string
	// NonNegative clips points and quantiles at 0.
	NonNegative bool
	// Samples is the number of simulated futures behind the quantiles; 0 is 500.
	Samples int
	// Threads is the number of series fitted at once; 0 is 1.
	Threads int
	Seed    uint64
}

// minObserved is the number of observed sales below which a series has no model: fewer cannot tell a line from noise.
const minObserved = 10

// zerosPart is the part of the sales, as one in so many, that may be 0 where ByZeros is multiplicative.
const zerosPart = 20

// Fit returns a model that fits each series anew to the history of a request: a fit costs milliseconds, and a trend that ends before
// the origin would be extrapolated twice.
func (f Forecaster) Fit(context.Context, *panel.Panel, calendar.Step) (forecast.Model, error) {
	o := f.Options
	if o.SeasonalityMode == ByZeros {
		o.SeasonalityMode = Additive
	}
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("prophet options: %w", err)
	}
	m := panelModel{Forecaster: f}
	if f.Country != "" {
		var err error
		if m.holidays, err = calendar.Holidays(f.Country); err != nil {
			return nil, fmt.Errorf("prophet holidays: %w", err)
		}
	}
	return m, nil
}

// FitSeries returns the model that series s of a request is forecast with, and the times and regressors of the request's horizon. What
// [Forecaster] does to the forecast, clipping at 0, is not in it. The model is nil where the series has fewer than 10 observed sales.
func (f Forecaster) FitSeries(ctx context.Context, r forecast.Request, s int) (*Model, Times, error) {
	fitted, err := f.Fit(ctx, r.Panel, r.Origin)
	if err != nil {
		return nil, Times{}, err
	}
	m := fitted.(panelModel)
	m.Options.Holidays = slices.Concat(m.Options.Holidays, m.public(r))
	return m.fit(ctx, r, s)
}

// Regressors are the columns that the model must be given to predict, in their order.
func (m *Model) Regressors() []Regressor { return slices.Clone(m.opts.Regressors) }

type panelModel struct {
	Forecaster
	holidays *calendar.HolidayCalendar
}

func (panelModel) Close() error { return nil }

// Forecast implements [forecast.Model]. Points and quantiles of series with fewer than 10 observed sales stay NaN.
func (m panelModel) Forecast(ctx context.Context, r forecast.Request) (*forecast.Prediction, error) {
	out := forecast.NewPrediction(r.Origin, r.Panel.Series(), r.Horizon, r.Levels)
	m.Options.Holidays = slices.Concat(m.Options.Holidays, m.public(r))
	err := forecast.EachSeries(ctx, r.Panel.Series(), m.Threads, func(ctx context.Context, s int) error { return m.series(ctx, r, s, out) })
	if err != nil {
		return nil, err
	}
	return out, nil
}

// series fits and forecasts one series into its own part of out.
func (m panelModel) series(ctx context.Context, r forecast.Request, s int, out *forecast.Prediction) error {
	fitted, fx, err := m.fit(ctx, r, s)
	if err != nil || fitted == nil {
		return err
	}
	c, err := fitted.Predict(fx)
	if err != nil {
		return fmt.Errorf("series %v: %w", r.Panel.ID(s), err)
	}
	samples := m.Samples
	if samples == 0 {
		samples = 500
	}
	var q []float64
	if len(r.Levels) > 0 {
		q = fitted.Quantiles(fx, c, r.Levels, samples, m.Seed^forecast.SeriesSeed(r.Panel.ID(s)))
	}
	i := out.At(s, 1)
	copy(out.Point[i:i+r.Horizon], c.Yhat)
	copy(out.Quantiles[i*len(r.Levels):], q)
	if m.NonNegative {
		clip(out.Point[i : i+r.Horizon])
		clip(out.Quantiles[i*len(r.Levels) : (i+r.Horizon)*len(r.Levels)])
	}
	return nil
}

// fit fits one series, and returns the times that it forecasts at. The model is nil of fewer than 10 observed sales.
func (m panelModel) fit(ctx context.Context, r forecast.Request, s int) (*Model, Times, error) {
	p := r.Panel
	lo, hi := p.Span(s)
	n := min(int(r.Origin-p.Start[s])+1, hi-lo)
	if n < 1 {
		return nil, Times{}, ctx.Err()
	}
	at, y := make([]float64, n), make([]float64, n)
	observed, zeros := 0, 0
	for i := range n {
		at[i] = float64(p.Frequency.Day(p.Start[s] + calendar.Step(i)))
		y[i] = math.NaN()
		if p.Observed[lo+i] {
			y[i] = float64(p.Target[lo+i])
			observed++
			if y[i] == 0 {
				zeros++
			}
		}
	}
	if observed < minObserved {
		return nil, Times{}, ctx.Err()
	}
	future := make([]float64, r.Horizon)
	for h := range future {
		future[h] = float64(p.Frequency.Day(r.Origin + calendar.Step(h+1)))
	}
	o := m.Options
	if o.SeasonalityMode == ByZeros {
		o.SeasonalityMode = Multiplicative
		if zeros*zerosPart > observed {
			o.SeasonalityMode = Additive
		}
	}
	x, fx := Times{At: at}, Times{At: future}
	o.Regressors, x.Regressors, fx.Regressors = regressors(p, s, n, r)
	fitted, err := Fit(ctx, o, x, y)
	if err != nil {
		return nil, Times{}, fmt.Errorf("series %v: %w", p.ID(s), err)
	}
	return fitted, fx, nil
}

// public returns the country's holidays from the first sale of any series to the end of the request, by name. The dates of weeks and
// months are not the days of their holidays: they have none.
func (m panelModel) public(r forecast.Request) []Holiday {
	p := r.Panel
	if m.holidays == nil || p.Frequency.Unit != calendar.Daily || p.Series() == 0 {
		return nil
	}
	days := map[string][]int{}
	for _, h := range m.holidays.Between(p.Frequency.Day(slices.Min(p.Start)), p.Frequency.Day(r.Origin+calendar.Step(r.Horizon))) {
		// A covariate may be called like a holiday, and terms have names of their own.
		name := "public holiday: " + h.Name
		days[name] = append(days[name], int(h.Day))
	}
	out := make([]Holiday, 0, len(days))
	for _, name := range slices.Sorted(maps.Keys(days)) {
		out = append(out, Holiday{Name: name, Days: days[name]})
	}
	return out
}

func clip(v []float64) {
	for i := range v {
		v[i] = max(v[i], 0)
	}
}

// regressors returns the known-future covariates of a series that are known over n rows of history and the whole horizon, and that
// vary in the history.
func regressors(p *panel.Panel, s, n int, r forecast.Request) (regs []Regressor, history, future [][]float64) {
	lo, _ := p.Span(s)
	for _, c := range p.Covariates {
		if c.Role != panel.KnownFuture {
			continue
		}
		h, f := make([]float64, n), make([]float64, r.Horizon)
		known, varies := true, false
		for i := range h {
			h[i] = float64(c.Values[lo+i])
			known = known && !math.IsNaN(h[i])
			varies = varies || h[i] != h[0]
		}
		for k := range f {
			row, ok := p.Row(s, r.Origin+calendar.Step(k+1))
			if known = known && ok; !known {
				break
			}
			f[k] = float64(c.Values[row])
			known = !math.IsNaN(f[k])
		}
		if known && varies {
			regs, history, future = append(regs, Regressor{Name: c.Name}), append(history, h), append(future, f)
		}
	}
	return regs, history, future
}
