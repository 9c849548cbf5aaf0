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
validate/ in the workspace: panel.parquet, quarantine.parquet, report.json and report.html.`,
		Example: "  salescast validate -c examples/bakery -w runs/bakery",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.step(cmd.Context(), cmd, func(ctx context.Context, env tasks.Env, c *config) (*tasks.Result, error) {
				res, err := tasks.Validate(ctx, env, c.validateOptions(force))
				return res, a.suggest(ctx, c, err)
			})
		},
	}
	settingFlag(cmd, "source", "data.source")
	forceFlag(cmd, &force)
	return cmd
}
