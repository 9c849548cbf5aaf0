package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"salescast/tasks"
)

// tunableNames are the models that have something to tune.
func tunableNames() []string {
	return slices.DeleteFunc(modelNames(), func(m string) bool { return !tasks.Tunable(m) })
}

func (a *app) tuneCommand() *cobra.Command {
	var force bool
	var model string
	cmd := &cobra.Command{
		Use:   "tune",
		Short: "Search the parameters of one model's trees",
		Long: `Search the parameters of one model's trees by its forecasts from the validation origins, which lie before
the first test origin. Trials that look bad are pruned. A search that was stopped goes on where it was;
other processes that tune the same model on the same data with the same storage take part in it.

Tuning hardly pays: see docs/method.md. With tuning.trials set, train and run use what is found, search
it where that was not done, and say how the defaults would have done on the test origins.

Reads validate/. Writes tune/MODEL/ in the workspace: params.json and trials.json. The study is kept in
tuning.storage, in the tables of Optuna.`,
		Example: "  salescast tune --model lightgbm --trials 40 -c examples/bakery -w runs/bakery",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.step(cmd.Context(), cmd, func(ctx context.Context, env tasks.Env, c *config) (*tasks.Result, error) {
				if !tasks.Tunable(model) {
					return nil, &tasks.Error{
						Kind: tasks.KindUsage, Op: "flag --model", Err: fmt.Errorf("no model %q can be tuned%s", model, didYouMean(model, tunableNames())),
						Hint: "name one of " + strings.Join(tunableNames(), ", "),
					}
				}
				if c.Tuning.Trials == 0 {
					return nil, &tasks.Error{Kind: tasks.KindUsage, Op: "tune", Err: errors.New("tuning is off"), Hint: "give --trials, such as 40, or set tuning.trials"}
				}
				return tasks.Tune(ctx, env, c.tuneOptions(model, force))
			})
		},
	}
	cmd.Flags().StringVarP(&model, "model", "m", "", "`name` of the model: "+strings.Join(tunableNames(), ", "))
	oneOf(cmd, "model", tunableNames())
	settingFlag(cmd, "trials", "tuning.trials")
	settingFlag(cmd, "minutes", "tuning.minutes")
	settingFlag(cmd, "horizon", "forecast.horizon")
	settingFlag(cmd, "origins", "backtest.origins")
	settingFlag(cmd, "seed", "seed")
	forceFlag(cmd, &force)
	return cmd
}
