package main

import (
	"context"

	"github.com/spf13/cobra"

	"salescast/tasks"
)

func (a *app) ensembleCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "ensemble",
		Short: "Weigh the models and calibrate the intervals",
		Long: `Weigh the models by their forecasts of the past, and calibrate intervals by the errors of those forecasts,
by horizon. At each test origin both are learned only from what was known before it.

Reads train/MODEL/ of every model of the configuration. Writes ensemble/ in the workspace:
weights.json, calibration.json, totals.json, backtest.parquet and backtest_totals.parquet.`,
		Example: "  salescast ensemble -c examples/bakery -w runs/bakery",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.step(cmd.Context(), cmd, func(ctx context.Context, env tasks.Env, c *config) (*tasks.Result, error) {
				return tasks.Ensemble(ctx, env, c.ensembleOptions(force))
			})
		},
	}
	settingFlag(cmd, "models", "models")
	settingFlag(cmd, "preset", "preset")
	settingFlag(cmd, "method", "ensemble.method")
	settingFlag(cmd, "quantiles", "forecast.quantiles")
	forceFlag(cmd, &force)
	return cmd
}
