package casestest

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"

	"salescast/pkg/calendar"
	"salescast/pkg/columnar"
	"salescast/tests/servers"
)

// sold is one sale of a table: who sold it, in the period that is called by a day, and how many.
type sold struct {
	keys []string
	day  calendar.Day
	n    float64
}

// export is a table as people export it, and what is in it.
type export struct {
	name, file string
	content    []byte
	rows       []sold
	// frequency is that of the panel; horizon is asked for.
	frequency string
	horizon   int
	// exit and says are of a table that is refused, or asked about.
	exit int
	says []string
	// roles are columns of the panel that must be there, and must not be known in future.
	covariates, unknown []string
	// shut are weekdays, Monday 0, on which nothing may be forecast.
	shut []int
	args []string
}

var newYear = calendar.DateOf(2024, 1, 1)

// shopOf is a regular little shop: three series of so many steps, on the days of a frequency.
func shopOf(steps int, f string) []sold {
	every, _, err := calendar.ParseFrequency(f)
	if err != nil {
		panic(err)
	}
	var out []sold
	first := every.Floor(newYear-1) + 1
	if f != "D" {
		first -= calendar.Step(steps) // sales of days to come are refused
	}
	for j, keys := range [][]string{{"A", "x"}, {"A", "y"}, {"B", "x"}} {
		for i := range steps {
			d := every.Day(first + calendar.Step(i))
			n := 20*(j+1) + i*7919%6
			if f == "D" && d.Weekday() > 4 {
				n += 10
			}
			out = append(out, sold{keys, d, float64(n)})
		}
	}
	return out
}

// written are the rows as text, under their names, each field as a function makes it.
func written(names, separator string, rows []sold, day func(calendar.Day) string, number func(float64) string) []byte {
	var b strings.Builder
	b.WriteString(strings.ReplaceAll(names, ",", separator) + "\n")
	for _, r := range rows {
		b.WriteString(strings.Join(append(slices.Clone(r.keys), day(r.day), number(r.n)), separator) + "\n")
	}
	return []byte(b.String())
}

func iso(d calendar.Day) string { return d.String() }

func as(layout string) func(calendar.Day) string {
	return func(d calendar.Day) string { return d.Time().Format(layout) }
}

func plain(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }

func money(format, decimal, thousands string) func(float64) string {
	return func(x float64) string {
		s := fmt.Sprintf("%.2f", x)
		whole, cents, _ := strings.Cut(s, ".")
		if len(whole) > 3 && thousands != "" {
			whole = whole[:len(whole)-3] + thousands + whole[len(whole)-3:]
		}
		return fmt.Sprintf(format, whole+decimal+cents)
	}
}

func times(rows []sold, by float64) []sold {
	out := slices.Clone(rows)
	for i := range out {
		out[i].n *= by
	}
	return out
}

const header = "store,item,date,sales"

func exports(t *testing.T) []export {
	days := shopOf(140, "D")
	fractions := times(days, 1.25)
	large := times(days, 101.5)
	text := func(rows []sold) []byte { return written(header, ",", rows, iso, plain) }
	// beside adds a column that a function makes.
	beside := func(column string, value func(i int, r sold) string) []byte {
		lines := strings.Split(strings.TrimSpace(string(text(days))), "\n")
		lines[0] += "," + column
		for i, r := range days {
			lines[i+1] += "," + value(i, r)
		}
		return []byte(strings.Join(lines, "\n") + "\n")
	}
	all := []export{
		{name: "semicolons and decimal commas", content: written(header, ";", fractions, iso, money("%s", ",", "")), rows: fractions},
		{name: "points between thousands", content: written(header, ";", large, iso, money("%s", ",", ".")), rows: large},
		{name: "spaces between thousands", content: written(header, ";", large, iso, money("%s", ",", "\u202f")), rows: large},
		{name: "apostrophes between thousands", content: written(header, ";", large, iso, money("%s", ".", "'")), rows: large},
		{name: "quoted thousands", content: written(header, ",", large, iso, money(`"%s"`, ".", ",")), rows: large},
		{name: "tabs", file: "sales.tsv", content: written(header, "\t", days, iso, plain), rows: days},
		{name: "bars", file: "sales.txt", content: written(header, "|", days, iso, plain), rows: days},
		{name: "a line that names the separator", content: append([]byte("sep=;\n"), written(header, ";", days, iso, plain)...), rows: days},
		{name: "dollars", content: written(header, ",", fractions, iso, money("$%s", ".", "")), rows: fractions},
		{name: "euros", content: written(header, ";", fractions, iso, money("%s €", ",", "")), rows: fractions},
		{name: "a byte order mark and CRLF", content: append([]byte("\ufeff"), bytes.ReplaceAll(text(days), []byte("\n"), []byte("\r\n"))...), rows: days},
		{name: "day/month/year", content: written(header, ",", days, as("02/01/2006"), plain), rows: days},
		{name: "day.month.year", content: written(header, ";", days, as("2.1.2006"), plain), rows: days},
		{name: "month/day/year", content: written(header, ",", days, as("1/2/2006"), plain), rows: days},
		{name: "named months", content: written(header, ",", days, as("2-Jan-06"), plain), rows: days},
		{name: "compact dates", content: written(header, ",", days, as("20060102"), plain), rows: days},
		{name: "midnights", content: written(header, ",", days, as("2006-01-02 15:04:05"), plain), rows: days},
		{name: "midnights in a zone", content: written(header, ",", days, func(d calendar.Day) string { return iso(d) + "T00:00:00+02:00" }, plain), rows: days},
		{name: "epochs", content: written("store,item,timestamp,sales", ",", days, func(d calendar.Day) string { return strconv.FormatInt(d.Time().Unix(), 10) }, plain), rows: days},
		{name: "months", content: written(header, ",", shopOf(60, "M"), as("2006-01"), plain), rows: shopOf(60, "M"), frequency: "M", horizon: 3},
		{name: "months by their first day", content: text(shopOf(60, "M")), rows: shopOf(60, "M"), frequency: "M", horizon: 3},
		{name: "months by their last day", content: text(shopOf(60, "ME")), rows: shopOf(60, "ME"), frequency: "ME", horizon: 3},
		{name: "weeks from Wednesday", content: text(shopOf(110, "W-WED")), rows: shopOf(110, "W-WED"), frequency: "W-WED", horizon: 4},
		{name: "ISO weeks", content: written(header, ",", shopOf(110, "W-MON"), func(d calendar.Day) string { y, w := d.ISOWeek(); return fmt.Sprintf("%d-W%02d", y, w) }, plain), rows: shopOf(110, "W-MON"), frequency: "W-MON", horizon: 4},
		{name: "quarters", content: text(shopOf(48, "QS-JAN")), rows: shopOf(48, "QS-JAN"), frequency: "QS-JAN", horizon: 4},
		{name: "quarters by their last day", content: text(shopOf(48, "QE-JAN")), rows: shopOf(48, "QE-JAN"), frequency: "QE-JAN", horizon: 4},
		{name: "named quarters", content: written("store,item,quarter,sales", ",", shopOf(48, "QS-JAN"), func(d calendar.Day) string { y, m, _ := d.Date(); return fmt.Sprintf("%d-Q%d", y, (m+2)/3) }, plain), rows: shopOf(48, "QS-JAN"), frequency: "QS-JAN", horizon: 4},
		{name: "years", content: text(shopOf(36, "YS-JAN")), rows: shopOf(36, "YS-JAN"), frequency: "YS-JAN", horizon: 2},
		{name: "financial years", content: text(shopOf(36, "YS-APR")), rows: shopOf(36, "YS-APR"), frequency: "YS-APR", horizon: 2},
		{name: "bare years", content: written("store,item,year,sales", ",", shopOf(36, "YS-JAN"), as("2006"), plain), rows: shopOf(36, "YS-JAN"), frequency: "YS-JAN", horizon: 2},
		{name: "yes and no", content: beside("promo", func(_ int, r sold) string { return []string{"yes", "no"}[min(1, int(r.day)%7)] }), rows: days, covariates: []string{"promo"}},
		{name: "ja and nein", content: beside("Aktion", func(_ int, r sold) string { return []string{"ja", "nein"}[min(1, int(r.day)%5)] }), rows: days, covariates: []string{"Aktion"}},
		{name: "true and false", content: beside("promo", func(i int, _ sold) string { return strconv.FormatBool(i%7 == 0) }), rows: days, covariates: []string{"promo"}},
		{name: "a price without a plan", content: beside("avg_price", func(i int, _ sold) string { return fmt.Sprintf("1.%02d", i*37%100) }), rows: days, covariates: []string{"avg_price"}, unknown: []string{"avg_price"}},
		{name: "words that change", content: beside("event", func(_ int, r sold) string { return []string{"", "Market day"}[min(1, 1-min(1, int(r.day)%30))] }), rows: days},
		{name: "zeros before keys", content: written(header, ",", renamed(days, "007", "08"), iso, plain), rows: renamed(days, "007", "08")},
		{name: "keys called NA and null", content: written(header, ",", renamed(days, "NA", "null"), iso, plain), rows: renamed(days, "NA", "null")},
		{name: "columns with names of ours", content: written("model,observed,forecast,actual", ",", days, iso, plain), rows: days, args: []string{"--target", "actual"}},
		{name: "unknown sales", content: unknown(text(days)), rows: slices.Concat(days[:40], days[41:])},
		{name: "one series", content: written("date,sales", ",", bare(days[:140]), iso, plain), rows: bare(days[:140])},
		{name: "an index", content: numbered(text(days)), rows: days},
		{name: "receipts", file: "receipts.csv", content: receipts(days), rows: days},
		{name: "Mondays to Fridays", content: text(weekdays(shopOf(280, "D"))), rows: weekdays(shopOf(280, "D")), horizon: 10, shut: []int{5, 6}},
		{name: "gzip", file: "sales.csv.gz", content: zipped(t, text(days)), rows: days},
		{name: "an archive", file: "sales.zip", content: archived(t, text(days)), rows: days},
		{name: "a workbook", file: "sales.xlsx", content: workbook(t, days), rows: days},

		{name: "dates that can be read in two ways", content: written(header, ",", early(days), as("02/01/2006"), plain), exit: 78, says: []string{"time_format", "month"}},
		{name: "thousands or fractions", content: written(header, ";", days, iso, func(x float64) string { return plain(x)[:1] + ".234" }), exit: 78, says: []string{"decimal"}},
		{name: "two columns that may be sold", content: beside("returned", func(i int, _ sold) string { return strconv.Itoa(i * 31 % 17) }), rows: days},
		{name: "two nameless columns of numbers", content: bytes.Replace(beside("b", func(i int, _ sold) string { return strconv.Itoa(i * 31 % 17) }), []byte("sales"), []byte("a"), 1), exit: 78, says: []string{"--target", "a, b"}},
		{name: "no dates", content: []byte("store,sales\nA,1\nB,2\n"), exit: 65, says: []string{"no column has dates"}},
		{name: "every second week", content: text(second(shopOf(110, "W-MON"))), exit: 65, says: []string{"2 weeks apart"}},
		{name: "hours", content: hours(), exit: 78, says: []string{"--receipts"}},
		{name: "nothing", content: nil, exit: 65, says: []string{"empty"}},
	}
	return all
}

func renamed(rows []sold, a, b string) []sold {
	out := slices.Clone(rows)
	for i, r := range out {
		out[i].keys = []string{map[string]string{"A": a, "B": b}[r.keys[0]], r.keys[1]}
	}
	return out
}

func bare(rows []sold) []sold {
	out := slices.Clone(rows)
	for i := range out {
		out[i].keys = nil
	}
	return out
}

func weekdays(rows []sold) []sold {
	return slices.DeleteFunc(slices.Clone(rows), func(r sold) bool { return r.day.Weekday() > 4 })
}

// early are the rows of days that may as well be months.
func early(rows []sold) []sold {
	return slices.DeleteFunc(slices.Clone(rows), func(r sold) bool { _, _, d := r.day.Date(); return d > 12 })
}

func second(rows []sold) []sold {
	var out []sold
	for i, r := range rows {
		if i%110%2 == 0 {
			out = append(out, r)
		}
	}
	return out
}

// unknown takes the sale out of the 41st row.
func unknown(text []byte) []byte {
	lines := strings.Split(string(text), "\n")
	lines[41] = lines[41][:strings.LastIndex(lines[41], ",")] + ",NA"
	return []byte(strings.Join(lines, "\n"))
}

func numbered(text []byte) []byte {
	var b strings.Builder
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if i > 0 {
			b.WriteString(strconv.Itoa(i - 1))
		}
		b.WriteString("," + line + "\n")
	}
	return []byte(b.String())
}

func receipts(rows []sold) []byte {
	var b strings.Builder
	b.WriteString("store,item,time,quantity\n")
	for _, r := range rows {
		left := int(r.n)
		for k := 0; left > 0; k++ {
			n := min(left, 8)
			left -= n
			fmt.Fprintf(&b, "%s,%s,%v %02d:%02d:17,%d\n", r.keys[0], r.keys[1], r.day, 9+k, 7*k%60, n)
		}
	}
	return []byte(b.String())
}

func hours() []byte {
	var b strings.Builder
	b.WriteString(header + "\n")
	for _, s := range []string{"A", "B"} {
		for h := range 24 * 35 {
			fmt.Fprintf(&b, "%s,x,%v %02d:00:00,%d\n", s, newYear+calendar.Day(h/24), h%24, 10+h%24)
		}
	}
	return []byte(b.String())
}

func zipped(t *testing.T, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write(text)
	if err = errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func archived(t *testing.T, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("export/sales.csv")
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Write(text)
	if err = errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func workbook(t *testing.T, rows []sold) []byte {
	t.Helper()
	f := excelize.NewFile()
	defer f.Close()
	set := func(row int, cells ...any) {
		at, err := excelize.CoordinatesToCellName(1, row)
		if err == nil {
			err = f.SetSheetRow("Sheet1", at, &cells)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	set(1, "store", "item", "date", "sales")
	for i, r := range rows {
		set(i+2, r.keys[0], r.keys[1], r.day.Time(), r.n)
	}
	var b bytes.Buffer
	if err := f.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Tables as people export them have the right panel and a forecast, by "salescast run FILE" alone, or a sentence that says what to do.
func TestTables(t *testing.T) {
	t.Parallel()
	binary := servers.Binary(t)
	for _, e := range exports(t) {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			if e.file == "" {
				e.file = "sales.csv"
			}
			if e.horizon == 0 {
				e.horizon = 7
			}
			folder := t.TempDir()
			if err := os.WriteFile(filepath.Join(folder, e.file), e.content, 0o600); err != nil {
				t.Fatal(err)
			}
			args := append([]string{"run", e.file, "-w", "w", "--models", "smoothing", "--horizon", strconv.Itoa(e.horizon), "--set", "backtest.origins=1"}, e.args...)
			cmd := exec.CommandContext(t.Context(), binary, args...)
			cmd.Dir, cmd.Env = folder, []string{"HOME=" + folder, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()}
			said, err := cmd.CombinedOutput()
			if got := cmd.ProcessState.ExitCode(); got != e.exit {
				t.Fatalf("exit %d, want %d: %v\n%s", got, e.exit, err, said)
			}
			for _, word := range e.says {
				if !strings.Contains(string(said), word) {
					t.Errorf("%q is not said in\n%s", word, said)
				}
			}
			if e.exit == 0 {
				e.check(t, filepath.Join(folder, "w"))
			}
		})
	}
}

// check compares what was read and forecast with what is in the table.
func (e export) check(t *testing.T, workspace string) {
	t.Helper()
	f, err := os.Open(filepath.Join(workspace, "validate", "panel.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	p, err := columnar.ReadPanel(t.Context(), sized{f, size.Size()})
	if err != nil {
		t.Fatal(err)
	}
	schema, err := columnar.ReadPanelSchema(sized{f, size.Size()})
	if err != nil {
		t.Fatal(err)
	}
	if e.frequency == "" {
		e.frequency = "D"
	}
	if got := p.Frequency.String(); got != e.frequency {
		t.Errorf("the frequency is %s, want %s", got, e.frequency)
	}
	for _, c := range e.covariates {
		if !slices.Contains(slices.Concat(schema.KnownFuture, schema.PastOnly), c) {
			t.Errorf("%s is no covariate of %+v", c, schema)
		}
	}
	for _, c := range e.unknown {
		if slices.Contains(schema.KnownFuture, c) {
			t.Errorf("%s is taken as known in future", c)
		}
	}
	want := map[string]float64{}
	series := map[string]bool{}
	for _, r := range e.rows {
		want[strings.Join(r.keys, "/")+" "+r.day.String()] = r.n
		series[strings.Join(r.keys, "/")] = true
	}
	for s := range p.Series() {
		lo, hi := p.Span(s)
		for r := lo; r < hi; r++ {
			at := strings.Join(p.ID(s), "/") + " " + p.Frequency.Day(p.Start[s]+calendar.Step(r-lo)).String()
			n, ok := want[at]
			delete(want, at)
			if y := float64(p.Target[r]); p.Observed[r] != ok || ok && math.Abs(y-n) > 1e-6*max(1, n) {
				t.Fatalf("%s: %v, seen %t; want %v, %t", at, y, p.Observed[r], n, ok)
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("%d sales are not in the panel, such as %v", len(want), want)
	}
	out, err := os.Open(filepath.Join(workspace, "forecast", "forecast.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	lines, err := csv.NewReader(out).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(lines)-1 != e.horizon*len(series) {
		t.Errorf("%d rows are forecast, want %d for each of %d series", len(lines)-1, e.horizon, len(series))
	}
	day, forecast := slices.Index(lines[0], schema.Time), slices.Index(lines[0], "q025")-1
	for _, l := range lines[1:] {
		d, err := calendar.ParseDay(l[day])
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(e.shut, d.Weekday()) && l[forecast] != "0" {
			t.Errorf("%s is forecast on %v, when it is shut", l[forecast], d)
		}
	}
	var report struct {
		Schema string `json:"schema"`
	}
	b, err := os.ReadFile(filepath.Join(workspace, "validate", "report.json"))
	if err == nil {
		err = json.Unmarshal(b, &report)
	}
	if err != nil || report.Schema == "" {
		t.Errorf("the report of the data: %v", err)
	}
}

type sized struct {
	*os.File
	size int64
}

func (s sized) Size() int64 { return s.size }
