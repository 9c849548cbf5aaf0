package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"salescast/pkg/artifact"
	"salescast/pkg/metric"
	"salescast/pkg/table"
	"salescast/tasks"
)

func (a *app) runCommand() *cobra.Command {
	var force, save bool
	var given namedRoles
	cmd := &cobra.Command{
		Use:   "run [DATA|FOLDER|FILE]",
		Short: "Do every step, from data to report",
		Long: `Do every step in order: validate, train each model, ensemble, evaluate, register
where register.enabled says so, forecast, report.
Steps whose answer is there are not repeated; a run that was stopped goes on where it was.

Reads the configuration (the argument is its file or folder, like --config) and the data it names. Given
the data instead (CSV, Parquet, s3://), it takes for a configuration what "salescast config init" would
write of them, and says so first; --save keeps it as ` + configName + `.
Writes the workspace, by default runs/NAME, where NAME is that of the configuration's folder, or of the data.`,
		Example: "  salescast run sales.csv\n  salescast run examples/bakery\n  salescast run -c salescast.yaml -w s3://salescast/runs/today --output json",
		Args:    cobra.MaximumNArgs(1),

		ValidArgsFunction: files("yaml", "yml", "csv", "gz", "parquet"),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
			case isData(args[0]):
				if err := a.describeData(cmd.Context(), args[0], given, save); err != nil {
					return err
				}
			default:
				a.global.config = args[0]
			}
			c, err := a.loadConfig(cmd)
			if err != nil {
				return err
			}
			workspace := a.global.workspace
			switch {
			case workspace != "":
			case a.guessed != "":
				workspace = filepath.Join(defaultRuns, dataName(args[0]))
			default:
				if workspace, err = defaultWorkspace(c); err != nil {
					return err
				}
			}
			if err := a.needsData(cmd.Context(), workspace, c); err != nil {
				return err
			}
			return a.stepIn(cmd.Context(), cmd, workspace, c, func(ctx context.Context, env tasks.Env, c *config) (*tasks.Result, error) {
				res, err := tasks.Run(ctx, env, c.runOptions(force), a.tell)
				if err == nil || tasks.KindOf(err) == tasks.KindRefused {
					var serr error
					if a.summary, serr = runSummary(ctx, env, workspace, res); err == nil {
						err = serr
					}
				}
				return res, a.suggest(ctx, c, err)
			})
		},
	}
	given.flags(cmd)
	cmd.Flags().BoolVar(&save, "save", false, "keep what was guessed of the data as "+configName)
	settingFlag(cmd, "horizon", "forecast.horizon")
	settingFlag(cmd, "models", "models")
	settingFlag(cmd, "preset", "preset")
	settingFlag(cmd, "seed", "seed")
	cmd.Flags().BoolVar(&force, "force", false, "redo every step although its answer is there")
	return cmd
}

// isData says whether an argument of run names data and not a configuration.
func isData(arg string) bool {
	if strings.Contains(arg, "://") || strings.ContainsAny(arg, "*?[") {
		return true
	}
	if ext := strings.ToLower(filepath.Ext(arg)); ext == ".yaml" || ext == ".yml" {
		return false
	}
	if fi, err := os.Stat(arg); err == nil && fi.IsDir() {
		_, err := os.Stat(filepath.Join(arg, configName))
		files, ferr := table.LocalFiles(context.Background(), arg)
		return errors.Is(err, fs.ErrNotExist) && ferr == nil && len(files) > 0
	}
	return filepath.Ext(arg) != ""
}

// dataName names a workspace by its data: sales for data/sales.csv.gz.
func dataName(source string) string {
	base := path.Base(filepath.ToSlash(strings.TrimRight(source, "/")))
	name, _, _ := strings.Cut(base, ".")
	if name = strings.Trim(name, "*?[]"); name == "" {
		return "default"
	}
	return name
}

// describeData guesses a configuration for data that have none, says what it took each column for, and keeps it where that is asked.
func (a *app) describeData(ctx context.Context, source string, given namedRoles, save bool) error {
	if a.global.config != "" {
		return &tasks.Error{Kind: tasks.KindUsage, Op: "run " + source, Err: errors.New("--config says what the data are already"), Hint: "give the data as --set data.source=" + source}
	}
	g, err := a.lookAt(ctx, source, given.Given)
	if err != nil {
		return err
	}
	if a.guessed = starter(source, g); save {
		if err := a.saveConfig(configName, a.guessed, false); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(a.err, "%s\n", rolesTable(g))
	return err
}

// needsData refuses a run that nobody has told of data, before it makes a workspace for it.
func (a *app) needsData(ctx context.Context, workspace string, c *config) error {
	if c.Data.Source != "" || c.file != "" {
		return nil
	}
	store, _, err := a.openStore(workspace)
	if err != nil {
		return err
	}
	if _, err := store.Stat(ctx, path.Join("data", artifact.ManifestName)); !errors.Is(err, fs.ErrNotExist) {
		return err // what was generated is in the workspace
	}
	return &tasks.Error{
		Kind: tasks.KindInputMissing, Op: "run", Err: fmt.Errorf("there is no %s here, and no data in %s", configName, workspace),
		Hint: `with a file of sales, "salescast run sales.csv" looks at it and forecasts; without one, "salescast generate -w ` + workspace + `" makes sales up`,
	}
}

// tell says on standard error how each step of a run ended.
func (a *app) tell(r *tasks.Result, nth, of int) {
	switch {
	case r.Error != nil:
	case a.people:
		if a.log.GetLevel() <= zerolog.InfoLevel {
			fmt.Fprint(a.bars.writer(), stepLine(r, nth, of))
		}
	default:
		a.log.Info().Str("step", r.Step).Str("status", string(r.Status)).Float64("seconds", r.Timings["total"]).Msg("step")
	}
}

// defaultWorkspace is the same for the same configuration, so that a second run finds the answers of the first.
func defaultWorkspace(c *config) (string, error) {
	if c.file == "" {
		return filepath.Join(defaultRuns, "default"), nil
	}
	folder, err := filepath.Abs(c.folder)
	if err != nil {
		return "", fmt.Errorf("find the configuration's folder: %w", err)
	}
	name := filepath.Base(folder)
	if base := filepath.Base(c.file); base != configName {
		name = base[:len(base)-len(filepath.Ext(base))]
	}
	return filepath.Join(defaultRuns, name), nil
}

// runSummary is what a person sees at the end of a run: how good each model was on the past, and where to look.
func runSummary(ctx context.Context, env tasks.Env, workspace string, r *tasks.Result) (string, error) {
	d, err := tasks.Metrics(ctx, env.Store)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\nOut of sample: %s series, %s ahead from each of %s.\n\n", grouped(int64(d.Series)), plural(d.Horizon, "step"), plural(len(d.Origins), "origin"))
	fmt.Fprintf(&b, "  %-20s %8s %8s %8s %14s\n", "", "WAPE", "RMSSE", "bias", "95 % coverage")
	for _, m := range d.Models {
		s := m.Overall
		fmt.Fprintf(&b, "  %-20s %8s %8s %8s %14s\n", strings.ReplaceAll(m.Model, "_", " "), score(s.WAPE, "%.4f", 1), score(s.RMSSE, "%.3f", 1), score(s.Bias, "%+.1f %%", 100), score(s.Coverage95, "%.1f %%", 100))
	}
	if knew := d.Foresight.Knew(); knew != "" {
		fmt.Fprintf(&b, "\n  At each origin the models knew the sales%s.\n", knew)
	}
	if worth := d.Worth(); worth != "" {
		fmt.Fprintf(&b, "  %s\n", worth)
	}
	at := func(name string) string { return filepath.Join(workspace, filepath.FromSlash(name)) }
	if strings.Contains(workspace, "://") {
		at = env.Store.URL
	}
	fmt.Fprintf(&b, "\n  report    %s\n  forecast  %s\n\n", at("report/index.html"), at("forecast/forecast.csv"))
	fmt.Fprintf(&b, "%s in %s", r.Status, seconds(r.Timings["total"]))
	if n := len(r.Warnings); n > 0 {
		fmt.Fprintf(&b, ", %s in the report", plural(n, "warning"))
	}
	b.WriteByte('\n')
	return b.String(), nil
}

// score writes a figure times a factor, and a dash where there is none.
func score(v metric.Value, format string, times float64) string {
	if !v.Defined() {
		return "-"
	}
	return fmt.Sprintf(format, float64(v)*times)
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
