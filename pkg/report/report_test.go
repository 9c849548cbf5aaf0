package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"salescast/pkg/backtest"
	"salescast/pkg/calendar"
	"salescast/pkg/metric"
	"salescast/pkg/panel"
	"salescast/pkg/report/chart"
	"salescast/pkg/report/reporttest"
)

// pages is where to keep the pages for looking at: go test ./pkg/report -args -pages=DIR.
var pages = flag.String("pages", "", "folder that keeps the pages")

func pageOf(t *testing.T, s *reporttest.Shop) *Page {
	t.Helper()
	ev, err := metric.Evaluate(s.Panel, s.Predictions)
	if err != nil {
		t.Fatal(err)
	}
	c, err := metric.Paired(metric.Contender{Predictions: s.Predictions, Model: "ensemble"}, metric.Contender{Predictions: s.Predictions, Model: "seasonal_naive"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	gain := func(model string) chart.Importance {
		return chart.Importance{Model: model, Features: []chart.Feature{{Name: "sales_lag7_mean28", Gain: 50}, {Name: "weekday", Gain: 20}, {Name: "promo", Gain: 9}, {Name: reporttest.Awkward, Gain: 1}}}
	}
	tally, ok := metric.NewCoverage(s.Predictions, "ensemble")
	if !ok {
		t.Fatal("the shop's predictions have no intervals")
	}
	tally.Add(s.Predictions)
	volumes := metric.NewVolumes(s.Predictions, slices.Min(s.Predictions.Cutoff))
	volumes.Add(s.Panel)
	coverage, err := tally.CoverageOf(volumes)
	if err != nil {
		t.Fatal(err)
	}
	return &Page{
		Coverage: coverage,
		Title:    "Sales forecast", Target: "sales", Panel: s.Panel, Backtest: s.Predictions, Forecast: s.Forecast, Evaluation: ev, Comparison: c,
		Primary: "ensemble", Baseline: "seasonal_naive", Importance: []chart.Importance{gain("xgboost"), gain("lightgbm")},
		Asked: []Fact{{"Source", "bakery_daily.csv"}, {"Series keys", "store, item"}, {"Horizon", "28 days"}, {"Known ahead", reporttest.Awkward}},
		Data: Quality{Rows: 72900, Quarantined: 3, Findings: []Finding{
			{Rule: "duplicate", Severity: "error", Count: 3, Sentence: "3 rows repeat a series and date.", Cure: "keep one row per series and date", Examples: []string{"bakery_daily.csv:70000 B002 P101 2018-02-03", reporttest.Awkward}},
			{Rule: "outlier", Severity: "warning", Count: 41, Sentence: "41 sales are far outside what their series usually sells."},
			{Rule: "zeros", Severity: "info", Count: 6200, Sentence: "8.5 % of sales are zero."},
		}},
		Steps: []Step{
			{Name: "validate", Digest: strings.Repeat("0a1b", 16), Options: "{\n  \"horizon\": 28\n}", Seed: 42, Files: 3, Bytes: 412_000},
			{Name: "train/xgboost", Digest: strings.Repeat("9f3c", 16), Options: `{"note":"` + reporttest.Awkward + `"}`, Seed: 42, Files: 5, Bytes: 3_412_000},
		},
		Version: "1.0.0", Warnings: []string{reporttest.Awkward}, Caveats: []string{"no plan: promo is taken to be as usual"},
	}
}

func render(t *testing.T, p *Page) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := p.Render(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// shops are the sizes that a page must carry: a chain, one short series, and more series than can be charted.
func shops() map[string]*reporttest.Shop {
	return map[string]*reporttest.Shop{
		"chain": reporttest.New(20, 3, 1215, 3, 28), "one": reporttest.New(1, 1, 30, 1, 1), "many": reporttest.New(60, 30, 200, 2, 14),
	}
}

func TestPageIsWhole(t *testing.T) {
	t.Parallel()
	for name, s := range shops() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := render(t, pageOf(t, s))
			if again := render(t, pageOf(t, s)); !bytes.Equal(b, again) {
				t.Error("rendered twice, the page differs")
			}
			if len(b) > 6<<20 {
				t.Errorf("the page has %d bytes", len(b))
			}
			checkPage(t, b)
			if *pages != "" {
				if err := os.WriteFile(filepath.Join(*pages, name+".html"), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

var outside = regexp.MustCompile(`(?i)(https?:)?//[a-z0-9]`)

// checkPage walks the parsed page: ids are unique, links and labels resolve, nothing points outside, no figure is NaN, and what came
// with the data stayed text.
func checkPage(t *testing.T, b []byte) {
	t.Helper()
	doc, err := html.Parse(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	ids, scripts, headings := map[string]int{}, 0, 0
	var refs []string
	var walk func(n *html.Node)
	walk = func(n *html.Node) {
		if n.Type == html.ElementNode {
			for _, a := range n.Attr {
				switch {
				case a.Key == "id":
					ids[a.Val]++
				case a.Key == "for" || a.Key == "href" && strings.HasPrefix(a.Val, "#"):
					refs = append(refs, strings.TrimPrefix(a.Val, "#"))
				case a.Key == "src" || a.Key == "href" || a.Key == "action" || outside.MatchString(a.Val):
					t.Errorf("<%s %s=%q> points outside the page", n.Data, a.Key, a.Val)
				case strings.HasPrefix(a.Key, "on"):
					t.Errorf("<%s> has a handler %s", n.Data, a.Key)
				}
			}
			switch n.Data {
			case "script":
				scripts++
				if payload := attribute(n, "id") == "payload"; payload && !json.Valid([]byte(n.FirstChild.Data)) {
					t.Error("the payload is not JSON")
				}
				return
			case "style":
				if outside.MatchString(n.FirstChild.Data) || strings.Contains(n.FirstChild.Data, "@import") {
					t.Error("the style points outside the page")
				}
				return
			case "h1", "h2":
				headings++
			}
		}
		if n.Type == html.TextNode {
			for _, bad := range []string{"NaN", "Inf", "<no value>", "%!", "ZgotmplZ"} {
				if strings.Contains(n.Data, bad) {
					t.Errorf("the page says %q", strings.TrimSpace(n.Data))
				}
			}
		}
		for c := n.FirstChild; c != nil; c = c.NextSibling {
			walk(c)
		}
	}
	walk(doc)
	if scripts != 3 {
		t.Errorf("%d scripts instead of payload, library and own: data became code", scripts)
	}
	if headings < 6 {
		t.Errorf("only %d headings", headings)
	}
	for id, n := range ids {
		if n > 1 {
			t.Errorf("id %q stands %d times", id, n)
		}
	}
	for _, r := range refs {
		if ids[r] == 0 {
			t.Errorf("link or label #%s leads nowhere", r)
		}
	}
	if !bytes.Contains(b, []byte(`default-src 'none'`)) {
		t.Error("the page does not forbid itself the network")
	}
}

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

// TestPayloadHasTheNumbers: what the script draws is what the panel and the predictions say.
func TestPayloadHasTheNumbers(t *testing.T) {
	t.Parallel()
	s := reporttest.New(2, 2, 120, 2, 7)
	p := pageOf(t, s)
	p.all = p.overview()
	rows := p.seriesRows()
	pl := p.payload(rows)
	if len(pl.Series) != 4 || rows[3].Index < 0 {
		t.Fatalf("%d series are charted", len(pl.Series))
	}
	end, _ := s.Panel.End()
	if got := len(pl.Total.Sold); got != 120 {
		t.Errorf("the total has %d days", got)
	}
	if next := pl.Total.Next; next == nil || next.Start != s.Panel.Frequency.Day(end+1).String() || len(next.Point) != 7 {
		t.Errorf("the total's forecast is %+v", next)
	}
	want := 0.0
	for i, f := range s.Forecast.Forecast {
		if s.Forecast.Horizon[i] == 3 {
			want += f
		}
	}
	if got := float64(pl.Total.Next.Point[2]); math.Abs(got-want) > 1e-9*want {
		t.Errorf("the third day's total is %v, the forecasts add up to %v", got, want)
	}
	for _, c := range pl.Series {
		if len(c.Tested.Point) != 14 || len(c.Next.Lo95) != 7 || len(c.Sold) != 120 {
			t.Errorf("%s has %d tested, %d next and %d sold", c.Name, len(c.Tested.Point), len(c.Next.Lo95), len(c.Sold))
		}
		for i := range c.Next.Point {
			if c.Next.Lo95[i] > c.Next.Lo80[i] || c.Next.Lo80[i] > c.Next.Hi80[i] || c.Next.Hi80[i] > c.Next.Hi95[i] {
				t.Errorf("%s: bands cross on day %d", c.Name, i)
			}
		}
	}
}

func TestTotalHasTheBandOfTotals(t *testing.T) {
	t.Parallel()
	s := reporttest.New(2, 2, 120, 2, 7)
	p := pageOf(t, s)
	p.ForecastTotals = &backtest.Predictions{
		Keys:   []panel.Key{{Name: "level", Levels: []string{"all", "store"}, Codes: []int32{0, 1}}, {Name: "value", Levels: []string{"all", "B1"}, Codes: []int32{0, 1}}},
		Models: []string{"ensemble"}, Levels: []float64{0.025, 0.1, 0.9, 0.975},
	}
	f := p.ForecastTotals
	for series := range int32(2) {
		for h := range int32(7) {
			at := s.Forecast.Cutoff[0] + calendar.Day(h) + 1
			f.Model, f.Series, f.Cutoff, f.Date = append(f.Model, 0), append(f.Series, series), append(f.Cutoff, s.Forecast.Cutoff[0]), append(f.Date, at)
			f.Horizon, f.Actual, f.Forecast = append(f.Horizon, h+1), append(f.Actual, math.NaN()), append(f.Forecast, 100)
			f.Quantiles = append(f.Quantiles, 80, 90, 110, 120+float64(series))
		}
	}
	p.TotalScores = []metric.TotalScores{{Level: "all", Rows: 84, Coverage95: 0.976}, {Level: "store", Rows: 1680, Coverage95: 0.9595}}
	p.all = p.overview()
	next := p.payload(p.seriesRows()).Total.Next
	if len(next.Point) != 7 || next.Lo95[6] != 80 || next.Hi95[6] != 120 {
		t.Errorf("the total's forecast is %+v", next)
	}
	if got := p.totals(); !strings.Contains(got, "97.6\u00a0% of 84 totals of all series, 96.0\u00a0% of 1,680 totals by store") {
		t.Errorf("totals: %q", got)
	}
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	base := func() *Page { return pageOf(t, reporttest.New(10, 3, 200, 2, 14)) }
	scale := func(p *Page, model int, by float64) *Page {
		p.Evaluation.Overall[model].WAPE = metric.Value(by)
		return p
	}
	cases := map[string]struct {
		page *Page
		good string
		want string
	}{
		"better":      {scale(base(), 0, 0.1), "good", "better than repeating last week."},
		"luck":        {func() *Page { p := scale(base(), 0, 0.1); p.Comparison = nil; return p }(), "unsure", "may be luck"},
		"worse":       {scale(base(), 0, 0.9), "bad", "worse than repeating last week. Do not plan with it"},
		"undefined":   {scale(base(), 0, math.NaN()), "unsure", "could not be checked"},
		"no baseline": {func() *Page { p := base(); p.Baseline = "none"; return p }(), "unsure", "no baseline"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, good := c.page.verdict()
			if good != c.good || !strings.Contains(s[0], c.want) {
				t.Errorf("%s: %q", good, s)
			}
		})
	}
}

// FuzzNamesStayText: whatever a series, a finding or a title is called, the page parses to the same scripts and it stays text.
func FuzzNamesStayText(f *testing.F) {
	for _, s := range []string{reporttest.Awkward, "</title>", "{{.}}", "\x00", "a\u2028b", "]]>", "<!--", "javascript:x", `"><img src=x onerror=y>`, "\xff\xfe", "//example"} {
		f.Add(s)
	}
	shop := reporttest.New(1, 2, 40, 1, 7)
	ev, err := metric.Evaluate(shop.Panel, shop.Predictions)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name string) {
		rename := func(p *backtest.Predictions) *backtest.Predictions {
			q := *p
			q.Keys = append(q.Keys[:0:0], p.Keys...)
			q.Keys[1].Levels = []string{name, name + "2"}
			return &q
		}
		p := &Page{
			Title: name, Target: name, Panel: shop.Panel, Backtest: rename(shop.Predictions), Forecast: rename(shop.Forecast), Evaluation: ev,
			Primary: "ensemble", Baseline: "seasonal_naive", Asked: []Fact{{name, name}}, Version: name,
			Data:  Quality{Findings: []Finding{{Rule: name, Severity: "error", Sentence: name, Cure: name, Examples: []string{name}}}},
			Steps: []Step{{Name: name, Options: name}}, Caveats: []string{name}, Importance: []chart.Importance{{Model: name, Features: []chart.Feature{{Name: name, Gain: 1}}}},
		}
		v, err := p.view() // without the library, which is most of the bytes and knows no names
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := v.render(&b); err != nil {
			t.Fatal(err)
		}
		checkNames(t, b.Bytes())
	})
}

func checkNames(t *testing.T, b []byte) {
	t.Helper()
	z, scripts := html.NewTokenizer(bytes.NewReader(b)), 0
	for {
		switch z.Next() {
		case html.ErrorToken:
			if !errors.Is(z.Err(), io.EOF) {
				t.Fatal(z.Err())
			}
			if scripts != 3 {
				t.Errorf("%d scripts instead of 3", scripts)
			}
			return
		case html.StartTagToken, html.SelfClosingTagToken:
			tag := z.Token()
			switch tag.Data {
			case "script":
				scripts++
			case "img", "iframe", "object", "embed", "base", "form", "link":
				t.Errorf("a <%s> came in", tag.Data)
			}
			for _, a := range tag.Attr {
				if strings.HasPrefix(a.Key, "on") || a.Key == "src" {
					t.Errorf("<%s %s=%q> came in", tag.Data, a.Key, a.Val)
				}
			}
		case html.TextToken, html.EndTagToken, html.CommentToken, html.DoctypeToken:
		}
	}
}

// The tables of coverage say how many series and points stand behind each share, and pool weeks of long horizons by their rows.
func TestCoverageTables(t *testing.T) {
	t.Parallel()
	p := pageOf(t, reporttest.New(2, 3, 200, 2, 16))
	weeks := p.horizonCoverage()
	if len(weeks) != 3 || weeks[0].Group != "1–7" || weeks[2].Group != "15–16" || weeks[0].Series != "6" {
		t.Fatalf("rows by week are %+v", weeks)
	}
	var rows, held float64
	for _, h := range p.Coverage.ByHorizon[:7] {
		rows, held = rows+float64(h.Rows), held+float64(h.Coverage95)*float64(h.Rows)
	}
	if want := percent(metric.Value(held/rows), 1); weeks[0].C95 != want || weeks[0].Rows != count(int(rows)) {
		t.Errorf("the first week is %+v, want %s of %g", weeks[0], want, rows)
	}
	classes := p.classCoverage()
	if len(classes) != 3 || classes[0].Series != "2" {
		t.Errorf("rows by class are %+v", classes)
	}
	b := string(render(t, p))
	for _, want := range []string{"Where do the intervals hold?", "sells most (a third)", "Of the 6 series tested often enough"} {
		if !strings.Contains(b, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	p.Coverage = nil
	if b := string(render(t, p)); strings.Contains(b, "Where do the intervals hold?") {
		t.Error("a page without coverage has its heading")
	}
}

// Where scripts do not run the chart is a picture of all series: history, forecast and intervals, whatever is not known left out.
func TestStill(t *testing.T) {
	t.Parallel()
	for name, s := range shops() {
		b := string(render(t, pageOf(t, s)))
		from := strings.Index(b, `<svg class="still"`)
		if from < 0 {
			t.Errorf("%s: there is no picture", name)
			continue
		}
		svg, _, _ := strings.Cut(b[from:], "</svg>")
		if n := strings.Count(svg, "<path"); n < stillLines+1 || strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
			t.Errorf("%s: the picture has %d paths: %.300s", name, n, svg)
		}
	}
}

// The page says of a search what it won where it looked, what where it did not, and what it cost; and without one, why there is none.
func TestTuning(t *testing.T) {
	t.Parallel()
	p := pageOf(t, reporttest.New(2, 2, 400, 2, 28))
	p.Tuned = nil
	if html := string(render(t, p)); !strings.Contains(html, "not searched, which is the default") {
		t.Error("nothing is said of tuning that is off")
	}
	tuned := func(model string, test metric.Value) Tuned {
		return Tuned{Model: model, Trials: 25, Pruned: 13, ValidationDefault: 0.3, ValidationTuned: 0.28, TestDefault: 0.25, TestTuned: test, Fits: 28.4}
	}
	p.Tuned = []Tuned{tuned("lightgbm", 0.26), tuned("xgboost", 0.251), tuned("lightgbm_log", 0.2), tuned("golearn", metric.Value(math.NaN()))}
	html := strings.ReplaceAll(string(render(t, p)), "&#43;", "+")
	for _, want := range []string{
		"it lowered the error of " + display("lightgbm_log"), "it changed nothing beyond 1\u00a0% for " + display("xgboost"), "it raised the error of " + display("lightgbm") + ".",
		"<td>25</td><td>13</td><td>30.0\u00a0%</td><td>28.0\u00a0%</td><td>25.0\u00a0%</td><td>26.0\u00a0%</td><td>+4.0\u00a0%</td><td>28</td>",
	} {
		if !strings.Contains(html, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}
