package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"salescast/pkg/artifact"
	"salescast/pkg/track"
	"salescast/tasks"
)

func (a *app) modelsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "models",
		Short: "Look at registered models, go back to an earlier champion, and export to Python",
		Long: `Look at the model registry, and go back to an earlier champion. The registry is MLflow's where
MLFLOW_TRACKING_URI is set; else it is local: register.folder of the configuration, or the workspace of -w.`,
		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var to string
	rollback := a.modelsWord("rollback MODEL", "Make an earlier version champion again",
		"Make the version champion that the champion replaced, or the one of --to. Tags on both versions say who did so and when.",
		"  salescast models rollback sales_forecast_ensemble\n  salescast models rollback sales_forecast_ensemble --to 3", 1,
		func(ctx context.Context, reg track.Registry, args []string) error {
			from, now, err := tasks.Rollback(ctx, reg, args[0], to, a.sourceTags()["mlflow.user"], a.now())
			if err != nil {
				return err
			}
			if a.global.output == outputJSON {
				return a.printJSON(map[string]string{"model": args[0], "champion": now, "previous_champion": from})
			}
			_, err = fmt.Fprintf(a.out, "%s: champion is version %s, before it was %s\n", args[0], now, or(from, "none"))
			return err
		})
	rollback.Flags().StringVar(&to, "to", "", "the `version` to go to (default: the one that the champion replaced)")
	cmd.AddCommand(
		a.modelsWord("list", "List models, their versions and aliases", "List all versions of all models, the newest first.", "  salescast models list -w runs/bakery", 0,
			func(ctx context.Context, reg track.Registry, _ []string) error { return a.listModels(ctx, reg) }),
		a.modelsWord("show MODEL[@ALIAS|/VERSION]", "Show a version with its audit record",
			"Show a version, by default the champion: where it lies, and the record of what was decided, when, by whom and on which figures.",
			"  salescast models show sales_forecast_ensemble\n  salescast models show sales_forecast_ensemble/3 --output json", 1,
			func(ctx context.Context, reg track.Registry, args []string) error {
				return a.showModel(ctx, reg, args[0])
			}),
		rollback, a.exportCommand(),
	)
	return cmd
}

// modelsWord is a command on the registry.
func (a *app) modelsWord(use, short, long, example string, args int, do func(context.Context, track.Registry, []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Long: long, Example: example, Args: cobra.ExactArgs(args), ValidArgsFunction: a.completeRegistered(args),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.loadConfig(cmd)
			if err != nil {
				return err
			}
			reg, err := a.openRegistry(c)
			if err != nil {
				return err
			}
			return do(cmd.Context(), reg, args)
		},
	}
}

// exportCommand writes a member's model of one series for Python.
func (a *app) exportCommand() *cobra.Command {
	o := tasks.ExportOptions{Member: "prophet"}
	cmd := &cobra.Command{
		Use: "export", Short: "Write the Prophet model of one series, for Python to open",
		Long: `Write the Prophet model of one series as a model of MLflow, which Python opens with
mlflow.prophet.load_model. It is the model that the member prophet forecasts this series with: the same
history, regressors, holidays and options. The model is asked from a workspace, the folder of an ensemble,
models:/NAME@ALIAS or models:/NAME/VERSION; --out is a new folder, on disk or s3://. Beside the model
stands input_example.json: the days of the horizon with the regressors as they were planned.

The member's forecast is Prophet's yhat, but never below 0 unless forecast.non_negative is false; the
ensemble then sets days to 0 on which a store is closed.`,
		Example: `  salescast models export -w runs/bakery --series store=B002,item=P101 --out prophet-B002-P101
  salescast models export --model models:/sales_forecast_ensemble@champion --series store=B002,item=P101 --out b002`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Model == "" {
				o.Model = a.global.workspace
			}
			for _, need := range []struct {
				flag   string
				absent bool
			}{{"--model or -w", o.Model == ""}, {"--series", len(o.Series) == 0}, {"--out", o.Out == ""}} {
				if need.absent {
					return &tasks.Error{Kind: tasks.KindUsage, Op: "export model", Err: errors.New(need.flag + " is missing"), Hint: `"salescast models export --help" has examples`}
				}
			}
			return a.exportModel(cmd, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Model, "model", "", "`address` of the ensemble (default: the workspace's own)")
	f.StringVar(&o.Member, "member", o.Member, "`name` of the member; prophet alone can be exported")
	f.StringToStringVar(&o.Series, "series", nil, "the series, as `key=value,...` of all its keys")
	f.StringVar(&o.Out, "out", "", "new `folder` to write")
	oneOf(cmd, "member", []string{o.Member})
	return cmd
}

func (a *app) exportModel(cmd *cobra.Command, o tasks.ExportOptions) error {
	c, err := a.loadConfig(cmd)
	if err != nil {
		return err
	}
	learners := a.engines()
	defer learners.Close()
	env := tasks.Env{Log: a.log, Now: a.now, Learners: learners, Open: func(url string) (artifact.Store, error) {
		s, _, err := a.openStore(url)
		return s, err
	}}
	if strings.HasPrefix(o.Model, "models:/") {
		if env.Registry, err = a.openRegistry(c); err != nil {
			return err
		}
	}
	done, err := tasks.Export(cmd.Context(), env, o)
	if err != nil {
		return err
	}
	if a.global.output == outputJSON {
		return a.printJSON(done)
	}
	var series []string
	for _, k := range slices.Sorted(maps.Keys(done.Series)) {
		series = append(series, k+"="+done.Series[k])
	}
	_, err = fmt.Fprintf(a.out, "%s: %s of %s, fitted up to %s; regressors: %s\n", done.Out, done.Member, strings.Join(series, ","), done.Origin,
		or(strings.Join(done.Regressors, ", "), "none"))
	return err
}

// registered is a version as JSON.
type registered struct {
	Model   string            `json:"model"`
	Version string            `json:"version"`
	Aliases []string          `json:"aliases"`
	Created time.Time         `json:"created"`
	Source  string            `json:"source"`
	RunID   string            `json:"run_id,omitempty"`
	Tags    map[string]string `json:"tags,omitempty"`
}

func registeredOf(v track.Version) registered {
	return registered{v.Model, v.Version, append([]string{}, v.Aliases...), v.Created.UTC(), v.Source, v.RunID, v.Tags}
}

func (a *app) listModels(ctx context.Context, reg track.Registry) error {
	names, err := reg.Models(ctx)
	if err != nil {
		return err
	}
	all := []registered{}
	for _, n := range names {
		versions, err := reg.Versions(ctx, n)
		if err != nil {
			return err
		}
		for _, v := range versions {
			all = append(all, registeredOf(v))
		}
	}
	if a.global.output == outputJSON {
		return a.printJSON(all)
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MODEL\tVERSION\tALIASES\tMADE\tDECISION\tREASON")
	for _, v := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", v.Model, v.Version, strings.Join(v.Aliases, ","), v.Created.Format(time.DateTime), v.Tags["salescast.decision"], v.Tags["salescast.reason"])
	}
	return w.Flush()
}

func (a *app) showModel(ctx context.Context, reg track.Registry, name string) error {
	if !strings.ContainsAny(name, "@/") {
		name += "@champion"
	}
	found, err := tasks.FindVersion(ctx, reg, name)
	if err != nil {
		return err
	}
	v := registeredOf(found)
	if a.global.output == outputJSON {
		return a.printJSON(v)
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "model\t%s\nversion\t%s\naliases\t%s\nmade\t%s\nsource\t%s\n", v.Model, v.Version, strings.Join(v.Aliases, ","), v.Created.Format(time.DateTime), v.Source)
	for _, k := range slices.Sorted(maps.Keys(v.Tags)) {
		if name, ok := strings.CutPrefix(k, "salescast."); ok && v.Tags[k] != "" {
			fmt.Fprintf(w, "%s\t%s\n", strings.ReplaceAll(name, "_", " "), v.Tags[k])
		}
	}
	return w.Flush()
}
