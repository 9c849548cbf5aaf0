package ensemble_test

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"salescast/pkg/backtest"
	"salescast/pkg/calendar"
	"salescast/pkg/forecast"
	"salescast/pkg/forecast/ensemble"
	"salescast/pkg/forecast/forecasttest"
	"salescast/pkg/forecast/seasonal"
	"salescast/pkg/panel"
)

const horizon = 14

var levels = []float64{0.025, 0.25, 0.5, 0.75, 0.975}

// noisy answers what was then sold with a relative error of its own: a member whose quality is known.
func noisy(p *panel.Panel, size map[string]float64) ensemble.Points {
	return func(member string, o calendar.Step) []float64 {
		r := rand.New(rand.NewPCG(uint64(o), uint64(len(member))))
		out := make([]float64, p.Series()*horizon)
		for s := range p.Series() {
			for h := 1; h <= horizon; h++ {
				out[s*horizon+h-1] = math.NaN()
				if row, ok := p.Row(s, o+calendar.Step(h)); ok && p.Observed[row] {
					out[s*horizon+h-1] = max(0, float64(p.Target[row])*(1+size[member]*r.NormFloat64()))
				} else {
					out[s*horizon+h-1] = 10
				}
			}
		}
		return out
	}
}

func schedule(t *testing.T, p *panel.Panel) backtest.Schedule {
	t.Helper()
	s, err := backtest.Origins(p, horizon, 3)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func weights(f *ensemble.Fitted) (out []float64, sum float64) {
	for _, w := range f.Weights {
		out = append(out, w.Weight)
		sum += w.Weight
	}
	return out, sum
}

func TestWeightsFollowErrors(t *testing.T) {
	t.Parallel()
	p := forecasttest.Panel(forecasttest.Daily())
	s := schedule(t, p)
	for _, c := range []struct {
		name       string
		size       map[string]float64
		candidates []ensemble.Candidate
		check      func(w []float64) bool
	}{
		{"equal members share equally", map[string]float64{"a": .2, "b": .2}, []ensemble.Candidate{{Name: "a"}, {Name: "b"}}, func(w []float64) bool { return w[0] == w[1] }},
		{"a member 5 % worse has less and stays", map[string]float64{"a": .2, "b": .21}, []ensemble.Candidate{{Name: "a"}, {Name: "b"}}, func(w []float64) bool { return w[0] > w[1] && w[1] > 0.1 }},
		{"a member that hurts has none", map[string]float64{"a": .2, "b": .4}, []ensemble.Candidate{{Name: "a"}, {Name: "b"}}, func(w []float64) bool { return w[0] == 1 && w[1] == 0 }},
		{"a member 8 % worse stays", map[string]float64{"a": .2, "b": .216}, []ensemble.Candidate{{Name: "a"}, {Name: "b"}}, func(w []float64) bool { return w[1] > 0.1 && w[1] < 0.2 }},
		{"one that knows nothing of the plan has a tenth of that", map[string]float64{"a": .2, "b": .216}, []ensemble.Candidate{{Name: "a"}, {Name: "b", Statistical: true}}, func(w []float64) bool { return w[1] > 0.01 && w[1] < 0.02 }},
		{"a much better statistical member drives the trees out", map[string]float64{"a": .4, "b": .2}, []ensemble.Candidate{{Name: "a"}, {Name: "b", Statistical: true}}, func(w []float64) bool { return w[1] == 1 }},
		{"statistical members alone", map[string]float64{"b": .2}, []ensemble.Candidate{{Name: "b", Statistical: true}}, func(w []float64) bool { return w[0] == 1 }},
	} {
		f, err := ensemble.Fit(t.Context(), p, s, noisy(p, c.size), s.End, ensemble.Settings{Candidates: c.candidates, Levels: levels})
		if err != nil {
			t.Fatal(err)
		}
		w, sum := weights(f)
		if !c.check(w) || math.Abs(sum-1) > 1e-12 || slices.Min(w) < 0 {
			t.Errorf("%s: weights %v, losses %+v", c.name, w, f.Weights)
		}
	}
}

// What is learned at an origin does not change when everything after it does.
func TestNothingIsLearnedFromTheFuture(t *testing.T) {
	t.Parallel()
	p := forecasttest.Panel(forecasttest.Daily())
	s := schedule(t, p)
	set := ensemble.Settings{Candidates: []ensemble.Candidate{{Name: "a"}, {Name: "bb"}}, Levels: levels, NonNegative: true}
	points := noisy(p, map[string]float64{"a": .3, "bb": .31})
	o := s.Test[0]
	g := forecasttest.Garbage(p, o, horizon)
	want, err := ensemble.Fit(t.Context(), p, s, points, o, set)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ensemble.Fit(t.Context(), g, s, points, o, set)
	if err != nil {
		t.Fatal(err)
	}
	a, err := want.Predict(t.Context(), p, points, horizon, set)
	if err != nil {
		t.Fatal(err)
	}
	b, err := got.Predict(t.Context(), g, points, horizon, set)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(a.Point, b.Point) || !slices.Equal(a.Quantiles, b.Quantiles) {
		t.Error("garbage after the origin changed the combination")
	}
}

func TestBacktestCovers(t *testing.T) {
	t.Parallel()
	p := forecasttest.Panel(forecasttest.Daily())
	s := schedule(t, p)
	set := ensemble.Settings{Candidates: []ensemble.Candidate{{Name: "a"}, {Name: "bb"}}, Levels: levels, NonNegative: true}
	rows, _, err := ensemble.BacktestPlanned(t.Context(), p, s, noisy(p, map[string]float64{"a": .3, "bb": .31}), nil, "ensemble", s.Test, set)
	if err != nil {
		t.Fatal(err)
	}
	if rows.Rows() != 3*horizon*p.Series() {
		t.Fatalf("%d rows, want %d", rows.Rows(), 3*horizon*p.Series())
	}
	in := 0
	for i := range rows.Rows() {
		q := rows.Quantiles[i*5 : i*5+5]
		if !slices.IsSorted(q) || q[0] < 0 {
			t.Fatalf("row %d has quantiles %v", i, q)
		}
		if rows.Actual[i] >= q[0] && rows.Actual[i] <= q[4] {
			in++
		}
	}
	if c := float64(in) / float64(rows.Rows()); c < 0.9 {
		t.Errorf("95 %% intervals cover %.3f", c)
	}
}

// A flag under which nothing was ever sold closes the steps it marks, and its zeros do not narrow the other intervals.
func TestClosedDays(t *testing.T) {
	t.Parallel()
	shape := forecasttest.Daily()
	p := forecasttest.Panel(shape)
	p.Covariates[0].Name = "closed"
	for r := range p.Target {
		if p.Covariates[0].Values[r] == 1 && p.Observed[r] {
			p.Target[r] = 0
		}
	}
	m := ensemble.New([]ensemble.Member{member(t, p, "smoothing", seasonal.Smoothing{NonNegative: true}, 1)}, nil, nil, true)
	o, _ := p.End()
	f, err := m.Forecast(t.Context(), forecast.Request{Panel: p, Origin: o, Horizon: horizon, Levels: levels})
	if err != nil {
		t.Fatal(err)
	}
	for s := range p.Series() {
		for h := 1; h <= horizon; h++ {
			row, _ := p.Row(s, o+calendar.Step(h))
			i := f.At(s, h)
			closed := p.Covariates[0].Values[row] == 1
			if closed != (f.Point[i] == 0) || closed && f.QuantilesAt(i)[4] != 0 {
				t.Fatalf("series %d step %d: closed %v, forecast %v %v", s, h, closed, f.Point[i], f.QuantilesAt(i))
			}
		}
	}
}

// A baseline gets no help: at closed steps it says what it said.
func TestPlainIsLeftAlone(t *testing.T) {
	t.Parallel()
	p := forecasttest.Panel(forecasttest.Daily())
	p.Covariates[0].Name = "closed"
	for r := range p.Target {
		if p.Covariates[0].Values[r] == 1 && p.Observed[r] {
			p.Target[r] = 0
		}
	}
	s := schedule(t, p)
	ten := func(string, calendar.Step) []float64 {
		out := make([]float64, p.Series()*horizon)
		for i := range out {
			out[i] = 10
		}
		return out
	}
	set := ensemble.Settings{Candidates: []ensemble.Candidate{{Name: "a"}}, Levels: levels, NonNegative: true}
	for _, plain := range []bool{false, true} {
		set.Plain = plain
		rows, _, err := ensemble.BacktestPlanned(t.Context(), p, s, ten, nil, "a", s.Test, set)
		if err != nil {
			t.Fatal(err)
		}
		if helped := slices.Contains(rows.Forecast, 0); helped == plain {
			t.Errorf("plain %v, and a forecast of 10 was set to 0: %v", plain, helped)
		}
	}
}

func member(t *testing.T, p *panel.Panel, name string, f forecast.Forecaster, weight float64) ensemble.Member {
	t.Helper()
	o, _ := p.End()
	m, err := f.Fit(t.Context(), p, o)
	if err != nil {
		t.Fatal(err)
	}
	return ensemble.Member{Weight: ensemble.Weight{Member: name, Weight: weight}, Model: m}
}

// A model forecasts what its backtest did at the same origin, whatever the order of the series, and asks members without weight nothing.
func TestModelEqualsBacktest(t *testing.T) {
	t.Parallel()
	p := forecasttest.Panel(forecasttest.Daily())
	s := schedule(t, p)
	forecasters := map[string]forecast.Forecaster{"naive": seasonal.Naive{NonNegative: true}, "smoothing": seasonal.Smoothing{NonNegative: true}}
	points := func(name string, o calendar.Step) []float64 {
		m, err := forecasters[name].Fit(t.Context(), p, o)
		if err != nil {
			t.Fatal(err)
		}
		f, err := m.Forecast(t.Context(), forecast.Request{Panel: p, Origin: o, Horizon: horizon})
		if err != nil {
			t.Fatal(err)
		}
		return f.Point
	}
	set := ensemble.Settings{Candidates: []ensemble.Candidate{{Name: "naive", Statistical: true}, {Name: "smoothing", Statistical: true}}, Levels: levels, NonNegative: true}
	f, err := ensemble.Fit(t.Context(), p, s, points, s.End, set)
	if err != nil {
		t.Fatal(err)
	}
	want, err := f.Predict(t.Context(), p, points, horizon, set)
	if err != nil {
		t.Fatal(err)
	}
	if f.Weights[0].Weight != 0 {
		t.Fatalf("on noise around a constant level the naive forecast kept weight: %+v", f.Weights)
	}
	var ids [][]string
	for i := range p.Series() {
		ids = append(ids, p.ID(i))
	}
	m := ensemble.New([]ensemble.Member{
		{Weight: f.Weights[0], Model: broken{}},
		{Weight: f.Weights[1], Model: member(t, p, "smoothing", seasonal.Smoothing{NonNegative: true}, 1).Model},
	}, f.Calibration, ids, true)
	q := forecasttest.Reverse(p)
	got, err := m.Forecast(t.Context(), forecast.Request{Panel: q, Origin: s.End, Horizon: horizon, Levels: []float64{0.025, 0.975}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range p.Series() {
		for h := 1; h <= horizon; h++ {
			a, b := want.At(i, h), got.At(p.Series()-1-i, h)
			if math.Abs(want.Point[a]-got.Point[b]) > 1e-9 || math.Abs(want.QuantilesAt(a)[4]-got.QuantilesAt(b)[1]) > 1e-9 {
				t.Fatalf("series %d step %d: %v %v, the backtest has %v %v", i, h, got.Point[b], got.QuantilesAt(b), want.Point[a], want.QuantilesAt(a))
			}
		}
	}
	if _, err := m.Forecast(t.Context(), forecast.Request{Panel: q, Origin: s.End, Horizon: horizon, Levels: []float64{0.33}}); err == nil {
		t.Error("a level that was not calibrated was answered")
	}
	if m.Close() == nil {
		t.Error("the error of a member's Close was lost")
	}
}

type broken struct{}

func (broken) Forecast(context.Context, forecast.Request) (*forecast.Prediction, error) {
	panic("a member without weight was asked")
}
func (broken) Close() error { return context.Canceled }

func TestConformance(t *testing.T) {
	t.Parallel()
	forecasttest.Run(t, forecasttest.Traits{Quantiles: true}, func(*testing.T) forecast.Forecaster { return smoothings{} })
}

// smoothings is an uncalibrated pair.
type smoothings struct{}

func (smoothings) Fit(ctx context.Context, p *panel.Panel, o calendar.Step) (forecast.Model, error) {
	var members []ensemble.Member
	for _, yearly := range []bool{false, true} {
		m, err := seasonal.Complete(seasonal.Smoothing{Yearly: yearly, NonNegative: true}, true).Fit(ctx, p, o)
		if err != nil {
			return nil, err
		}
		members = append(members, ensemble.Member{Weight: ensemble.Weight{Weight: 0.5}, Model: m})
	}
	return ensemble.New(members, nil, nil, true), nil
}
