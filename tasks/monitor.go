package tasks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"salescast/pkg/artifact"
	"salescast/pkg/backtest"
	"salescast/pkg/bundle"
	"salescast/pkg/columnar"
	"salescast/pkg/drift"
	"salescast/pkg/forecast"
	"salescast/pkg/forecast/member"
	"salescast/pkg/metric"
	"salescast/pkg/panel"
)

const (
	monitorStep = "monitor"
	monitorName = "monitor.json"
)

// MonitorOptions ask how a model does on the sales since it was made.
type MonitorOptions struct {
	// Model is its address, as OpenModel takes it.
	Model string `json:"model"`
	// Horizon is the number of steps that are forecast again, and so the most that a verdict is of.
	Horizon int          `json:"horizon"`
	Limits  drift.Limits `json:"limits"`
	// FailOnDrift makes drift a KindDrift error.
	FailOnDrift bool `json:"-"`
	Force       bool `json:"-"`
}

// Monitor measures a model on the sales of validate's panel that came after those it was fitted on: it forecasts them again, as it would
// have, and compares its scores with those of its backtest, and the data with its history. It writes monitor.json and report.html, the
// window's forecasts beside the sales, and scores by series. Too few new sales are KindNothing. Drift is a warning, and with FailOnDrift the answer is
// Drift and the error KindDrift; the step is done all the same.
func Monitor(ctx context.Context, env Env, m *Model, o MonitorOptions) (*Result, error) {
	spec := stepSpec{
		Name: monitorStep, Options: o, Inputs: []string{"validate"}, Force: o.Force, Sources: []artifact.Input{{Step: m.URL, Digest: m.Digest}},
		Salt: map[string]string{"monitoring": drift.Schema},
	}
	res, err := runStep(ctx, env, spec, func(ctx context.Context, s *Step) error { return s.monitor(ctx, m, o) })
	if err != nil || !o.FailOnDrift {
		return res, err
	}
	doc, err := ReadMonitoring(ctx, env)
	if err != nil || !doc.Drift {
		return res, err
	}
	err = drifted(doc)
	res.Status, res.Error = Drift, &ResultError{Code: string(KindDrift), Message: err.Error(), Hint: HintOf(err)}
	return res, err
}

// ReadMonitoring reads what Monitor wrote.
func ReadMonitoring(ctx context.Context, env Env) (doc drift.Report, err error) {
	in, err := OpenStep(ctx, env.Store, monitorStep)
	if err == nil {
		err = in.readJSON(ctx, monitorName, &doc)
	}
	return doc, err
}

func drifted(doc drift.Report) error {
	var said []string
	for _, f := range doc.Findings {
		if f.Severity == drift.Drift {
			said = append(said, f.Message)
		}
	}
	return &Error{
		Kind: KindDrift, Op: "monitor " + doc.Model, Err: errors.New(strings.Join(said, "; ")),
		Hint: "train again on the new sales; monitor/scores_by_series.csv has the series that it comes from, and monitor.* in the configuration the limits",
	}
}

func (s *Step) monitor(ctx context.Context, m *Model, o MonitorOptions) (err error) {
	s.Phase("open", 0)
	p, schema, err := readPanel(ctx, s.Input("validate"))
	if err != nil {
		return err
	}
	if err := m.fits(ctx, schema); err != nil {
		return err
	}
	b, err := bundle.Open(ctx, m.reader, s.env.Learners.Open)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	if !b.HasHistory() {
		return &Error{
			Kind: KindInputMissing, Op: "monitor the model at " + m.URL, Err: errors.New("it has neither history nor backtest to compare with"),
			Hint: "name an ensemble; a member that is registered by itself has none",
		}
	}
	w, err := windowOf(p, b.Manifest, o.Horizon)
	if err != nil {
		return err
	}
	f := p.Frequency
	doc := drift.Report{
		Schema: drift.Schema, Model: o.Model, URL: m.URL, Learned: b.Manifest.Origin, From: f.Day(w.Origins[len(w.Origins)-1] + 1), To: f.Day(w.End), Steps: w.Steps,
		Series: p.Series(), Limits: o.Limits,
	}
	s.Phase("backtest", 0)
	origins, err := lookBack(ctx, m, b, p, w, schema.Target, &doc)
	if err != nil {
		return err
	}
	s.Phase("forecast", int64(len(w.Origins)))
	known, err := b.Beside(ctx, p, w.Origins[0]) // what it is for the others too: they are all after its end
	if err != nil {
		return err
	}
	promised, err := promisedBy(ctx, m.reader)
	if err != nil {
		return err
	}
	foresight := newForesight(p, w.End, w.Steps, promised)
	for i, origin := range w.Origins {
		r := forecast.Request{Panel: foresight.at(origin).Panel(), Origin: origin, Horizon: w.Steps, Levels: b.Manifest.Levels}
		block, err := s.again(ctx, b, known, r, i == len(w.Origins)-1)
		if err != nil {
			return forecastError(err, w.Steps)
		}
		doc.Blocks = append(doc.Blocks, block)
		s.Add(1)
	}
	doc.Now = doc.Blocks[len(doc.Blocks)-1].Measured
	doc.Judge(origins)
	s.tellMonitoring(doc)
	if err := s.WriteJSON(ctx, monitorName, doc); err != nil {
		return err
	}
	return s.write(ctx, "report.html", 0, doc.WriteHTML)
}

// lookBack compares the window with the history that the model learned from, which is needed no longer than that, and scores its backtest by
// origin.
func lookBack(ctx context.Context, m *Model, b *bundle.Bundle, p *panel.Panel, w drift.Window, target string, doc *drift.Report) (origins []metric.Scores, err error) {
	history, err := b.History(ctx)
	if err != nil {
		return nil, err
	}
	if doc.Then, origins, err = backtestScores(ctx, m, history, w.Steps); err != nil {
		return nil, err
	}
	doc.Columns, doc.NewSeries = w.Compare(history, p, target)
	return origins, nil
}

// windowOf lays out the steps of p that the model has not learned from. Too few of them are KindNothing.
func windowOf(p *panel.Panel, m bundle.Manifest, horizon int) (w drift.Window, err error) {
	op := "monitor the model that learned until " + m.Origin.String()
	if p.Frequency != m.Frequency {
		return w, &Error{Kind: KindConfig, Op: op, Err: fmt.Errorf("the data are %s, and the model was made with %s", p.Frequency, m.Frequency), Hint: "set data.frequency as it was for the model"}
	}
	if horizon < 1 || horizon > m.Horizon {
		return w, &Error{Kind: KindConfig, Op: op, Err: fmt.Errorf("it forecasts 1 to %d steps, not %d", m.Horizon, horizon), Hint: "leave forecast.horizon to the model"}
	}
	end, ok := p.End()
	if !ok {
		return w, &Error{Kind: KindData, Op: op, Err: errors.New("the panel has no observed sale")}
	}
	learned, ok := p.Frequency.Step(m.Origin)
	if !ok {
		return w, fmt.Errorf("%s: that is not on the grid %s", op, p.Frequency)
	}
	if fresh, least := int(end-learned), min(horizon, drift.Enough(p.Frequency)); fresh < least {
		err := fmt.Errorf("the data end on %s: %d new steps are too few to judge by, %d are enough", p.Frequency.Day(end), max(0, fresh), least)
		return w, &Error{Kind: KindNothing, Op: op, Err: err, Hint: "ask again when there are more sales"}
	}
	return drift.NewWindow(learned, end, horizon), nil
}

// again forecasts a block as the model would have from its origin, and scores it. The last is kept: it is written to the step.
func (s *Step) again(ctx context.Context, b *bundle.Bundle, known *bundle.Known, r forecast.Request, last bool) (drift.Block, error) {
	p := r.Panel
	out := drift.Block{Cutoff: p.Frequency.Day(r.Origin)}
	var f *forecast.Prediction
	var err error
	if known == nil {
		f, err = b.Model.Forecast(ctx, r) // as in the backtest: a series whose plan has holes is forecast with them
	} else {
		r.Panel = known.Adopt(p)
		f, err = known.Forecast(ctx, b.Model, r, nil)
	}
	if err != nil {
		return out, fmt.Errorf("forecast from %s: %w", out.Cutoff, err)
	}
	rows := backtest.Collect(p, primaryModel, []*forecast.Prediction{f})
	ev, err := metric.Evaluate(p, rows)
	if err != nil {
		return out, fmt.Errorf("score the forecast from %s: %w", out.Cutoff, err)
	}
	out.Model = ev.Overall[0]
	r.Panel = p
	if out.Baseline, err = naiveScores(ctx, r, b.Manifest.NonNegative); err != nil || !last {
		return out, err
	}
	s.Rows("predictions", int64(rows.Rows()))
	if err := s.writePredictions(ctx, "predictions.parquet", rows); err != nil {
		return out, err
	}
	if err := s.writePredictionsCSV(ctx, "predictions.csv", rows); err != nil {
		return out, err
	}
	return out, s.write(ctx, "scores_by_series.csv", ev.Series, func(w io.Writer) error { return ev.WriteSeriesCSV(w, rows.Keys) })
}

// naiveScores are those of the seasonal naive forecast that is asked for the same.
func naiveScores(ctx context.Context, r forecast.Request, nonNegative bool) (metric.Scores, error) {
	m, err := member.Native(ctx, member.SeasonalNaive, member.Settings{NonNegative: nonNegative})
	if err != nil {
		return metric.Scores{}, err
	}
	r.Levels = nil
	f, err := m.Forecast(ctx, r)
	if err = errors.Join(err, m.Close()); err != nil {
		return metric.Scores{}, err
	}
	ev, err := metric.Evaluate(r.Panel, backtest.Collect(r.Panel, baselineModel, []*forecast.Prediction{f}))
	if err != nil {
		return metric.Scores{}, fmt.Errorf("score the naive forecast: %w", err)
	}
	return ev.Overall[0], nil
}

// backtestScores are those of a model's own backtest up to as many steps ahead, in whole and by origin. It is read a part at a time.
func backtestScores(ctx context.Context, m *Model, history *panel.Panel, steps int) (out drift.Measured, origins []metric.Scores, err error) {
	raw, err := m.reader.ReadFile(ctx, backtestName, maxBacktest)
	if err != nil {
		return out, nil, err
	}
	damaged := func(err error) error { return fmt.Errorf("score %s at %s: %w", backtestName, m.URL, err) }
	past, err := columnar.OpenPredictions(bytes.NewReader(raw))
	if err != nil {
		return out, nil, damaged(err)
	}
	cutoffs, _, err := past.Span(ctx)
	if err != nil {
		return out, nil, damaged(err)
	}
	head := past.Head()
	ensemble, naive := slices.Index(head.Models, primaryModel), slices.Index(head.Models, baselineModel)
	if ensemble < 0 || naive < 0 || len(cutoffs) == 0 {
		return out, nil, &Error{Kind: KindInputMissing, Op: "monitor the model at " + m.URL, Err: errors.New("its backtest has no forecasts to compare with"), Hint: "train it on a longer history"}
	}
	sc, err := metric.NewScorer(head, history.Frequency, cutoffs, steps)
	if err == nil {
		err = sc.AddPanel(history)
	}
	if err != nil {
		return out, nil, damaged(err)
	}
	for rows, err := range past.Blocks(ctx) {
		if err == nil {
			err = sc.Add(rows.Filter(func(i int) bool {
				return int(rows.Horizon[i]) <= steps && (int(rows.Model[i]) == ensemble || int(rows.Model[i]) == naive)
			}))
		}
		if err != nil {
			return out, nil, damaged(err)
		}
	}
	ev, err := sc.Finish()
	if err != nil {
		return out, nil, damaged(err)
	}
	out.Model, out.Baseline = ev.Overall[ensemble], ev.Overall[naive]
	return out, ev.ByOrigin[ensemble], nil
}

// tellMonitoring records the headline figures, and warns of every finding.
func (s *Step) tellMonitoring(doc drift.Report) {
	s.Rows("series", int64(doc.Series))
	s.Rows("new_series", int64(doc.NewSeries))
	for name, scores := range map[string]metric.Scores{"": doc.Now.Model, "backtest_": doc.Then.Model, "baseline_": doc.Now.Baseline} {
		s.Metric(name+"wape", float64(scores.WAPE))
		s.Metric(name+"rmsse", float64(scores.RMSSE))
		s.Metric(name+"bias", float64(scores.Bias))
		s.Metric(name+"coverage_95", float64(scores.Coverage95))
	}
	drifts := 0
	for _, f := range doc.Findings {
		s.Warn("%s: %s", f.Severity, f.Message)
		if f.Severity == drift.Drift {
			drifts++
		}
	}
	s.Metric("drift", float64(drifts))
}
