package main

import (
	"path/filepath"
	"slices"

	"salescast/tasks"
)

// The options of the steps are what the configuration says, in the steps' words.

func (c *config) validateOptions(force bool) tasks.ValidateOptions {
	data := c.Data
	if data.Source == "" && len(data.Keys) == 0 {
		ended := data.EndedAfter
		data = tasks.GeneratedData() // nothing is said of data: it is the workspace's own
		data.EndedAfter = ended
	}
	if len(data.Keys) == 0 && c.origins["data.keys"] == "default" {
		data.Keys = nil // an empty list that somebody wrote says that there is one series
	}
	return tasks.ValidateOptions{
		Data: data, MaxQuarantined: c.Validate.MaxQuarantined, Expected: c.Validate.Expected, Severity: c.Validate.Severity,
		Horizon: c.Forecast.Horizon, Seed: c.Seed, Force: force,
	}
}

func (c *config) country() string {
	if c.Data.Source == "" && len(c.Data.Keys) == 0 {
		return tasks.GeneratedData().Country
	}
	return c.Data.Country
}

func (c *config) featurizeOptions(force bool) tasks.FeaturizeOptions {
	return tasks.FeaturizeOptions{Horizon: c.Forecast.Horizon, Country: c.country(), Families: c.Features.Families, Force: force}
}

func (c *config) trainOptions(model string, force bool) tasks.TrainOptions {
	return tasks.TrainOptions{
		Model: model, Horizon: c.Forecast.Horizon, Backtest: c.Backtest, Country: c.country(), NonNegative: c.Forecast.NonNegative,
		Seed: c.Seed, Params: c.Params[model], Tuned: c.Tuning.Trials > 0 && tasks.Tunable(model), Force: force,
	}
}

func (c *config) tuneOptions(model string, force bool) tasks.TuneOptions {
	return tasks.TuneOptions{
		Model: model, Horizon: c.Forecast.Horizon, Backtest: c.Backtest, Country: c.country(), NonNegative: c.Forecast.NonNegative,
		Seed: c.Seed, Params: c.Params[model], Trials: c.Tuning.Trials, Minutes: c.Tuning.Minutes, Force: force,
	}
}

// models are those that are named; nil where the data decides.
func (c *config) models() []string {
	if slices.Equal(c.Models, []string{autoModels}) {
		return nil
	}
	return c.Models
}

func (c *config) ensembleOptions(force bool) tasks.EnsembleOptions {
	return tasks.EnsembleOptions{
		Models: c.models(), Preset: c.Preset, Method: c.Ensemble.Method, Horizon: c.Forecast.Horizon, Backtest: c.Backtest, Quantiles: c.Forecast.Quantiles,
		NonNegative: c.Forecast.NonNegative, Seed: c.Seed, Force: force,
	}
}

func (c *config) evaluateOptions(force bool) tasks.EvaluateOptions {
	return tasks.EvaluateOptions{Models: c.models(), Horizon: c.Forecast.Horizon, Charts: true, Force: force}
}

func (c *config) forecastOptions(force bool) tasks.ForecastOptions {
	return tasks.ForecastOptions{Horizon: c.Forecast.Horizon, Quantiles: c.Forecast.Quantiles, Force: force}
}

func (c *config) registerOptions(force bool) tasks.RegisterOptions {
	r := c.Register
	return tasks.RegisterOptions{Models: c.models(), Prefix: r.Prefix, Metric: r.Metric, Margin: r.Margin, Promote: r.Promote, Stages: r.Stages, Seed: c.Seed, Force: force}
}

func (c *config) monitorOptions(model string, force bool) tasks.MonitorOptions {
	return tasks.MonitorOptions{Model: model, Horizon: c.Forecast.Horizon, Limits: c.Monitor, Force: force}
}

func (c *config) reportOptions(force bool) tasks.ReportOptions {
	title := c.Report.Title
	if title == "" && c.folder != "" && c.folder != "." {
		title = "Sales forecast: " + filepath.Base(c.folder)
	}
	return tasks.ReportOptions{Title: title, Force: force}
}

func (c *config) runOptions(force bool) tasks.RunOptions {
	o := tasks.RunOptions{
		Validate: c.validateOptions(force),
		Train:    c.trainOptions("", force), Models: c.models(), Preset: c.Preset, Params: c.Params,
		Ensemble: c.ensembleOptions(force), Evaluate: c.evaluateOptions(force), Forecast: c.forecastOptions(force), Report: c.reportOptions(force),
	}
	if c.Tuning.Trials > 0 {
		u := c.tuneOptions("", force)
		o.Tune = &u
	}
	if c.Register.Enabled {
		r := c.registerOptions(force)
		o.Register = &r
	}
	return o
}
