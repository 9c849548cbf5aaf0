package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"salescast/pkg/drift"
	"salescast/pkg/metric"
	"salescast/tasks"
)

func (a *app) monitorCommand() *cobra.Command {
	var force, fail bool
	var model string
	cmd := &cobra.Command{
		Use:   "monitor",
		Short: "Say whether a model still forecasts as well as it did",
		Long: `Measure a model on the sales that came after those it learned from. It forecasts them again, as it would
have then, and its scores are compared with those of its backtest, and with the seasonal naive forecast.
It is drift where they are worse by more than monitor.wape, monitor.bias or monitor.coverage, and worse than
at every origin of the backtest, or where the naive forecast has become the better one. Columns whose values
are further from the history than ever before are named as well; they are no drift by themselves.

The verdict is of the last horizon steps, and of fewer where the model is younger. Less than a week of new
sales, four weeks of weekly ones, or three months of monthly ones, is nothing to do (99).

The model is a workspace, the folder of an ensemble, models:/NAME@ALIAS or models:/NAME/VERSION. What the
configuration does not say of the data is as it was for the model, as in "salescast forecast --model".

Validates data.source into validate/. Writes monitor/ in the workspace: monitor.json and report.html,
predictions.csv and predictions.parquet (the forecasts beside the sales) and scores_by_series.csv.`,
		Example: `  salescast monitor -w runs/today --model models:/sales_forecast_ensemble@champion
  salescast monitor -w runs/today --model runs/bakery --set data.source=new_sales.csv --fail-on-drift`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if model == "" {
				return &tasks.Error{Kind: tasks.KindUsage, Op: "monitor", Err: errors.New("--model is not given"), Hint: "say which model, such as --model models:/sales_forecast_ensemble@champion"}
			}
			return a.step(cmd.Context(), cmd, func(ctx context.Context, env tasks.Env, c *config) (*tasks.Result, error) {
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
				o := c.monitorOptions(model, force)
				o.FailOnDrift = fail
				res, err := tasks.Monitor(ctx, env, m, o)
				if k := tasks.KindOf(err); k == "" || k == tasks.KindDrift {
					doc, rerr := tasks.ReadMonitoring(ctx, env)
					if rerr != nil {
						return res, errors.Join(err, rerr)
					}
					a.summary = monitorSummary(doc, res, env.Store.URL("monitor/report.html"))
				}
				return res, err
			})
		},
	}
	cmd.Flags().StringVar(&model, "model", "", "`address` of the model to measure")
	cmd.Flags().BoolVar(&fail, "fail-on-drift", false, "exit with 11 where there is drift")
	settingFlag(cmd, "horizon", "forecast.horizon")
	forceFlag(cmd, &force)
	return cmd
}

// monitorSummary is what a person sees: the model now, and as it was measured when it was made.
func monitorSummary(doc drift.Report, r *tasks.Result, report string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s learned until %s.\nThe last %s, %s to %s, forecast again from %s:\n\n", doc.Model, doc.Learned, plural(doc.Steps, "step"), doc.From, doc.To, doc.Blocks[len(doc.Blocks)-1].Cutoff)
	fmt.Fprintf(&b, "  %-20s %8s %8s %8s %14s\n", "", "WAPE", "RMSSE", "bias", "95 % coverage")
	for _, row := range []struct {
		name string
		s    metric.Scores
	}{
		{"now", doc.Now.Model}, {"in the backtest", doc.Then.Model}, {"seasonal naive now", doc.Now.Baseline}, {"in the backtest", doc.Then.Baseline},
	} {
		fmt.Fprintf(&b, "  %-20s %8s %8s %8s %14s\n", row.name, score(row.s.WAPE, "%.4f", 1), score(row.s.RMSSE, "%.3f", 1), score(row.s.Bias, "%+.1f %%", 100), score(row.s.Coverage95, "%.1f %%", 100))
	}
	b.WriteByte('\n')
	if !doc.Drift {
		b.WriteString("  no drift\n")
	}
	for _, f := range doc.Findings {
		fmt.Fprintf(&b, "  %s: %s\n", f.Severity, f.Message)
	}
	fmt.Fprintf(&b, "\n  report    %s\n\n%s in %s\n", report, r.Status, seconds(r.Timings["total"]))
	return b.String()
}
