package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"salescast/pkg/calendar"
	"salescast/tasks"
)

func (a *app) generateCommand() *cobra.Command {
	o := tasks.DefaultGenerateOptions()
	cmd := &cobra.Command{
		Use:   "generate",
		Short: "Make synthetic sales whose true demand is known",
		Long: `Make synthetic sales of a chain of stores: weekdays, seasons, holidays, promotions, store events,
traffic, and stockouts that hide demand. The same seed gives the same data.

Reads nothing. Writes data/ in the workspace; truth.parquet there keeps the expected demand, so that
a forecast can be compared with the best possible.`,
		Example: "  salescast generate -w runs/synthetic --stores 3 --items 5\n  salescast validate -w runs/synthetic",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.step(cmd.Context(), cmd, func(ctx context.Context, env tasks.Env, _ *config) (*tasks.Result, error) {
				return tasks.Generate(ctx, env, o)
			})
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Stores, "stores", o.Stores, "stores of the chain")
	f.IntVar(&o.Items, "items", o.Items, "products that every store sells")
	f.Var((*dayFlag)(&o.Start), "start", "first `date`")
	f.Var((*dayFlag)(&o.End), "end", "last `date`")
	f.Uint64Var(&o.Seed, "seed", o.Seed, "seed of the random numbers")
	forceFlag(cmd, &o.Force)
	return cmd
}

// dayFlag is a date on the command line.
type dayFlag calendar.Day

var _ pflag.Value = (*dayFlag)(nil)

func (d *dayFlag) String() string { return calendar.Day(*d).String() }
func (d *dayFlag) Type() string   { return "date" }
func (d *dayFlag) Set(s string) error {
	v, err := calendar.ParseDay(s)
	if err != nil {
		return fmt.Errorf("%w; write it as 2026-01-31", err)
	}
	*d = dayFlag(v)
	return nil
}
