package quality

import (
	"fmt"
	"html/template"
	"io"
)

// WriteHTML renders the report as one self-contained page.
func WriteHTML(w io.Writer, r *Report) error {
	t, err := template.New("report").Funcs(template.FuncMap{
		"errors":   func(r *Report) []Finding { return r.Worst(Error) },
		"warnings": func(r *Report) []Finding { return r.Worst(Warning) },
		"infos":    func(r *Report) []Finding { return r.Worst(Info) },
		"percent": func(n, of int64) string {
			if of == 0 {
				return "0 %"
			}
			return fmt.Sprintf("%.3g %%", 100*float64(n)/float64(of))
		},
		"list": func(title string, f []Finding) map[string]any { return map[string]any{"Title": title, "Findings": f} },
	}).Parse(page)
	if err != nil {
		return fmt.Errorf("quality report: %w", err)
	}
	if err := t.Execute(w, r); err != nil {
		return fmt.Errorf("quality report: %w", err)
	}
	return nil
}

const page = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Data quality</title>
<style>
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b2733;background:#fff}
h1{font-size:1.6rem;margin-bottom:.25rem}h2{font-size:1.15rem;margin-top:2rem}
.verdict{padding:.75rem 1rem;border-radius:.4rem;font-weight:600}
.passed{background:#e4f3e8;color:#14532d}.failed{background:#fbe6e4;color:#7f1d1d}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(11rem,1fr));gap:.75rem;margin:1rem 0}
dl div{border:1px solid #d5dde5;border-radius:.4rem;padding:.5rem .75rem}dt{color:#52606d;font-size:.85rem}dd{margin:0;font-weight:600}
article{border-left:.3rem solid #94a3b8;padding:.25rem 0 .25rem 1rem;margin:1rem 0}
article.error{border-color:#b91c1c}article.warning{border-color:#b45309}
article h3{font-size:1rem;margin:0}article p{margin:.25rem 0}
code{font:.85rem/1.4 ui-monospace,monospace;overflow-wrap:anywhere}ul{margin:.25rem 0;padding-left:1.2rem}
.rule{color:#52606d;font-size:.85rem}
@media print{body{margin:0}article{break-inside:avoid}}
</style></head><body>
<h1>Data quality</h1>
<p>{{range $i, $f := .Files}}{{if $i}}, {{end}}<code>{{$f}}</code>{{end}}{{if gt .FileCount (len .Files)}} and more, {{.FileCount}} files in all{{end}}</p>
{{if .Passed}}<p class="verdict passed">The data can be forecast from.</p>{{else}}<p class="verdict failed">The data must be mended first.</p>{{end}}
<dl>
<div><dt>Rows read</dt><dd>{{.Rows}}</dd></div>
<div><dt>Set aside</dt><dd>{{.Quarantined}} ({{percent .Quarantined .Rows}})</dd></div>
<div><dt>Series</dt><dd>{{.Series}}</dd></div>
{{if .Frequency}}<div><dt>Frequency</dt><dd>{{.Frequency}}</dd></div>{{end}}
{{if .Start}}<div><dt>First sale</dt><dd>{{.Start}}</dd></div>{{end}}
{{if .End}}<div><dt>Last sale</dt><dd>{{.End}}</dd></div>{{end}}
{{if .PlanEnd}}<div><dt>Plan until</dt><dd>{{.PlanEnd}}</dd></div>{{end}}
<div><dt>Rows filled in</dt><dd>{{.FilledRows}}</dd></div>
</dl>
{{define "findings"}}{{if .Findings}}<h2>{{.Title}}</h2>
{{range .Findings}}<article class="{{.Severity}}"><h3>{{.Message}}</h3>
<p><strong>What to do:</strong> {{.Cure}}.</p>
{{if .First}}<ul>{{range .First}}<li><code>{{.}}</code></li>{{end}}</ul>{{end}}
<p class="rule">rule {{.Rule}}{{if .Rejects}}; these rows are in quarantine.parquet and not in the panel{{end}}</p></article>
{{end}}{{end}}{{end}}
{{template "findings" list "Must be mended" (errors .)}}
{{template "findings" list "Should be looked at" (warnings .)}}
{{template "findings" list "Good to know" (infos .)}}
{{if not .Findings}}<p>Nothing was found.</p>{{end}}
</body></html>
`
