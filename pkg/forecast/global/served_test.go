package global_test

import (
	"math"
	"testing"

	"salescast/pkg/calendar"
	"salescast/pkg/feature"
	"salescast/pkg/forecast"
	"salescast/pkg/forecast/forecasttest"
	"salescast/pkg/forecast/global"
	"salescast/pkg/panel"
	"salescast/pkg/regress/engines"
	"salescast/pkg/regress/regresstest"
)

// A series by itself is forecast as in the panel that it is part of, to the bit, and what groups of features bring adds up. Models that
// share features are here asked one after another about the same series.
func TestServedIsTheModel(t *testing.T) {
	e := engines.New(engines.Config{EngineDir: regresstest.EngineDir(t), CacheDir: t.TempDir(), Threads: 1})
	t.Cleanup(e.Close)
	p := forecasttest.Panel(forecasttest.Daily())
	end, _ := p.End()
	var others []*global.Served
	alone, known := make([]*panel.Panel, p.Series()), make([]global.States, p.Series())
	for s := range alone {
		alone[s] = p.Slice(s, s+1)
	}
	for name, spec := range specs() {
		t.Run(name, func(t *testing.T) {
			spec.Params = map[string]string{"rounds": "20"}
			fitted, err := global.Forecaster{Spec: spec, Horizon: horizon, Rows: 3000, Seed: 1, Learners: e.Learner}.Fit(t.Context(), p, end)
			if err != nil {
				t.Fatal(err)
			}
			defer fitted.Close()
			m := fitted.(*global.Model)
			served, err := m.Serve(t.Context(), p, end, others...)
			if err != nil {
				t.Fatal(err)
			}
			others = append(others, served)
			origins := []calendar.Step{end}
			if spec.Strategy == global.Direct { // recursion from an earlier origin does not know what the others will sell
				origins = append(origins, end-20)
			}
			for _, origin := range origins {
				want, err := m.Forecast(t.Context(), forecast.Request{Panel: p, Origin: origin, Horizon: horizon})
				if err != nil {
					t.Fatal(err)
				}
				for s := range p.Series() {
					var why global.Explanation
					got, err := served.Forecast(t.Context(), forecast.Request{Panel: alone[s], Origin: origin, Horizon: horizon}, &known[s], &why)
					if err != nil {
						t.Fatal(err)
					}
					for h := 1; h <= horizon; h++ {
						y := got.Point[h-1]
						if y != want.Point[want.At(s, h)] {
							t.Fatalf("series %d, origin %d, step %d: %v by itself, %v among all", s, origin, h, y, want.Point[want.At(s, h)])
						}
						sum := why.Base[h-1]
						for _, v := range why.Parts[(h-1)*len(why.Groups) : h*len(why.Groups)] {
							sum += v
						}
						if math.Abs(sum-y) > 1e-3*(1+y) { // contributions are float32 sums over a hundred trees
							t.Errorf("series %d, step %d: the parts add up to %v, the forecast is %v", s, h, sum, y)
						}
					}
				}
			}
		})
	}
}

// At an origin after the end of what is known of the others, their totals are those of that end; steps that nobody reported are not zeros.
func TestSealedTotals(t *testing.T) {
	t.Parallel()
	p := forecasttest.Panel(forecasttest.Daily())
	last, _ := p.End()
	end := last - 10 // the known panel ends ten days before the request's
	plan, err := feature.NewPlan(feature.Spec{}, feature.Describe(p, last, horizon, ""))
	if err != nil {
		t.Fatal(err)
	}
	known := cut(p, end)
	st, err := plan.NewState(known, nil)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := plan.Seal(known, end, nil)
	if err != nil {
		t.Fatal(err)
	}
	one, err := plan.NewState(p.Slice(1, 2), pool)
	if err != nil {
		t.Fatal(err)
	}
	var then, now panel.Frame
	if err := st.Fill([]feature.Row{{Series: 1, Origin: end, Target: end + 1}}, feature.Unscaled, &then, nil); err != nil {
		t.Fatal(err)
	}
	if err := one.Fill([]feature.Row{{Series: 0, Origin: last, Target: last + 1}}, feature.Unscaled, &now, nil); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for i, c := range plan.Columns() {
		if c.Group != "trend" || c.Name == "age" {
			continue
		}
		seen++
		if then.Data[i] != now.Data[i] || now.Data[i] != now.Data[i] {
			t.Errorf("%s is %v, at the end of what is known it was %v", c.Name, now.Data[i], then.Data[i])
		}
	}
	if seen < 2 {
		t.Errorf("%d columns of trends were looked at", seen)
	}
}

// cut is p without its sales after a step.
func cut(p *panel.Panel, end calendar.Step) *panel.Panel {
	q := *p
	q.Observed = append([]bool(nil), p.Observed...)
	for s := range p.Series() {
		lo, hi := p.Span(s)
		for r := lo; r < hi; r++ {
			if p.Start[s]+calendar.Step(r-lo) > end {
				q.Observed[r] = false
			}
		}
	}
	return &q
}
