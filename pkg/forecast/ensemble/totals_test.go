package ensemble_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"salescast/pkg/backtest"
	"salescast/pkg/calendar"
	"salescast/pkg/forecast/ensemble"
	"salescast/pkg/forecast/forecasttest"
	"salescast/pkg/panel"
)

// erring answers what was then sold with relative errors: some of each series' own, some that all series share on a day, and some that
// they share from an origin on.
func erring(p *panel.Panel, own, shared, lasting float64, seed uint64) ensemble.Points {
	return func(_ string, o calendar.Step) []float64 {
		out := make([]float64, p.Series()*horizon)
		level := lasting * rand.New(rand.NewPCG(seed+1000, uint64(o))).NormFloat64()
		for h := 1; h <= horizon; h++ {
			at := o + calendar.Step(h)
			together := shared * rand.New(rand.NewPCG(seed, uint64(at))).NormFloat64()
			for s := range p.Series() {
				y := 10.0
				if row, ok := p.Row(s, at); ok && p.Observed[row] {
					y = float64(p.Target[row])
				}
				r := rand.New(rand.NewPCG(seed^uint64(at)<<20, uint64(p.Keys[0].Codes[s])<<8|uint64(p.Keys[1].Codes[s])))
				out[s*horizon+h-1] = max(0, y*(1+level+together+own*r.NormFloat64()))
			}
		}
		return out
	}
}

// totalsAt are the sums forecast from an origin, with what was learned there.
func totalsAt(t *testing.T, p *panel.Panel, points ensemble.Points, s backtest.Schedule, o calendar.Step) *backtest.Predictions {
	t.Helper()
	set := ensemble.Settings{Candidates: []ensemble.Candidate{{Name: "a"}}, Levels: levels, NonNegative: true, Totals: true}
	f, err := ensemble.Fit(t.Context(), p, s, points, o, set)
	if err != nil {
		t.Fatal(err)
	}
	pr, err := f.Predict(t.Context(), p, points, horizon, set)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := ensemble.Sum(p, pr, f.Totals, nil)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// id names a row by its level, value and step.
func id(rows *backtest.Predictions, i int) string {
	level, value := rows.Keys[0], rows.Keys[1]
	s := rows.Series[i]
	return rows.Date[i].String() + " " + level.Levels[level.Codes[s]] + " " + value.Levels[value.Codes[s]]
}

func wide() *panel.Panel {
	shape := forecasttest.Daily()
	shape.Stores, shape.Items = 6, 4
	return forecasttest.Panel(shape)
}

func TestTotalsCover(t *testing.T) {
	t.Parallel()
	p := wide()
	s := schedule(t, p)
	for _, c := range []struct {
		name                 string
		own, shared, lasting float64
	}{{"independent", 0.3, 0, 0}, {"correlated", 0.1, 0.2, 0}, {"correlated and lasting", 0.1, 0.1, 0.05}} {
		rows, in := map[string]float64{}, map[string]float64{}
		for seed := range uint64(12) {
			points := erring(p, c.own, c.shared, c.lasting, seed)
			for _, o := range s.Test {
				got := totalsAt(t, p, points, s, o)
				for i := range got.Rows() {
					q := got.Quantiles[i*len(levels) : (i+1)*len(levels)]
					if !slices.IsSorted(q) || q[0] < 0 || slices.ContainsFunc(q, math.IsNaN) {
						t.Fatalf("%s: %s has quantiles %v", c.name, id(got, i), q)
					}
					k := got.Keys[0]
					level := k.Levels[k.Codes[got.Series[i]]]
					rows[level]++
					if q[0] <= got.Actual[i] && got.Actual[i] <= q[len(q)-1] {
						in[level]++
					}
				}
			}
		}
		for _, level := range []string{ensemble.All, p.Keys[0].Name, p.Keys[1].Name} {
			share := in[level] / rows[level]
			t.Logf("%s errors, %s: %.3f of %v", c.name, level, share, rows[level])
			if !(share >= 0.80 && share <= 0.99) {
				t.Errorf("%s errors: 95 %% intervals of the totals by %s hold %.3f of %v", c.name, level, share, rows[level])
			}
		}
	}
}

// The points of totals are sums over series, and no total depends on the order of the series.
func TestTotalsAreSums(t *testing.T) {
	t.Parallel()
	p := wide()
	s := schedule(t, p)
	points := erring(p, 0.2, 0.1, 0, 1)
	o := s.Test[0]
	got := totalsAt(t, p, points, s, o)
	want := map[string]float64{}
	made := points("a", o)
	for i := range p.Series() {
		for h := 1; h <= horizon; h++ {
			date := p.Frequency.Day(o + calendar.Step(h)).String()
			y := made[i*horizon+h-1]
			want[date+" all all"] += y
			for _, k := range p.Keys {
				want[date+" "+k.Name+" "+k.Levels[k.Codes[i]]] += y
			}
		}
	}
	if got.Rows() != len(want) {
		t.Errorf("%d totals, want %d", got.Rows(), len(want))
	}
	reversed := forecasttest.Reverse(p)
	other := totalsAt(t, reversed, erring(reversed, 0.2, 0.1, 0, 1), s, o)
	at := map[string]int{}
	for i := range other.Rows() {
		at[id(other, i)] = i
	}
	near := func(a, b float64) bool { return math.Abs(a-b) <= 1e-9*(1+math.Abs(b)) } // sums in another order
	for i := range got.Rows() {
		name := id(got, i)
		if !near(got.Forecast[i], want[name]) {
			t.Errorf("%s: %v, the series add up to %v", name, got.Forecast[i], want[name])
		}
		j, ok := at[name]
		if !ok || !near(got.Forecast[i], other.Forecast[j]) || !near(got.Actual[i], other.Actual[j]) {
			t.Fatalf("%s is another total of the series in another order", name)
		}
		for k := range levels {
			if !near(got.Quantiles[i*len(levels)+k], other.Quantiles[j*len(levels)+k]) {
				t.Fatalf("%s has other quantiles with the series in another order", name)
			}
		}
	}
}

func TestTotalsLearnNothingFromTheFuture(t *testing.T) {
	t.Parallel()
	p := wide()
	s := schedule(t, p)
	points := erring(p, 0.2, 0.1, 0, 1)
	o := s.Test[0]
	got, want := totalsAt(t, forecasttest.Garbage(p, o, horizon), points, s, o), totalsAt(t, p, points, s, o)
	forecasts := func(rows *backtest.Predictions) map[string][]float64 {
		out := map[string][]float64{}
		for i := range rows.Rows() {
			out[id(rows, i)] = append([]float64{rows.Forecast[i]}, rows.Quantiles[i*len(levels):(i+1)*len(levels)]...)
		}
		return out
	}
	a, b := forecasts(got), forecasts(want)
	if len(a) != len(b) {
		t.Fatalf("%d totals, want %d", len(a), len(b))
	}
	for name := range b {
		if !slices.Equal(a[name], b[name]) {
			t.Fatalf("%s: %v, without garbage %v", name, a[name], b[name])
		}
	}
}
