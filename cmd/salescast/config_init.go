package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
	"salescast/pkg/table"
	"salescast/pkg/table/format"
	"salescast/tasks"
)

// sampled is about how many rows a look at a file takes in.
const sampled = 20_000

func (a *app) configInitCommand() *cobra.Command {
	var to string
	var force bool
	cmd := &cobra.Command{
		Use:   "init DATA",
		Short: "Write a commented salescast.yaml that fits a file of sales",
		Long: `Look at the first rows of CSV or Parquet, here or at s3://, and write a commented ` + configName + ` for
it: which columns name a series, which is the date, which is to be forecast, and how often. What it
guessed is marked; look it over, above all what is known of the future. Of several files it looks at one.

Reads the data file. Writes --to (default ` + configName + `), which must not exist unless --force; - is standard output.`,
		Example: "  salescast config init sales.csv\n  salescast run",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.configInit(cmd.Context(), args[0], to, force)
		},
	}
	cmd.Flags().StringVar(&to, "to", configName, "`path` to write")
	cmd.Flags().BoolVar(&force, "force", false, "overwrite a file that is there")
	return cmd
}

func (a *app) configInit(ctx context.Context, data, to string, force bool) error {
	cols, err := a.lookAt(ctx, data)
	if err != nil {
		return &tasks.Error{Kind: tasks.KindOf(err), Op: "look at " + data, Err: err, Hint: "give a CSV file with a header, also .gz, or Parquet"}
	}
	source := data
	if to != "-" && !strings.Contains(data, "://") {
		if rel, err := filepath.Rel(filepath.Dir(to), data); err == nil && !filepath.IsAbs(data) {
			source = rel
		}
	}
	text := starter(source, cols)
	if to == "-" {
		_, err := io.WriteString(a.out, text)
		return err
	}
	if _, err := os.Lstat(to); err == nil && !force {
		return &tasks.Error{Kind: tasks.KindUsage, Op: "write " + to, Err: errors.New("it is there already"), Hint: "use --force to overwrite it, or --to for another path"}
	}
	if err := writeOut(to, strings.NewReader(text)); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "wrote %s; look over the marked lines, then: salescast run -c %s\n", to, to)
	return err
}

// column is what the sample says of one column.
type column struct {
	name    string
	dates   bool
	numbers bool
	order   []calendar.Day
}

// lookAt reads the names and the first rows of the first file of a source.
func (a *app) lookAt(ctx context.Context, source string) ([]column, error) {
	files, err := a.sourceFiles(ctx, source)
	if err != nil {
		return nil, err
	}
	look, err := format.Header(ctx, files[0], table.Dialect{})
	if err != nil {
		return nil, err
	}
	header := look.Columns
	if len(header) < 2 {
		return nil, fmt.Errorf("it has one column, %q; columns are separated by commas", strings.Join(header, ""))
	}
	cols, want := make([]column, len(header)), make([]table.Column, len(header))
	for i, name := range header {
		cols[i] = column{name: name, dates: true, numbers: true}
		want[i] = table.Column{Name: name, Kind: table.Text, Dictionary: &panel.Dictionary{}}
	}
	rows := 0
	for r, err := range format.Blocks(ctx, files[0], look.Dialect, want) {
		if err != nil {
			return nil, err
		}
		for i, c := range r.Columns {
			for _, code := range c.Codes {
				cols[i].see(c.Dictionary.Value(code))
			}
		}
		if rows += r.Rows; rows >= sampled {
			break
		}
	}
	return cols, nil
}

func (c *column) see(v string) {
	if v == "" {
		return
	}
	if c.dates {
		d, err := calendar.ParseDay(v)
		c.dates = err == nil
		if n := len(c.order); err == nil && (n == 0 || c.order[n-1] != d) {
			c.order = append(c.order, d)
		}
	}
	if c.numbers {
		_, err := strconv.ParseFloat(v, 64)
		c.numbers = err == nil || v == "true" || v == "false"
	}
}

// roles are the guesses.
type roles struct {
	keys, known, past []string
	time, target      string
	frequency         string
}

func guess(cols []column) roles {
	var g roles
	for _, w := range []string{"sales", "demand", "quantity", "quantity_sold", "qty", "units", "units_sold", "target", "y", "value", "revenue"} {
		for _, c := range cols {
			if g.target == "" && c.numbers && strings.EqualFold(c.name, w) {
				g.target = c.name
			}
		}
	}
	for _, c := range cols {
		switch {
		case c.dates && len(c.order) > 0 && g.time == "":
			g.time, g.frequency = c.name, frequency(c.order)
		case c.name == g.target:
		case !c.numbers && !c.dates:
			g.keys = append(g.keys, c.name)
		case identifies(c.name):
			g.keys = append(g.keys, c.name)
		case planned(c.name):
			g.known = append(g.known, c.name)
		default:
			g.past = append(g.past, c.name)
		}
	}
	if n := len(g.past); g.target == "" && n > 0 {
		g.target, g.past = g.past[n-1], g.past[:n-1]
	}
	return g
}

func identifies(name string) bool {
	n := strings.ToLower(name)
	return n == "store" || n == "item" || n == "sku" || n == "id" || n == "product" || strings.HasSuffix(n, "_id") || strings.HasSuffix(n, "_nbr")
}

// planned says whether a name is that of something a planner decides or a calendar tells.
func planned(name string) bool {
	n := strings.ToLower(name)
	return slices.ContainsFunc([]string{"promo", "holiday", "price", "discount", "deal", "feat", "closed", "event"}, func(w string) bool { return strings.Contains(n, w) })
}

// frequency is D, W or M by the most frequent step between dates that follow each other in the file.
func frequency(days []calendar.Day) string {
	count := map[string]int{}
	for i := 1; i < len(days); i++ {
		switch d := days[i] - days[i-1]; {
		case d == 1:
			count["D"]++
		case d == 7:
			count["W"]++
		case d >= 28 && d <= 31:
			count["M"]++
		}
	}
	best := ""
	for _, f := range []string{"D", "W", "M"} {
		if count[f] > count[best] {
			best = f
		}
	}
	return best
}

// suggest gives the refusal of a source that no configuration describes the configuration that its columns look like. It is not used as
// it stands, because no look at the past tells what will be known of the future.
func (a *app) suggest(ctx context.Context, c *config, err error) error {
	refused, ok := errors.AsType[*tasks.Error](err)
	if !ok || refused.Kind != tasks.KindConfig || c.Data.Source == "" || len(c.Data.Keys) > 0 {
		return err
	}
	cols, lerr := a.lookAt(ctx, c.Data.Source)
	if lerr != nil {
		a.log.Debug().Err(lerr).Msg("no configuration can be suggested")
		return err
	}
	cured := *refused
	cured.Hint = fmt.Sprintf(`by their names and first rows the columns are %s: correct that, above all known_future, and give it as %s, or as it stands in the field `+
		`of the configuration in Airflow's trigger form; "salescast config init %s" writes it with all other settings`, brief(guess(cols)), configName, c.Data.Source)
	return &cured
}

// brief is a configuration of guesses alone, on one line.
func brief(g roles) string {
	var data []string
	for _, s := range []struct{ key, value string }{
		{"keys", list(g.keys)},
		{"time", scalarYAML(g.time)},
		{"target", scalarYAML(g.target)},
		{"frequency", g.frequency},
		{"known_future", list(g.known)},
		{"past_only", list(g.past)},
	} {
		if s.value != "" && s.value != "[]" {
			data = append(data, s.key+": "+s.value)
		}
	}
	horizon := ""
	if h := usualHorizon(g.frequency); h != "" {
		horizon = ", forecast: {horizon: " + h + "}"
	}
	return "{data: {" + strings.Join(data, ", ") + "}" + horizon + "}"
}

// usualHorizon is how far ahead people plan, in steps of a frequency; "" of an unknown one.
func usualHorizon(frequency string) string {
	return map[string]string{"D": "28", "W": "8", "M": "6"}[frequency]
}

// starter is the file, with every key and its meaning.
func starter(source string, cols []column) string {
	g := guess(cols)
	guessed := map[string]string{
		"data.source": strconv.Quote(source), "data.keys": list(g.keys), "data.time": scalarYAML(g.time), "data.target": scalarYAML(g.target),
		"data.frequency": g.frequency, "data.known_future": list(g.known), "data.past_only": list(g.past),
	}
	if h := usualHorizon(g.frequency); h != "" {
		guessed["forecast.horizon"] = h
	}
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
		value, ok := guessed[s.key]
		mark := ""
		if ok && value != "" {
			mark = " (guessed)"
		} else {
			value = s.def
		}
		comment := ""
		if s.key == "backtest.split" {
			comment = "# " // it excludes origins
		}
		fmt.Fprintf(&b, "%s# %s%s\n%s%s%s: %s\n", indent, s.doc, mark, indent, comment, word, value)
	}
	return b.String()
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
