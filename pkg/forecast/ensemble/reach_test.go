package ensemble_test

import (
	"context"
	"math"
	"slices"
	"testing"

	"salescast/pkg/backtest"
	"salescast/pkg/calendar"
	"salescast/pkg/forecast"
	"salescast/pkg/forecast/ensemble"
	"salescast/pkg/forecast/forecasttest"
	"salescast/pkg/panel"
	"salescast/pkg/regress"
	"salescast/pkg/regress/golearn"
)

// A combination reads the plan itself: for steps that are closed, and for the sizes of errors. What lies beyond the reach changes no bit of
// it, and what lies within does.
func TestBeyondReachChangesNothing(t *testing.T) {
	t.Parallel()
	const reach = 5
	p := forecasttest.Panel(forecasttest.Daily())
	p.Covariates[0].Name = "closed"
	for r := range p.Target {
		if p.Covariates[0].Values[r] == 1 && p.Observed[r] {
			p.Target[r] = 0
		}
	}
	end, _ := p.End()
	known := forecasttest.Clone(p)
	for s := range p.Series() {
		for h := reach + 1; h <= horizon; h++ {
			row, _ := p.Row(s, end+calendar.Step(h))
			known.Covariates[0].Values[row] = float32(math.NaN())
		}
	}
	r := forecast.ReachOf(known, end, horizon)
	s := schedule(t, p)
	o := s.Test[len(s.Test)-1]
	points := noisy(p, map[string]float64{"a": .3, "bb": .31})
	predict := func(q *panel.Panel) *backtest.Predictions {
		set := ensemble.Settings{
			Candidates: []ensemble.Candidate{{Name: "a"}, {Name: "bb"}}, Levels: levels, NonNegative: true,
			Sizes: func(int) (regress.Learner, error) { return golearn.NewLearner(nil) },
			Known: func(origin calendar.Step) *forecast.Plan { return r.At(q, origin) },
		}
		rows, _, err := ensemble.BacktestPlanned(context.Background(), q, s, points, nil, "ensemble", []calendar.Step{o}, set)
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	want := predict(p)
	for _, c := range []struct {
		name     string
		from, to int
		changes  bool
	}{{"beyond the reach", reach + 1, horizon, false}, {"within it", 1, reach, true}} {
		q := forecasttest.Clone(p)
		for s := range q.Series() {
			for h := c.from; h <= c.to; h++ {
				row, _ := q.Row(s, o+calendar.Step(h))
				q.Covariates[0].Values[row] = 1 - q.Covariates[0].Values[row]
			}
		}
		got := predict(q)
		if same := slices.Equal(want.Forecast, got.Forecast) && slices.Equal(want.Quantiles, got.Quantiles); same == c.changes {
			t.Errorf("another plan %s: the same forecast %v", c.name, same)
		}
	}
}
