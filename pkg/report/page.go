package report

import (
	"bytes"
	"compress/gzip"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"slices"

	"salescast/pkg/backtest"
	"salescast/pkg/metric"
	"salescast/pkg/panel"
	"salescast/pkg/report/chart"
)

// Page is what the report tells. Its parts are only read.
type Page struct {
	Title string
	// Target is the name of what is sold, as it stands in the data.
	Target string
	// Panel, Backtest and Forecast have at least the series of Shown, the predictions of the primary model at the test origins, and those
	// after the end of the data; Backtest has the keys of all series. Where they have all series, Overview may be nil.
	Panel              *panel.Panel
	Backtest, Forecast *backtest.Predictions
	Overview           *Overview
	// BacktestTotals and ForecastTotals are the sums of both, as the ensemble calibrated them; nil where it did not. TotalScores are those
	// of the first.
	BacktestTotals, ForecastTotals *backtest.Predictions
	TotalScores                    []metric.TotalScores
	// Coverage says how the primary model's intervals kept their word, part by part; nil where it has none. It needs no figures by series.
	Coverage *metric.Coverage
	// Foresight is what the models knew of the plan at the origins; nil where there is none to know.
	Foresight *metric.Foresight
	// Truth holds the primary model against the expectation of generated data; nil for all other data.
	Truth      *metric.TruthScores
	Evaluation *metric.Evaluation
	// Comparison is the primary model against the baseline; nil where it could not be made.
	Comparison        *metric.Comparison
	Primary, Baseline string
	Importance        []chart.Importance
	// Tuned are the models whose parameters were searched; none where tuning is off.
	Tuned []Tuned
	// Asked are the settings as a person would say them.
	Asked []Fact
	Data  Quality
	// Steps are the finished steps, in the order of the pipeline.
	Steps []Step
	// Version is that of the program.
	Version string
	// Caveats stand beside the forecast: what had to be assumed to make it. Warnings are what the other steps warned of.
	Caveats, Warnings []string

	all *Overview // of the page that is being rendered
}

// Tuned says of a model whether searching its parameters was worth it.
type Tuned struct {
	Model                  string
	Trials, Pruned, Failed int
	// WAPE of the default parameters and of those that were found, where the search looked, the validation origins, and at the test
	// origins, which it knew nothing of.
	ValidationDefault, ValidationTuned, TestDefault, TestTuned metric.Value
	// Fits is the cost of the search, in fits of the default parameters at all validation origins, by boosting rounds.
	Fits float64
}

// Fact is one setting and its value.
type Fact struct{ Name, Value string }

// Quality is what validation found.
type Quality struct {
	// Rows were read; Quarantined ones were set aside, LeftOut ones stand before the first sale of their series, Filled ones were made
	// for steps without a row.
	Rows, Quarantined, LeftOut, Filled int64
	Findings                           []Finding
}

// Finding is one thing that is odd or wrong with the data.
type Finding struct {
	Rule string
	// Severity is error, warning or info.
	Severity string
	Count    int64
	Sentence string
	Cure     string
	Examples []string
}

// Step says how one step was made.
type Step struct {
	Name, Digest, Options string
	Seed                  uint64
	Files                 int
	Bytes                 int64
}

//go:embed assets
var assets embed.FS

// plotly is the file of the chart library among the assets.
const plotly = "assets/plotly-basic-4.1.1.min.js.gz"

// PlotlyLicense is the licence of the chart library that pages carry.
//
//go:embed assets/LICENSE.plotly
var PlotlyLicense string

// maxPlotly bounds what the library unpacks to.
const maxPlotly = 8 << 20

// Render writes the page. The same Page gives the same bytes.
func (p *Page) Render(w io.Writer) error {
	v, err := p.view()
	if err != nil {
		return fmt.Errorf("render report: %w", err)
	}
	if v.Plotly, err = library(); err != nil {
		return fmt.Errorf("render report: %w", err)
	}
	return v.render(w)
}

func (v *view) render(w io.Writer) error {
	t, err := template.New("page.html").ParseFS(assets, "assets/page.html")
	if err != nil {
		return fmt.Errorf("render report: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, v); err != nil {
		return fmt.Errorf("render report: %w", err)
	}
	if _, err := b.WriteTo(w); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func library() (template.JS, error) {
	b, err := assets.ReadFile(plotly)
	if err != nil {
		return "", err
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return "", err
	}
	defer z.Close()
	js, err := io.ReadAll(io.LimitReader(z, maxPlotly))
	if err != nil {
		return "", err
	}
	return template.JS(js), nil //nolint:gosec // our own file
}

func text(name string) (string, error) {
	b, err := assets.ReadFile("assets/" + name)
	return string(b), err
}

// view is what the template reads.
type view struct {
	*Page
	CSS    template.CSS
	Plotly template.JS
	Script template.JS
	Charts *payload
	Still  template.HTML
	// Bands says which errors the widths of the intervals come from.
	Bands string

	Subtitle   string
	Verdict    []string
	Good       string // "good", "unsure" or "bad"
	Tiles      []tile
	Scores     []scoreRow
	Origins    []originRow
	Quantiles  []quantileRow
	Worst      []seriesRow
	Hardest    string
	All        []seriesRow
	Unlisted   int
	Uncharted  int
	Gains      []gains
	Tunings    []tuningRow
	TuningSaid string
	Repeating  string
	Tested     string
	Compared   string
	Totals     string
	// Worth says what knowing the plan would change; "" where it is known.
	Worth string
	// AgainstTruth says how far the forecast is from what sales were drawn from; "" where nobody knows it.
	AgainstTruth string
	ByHorizon    []coverageRow
	ByClass      []coverageRow
	OverSeries   string
	Read         string
}

func (p *Page) view() (*view, error) {
	page := *p // what is computed stays off the caller's page
	p = &page
	if p.Panel == nil || p.Backtest == nil || p.Evaluation == nil || !slices.Contains(p.Evaluation.Models, p.Primary) {
		return nil, errors.New("there is no panel, no evaluation, or none of the model that the report is about")
	}
	v := &view{Page: p, Repeating: repeating(p.Panel.Frequency)}
	css, err := text("page.css")
	if err != nil {
		return nil, err
	}
	js, err := text("page.js")
	if err != nil {
		return nil, err
	}
	v.CSS, v.Script = template.CSS(css), template.JS(js) //nolint:gosec // our own files
	p.all = p.overview()
	rows := p.seriesRows()
	v.Charts = p.payload(rows)
	v.Still = v.Charts.still()
	v.Bands = p.bands()
	v.Uncharted = len(rows) - len(v.Charts.Series)
	p.spark(rows)
	v.Worst, v.Hardest = worst(rows), hardest(rows)
	v.All = rows[:min(len(rows), maxListed)]
	v.Unlisted = len(rows) - len(v.All)
	v.Scores, v.Origins, v.Quantiles, v.Gains = p.scoreRows(), p.originRows(), p.quantileRows(), p.gains()
	v.Tunings, v.TuningSaid = p.tuningRows(), p.tuningSaid()
	v.Verdict, v.Good = p.verdict()
	v.Tiles = p.tiles()
	v.Totals, v.AgainstTruth, v.Worth = p.totals(), p.againstTruth(), p.worth()
	v.ByHorizon, v.ByClass, v.OverSeries = p.horizonCoverage(), p.classCoverage(), p.seriesCoverage()
	v.Subtitle, v.Tested, v.Compared, v.Read = p.subtitle(), p.tested(), p.compared(), p.Data.read()
	return v, nil
}

// Count writes a whole number.
func (*view) Count(n int64) string { return count(n) }

// Size writes a number of bytes.
func (*view) Size(n int64) string {
	switch {
	case n >= 1<<20:
		return decimal(float64(n)/(1<<20), 1) + " MiB"
	case n >= 1<<10:
		return decimal(float64(n)/(1<<10), 1) + " KiB"
	}
	return count(n) + " B"
}

// MAPERows is how many predictions MAPE is over.
func (v *view) MAPERows() string {
	s, _ := v.scoresOf(v.Primary)
	return count(s.MAPERows)
}
