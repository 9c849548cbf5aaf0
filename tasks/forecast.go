package tasks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"salescast/pkg/artifact"
	"salescast/pkg/backtest"
	"salescast/pkg/bundle"
	"salescast/pkg/calendar"
	"salescast/pkg/columnar"
	"salescast/pkg/forecast"
	"salescast/pkg/forecast/ensemble"
	"salescast/pkg/panel"
	"salescast/pkg/regress"
)

// Forecast opens the ensemble's bundle, or the model that is named, and forecasts the steps after the last sale of validate's panel: forecast.parquet and
// forecast.csv, with quantiles and without actual sales, of all series that have not ended, and forecast_totals.parquet and forecast_totals.csv, the sums of all series and by key. Where the plan ends before the horizon, what the model's history
// knows of it and else what is usual is assumed, and said, as at the origins of the backtest; with PlanKnown that is KindData. Where the data lacks series of a model
// that is named, members read of them what its history says, and sums that they are part of are left out.
func Forecast(ctx context.Context, env Env, o ForecastOptions) (*Result, error) {
	var m *Model
	if o.Model != "" {
		var err error
		if m, err = OpenModel(ctx, env, o.Model); err != nil {
			return nil, err
		}
	}
	return ForecastWith(ctx, env, m, o)
}

// ForecastWith is [Forecast] with the model of o.Model that is found already; nil is the ensemble's bundle.
func ForecastWith(ctx context.Context, env Env, m *Model, o ForecastOptions) (*Result, error) {
	step := stepSpec{Name: "forecast", Options: o, Inputs: []string{"validate"}, Force: o.Force, Salt: map[string]string{"bundle": bundle.Schema, "totals": "1"}}
	if m == nil {
		step.Inputs = append(step.Inputs, "ensemble")
	} else {
		step.Salt["part"] = "1"
		step.Sources = []artifact.Input{{Step: m.URL, Digest: m.Digest}}
	}
	return runStep(ctx, env, step, func(ctx context.Context, s *Step) error {
		return forecastError(forecastNext(ctx, env, s, o, m), o.Horizon)
	})
}

// forecastError says what to do where a plan or an engine is missing.
func forecastError(err error, horizon int) error {
	var noPlan *forecast.MissingPlanError
	var missing *regress.UnavailableError
	switch {
	case errors.As(err, &noPlan):
		return &Error{
			Kind: KindData, Op: fmt.Sprintf("forecast %d steps", horizon), Err: err,
			Hint: "append rows with the known values and an empty target up to the horizon, or take the column out of data.known_future",
		}
	case errors.As(err, &missing):
		return &Error{Kind: KindUnavailable, Op: "forecast", Err: err, Hint: missing.Hint}
	}
	return err
}

func forecastNext(ctx context.Context, env Env, s *Step, o ForecastOptions, m *Model) (err error) {
	s.Phase("open", 0)
	p, schema, err := readPanel(ctx, s.Input("validate"))
	if err != nil {
		return err
	}
	if m != nil {
		if err := m.fits(ctx, schema); err != nil {
			return err
		}
	}
	files := bundle.Reader(nil)
	if m != nil {
		files = m.reader
	} else {
		files = s.Input("ensemble")
	}
	b, err := bundle.Open(ctx, files, env.Learners.Open)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	if err := askable(b.Manifest, o); err != nil {
		return &Error{Kind: KindConfig, Op: "forecast", Err: err, Hint: `run "salescast ensemble" with these settings first`}
	}
	origin, ok := p.End()
	if !ok {
		return &Error{Kind: KindData, Op: "forecast", Err: errors.New("the panel has no observed sale")}
	}
	var known *bundle.Known // the workspace's own ensemble was fitted on this very panel
	if m != nil {
		if known, err = b.Beside(ctx, p, origin); err != nil {
			return err
		}
	}
	if p, err = s.planned(ctx, files, b, known, p, origin, o.Horizon, m != nil); err != nil {
		return err
	}
	s.Phase("forecast", 0)
	r := forecast.Request{Panel: p, Origin: origin, Horizon: o.Horizon, Levels: o.Quantiles}
	f, totals, err := s.forecastBeside(ctx, b, known, r)
	if err != nil {
		return err
	}
	s.leaveOut(p, f)
	rows := backtest.Collect(p, primaryModel, []*forecast.Prediction{f})
	rows.Time, totals.Time = schema.Time, schema.Time
	s.Rows("forecast", int64(rows.Rows()))
	s.Rows("series", int64(p.Series()))
	total := 0.0
	for _, y := range rows.Forecast {
		total += y
	}
	s.Metric("total", total)
	if err := s.writePredictions(ctx, "forecast.parquet", rows); err != nil {
		return err
	}
	if err := s.writePredictionsCSV(ctx, "forecast.csv", rows); err != nil {
		return err
	}
	if err := s.writePredictions(ctx, "forecast_totals.parquet", totals); err != nil {
		return err
	}
	return s.writePredictionsCSV(ctx, "forecast_totals.csv", totals)
}

// planned completes the plan of p: by what the model's history knows of it where p has none, and by what is usual, as the backtest did at
// its origins. It says what is assumed, and where that is more than the backtest had to assume. A plan that ends before the horizon is left
// as it is, for the model to refuse, where the figures rest on the word that the whole plan is there.
func (s *Step) planned(ctx context.Context, files bundle.Reader, b *bundle.Bundle, known *bundle.Known, p *panel.Panel, origin calendar.Step, horizon int, foreign bool) (*panel.Panel, error) {
	knew, err := readReach(ctx, files)
	if err != nil {
		return nil, err
	}
	none := !forecast.HasPlan(p, origin)
	if knew != nil && knew.Promised && !none {
		return p, nil
	}
	var plan func(series, covariate int, at calendar.Step) float32
	if foreign {
		if plan, err = b.Plan(ctx, p, origin, known); err != nil {
			return nil, err
		}
	}
	p, assumed := forecast.CompletePlan(p, origin, horizon, plan)
	if len(assumed) == 0 {
		return p, nil
	}
	names := make([]string, len(assumed))
	for i, a := range assumed {
		if names[i] = a.Name; a.Steps < horizon {
			names[i] = fmt.Sprintf("%s in the last %d of %d steps", a.Name, a.Steps, horizon)
		}
	}
	s.Warn("the data has no plan: %s after the last sale are assumed to be as usual; add rows with what is planned, and an empty sale, for a better forecast", strings.Join(names, ", "))
	if more := knew.MoreThan(func(column string) int {
		for _, a := range assumed {
			if a.Name == column {
				return horizon - a.Steps
			}
		}
		return horizon
	}); more != "" {
		s.Warn("the model's figures do not hold for this forecast: its backtest knew %s", more)
	}
	return p, nil
}

// forecastBeside forecasts a panel and its sums. Where known is not nil the panel lacks some of the model's.
func (s *Step) forecastBeside(ctx context.Context, b *bundle.Bundle, known *bundle.Known, r forecast.Request) (f *forecast.Prediction, totals *backtest.Predictions, err error) {
	if known == nil {
		if f, err = b.Forecast(ctx, r); err != nil {
			return nil, nil, err
		}
		totals, err = ensemble.Sum(r.Panel, f, b.Totals, nil)
		return f, totals, err
	}
	r.Panel = known.Adopt(r.Panel)
	if f, err = known.Forecast(ctx, b.Model, r, nil); err != nil {
		return nil, nil, err
	}
	absent := known.Absent(r.Panel, r.Origin)
	s.Warn("%d series of the model are not in the data: what its features read of them is what the model knows, up to %s, and there are no totals of sums that they are part of", absent.Series(), r.Panel.Frequency.Day(min(known.End, r.Origin)))
	totals, err = ensemble.Sum(r.Panel, f, b.Totals, absent)
	return f, totals, err
}

// leaveOut takes series that have ended out of a forecast, and the steps before the first of what is new, and says how many have none.
func (s *Step) leaveOut(p *panel.Panel, f *forecast.Prediction) {
	ended, unknown := 0, 0
	for i := range p.Series() {
		points := f.Point[i*f.Horizon : (i+1)*f.Horizon]
		switch {
		case p.Ended(i, f.Origin):
			ended++
			for h := range points {
				points[h] = math.NaN()
			}
			continue
		case math.IsNaN(points[f.Horizon-1]):
			unknown++
		}
		for h := range min(f.Horizon, max(0, int(p.Start[i]-f.Origin)-1)) {
			points[h] = math.NaN()
		}
	}
	if ended > 0 {
		s.Warn("%d series have ended and are not forecast; data.ended_after says what ends a series", ended)
	}
	if unknown > 0 {
		s.Warn("%d series have no sales and no kin to be forecast from", unknown)
	}
}

func (s *Step) writePredictionsCSV(ctx context.Context, name string, rows *backtest.Predictions) error {
	return s.write(ctx, name, rows.Rows(), func(out io.Writer) error { return columnar.WritePredictionsCSV(out, rows) })
}

// askable says whether the bundle can answer the options.
func askable(m bundle.Manifest, o ForecastOptions) error {
	if o.Horizon < 1 || o.Horizon > m.Horizon {
		return fmt.Errorf("the ensemble forecasts 1 to %d steps, not %d", m.Horizon, o.Horizon)
	}
	for _, q := range o.Quantiles {
		if !slices.Contains(m.Levels, q) {
			return fmt.Errorf("quantile %v was not calibrated; the levels are %v", q, m.Levels)
		}
	}
	return nil
}
