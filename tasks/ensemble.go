package tasks

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"salescast/pkg/backtest"
	"salescast/pkg/bundle"
	"salescast/pkg/calendar"
	"salescast/pkg/columnar"
	"salescast/pkg/forecast"
	"salescast/pkg/forecast/ensemble"
	"salescast/pkg/forecast/member"
	"salescast/pkg/panel"
	"salescast/pkg/regress"
)

// Ensemble weighs the trained members and calibrates quantiles, at every origin from the blocks whose sales were known there. It
// writes validation.parquet and backtest.parquet, with quantiles for the ensemble, every member and the seasonal naive baseline;
// backtest_totals.parquet, the sums of what the ensemble forecast at the test origins; weights.json; and the bundle that forecasts from the end of the data: bundle.json, calibration.json, totals.json, members/, history.parquet, with
// input.json, the contract of the data it reads, and what makes it a model of MLflow.
func Ensemble(ctx context.Context, env Env, o EnsembleOptions) (*Result, error) {
	if len(o.Models) == 0 {
		var err error
		if o.Models, err = DefaultModels(ctx, env, o.Preset, o.Horizon, o.Backtest); err != nil {
			return nil, err
		}
	}
	specs := make([]member.Spec, len(o.Models))
	for i, name := range o.Models {
		var err error
		if specs[i], err = member.Named(name); err != nil {
			return nil, &Error{Kind: KindUsage, Op: "combine models", Err: err, Hint: "name trained models"}
		}
	}
	if o.Method == string(ensemble.ByLoss) {
		o.Method = "" // the same, and so the same answer
	}
	if o.Method != "" && !slices.Contains(ensemble.Methods(), o.Method) {
		return nil, &Error{Kind: KindUsage, Op: "combine models", Err: fmt.Errorf("there is no method %q", o.Method), Hint: fmt.Sprintf("the methods are %v", ensemble.Methods())}
	}
	step := stepSpec{
		Name: "ensemble", Options: o, Inputs: append([]string{"validate"}, trainSteps(o.Models)...), Seed: o.Seed, Force: o.Force,
		Salt: map[string]string{"bundle": bundle.Schema, "totals": "1", "alone": "1", "weights": "3", "intervals": "2", "plan": "1", "mlmodel": bundle.MLmodelVersion()},
	}
	return runStep(ctx, env, step, func(ctx context.Context, s *Step) error {
		c := combiner{env: env, step: s, options: o, specs: specs, points: map[pointsKey][]float64{}, planned: map[pointsKey][]float64{}}
		return c.run(ctx)
	})
}

type combiner struct {
	env     Env
	step    *Step
	options EnsembleOptions
	specs   []member.Spec
	panel   *panel.Panel
	schema  panelNames
	sched   backtest.Schedule
	known   *foresight
	points  map[pointsKey][]float64
	// planned are those with the whole plan known, of members that read it, where the source knows less.
	planned map[pointsKey][]float64
}

type panelNames struct{ time, target string }

type pointsKey struct {
	member string
	origin calendar.Step
}

func (c *combiner) run(ctx context.Context) error {
	c.step.Phase("read", int64(len(c.specs)))
	p, schema, err := readPanel(ctx, c.step.Input("validate"))
	if err != nil {
		return err
	}
	c.panel, c.schema = p, panelNames{schema.Time, schema.Target}
	if c.sched, err = schedule(p, c.options.Horizon, c.options.Backtest); err != nil {
		return err
	}
	warnShort(c.step, c.sched, c.options.Backtest)
	c.known = foresightOf(p, c.sched, c.options.Backtest)
	for _, spec := range c.specs {
		if err := c.readMember(ctx, spec.Name); err != nil {
			return err
		}
		c.step.Add(1)
	}
	if err := c.baseline(ctx); err != nil {
		return err
	}
	c.known.tell(c.step)
	if doc := c.known.document(); doc != nil {
		if err := c.step.WriteJSON(ctx, reachName, doc); err != nil {
			return err
		}
	}
	c.step.Phase("backtest", 2)
	for _, part := range []struct {
		name    string
		origins []calendar.Step
	}{{"validation.parquet", c.sched.Validation}, {"backtest.parquet", c.sched.Test}} {
		if err := c.backtest(ctx, part.name, part.origins); err != nil {
			return err
		}
		c.step.Add(1)
	}
	c.step.Phase("calibrate", 1)
	return c.final(ctx)
}

// readMember takes in what a member forecast out of sample, and checks that it did so at this step's origins.
func (c *combiner) readMember(ctx context.Context, name string) error {
	in := c.step.Input("train/" + name)
	for _, file := range []string{"validation.parquet", "backtest.parquet"} {
		rows, err := readPredictions(ctx, in, file)
		if err != nil {
			return err
		}
		if err := c.take(c.points, name, rows); err != nil {
			return &Error{Kind: KindData, Op: "combine " + name, Err: err, Hint: fmt.Sprintf("train it with the same horizon and origins: salescast train --model %s --force", name)}
		}
	}
	if c.known.short() && in.Has(plannedName) {
		rows, err := readPredictions(ctx, in, plannedName)
		if err != nil {
			return err
		}
		if err := c.take(c.planned, name, rows); err != nil {
			return &Error{Kind: KindData, Op: "combine " + name, Err: err, Hint: fmt.Sprintf("train it again: salescast train --model %s --force", name)}
		}
	}
	for _, o := range slices.Concat(c.sched.Validation, c.sched.Test) {
		if _, ok := c.points[pointsKey{name, o}]; !ok {
			return &Error{
				Kind: KindData, Op: "combine " + name, Err: fmt.Errorf("it has no forecast from %s", c.panel.Frequency.Day(o)),
				Hint: fmt.Sprintf("train it with the same horizon and origins: salescast train --model %s --force", name),
			}
		}
	}
	return nil
}

// take lays out rows by origin in points; they are those of one model, sorted.
func (c *combiner) take(points map[pointsKey][]float64, name string, rows *backtest.Predictions) error {
	horizon := c.options.Horizon
	for i := range rows.Rows() {
		o, ok := c.panel.Frequency.Step(rows.Cutoff[i])
		if !ok || int(rows.Horizon[i]) > horizon || int(rows.Series[i]) >= c.panel.Series() {
			return fmt.Errorf("its row %d, series %d from %s %d steps ahead, is not of this panel and horizon", i, rows.Series[i], rows.Cutoff[i], rows.Horizon[i])
		}
		key := pointsKey{name, o}
		if points[key] == nil {
			points[key] = forecast.NewPrediction(o, c.panel.Series(), horizon, nil).Point
		}
		points[key][int(rows.Series[i])*horizon+int(rows.Horizon[i])-1] = rows.Forecast[i]
	}
	return nil
}

// baseline computes the seasonal naive forecasts, which cost nothing, unless they were trained as a member.
func (c *combiner) baseline(ctx context.Context) error {
	if slices.Contains(c.options.Models, member.Baseline) {
		return nil
	}
	m, err := member.Native(ctx, member.SeasonalNaive, member.Settings{NonNegative: c.options.NonNegative})
	if err != nil {
		return err
	}
	for _, o := range slices.Concat(c.sched.Validation, c.sched.Test) {
		f, err := m.Forecast(ctx, forecast.Request{Panel: c.panel, Origin: o, Horizon: c.options.Horizon})
		if err != nil {
			return err
		}
		c.points[pointsKey{member.Baseline, o}] = f.Point
	}
	return m.Close()
}

func (c *combiner) at(name string, o calendar.Step) []float64 { return c.points[pointsKey{name, o}] }

// knowing answers what a member forecast with the whole plan known: as ever, where it reads none.
func (c *combiner) knowing(name string, o calendar.Step) []float64 {
	if points, ok := c.planned[pointsKey{name, o}]; ok {
		return points
	}
	return c.at(name, o)
}

func (c *combiner) settings(specs ...member.Spec) ensemble.Settings {
	set := ensemble.Settings{Levels: c.options.Quantiles, NonNegative: c.options.NonNegative, Method: ensemble.Method(c.options.Method), Known: c.known.at}
	for _, s := range specs {
		set.Candidates = append(set.Candidates, ensemble.Candidate{Name: s.Name, Statistical: s.Statistical()})
	}
	return set
}

// ensemble are the settings of the combination. Where LightGBM is a member, and so is there to be asked, it also learns how large errors are.
func (c *combiner) ensemble() ensemble.Settings {
	set := c.settings(c.specs...)
	const engine = "lightgbm"
	if c.env.Learners != nil && slices.ContainsFunc(c.specs, func(s member.Spec) bool { return s.Trees.Engine == engine }) {
		set.Sizes = func(rows int) (regress.Learner, error) {
			return c.env.Learners.Learner(engine, ensemble.SizeParameters(rows, c.options.Seed))
		}
	}
	return set
}

// backtest writes the ensemble, every member and the baseline at some origins, all with quantiles calibrated alike. One of them is in
// memory at a time.
func (c *combiner) backtest(ctx context.Context, name string, origins []calendar.Step) error {
	alone := slices.Clone(c.specs)
	if !slices.Contains(c.options.Models, member.Baseline) {
		naive, err := member.Named(member.Baseline)
		if err != nil {
			return err
		}
		alone = append(alone, naive)
	}
	models, settings := []string{primaryModel}, []ensemble.Settings{c.ensemble()}
	for _, spec := range alone {
		set := c.settings(spec)
		set.Plain = spec.Name == member.Baseline
		models, settings = append(models, spec.Name), append(settings, set)
	}
	out, err := c.step.Create(ctx, name)
	if err != nil {
		return err
	}
	defer out.Abort()
	var w *columnar.PredictionsWriter
	for m, set := range settings {
		var planned ensemble.Points
		if m == 0 && name == backtestName && len(c.planned) > 0 {
			planned = c.knowing
		}
		rows, whole, err := ensemble.BacktestPlanned(ctx, c.panel, c.sched, c.at, planned, models[m], origins, set)
		if err != nil {
			return err
		}
		if whole != nil {
			if err := c.step.writePredictions(ctx, plannedName, whole); err != nil {
				return err
			}
		}
		rows.Models = models
		for i := range rows.Model {
			rows.Model[i] = int32(m)
		}
		if w == nil {
			if w, err = columnar.NewPredictionsWriter(out, rows); err != nil {
				return fmt.Errorf("write %s: %w", name, err)
			}
		}
		if err := w.Write(rows); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	c.step.Rows(name, w.Rows())
	out.Rows(w.Rows())
	return out.Close()
}

// weightsDocument is weights.json.
type weightsDocument struct {
	// Final weights forecast from the end of the data; Test are those of each test origin, learned before it.
	Final originWeights   `json:"final"`
	Test  []originWeights `json:"test"`
}

type originWeights struct {
	Origin calendar.Day `json:"origin"`
	// Windows are the origins of the blocks that the weights were learned from.
	Windows []calendar.Day    `json:"windows"`
	Members []ensemble.Weight `json:"members"`
}

func (c *combiner) final(ctx context.Context) (err error) {
	set := c.settings(c.specs...)
	doc := weightsDocument{Test: []originWeights{}}
	set.Totals = true
	var parts []*backtest.Predictions
	for _, o := range c.sched.Test {
		f, err := ensemble.Fit(ctx, c.panel, c.sched, c.at, o, set)
		if err != nil {
			return err
		}
		doc.Test = append(doc.Test, c.describe(f))
		if f.Totals == nil {
			continue
		}
		pr, err := f.Predict(ctx, c.panel, c.at, c.options.Horizon, set)
		if err != nil {
			return err
		}
		sums, err := ensemble.Sum(c.panel, pr, f.Totals, nil)
		if err != nil {
			return err
		}
		parts = append(parts, sums)
	}
	if err := c.writeTotals(ctx, parts); err != nil {
		return err
	}
	whole := c.ensemble()
	whole.Totals, whole.Alone = true, true
	f, err := ensemble.Fit(ctx, c.panel, c.sched, c.at, c.sched.End, whole)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Calibration.Close()) }()
	doc.Final = c.describe(f)
	for _, w := range f.Weights {
		c.step.Metric("weight_"+w.Member, w.Weight)
	}
	if f.Calibration != nil {
		c.step.Rows("calibration", int64(f.Calibration.Rows))
	}
	if err := c.step.WriteJSON(ctx, "weights.json", doc); err != nil {
		return err
	}
	sources := map[string]bundle.Source{}
	for _, name := range c.options.Models {
		sources[name] = bundle.Source{Reader: c.step.Input("train/" + name)}
	}
	m := bundle.Manifest{
		Time: c.schema.time, Target: c.schema.target, Horizon: c.options.Horizon, Origin: c.panel.Frequency.Day(c.sched.End),
		Levels: c.options.Quantiles, NonNegative: c.options.NonNegative,
	}
	if err := bundle.Write(ctx, c.step, m, c.panel, f, sources); err != nil {
		return err
	}
	input, err := inputContract(c.step.Input("validate"), c.schema, c.panel.Frequency)
	if err != nil {
		return err
	}
	if err := c.step.WriteJSON(ctx, inputName, input); err != nil {
		return err
	}
	if err := bundle.WriteMLmodel(ctx, c.step, modelTable(c.panel, input, c.options.Quantiles)); err != nil {
		return err
	}
	// What it forecast at the test origins goes along: a later candidate is compared with it.
	c.step.LogModel(primaryModel, []string{"python_function"}, func(name string) bool { return name != "validation.parquet" && name != totalsName })
	c.step.Add(1)
	return nil
}

// totalsName is the file of the sums at the test origins. A history too short to calibrate them has none.
const totalsName = "backtest_totals.parquet"

func (c *combiner) writeTotals(ctx context.Context, parts []*backtest.Predictions) error {
	if len(parts) == 0 {
		return nil
	}
	rows, err := backtest.Merge(parts...)
	if err != nil {
		return err
	}
	return c.step.writePredictions(ctx, totalsName, rows)
}

func (c *combiner) describe(f *ensemble.Fitted) originWeights {
	w := originWeights{Origin: c.panel.Frequency.Day(f.Origin), Windows: []calendar.Day{}, Members: f.Weights}
	for _, o := range f.Windows {
		w.Windows = append(w.Windows, c.panel.Frequency.Day(o))
	}
	return w
}
