package tasks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"runtime"
	"slices"
	"strings"

	"salescast/pkg/backtest"
	"salescast/pkg/bundle"
	"salescast/pkg/calendar"
	"salescast/pkg/columnar"
	"salescast/pkg/feature"
	"salescast/pkg/forecast"
	"salescast/pkg/forecast/ensemble"
	"salescast/pkg/forecast/global"
	"salescast/pkg/forecast/member"
	"salescast/pkg/panel"
	"salescast/pkg/regress"
	"salescast/pkg/track"
)

// ModelNames are the members that can be trained.
func ModelNames() []string { return member.Names() }

// EnsembleMethods are the ways to find weights, the default first.
func EnsembleMethods() []string { return ensemble.Methods() }

// The presets choose the members where none are named: for the least error, or for less time.
const (
	PresetBest = "best"
	PresetFast = "fast"
)

// DefaultModels returns the members that suit validate's panel, for when none are named; an empty preset is PresetBest.
func DefaultModels(ctx context.Context, env Env, preset string, horizon int, b BacktestOptions) ([]string, error) {
	if preset != "" && preset != PresetBest && preset != PresetFast {
		return nil, &Error{Kind: KindUsage, Op: "choose models", Err: fmt.Errorf("there is no preset %q", preset), Hint: "the presets are " + PresetBest + " and " + PresetFast}
	}
	in, err := OpenStep(ctx, env.Store, "validate")
	if err != nil {
		return nil, err
	}
	p, _, err := readPanel(ctx, in)
	if err != nil {
		return nil, err
	}
	s, err := schedule(p, horizon, b)
	if err != nil {
		return nil, err
	}
	return member.Defaults(p, s, preset == PresetFast), nil
}

// schedule places the origins that options ask for.
func schedule(p *panel.Panel, horizon int, b BacktestOptions) (s backtest.Schedule, err error) {
	switch len(b.Split) {
	case 0:
		s, err = backtest.Origins(p, horizon, b.Origins)
	case 3:
		s, err = backtest.Shares(p, horizon, [3]float64(b.Split))
	default:
		err = fmt.Errorf("split has %d shares, want those of training, validation and test", len(b.Split))
	}
	if err != nil {
		return s, &Error{Kind: KindData, Op: "place test origins", Err: err, Hint: "check forecast.horizon and backtest against the length of the data"}
	}
	return s, nil
}

// warnShort says when history has no room for what was asked.
func warnShort(s *Step, sched backtest.Schedule, b BacktestOptions) {
	switch {
	case len(sched.Test) == 0:
		s.Warn("the history is too short to test a forecast of %d steps: there are no test origins, and intervals are not calibrated", sched.Horizon)
	case len(b.Split) == 0 && len(sched.Test) < b.Origins:
		s.Warn("the history has room for %d of %d test origins", len(sched.Test), b.Origins)
	}
	if len(sched.Test) > 0 && len(sched.Validation) == 0 {
		s.Warn("the history has no room for validation before the first test origin: members weigh the same there, and its intervals are not calibrated")
	}
}

// Train fits one member anew at every validation and test origin, on history up to it, and at the end of the data. It writes what it
// forecast out of sample, validation.parquet before the first test origin and backtest.parquet from there on; the member fitted last
// (member.json, plan.json, model files in the engine's own format); params.json and importance.json.
func Train(ctx context.Context, env Env, o TrainOptions) (*Result, error) {
	spec, err := member.Named(o.Model)
	if err != nil {
		return nil, &Error{Kind: KindUsage, Op: "train", Err: err, Hint: "name one of them with --model"}
	}
	step := stepSpec{
		Name: "train/" + o.Model, Options: o, Inputs: []string{"validate"}, Seed: o.Seed, Force: o.Force,
		Salt: map[string]string{"backtest": "2", "rows": "1", "member": bundle.MemberSchema, "bundle": bundle.Schema, "plan": feature.PlanSchema, "mlmodel": bundle.MLmodelVersion()},
	}
	if o.Tuned {
		if !Tunable(o.Model) {
			return nil, &Error{Kind: KindUsage, Op: "train " + o.Model, Err: errors.New("it cannot be tuned"), Hint: "train it without tuned parameters"}
		}
		step.Inputs = append(step.Inputs, "tune/"+o.Model)
	}
	if spec.Kind == member.ETS {
		step.Salt["ets"] = "2"
	}
	if engine := spec.Trees.Engine; engine != "" && env.Learners != nil {
		step.Salt[engine] = env.Learners.Release(ctx, engine)
	}
	return runStep(ctx, env, step, func(ctx context.Context, s *Step) error {
		t := trainer{env: env, step: s, options: o, spec: spec}
		err := t.run(ctx)
		if missing, ok := errors.AsType[*regress.UnavailableError](err); ok {
			return &Error{Kind: KindUnavailable, Op: "train " + o.Model, Err: err, Hint: missing.Hint}
		}
		return err
	})
}

type trainer struct {
	env     Env
	step    *Step
	options TrainOptions
	spec    member.Spec
	panel   *panel.Panel
	names   panelNames
	sched   backtest.Schedule
	known   *foresight
	// planned are the forecasts from the test origins with the whole plan known, where the source knows less.
	planned []*forecast.Prediction
	// losses are the curve of the last fit.
	losses []track.Metric
}

func (t *trainer) run(ctx context.Context) error {
	t.step.Phase("read", 0)
	var err error
	var schema columnar.PanelSchema
	if t.panel, schema, err = readPanel(ctx, t.step.Input("validate")); err != nil {
		return err
	}
	t.names = panelNames{schema.Time, schema.Target}
	if t.sched, err = schedule(t.panel, t.options.Horizon, t.options.Backtest); err != nil {
		return err
	}
	warnShort(t.step, t.sched, t.options.Backtest)
	t.known = foresightOf(t.panel, t.sched, t.options.Backtest)
	given := t.options.Params
	var found tuned
	if t.options.Tuned {
		if found, err = readTuned(ctx, t.step.Input("tune/"+t.options.Model)); err != nil {
			return err
		}
		t.options.Params = maps.Clone(found.Parameters)
		maps.Copy(t.options.Params, given)
	}
	splits := t.sched.Splits()
	t.step.Phase("backtest", int64(len(splits)))
	made := make([]*forecast.Prediction, 0, len(splits))
	for _, split := range splits {
		f, err := t.forecast(ctx, split)
		if err != nil {
			return fmt.Errorf("backtest at %s: %w", t.panel.Frequency.Day(split.Cutoff), err)
		}
		made = append(made, f)
		t.step.Add(1)
	}
	v := len(t.sched.Validation)
	if err := t.write(ctx, "validation.parquet", made[:v]); err != nil {
		return err
	}
	if err := t.write(ctx, "backtest.parquet", made[v:]); err != nil {
		return err
	}
	if len(t.planned) > 0 {
		if err := t.write(ctx, plannedName, t.planned); err != nil {
			return err
		}
	}
	t.step.Phase("fit", 1)
	if err := t.final(ctx); err != nil {
		return err
	}
	if !t.options.Tuned {
		return nil
	}
	return t.compare(ctx, found, given, made[v:])
}

// tuning is tuning.json: whether the search that the member's parameters come from was worth it.
type tuning struct {
	tuned
	// TestDefault and TestTuned are WAPE at the test origins, which the search knew nothing of; nil where there are none.
	TestDefault *float64 `json:"test_default_wape"`
	TestTuned   *float64 `json:"test_tuned_wape"`
}

// compare forecasts from the test origins with the default parameters too, and says which were better there.
func (t *trainer) compare(ctx context.Context, found tuned, given map[string]string, made []*forecast.Prediction) error {
	out := tuning{tuned: found}
	if len(made) > 0 {
		out.TestTuned = finite(wape(backtest.Collect(t.panel, t.options.Model, made)))
		out.TestDefault = out.TestTuned
	}
	if len(made) > 0 && len(found.Parameters) > 0 {
		t.step.Phase("compare with defaults", int64(len(made)))
		plain := *t
		plain.options.Params = given
		without := make([]*forecast.Prediction, len(made))
		for i := range made {
			var err error
			if without[i], err = plain.forecast(ctx, backtest.Split{Cutoff: t.sched.Test[i], Horizon: t.sched.Horizon}); err != nil {
				return fmt.Errorf("backtest of the defaults at %s: %w", t.panel.Frequency.Day(t.sched.Test[i]), err)
			}
			t.step.Add(1)
		}
		out.TestDefault = finite(wape(backtest.Collect(t.panel, t.options.Model, without)))
	}
	if out.TestDefault != nil {
		t.step.Metric("backtest_default_wape", *out.TestDefault)
	}
	return t.step.WriteJSON(ctx, "tuning.json", out)
}

// fit fits the member at an origin to p, the panel as it was known there: features of training rows look ahead in the plan, past the origin
// too. Forecasts that only weights are learned from do with fewer rows.
func (t *trainer) fit(ctx context.Context, p *panel.Panel, origin calendar.Step) (*member.Model, error) {
	set := t.settings(member.Rows(global.Observed(p, origin), !slices.Contains(t.sched.Validation, origin)))
	if origin == t.sched.End {
		set.Watch = func(rounds int, loss float64) {
			t.losses = append(t.losses, track.Metric{Name: "training_loss", Value: loss, Step: int64(rounds), At: t.env.Now()})
		}
	}
	m, err := t.spec.Forecaster(set).Fit(ctx, p, origin)
	if err != nil {
		return nil, err
	}
	return m.(*member.Model), nil
}

func (t *trainer) settings(rows int) member.Settings {
	return member.Settings{
		Horizon: t.options.Horizon, Rows: rows, Seed: t.options.Seed, Country: t.options.Country, NonNegative: t.options.NonNegative,
		Threads: runtime.GOMAXPROCS(0), Params: t.options.Params, Learners: t.learner,
	}
}

// learner is asked for by trees alone: smoothing needs no engine.
func (t *trainer) learner(engine string, params map[string]string) (regress.Learner, error) {
	if t.env.Learners == nil {
		return nil, &regress.UnavailableError{Engine: engine, Err: errors.New("no engines are set up")}
	}
	return t.env.Learners.Learner(engine, params)
}

func (t *trainer) forecast(ctx context.Context, split backtest.Split) (f *forecast.Prediction, err error) {
	known := t.known.at(split.Cutoff).Panel()
	m, err := t.fit(ctx, known, split.Cutoff)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	r := forecast.Request{Panel: t.panel, Origin: split.Cutoff, Horizon: split.Horizon}
	if t.known.short() && m.NeedsPlan() && slices.Contains(t.sched.Test, split.Cutoff) {
		whole, err := m.Forecast(ctx, r)
		if err != nil {
			return nil, err
		}
		t.planned = append(t.planned, whole)
	}
	r.Panel = known
	return m.Forecast(ctx, r)
}

func (t *trainer) write(ctx context.Context, name string, made []*forecast.Prediction) error {
	p := backtest.Collect(t.panel, t.options.Model, made)
	t.step.Rows(name, int64(p.Rows()))
	t.step.Metric(strings.TrimSuffix(name, ".parquet")+"_wape", wape(p))
	return t.step.writePredictions(ctx, name, p)
}

// wape is the sum of absolute errors over the sum of sales, of the rows that have a sale; NaN where nothing was sold.
func wape(p *backtest.Predictions) float64 {
	var off, sold float64
	for i, actual := range p.Actual {
		if !math.IsNaN(actual) {
			off += math.Abs(p.Forecast[i] - actual)
			sold += math.Abs(actual)
		}
	}
	if sold == 0 {
		return math.NaN()
	}
	return off / sold
}

// writePredictions writes a table of predictions.
func (s *Step) writePredictions(ctx context.Context, name string, p *backtest.Predictions) error {
	return s.write(ctx, name, p.Rows(), func(out io.Writer) error { return columnar.WritePredictions(out, p) })
}

// trainedParams is params.json: what was fitted, as a person would ask.
type trainedParams struct {
	Model string      `json:"model"`
	About string      `json:"about"`
	Kind  member.Kind `json:"kind"`
	// Engine is that of trees, with the parameters it was given, in its own names.
	Engine     string            `json:"engine,omitempty"`
	Strategy   string            `json:"strategy,omitempty"`
	Target     string            `json:"target,omitempty"`
	Scale      string            `json:"scale,omitempty"`
	Parameters map[string]string `json:"parameters,omitempty"`
	// Models is the number of seeds whose mean is the forecast, Rows the number of training rows of each, Columns that of features.
	Models  int `json:"models,omitempty"`
	Rows    int `json:"rows,omitempty"`
	Columns int `json:"columns,omitempty"`
}

// gain is one feature of importance.json and its share of the total gain.
type gain struct {
	Name string  `json:"name"`
	Gain float64 `json:"gain"`
}

// writeModel writes the fitted member as a model that stands alone: a bundle, and a directory that MLflow opens.
func (t *trainer) writeModel(ctx context.Context, m *member.Model) error {
	alone := bundle.Manifest{
		Time: t.names.time, Target: t.names.target, Frequency: t.panel.Frequency, Horizon: t.options.Horizon, Origin: t.panel.Frequency.Day(t.sched.End),
		NonNegative: t.options.NonNegative,
	}
	if err := bundle.WriteAlone(ctx, t.step, alone, t.spec.Name, m); err != nil {
		return err
	}
	input, err := inputContract(t.step.Input("validate"), t.names, t.panel.Frequency)
	if err != nil {
		return err
	}
	if err := t.step.WriteJSON(ctx, inputName, input); err != nil {
		return err
	}
	if err := bundle.WriteMemberMLmodel(ctx, t.step, m, modelTable(t.panel, input, nil)); err != nil {
		return err
	}
	// What it forecast at the test origins goes along: a later candidate is compared with it.
	t.step.LogModel(t.spec.Name, bundle.MemberFlavors(m), func(name string) bool { return name != "validation.parquet" })
	return nil
}

func (t *trainer) final(ctx context.Context) (err error) {
	m, err := t.fit(ctx, t.known.at(t.sched.End).Panel(), t.sched.End)
	if err != nil {
		return fmt.Errorf("fit at %s: %w", t.panel.Frequency.Day(t.sched.End), err)
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	if len(t.losses) > 0 {
		t.step.recorded("the curve of training", t.step.run.Metrics(ctx, t.losses))
	}
	if m.Kind != t.spec.Kind {
		t.step.Warn("the history is too short for %s: its forecasts are those of %s", t.spec.Name, m.Kind)
	}
	if err := t.writeModel(ctx, m); err != nil {
		return err
	}
	params := trainedParams{Model: t.spec.Name, About: t.spec.About, Kind: m.Kind}
	if g := m.Trees; g != nil {
		spec := g.Spec()
		params.Engine, params.Strategy, params.Target, params.Scale = spec.Engine, string(spec.Strategy), string(spec.Target), spec.Scale
		params.Parameters, params.Models, params.Rows, params.Columns = g.Parameters(), len(g.Engines()), g.Rows(), len(g.Plan().Names())
		t.step.Rows("training", int64(g.Rows()))
		shares, err := g.Importance()
		if err != nil {
			return err
		}
		gains := make([]gain, len(shares))
		for c, name := range g.Plan().Names()[:len(shares)] {
			gains[c] = gain{name, shares[c]}
		}
		slices.SortStableFunc(gains, func(a, b gain) int {
			switch {
			case a.Gain > b.Gain:
				return -1
			case a.Gain < b.Gain:
				return 1
			}
			return 0
		})
		if err := t.step.WriteJSON(ctx, "importance.json", gains); err != nil {
			return err
		}
	}
	t.step.Add(1)
	return t.step.WriteJSON(ctx, "params.json", params)
}
