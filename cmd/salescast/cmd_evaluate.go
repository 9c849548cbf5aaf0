package main

import (
	"context"

	"github.com/spf13/cobra"

	"salescast/tasks"
)

func (a *app) evaluateCommand() *cobra.Command {
	var force, noCharts bool
	cmd := &cobra.Command{
		Use:   "evaluate",
		Short: "Score the forecasts of the past, beside the naive one",
		Long: `Score what every model and the ensemble forecast at the test origins, beside the seasonal naive forecast:
WAPE, RMSSE, MASE, bias, coverage of the intervals and more, by model, horizon and series.

Reads validate/, train/MODEL/ and ensemble/. Writes evaluate/ in the workspace: metrics.json,
metrics_by_series.csv, coverage.csv (how the intervals held, by step ahead, volume class and series),
predictions.csv and charts/.`,
		Example: "  salescast evaluate -c examples/bakery -w runs/bakery",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.step(cmd.Context(), cmd, func(ctx context.Context, env tasks.Env, c *config) (*tasks.Result, error) {
				o := c.evaluateOptions(force)
				o.Charts = !noCharts
				return tasks.Evaluate(ctx, env, o)
			})
		},
	}
	cmd.Flags().BoolVar(&noCharts, "no-charts", false, "draw no charts")
	settingFlag(cmd, "models", "models")
	forceFlag(cmd, &force)
	return cmd
}
