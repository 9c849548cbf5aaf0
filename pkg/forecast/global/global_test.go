package global_test

import (
	"context"
	"errors"
	"io"
	"math"
	"testing"

	"salescast/pkg/calendar"
	"salescast/pkg/feature"
	"salescast/pkg/forecast"
	"salescast/pkg/forecast/forecasttest"
	"salescast/pkg/forecast/global"
	"salescast/pkg/panel"
	"salescast/pkg/regress"
	"salescast/pkg/regress/engines"
	"salescast/pkg/regress/regresstest"
)

const horizon = 14

func specs() map[string]global.Spec {
	return map[string]global.Spec{
		"lightgbm":            {Engine: "lightgbm", Strategy: global.Direct, Target: global.Ratio, Scale: "recent"},
		"xgboost":             {Engine: "xgboost", Strategy: global.Direct, Target: global.Ratio, Scale: "year"},
		"lightgbm recursive":  {Engine: "lightgbm", Strategy: global.Recursive, Target: global.Ratio, Scale: "year"},
		"xgboost recursive":   {Engine: "xgboost", Strategy: global.Recursive, Target: global.Ratio, Scale: "year"},
		"lightgbm logarithms": {Engine: "lightgbm", Strategy: global.Direct, Target: global.Log, Scale: "exp"},
	}
}

func TestConformance(t *testing.T) {
	e := engines.New(engines.Config{EngineDir: regresstest.EngineDir(t), CacheDir: t.TempDir(), Threads: 1})
	t.Cleanup(e.Close)
	for name, spec := range specs() {
		t.Run(name, func(t *testing.T) {
			spec.Params = map[string]string{"rounds": "20"} // the laws hold for few trees as for many
			// Sums over the panel are added in the order of its series: their last bits may move a split.
			forecasttest.Run(t, forecasttest.Traits{Plan: true, Horizon: horizon, Order: 0.02}, func(*testing.T) forecast.Forecaster {
				return global.Forecaster{Spec: spec, Horizon: horizon, Rows: 3000, Seed: 1, Learners: e.Learner}
			})
		})
	}
}

// spy is a learner that remembers what it was shown; its model answers the mean of one column.
type spy struct {
	columns []regress.Column
	x       []panel.Frame
	y, w    []float32
	fits    int
	params  []map[string]string
}

func (s *spy) Learner(_ string, params map[string]string) (regress.Learner, error) {
	s.params = append(s.params, params)
	return s, nil
}

func (s *spy) Fit(ctx context.Context, train regress.Source, _ *regress.Valid) (regress.Model, error) {
	s.fits++
	s.columns = train.Columns()
	for range 2 { // both passes must be the same
		n := 0
		for b, err := range train.Blocks(ctx) {
			if err != nil {
				return nil, err
			}
			n += b.X.Rows
			if s.fits == 1 && len(s.y) < train.Rows() {
				s.x = append(s.x, panel.Frame{Names: b.X.Names, Rows: b.X.Rows, Data: append([]float32(nil), b.X.Data...)})
				s.y, s.w = append(s.y, b.Y...), append(s.w, b.Weight...)
			}
		}
		if n != train.Rows() {
			return nil, errors.New("a pass has other rows")
		}
	}
	return one{}, nil
}

// one predicts 1: the forecast is the row's scale.
type one struct{}

func (one) Predict(_ context.Context, _ *panel.Frame, dst []float32) error {
	for i := range dst {
		dst[i] = 1
	}
	return nil
}
func (one) Format() string                 { return "one" }
func (one) Save(io.Writer) error           { return nil }
func (one) Importance() ([]float64, error) { return nil, nil }
func (one) Close() error                   { return nil }

func fit(t *testing.T, s *spy, spec global.Spec, p *panel.Panel, rows int) forecast.Model {
	t.Helper()
	o, _ := p.End()
	m, err := global.Forecaster{Spec: spec, Horizon: horizon, Rows: rows, Seed: 3, Learners: s.Learner}.Fit(t.Context(), p, o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Every target is a sale that was observed at or before the origin, over the scale of the row's own origin; horizons are spread evenly.
func TestTrainingRows(t *testing.T) {
	t.Parallel()
	p := forecasttest.Panel(forecasttest.Daily())
	lo, _ := p.Span(1)
	for r := lo + 100; r < lo+200; r++ {
		p.Observed[r], p.Target[r] = false, 1e9
	}
	var s spy
	fit(t, &s, specs()["lightgbm"], p, 100_000)
	if len(s.y) < 3*4*600-1000 {
		t.Errorf("%d rows: each sale is to be used three times where there are few", len(s.y))
	}
	h := -1
	for c, col := range s.columns {
		if col.Name == "h" || col.Name == "horizon" {
			h = c
		}
	}
	if h < 0 {
		t.Fatal("no column holds the horizon")
	}
	count := make([]int, horizon+1)
	for i := range s.x {
		for _, v := range s.x[i].Column(h) {
			count[int(v)]++
		}
	}
	for k := 1; k <= horizon; k++ {
		if share := float64(count[k]) / float64(len(s.y)); math.Abs(share-1.0/horizon) > 0.02 {
			t.Errorf("horizon %d has a share of %.3f of the rows", k, share)
		}
	}
	for i, y := range s.y {
		if !(y >= 0 && y <= 20) {
			t.Fatalf("target %d is %v", i, y)
		}
		if !(s.w[i] > 0 && s.w[i] <= 20) {
			t.Fatalf("weight %d is %v", i, s.w[i])
		}
	}
}

// A budget smaller than the history keeps recent sales and drops old ones.
func TestBudgetPrefersRecentSales(t *testing.T) {
	t.Parallel()
	p := forecasttest.Panel(forecasttest.Shape{Frequency: calendar.Frequency{Unit: calendar.Daily}, Stores: 2, Items: 2, Steps: 2000, Plan: 0, Seed: 7})
	var s spy
	fit(t, &s, specs()["lightgbm recursive"], p, 1000)
	if len(s.y) != 1000 {
		t.Fatalf("%d rows, want the budget of 1000", len(s.y))
	}
	age := -1
	for c, col := range s.columns {
		if col.Name == "age" {
			age = c
		}
	}
	if age < 0 {
		t.Fatal("no column holds the age")
	}
	young := 0
	for i := range s.x {
		for _, v := range s.x[i].Column(age) {
			if v < 364 {
				young++
			}
		}
	}
	// The first 364 of 2000 days are 18 % of the history, and about 6 % after the decay.
	if share := float64(young) / 1000; share > 0.10 {
		t.Errorf("%.3f of the rows lie in the first year", share)
	}
}

func TestSeedsAndSizes(t *testing.T) {
	t.Parallel()
	var s spy
	fit(t, &s, specs()["xgboost"], forecasttest.Panel(forecasttest.Daily()), 1000)
	if s.fits != 3 || s.params[0]["seed"] == s.params[1]["seed"] {
		t.Errorf("a small panel was fitted %d times with seeds %s, %s; want 3 different ones", s.fits, s.params[0]["seed"], s.params[1]["seed"])
	}
	if s.params[0]["max_leaves"] != "15" {
		t.Errorf("a small panel has trees of %s leaves", s.params[0]["max_leaves"])
	}
	over := specs()["xgboost"]
	over.Params = map[string]string{"eta": "0.3"}
	var o spy
	fit(t, &o, over, forecasttest.Panel(forecasttest.Daily()), 1000)
	if o.params[0]["eta"] != "0.3" {
		t.Errorf("an override was lost: eta = %s", o.params[0]["eta"])
	}
}

// A learner that answers 1 makes the forecast the scale itself: near the recent mean of each series.
func TestForecastIsInUnitsOfSales(t *testing.T) {
	t.Parallel()
	p := forecasttest.Panel(forecasttest.Daily())
	o, _ := p.End()
	for name, spec := range specs() {
		var s spy
		m := fit(t, &s, spec, p, 1000)
		f, err := m.Forecast(t.Context(), forecast.Request{Panel: p, Origin: o, Horizon: 7})
		if err != nil {
			t.Fatal(err)
		}
		for i := range p.Series() {
			want, days := 1.0, calendar.Step(56)
			if spec.Target == global.Log { // its scale is the mean of the whole history
				want, days = math.E-0.02, o-p.Start[i]+1
			}
			var sum float64
			for k := range days {
				r, _ := p.Row(i, o-k)
				sum += float64(p.Target[r]) / float64(days)
			}
			if got := f.Point[f.At(i, 1)] / sum; got < 0.7*want || got > 1.4*want {
				t.Errorf("%s: series %d is forecast %.2f times its mean of %d days, want about %.2f", name, i, got, days, want)
			}
		}
		if _, err := m.Forecast(t.Context(), forecast.Request{Panel: p, Origin: o, Horizon: horizon + 1}); err == nil {
			t.Errorf("%s: a longer horizon than it was fitted for was answered", name)
		}
	}
}

func TestTooShort(t *testing.T) {
	t.Parallel()
	p := forecasttest.Panel(forecasttest.Shape{Frequency: calendar.Frequency{Unit: calendar.Daily}, Stores: 1, Items: 1, Steps: 20, Seed: 7})
	o, _ := p.End()
	var s spy
	_, err := global.Forecaster{Spec: specs()["lightgbm"], Horizon: 7, Rows: 100, Learners: s.Learner}.Fit(t.Context(), p, o)
	if !errors.Is(err, global.ErrTooShort) {
		t.Errorf("three weeks of one series: %v", err)
	}
}

// A model put together from its parts forecasts the same.
func TestRestore(t *testing.T) {
	t.Parallel()
	p := forecasttest.Panel(forecasttest.Daily())
	o, _ := p.End()
	var s spy
	m := fit(t, &s, specs()["lightgbm"], p, 1000).(*global.Model)
	b, err := m.Plan().MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	plan, err := feature.ParsePlan(b)
	if err != nil {
		t.Fatal(err)
	}
	n, err := global.Restore(m.Spec(), plan, m.Engines())
	if err != nil {
		t.Fatal(err)
	}
	r := forecast.Request{Panel: p, Origin: o, Horizon: 5}
	a, err := m.Forecast(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	c, err := n.Forecast(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	for i := range a.Point {
		if a.Point[i] != c.Point[i] {
			t.Fatalf("point %d is %v, restored %v", i, a.Point[i], c.Point[i])
		}
	}
	if _, err := global.Restore(m.Spec(), plan, nil); err == nil {
		t.Error("a model without an engine was restored")
	}
}
