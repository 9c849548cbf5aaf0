package main

import (
	"context"

	"github.com/spf13/cobra"

	"salescast/tasks"
)

func (a *app) reportCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Write one page that tells a planner how good the forecast is",
		Long: `Write one self-contained HTML page: what was asked, what was wrong with the data, how good the forecast is
and where it is bad, the forecast itself, and how it was made.

Reads the other steps of the workspace. Writes report/index.html there.`,
		Example: "  salescast report -c examples/bakery -w runs/bakery",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.step(cmd.Context(), cmd, func(ctx context.Context, env tasks.Env, c *config) (*tasks.Result, error) {
				return tasks.Report(ctx, env, c.reportOptions(force))
			})
		},
	}
	settingFlag(cmd, "title", "report.title")
	forceFlag(cmd, &force)
	return cmd
}
