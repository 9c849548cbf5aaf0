package quality_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
	"salescast/pkg/quality"
)

func collector(t *testing.T, overrides map[string]string) *quality.Collector {
	t.Helper()
	c, err := quality.NewCollector(overrides)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func rules(found []quality.Finding) []string {
	out := []string{}
	for _, f := range found {
		out = append(out, fmt.Sprintf("%s %d", f.Rule, f.Count))
	}
	return out
}

// The findings do not depend on the order in which they were made, but for the places, of which the first are kept.
func TestFindingsComeWorstFirstAndCounted(t *testing.T) {
	t.Parallel()
	c := collector(t, map[string]string{"gaps": "error"})
	for i := range 9 {
		c.Add("negative", quality.Place{Line: int64(i + 2)})
	}
	c.Add("outlier", quality.Place{Text: "x"})
	c.Add("duplicate", quality.Place{File: "f.csv", Line: 7})
	c.AddN("gaps", 12, quality.Place{})
	got := c.Findings()
	if want := []string{"duplicate 1", "gaps 12", "negative 9", "outlier 1"}; !slices.Equal(rules(got), want) {
		t.Fatalf("got %v, want %v", rules(got), want)
	}
	if got[0].Message != "1 row repeats a series and date that an earlier row has" || !strings.HasPrefix(got[2].Message, "9 rows have") {
		t.Errorf("messages %q, %q", got[0].Message, got[2].Message)
	}
	if len(got[2].First) != quality.MaxPlaces || got[2].First[0].Line != 2 || got[1].Severity != quality.Error {
		t.Errorf("findings %+v", got)
	}
	for _, bad := range []map[string]string{{"nothing": "info"}, {"gaps": "fatal"}} {
		if _, err := quality.NewCollector(bad); err == nil {
			t.Errorf("%v is accepted", bad)
		}
	}
}

// series builds a panel of one series a value; NaN is an empty sale, and the covariate follows the function.
func series(t *testing.T, covariate func(s, i int) float32, values ...[]float32) *panel.Panel {
	t.Helper()
	b, err := panel.NewBuilder(panel.Schema{Keys: []string{"id"}, Covariates: []panel.Attribute{{Name: "promo", Role: panel.KnownFuture}}},
		panel.BuilderOptions{Frequency: "D", Missing: panel.Zero})
	if err != nil {
		t.Fatal(err)
	}
	for s, v := range values {
		for i, y := range v {
			if err := b.AddText([]string{fmt.Sprint("s", s)}, nil, calendar.Day(18000+i), y, []float32{covariate(s, i)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	p, err := b.Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func profile(t *testing.T, p *panel.Panel, horizon int) []quality.Finding {
	t.Helper()
	c := collector(t, nil)
	end, ok := p.End()
	if !ok {
		t.Fatal("the panel has no sale")
	}
	f := quality.NewProfile(c, horizon, end, 1)
	for s := range p.Series() {
		f.Add(p.Slice(s, s+1))
	}
	f.Finish()
	return c.Findings()
}

func none(int, int) float32 { return 0 }

func days(n int, y func(i int) float32) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = y(i)
	}
	return out
}

func TestProfileNamesWhatIsOddAboutSeries(t *testing.T) {
	t.Parallel()
	nan := float32(math.NaN())
	usual := func(i int) float32 { return float32(20 + i%7 + i%3) }
	p := series(t, none,
		days(100, usual),
		days(100, func(int) float32 { return 5 }), // constant
		days(100, func(int) float32 { return 0 }), // never sold
		days(20, usual), // short, and over
		days(100, func(i int) float32 { // a gap of three empty sales, and one outlier
			if i == 50 {
				return 2000
			}
			if i >= 60 && i < 63 {
				return nan
			}
			return usual(i)
		}),
	)
	want := []string{"zero_series 1", "constant_series 1", "short_series 1", "missing_plan 4", "ended_series 1", "gaps 3", "outlier 1"}
	got := profile(t, p, 14)
	if !slices.Equal(rules(got), want) {
		t.Fatalf("got %v, want %v", rules(got), want)
	}
	if text := got[6].First[0].Text; text != "s4 on 2019-06-04: 2000, usually 23" && !strings.Contains(text, ": 2000, usually 2") {
		t.Errorf("outlier %q", text)
	}
	if text := got[5].First[0].Text; text != "the longest is s4: 3 rows from "+calendar.Day(18060).String() {
		t.Errorf("gap %q", text)
	}
}

// A series without a known sale on a tenth of its steps, such as one of a shop that is closed on Sundays or of a list of receipts, is named:
// what is unknown is not forecast as zero.
func TestSparseSeries(t *testing.T) {
	t.Parallel()
	every := func(k int) []float32 {
		return days(101, func(i int) float32 {
			if i%k == 1 {
				return float32(math.NaN())
			}
			return float32(20 + i%7 + i%3)
		})
	}
	for _, f := range profile(t, series(t, none, every(7), every(12), every(2), days(101, func(i int) float32 { return float32(5 + i%7) })), 14) {
		if f.Rule != "sparse_series" {
			continue
		}
		if f.Severity != quality.Warning || f.Count != 2 || f.First[0].Text != "s0: 15 of 101" || f.First[1].Text != "s2: 50 of 101" || !strings.Contains(f.Cure, "rows of 0") {
			t.Errorf("%+v", f)
		}
		return
	}
	t.Error("no series is sparse")
}

func TestPlanThatReachesTheHorizonIsEnough(t *testing.T) {
	t.Parallel()
	nan := float32(math.NaN())
	plan := func(n int) []float32 {
		return days(60+n, func(i int) float32 {
			if i >= 60 {
				return nan
			}
			return float32(5 + i%7)
		})
	}
	for n, want := range map[int]int{6: 1, 7: 0, 9: 0} {
		if got := profile(t, series(t, none, plan(n)), 7); len(got) != want {
			t.Errorf("a plan of %d days: %v", n, rules(got))
		}
	}
	missing := func(_, i int) float32 {
		if i == 63 {
			return nan
		}
		return 1
	}
	got := profile(t, series(t, missing, plan(7)), 7)
	if len(got) != 1 || got[0].First[0].Text != "s0: promo from "+calendar.Day(18063).String() {
		t.Errorf("a hole in the plan: %+v", got)
	}
}

// Outliers are robust: they do not hide each other, and series that merely vary have none.
func TestOutliersAreRobust(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 1))
	noisy := days(700, func(i int) float32 { return float32(math.Max(0, math.Round(50+20*float64(i%7)+10*rng.NormFloat64()))) })
	if got := profile(t, series(t, none, noisy), 7); slices.ContainsFunc(got, func(f quality.Finding) bool { return f.Rule == "outlier" }) {
		t.Errorf("noise has outliers: %v", rules(got))
	}
	for i := 10; i < 700; i += 10 { // a tenth of all rows
		noisy[i] += 5000
	}
	got := profile(t, series(t, none, noisy), 7)
	i := slices.IndexFunc(got, func(f quality.Finding) bool { return f.Rule == "outlier" })
	if i < 0 || got[i].Count != 69 {
		t.Errorf("got %v, want 69 outliers", rules(got))
	}
}

// A row that is unusual only as a combination is found by the forest, the same way each time.
func TestForestFindsTheStranger(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(2, 2))
	y := days(2000, func(int) float32 { return float32(100 + 10*rng.NormFloat64()) })
	y[1234] = 170
	price := days(2000, func(int) float32 { return float32(2 + 0.1*rng.NormFloat64()) })
	price[1234] = 9
	p := series(t, func(_, i int) float32 { return price[i] }, y)
	first := profile(t, p, 7)
	i := slices.IndexFunc(first, func(f quality.Finding) bool { return f.Rule == "unusual_rows" })
	if i < 0 || !strings.Contains(first[i].First[0].Text, calendar.Day(18000+1234).String()) || first[i].Count > 3 {
		t.Fatalf("got %+v", first)
	}
	if again := profile(t, p, 7); fmt.Sprint(again) != fmt.Sprint(first) {
		t.Error("the report differs from run to run")
	}
}

func TestReportAsJSONAndPage(t *testing.T) {
	t.Parallel()
	c := collector(t, nil)
	c.Add("negative", quality.Place{File: "a<b>.csv", Line: 2, Column: "sales", Text: "-1"})
	c.Add("all_zero", quality.Place{})
	r := quality.Report{Schema: quality.ReportSchema, Files: []string{"a<b>.csv"}, FileCount: 1, Rows: 10, Quarantined: 1, Findings: c.Findings()}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"schema":"salescast.quality/v1","files":["a\u003cb\u003e.csv"],"file_count":1,"rows":10,"dialect":{},"quarantined":1,"left_out":0,"series":0,"panel_rows":0,"filled_rows":0,"findings":[` +
		`{"rule":"all_zero","severity":"error","count":1,"sentence":"every sale is zero","cure":"check data.target: there is nothing to forecast","examples":[],"rejects":false},` +
		`{"rule":"negative","severity":"warning","count":1,"sentence":"1 row has a negative sale","cure":"book returns apart from sales, or set them to zero","examples":[{"file":"a\u003cb\u003e.csv","line":2,"column":"sales","text":"-1"}],"rejects":true}],"passed":false}`
	if string(b) != want {
		t.Errorf("got\n%s\nwant\n%s", b, want)
	}
	var page bytes.Buffer
	if err := quality.WriteHTML(&page, &r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"must be mended first", "a&lt;b&gt;.csv:2, column sales: -1", "every sale is zero", "1 (10 %)"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}
