package tasks

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"salescast/pkg/backtest"
	"salescast/pkg/bundle"
	"salescast/pkg/calendar"
	"salescast/pkg/columnar"
	"salescast/pkg/forecast"
	"salescast/pkg/forecast/ensemble"
	"salescast/pkg/forecast/forecasttest"
	"salescast/pkg/panel"
	"salescast/pkg/regress/engines"
	"salescast/pkg/regress/regresstest"
)

var (
	fewTrees       = map[string]string{"rounds": "10"}
	trainQuantiles = []float64{0.025, 0.1, 0.5, 0.9, 0.975}
)

const trainHorizon = 14

// engineCache is one folder for all tests: a library that is opened from many takes of the little room there is for static thread-local
// storage each time.
var engineCache string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if engineCache, err = os.MkdirTemp("", "salescast-engines-"); err != nil {
			panic(err)
		}
		defer os.RemoveAll(engineCache)
		return m.Run()
	}())
}

// trainable is a workspace with a panel, and engines.
func trainable(t *testing.T, p *panel.Panel) Env {
	t.Helper()
	env := stepEnv(t)
	e := engines.New(engines.Config{EngineDir: regresstest.EngineDir(t), CacheDir: engineCache, Threads: 1})
	t.Cleanup(e.Close)
	env.Learners = e
	schema := columnar.SchemaOf(p, "date", "units")
	data := DataOptions{Keys: schema.Keys, Static: schema.Static, KnownFuture: schema.KnownFuture, PastOnly: schema.PastOnly}
	spec := stepSpec{Name: "validate", Options: ValidateOptions{Data: data, Horizon: trainHorizon}, Force: true}
	_, err := runStep(t.Context(), env, spec, func(ctx context.Context, s *Step) error {
		out, err := s.Create(ctx, "panel.parquet")
		if err != nil {
			return err
		}
		w, err := columnar.NewPanelWriter(out, schema)
		if err != nil {
			return err
		}
		if err := w.Write(p); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		return out.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	return env
}

func trainAll(t *testing.T, env Env, models []string, want Status) {
	t.Helper()
	b := BacktestOptions{Origins: 2}
	for _, m := range models {
		o := TrainOptions{Model: m, Horizon: trainHorizon, Backtest: b, NonNegative: true, Seed: 42, Params: fewTrees}
		if r, err := Train(t.Context(), env, o); err != nil || r.Status != want {
			t.Fatalf("train %s: %+v, %v", m, r, err)
		}
	}
	o := EnsembleOptions{Models: models, Horizon: trainHorizon, Backtest: b, Quantiles: trainQuantiles, NonNegative: true, Seed: 42}
	if r, err := Ensemble(t.Context(), env, o); err != nil || r.Status != want {
		t.Fatalf("ensemble: %+v, %v", r, err)
	}
}

// released is engines of another version.
type released struct {
	Learners
	version string
}

func (r released) Release(context.Context, string) string { return r.version }

// Another version of an engine trains anew; a member that has no engine does not.
func TestTrainEngineVersion(t *testing.T) {
	t.Parallel()
	shape := forecasttest.Daily()
	shape.Steps = 120
	env := trainable(t, forecasttest.Panel(shape))
	train := func(model, version string) Status {
		env := env
		if version != "" {
			env.Learners = released{env.Learners, version}
		}
		r, err := Train(t.Context(), env, TrainOptions{Model: model, Horizon: trainHorizon, Backtest: BacktestOptions{Origins: 1}, Seed: 42, Params: fewTrees})
		if err != nil {
			t.Fatalf("train %s: %v", model, err)
		}
		return r.Status
	}
	for _, c := range []struct {
		model, version string
		want           Status
	}{
		{"lightgbm", "", Done},
		{"lightgbm", "", Cached},
		{"lightgbm", "4.7.0", Cached}, // the one that is pinned
		{"lightgbm", "4.8.0", Done},
		{"lightgbm", "4.8.0", Cached},
		{"smoothing", "", Done},
		{"smoothing", "4.8.0", Cached},
	} {
		if got := train(c.model, c.version); got != c.want {
			t.Errorf("train %s with version %q: %s, want %s", c.model, c.version, got, c.want)
		}
	}
}

func opened(t *testing.T, env Env, step string) *Opened {
	t.Helper()
	o, err := OpenStep(t.Context(), env.Store, step)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestTrainEnsembleForecast(t *testing.T) {
	shape := forecasttest.Daily()
	shape.Steps = 400
	p := forecasttest.Panel(shape)
	env := trainable(t, p)
	models := []string{"xgboost", "lightgbm", "smoothing"}
	trainAll(t, env, models, Done)
	trainAll(t, env, models, Cached)

	rows, err := readPredictions(t.Context(), opened(t, env, "ensemble"), "backtest.parquet")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range append(models, "ensemble", "seasonal_naive") {
		if !slices.Contains(rows.Models, m) {
			t.Errorf("backtest.parquet has models %v, and not %s", rows.Models, m)
		}
	}
	if want := 5 * 2 * p.Series() * trainHorizon; rows.Rows() != want {
		t.Errorf("backtest.parquet has %d rows, want %d", rows.Rows(), want)
	}
	for i := range rows.Rows() {
		q := rows.Quantiles[i*len(trainQuantiles) : (i+1)*len(trainQuantiles)]
		if math.IsNaN(rows.Forecast[i]) || !slices.IsSorted(q) || q[0] < 0 || slices.ContainsFunc(q, math.IsNaN) {
			t.Fatalf("row %d: forecast %v, quantiles %v", i, rows.Forecast[i], q)
		}
	}
	var weights weightsDocument
	b, err := opened(t, env, "ensemble").ReadFile(t.Context(), "weights.json", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &weights); err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, w := range weights.Final.Members {
		sum += w.Weight
	}
	if math.Abs(sum-1) > 1e-9 || len(weights.Test) != 2 || len(weights.Final.Windows) != 3 {
		t.Errorf("weights sum to %v over %d windows, with %d test origins", sum, len(weights.Final.Windows), len(weights.Test))
	}
	if imp, err := opened(t, env, "train/xgboost").ReadFile(t.Context(), "importance.json", 1<<20); err != nil || !strings.Contains(string(imp), `"gain"`) {
		t.Errorf("importance.json: %s, %v", imp, err)
	}

	o := ForecastOptions{Horizon: trainHorizon, Quantiles: trainQuantiles}
	r, err := Forecast(t.Context(), env, o)
	if err != nil || r.Status != Done || r.Rows["forecast"] != int64(p.Series()*trainHorizon) {
		t.Fatalf("forecast: %+v, %v", r, err)
	}
	next, err := readPredictions(t.Context(), opened(t, env, "forecast"), "forecast.parquet")
	if err != nil {
		t.Fatal(err)
	}
	end, _ := p.End()
	for i := range next.Rows() {
		if next.Cutoff[i] != p.Frequency.Day(end) || next.Date[i] != p.Frequency.Day(end+calendar.Step(next.Horizon[i])) || !math.IsNaN(next.Actual[i]) {
			t.Fatalf("row %d: from %s for %s, actual %v", i, next.Cutoff[i], next.Date[i], next.Actual[i])
		}
	}
	text, err := opened(t, env, "forecast").ReadFile(t.Context(), "forecast.csv", 1<<20)
	if err != nil || !strings.HasPrefix(string(text), "store,item,date,cutoff,horizon,model,actual,forecast,q025,q10,q50,q90,q975\n") {
		t.Errorf("forecast.csv: %.120s, %v", text, err)
	}
	checkTotals(t, env, next)
	if _, err := Forecast(t.Context(), env, ForecastOptions{Horizon: trainHorizon, Quantiles: []float64{0.33}}); KindOf(err) != KindConfig {
		t.Errorf("a level that was not calibrated: %v", err)
	}
	sameFromHistory(t, env, next.Forecast)
}

// checkTotals says that totals are sums of what was forecast, with quantiles in order, and that those of the test origins are scored.
func checkTotals(t *testing.T, env Env, next *backtest.Predictions) {
	t.Helper()
	totals, err := readPredictions(t.Context(), opened(t, env, "forecast"), "forecast_totals.parquet")
	if err != nil {
		t.Fatal(err)
	}
	want := make([]float64, trainHorizon)
	for i, y := range next.Forecast {
		want[next.Horizon[i]-1] += y
	}
	n, got := 0, map[string][]float64{}
	for i := range totals.Rows() {
		level := totals.Keys[0].Levels[totals.Keys[0].Codes[totals.Series[i]]]
		if got[level] == nil {
			got[level] = make([]float64, trainHorizon)
			n++
		}
		got[level][totals.Horizon[i]-1] += totals.Forecast[i]
		q := totals.Quantiles[i*len(trainQuantiles) : (i+1)*len(trainQuantiles)]
		if !slices.IsSorted(q) || q[0] < 0 || slices.ContainsFunc(q, math.IsNaN) {
			t.Fatalf("total %d: forecast %v, quantiles %v", i, totals.Forecast[i], q)
		}
	}
	for level, sums := range got {
		for h := range want {
			if math.Abs(sums[h]-want[h]) > 1e-6*(1+want[h]) { // the series' forecasts are kept as float32
				t.Errorf("totals by %s add up to %v %d steps ahead, the series to %v", level, sums[h], h+1, want[h])
			}
		}
	}
	text, err := opened(t, env, "forecast").ReadFile(t.Context(), "forecast_totals.csv", 1<<20)
	if err != nil || n != 3 || !strings.HasPrefix(string(text), "level,value,date,cutoff,horizon,model,actual,forecast,q025,q10,q50,q90,q975\nall,all,") {
		t.Errorf("forecast_totals.csv, of %d levels: %.120s, %v", n, text, err)
	}
	if r, err := Evaluate(t.Context(), env, EvaluateOptions{Horizon: trainHorizon}); err != nil || r.Status != Done {
		t.Fatalf("evaluate: %+v, %v", r, err)
	}
	doc, err := readMetrics(t.Context(), opened(t, env, "evaluate"))
	if err != nil {
		t.Fatal(err)
	}
	if len(doc.Totals) != 3 || doc.Totals[0].Level != ensemble.All || doc.Totals[0].Rows != 2*trainHorizon || !(doc.Totals[0].Coverage95 > 0.5) {
		t.Errorf("scores of totals: %+v", doc.Totals)
	}
}

// sameFromHistory says that the bundle needs no panel beside its own history.
func sameFromHistory(t *testing.T, env Env, want []float64) {
	t.Helper()
	b, err := bundle.Open(t.Context(), opened(t, env, "ensemble"), env.Learners.Open)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	h, err := b.History(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	end, _ := h.End()
	f, err := b.Forecast(t.Context(), forecast.Request{Panel: h, Origin: end, Horizon: trainHorizon})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(f.Point, want) {
		t.Error("the bundle forecasts otherwise from its history than from the panel")
	}
}

// The same work in another workspace gives the same content.
func TestTrainIsDeterministic(t *testing.T) {
	shape := forecasttest.Daily()
	shape.Steps = 300
	p := forecasttest.Panel(shape)
	digests := map[string]string{}
	for range 2 {
		env := trainable(t, p)
		trainAll(t, env, []string{"xgboost", "lightgbm_recursive"}, Done)
		for _, step := range []string{"train/xgboost", "train/lightgbm_recursive", "ensemble"} {
			for _, f := range opened(t, env, step).Manifest.Files {
				name := step + "/" + f.Name
				if old, ok := digests[name]; ok && old != f.SHA256 {
					t.Errorf("%s has other bytes the second time", name)
				}
				digests[name] = f.SHA256
			}
		}
	}
}

func TestForecastWithoutPlan(t *testing.T) {
	shape := forecasttest.Daily()
	shape.Steps, shape.Plan = 300, 10
	p := forecasttest.Panel(shape)
	env := trainable(t, p)
	trainAll(t, env, []string{"lightgbm"}, Done)
	o := ForecastOptions{Horizon: trainHorizon, Quantiles: trainQuantiles}
	r, err := Forecast(t.Context(), env, o)
	if err != nil || !strings.Contains(strings.Join(r.Warnings, " "), "promo in the last 4 of 14 steps") {
		t.Fatalf("a plan of 10 days for 14: %+v, %v", r, err)
	}
	// Figures that rest on a whole plan are of no forecast that lacks the end of it.
	known := EnsembleOptions{Models: []string{"lightgbm"}, Horizon: trainHorizon, Backtest: BacktestOptions{Origins: 2, Plan: PlanKnown}, Quantiles: trainQuantiles, NonNegative: true, Seed: 42}
	if _, err := Train(t.Context(), env, TrainOptions{Model: "lightgbm", Horizon: trainHorizon, Backtest: known.Backtest, NonNegative: true, Seed: 42, Params: fewTrees}); err != nil {
		t.Fatal(err)
	}
	if _, err := Ensemble(t.Context(), env, known); err != nil {
		t.Fatal(err)
	}
	_, err = Forecast(t.Context(), env, o)
	end, _ := p.End()
	if KindOf(err) != KindData || HintOf(err) == "" {
		t.Fatalf("a plan of 10 days for 14, where the whole was promised: %v", err)
	}
	for _, part := range []string{"S00", "I00", "promo", p.Frequency.Day(end + 11).String(), p.Frequency.Day(end + 14).String()} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not name %s", err, part)
		}
	}
}

// Three sales are forecast too, with a warning that they were not tested.
func TestThreeSales(t *testing.T) {
	p := forecasttest.Panel(forecasttest.Shape{Frequency: calendar.Frequency{Unit: calendar.Daily}, Stores: 1, Items: 1, Steps: 3, Seed: 2})
	env := trainable(t, p)
	trainAll(t, env, []string{"lightgbm", "smoothing"}, Done)
	r, err := Forecast(t.Context(), env, ForecastOptions{Horizon: trainHorizon, Quantiles: trainQuantiles})
	if err != nil || r.Rows["forecast"] != trainHorizon {
		t.Fatalf("%+v, %v", r, err)
	}
	if w := opened(t, env, "train/lightgbm").Manifest.Warnings; len(w) != 2 {
		t.Errorf("warnings %q, want that it was not tested and that there are no trees", w)
	}
}

func TestTrainRefuses(t *testing.T) {
	t.Parallel()
	env := stepEnv(t)
	if _, err := Train(t.Context(), env, TrainOptions{Model: "lstm"}); KindOf(err) != KindUsage || !strings.Contains(err.Error(), "lightgbm_recursive") {
		t.Errorf("an unknown model: %v", err)
	}
	if _, err := Train(t.Context(), env, TrainOptions{Model: "xgboost", Horizon: 7, Backtest: BacktestOptions{Origins: 1}}); KindOf(err) != KindInputMissing {
		t.Errorf("no panel: %v", err)
	}
	if _, err := Ensemble(t.Context(), env, EnsembleOptions{}); KindOf(err) != KindInputMissing {
		t.Errorf("no panel to choose models for: %v", err)
	}
}

// Members that were trained for other origins cannot be combined.
func TestEnsembleOfOtherOrigins(t *testing.T) {
	shape := forecasttest.Daily()
	shape.Steps = 300
	env := trainable(t, forecasttest.Panel(shape))
	if _, err := Train(t.Context(), env, TrainOptions{Model: "smoothing", Horizon: trainHorizon, Backtest: BacktestOptions{Origins: 1}, NonNegative: true}); err != nil {
		t.Fatal(err)
	}
	_, err := Ensemble(t.Context(), env, EnsembleOptions{Models: []string{"smoothing"}, Horizon: trainHorizon, Backtest: BacktestOptions{Origins: 3}, Quantiles: trainQuantiles})
	if KindOf(err) != KindData || !strings.Contains(HintOf(err), "--force") {
		t.Errorf("%v, hint %q", err, HintOf(err))
	}
}

func TestDefaultModels(t *testing.T) {
	p := forecasttest.Panel(forecasttest.Daily())
	for r := range p.Target { // a few a day
		p.Target[r] = float32(math.Round(float64(p.Target[r]) / 10))
	}
	env := trainable(t, p)
	got, err := DefaultModels(t.Context(), env, "", trainHorizon, BacktestOptions{Origins: 3})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"lightgbm", "xgboost_recursive", "smoothing", "smoothing_yearly", "theta", "ets", "prophet"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for r := range p.Target { // thousands, never 0
		p.Target[r] = p.Target[r]*100 + 1000
	}
	env = trainable(t, p)
	if got, err = DefaultModels(t.Context(), env, "", trainHorizon, BacktestOptions{Origins: 3}); err != nil || !slices.Contains(got, "lightgbm_log") {
		t.Errorf("large sales: %v, %v", got, err)
	}
}

// The same members stacked have other weights, which are judged at the same origins; naming the default method changes nothing.
func TestEnsembleMethods(t *testing.T) {
	shape := forecasttest.Daily()
	env := trainable(t, forecasttest.Panel(shape))
	for _, m := range []string{"smoothing", "ets"} {
		if _, err := Train(t.Context(), env, TrainOptions{Model: m, Horizon: trainHorizon, Backtest: BacktestOptions{Origins: 2}, NonNegative: true}); err != nil {
			t.Fatal(err)
		}
	}
	o := EnsembleOptions{Models: []string{"smoothing", "ets"}, Horizon: trainHorizon, Backtest: BacktestOptions{Origins: 2}, Quantiles: trainQuantiles, NonNegative: true}
	read := func(method string, want Status) []byte {
		t.Helper()
		o.Method = method
		if r, err := Ensemble(t.Context(), env, o); err != nil || r.Status != want {
			t.Fatalf("%s: %+v, %v", method, r, err)
		}
		return readStep(t, env, "ensemble", "weights.json")
	}
	loss := read("", Done)
	if same := read("loss", Cached); !bytes.Equal(loss, same) {
		t.Error("the default's name gave other weights")
	}
	if bytes.Equal(loss, read("stacking", Done)) {
		t.Error("stacking gave the weights of losses")
	}
	o.Method = "voting"
	if _, err := Ensemble(t.Context(), env, o); KindOf(err) != KindUsage {
		t.Errorf("an unknown method: %v", err)
	}
}
