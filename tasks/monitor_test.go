package tasks

import (
	"bytes"
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"salescast/pkg/artifact"
	"salescast/pkg/artifact/dir"
	"salescast/pkg/bundle"
	"salescast/pkg/calendar"
	"salescast/pkg/drift"
	"salescast/pkg/forecast/forecasttest"
	"salescast/pkg/forecast/member"
	"salescast/pkg/panel"
)

func monitorOptions() MonitorOptions {
	return MonitorOptions{Model: "model", Horizon: trainHorizon, Limits: drift.Limits{WAPE: 0.25, Bias: 0.1, Coverage: 0.1, KS: 0.1, PSI: 0.2}}
}

// asOf is what was known of a panel at a step: the sales and past-only covariates up to it, and the plan of a horizon.
func asOf(p *panel.Panel, at calendar.Step) *panel.Panel {
	all := make([]int, p.Series())
	for s := range all {
		all[s] = s
	}
	q := forecasttest.Clone(p.PickSteps(all, math.MinInt32, at+trainHorizon))
	nan := float32(math.NaN())
	for s := range q.Series() {
		lo, hi := q.Span(s)
		for r := max(lo, lo+int(at-q.Start[s])+1); r < hi; r++ {
			q.Target[r], q.Observed[r] = nan, false
			for c := range q.Covariates {
				if q.Covariates[c].Role == panel.PastOnly {
					q.Covariates[c].Values[r] = nan
				}
			}
		}
	}
	return q
}

// beside is a workspace of newer sales, which finds the model of another, and has its engines.
func beside(t *testing.T, trained Env, p *panel.Panel) (Env, *Model) {
	t.Helper()
	env := trainable(t, p)
	env.Learners = trained.Learners
	env.Open = func(string) (artifact.Store, error) { return trained.Store, nil }
	m, err := OpenModel(t.Context(), env, "model")
	if err != nil {
		t.Fatal(err)
	}
	return env, m
}

func TestMonitor(t *testing.T) {
	t.Parallel()
	shape := forecasttest.Daily()
	shape.Steps = 470
	full := forecasttest.Panel(shape)
	end, _ := full.End()
	learned := end - 66
	trained := trainable(t, asOf(full, learned))
	trainAll(t, trained, []string{"lightgbm", "smoothing", "smoothing_yearly"}, Done)

	env, m := beside(t, trained, full)
	few := monitorOptions()
	few.Limits.Bias = 0.5 // four small series and few trees
	r, err := Monitor(t.Context(), env, m, few)
	if err != nil || r.Status != Done || r.Metrics["drift"] != 0 {
		t.Fatalf("sales as ever: %+v, %v", r, err)
	}
	doc, err := ReadMonitoring(t.Context(), env)
	if err != nil {
		t.Fatal(err)
	}
	day := full.Frequency.Day
	if doc.Learned != day(learned) || doc.From != day(end-13) || doc.To != day(end) || doc.Steps != trainHorizon || doc.Drift || doc.NewSeries != 0 || doc.Series != 4 {
		t.Errorf("%+v", doc)
	}
	var cutoffs []calendar.Day
	for _, b := range doc.Blocks {
		cutoffs = append(cutoffs, b.Cutoff)
	}
	if want := []calendar.Day{day(end - 56), day(end - 42), day(end - 28), day(end - 14)}; !slices.Equal(cutoffs, want) {
		t.Errorf("blocks from %v, want %v", cutoffs, want)
	}
	if names := []string{doc.Columns[0].Column, doc.Columns[1].Column, doc.Columns[2].Column}; !slices.Equal(names, []string{"units", "promo", "weather"}) {
		t.Errorf("columns %v", names)
	}

	// Nothing after the origin was read: the forecasts are those that were made of what was known then.
	again, err := readPredictions(t.Context(), opened(t, env, "monitor"), "predictions.parquet")
	if err != nil {
		t.Fatal(err)
	}
	then, known := beside(t, trained, asOf(full, end-trainHorizon))
	if _, err := ForecastWith(t.Context(), then, known, ForecastOptions{Model: "model", Horizon: trainHorizon, Quantiles: trainQuantiles}); err != nil {
		t.Fatal(err)
	}
	published, err := readPredictions(t.Context(), opened(t, then, "forecast"), "forecast.parquet")
	if err != nil {
		t.Fatal(err)
	}
	if again.Rows() != 4*trainHorizon || !slices.Equal(again.Forecast, published.Forecast) || !slices.Equal(again.Quantiles, published.Quantiles) || !slices.Equal(again.Date, published.Date) {
		t.Errorf("%d forecasts again are not the %d that were published", again.Rows(), published.Rows())
	}
	off, sold := 0.0, 0.0
	for i, y := range again.Actual {
		off, sold = off+math.Abs(again.Forecast[i]-y), sold+y
	}
	if got := float64(doc.Now.Model.WAPE); math.Abs(got-off/sold) > 1e-9 || r.Metrics["wape"] != got {
		t.Errorf("WAPE %v, %v by hand", got, off/sold)
	}
	// The backtest's scores are those of the ensemble's own evaluation.
	o := EvaluateOptions{Horizon: trainHorizon}
	ev, err := Evaluate(t.Context(), trained, o)
	if err != nil || ev.Metrics["ensemble_wape"] != float64(doc.Then.Model.WAPE) || ev.Metrics["seasonal_naive_rmsse"] != float64(doc.Then.Baseline.RMSSE) {
		t.Errorf("the backtest now: %+v, when it was evaluated: %v, %v", doc.Then, ev.Metrics, err)
	}

	if r, err = Monitor(t.Context(), env, m, few); err != nil || r.Status != Cached {
		t.Errorf("again: %+v, %v", r, err)
	}
}

func TestMonitorFindsDrift(t *testing.T) {
	t.Parallel()
	shape := forecasttest.Daily()
	shape.Steps = 430
	full := forecasttest.Panel(shape)
	end, _ := full.End()
	trained := trainable(t, asOf(full, end-20))
	trainAll(t, trained, []string{"lightgbm", "smoothing"}, Done)
	twice := forecasttest.Clone(full)
	for s := range twice.Series() {
		for at := end - 13; at <= end; at++ {
			row, _ := twice.Row(s, at)
			twice.Target[row] *= 2
		}
	}
	env, m := beside(t, trained, twice)
	o := monitorOptions()
	r, err := Monitor(t.Context(), env, m, o)
	if err != nil || r.Status != Done || r.Metrics["drift"] < 2 || !strings.Contains(strings.Join(r.Warnings, "\n"), "drift: forecasts are -") {
		t.Fatalf("drift is a warning: %+v, %v", r, err)
	}
	o.FailOnDrift = true
	for range 2 { // the finished step says it as well
		if r, err = Monitor(t.Context(), env, m, o); KindOf(err) != KindDrift || r.Status != Drift || r.Error.Code != "drift" || HintOf(err) == "" {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	o.Limits = drift.Limits{WAPE: 10, Bias: 10, Coverage: 1, KS: 1, PSI: 10}
	if r, err = Monitor(t.Context(), env, m, o); err != nil || r.Status != Done || len(r.Warnings) > 0 {
		t.Errorf("limits so wide that nothing is beyond them: %+v, %v", r, err)
	}

	// Some of the model's series and one that it has not seen.
	part := forecasttest.Clone(full.Pick([]int{0, 1, 3}))
	part.Keys[1].Levels = []string{"I00", "I01", "I09"}
	part.Keys[1].Codes = []int32{0, 1, 2}
	env, m = beside(t, trained, part)
	if r, err = Monitor(t.Context(), env, m, monitorOptions()); err != nil || r.Rows["new_series"] != 1 || r.Rows["series"] != 3 || r.Rows["predictions"] != 3*trainHorizon {
		t.Errorf("a part: %+v, %v", r, err)
	}
}

func TestMonitorRefuses(t *testing.T) {
	t.Parallel()
	shape := forecasttest.Daily()
	shape.Steps, shape.Plan = 330, 60
	full := forecasttest.Panel(shape)
	end, _ := full.End()
	learned := end - 30
	trained := trainable(t, asOf(full, learned))
	trainAll(t, trained, []string{"smoothing"}, Done)
	for _, c := range []struct {
		name    string
		p       *panel.Panel
		horizon int
		want    Kind
	}{
		{"the same sales", asOf(full, learned), trainHorizon, KindNothing},
		{"older ones", asOf(full, learned-40), trainHorizon, KindNothing},
		{"six new days", asOf(full, learned+6), trainHorizon, KindNothing},
		{"a week", asOf(full, learned+7), trainHorizon, ""},
		{"three days, and a horizon of three", asOf(full, learned+3), 3, ""},
		{"beyond the model's horizon", full, trainHorizon + 1, KindConfig},
		{"weeks", forecasttest.Panel(forecasttest.Shape{Frequency: calendar.Frequency{Unit: calendar.Weekly}, Stores: 1, Items: 1, Steps: 80, Plan: 14, Seed: 1, Covariates: true}), trainHorizon, KindConfig},
	} {
		env, m := beside(t, trained, c.p)
		o := monitorOptions()
		o.Horizon = c.horizon
		r, err := Monitor(t.Context(), env, m, o)
		if KindOf(err) != c.want || err != nil && HintOf(err) == "" {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if err == nil && r.Rows["predictions"] != int64(4*min(7, c.horizon)) {
			t.Errorf("%s: %v", c.name, r.Rows)
		}
	}

	short := trainable(t, asOf(full, full.Start[0]+20))
	trainAll(t, short, []string{"smoothing"}, Done)
	newer, untested := beside(t, short, full)
	if _, err := Monitor(t.Context(), newer, untested, monitorOptions()); KindOf(err) != KindInputMissing || !strings.Contains(HintOf(err), "longer history") {
		t.Errorf("a model that was never tested: %v", err)
	}

	alone, err := dir.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	smooth, err := member.Native(t.Context(), member.Smoothing, member.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	input := `{"keys": ["store", "item"], "known_future": ["promo"], "past_only": ["weather"]}`
	_, err = alone.Put(t.Context(), bundle.InputName, strings.NewReader(input))
	if err != nil {
		t.Fatal(err)
	}
	if err := bundle.WriteAlone(t.Context(), into{alone}, bundle.Manifest{Horizon: trainHorizon, Frequency: full.Frequency}, "smoothing", smooth); err != nil {
		t.Fatal(err)
	}
	trained.Store = alone
	env, m := beside(t, trained, full)
	if _, err := Monitor(t.Context(), env, m, monitorOptions()); KindOf(err) != KindInputMissing || !strings.Contains(HintOf(err), "ensemble") {
		t.Errorf("a member by itself: %v", err)
	}
}

// into writes the files of a bundle to a store.
type into struct{ artifact.Store }

func (w into) WriteFile(ctx context.Context, name string, b []byte) error {
	_, err := w.Put(ctx, name, bytes.NewReader(b))
	return err
}
