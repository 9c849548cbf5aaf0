package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
	"salescast/pkg/table"
	"salescast/pkg/table/roles"
	"salescast/tasks"
)

func (a *app) configInitCommand() *cobra.Command {
	var to string
	var given namedRoles
	var force bool
	cmd := &cobra.Command{
		Use:   "init DATA",
		Short: "Write a commented salescast.yaml that fits a file of sales",
		Long: `Look at CSV or Parquet, here or at s3://, and write a commented ` + configName + ` for it: which columns
name a series, which is the date, which is to be forecast, what is known in future, and how its text is
written. Why stands beside each, and is printed. What the rows do not decide is a question (exit status
78) with the flag that answers it; a table that cannot be forecast is said to be one (65).

Reads the data. Writes --to (default ` + configName + `), which must not exist unless --force; - is standard output.`,
		Example: "  salescast config init sales.csv\n  salescast run",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.configInit(cmd.Context(), args[0], to, given, force)
		},
	}
	given.flags(cmd)
	cmd.Flags().StringVar(&to, "to", configName, "`path` to write")
	cmd.Flags().BoolVar(&force, "force", false, "overwrite a file that is there")
	return cmd
}

// namedRoles are the flags by which a person says what rows do not.
type namedRoles struct{ roles.Given }

func (n *namedRoles) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&n.Time, "time", "", "the `column` of the dates, where it cannot be told")
	cmd.Flags().StringVar(&n.Target, "target", "", "the `column` that is to be forecast, where it cannot be told")
	cmd.Flags().BoolVar(&n.Receipts, "receipts", false, "rows of one series and day are parts of its sales, to be summed")
	cmd.Flags().StringSliceVar(&n.Keys, "keys", nil, "the `columns` that name a series, where they cannot be told")
}

func (a *app) configInit(ctx context.Context, data, to string, given namedRoles, force bool) error {
	g, err := a.lookAt(ctx, data, given.Given)
	if err != nil {
		return err
	}
	source := data
	if to != "-" && !strings.Contains(data, "://") {
		if rel, err := filepath.Rel(filepath.Dir(to), data); err == nil && !filepath.IsAbs(data) {
			source = rel
		}
	}
	text := starter(source, g)
	if to == "-" {
		_, err := io.WriteString(a.out, text)
		return err
	}
	if err := a.saveConfig(to, text, force); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%s\nwrote %s; look it over, then: salescast run -c %s\n", rolesTable(g), to, to)
	return err
}

func (a *app) saveConfig(to, text string, force bool) error {
	if _, err := os.Lstat(to); err == nil && !force {
		return &tasks.Error{Kind: tasks.KindUsage, Op: "write " + to, Err: errors.New("it is there already"), Hint: "use --force to overwrite it, or --to for another path"}
	}
	return writeOut(to, strings.NewReader(text))
}

// lookAt guesses what the columns of a source are. Its errors say what is wrong with the table, or ask what only its owner knows.
func (a *app) lookAt(ctx context.Context, source string, given roles.Given) (*roles.Guess, error) {
	op := "look at " + source
	files, err := a.sourceFiles(ctx, source)
	if err != nil {
		return nil, &tasks.Error{Kind: tasks.KindOf(err), Op: op, Err: err, Hint: cmp.Or(tasks.HintOf(err), "give a CSV file with a header, also .gz, .zst or .zip, Parquet, or an Excel workbook")}
	}
	g, err := roles.Of(ctx, files, table.Dialect{}, given)
	if q, ok := errors.AsType[*table.Question](err); ok {
		return nil, &tasks.Error{Kind: tasks.KindConfig, Op: op, Err: err, Hint: q.Hint}
	}
	if bad, ok := errors.AsType[*table.SyntaxError](err); ok {
		return nil, &tasks.Error{Kind: tasks.KindData, Op: op, Err: err, Hint: bad.Hint}
	}
	if err != nil {
		return nil, &tasks.Error{Kind: tasks.KindOf(err), Op: op, Err: err}
	}
	return g, nil
}

// rolesTable is what people read of a guess: each column, what it is, and why.
func rolesTable(g *roles.Guess) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "column\trole\twhy")
	for _, c := range g.Columns {
		fmt.Fprintf(w, "%s\t%s\t%s\n", c.Name, c.Role, c.Why)
	}
	_ = w.Flush() // a builder takes all
	return b.String()
}

// frequency is D, W, M, Q or Y where nearly all steps between the days of a series are of that length; "" leaves it to validation.
func frequency(days []calendar.Day) string {
	count := map[string]int{}
	for i := 1; i < len(days); i++ {
		switch d := days[i] - days[i-1]; {
		case d < 7:
			count["D"]++
		case d == 7:
			count["W"]++
		case d >= 28 && d <= 31:
			count["M"]++
		case d >= 89 && d <= 92:
			count["Q"]++
		case d >= 365 && d <= 366:
			count["Y"]++
		}
	}
	for _, f := range []string{"D", "W", "M", "Q", "Y"} {
		if 10*count[f] >= 9*(len(days)-1) && count[f] > 0 {
			return f
		}
	}
	return ""
}

// suggest gives the refusal of a source that no configuration describes the configuration that its columns look like. It is not used as
// it stands, because no look at the past tells what will be known of the future.
func (a *app) suggest(ctx context.Context, c *config, err error) error {
	refused, ok := errors.AsType[*tasks.Error](err)
	if !ok || refused.Kind != tasks.KindConfig || c.Data.Source == "" || len(c.Data.Keys) > 0 {
		return err
	}
	g, lerr := a.lookAt(ctx, c.Data.Source, roles.Given{})
	if lerr != nil {
		a.log.Debug().Err(lerr).Msg("no configuration can be suggested")
		return err
	}
	cured := *refused
	cured.Hint = fmt.Sprintf(`by their names and rows the columns are %s: correct that, above all known_future, and give it as %s, or as it stands in the field `+
		`of the configuration in Airflow's trigger form; "salescast config init %s" writes it with all other settings`, brief(g), configName, c.Data.Source)
	return &cured
}

// guessed are the settings that a look at a table gives, as YAML, in the order of the settings.
func guessed(g *roles.Guess) map[string]string {
	first := func(names []string) string {
		if len(names) == 0 {
			return ""
		}
		return scalarYAML(names[0])
	}
	f := frequency(g.Days)
	out := map[string]string{
		"data.keys": list(g.Named(roles.Key)), "data.time": first(g.Named(roles.Time)), "data.target": first(g.Named(roles.Target)), "data.frequency": f,
		"data.known_future": list(g.Named(roles.KnownFuture)), "data.past_only": list(g.Named(roles.PastOnly)), "data.static": list(g.Named(roles.Static)),
		"data.ignore": list(g.Named(roles.Ignored)), "data.stockout": first(g.Named(roles.Stockout)), "data.csv": csvYAML(g.Dialect), "data.time_format": "", "forecast.horizon": usualHorizon(f),
	}
	if g.Receipts {
		out["data.aggregate"], out["data.missing"] = string(panel.Sum), string(panel.NoneSold)
	}
	if t := g.Dialect.Times; t != "" && t != table.YMD {
		out["data.time_format"] = string(t)
	}
	for k, v := range out {
		if v == "[]" || v == "{}" {
			out[k] = ""
		}
	}
	return out
}

// csvYAML is what of a dialect is other than a configuration would be without it.
func csvYAML(d table.Dialect) string {
	var out []string
	for _, s := range []struct{ key, value, usual string }{
		{"separator", d.Separator, ","},
		{"decimal", d.Decimal, "."},
		{"thousands", d.Thousands, table.NoThousands},
		{"encoding", d.Encoding, table.UTF8},
		{"sheet", d.Sheet, ""},
	} {
		if s.value != "" && s.value != s.usual {
			out = append(out, s.key+": "+strconv.Quote(s.value))
		}
	}
	return "{" + strings.Join(out, ", ") + "}"
}

// brief is a configuration of guesses alone, on one line.
func brief(g *roles.Guess) string {
	all := guessed(g)
	var data []string
	for _, s := range settings() {
		if word, ok := strings.CutPrefix(s.key, "data."); ok && all[s.key] != "" {
			data = append(data, word+": "+all[s.key])
		}
	}
	horizon := ""
	if h := all["forecast.horizon"]; h != "" {
		horizon = ", forecast: {horizon: " + h + "}"
	}
	return "{data: {" + strings.Join(data, ", ") + "}" + horizon + "}"
}

// usualHorizon is how far ahead people plan, in steps of a frequency; "" of an unknown one.
func usualHorizon(frequency string) string {
	return map[string]string{"D": "28", "W": "8", "M": "6", "Q": "4", "Y": "2"}[frequency]
}

// roleOf is the role that a setting names columns for.
var roleOf = map[string]roles.Role{
	"data.keys": roles.Key, "data.time": roles.Time, "data.target": roles.Target, "data.known_future": roles.KnownFuture, "data.past_only": roles.PastOnly,
	"data.static": roles.Static, "data.ignore": roles.Ignored, "data.stockout": roles.Stockout,
}

// starter is the file, with every key, its meaning, and why each guess was made.
func starter(source string, g *roles.Guess) string {
	all := guessed(g)
	all["data.source"] = strconv.Quote(source)
	var b strings.Builder
	fmt.Fprintf(&b, "# How to forecast %s.\n# Lines marked (guessed) come from a look at the data: check them.\n", filepath.Base(source))
	b.WriteString("# Above all: known_future is for what the plan tells (promotions, prices, holidays), past_only for what must not be read ahead.\n")
	section := ""
	for _, s := range settings() {
		sec, word, nested := strings.Cut(s.key, ".")
		if !nested {
			sec, word = "", s.key
		}
		if sec != section || !nested {
			b.WriteByte('\n')
			if nested {
				fmt.Fprintf(&b, "%s:\n", sec)
			}
			section = sec
		}
		indent := ""
		if nested {
			indent = "  "
		}
		value := all[s.key]
		mark := " (guessed)"
		if value == "" {
			value, mark = s.def, ""
		}
		comment := ""
		if s.key == "backtest.split" {
			comment = "# " // it excludes origins
		}
		fmt.Fprintf(&b, "%s# %s%s\n", indent, s.doc, mark)
		for _, c := range g.Columns {
			if r, ok := roleOf[s.key]; ok && c.Role == r && mark != "" {
				fmt.Fprintf(&b, "%s#   %s: %s\n", indent, oneLine(c.Name), c.Why)
			}
		}
		fmt.Fprintf(&b, "%s%s%s: %s\n", indent, comment, word, value)
	}
	return b.String()
}

// oneLine is a name as it may stand in a comment.
func oneLine(name string) string {
	if strings.ContainsFunc(name, unicode.IsControl) {
		return strconv.Quote(name)
	}
	return name
}

func list(words []string) string {
	quoted := slices.Clone(words)
	for i := range quoted {
		quoted[i] = scalarYAML(quoted[i])
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// scalarYAML quotes what is not a plain word.
func scalarYAML(s string) string {
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_'
		if digit := r >= '0' && r <= '9'; !letter && (i == 0 || !digit) {
			return strconv.Quote(s)
		}
	}
	switch strings.ToLower(s) {
	case "", "y", "n", "yes", "no", "on", "off", "true", "false", "null":
		return strconv.Quote(s)
	}
	return s
}
