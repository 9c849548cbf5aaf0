package main

import (
	"context"

	"github.com/spf13/cobra"

	"salescast/tasks"
)

func (a *app) forecastCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "forecast",
		Short: "Forecast the steps after the end of the data, with quantiles",
		Long: `Forecast the steps after the end of the data, with the quantiles of the configuration.

Reads validate/, train/MODEL/ and ensemble/. Writes forecast/ in the workspace: forecast.csv and
forecast.parquet.`,
		Example: "  salescast forecast -c examples/bakery -w runs/bakery\n  salescast get -w runs/bakery forecast/forecast.csv --to forecast.csv",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.step(cmd.Context(), cmd, func(ctx context.Context, env tasks.Env, c *config) (*tasks.Result, error) {
				return tasks.Forecast(ctx, env, c.forecastOptions(force))
			})
		},
	}
	settingFlag(cmd, "horizon", "forecast.horizon")
	settingFlag(cmd, "quantiles", "forecast.quantiles")
	forceFlag(cmd, &force)
	return cmd
}
