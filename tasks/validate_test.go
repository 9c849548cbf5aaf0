package tasks

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"salescast/pkg/calendar"
	"salescast/pkg/columnar"
	"salescast/pkg/panel"
	"salescast/pkg/quality"
	"salescast/pkg/table"
	"salescast/pkg/table/format"
)

func shopOptions(source string) ValidateOptions {
	return ValidateOptions{
		Data: DataOptions{
			Source: source, Keys: []string{"store", "item"}, Time: "date", Target: "sales", Frequency: "D",
			KnownFuture: []string{"promo"}, Missing: "zero",
		},
		MaxQuarantined: 0.001, Horizon: 7, Seed: 1,
	}
}

const shopHeader = "store,item,date,sales,promo\n"

// shopRows are n days of two series, with a weekly pattern.
func shopRows(n int) []string { return rowsOf(n, "bread", "cake") }

func rowsOf(n int, items ...string) []string {
	var rows []string
	for _, item := range items {
		for i := range n {
			rows = append(rows, fmt.Sprintf("north,%s,%v,%d,%d\n", item, calendar.DateOf(2024, 1, 1)+calendar.Day(i), 20+i%7+i%3, i%2))
		}
	}
	return rows
}

func shopCSV(n int) string { return shopHeader + strings.Join(shopRows(n), "") }

func write(t *testing.T, name, text string) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func readReport(t *testing.T, env Env, name string) quality.Report {
	t.Helper()
	r, _, err := env.Store.Get(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var report quality.Report
	if err := json.NewDecoder(r).Decode(&report); err != nil {
		t.Fatal(err)
	}
	return report
}

func TestValidateBadInput(t *testing.T) {
	t.Parallel()
	rows := shopRows(60)
	var items []string
	for i := range 130 {
		items = append(items, fmt.Sprint("item", 100+i))
	}
	long := rowsOf(600, items...)
	long[69_998] = strings.Replace(long[69_998], "-", "_", 2) // line 70,000
	replaced := func(from, to string) string { return strings.Replace(shopCSV(60), from, to, 1) }
	var weekly []string
	for i := range 60 {
		weekly = append(weekly, fmt.Sprintf("south,bread,%v,3,0\n", calendar.DateOf(2024, 1, 1)+calendar.Day(7*i)))
	}
	daily := func(o *ValidateOptions) { o.Data.Frequency = "" }
	for _, c := range []struct {
		name, file, text string
		options          func(*ValidateOptions)
		kind             Kind
		message          string
	}{
		{"good", "s.csv", shopCSV(60), nil, "", ""},
		{"frequency inferred", "s.csv", shopCSV(60), daily, "", ""},
		{"empty file", "s.csv", "", nil, KindData, "s.csv: the file is empty"},
		{"header only", "s.csv", shopHeader, nil, KindData, "the file has a header and no rows"},
		{"semicolons", "s.csv", strings.ReplaceAll(shopCSV(60), ",", ";"), nil, "", ""},
		{"decimal comma in all numbers", "s.csv", strings.ReplaceAll(shopCSV(60), ",1\n", ",\"1,5\"\n"), nil, "", ""},
		{"numbers that are anything", "s.csv", strings.ReplaceAll(shopCSV(60), ",22,", ",1.022,"), nil, KindConfig, `"1.022" is 1.022 if the point is the decimal sign, or 1022`},
		{"numbers that are set", "s.csv", strings.ReplaceAll(shopCSV(60), ",22,", ",1.022,"), func(o *ValidateOptions) { o.Data.CSV = map[string]string{"decimal": ","} }, "", ""},
		{"all dates bad", "s.csv", strings.ReplaceAll(shopCSV(60), "2024-", "in 2024 "), nil, KindData, "120 of 120 rows cannot be used"},
		{"all sales text", "s.csv", strings.ReplaceAll(shopCSV(60), ",1\n", "few,1\n"), nil, KindData, `60 rows have text where a number belongs (first: `},
		{"dates of other countries", "s.csv", strings.ReplaceAll(shopCSV(60), "2024-01-", "2024/1/"), nil, "", ""},
		{"a time of day", "s.csv", strings.ReplaceAll(shopCSV(60), ",2024-01-05", ",2024-01-05 09:30"), nil, KindData, "2 rows have a time of day"},
		{"no such word of a dialect", "s.csv", shopCSV(60), func(o *ValidateOptions) { o.Data.CSV = map[string]string{"quote": "'"} }, KindConfig, `data.csv has no "quote"`},
		{"no such zone", "s.csv", shopCSV(60), func(o *ValidateOptions) { o.Data.Timezone = "Mars/Olympus" }, KindConfig, "timezone"},
		{"an index", "s.csv", indexed(shopCSV(60)), nil, "", ""},
		{"byte order mark", "s.csv", "\xef\xbb\xbf" + shopCSV(60), nil, "", ""},
		{"carriage returns", "s.csv", strings.ReplaceAll(shopCSV(60), "\n", "\r\n"), nil, "", ""},
		{"quoted commas", "s.csv", strings.ReplaceAll(shopCSV(60), "bread", `"bread, brown"`), nil, "", ""},
		{"long line", "s.csv", shopCSV(60) + strings.Repeat("x", 10<<20) + "\n", nil, KindData, "s.csv:122: the line is longer than 1048576 bytes"},
		{"bad date in row 70,000", "s.csv", shopHeader + strings.Join(long, ""), func(o *ValidateOptions) { o.MaxQuarantined = 0 }, KindData, "s.csv:70000, column date"},
		{"one bad row of many passes", "s.csv", shopHeader + strings.Join(long, ""), nil, "", ""},
		{"decimal comma in quotes", "s.csv", strings.ReplaceAll(strings.ReplaceAll(replaced(",22,", `,"22,5",`), ",20,", ",20.5,"), ",21,", ",21.5,"), nil, KindData, `s.csv:3, column sales: "22,5"`},
		{"decimal comma", "s.csv", replaced(",22,", ",22,5,"), nil, KindData, `1 row has a number with a decimal comma (first: `},
		{"duplicate keys", "s.csv", shopCSV(60) + rows[7], nil, KindData, "1 row repeats a series and date that an earlier row has (first: "},
		{"one series of one row", "s.csv", shopHeader + rows[0], nil, KindData, "no series is long enough to learn from"},
		{"one row and no frequency", "s.csv", shopHeader + rows[0], daily, KindData, "the frequency cannot be told from a single date"},
		{"target missing at the end", "s.csv", shopCSV(60) + "north,bread,2024-03-01,,1\nnorth,cake,2024-03-01,,1\n", nil, "", ""},
		{"all zeros", "s.csv", shopHeader + strings.Join(zeroed(60), ""), nil, KindData, "every sale is zero"},
		{"no sale at all", "s.csv", shopHeader + "north,bread,2024-03-01,,1\n", nil, KindData, "no row has a sale"},
		{"future dates", "s.csv", shopCSV(60) + "north,bread,2031-03-02,5,1\n", nil, KindData, "1 row has a sale on a day that is yet to come"},
		{"mixed frequencies", "s.csv", shopCSV(420) + strings.Join(weekly, ""), daily, KindData, "1 series has stretches of weekly or monthly rows among daily ones (first: "},
		{"not that frequency", "s.csv", shopCSV(60), func(o *ValidateOptions) { o.Data.Frequency = "W" }, KindData, "begin their week on another day"},
		{"column without a role", "s.csv", strings.Replace(shopCSV(60), "promo", "proma", 1), nil, KindData, `column "proma" has no role`},
		{"missing column", "s.csv", strings.Replace(shopCSV(60), "promo", "proma", 1), func(o *ValidateOptions) { o.Data.Ignore = []string{"proma"} }, KindData, `did you mean "proma"`},
		{"column of two roles", "s.csv", shopCSV(60), func(o *ValidateOptions) { o.Data.PastOnly = []string{"promo"} }, KindConfig, `column "promo" stands under data.known_future and data.past_only`},
		{"no keys", "s.csv", shopCSV(60), func(o *ValidateOptions) { o.Data.Keys = nil }, KindConfig, "data.keys is not set"},
		{"unreadable parquet", "s.parquet", "this is no Parquet file", nil, KindData, "this is not a whole Parquet file"},
		{"impossible date", "s.csv", replaced("2024-01-31", "2024-02-30"), nil, KindData, `1 row has a date that does not exist or lies before 1900 or more than ten years ahead (first: `},
		{"plan of the far future", "s.csv", shopCSV(60) + "north,bread,2200-12-16,,1\n", nil, KindData, `1 row has a date that does not exist or lies before 1900 or more than ten years ahead (first: `},
		{"date of long ago", "s.csv", shopCSV(60) + "north,bread,0001-01-01,5,1\n", nil, KindData, `1 row has a date that does not exist or lies before 1900`},
		{"rows too far apart", "s.csv", shopCSV(60) + scattered(1000), func(o *ValidateOptions) { o.Data.Frequency = "D" }, KindData, "1120 rows of 1002 series from 1970-01-01 to 2024-02-29 lie so far apart that a regular grid of them has 19783120 rows"},
		{"negative sales", "s.csv", replaced(",22,", ",-22,"), nil, KindData, "1 row has a negative sale"},
		{"infinite sales", "s.csv", replaced(",22,", ",1e999,"), nil, KindData, "1 row has an infinite number"},
		{"unknown category", "s.csv", shopCSV(60), func(o *ValidateOptions) { o.Expected = map[string][]string{"item": {"bread"}} }, KindData, `60 rows have a category that is not expected (first: `},
		{"no such rule", "s.csv", shopCSV(60), func(o *ValidateOptions) { o.Severity = map[string]string{"x": "info"} }, KindConfig, `there is no rule "x"`},
		{"severity changed", "s.csv", shopCSV(420) + strings.Join(weekly, ""), func(o *ValidateOptions) { o.Severity = map[string]string{"other_frequency": "warning"} }, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			env, path := stepEnv(t), write(t, c.file, c.text)
			o := shopOptions(path)
			if c.options != nil {
				c.options(&o)
			}
			res, err := Validate(t.Context(), env, o)
			if KindOf(err) != c.kind {
				t.Fatalf("got kind %q (%v), want %q", KindOf(err), err, c.kind)
			}
			if err == nil {
				if r := readReport(t, env, "validate/report.json"); !r.Passed || r.Series < 2 {
					t.Fatalf("report %+v", r)
				}
				if res.Status != Done || res.Rows["panel"] == 0 {
					t.Fatalf("result %+v", res)
				}
				return
			}
			if !strings.Contains(err.Error(), c.message) {
				t.Fatalf("got %q, want %q in it", err, c.message)
			}
			if HintOf(err) == "" {
				t.Fatalf("%v has no hint", err)
			}
			if c.kind == KindData {
				if r := readReport(t, env, "validate/failed/report.json"); r.Passed || len(r.Findings) == 0 {
					t.Fatalf("report %+v", r)
				}
			}
			if _, err := OpenStep(t.Context(), env.Store, "validate"); err == nil {
				t.Fatal("the step failed and has a manifest")
			}
		})
	}
}

// indexed has a first column without a name that counts the rows.
func indexed(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i := range lines {
		lines[i] = fmt.Sprint(i-1, ",", lines[i])
	}
	return strings.TrimPrefix(strings.Join(lines, "\n"), "-1")
}

func zeroed(n int) []string {
	rows := shopRows(n)
	for i := range rows {
		f := strings.Split(rows[i], ",")
		f[3] = "0"
		rows[i] = strings.Join(f, ",")
	}
	return rows
}

func openPanel(t *testing.T, env Env) *panel.Panel {
	t.Helper()
	s, err := OpenStep(t.Context(), env.Store, "validate")
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.ReadAt(t.Context(), "panel.parquet")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p, err := columnar.ReadPanel(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestValidateSetsBadRowsAside(t *testing.T) {
	t.Parallel()
	env := stepEnv(t)
	o := shopOptions(write(t, "s.csv", shopCSV(300)+"north,bread,2024-13-01,1,0\nnorth,bread,2024-03-04,many,0\n"))
	o.MaxQuarantined = 0.01
	res, err := Validate(t.Context(), env, o)
	if err != nil {
		t.Fatal(err)
	}
	if res.Rows["source"] != 602 || res.Rows["quarantined"] != 2 || res.Rows["panel"] != 600 || len(res.Warnings) == 0 {
		t.Fatalf("%+v", res)
	}
	s, err := OpenStep(t.Context(), env.Store, "validate")
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.ReadAt(t.Context(), "quarantine.parquet")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b := make([]byte, r.Size())
	if _, err := r.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	var got []string
	dicts := make([]panel.Dictionary, 3)
	file := table.File{Name: "q.parquet", Size: int64(len(b)), Open: func(context.Context) (table.Reader, error) { return closing{bytes.NewReader(b)}, nil }}
	for rec, err := range format.Blocks(t.Context(), file, table.Dialect{}, []table.Column{
		{Name: "line", Kind: table.Text, Dictionary: &dicts[0]}, {Name: "rule", Kind: table.Text, Dictionary: &dicts[1]}, {Name: "raw", Kind: table.Text, Dictionary: &dicts[2]},
	}) {
		if err != nil {
			t.Fatal(err)
		}
		for i := range rec.Rows {
			for c := range dicts {
				got = append(got, dicts[c].Value(rec.Columns[c].Codes[i]))
			}
		}
	}
	want := "602 impossible_date north,bread,2024-13-01,1,0 603 bad_number north,bread,2024-03-04,many,0"
	if strings.Join(got, " ") != want {
		t.Fatalf("quarantine holds %q, want %q", got, want)
	}
}

type closing struct{ *bytes.Reader }

func (closing) Close() error { return nil }

// Shuffled rows, many files, gzip: the same panel, byte for byte.
func TestValidateDoesNotDependOnTheShapeOfTheSource(t *testing.T) {
	t.Parallel()
	rows := shopRows(100)
	digest := func(source string) string {
		env := stepEnv(t)
		if _, err := Validate(t.Context(), env, shopOptions(source)); err != nil {
			t.Fatal(err)
		}
		s, err := OpenStep(t.Context(), env.Store, "validate")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range s.Manifest.Files {
			if f.Name == "panel.parquet" {
				return f.SHA256
			}
		}
		return ""
	}
	want := digest(write(t, "s.csv", shopCSV(100)))
	reversed := make([]string, len(rows))
	for i, r := range rows {
		reversed[len(rows)-1-i] = r
	}
	if got := digest(write(t, "s.csv", shopHeader+strings.Join(reversed, ""))); got != want {
		t.Error("reversed rows give another panel")
	}
	dir := t.TempDir()
	for i, part := range [][]string{rows[:33], rows[33:150], rows[150:]} {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write([]byte(shopHeader + strings.Join(part, "")))
		_ = z.Close()
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("part-%d.csv.gz", 2-i)), b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := digest(dir); got != want {
		t.Error("a folder of compressed files gives another panel")
	}
}

func TestValidateIsCachedByContent(t *testing.T) {
	t.Parallel()
	env, path := stepEnv(t), write(t, "s.csv", shopCSV(60))
	for i, want := range []Status{Done, Cached} {
		if res, err := Validate(t.Context(), env, shopOptions(path)); err != nil || res.Status != want {
			t.Fatalf("call %d: %+v, %v", i, res, err)
		}
	}
	if err := os.WriteFile(path, []byte(shopCSV(61)), 0o600); err != nil {
		t.Fatal(err)
	}
	if res, err := Validate(t.Context(), env, shopOptions(path)); err != nil || res.Status != Done {
		t.Fatalf("after a change of the source: %+v, %v", res, err)
	}
	if p := openPanel(t, env); p.Rows() != 122 {
		t.Fatalf("%d rows", p.Rows())
	}
}

func TestValidateReadsGeneratedSales(t *testing.T) {
	t.Parallel()
	env := stepEnv(t)
	g := DefaultGenerateOptions()
	g.Stores, g.Items, g.Start, g.End = 2, 3, calendar.DateOf(2024, 1, 1), calendar.DateOf(2024, 12, 31)
	if _, err := Generate(t.Context(), env, g); err != nil {
		t.Fatal(err)
	}
	if _, err := Validate(t.Context(), env, ValidateOptions{Horizon: 28, MaxQuarantined: 0.001}); err != nil {
		t.Fatal(err)
	}
	p := openPanel(t, env)
	if p.Series() != 6 || p.Keys[0].Name != "store_id" || p.Frequency.String() != "D" || len(p.Covariates) == 0 || len(p.Static) != 1 {
		t.Fatalf("%d series, keys %v, %d covariates", p.Series(), p.Keys, len(p.Covariates))
	}
}

// scattered are series of one sale each, decades before the others end: days between which every day would be filled.
func scattered(series int) string {
	var b strings.Builder
	for i := range series {
		fmt.Fprintf(&b, "north,item%d,1970-01-01,5,1\n", i)
	}
	return b.String()
}
