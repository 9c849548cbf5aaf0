package tasks

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"salescast/pkg/backtest"
	"salescast/pkg/calendar"
	"salescast/pkg/forecast/forecasttest"
	"salescast/pkg/metric"
	"salescast/pkg/panel"
)

// reachModels are the members that read a plan, and one that does not.
var reachModels = []string{"lightgbm", "lightgbm_recursive", "xgboost", "prophet", "smoothing"}

// tested trains and combines all of reachModels on p, and returns what the ensemble and its members forecast from the test origins, and
// what the ensemble would have with the whole plan; nil without such a file.
func tested(t *testing.T, p *panel.Panel, plan string) (Env, *backtest.Predictions, *backtest.Predictions) {
	t.Helper()
	env := trainable(t, p)
	b := BacktestOptions{Origins: 1, Plan: plan}
	for _, m := range reachModels {
		o := TrainOptions{Model: m, Horizon: trainHorizon, Backtest: b, NonNegative: true, Seed: 42}
		if strings.Contains(m, "lightgbm") || m == "xgboost" {
			o.Params = fewTrees
		}
		if _, err := Train(t.Context(), env, o); err != nil {
			t.Fatalf("train %s: %v", m, err)
		}
	}
	o := EnsembleOptions{Models: reachModels, Horizon: trainHorizon, Backtest: b, Quantiles: trainQuantiles, NonNegative: true, Seed: 42}
	if _, err := Ensemble(t.Context(), env, o); err != nil {
		t.Fatal(err)
	}
	in, err := OpenStep(t.Context(), env.Store, "ensemble")
	if err != nil {
		t.Fatal(err)
	}
	rows, err := readPredictions(t.Context(), in, backtestName)
	if err != nil {
		t.Fatal(err)
	}
	if !in.Has(plannedName) {
		return env, rows, nil
	}
	planned, err := readPredictions(t.Context(), in, plannedName)
	if err != nil {
		t.Fatal(err)
	}
	return env, rows, planned
}

func same(a, b *backtest.Predictions) bool {
	return slices.Equal(a.Forecast, b.Forecast) && slices.Equal(a.Quantiles, b.Quantiles)
}

// Where the data do not know the plan past the last sale, no bit of any member's or the ensemble's backtest depends on what the plan turned
// out to be after its origin; where the plan is promised it does, and so does what is told of the plan's worth.
func TestBacktestKnowsNoMoreOfThePlanThanTheForecast(t *testing.T) {
	t.Parallel()
	shape := forecasttest.Daily()
	shape.Steps, shape.Plan = 200, 0
	p := forecasttest.Panel(shape)
	end, _ := p.End()
	other := forecasttest.Clone(p)
	for s := range p.Series() {
		for at := end - trainHorizon + 1; at <= end; at++ {
			r, _ := other.Row(s, at)
			other.Covariates[0].Values[r] = 1 - other.Covariates[0].Values[r]
		}
	}
	env, a, planned := tested(t, p, PlanReach)
	_, b, otherwise := tested(t, other, PlanReach)
	if a.Rows() == 0 || a.Rows() != b.Rows() {
		t.Fatalf("%d and %d rows", a.Rows(), b.Rows())
	}
	for m, name := range a.Models {
		of := func(p *backtest.Predictions) *backtest.Predictions {
			return p.Filter(func(i int) bool { return int(p.Model[i]) == m })
		}
		if !same(of(a), of(b)) {
			t.Errorf("%s: what was planned after the origin changed its backtest, and the data do not know it", name)
		}
	}
	if planned == nil || same(planned, otherwise) {
		t.Error("with the whole plan known another plan gives the same forecast")
	}
	_, c, none := tested(t, p, PlanKnown)
	_, d, _ := tested(t, other, PlanKnown)
	if none != nil || same(c, d) {
		t.Error("a promised plan is not known")
	}

	if _, err := Evaluate(t.Context(), env, EvaluateOptions{Horizon: trainHorizon}); err != nil {
		t.Fatal(err)
	}
	var doc metric.Document
	if err := json.Unmarshal(readStep(t, env, "evaluate", "metrics.json"), &doc); err != nil {
		t.Fatal(err)
	}
	f := doc.Foresight
	if f == nil || f.Promised || len(f.Columns) != 1 || f.Columns[0] != (metric.ColumnKnown{Name: "promo"}) || f.Planned == nil || f.Planned.Rows == 0 {
		t.Fatalf("metrics.json says of the plan %+v", f)
	}
	if f.Planned.WAPE >= doc.Models[0].Overall.WAPE {
		t.Errorf("promotions double the sales, and to know them changes a WAPE of %.3f to %.3f", doc.Models[0].Overall.WAPE, f.Planned.WAPE)
	}
}

// A plan that the data have up to the horizon is known as it was: the file has one table, and nothing is assumed.
func TestWholePlanIsKnown(t *testing.T) {
	t.Parallel()
	shape := forecasttest.Daily()
	shape.Steps = 200
	p := forecasttest.Panel(shape)
	_, a, planned := tested(t, p, PlanReach)
	_, b, _ := tested(t, p, PlanKnown)
	if planned != nil || !same(a, b) {
		t.Error("a whole plan is not simply known")
	}
}

// What the backtest is given beyond the reach is what the forecast after the last sale assumes: the same models forecast the same from the
// same sales, where the data have no plan and where it ends before the horizon.
func TestBacktestAssumesWhatTheForecastDoes(t *testing.T) {
	for _, planned := range []int{0, 3} {
		t.Run(fmt.Sprintf("%d steps planned", planned), func(t *testing.T) { assumesTheSame(t, planned) })
	}
}

func assumesTheSame(t *testing.T, planned int) {
	t.Parallel()
	shape := forecasttest.Daily()
	shape.Steps, shape.Plan = 200, planned
	p := forecasttest.Panel(shape)
	end, _ := p.End()
	_, then, _ := tested(t, p, PlanReach)
	all := make([]int, p.Series())
	for s := range all {
		all[s] = s
	}
	early := p.PickSteps(all, p.Start[0], end-trainHorizon+calendar.Step(planned))
	for s := range early.Series() {
		for h := range planned {
			r, _ := early.Row(s, end-trainHorizon+calendar.Step(h+1))
			early.Target[r], early.Observed[r] = float32(math.NaN()), false
		}
	}
	env := trainable(t, early)
	o := TrainOptions{Model: "lightgbm", Horizon: trainHorizon, Backtest: BacktestOptions{Origins: 1}, NonNegative: true, Seed: 42, Params: fewTrees}
	if _, err := Train(t.Context(), env, o); err != nil {
		t.Fatal(err)
	}
	if _, err := Ensemble(t.Context(), env, EnsembleOptions{Models: []string{"lightgbm"}, Horizon: trainHorizon, Backtest: o.Backtest, Quantiles: trainQuantiles, NonNegative: true, Seed: 42}); err != nil {
		t.Fatal(err)
	}
	res, err := Forecast(t.Context(), env, ForecastOptions{Horizon: trainHorizon, Quantiles: trainQuantiles})
	if err != nil {
		t.Fatal(err)
	}
	if said := strings.Join(res.Warnings, " "); !strings.Contains(said, "promo") || strings.Contains(said, "do not hold") {
		t.Errorf("%d of %d steps are planned, as the backtest knew, and the forecast says %q", planned, trainHorizon, said)
	}
	in, err := OpenStep(t.Context(), env.Store, "forecast")
	if err != nil {
		t.Fatal(err)
	}
	now, err := readPredictions(t.Context(), in, "forecast.parquet")
	if err != nil {
		t.Fatal(err)
	}
	was := then.Filter(func(i int) bool {
		return then.Models[then.Model[i]] == "lightgbm" && then.Cutoff[i] == p.Frequency.Day(end-calendar.Step(trainHorizon))
	})
	if now.Rows() == 0 || !slices.Equal(now.Forecast, was.Forecast) {
		t.Errorf("forecast from %d rows %v, in the backtest it was %v", now.Rows(), now.Forecast[:5], was.Forecast[:min(5, was.Rows())])
	}
}
