package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"salescast/tasks"
)

func (a *app) featurizeCommand() *cobra.Command {
	var force bool
	var shard shardFlag
	cmd := &cobra.Command{
		Use:   "featurize",
		Short: "Compute the features of every series and date",
		Long: `Compute the features of every series and date: calendar, holidays, lags, rolling statistics, promotions
and prices. Every feature says what it may read; none reads past its forecast origin.

Reads validate/. Writes featurize/ in the workspace: the features as Parquet, and plan.json, which
says what each column is.`,
		Example: "  salescast featurize -c examples/bakery -w runs/bakery",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.step(cmd.Context(), cmd, func(ctx context.Context, env tasks.Env, c *config) (*tasks.Result, error) {
				o := c.featurizeOptions(force)
				o.Shard, o.Shards = shard.i, shard.n
				return tasks.Featurize(ctx, env, o)
			})
		},
	}
	settingFlag(cmd, "horizon", "forecast.horizon")
	cmd.Flags().Var(&shard, "shard", "only the series of part `i/n`, by a hash of their names")
	forceFlag(cmd, &force)
	return cmd
}

// shardFlag is i/n on the command line, 0/0 for all.
type shardFlag struct{ i, n int }

func (s *shardFlag) String() string {
	if s.n == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", s.i, s.n)
}
func (s *shardFlag) Type() string { return "i/n" }
func (s *shardFlag) Set(v string) error {
	left, right, _ := strings.Cut(v, "/")
	i, err1 := strconv.Atoi(left)
	n, err2 := strconv.Atoi(right)
	if err1 != nil || err2 != nil || i < 1 || i > n {
		return fmt.Errorf("%q is not i/n with i from 1 to n, such as 1/4", v)
	}
	s.i, s.n = i, n
	return nil
}
