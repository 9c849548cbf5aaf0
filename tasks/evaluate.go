package tasks

import (
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"strings"

	"salescast/pkg/backtest"
	"salescast/pkg/calendar"
	"salescast/pkg/columnar"
	"salescast/pkg/metric"
	"salescast/pkg/panel"
	"salescast/pkg/report/chart"
)

const (
	// primaryModel is what the pipeline is judged by, baselineModel what it must beat.
	primaryModel  = "ensemble"
	baselineModel = "seasonal_naive"
	// maxSmall bounds the JSON files that steps read whole.
	maxSmall = 16 << 20
)

// Evaluate scores the predictions at the test origins: metrics.json, metrics_by_series.csv, coverage.csv, predictions.csv and, with Charts, charts/*.png.
func Evaluate(ctx context.Context, env Env, o EvaluateOptions) (*Result, error) {
	if len(o.Models) == 0 {
		var err error
		if o.Models, err = combined(ctx, env); err != nil {
			return nil, err
		}
	}
	truth, err := generated(ctx, env)
	if err != nil && KindOf(err) != KindInputMissing { // runStep says what is not there
		return nil, err
	}
	spec := stepSpec{Name: "evaluate", Options: o, Inputs: evaluateInputs(o.Models, truth), Force: o.Force, Salt: map[string]string{"evaluate": "5"}}
	return runStep(ctx, env, spec, func(ctx context.Context, s *Step) (err error) {
		s.Phase("read", 0)
		x, err := s.openScoring(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, x.close()) }()
		return s.evaluate(ctx, x, o, truth)
	})
}

func (s *Step) evaluate(ctx context.Context, x *scoring, o EvaluateOptions, truth bool) error {
	head := x.tested.Head()
	sc, err := x.scorer()
	if err != nil {
		return err
	}
	coverage, covers := metric.NewCoverage(head, primaryModel)
	var first calendar.Day
	if len(x.origins) > 0 {
		first = x.origins[0]
	}
	volumes := metric.NewVolumes(head, first)
	if err := x.panels(ctx, sc.addPanel, func(p *panel.Panel) error { volumes.Add(p); return nil }); err != nil {
		return err
	}
	pairs, err := metric.NewPairing(head, primaryModel, x.origins, x.horizons)
	if err != nil {
		return unscorable(err)
	}
	table, err := s.createTable(ctx, "predictions.csv", head)
	if err != nil {
		return err
	}
	defer table.out.Abort()
	var expected *metric.TruthTally
	if truth {
		if expected, err = s.expectations(ctx, x); err != nil {
			return err
		}
	}
	sample := chart.NewSample(head, primaryModel, baselineModel)
	s.Phase("score", x.tested.NumRows())
	err = x.rows(ctx, sc.add, pairs.Add, table.add, func(rows *backtest.Predictions) error {
		s.Add(int64(rows.Rows()))
		if covers {
			coverage.Add(rows)
		}
		if expected != nil {
			expected.Add(rows)
		}
		if o.Charts {
			return sample.Add(rows)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := table.close(); err != nil {
		return err
	}
	if n := x.tested.NumRows() - table.csv.Rows(); n > 0 {
		s.Warn("%d of %d predictions have no forecast or lack a quantile and are left out of predictions.csv", n, x.tested.NumRows())
	}
	ev, err := sc.finish()
	if err != nil {
		return err
	}
	doc := ev.Document(x.schema.Frequency, primaryModel, baselineModel)
	s.compare(doc, pairs, head.Models)
	if in := s.Input("ensemble"); in.Has(totalsName) {
		totals, err := readPredictions(ctx, in, totalsName)
		if err != nil {
			return err
		}
		doc.Totals = metric.Totals(totals)
	}
	if doc.Foresight, err = s.readForesight(ctx, x); err != nil {
		return err
	}
	if covers {
		if doc.Coverage, err = coverage.CoverageOf(volumes); err != nil {
			return err
		}
		if err := s.writeCoverage(ctx, doc.Coverage, head.Keys); err != nil {
			return err
		}
	}
	if expected != nil {
		doc.Truth = expected.Scores()
		s.tellTruth(doc.Truth)
	}
	s.tell(ev)
	if err := s.writeScores(ctx, doc, ev, head); err != nil {
		return err
	}
	if !o.Charts || !scored(ev) {
		return nil
	}
	imp, err := importances(ctx, s, o.Models)
	if err != nil {
		return err
	}
	return s.drawCharts(ctx, &chart.Data{
		Sample: sample, Evaluation: ev, Primary: primaryModel, Baseline: baselineModel, Target: x.schema.Target, Importance: imp,
	})
}

// combined are the members that the workspace's ensemble was made of.
func combined(ctx context.Context, env Env) ([]string, error) {
	in, err := OpenStep(ctx, env.Store, "ensemble")
	if err != nil {
		return nil, err
	}
	var models []string
	for _, i := range in.Manifest.Inputs {
		if m, ok := strings.CutPrefix(i.Step, "train/"); ok {
			models = append(models, m)
		}
	}
	return models, nil
}

func trainSteps(models []string) []string {
	steps := make([]string, 0, len(models))
	for _, m := range models {
		steps = append(steps, "train/"+m)
	}
	return steps
}

// scored says whether there is anything to draw: a history that is too short has no test origins.
func scored(ev *metric.Evaluation) bool {
	m := slices.Index(ev.Models, primaryModel)
	return m >= 0 && ev.Overall[m].Rows > 0
}

// compare fills in the primary model against every other that it shares sales with.
func (s *Step) compare(doc *metric.Document, pairs *metric.Pairing, models []string) {
	for _, name := range models {
		if name == primaryModel {
			continue
		}
		c, err := pairs.With(name, s.spec.Seed)
		if err != nil {
			s.Warn("%s cannot be compared with %s: %v", primaryModel, name, err)
			continue
		}
		doc.Compared = append(doc.Compared, metric.Against{Reference: name, Comparison: *c})
	}
}

// tell records the headline figures, and warns where they do not mean what they seem to.
func (s *Step) tell(ev *metric.Evaluation) {
	for m, name := range ev.Models {
		all := ev.Overall[m]
		for i, v := range all.Values() {
			s.Metric(name+"_"+metric.Columns()[i], float64(v))
		}
		if all.Missing > 0 {
			s.Warn("%s gave no forecast for %d of %d observed sales; its scores are of the others", name, all.Missing, all.Rows+all.Missing)
		}
		if name == primaryModel {
			s.Rows("predictions", int64(all.Rows))
			if n := all.Rows - all.MAPERows; n > 0 {
				s.Warn("MAPE is over the %d sales above zero; %d at or below zero cannot be counted in it", all.MAPERows, n)
			}
		}
	}
	if !scored(ev) {
		s.Warn("nothing could be scored: no sale was observed after a test origin, so how good the forecast is remains unknown")
	}
	s.Rows("series", int64(ev.Series))
}

func (s *Step) writeScores(ctx context.Context, doc *metric.Document, ev *metric.Evaluation, head *backtest.Predictions) error {
	if err := s.WriteJSON(ctx, "metrics.json", doc); err != nil {
		return err
	}
	return s.write(ctx, "metrics_by_series.csv", ev.Series*len(ev.Models), func(out io.Writer) error { return ev.WriteSeriesCSV(out, head.Keys) })
}

func (s *Step) writeCoverage(ctx context.Context, c *metric.Coverage, keys []panel.Key) error {
	rows := len(c.ByHorizon) + len(c.ByClass) + len(c.BySeries)
	return s.write(ctx, "coverage.csv", rows, func(out io.Writer) error { return c.WriteCSV(out, keys) })
}

// predictionsTable is predictions.csv while it is written: the rows that have a forecast and all quantiles.
type predictionsTable struct {
	out *Output
	csv *columnar.PredictionsCSV
}

func (s *Step) createTable(ctx context.Context, name string, head *backtest.Predictions) (*predictionsTable, error) {
	out, err := s.Create(ctx, name)
	if err != nil {
		return nil, err
	}
	return &predictionsTable{out, columnar.NewPredictionsCSV(out, head)}, nil
}

func (t *predictionsTable) add(rows *backtest.Predictions) error {
	k := len(rows.Levels)
	for i := range rows.Rows() {
		if !math.IsNaN(rows.Forecast[i]) && !slices.ContainsFunc(rows.Quantiles[i*k:(i+1)*k], math.IsNaN) {
			t.csv.Row(rows, i)
		}
	}
	return nil
}

func (t *predictionsTable) close() error {
	if err := t.csv.Close(); err != nil {
		return err
	}
	t.out.Rows(t.csv.Rows())
	return t.out.Close()
}

func (s *Step) drawCharts(ctx context.Context, d *chart.Data) error {
	pictures := d.Pictures()
	s.Phase("draw", int64(len(pictures)))
	for _, p := range pictures {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.write(ctx, "charts/"+p.Name, 0, p.Draw); err != nil {
			return err
		}
		s.Add(1)
	}
	return nil
}

// importances reads what each member says its features gained; a member that says nothing is left out.
func importances(ctx context.Context, s *Step, models []string) ([]chart.Importance, error) {
	var out []chart.Importance
	for _, m := range models {
		in := s.Input("train/" + m)
		if !in.Has("importance.json") {
			continue
		}
		v := chart.Importance{Model: m}
		if err := in.readJSON(ctx, "importance.json", &v.Features); err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}
