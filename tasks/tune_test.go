package tasks

import (
	"context"
	"encoding/json"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"salescast/pkg/backtest"
	"salescast/pkg/forecast/forecasttest"
	"salescast/pkg/panel"
	"salescast/pkg/track"
	"salescast/pkg/track/tracktest"
	"salescast/pkg/tune"
	"salescast/pkg/tune/rdb"
)

// tunable is a workspace as trainable makes it, with studies.
func tunable(t *testing.T, p *panel.Panel) Env {
	t.Helper()
	env := trainable(t, p)
	file := filepath.Join(t.TempDir(), "studies.db")
	env.Studies = func(ctx context.Context) (tune.Storage, error) { return rdb.SQLite(ctx, file, time.Now) }
	return env
}

func tuneOptions(model string, trials int) TuneOptions {
	return TuneOptions{
		Model: model, Horizon: trainHorizon, Backtest: BacktestOptions{Origins: 2}, NonNegative: true, Seed: 42, Params: map[string]string{"rounds": "20"}, Trials: trials,
	}
}

func tuneStep(t *testing.T, env Env, o TuneOptions) *Result {
	t.Helper()
	r, err := Tune(t.Context(), env, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func fileOf(t *testing.T, env Env, step, name string) string {
	t.Helper()
	b, err := opened(t, env, step).ReadFile(t.Context(), name, maxSmall)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func tunePanel(steps int) *panel.Panel {
	shape := forecasttest.Daily()
	shape.Steps = steps
	return forecasttest.Panel(shape)
}

// Nothing after the first test origin reaches a trial, whatever stands there; what stands before it does.
func TestTuneKnowsNoTestOrigin(t *testing.T) {
	t.Parallel()
	p := tunePanel(260)
	sched, err := backtest.Origins(p, trainHorizon, 2)
	if err != nil {
		t.Fatal(err)
	}
	garbage := func(from int) *panel.Panel {
		q := forecasttest.Clone(p)
		for s := range q.Series() {
			lo, hi := q.Span(s)
			for r := lo; r < hi; r++ {
				if at := int(q.Start[s]) + r - lo; at >= from && q.Observed[r] {
					q.Target[r] = 1000*q.Target[r] + 7
				}
			}
		}
		return q
	}
	for _, model := range []string{"lightgbm", "xgboost_recursive"} {
		t.Run(model, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, q := range []*panel.Panel{p, garbage(int(sched.Test[0]) + 1), garbage(int(sched.Test[0]))} {
				env := tunable(t, q)
				tuneStep(t, env, tuneOptions(model, 6))
				got = append(got, fileOf(t, env, "tune/"+model, "trials.json")+fileOf(t, env, "tune/"+model, "params.json"))
			}
			if got[0] != got[1] {
				t.Errorf("sales after the first test origin changed the trials:\n%s\n%s", got[0], got[1])
			}
			if got[0] == got[2] {
				t.Error("sales before the first test origin did not change the trials")
			}
		})
	}
}

// The default's score is that of the member's own forecasts from the validation origins, where it is one model and has bins of its own
// origin; train takes what was found and says what the defaults did.
func TestTuneAndTrain(t *testing.T) {
	t.Parallel()
	memory := tracktest.NewMemory()
	env := tunable(t, tunePanel(260))
	env.Tracker, env.Experiment = memory, "tests"
	o := tuneOptions("lightgbm", 9)
	r := tuneStep(t, env, o)
	if again := tuneStep(t, env, o); r.Status != Done || again.Status != Cached {
		t.Errorf("the search is %s, then %s", r.Status, again.Status)
	}
	found, err := readTuned(t.Context(), opened(t, env, "tune/lightgbm"))
	if err != nil {
		t.Fatal(err)
	}
	if found.Trials != 9 || found.Default == nil || found.Best == nil || *found.Best > *found.Default || found.DefaultRounds != 20*found.Origins || found.Rounds >= 9*found.DefaultRounds+1 {
		t.Errorf("the search is %+v", found)
	}
	if _, fixed := found.Parameters["rounds"]; fixed {
		t.Error("a parameter that was given was searched")
	}

	train := TrainOptions{Model: "lightgbm", Horizon: o.Horizon, Backtest: o.Backtest, NonNegative: true, Seed: 42, Params: o.Params, Tuned: true}
	if _, err := Train(t.Context(), env, train); err != nil {
		t.Fatal(err)
	}
	var params trainedParams
	if err := json.Unmarshal([]byte(fileOf(t, env, "train/lightgbm", "params.json")), &params); err != nil {
		t.Fatal(err)
	}
	want := maps.Clone(found.Parameters)
	want["rounds"] = "20"
	for k, v := range want {
		if params.Parameters[k] != v {
			t.Errorf("%s is %q in the trained model, want %q", k, params.Parameters[k], v)
		}
	}
	var paid tuning
	if err := json.Unmarshal([]byte(fileOf(t, env, "train/lightgbm", "tuning.json")), &paid); err != nil {
		t.Fatal(err)
	}
	plain := train
	plain.Tuned = false
	r, err = Train(t.Context(), env, plain)
	if err != nil {
		t.Fatal(err)
	}
	if paid.TestDefault == nil || *paid.TestDefault != r.Metrics["backtest_wape"] {
		t.Errorf("the defaults have WAPE %v at the test origins, and untuned training %v", paid.TestDefault, r.Metrics["backtest_wape"])
	}
	trialRuns(t, memory, found)
}

// trialRuns checks what the tracker has of the trials: runs inside the step's, with parameters, a curve and a status.
func trialRuns(t *testing.T, memory *tracktest.Memory, found tuned) {
	t.Helper()
	status := map[track.Status]int{}
	losses := 0
	for _, key := range memory.Keys() {
		run := memory.Runs(key)[0]
		losses += len(run.Metrics["training_loss"])
		if !strings.HasPrefix(run.Name, "tune/lightgbm trial") {
			continue
		}
		status[run.Status]++
		if len(memory.Runs(run.Parent)) != 1 || memory.Runs(run.Parent)[0].Name != "tune/lightgbm" || len(run.Params) == 0 {
			t.Errorf("%s has parent %q and parameters %v", run.Name, run.Parent, run.Params)
		}
		curve := run.Metrics["validation_wape"]
		if len(curve) < 3 || (run.Status == track.Finished) != (curve[len(curve)-1].Step == 20) {
			t.Errorf("%s, %s, has the curve %v", run.Name, run.Status, curve)
		}
		if state := run.Tags["salescast.trial_state"]; (run.Status == track.Killed) != (state == string(tune.Pruned)) {
			t.Errorf("%s is %s and tagged %q", run.Name, run.Status, state)
		}
	}
	if status[track.Killed] != found.Pruned || status[track.Finished] != found.Trials-found.Pruned {
		t.Errorf("statuses are %v, and %d of %d trials were pruned", status, found.Pruned, found.Trials)
	}
	if losses == 0 {
		t.Error("training has no curve")
	}
}

// A search that is stopped goes on, and gives what it would have given.
func TestTuneGoesOn(t *testing.T) {
	t.Parallel()
	whole := tunable(t, tunePanel(200))
	o := tuneOptions("xgboost", 7)
	tuneStep(t, whole, o)
	env := tunable(t, tunePanel(200))
	ctx, cancel := context.WithCancel(t.Context())
	env.Progress = &stopAfter{n: 3, stop: cancel}
	if _, err := Tune(ctx, env, o); KindOf(err) != KindInterrupted {
		t.Fatalf("a search that was stopped answers %v", err)
	}
	env.Progress = nil
	tuneStep(t, env, o)
	if a, b := fileOf(t, whole, "tune/xgboost", "trials.json"), fileOf(t, env, "tune/xgboost", "trials.json"); a != b {
		t.Errorf("after a stop the trials are others:\n%s\n%s", a, b)
	}
}

// stopAfter stops after n trials.
type stopAfter struct {
	n    int
	in   bool
	stop func()
}

func (s *stopAfter) Phase(name string, _ int64) { s.in = strings.HasSuffix(name, "trials") }

func (s *stopAfter) Add(int64) {
	if s.n--; s.in && s.n == 0 {
		s.stop()
	}
}

func TestTuneNothing(t *testing.T) {
	t.Parallel()
	env := tunable(t, tunePanel(60))
	r := tuneStep(t, env, tuneOptions("lightgbm", 3))
	if len(r.Warnings) == 0 {
		t.Error("nothing is said of a history that is too short to tune by")
	}
	found, err := readTuned(t.Context(), opened(t, env, "tune/lightgbm"))
	if err != nil || found.Trials != 0 || len(found.Parameters) != 0 {
		t.Errorf("a short history was tuned: %+v, %v", found, err)
	}
	for _, o := range []TuneOptions{tuneOptions("smoothing", 3), tuneOptions("golearn", 3), tuneOptions("none", 3), tuneOptions("lightgbm", 0)} {
		if _, err := Tune(t.Context(), env, o); KindOf(err) != KindUsage {
			t.Errorf("tune %s with %d trials: %v", o.Model, o.Trials, err)
		}
	}
	if _, err := Train(t.Context(), env, TrainOptions{Model: "smoothing", Tuned: true}); KindOf(err) != KindUsage {
		t.Errorf("train a tuned smoothing: %v", err)
	}
}
