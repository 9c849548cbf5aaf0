package tasks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"syscall"
	"time"

	"salescast/pkg/backtest"
	"salescast/pkg/calendar"
	"salescast/pkg/feature"
	"salescast/pkg/forecast"
	"salescast/pkg/forecast/global"
	"salescast/pkg/forecast/member"
	"salescast/pkg/metric"
	"salescast/pkg/regress"
	"salescast/pkg/report"
	"salescast/pkg/track"
	"salescast/pkg/tune"
)

// TunedSchema is that of tune/MODEL/params.json.
const TunedSchema = "salescast.tuned/v1"

// chunks is how many times a trial is scored: after each tenth of its rounds, so that a slow rate with many rounds is compared with a
// fast one with few at the same share of their work.
const chunks = 10

// tuned is params.json of a search: what it found, and what it cost.
type tuned struct {
	Schema string `json:"schema"`
	Model  string `json:"model"`
	// Parameters are the engine's that were better than the defaults at the validation origins; none where the defaults were best.
	Parameters map[string]string `json:"parameters"`
	Origins    int               `json:"origins"`
	Trials     int               `json:"trials"`
	Pruned     int               `json:"pruned"`
	Failed     int               `json:"failed"`
	// Default and Best are WAPE at the validation origins; nil where nothing was searched.
	Default *float64 `json:"default_wape"`
	Best    *float64 `json:"best_wape"`
	// Rounds are those of all trials at all origins, DefaultRounds of the default's alone: the cost of the search in fits of the default
	// is their ratio.
	Rounds        int `json:"rounds"`
	DefaultRounds int `json:"default_rounds"`
}

// trialLine is one of trials.json.
type trialLine struct {
	Trial      int               `json:"trial"`
	State      tune.State        `json:"state"`
	WAPE       *float64          `json:"wape"`
	Parameters map[string]string `json:"parameters,omitempty"`
	// Curve is the score by the number of rounds.
	Curve []curvePoint `json:"curve"`
	Error string       `json:"error,omitempty"`
}

type curvePoint struct {
	Rounds int      `json:"rounds"`
	WAPE   *float64 `json:"wape"`
}

// Tunable says whether there is something to search for a member: trees of an engine that grows them in steps.
func Tunable(model string) bool {
	spec, err := member.Named(model)
	if err != nil || spec.Kind != member.Trees {
		return false
	}
	_, err = tune.SpaceOf(spec.Trees.Engine, true)
	return err == nil
}

// Tune searches the parameters of one member by its forecasts from the validation origins; it reads nothing after the first test origin.
// It writes params.json, what train then uses, and trials.json. The study is kept in env's storage of studies, where a search that was
// stopped goes on, and where other processes take part in it.
func Tune(ctx context.Context, env Env, o TuneOptions) (*Result, error) {
	op := "tune " + o.Model
	spec, err := member.Named(o.Model)
	if err == nil && !Tunable(o.Model) {
		err = fmt.Errorf("%s has no trees that grow in steps", o.Model)
	}
	if err == nil && o.Trials < 1 {
		err = errors.New("there are no trials")
	}
	if err != nil {
		return nil, &Error{Kind: KindUsage, Op: op, Err: err, Hint: "name a model of LightGBM or XGBoost with --model, and set tuning.trials or --trials"}
	}
	step := stepSpec{
		Name: "tune/" + o.Model, Options: o, Inputs: []string{"validate"}, Seed: o.Seed, Force: o.Force,
		Salt: map[string]string{"backtest": "2", "tuned": TunedSchema, "plan": feature.PlanSchema},
	}
	if env.Learners != nil {
		step.Salt[spec.Trees.Engine] = env.Learners.Release(ctx, spec.Trees.Engine)
	}
	return runStep(ctx, env, step, func(ctx context.Context, s *Step) (err error) {
		t := &tuner{trainer: trainer{env: env, step: s, spec: spec, options: o.train()}, options: o, began: env.Now(), cpu: processTime()}
		defer func() { err = errors.Join(err, t.close()) }()
		err = t.run(ctx)
		if missing, ok := errors.AsType[*regress.UnavailableError](err); ok {
			return &Error{Kind: KindUnavailable, Op: op, Err: err, Hint: missing.Hint}
		}
		return err
	})
}

// train are the options of the fits.
func (o TuneOptions) train() TrainOptions {
	return TrainOptions{
		Model: o.Model, Horizon: o.Horizon, Backtest: o.Backtest, Country: o.Country, NonNegative: o.NonNegative, Seed: o.Seed, Params: o.Params,
	}
}

// processTime is the processor time of this process so far.
func processTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// tuner is one search at work.
type tuner struct {
	trainer
	options TuneOptions
	began   time.Time
	cpu     time.Duration
	benches []*global.Bench // one for each validation origin, made when first asked for
}

func (t *tuner) close() (err error) {
	for _, b := range t.benches {
		err = errors.Join(err, b.Close())
	}
	return err
}

func (t *tuner) run(ctx context.Context) error {
	t.step.Phase("read", 0)
	p, _, err := readPanel(ctx, t.step.Input("validate"))
	if err != nil {
		return err
	}
	if t.sched, err = schedule(p, t.options.Horizon, t.options.Backtest); err != nil {
		return err
	}
	t.panel, t.known = p, foresightOf(p, t.sched, t.options.Backtest)
	out := tuned{Schema: TunedSchema, Model: t.options.Model, Parameters: map[string]string{}, Origins: len(t.sched.Validation)}
	lines := []trialLine{}
	if out.Origins == 0 {
		t.step.Warn("the history has no room for validation before the first test origin: there is nothing to tune by, and the defaults stand")
	} else {
		trials, err := t.search(ctx)
		if errors.Is(err, global.ErrTooShort) {
			t.step.Warn("the history is too short for trees: the defaults stand")
			trials, err = nil, nil
		}
		if err == nil && len(trials) > 0 {
			err = t.sum(trials, &out)
		}
		if err != nil {
			return err
		}
		for _, tr := range trials {
			lines = append(lines, t.line(tr))
		}
	}
	t.recorded(ctx)
	if err := t.step.WriteJSON(ctx, "trials.json", lines); err != nil {
		return err
	}
	return t.step.WriteJSON(ctx, "params.json", out)
}

// recorded shows with the run alone what another machine would not repeat.
func (t *tuner) recorded(ctx context.Context) {
	m := track.Metric{Name: "cpu_seconds", Value: (processTime() - t.cpu).Seconds(), At: t.env.Now()}
	t.step.recorded("processor time", t.step.run.Metrics(ctx, []track.Metric{m}))
}

// studyName is the same for searches that may be one: everything counts but how long they search.
func (t *tuner) studyName() (string, error) {
	o := t.options
	o.Trials, o.Minutes = 0, 0
	b, err := json.Marshal(struct {
		Options TuneOptions
		Data    string
		Salt    map[string]string
	}{o, t.step.Input("validate").Manifest.ContentDigest(), t.step.spec.Salt})
	if err != nil {
		return "", fmt.Errorf("name the study: %w", err)
	}
	return "salescast tune/" + o.Model + " " + hexSum(b)[:16], nil
}

func (t *tuner) search(ctx context.Context) (trials []tune.Trial, err error) {
	if t.env.Studies == nil {
		return nil, errors.New("no storage of studies is set up")
	}
	st, err := t.env.Studies(ctx)
	if err != nil {
		return nil, &Error{Kind: KindTryAgain, Op: "open the storage of studies", Err: err, Hint: "check tuning.storage; a password for PostgreSQL comes from PGPASSWORD or the password file"}
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	name, err := t.studyName()
	if err != nil {
		return nil, err
	}
	space, err := tune.SpaceOf(t.spec.Trees.Engine, t.spec.Trees.Target == global.Ratio)
	if err != nil {
		return nil, err
	}
	t.step.Phase("trials", int64(t.options.Trials))
	o := tune.Options{
		Space: space.Without(t.options.Params), Trials: t.options.Trials, Seed: t.options.Seed, Now: t.env.Now,
		Done: func(ctx context.Context, tr tune.Trial) {
			t.record(ctx, tr)
			t.step.Add(1)
		},
	}
	if t.options.Minutes > 0 {
		o.Deadline = t.began.Add(time.Duration(t.options.Minutes * float64(time.Minute)))
	}
	if err := t.prepare(ctx); err != nil { // before any trial, since what fails here fails in all of them
		return nil, err
	}
	trials, err = tune.Search(ctx, st, name, o, t.try)
	if err == nil && len(trials) == 0 {
		t.step.Warn("the time for tuning was over before the first trial: the defaults stand")
	}
	return trials, err
}

// prepare bins the rows of every validation origin, each by the bins of the oldest: these know least, so nothing leaks.
func (t *tuner) prepare(ctx context.Context) error {
	for _, origin := range t.sched.Validation {
		f := t.spec.Global(t.settings(member.Rows(global.Observed(t.panel, t.sched.Validation[0]), false)))
		var oldest *global.Bench
		if len(t.benches) > 0 {
			oldest = t.benches[0]
		}
		b, err := f.Bench(ctx, t.known.at(origin).Panel(), origin, oldest)
		if err != nil {
			return err
		}
		t.benches = append(t.benches, b)
	}
	return nil
}

// try is the objective: one fit for each validation origin, all of them a tenth further before they are scored together.
func (t *tuner) try(ctx context.Context, tr tune.Trial, report tune.Report) (score float64, err error) {
	rounds, err := t.rounds(tr)
	if err != nil {
		return 0, err
	}
	fits := make([]*global.Growth, 0, len(t.benches))
	defer func() {
		for _, g := range fits {
			err = errors.Join(err, g.Close())
		}
	}()
	for _, b := range t.benches {
		g, err := b.Begin(ctx, tr.Params)
		if err != nil {
			return 0, err
		}
		fits = append(fits, g)
	}
	for k := 1; k <= chunks; k++ {
		made := make([]*forecast.Prediction, len(fits))
		for i, g := range fits {
			if err := g.GrowTo(ctx, rounds*k/chunks); err != nil {
				return 0, err
			}
			if made[i], err = t.foresee(ctx, g, t.sched.Validation[i]); err != nil {
				return 0, err
			}
		}
		score = wape(backtest.Collect(t.panel, t.options.Model, made))
		if err := report(k, score); err != nil {
			return 0, err
		}
	}
	return score, nil
}

// foresee forecasts with what a fit is so far, as the member would.
func (t *tuner) foresee(ctx context.Context, g *global.Growth, origin calendar.Step) (f *forecast.Prediction, err error) {
	trees, err := g.Model()
	if err != nil {
		return nil, err
	}
	m := member.FromTrees(trees)
	defer func() { err = errors.Join(err, m.Close()) }()
	return m.Forecast(ctx, forecast.Request{Panel: t.known.at(origin).Panel(), Origin: origin, Horizon: t.sched.Horizon})
}

func (t *tuner) rounds(tr tune.Trial) (int, error) { return t.benches[0].Rounds(tr.Params) }

// line is a trial without its times, which another run would not repeat.
func (t *tuner) line(tr tune.Trial) trialLine {
	l := trialLine{Trial: tr.Ordinal, State: tr.State, WAPE: finite(tr.Score), Parameters: tr.Params, Curve: []curvePoint{}, Error: tr.Error}
	rounds, err := t.rounds(tr)
	if err != nil { // then it failed with it
		return l
	}
	for k := 1; k <= chunks; k++ {
		if v, ok := tr.Curve[k]; ok {
			l.Curve = append(l.Curve, curvePoint{rounds * k / chunks, finite(v)})
		}
	}
	return l
}

// finite is nil for what JSON has no number for.
func finite(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// sum says what a search found and did.
func (t *tuner) sum(trials []tune.Trial, out *tuned) error {
	out.Trials = len(trials)
	for _, tr := range trials {
		switch tr.State {
		case tune.Pruned:
			out.Pruned++
		case tune.Failed:
			out.Failed++
			t.step.Warn("trial %d failed: %s", tr.Ordinal, tr.Error)
		default:
		}
		if curve := t.line(tr).Curve; len(curve) > 0 {
			out.Rounds += curve[len(curve)-1].Rounds * out.Origins
		}
	}
	first := trials[0]
	best, ok := tune.Best(trials)
	if !ok || first.Ordinal != 0 || first.State != tune.Complete {
		return fmt.Errorf("the trial with the default parameters failed, so there is nothing to compare with: %s", first.Error)
	}
	rounds, err := t.rounds(first)
	if err != nil {
		return err
	}
	out.Default, out.Best, out.DefaultRounds = finite(first.Score), finite(best.Score), rounds*out.Origins
	if best.Params != nil {
		out.Parameters = best.Params
	}
	t.step.Metric("default_wape", first.Score)
	t.step.Metric("best_wape", best.Score)
	t.step.Metric("trials", float64(out.Trials))
	t.step.Metric("pruned", float64(out.Pruned))
	return nil
}

// record keeps a trial as a run inside the step's, with its parameters and its curve.
func (t *tuner) record(ctx context.Context, tr tune.Trial) {
	if t.env.Tracker == nil {
		return
	}
	key := hexSum([]byte(t.step.key + "\n" + strconv.Itoa(tr.Ordinal)))[:32]
	tags := map[string]string{"salescast.trial": strconv.Itoa(tr.Ordinal), "salescast.trial_state": string(tr.State), noteTag: trialNote(tr)}
	run, err := t.env.Tracker.Start(ctx, track.Spec{
		Experiment: t.env.Experiment, Name: fmt.Sprintf("%s trial %d", t.step.spec.Name, tr.Ordinal), Key: key, Parent: t.step.key, Start: tr.Start, Tags: tags, Leaf: true,
	})
	if err != nil {
		t.step.recorded("a trial", err)
		return
	}
	params := tr.Params
	if params == nil {
		params = map[string]string{"parameters": "default"}
	}
	t.step.recorded("a trial's parameters", run.Params(ctx, params))
	var points []track.Metric
	for _, p := range t.line(tr).Curve {
		v := math.NaN()
		if p.WAPE != nil {
			v = *p.WAPE
		}
		points = append(points, track.Metric{Name: "validation_wape", Value: v, Step: int64(p.Rounds), At: tr.End})
	}
	t.step.recorded("a trial's curve", run.Metrics(ctx, points))
	status := map[tune.State]track.Status{tune.Complete: track.Finished, tune.Pruned: track.Killed, tune.Failed: track.Failed}[tr.State]
	t.step.recorded("a trial's end", run.End(ctx, status, tr.End))
}

// trialNote is a trial's description.
func trialNote(tr tune.Trial) string {
	switch tr.State {
	case tune.Pruned:
		return fmt.Sprintf("Pruned after %d of %d parts of its rounds: it was worse than the median of the complete trials.", len(tr.Curve), chunks)
	case tune.Failed:
		return cut("Failed: "+tr.Error, track.MaxTagValue)
	case tune.Complete:
	}
	if tr.Params == nil {
		return "The default parameters, to compare with."
	}
	return "Complete."
}

// readTuned reads what a search found.
func readTuned(ctx context.Context, in *Opened) (tuned, error) {
	var v tuned
	if err := in.readJSON(ctx, "params.json", &v); err != nil {
		return v, err
	}
	if v.Schema != TunedSchema {
		return v, in.damagedFile(ctx, "params.json", fmt.Errorf("its schema is %q and not %q", v.Schema, TunedSchema))
	}
	return v, nil
}

// tunings reads what training says of the searches that its parameters come from.
func tunings(ctx context.Context, s *Step, models []string) ([]report.Tuned, error) {
	var out []report.Tuned
	for _, m := range models {
		in := s.Input("train/" + m)
		if !in.Has("tuning.json") {
			continue
		}
		var v tuning
		if err := in.readJSON(ctx, "tuning.json", &v); err != nil {
			return nil, err
		}
		if v.Trials == 0 {
			continue
		}
		of := func(v *float64) metric.Value {
			if v == nil {
				return metric.Value(math.NaN())
			}
			return metric.Value(*v)
		}
		out = append(out, report.Tuned{
			Model: m, Trials: v.Trials, Pruned: v.Pruned, Failed: v.Failed, ValidationDefault: of(v.Default), ValidationTuned: of(v.Best),
			TestDefault: of(v.TestDefault), TestTuned: of(v.TestTuned), Fits: float64(v.Rounds) / float64(max(1, v.DefaultRounds)),
		})
	}
	return out, nil
}
