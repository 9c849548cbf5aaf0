package backtest_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"salescast/pkg/backtest"
	"salescast/pkg/calendar"
	"salescast/pkg/forecast"
	"salescast/pkg/forecast/forecasttest"
	"salescast/pkg/panel"
)

var daily = calendar.Frequency{Unit: calendar.Daily}

func shape(steps int) *panel.Panel {
	return forecasttest.Panel(forecasttest.Shape{Frequency: daily, Stores: 2, Items: 5, Steps: steps, Plan: 5})
}

func TestOriginsAreTheLastBlocks(t *testing.T) {
	t.Parallel()
	p := shape(400)
	end, _ := p.End()
	s, err := backtest.Origins(p, 28, 3)
	if err != nil {
		t.Fatal(err)
	}
	if want := []calendar.Step{end - 84, end - 56, end - 28}; !slices.Equal(s.Test, want) {
		t.Errorf("test origins %v, want %v", s.Test, want)
	}
	if want := []calendar.Step{end - 168, end - 140, end - 112}; !slices.Equal(s.Validation, want) {
		t.Errorf("validation origins %v, want %v", s.Validation, want)
	}
	if s.End != end {
		t.Errorf("end %d, want %d", s.End, end)
	}
	// Nothing that is learned from overlaps what comes after.
	for _, o := range append(s.Test, s.End) {
		known := s.Before(o, 3)
		if len(known) != 3 {
			t.Fatalf("at %d only %v are known", o, known)
		}
		for _, x := range known {
			if _, last := (backtest.Split{Cutoff: x, Horizon: 28}).Window(); last > o {
				t.Errorf("the block of %d ends at %d, after the origin %d", x, last, o)
			}
		}
	}
}

func TestShortHistoryHasFewerOrigins(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ steps, validation, test int }{{400, 3, 3}, {196, 1, 3}, {140, 0, 2}, {90, 0, 1}, {60, 0, 0}, {3, 0, 0}} {
		s, err := backtest.Origins(shape(c.steps), 28, 3)
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Validation) != c.validation || len(s.Test) != c.test {
			t.Errorf("%d steps: %d validation and %d test origins, want %d and %d", c.steps, len(s.Validation), len(s.Test), c.validation, c.test)
		}
	}
	// One new series does not decide over all.
	p := forecasttest.Late(shape(400), 0, 380)
	if s, err := backtest.Origins(p, 28, 3); err != nil || len(s.Validation) != 3 {
		t.Errorf("a new series among ten: %v, %v", s, err)
	}
}

func TestShares(t *testing.T) {
	t.Parallel()
	s, err := backtest.Shares(shape(1000), 28, [3]float64{0.7, 0.15, 0.15})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Test) != 5 || len(s.Validation) != 3 { // 150 steps hold five blocks of 28
		t.Errorf("%d test and %d validation origins, want 5 and 3", len(s.Test), len(s.Validation))
	}
	for _, bad := range [][3]float64{{0.7, 0.2, 0.2}, {1, 0, 0}} {
		if _, err := backtest.Shares(shape(100), 28, bad); err == nil {
			t.Errorf("shares %v were accepted", bad)
		}
	}
}

// constant forecasts the number of the step at which it was fitted.
type constant struct{ closed *int }

func (c constant) Fit(_ context.Context, _ *panel.Panel, o calendar.Step) (forecast.Model, error) {
	return constantModel{o, c.closed}, nil
}

type constantModel struct {
	origin calendar.Step
	closed *int
}

func (m constantModel) Close() error { *m.closed++; return errors.New("closing") }

func (m constantModel) Forecast(_ context.Context, r forecast.Request) (*forecast.Prediction, error) {
	out := forecast.NewPrediction(r.Origin, r.Panel.Series(), r.Horizon, r.Levels)
	for i := range out.Point {
		out.Point[i] = float64(m.origin)
	}
	return out, nil
}

func TestRunFitsAnewAndCloses(t *testing.T) {
	t.Parallel()
	closed := 0
	p := shape(200)
	_, err := backtest.Run(t.Context(), p, "m", []backtest.Split{{Cutoff: p.Start[0] + 100, Horizon: 7}}, func(backtest.Split) forecast.Forecaster { return constant{&closed} }, nil)
	if err == nil || closed != 1 {
		t.Fatalf("closed %d times, error %v; the error of Close must be answered", closed, err)
	}
}

func TestCollectAndMerge(t *testing.T) {
	t.Parallel()
	p := shape(50)
	end, _ := p.End()
	at := func(o calendar.Step, y float64) *forecast.Prediction {
		f := forecast.NewPrediction(o, p.Series(), 7, []float64{0.1, 0.9})
		for i := range f.Point {
			f.Point[i], f.Quantiles[2*i], f.Quantiles[2*i+1] = y, y-1, y+1
		}
		return f
	}
	late := at(end-3, 2)
	late.Point[0] = math.NaN()
	a := backtest.Collect(p, "a", []*forecast.Prediction{late, at(end-20, 1)})
	if want := 2*7*p.Series() - 1; a.Rows() != want {
		t.Fatalf("%d rows, want %d: no row where there is no forecast", a.Rows(), want)
	}
	for i := range a.Rows() {
		day, _ := daily.Step(a.Date[i])
		r, _ := p.Row(int(a.Series[i]), day)
		if p.Observed[r] && a.Actual[i] != float64(p.Target[r]) || !p.Observed[r] && !math.IsNaN(a.Actual[i]) {
			t.Fatalf("row %d has actual %v, the panel %v (observed %v)", i, a.Actual[i], p.Target[r], p.Observed[r])
		}
		if day != calendar.Step(a.Cutoff[i])+calendar.Step(a.Horizon[i]) {
			t.Fatalf("row %d: %s is not %d steps after %s", i, a.Date[i], a.Horizon[i], a.Cutoff[i])
		}
	}
	m, err := backtest.Merge(backtest.Collect(p, "b", []*forecast.Prediction{at(end-3, 5)}), a)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(m.Models, []string{"b", "a"}) || m.Forecast[0] != 5 || m.Quantiles[1] != 6 {
		t.Errorf("merged %v, first row %v %v", m.Models, m.Forecast[0], m.Quantiles[:2])
	}
	got := m.Points("a", daily, end-3, p.Series(), 7)
	if !math.IsNaN(got[0]) || got[1] != 2 {
		t.Errorf("points of a at %d begin %v", end-3, got[:2])
	}
	if _, err := backtest.Merge(a, a); err == nil {
		t.Error("two forecasts for one date were merged")
	}
	only := m.Filter(func(i int) bool { return m.Cutoff[i] == daily.Day(end-20) })
	if only.Rows() != 7*p.Series() || only.Forecast[0] != 1 {
		t.Errorf("filtered %d rows, the first forecast %v", only.Rows(), only.Forecast[0])
	}
}
