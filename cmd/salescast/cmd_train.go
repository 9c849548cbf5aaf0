package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"salescast/tasks"
)

func (a *app) trainCommand() *cobra.Command {
	var force bool
	var model string
	cmd := &cobra.Command{
		Use:   "train",
		Short: "Fit one model, and forecast the past with it as it would have been",
		Long: `Fit one model on all series together. It is fitted anew at every validation and test origin, on data up
to that origin only, and forecasts from there; then once on all data. With tuning.trials set, its
parameters are those that tune found, which is done before if it was not.

Reads validate/. Writes train/MODEL/ in the workspace: the model in its engine's own
format, validation.parquet and backtest.parquet with the forecasts of the past.`,
		Example: "  salescast train --model xgboost -c examples/bakery -w runs/bakery",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.step(cmd.Context(), cmd, func(ctx context.Context, env tasks.Env, c *config) (*tasks.Result, error) {
				if !slices.Contains(modelNames(), model) {
					return nil, &tasks.Error{
						Kind: tasks.KindUsage, Op: "flag --model", Err: fmt.Errorf("unknown model %q%s", model, didYouMean(model, modelNames())),
						Hint: "name one of " + strings.Join(modelNames(), ", "),
					}
				}
				train := c.trainOptions(model, force)
				if train.Tuned {
					if r, err := tasks.Tune(ctx, env, c.tuneOptions(model, false)); err != nil {
						return r, err
					}
				}
				return tasks.Train(ctx, env, train)
			})
		},
	}
	cmd.Flags().StringVarP(&model, "model", "m", "", "`name` of the model: "+strings.Join(modelNames(), ", "))
	oneOf(cmd, "model", modelNames())
	settingFlag(cmd, "horizon", "forecast.horizon")
	settingFlag(cmd, "origins", "backtest.origins")
	settingFlag(cmd, "seed", "seed")
	forceFlag(cmd, &force)
	return cmd
}
