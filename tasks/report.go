package tasks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"salescast/pkg/backtest"
	"salescast/pkg/metric"
	"salescast/pkg/panel"
	"salescast/pkg/quality"
	"salescast/pkg/report"
)

// Report renders the workspace into one page, report/index.html. Where no forecast was made, because the plan is missing, the page says
// so and tells the rest.
func Report(ctx context.Context, env Env, o ReportOptions) (*Result, error) {
	models, optional, err := reportInputs(ctx, env)
	if err != nil {
		return nil, err
	}
	spec := stepSpec{
		Name: "report", Options: o, Inputs: slices.Concat([]string{"ensemble", "evaluate", "validate"}, trainSteps(models), optional),
		Force: o.Force, Salt: map[string]string{"report": "6"},
	}
	return runStep(ctx, env, spec, func(ctx context.Context, s *Step) error {
		s.Phase("read", 0)
		page, err := s.page(ctx, o, models)
		if err != nil {
			return err
		}
		s.Phase("render", 0)
		return s.write(ctx, "index.html", 0, page.Render)
	})
}

// reportInputs finds the members that the ensemble was made of, and the steps that may be there and need not.
func reportInputs(ctx context.Context, env Env) (models, optional []string, err error) {
	in, err := OpenStep(ctx, env.Store, "ensemble")
	if KindOf(err) == KindInputMissing {
		return nil, nil, nil // runStep says it with the step's result
	}
	if err != nil {
		return nil, nil, err
	}
	for _, i := range in.Manifest.Inputs {
		if m, ok := strings.CutPrefix(i.Step, "train/"); ok {
			models = append(models, m)
		}
	}
	for _, step := range []string{"data", "featurize", "forecast"} {
		switch _, err := OpenStep(ctx, env.Store, step); KindOf(err) {
		case "":
			optional = append(optional, step)
		case KindInputMissing:
		default:
			return nil, nil, err
		}
	}
	return models, optional, nil
}

func (s *Step) page(ctx context.Context, o ReportOptions, models []string) (page *report.Page, err error) {
	x, err := s.openScoring(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, x.close()) }()
	validated := s.Input("validate")
	page = &report.Page{
		Title: o.Title, Target: x.schema.Target, Primary: primaryModel, Baseline: baselineModel,
		Version: s.env.Version, Asked: asked(validated, s.Input("ensemble")),
	}
	if err := s.gather(ctx, x, page); err != nil {
		return nil, err
	}
	if page.Title == "" {
		page.Title = "Forecast of " + x.schema.Target
	}
	if page.BacktestTotals, err = optionalPredictions(ctx, s.Input("ensemble"), totalsName); err != nil {
		return nil, err
	}
	if page.ForecastTotals, err = optionalPredictions(ctx, s.inputs["forecast"], "forecast_totals.parquet"); err != nil {
		return nil, err
	}
	if page.Data, err = qualityOf(ctx, validated); err != nil {
		return nil, err
	}
	if page.Importance, err = importances(ctx, s, models); err != nil {
		return nil, err
	}
	if page.Tuned, err = tunings(ctx, s, models); err != nil {
		return nil, err
	}
	doc, err := readMetrics(ctx, s.Input("evaluate"))
	if err != nil {
		return nil, err
	}
	page.TotalScores, page.Coverage, page.Truth, page.Foresight = doc.Totals, doc.Coverage, doc.Truth, doc.Foresight
	for _, c := range doc.Compared {
		if c.Reference == baselineModel {
			page.Comparison = &c.Comparison
		}
	}
	for _, step := range slices.Concat([]string{"data", "validate", "featurize"}, trainSteps(models), []string{"ensemble", "evaluate", "forecast"}) {
		in, ok := s.inputs[step]
		if !ok {
			continue
		}
		made, err := madeBy(in)
		if err != nil {
			return nil, err
		}
		page.Steps = append(page.Steps, made)
		if step == "forecast" {
			page.Caveats = in.Manifest.Warnings
			continue
		}
		for _, w := range in.Manifest.Warnings {
			page.Warnings = append(page.Warnings, step+": "+w)
		}
	}
	return page, nil
}

// gather scores the predictions, sums up what the page tells of all series, and then reads those series that it shows one by one.
func (s *Step) gather(ctx context.Context, x *scoring, page *report.Page) error {
	sc, err := x.scorer()
	if err != nil {
		return err
	}
	all := report.NewOverview(x.schema.Frequency, x.tested.Head(), primaryModel)
	err = x.panels(ctx, sc.addPanel, func(p *panel.Panel) error { all.AddPanel(p); return nil })
	if err != nil {
		return err
	}
	err = x.rows(ctx, sc.add, func(rows *backtest.Predictions) error { all.AddTested(rows); return nil })
	if err != nil {
		return err
	}
	forecast, ok := s.inputs["forecast"]
	if !ok {
		s.Warn("there is no forecast in the workspace; the page is about the past alone")
	} else if err := eachPredictions(ctx, forecast, "forecast.parquet", func(rows *backtest.Predictions) error { all.AddForecast(rows); return nil }); err != nil {
		return err
	}
	if page.Evaluation, err = sc.finish(); err != nil {
		return err
	}
	head := x.tested.Head()
	page.Overview = all
	page.Backtest = &backtest.Predictions{Keys: head.Keys, Models: head.Models, Levels: head.Levels}
	shown := map[string]bool{}
	primary, wanted := slices.Index(head.Models, primaryModel), make([]bool, page.Evaluation.Series)
	for _, i := range page.Shown() {
		wanted[i] = true
		shown[seriesID(head.Keys, i)] = true
	}
	if err := x.panels(ctx, func(p *panel.Panel) error {
		page.Panel, err = withSeries(page.Panel, p, shown)
		return err
	}); err != nil {
		return err
	}
	if err := x.rows(ctx, func(rows *backtest.Predictions) error {
		return page.Backtest.Append(rows.Filter(func(i int) bool { return int(rows.Model[i]) == primary && wanted[rows.Series[i]] }))
	}); err != nil {
		return err
	}
	if forecast == nil {
		return nil
	}
	var keep []bool
	return eachPredictions(ctx, forecast, "forecast.parquet", func(rows *backtest.Predictions) error {
		if page.Forecast == nil {
			page.Forecast = &backtest.Predictions{Keys: rows.Keys, Models: rows.Models, Levels: rows.Levels}
			keep = make([]bool, rows.NumSeries())
			for i := range keep {
				keep[i] = shown[seriesID(rows.Keys, i)]
			}
		}
		return page.Forecast.Append(rows.Filter(func(i int) bool { return keep[rows.Series[i]] }))
	})
}

// seriesID is a name that no other series has.
func seriesID(keys []panel.Key, s int) string {
	parts := make([]string, len(keys))
	for k := range keys {
		parts[k] = keys[k].Levels[keys[k].Codes[s]]
	}
	return strings.Join(parts, "\x00")
}

// withSeries appends those series of p that are shown to what was taken before, nil at first. Without any it takes an empty part, so that
// the frequency and the columns are known.
func withSeries(taken, p *panel.Panel, shown map[string]bool) (*panel.Panel, error) {
	parts := []*panel.Panel{p.Slice(0, 0)}
	if taken != nil {
		parts[0] = taken
	}
	for i := range p.Series() {
		if shown[seriesID(p.Keys, i)] {
			parts = append(parts, p.Slice(i, i+1))
		}
	}
	if len(parts) == 1 && taken != nil {
		return taken, nil
	}
	return panel.Concat(parts...)
}

// optionalPredictions is nil where the step, or its file, is not there.
func optionalPredictions(ctx context.Context, in *Opened, name string) (*backtest.Predictions, error) {
	if in == nil || !in.Has(name) {
		return nil, nil
	}
	return readPredictions(ctx, in, name)
}

func readMetrics(ctx context.Context, in *Opened) (*metric.Document, error) {
	var d metric.Document
	if err := in.readJSON(ctx, "metrics.json", &d); err != nil {
		return nil, err
	}
	if d.Schema != metric.Schema {
		return nil, in.damagedFile(ctx, "metrics.json", fmt.Errorf("its schema is %q and not %q", d.Schema, metric.Schema))
	}
	return &d, nil
}

func madeBy(in *Opened) (report.Step, error) {
	m := in.Manifest
	b, err := json.MarshalIndent(m.Options, "", "  ")
	if err != nil {
		return report.Step{}, fmt.Errorf("encode options of %s: %w", m.Step, err)
	}
	out := report.Step{Name: m.Step, Digest: m.ContentDigest(), Options: string(b), Seed: m.Seed, Files: len(m.Files)}
	for _, f := range m.Files {
		out.Bytes += f.Size
	}
	return out, nil
}

// asked turns options into what a person would say.
func asked(validate, ensemble *Opened) []report.Fact {
	data, _ := validate.Manifest.Options["data"].(map[string]any)
	backtest, _ := ensemble.Manifest.Options["backtest"].(map[string]any)
	var out []report.Fact
	add := func(name string, value any) {
		if text := said(value); text != "" {
			out = append(out, report.Fact{Name: name, Value: text})
		}
	}
	add("Source", data["source"])
	add("Series are told apart by", data["keys"])
	add("What is forecast", data["target"])
	add("Known ahead", data["known_future"])
	add("Known only afterwards", data["past_only"])
	add("A missing row means", data["missing"])
	add("Public holidays of", data["country"])
	add("Steps ahead", ensemble.Manifest.Options["horizon"])
	add("Quantiles", ensemble.Manifest.Options["quantiles"])
	add("Members of the ensemble", ensemble.Manifest.Options["models"])
	add("Test origins", backtest["origins"])
	return out
}

// said writes an option as text; "" for what was not set.
func said(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = said(v[i])
		}
		return strings.Join(parts, ", ")
	}
	return fmt.Sprint(v)
}

// qualityOf reads what validate found.
func qualityOf(ctx context.Context, in *Opened) (report.Quality, error) {
	var doc quality.Report
	if err := in.readJSON(ctx, "report.json", &doc); err != nil {
		return report.Quality{}, err
	}
	out := report.Quality{Rows: doc.Rows, Quarantined: doc.Quarantined, LeftOut: doc.LeftOut, Filled: doc.FilledRows}
	for _, f := range doc.Findings {
		v := report.Finding{Rule: f.Rule, Severity: string(f.Severity), Count: f.Count, Sentence: f.Message, Cure: f.Cure}
		for _, at := range f.First {
			v.Examples = append(v.Examples, at.String())
		}
		out.Findings = append(out.Findings, v)
	}
	return out, nil
}
