package tasks

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"image/png"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"salescast/pkg/backtest"
	"salescast/pkg/columnar"
	"salescast/pkg/metric"
	"salescast/pkg/report/chart"
	"salescast/pkg/report/reporttest"
)

// predicted makes a workspace with everything that Evaluate and Report read.
func predicted(t *testing.T, shop *reporttest.Shop) Env {
	t.Helper()
	env := stepEnv(t)
	step := func(name string, inputs []string, options any, body func(ctx context.Context, s *Step) error) {
		if r, err := runStep(t.Context(), env, stepSpec{Name: name, Options: options, Inputs: inputs, Seed: 42}, body); err != nil || r.Status != Done {
			t.Fatalf("%s: %+v, %v", name, r, err)
		}
	}
	predictions := func(s *Step, name string, of *reporttest.Shop) error {
		p := of.Predictions
		if name == "forecast.parquet" {
			p = of.Forecast
		}
		out, err := s.Create(t.Context(), name)
		if err != nil {
			return err
		}
		if err := columnar.WritePredictions(out, p); err != nil {
			return err
		}
		return out.Close()
	}
	data := DataOptions{Source: "shop.csv", Keys: []string{"store", "item"}, Time: "date", Target: "sales", KnownFuture: []string{"promo"}}
	step("validate", nil, ValidateOptions{Data: data, Horizon: shop.Horizon}, func(ctx context.Context, s *Step) error {
		out, err := s.Create(ctx, "panel.parquet")
		if err != nil {
			return err
		}
		w, err := columnar.NewPanelWriter(out, columnar.SchemaOf(shop.Panel, "date", "sales"))
		if err != nil {
			return err
		}
		if err := w.Write(shop.Panel); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		if err := out.Close(); err != nil {
			return err
		}
		return s.WriteFile(ctx, "report.json", []byte(`{"schema":"salescast.quality/v1","rows":600,"quarantined":1,"findings":[
			{"rule":"outlier","severity":"warning","count":2,"sentence":"2 sales are far off.","cure":"look at them","examples":[{"file":"shop.csv","line":7}]}]}`))
	})
	for _, m := range []string{"lightgbm", "xgboost"} {
		step("train/"+m, []string{"validate"}, TrainOptions{Model: m, Horizon: shop.Horizon}, func(ctx context.Context, s *Step) error {
			return s.WriteJSON(ctx, "importance.json", []chart.Feature{{Name: "weekday", Gain: 3}, {Name: "promo", Gain: 1}})
		})
	}
	o := EnsembleOptions{Models: []string{"lightgbm", "xgboost"}, Horizon: shop.Horizon, Backtest: BacktestOptions{Origins: 2}}
	step("ensemble", []string{"train/lightgbm", "train/xgboost", "validate"}, o, func(_ context.Context, s *Step) error {
		return predictions(s, "backtest.parquet", shop)
	})
	step("forecast", []string{"ensemble"}, ForecastOptions{Horizon: shop.Horizon, Quantiles: reporttest.Levels}, func(_ context.Context, s *Step) error {
		return predictions(s, "forecast.parquet", shop)
	})
	return env
}

func evaluateOptions(shop *reporttest.Shop) EvaluateOptions {
	return EvaluateOptions{Models: []string{"lightgbm", "xgboost"}, Horizon: shop.Horizon, Charts: true}
}

func readStep(t *testing.T, env Env, step, name string) []byte {
	t.Helper()
	in, err := OpenStep(t.Context(), env.Store, step)
	if err != nil {
		t.Fatal(err)
	}
	b, err := in.ReadFile(t.Context(), name, 1<<24)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEvaluateWritesScoresPredictionsAndCharts(t *testing.T) {
	t.Parallel()
	shop := reporttest.New(3, 2, 150, 2, 7)
	env := predicted(t, shop)
	r, err := Evaluate(t.Context(), env, evaluateOptions(shop))
	if err != nil || r.Status != Done {
		t.Fatalf("%+v, %v", r, err)
	}
	var doc metric.Document
	if err := json.Unmarshal(readStep(t, env, "evaluate", "metrics.json"), &doc); err != nil {
		t.Fatal(err)
	}
	want, err := metric.Evaluate(shop.Panel, shop.Predictions)
	if err != nil {
		t.Fatal(err)
	}
	if doc.Schema != "salescast.metrics/v1" || len(doc.Models) != 4 || len(doc.Compared) != 3 || len(doc.Models[0].ByHorizon) != 7 || len(doc.Origins) != 2 {
		t.Errorf("metrics.json is %+v", doc)
	}
	for m, s := range doc.Models {
		if s.Overall != want.Overall[m] {
			t.Errorf("%s: %+v, want %+v", s.Model, s.Overall, want.Overall[m])
		}
	}
	if got := r.Metrics["ensemble_wape"]; got != float64(want.Overall[0].WAPE) || r.Metrics["seasonal_naive_wape"] == 0 {
		t.Errorf("the result says %v", r.Metrics)
	}
	checkPredictionsCSV(t, readStep(t, env, "evaluate", "predictions.csv"), shop.Predictions.Rows())
	bySeries, err := csv.NewReader(bytes.NewReader(readStep(t, env, "evaluate", "metrics_by_series.csv"))).ReadAll()
	if err != nil || len(bySeries) != 1+6*4 || !slices.Equal(bySeries[0][:5], []string{"store", "item", "model", "rows", "missing"}) {
		t.Errorf("metrics_by_series.csv has %d rows, %v", len(bySeries), err)
	}
	coverage, err := csv.NewReader(bytes.NewReader(readStep(t, env, "evaluate", "coverage.csv"))).ReadAll()
	if err != nil || doc.Coverage == nil || len(coverage) != 1+7+len(doc.Coverage.ByClass)+6 {
		t.Errorf("coverage.csv has %d rows, %v", len(coverage), err)
	}
	in, err := OpenStep(t.Context(), env.Store, "evaluate")
	if err != nil {
		t.Fatal(err)
	}
	if charts := in.Names("charts/"); len(charts) != 8 {
		t.Errorf("charts are %v", charts)
	}
	for _, name := range in.Names("charts/") {
		if _, err := png.DecodeConfig(bytes.NewReader(readStep(t, env, "evaluate", name))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if again, err := Evaluate(t.Context(), env, evaluateOptions(shop)); err != nil || again.Status != Cached {
		t.Errorf("again: %+v, %v", again, err)
	}
}

// checkPredictionsCSV holds the table to its promise: these columns, every row once, every quantile there and in order.
func checkPredictionsCSV(t *testing.T, b []byte, rows int) {
	t.Helper()
	recs, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if head := strings.Join(recs[0], ","); head != "store,item,date,cutoff,horizon,model,actual,forecast,q025,q10,q25,q50,q75,q90,q975" {
		t.Errorf("columns are %s", head)
	}
	if len(recs) != rows+1 {
		t.Errorf("%d rows, want %d", len(recs)-1, rows)
	}
	seen := map[string]bool{}
	for _, r := range recs[1:] {
		key := strings.Join(r[:6], "\x00")
		if seen[key] {
			t.Fatalf("row %v stands twice", r[:6])
		}
		seen[key] = true
		last := math.Inf(-1)
		for _, f := range r[8:] {
			q, err := strconv.ParseFloat(f, 64)
			if err != nil || q < last {
				t.Fatalf("quantiles of %v are %v", r[:6], r[8:])
			}
			last = q
		}
	}
}

// TestEvaluateSaysWhatItLeavesOut: predictions that are missing are warned of and not in predictions.csv.
func TestEvaluateSaysWhatItLeavesOut(t *testing.T) {
	t.Parallel()
	shop := reporttest.New(2, 2, 120, 2, 7)
	shop.Predictions.Quantiles[3] = math.NaN()
	first := slices.IndexFunc(shop.Predictions.Actual, func(v float64) bool { return !math.IsNaN(v) })
	shop.Predictions.Forecast[first] = math.NaN()
	env := predicted(t, shop)
	r, err := Evaluate(t.Context(), env, EvaluateOptions{Models: []string{"xgboost"}, Horizon: 7})
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(r.Warnings, "\n")
	for _, want := range []string{"left out of predictions.csv", "ensemble gave no forecast for 1 of"} {
		if !strings.Contains(all, want) {
			t.Errorf("warnings do not say %q: %s", want, all)
		}
	}
	missing := 1
	if first != 0 {
		missing = 2
	}
	checkPredictionsCSV(t, readStep(t, env, "evaluate", "predictions.csv"), shop.Predictions.Rows()-missing)
	in, err := OpenStep(t.Context(), env.Store, "evaluate")
	if err != nil || len(in.Names("charts/")) != 0 {
		t.Errorf("charts were drawn unasked: %v", err)
	}
}

func TestEvaluateRefusesOtherData(t *testing.T) {
	t.Parallel()
	shop := reporttest.New(1, 2, 100, 1, 7)
	last := len(shop.Predictions.Actual) - 1
	shop.Predictions.Actual[last] = 12345
	env := predicted(t, shop)
	r, err := Evaluate(t.Context(), env, evaluateOptions(shop))
	if KindOf(err) != KindData || r.Status != Failed {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := OpenStep(t.Context(), env.Store, "evaluate"); KindOf(err) != KindInputMissing {
		t.Errorf("the failed step left %v", err)
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	shop := reporttest.New(2, 2, 150, 2, 7)
	env := predicted(t, shop)
	if _, err := Report(t.Context(), env, ReportOptions{}); KindOf(err) != KindInputMissing {
		t.Errorf("a report without scores: %v", err)
	}
	if _, err := Evaluate(t.Context(), env, evaluateOptions(shop)); err != nil {
		t.Fatal(err)
	}
	r, err := Report(t.Context(), env, ReportOptions{})
	if err != nil || r.Status != Done {
		t.Fatalf("%+v, %v", r, err)
	}
	page := string(readStep(t, env, "report", "index.html"))
	for _, want := range []string{"<h1>Forecast of sales</h1>", "better than repeating last week", "2 sales are far off.", "train/xgboost", "shop.csv", "weekday", "shop.csv:7"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if r, err = Report(t.Context(), env, ReportOptions{}); err != nil || r.Status != Cached {
		t.Errorf("again: %+v, %v", r, err)
	}
	if r, err = Report(t.Context(), env, ReportOptions{Title: "May"}); err != nil || r.Status != Done || !strings.Contains(string(readStep(t, env, "report", "index.html")), "<h1>May</h1>") {
		t.Errorf("with a title: %+v, %v", r, err)
	}
}

// TestReportWithoutForecast: where the plan is missing no forecast is made, and the page still tells of the past.
func TestReportWithoutForecast(t *testing.T) {
	t.Parallel()
	shop := reporttest.New(2, 2, 150, 2, 7)
	env := predicted(t, shop)
	if _, err := Evaluate(t.Context(), env, evaluateOptions(shop)); err != nil {
		t.Fatal(err)
	}
	if err := env.Store.Delete(t.Context(), "forecast/manifest.json"); err != nil {
		t.Fatal(err)
	}
	r, err := Report(t.Context(), env, ReportOptions{})
	if err != nil || len(r.Warnings) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if page := string(readStep(t, env, "report", "index.html")); !strings.Contains(page, "No forecast was made") {
		t.Error("the page does not say that there is no forecast")
	}
}

// TestTooShortToScore: without test origins there is nothing to score, and both steps say so instead of failing.
func TestTooShortToScore(t *testing.T) {
	t.Parallel()
	shop := reporttest.New(2, 2, 60, 1, 7)
	p := shop.Predictions
	shop.Predictions = &backtest.Predictions{Keys: p.Keys, Models: p.Models, Levels: p.Levels}
	env := predicted(t, shop)
	r, err := Evaluate(t.Context(), env, evaluateOptions(shop))
	if err != nil || !strings.Contains(strings.Join(r.Warnings, "\n"), "nothing could be scored") {
		t.Fatalf("%+v, %v", r, err)
	}
	checkPredictionsCSV(t, readStep(t, env, "evaluate", "predictions.csv"), 0)
	if _, err := Report(t.Context(), env, ReportOptions{}); err != nil {
		t.Fatal(err)
	}
	if page := string(readStep(t, env, "report", "index.html")); !strings.Contains(page, "could not be checked") || strings.Contains(page, ">NaN") {
		t.Error("the page does not say that the forecast was not checked")
	}
}

func TestReportOfNothing(t *testing.T) {
	t.Parallel()
	if r, err := Report(t.Context(), stepEnv(t), ReportOptions{}); KindOf(err) != KindInputMissing || r == nil || r.Status != Failed {
		t.Errorf("%+v, %v", r, err)
	}
}
