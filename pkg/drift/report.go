package drift

import (
	"fmt"
	"html/template"
	"io"
	"math"

	"salescast/pkg/calendar"
	"salescast/pkg/metric"
)

// Schema names the version of Report's JSON form. New fields may come; readers ignore those they do not know.
const Schema = "salescast.monitoring/v1"

// Report is what is known of a model on the sales after those that it learned from.
type Report struct {
	Schema string `json:"schema"`
	// Model is the address as it was asked for, URL where that was found.
	Model string `json:"model"`
	URL   string `json:"url"`
	// Learned is the last day that the model was fitted on. From and To are the days of the window that the verdict is of, Steps its length.
	Learned calendar.Day `json:"learned"`
	From    calendar.Day `json:"from"`
	To      calendar.Day `json:"to"`
	Steps   int          `json:"steps"`
	// Series are those of the data, NewSeries those among them that the model does not know.
	Series    int `json:"series"`
	NewSeries int `json:"new_series"`
	// Drift says whether any finding is drift.
	Drift    bool      `json:"drift"`
	Findings []Finding `json:"findings"`
	Limits   Limits    `json:"limits"`
	// Now are the scores of the window, Then those of the backtest as many steps ahead.
	Now  Measured `json:"now"`
	Then Measured `json:"then"`
	// Blocks are the windows since Learned, the oldest first, each forecast from the step before it; the last is Now.
	Blocks []Block `json:"blocks"`
	// Columns are the data of the window beside those that the model learned from.
	Columns []Shift `json:"columns"`
}

// Block is one window, forecast from Cutoff.
type Block struct {
	Cutoff calendar.Day `json:"cutoff"`
	Measured
}

// Judge fills in what follows from the figures: the findings, and whether they are drift. origins are the scores of the backtest by origin.
func (r *Report) Judge(origins []metric.Scores) {
	r.Findings = append([]Finding{}, Decay(r.Now, r.Then, origins, r.Limits)...)
	r.Drift = len(r.Findings) > 0
	for _, c := range r.Columns {
		if f, ok := c.Finding(r.Limits); ok {
			r.Findings = append(r.Findings, f)
		}
	}
}

// WriteHTML renders the report as one self-contained page.
func (r *Report) WriteHTML(w io.Writer) error {
	widest := 0.0
	for _, b := range append([]Block{{Measured: r.Then}}, r.Blocks...) {
		for _, v := range []metric.Value{b.Model.WAPE, b.Baseline.WAPE} {
			if v.Defined() {
				widest = max(widest, float64(v))
			}
		}
	}
	format := func(form string, times float64) func(metric.Value) string {
		return func(v metric.Value) string {
			if !v.Defined() {
				return "–"
			}
			if math.Abs(float64(v)) >= 1e9 {
				return fmt.Sprintf("%.2e", float64(v))
			}
			return fmt.Sprintf(form, times*float64(v))
		}
	}
	t, err := template.New("report").Funcs(template.FuncMap{
		"four": format("%.4f", 1), "three": format("%.3f", 1), "two": format("%.2f", 1), "signed": format("%+.1f %%", 100), "percent": format("%.1f %%", 100),
		"width": func(v metric.Value) int {
			if !v.Defined() || widest == 0 {
				return 0
			}
			return int(math.Round(100 * max(float64(v)/widest, 0)))
		},
		"row": func(name string, s metric.Scores) map[string]any { return map[string]any{"Name": name, "Scores": s} },
	}).Parse(page)
	if err != nil {
		return fmt.Errorf("monitoring report: %w", err)
	}
	if err := t.Execute(w, r); err != nil {
		return fmt.Errorf("monitoring report: %w", err)
	}
	return nil
}

const page = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Model monitoring</title>
<style>
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b2733;background:#fff}
h1{font-size:1.6rem;margin-bottom:.25rem}h2{font-size:1.15rem;margin-top:2rem}
.verdict{padding:.75rem 1rem;border-radius:.4rem;font-weight:600}
.steady{background:#e4f3e8;color:#14532d}.drift{background:#fbe6e4;color:#7f1d1d}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%}th,td{text-align:right;padding:.3rem .6rem;border-bottom:1px solid #d5dde5;white-space:nowrap}
th:first-child,td:first-child{text-align:left}thead th{color:#52606d;font-weight:600;font-size:.85rem}
article{border-left:.3rem solid #94a3b8;padding:.25rem 0 .25rem 1rem;margin:1rem 0}article.drift{border-color:#b91c1c;background:none}
.bars{width:40%;min-width:9rem}.bar{display:block;height:.6rem;margin:.15rem 0;border-radius:.15rem;background:#2563eb}.bar.naive{background:#94a3b8}
.note{color:#52606d;font-size:.9rem}code{font:.85rem/1.4 ui-monospace,monospace;overflow-wrap:anywhere}
@media print{body{margin:0}article,table{break-inside:avoid}}
</style></head><body>
<h1>Model monitoring</h1>
<p><code>{{.Model}}</code> learned until {{.Learned}}. {{if .NewSeries}}Of the {{.Series}} series in the data it does not know {{.NewSeries}}.{{else}}It knows the {{.Series}} series in the data.{{end}}</p>
{{if .Drift}}<p class="verdict drift">It forecasts worse than it did: train again on the new sales.</p>{{else}}<p class="verdict steady">It forecasts as well as it did.</p>{{end}}
{{range .Findings}}<article class="{{.Severity}}"><strong>{{.Severity}}</strong>: {{.Message}}</article>
{{end}}
<h2>The last {{.Steps}} steps, {{.From}} to {{.To}}</h2>
<p class="note">Forecast again from the step before them, as it would have been then. The backtest is of as many steps ahead.</p>
<div class="wide"><table><thead><tr><th></th><th>WAPE</th><th>RMSSE</th><th>bias</th><th>95 % coverage</th></tr></thead><tbody>
{{define "scores"}}<tr><td>{{.Name}}</td><td>{{four .Scores.WAPE}}</td><td>{{three .Scores.RMSSE}}</td><td>{{signed .Scores.Bias}}</td><td>{{percent .Scores.Coverage95}}</td></tr>
{{end}}{{template "scores" row "now" .Now.Model}}{{template "scores" row "in the backtest" .Then.Model}}{{template "scores" row "seasonal naive now" .Now.Baseline}}{{template "scores" row "seasonal naive in the backtest" .Then.Baseline}}</tbody></table></div>
<h2>How it aged</h2>
<p class="note">WAPE by forecast origin: the model in blue, the seasonal naive forecast in grey. The first row is the backtest.</p>
<div class="wide"><table><thead><tr><th>forecast from</th><th class="bars"></th><th>WAPE</th><th>naive</th><th>bias</th><th>95 % coverage</th></tr></thead><tbody>
{{define "block"}}<td class="bars"><span class="bar" style="width:{{width .Model.WAPE}}%"></span><span class="bar naive" style="width:{{width .Baseline.WAPE}}%"></span></td><td>{{four .Model.WAPE}}</td><td>{{four .Baseline.WAPE}}</td><td>{{signed .Model.Bias}}</td><td>{{percent .Model.Coverage95}}</td>{{end}}
<tr><td>backtest</td>{{template "block" .Then}}</tr>
{{range .Blocks}}<tr><td>{{.Cutoff}}</td>{{template "block" .Measured}}</tr>
{{end}}</tbody></table></div>
<h2>The data beside the history</h2>
<p class="note">The distance of the window's values from those of the history, each relative to its series' mean, and the largest distance of an earlier window of the same length from the rest.</p>
<div class="wide"><table><thead><tr><th>column</th><th>KS</th><th>at most before</th><th>PSI</th><th>at most before</th><th>windows before</th><th>missing</th><th>missing before</th></tr></thead><tbody>
{{range .Columns}}<tr><td>{{.Column}}</td><td>{{two .KS}}</td><td>{{two .PastKS}}</td><td>{{two .PSI}}</td><td>{{two .PastPSI}}</td><td>{{.Precedents}}</td><td>{{percent .Missing}}</td><td>{{percent .PastMissing}}</td></tr>
{{end}}</tbody></table></div>
</body></html>
`
