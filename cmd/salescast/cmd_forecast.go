package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"salescast/pkg/track"
	"salescast/tasks"
)

func (a *app) forecastCommand() *cobra.Command {
	var force bool
	var model, input string
	cmd := &cobra.Command{
		Use:   "forecast",
		Short: "Forecast the steps after the end of the data, with quantiles",
		Long: `Forecast the steps after the end of the data, with the quantiles of the configuration.

Reads validate/, train/MODEL/ and ensemble/. Writes forecast/ in the workspace: forecast.csv and
forecast.parquet, with forecast_totals.csv and forecast_totals.parquet, the sums of all series and by key.

With --model it trains nothing: it validates data.source into the workspace and forecasts with a model
that is there already, which is a workspace, the folder of a model, models:/NAME@ALIAS or
models:/NAME/VERSION. What the configuration does not say of data, horizon and quantiles is as it was
for the model: without any, the forecast is of what now lies where the model's data lay. With --input too it needs neither configuration nor workspace: it reads history
and plan from a CSV or Parquet file, or CSV from standard input, and writes the forecast as CSV to
standard output. Some of the model's series, and new ones, will do: what features read of the others is what
the model knows of them.`,
		Example: `  salescast forecast -c examples/bakery -w runs/bakery
  salescast get -w runs/bakery forecast/forecast.csv --to forecast.csv
  salescast forecast -c examples/bakery -w runs/today --model models:/sales_forecast_ensemble@champion
  salescast forecast --model runs/bakery --input examples/bakery/bakery_daily.csv.gz > forecast.csv`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case input != "" && model == "":
				return &tasks.Error{Kind: tasks.KindUsage, Op: "forecast", Err: errors.New("--input needs --model"), Hint: "say which model forecasts from it, such as --model runs/bakery"}
			case input != "":
				return a.forecastFile(cmd, model, input)
			}
			return a.step(cmd.Context(), cmd, func(ctx context.Context, env tasks.Env, c *config) (*tasks.Result, error) {
				if model == "" {
					return tasks.Forecast(ctx, env, c.forecastOptions(force))
				}
				m, err := tasks.OpenModel(ctx, env, model)
				if err != nil {
					return nil, err
				}
				if err := a.asTheModel(ctx, env, c, m); err != nil {
					return nil, err
				}
				if res, err := tasks.Validate(ctx, env, c.validateOptions(false)); err != nil {
					return res, err
				}
				o := c.forecastOptions(force)
				o.Model = model
				return tasks.ForecastWith(ctx, env, m, o)
			})
		},
	}
	cmd.Flags().StringVar(&model, "model", "", "`address` of the model to forecast with (default: the workspace's own ensemble)")
	cmd.Flags().StringVar(&input, "input", "", "`file` of history and plan, - for CSV on standard input; the forecast goes to standard output")
	settingFlag(cmd, "horizon", "forecast.horizon")
	settingFlag(cmd, "quantiles", "forecast.quantiles")
	forceFlag(cmd, &force)
	return cmd
}

// forecastFile forecasts from one file in a workspace that lasts as long as the command. Nothing is recorded.
func (a *app) forecastFile(cmd *cobra.Command, model, input string) (err error) {
	c, err := a.loadConfig(cmd)
	if err != nil {
		return err
	}
	workspace, err := os.MkdirTemp("", "salescast-forecast-")
	if err != nil {
		return fmt.Errorf("make a workspace: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(workspace)) }()
	if input == "-" {
		input = filepath.Join(workspace, "input.csv")
		if err := writeOut(input, cmd.InOrStdin()); err != nil {
			return fmt.Errorf("read standard input: %w", err)
		}
	}
	return a.stepIn(cmd.Context(), cmd, workspace, c, func(ctx context.Context, env tasks.Env, c *config) (*tasks.Result, error) {
		env.Tracker = track.Off{}
		m, err := tasks.OpenModel(ctx, env, model)
		if err != nil {
			return nil, err
		}
		v := c.validateOptions(false)
		if v.Data, err = m.Data(ctx); err != nil {
			return nil, err
		}
		v.Data.Source = input
		c.forecastAs(m)
		if res, err := tasks.Validate(ctx, env, v); err != nil {
			return res, err
		}
		o := c.forecastOptions(false)
		o.Model = model
		res, err := tasks.ForecastWith(ctx, env, m, o)
		if err == nil && a.global.output == outputText {
			a.summary, err = readText(ctx, env, "forecast", "forecast.csv")
		}
		return res, err
	})
}

// forecastAs takes from a model what the configuration leaves open of the forecast.
func (c *config) forecastAs(m *tasks.Model) {
	if c.origins["forecast.horizon"] == "default" {
		c.Forecast.Horizon = m.Manifest.Horizon
	}
	if c.origins["forecast.quantiles"] == "default" {
		c.Forecast.Quantiles = m.Manifest.Levels
	}
}

// asTheModel takes from a model what the configuration leaves open: of the forecast, and of the data, which are what now lies where those
// lay that the model was made from. Synthetic sales are made again.
func (a *app) asTheModel(ctx context.Context, env tasks.Env, c *config, m *tasks.Model) error {
	c.forecastAs(m)
	_, err := tasks.OpenStep(ctx, env.Store, "data")
	if len(c.Data.Keys) > 0 || err == nil && c.Data.Source == "" {
		return nil // it is described, or the workspace has sales of its own
	}
	source := c.Data.Source
	if source == "" {
		if source, err = m.Source(ctx, env); err != nil {
			return err
		}
	}
	if source == "" {
		a.log.Info().Msg("the model was made from synthetic sales: they are made here too")
		_, err := tasks.Generate(ctx, env, tasks.DefaultGenerateOptions())
		return err
	}
	if c.Data, err = m.Data(ctx); err != nil {
		return err
	}
	c.Data.Source = source
	return nil
}

func readText(ctx context.Context, env tasks.Env, step, name string) (string, error) {
	o, err := tasks.OpenStep(ctx, env.Store, step)
	if err != nil {
		return "", err
	}
	r, err := o.Get(ctx, name)
	if err != nil {
		return "", err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	return string(b), err
}
