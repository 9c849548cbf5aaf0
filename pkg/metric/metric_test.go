package metric

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"salescast/pkg/backtest"
	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

type fixture struct {
	Name      string
	Frequency calendar.Frequency
	Levels    []float64
	Panel     []struct {
		Store, Item string
		Start       calendar.Day
		Y           []Value
		Observed    []bool
	}
	Predictions struct {
		Model, Series, Horizon      []int32
		Cutoff, Date                []calendar.Day
		Actual, Forecast, Quantiles []Value
	}
	Models    []string
	Overall   []map[string]Value
	ByHorizon [][]map[string]Value `json:"by_horizon"`
	BySeries  [][]map[string]Value `json:"by_series"`
	ByOrigin  [][]map[string]Value `json:"by_origin"`
}

func fixtures(t *testing.T) []fixture {
	t.Helper()
	b, err := os.ReadFile("testdata/metrics.json")
	if err != nil {
		t.Fatal(err)
	}
	var fs []fixture
	if err := json.Unmarshal(b, &fs); err != nil {
		t.Fatal(err)
	}
	return fs
}

func floats(v []Value) []float64 {
	f := make([]float64, len(v))
	for i := range v {
		f[i] = float64(v[i])
	}
	return f
}

// build makes the fixture's panel and predictions; keys get a level table each.
func (f *fixture) build(t *testing.T) (*panel.Panel, *backtest.Predictions) {
	t.Helper()
	p := &panel.Panel{Frequency: f.Frequency, Offsets: []int{0}}
	store, item := panel.Key{Name: "store"}, panel.Key{Name: "item"}
	for i, s := range f.Panel {
		start, ok := f.Frequency.Step(s.Start)
		if !ok {
			t.Fatalf("%s is not on the grid", s.Start)
		}
		p.Start = append(p.Start, start)
		for j, y := range s.Y {
			p.Target = append(p.Target, float32(y))
			p.Observed = append(p.Observed, s.Observed[j])
		}
		p.Offsets = append(p.Offsets, len(p.Target))
		store.Levels, store.Codes = append(store.Levels, s.Store), append(store.Codes, int32(i))
		item.Levels, item.Codes = append(item.Levels, s.Item), append(item.Codes, int32(i))
	}
	p.Keys = []panel.Key{store, item}
	q := f.Predictions
	return p, &backtest.Predictions{
		Keys: p.Keys, Models: f.Models, Model: q.Model, Series: q.Series, Cutoff: q.Cutoff, Date: q.Date, Horizon: q.Horizon,
		Actual: floats(q.Actual), Forecast: floats(q.Forecast), Levels: f.Levels, Quantiles: floats(q.Quantiles),
	}
}

// TestScoresAreThoseOfPandas compares with an implementation that shares no code, over odd series: constant, all zero, short, with gaps.
func TestScoresAreThoseOfPandas(t *testing.T) {
	t.Parallel()
	for _, f := range fixtures(t) {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			p, pr := f.build(t)
			ev, err := Evaluate(p, pr)
			if err != nil {
				t.Fatal(err)
			}
			for m, name := range f.Models {
				same(t, name, ev.Overall[m], f.Overall[m])
				for i, s := range ev.ByHorizon[m] {
					same(t, name+" by horizon", s, f.ByHorizon[m][i])
				}
				for i, s := range ev.BySeries[m] {
					same(t, name+" by series", s, f.BySeries[m][i])
				}
				for i, s := range ev.ByOrigin[m] {
					same(t, name+" by origin", s, f.ByOrigin[m][i])
				}
			}
		})
	}
}

func same(t *testing.T, what string, got Scores, want map[string]Value) {
	t.Helper()
	// 1e-11 relative: sums of a few hundred terms, in another order than numpy's pairwise one.
	check := func(name string, g Value) {
		w, ok := want[name]
		if !ok {
			w = Value(math.NaN())
		}
		if g.Defined() != w.Defined() || g.Defined() && math.Abs(float64(g-w)) > 1e-11*max(1, math.Abs(float64(w))) {
			t.Errorf("%s: %s is %v, pandas says %v", what, name, g, w)
		}
	}
	for i, name := range Columns() {
		check(name, got.Values()[i])
	}
	for name, n := range map[string]int{"rows": got.Rows, "missing": got.Missing, "mape_rows": got.MAPERows, "scaled": got.Scaled} {
		if w := want[name]; w.Defined() && float64(w) != float64(n) {
			t.Errorf("%s: %s is %d, pandas says %v", what, name, n, w)
		}
	}
}

func TestScoresRoundTripThroughJSON(t *testing.T) {
	t.Parallel()
	f := fixtures(t)[0]
	ev, err := Evaluate(f.build(t))
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(ev.Overall)
	if err != nil {
		t.Fatal(err)
	}
	var back []Scores
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	for m := range back {
		for i, v := range back[m].Values() {
			if w := ev.Overall[m].Values()[i]; v != w && (v.Defined() || w.Defined()) {
				t.Errorf("%s came back as %v from %v", Columns()[i], v, w)
			}
		}
	}
	if s := string(b); strings.Contains(s, "NaN") || !strings.Contains(s, `"wql":null`) {
		t.Errorf("an undefined score is not null: %s", s)
	}
}

// TestUnobservedRowsAreNeverScored: whatever is forecast where nothing was observed changes no bit of any score.
func TestUnobservedRowsAreNeverScored(t *testing.T) {
	t.Parallel()
	f := fixtures(t)[0]
	p, pr := f.build(t)
	before, err := Evaluate(p, pr)
	if err != nil {
		t.Fatal(err)
	}
	changed := 0
	for i := range pr.Rows() {
		if math.IsNaN(pr.Actual[i]) {
			pr.Forecast[i] = 1e9
			changed++
		}
	}
	after, err := Evaluate(p, pr)
	if err != nil {
		t.Fatal(err)
	}
	if changed == 0 || marshal(t, before) != marshal(t, after) {
		t.Errorf("%d unobserved rows were changed and a score with them", changed)
	}
}

// TestScalesReadNothingAfterTheOrigin: sales after an origin change no scale at it.
func TestScalesReadNothingAfterTheOrigin(t *testing.T) {
	t.Parallel()
	f := fixtures(t)[0]
	p, _ := f.build(t)
	rng := rand.New(rand.NewPCG(1, 2))
	for s := range p.Series() {
		lo, hi := p.Span(s)
		origin := p.Start[s] + calendar.Step((hi-lo)/2)
		want := ScaleOf(p, s, origin)
		cut, _ := p.Row(s, origin)
		for r := cut + 1; r < hi; r++ {
			p.Target[r] = float32(rng.NormFloat64() * 1e6)
		}
		if got := ScaleOf(p, s, origin); marshal(t, []Value{Value(got.Absolute), Value(got.Squared)}) != marshal(t, []Value{Value(want.Absolute), Value(want.Squared)}) {
			t.Errorf("series %v: scale %v became %v", p.ID(s), want, got)
		}
	}
	if s := ScaleOf(p, 0, p.Start[0]-5); !math.IsNaN(s.Absolute) || !math.IsNaN(s.Squared) {
		t.Errorf("a series that has not begun has scale %v", s)
	}
}

// TestScalingSalesScalesErrors: in other units of sale, errors in units change by the factor and every ratio stays.
func TestScalingSalesScalesErrors(t *testing.T) {
	t.Parallel()
	f := fixtures(t)[0]
	p, pr := f.build(t)
	a, err := Evaluate(p, pr)
	if err != nil {
		t.Fatal(err)
	}
	for _, xs := range [][]float64{pr.Actual, pr.Forecast, pr.Quantiles} {
		for i := range xs {
			xs[i] *= 4
		}
	}
	for i := range p.Target {
		p.Target[i] *= 4
	}
	b, err := Evaluate(p, pr)
	if err != nil {
		t.Fatal(err)
	}
	for m := range a.Models {
		for i, name := range Columns() {
			want := a.Overall[m].Values()[i]
			if name == "rmse" || name == "mae" {
				want *= 4
			}
			if got := b.Overall[m].Values()[i]; want.Defined() && math.Abs(float64(got-want)) > 1e-12*math.Abs(float64(want)) {
				t.Errorf("%s %s: %v, want %v", a.Models[m], name, got, want)
			}
		}
	}
}

func TestEvaluateRefusesWhatItCannotScoreHonestly(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		spoil func(p *panel.Panel, pr *backtest.Predictions)
		want  string
	}{
		"rows twice":     {func(_ *panel.Panel, pr *backtest.Predictions) { pr.Date[1] = pr.Date[0] }, "not unique"},
		"sales left out": {func(_ *panel.Panel, pr *backtest.Predictions) { pr.Actual[0] = math.NaN() }, "in the panel"},
		"other sales":    {func(_ *panel.Panel, pr *backtest.Predictions) { pr.Actual[0]++ }, "in the panel"},
		"a series of other data": {func(p *panel.Panel, _ *backtest.Predictions) {
			p.Keys = []panel.Key{{Name: "x", Levels: []string{"?"}, Codes: make([]int32, p.Series())}}
		}, "not in the panel"},
		"a horizon of 0":    {func(_ *panel.Panel, pr *backtest.Predictions) { pr.Horizon[3] = 0 }, "steps ahead, and is not"},
		"too few quantiles": {func(_ *panel.Panel, pr *backtest.Predictions) { pr.Quantiles = pr.Quantiles[1:] }, "quantiles"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := fixtures(t)[0]
			p, pr := f.build(t)
			c.spoil(p, pr)
			if _, err := Evaluate(p, pr); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v does not say %q", err, c.want)
			}
		})
	}
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestPaired(t *testing.T) {
	t.Parallel()
	f := fixtures(t)[0]
	p, pr := f.build(t)
	ev, err := Evaluate(p, pr)
	if err != nil {
		t.Fatal(err)
	}
	good, bare, wild := Contender{pr, "good"}, Contender{pr, "bare"}, Contender{pr, "wild"}
	c, err := Paired(good, bare, 1)
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(float64(c.Candidate-ev.Overall[0].WAPE)) > 1e-12 || math.Abs(float64(c.Reference-ev.Overall[1].WAPE)) > 1e-12 {
		t.Errorf("paired WAPEs %v and %v are not those of Evaluate, %v and %v", c.Candidate, c.Reference, ev.Overall[0].WAPE, ev.Overall[1].WAPE)
	}
	if c.Difference >= 0 || c.BySeries.Low > c.Difference || c.BySeries.High < c.Difference || c.ByDate.Low > c.Difference || c.ByDate.High < c.Difference {
		t.Errorf("the difference %v is not inside its intervals %v and %v", c.Difference, c.BySeries, c.ByDate)
	}
	back, err := Paired(bare, good, 1)
	if err != nil {
		t.Fatal(err)
	}
	if back.Difference != -c.Difference || math.Abs(float64(back.ByDate.Low+c.ByDate.High)) > 1e-12 {
		t.Errorf("swapping the contenders gave %+v from %+v", back, c)
	}
	if again, err := Paired(good, bare, 1); err != nil || marshal(t, again) != marshal(t, c) {
		t.Errorf("the same seed gave %v, %v", again, err)
	}
	if self, err := Paired(good, good, 1); err != nil || self.Better() || self.Difference != 0 || self.Wins != 0 {
		t.Errorf("a model against itself: %+v, %v", self, err)
	}
	if w, err := Paired(good, wild, 1); err != nil || !w.Better() || w.Rows != ev.Overall[2].Rows {
		t.Errorf("a model against one with six times its noise: %+v, %v", w, err)
	}
	if _, err := Paired(good, Contender{pr, "none"}, 1); err == nil {
		t.Error("an unknown model was compared")
	}
	other := *pr
	other.Actual = append([]float64(nil), pr.Actual...)
	other.Actual[0] += 3
	if _, err := Paired(good, Contender{&other, "good"}, 1); err == nil {
		t.Error("predictions of other sales were compared")
	}
}

// TestPairedIntervalsCover: of two forecasts that err alike, the interval holds zero about as often as it says.
func TestPairedIntervalsCover(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(7, 7))
	const runs, series, days = 200, 40, 60
	held := [2]int{}
	for run := range runs {
		bySeries, byDate := make([]pair, series), make([]pair, days)
		for s := range series {
			for d := range days {
				e := pair{math.Abs(rng.NormFloat64()), math.Abs(rng.NormFloat64()), 3}
				bySeries[s], byDate[d] = bySeries[s].plus(e), byDate[d].plus(e)
			}
		}
		c, err := compare(bySeries, byDate, series*days, 1, uint64(run))
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range []Interval{c.BySeries, c.ByDate} {
			if v.Low <= 0 && v.High >= 0 {
				held[i]++
			}
		}
	}
	for i, h := range held {
		// 95 % of 200 is 190; four standard errors are 12.
		if h < 178 {
			t.Errorf("interval %d held the truth %d times of %d", i, h, runs)
		}
	}
}

// TestLeftOutPredictionsAreCounted: rows that a model does not have are Missing, in every part that they belong to.
func TestLeftOutPredictionsAreCounted(t *testing.T) {
	t.Parallel()
	f := fixtures(t)[0]
	p, pr := f.build(t)
	n := pr.Rows() - 20 // the last rows are those of the last model
	pr.Model, pr.Series, pr.Horizon, pr.Cutoff, pr.Date = pr.Model[:n], pr.Series[:n], pr.Horizon[:n], pr.Cutoff[:n], pr.Date[:n]
	pr.Actual, pr.Forecast, pr.Quantiles = pr.Actual[:n], pr.Forecast[:n], pr.Quantiles[:n*len(pr.Levels)]
	ev, err := Evaluate(p, pr)
	if err != nil {
		t.Fatal(err)
	}
	whole, part := ev.Overall[0], ev.Overall[2]
	if part.Missing == 0 || part.Rows+part.Missing != whole.Rows+whole.Missing {
		t.Errorf("%d scored and %d missing of %d", part.Rows, part.Missing, whole.Rows)
	}
	sum := 0
	for _, s := range ev.BySeries[2] {
		sum += s.Missing
	}
	if sum != part.Missing {
		t.Errorf("%d missing by series, %d in all", sum, part.Missing)
	}
}

// TestHeldCountsTiesForTheQuantile: where sales of zero meet quantiles of zero, no level between the two shares is a broken promise.
func TestHeldCountsTiesForTheQuantile(t *testing.T) {
	t.Parallel()
	f := fixtures(t)[0]
	p, pr := f.build(t)
	for i := range pr.Rows() {
		if pr.Actual[i] == 0 {
			clear(pr.Quantiles[i*len(pr.Levels) : (i+1)*len(pr.Levels)])
		}
	}
	ev, err := Evaluate(p, pr)
	if err != nil {
		t.Fatal(err)
	}
	for j, level := range ev.Levels {
		lo, hi, held := ev.Below[0][j], ev.AtOrBelow[0][j], ev.Held(0, j)
		if lo >= hi {
			t.Errorf("level %v: %v of the sales are below and %v at or below; the fixture has ties", level, lo, hi)
		}
		if held < lo || held > hi || lo <= Value(level) && Value(level) <= hi && held != Value(level) {
			t.Errorf("level %v held %v, of %v to %v", level, held, lo, hi)
		}
	}
	if v := ev.Held(1, 0); v.Defined() {
		t.Errorf("a model without quantiles held %v", v)
	}
}
