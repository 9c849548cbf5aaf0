package main

import (
	"context"

	"github.com/spf13/cobra"

	"salescast/tasks"
)

func (a *app) validateCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Check every row of the data against its contract",
		Long: `Check every row of the data: schema and types, duplicates, impossible dates, negative sales, gaps,
short and stale series, outliers, a missing plan. Bad rows are set aside, never dropped silently; more
of them than the configuration allows, or a wrong structure, exits with 65.

Reads data.source of the configuration, or without one what "salescast generate" wrote. Writes
validate/ in the workspace: panel.parquet, quarantine.parquet, report.json and report.html. Its result
names the models to train: those of the configuration, or what "auto" takes of these data.`,
		Example: "  salescast validate -c examples/bakery -w runs/bakery",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.step(cmd.Context(), cmd, func(ctx context.Context, env tasks.Env, c *config) (*tasks.Result, error) {
				res, err := tasks.Validate(ctx, env, c.validateOptions(force))
				if err == nil {
					err = nameModels(ctx, env, c, res)
				}
				return res, a.suggest(ctx, c, err)
			})
		},
	}
	settingFlag(cmd, "source", "data.source")
	forceFlag(cmd, &force)
	return cmd
}

// nameModels puts the members to train into the result of a validated panel, for who starts a task for each. What stands against any
// training is for training to say.
func nameModels(ctx context.Context, env tasks.Env, c *config, res *tasks.Result) (err error) {
	if res.Models = c.models(); len(res.Models) > 0 {
		return nil
	}
	res.Models, err = tasks.DefaultModels(ctx, env, c.Preset, c.Forecast.Horizon, c.Backtest)
	if tasks.KindOf(err) == tasks.KindData {
		return nil
	}
	return err
}
