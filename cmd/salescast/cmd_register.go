package main

import (
	"context"

	"github.com/spf13/cobra"

	"salescast/tasks"
)

func (a *app) registerCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "register",
		Short: "Register the models, and make the better one champion",
		Long: `Make a version of the ensemble and of each member in the model registry, with the alias challenger. It
becomes champion where it is better out of sample than the champion, on the same origins and sales, by
more than register.margin and by more than noise; the first must beat the seasonal naive forecast, and so
must one of your sales whose champion is of generated ones. Otherwise the champion stays, and the exit
status is 10. What cannot be compared, such as models of other series, is promoted with --promote always.

The registry is MLflow's where MLFLOW_TRACKING_URI is set; else it is local: register.folder, or the
workspace.

Reads validate/, train/MODEL/ and ensemble/. Writes register/ in the workspace: decisions.json, with who
decided what, when and on which figures. The same is in the tags of the version.`,
		Example: "  salescast register -c examples/bakery -w runs/bakery\n  salescast forecast -c examples/bakery -w runs/bakery --model models:/sales_forecast_ensemble@champion",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.step(cmd.Context(), cmd, func(ctx context.Context, env tasks.Env, c *config) (*tasks.Result, error) {
				if err := a.sendEarlier(ctx, c); err != nil {
					return nil, err
				}
				return tasks.Register(ctx, env, c.registerOptions(force))
			})
		},
	}
	settingFlag(cmd, "models", "models")
	settingFlag(cmd, "prefix", "register.prefix")
	settingFlag(cmd, "metric", "register.metric")
	settingFlag(cmd, "margin", "register.margin")
	settingFlag(cmd, "promote", "register.promote")
	settingFlag(cmd, "stages", "register.stages")
	cmd.Flags().Lookup("stages").NoOptDefVal = "true"
	forceFlag(cmd, &force)
	return cmd
}
