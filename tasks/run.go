package tasks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"salescast/pkg/artifact"
	"salescast/pkg/metric"
	"salescast/pkg/track"
)

// RunOptions are those of every step of a run.
type RunOptions struct {
	Validate ValidateOptions `json:"validate"`
	// Train are the options of every member but for Model and Params.
	Train TrainOptions `json:"train"`
	// Tune are the options of tuning but for Model and Params; nil tunes nothing.
	Tune *TuneOptions `json:"tune,omitempty"`
	// Models are the members; empty are those of [DefaultModels] under Preset, once validate has seen the data.
	Models []string `json:"models"`
	Preset string   `json:"preset,omitempty"`
	// Params are those of members, by name.
	Params   map[string]map[string]string `json:"params,omitempty"`
	Ensemble EnsembleOptions              `json:"ensemble"`
	Evaluate EvaluateOptions              `json:"evaluate"`
	// Register may be nil: nothing is registered.
	Register *RegisterOptions `json:"register,omitempty"`
	Forecast ForecastOptions  `json:"forecast"`
	Report   ReportOptions    `json:"report"`
}

// Run does every step from validate to report in this process, and stops at the first that fails. Each commits on its own, so a run
// that was stopped goes on where it was. A candidate that the gate refuses ends the run, after its other steps, with KindRefused. The result has the steps' timings under their names, and is Cached when all of them were.
// Done is told of each step's result, that it is the nth, and of how many: 0 until the data have said which models suit them. It may be nil.
func Run(ctx context.Context, env Env, o RunOptions, done func(r *Result, nth, of int)) (*Result, error) {
	began := env.Now()
	res := &Result{
		Schema: ResultSchema, Step: "run", Status: Cached, Workspace: env.Store.URL(""),
		Metrics: map[string]float64{}, Rows: map[string]int64{}, Timings: map[string]float64{}, Warnings: []string{},
	}
	var refused error
	run, err := startWhole(ctx, &env, o)
	if err == nil {
		nth, of := 0, o.length(o.Models)
		for r, serr := range o.steps(ctx, env, func(models []string) { of = o.length(models) }) {
			if r != nil {
				res.take(r)
				if nth++; done != nil {
					done(r, nth, of)
				}
			}
			err = serr
			if KindOf(err) == KindRefused { // a verdict, not a failure: the run goes on and says it at its end
				refused, err = err, nil
			}
			if err != nil {
				break
			}
		}
	}
	recordWhole(ctx, env, run, res)
	clock := phases{}
	res.Timings["total"], res.PeakRSSBytes = clock.round(env.Now().Sub(began)), peakRSS()
	if id := run.ID(); id != "" {
		res.MLflow = &MLflow{RunID: id, URL: run.URL()}
	}
	gctx := ctx // a run that was not stopped gives its tracker all the time it wants
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		gctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), goodbye)
		defer cancel()
	}
	if eerr := run.End(gctx, ending(err), env.Now()); eerr != nil {
		env.Log.Warn().Err(eerr).Msg("not recorded: the end of the run")
	}
	if err != nil {
		res.Status = Failed
		res.Error = &ResultError{Code: string(KindOf(err)), Message: err.Error(), Hint: HintOf(err)}
		return res, err
	}
	res.Manifest = env.Store.URL(path.Join("report", artifact.ManifestName))
	if refused != nil {
		res.Status = Refused
		res.Error = &ResultError{Code: string(KindRefused), Message: refused.Error(), Hint: HintOf(refused)}
	}
	return res, refused
}

// length is how many steps there are with these models; 0 where they are not known.
func (o RunOptions) length(models []string) int {
	if len(models) == 0 {
		return 0
	}
	n := 5 + len(models) // validate, ensemble, evaluate, forecast, report
	if o.Register != nil {
		n++
	}
	for _, m := range models {
		if o.tunes(m) {
			n++
		}
	}
	return n
}

func (o RunOptions) tunes(model string) bool { return o.Tune != nil && Tunable(model) }

// steps does them in the order of their needs, each when the one before it was taken; decided is told which models there are.
func (o RunOptions) steps(ctx context.Context, env Env, decided func(models []string)) iter.Seq2[*Result, error] {
	return func(yield func(*Result, error) bool) {
		if !yield(Validate(ctx, env, o.Validate)) {
			return
		}
		models := o.Models
		if len(models) == 0 {
			var err error
			if models, err = DefaultModels(ctx, env, o.Preset, o.Ensemble.Horizon, o.Ensemble.Backtest); err != nil {
				yield(nil, err)
				return
			}
		}
		decided(models)
		for _, m := range models {
			t := o.Train
			t.Model, t.Params = m, o.Params[m]
			if o.tunes(m) {
				u := *o.Tune
				u.Model, u.Params, t.Tuned = m, o.Params[m], true
				if !yield(Tune(ctx, env, u)) {
					return
				}
			}
			if !yield(Train(ctx, env, t)) {
				return
			}
		}
		o.Ensemble.Models, o.Evaluate.Models = models, models
		if !yield(Ensemble(ctx, env, o.Ensemble)) || !yield(Evaluate(ctx, env, o.Evaluate)) {
			return
		}
		if o.Register != nil && !yield(Register(ctx, env, *o.Register)) {
			return
		}
		_ = yield(Forecast(ctx, env, o.Forecast)) && yield(Report(ctx, env, o.Report))
	}
}

// take adds a step's result to that of the run.
func (r *Result) take(step *Result) {
	if step.Status != Cached {
		r.Status = Done
	}
	r.Timings[step.Step] = step.Timings["total"]
	for k, v := range step.Rows {
		r.Rows[step.Step+"."+k] = v
	}
	if step.Step == "evaluate" { // what the run is judged by
		maps.Copy(r.Metrics, step.Metrics)
	}
	for _, w := range step.Warnings {
		r.Warnings = append(r.Warnings, step.Step+": "+w)
	}
}

// startWhole begins the record that encloses those of the steps, which find it in env.
func startWhole(ctx context.Context, env *Env, o RunOptions) (track.Run, error) {
	if env.Tracker == nil {
		return noRun{}, nil
	}
	b, err := json.Marshal(o)
	if err != nil {
		return noRun{}, fmt.Errorf("encode the options of the run: %w", err)
	}
	key := hexSum([]byte(strings.Join([]string{env.Store.URL(""), "run", env.Version, hexSum(b)}, "\n")))[:32]
	tags := map[string]string{"salescast.step": "run", "salescast.workspace": env.Store.URL(""), "salescast.version": env.Version}
	maps.Copy(tags, env.Tags)
	name := "run " + path.Base(filepath.ToSlash(env.Store.URL("")))
	run, err := env.Tracker.Start(ctx, track.Spec{Experiment: env.Experiment, Name: name, Key: key, Parent: env.Parent, Start: env.Now(), Tags: tags})
	if err != nil {
		return noRun{}, fmt.Errorf("start the record of the run: %w", err)
	}
	env.Parent = key
	var options map[string]any
	if err := json.Unmarshal(b, &options); err != nil {
		return noRun{}, fmt.Errorf("decode the options of the run: %w", err)
	}
	params := map[string]string{}
	flatten(params, "", options)
	if err := run.Params(ctx, params); err != nil {
		env.Log.Warn().Err(err).Msg("not recorded: the options of the run")
	}
	return run, nil
}

// recordWhole shows at the enclosing record what the run is judged by: the scores of the model that forecasts, and of all in a table.
func recordWhole(ctx context.Context, env Env, run track.Run, r *Result) {
	if env.Tracker == nil || len(r.Metrics) == 0 {
		return
	}
	d, err := Metrics(ctx, env.Store)
	if err == nil {
		var points []track.Metric
		for _, k := range slices.Sorted(maps.Keys(r.Metrics)) {
			if strings.HasPrefix(k, d.Primary+"_") {
				points = append(points, track.Metric{Name: k, Value: r.Metrics[k], At: env.Now()})
			}
		}
		err = errors.Join(run.Metrics(ctx, points), run.Tags(ctx, map[string]string{noteTag: cut(scoreTable(d), track.MaxTagValue)}))
	}
	if err != nil {
		env.Log.Warn().Err(err).Msg("not recorded: the scores of the run")
	}
}

func ending(err error) track.Status {
	switch {
	case err == nil:
		return track.Finished
	case errors.Is(err, context.Canceled):
		return track.Killed
	}
	return track.Failed
}

// Metrics reads the scores that evaluate left in a workspace.
func Metrics(ctx context.Context, store artifact.Store) (*metric.Document, error) {
	o, err := OpenStep(ctx, store, "evaluate")
	if err != nil {
		return nil, err
	}
	return readMetrics(ctx, o)
}
