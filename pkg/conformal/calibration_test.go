package conformal_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"salescast/pkg/calendar"
	"salescast/pkg/conformal"
)

var levels = []float64{0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975}

func options() conformal.Options {
	return conformal.Options{Levels: levels, Frequency: calendar.Frequency{Unit: calendar.Daily}, NonNegative: true}
}

// world draws sales whose spread grows with the series, the level and the horizon.
func world(seed uint64, series, windows int, noise func(*rand.Rand) float64) conformal.Errors {
	r := rand.New(rand.NewPCG(seed, 2))
	var e conformal.Errors
	for w := range windows {
		for s := range series {
			for h := 1; h <= 28; h++ {
				f := 50 * float64(s+1) * (1 + 0.5*math.Sin(float64(h)))
				y := f + noise(r)*0.1*f*float64(1+s%3)*(1+float64(h)/28)
				e.Add(s, h, w, f, max(y, 0))
			}
		}
	}
	return e
}

func covered(t *testing.T, c *conformal.Calibration, e conformal.Errors, lo, hi int) float64 {
	t.Helper()
	in := 0
	q := make([]float64, 28*len(levels))
	point := make([]float64, 28)
	for i := range e.Series {
		h := int(e.Horizon[i])
		point[h-1] = e.Forecast[i]
		c.Apply(int(e.Series[i]), point, nil, q)
		row := q[(h-1)*len(levels) : h*len(levels)]
		if e.Actual[i] >= row[lo] && e.Actual[i] <= row[hi] {
			in++
		}
	}
	return float64(in) / float64(len(e.Series))
}

// Intervals learned on three windows cover fresh draws of the same world, whatever the shape of its noise.
func TestCoverageOfFreshErrors(t *testing.T) {
	t.Parallel()
	for name, noise := range map[string]func(*rand.Rand) float64{
		"normal": (*rand.Rand).NormFloat64,
		"skewed": func(r *rand.Rand) float64 { return r.ExpFloat64() - 1 },
	} {
		c, err := conformal.Fit(t.Context(), world(1, 20, 3, noise), 20, options())
		if err != nil {
			t.Fatal(err)
		}
		fresh := world(2, 20, 3, noise)
		if got := covered(t, c, fresh, 0, 6); got < 0.93 || got > 0.98 {
			t.Errorf("%s: the 95 %% interval covers %.3f", name, got)
		}
		if got := covered(t, c, fresh, 1, 5); got < 0.76 || got > 0.85 {
			t.Errorf("%s: the 80 %% interval covers %.3f", name, got)
		}
		for b := 1; b < len(c.Buckets); b++ {
			if c.Buckets[b].Factor < c.Buckets[b-1].Factor {
				t.Errorf("%s: intervals become narrower with the horizon: %v", name, c.Buckets)
			}
		}
		if c.Buckets[3].Factor < 1.1*c.Buckets[0].Factor {
			t.Errorf("%s: errors double over the horizon, the factors are %v", name, c.Buckets)
		}
	}
}

// Drift between windows widens the outer quantiles and leaves the inner ones.
func TestDriftWidens(t *testing.T) {
	t.Parallel()
	steady := world(3, 10, 3, (*rand.Rand).NormFloat64)
	drifting := conformal.Errors{}
	for i := range steady.Series {
		drifting.Add(int(steady.Series[i]), int(steady.Horizon[i]), int(steady.Horizon[i])%3, steady.Forecast[i], steady.Actual[i])
	}
	a, err := conformal.Fit(t.Context(), steady, 10, options())
	if err != nil {
		t.Fatal(err)
	}
	// The same errors sorted into windows by size have other quantiles in each.
	order := make([]int, len(steady.Series))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		u := func(k int) float64 { return (steady.Actual[k] - steady.Forecast[k]) / steady.Forecast[k] }
		if u(i) < u(j) {
			return -1
		}
		return 1
	})
	for rank, i := range order {
		drifting.Window[i] = int32(rank * 3 / len(order))
	}
	b, err := conformal.Fit(t.Context(), drifting, 10, options())
	if err != nil {
		t.Fatal(err)
	}
	if b.Quantiles[0] >= a.Quantiles[0] || b.Quantiles[6] <= a.Quantiles[6] {
		t.Errorf("drift did not widen: %v, without %v", b.Quantiles, a.Quantiles)
	}
	if b.Quantiles[2] != a.Quantiles[2] || b.Quantiles[4] != a.Quantiles[4] {
		t.Errorf("drift moved the quartiles: %v, without %v", b.Quantiles, a.Quantiles)
	}
}

func TestQuantilesAreOrderedAndScale(t *testing.T) {
	t.Parallel()
	e := world(4, 5, 3, (*rand.Rand).NormFloat64)
	times10 := e
	times10.Forecast, times10.Actual = slices.Clone(e.Forecast), slices.Clone(e.Actual)
	for i := range times10.Forecast {
		times10.Forecast[i] *= 10
		times10.Actual[i] *= 10
	}
	a, err := conformal.Fit(t.Context(), e, 6, options())
	if err != nil {
		t.Fatal(err)
	}
	b, err := conformal.Fit(t.Context(), times10, 6, options())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []int{0, 4, 5, conformal.Unseen} { // 5 had no errors
		qa, qb := make([]float64, 3*7), make([]float64, 3*7)
		a.Apply(s, []float64{0, 7, 70}, nil, qa)
		b.Apply(s, []float64{0, 70, 700}, nil, qb)
		for i := range 3 {
			row := qa[i*7 : i*7+7]
			if !slices.IsSorted(row) || row[0] < 0 {
				t.Errorf("series %d: quantiles %v", s, row)
			}
			for k := range row {
				if math.Abs(10*row[k]-qb[i*7+k]) > 1e-6*(1+qb[i*7+k]) {
					t.Errorf("series %d: sales times 10 have quantile %v, not ten times %v", s, qb[i*7+k], row[k])
				}
			}
		}
		if qa[7+3] != 7 {
			t.Errorf("series %d: the median of a forecast of 7 is %v", s, qa[7+3])
		}
	}
	qs, qu := make([]float64, 7), make([]float64, 7)
	a.Apply(0, []float64{60}, nil, qs)
	a.Apply(5, []float64{60}, nil, qu)
	if qu[6]-qu[0] <= qs[6]-qs[0] {
		t.Errorf("a series that was never validated has the narrower interval: %v against %v", qu, qs)
	}
}

func TestEdges(t *testing.T) {
	t.Parallel()
	if _, err := conformal.Fit(t.Context(), conformal.Errors{}, 3, options()); !errors.Is(err, conformal.ErrNoErrors) {
		t.Errorf("no errors: %v", err)
	}
	bad := options()
	bad.Levels = []float64{0.5, 0.5}
	if _, err := conformal.Fit(t.Context(), world(1, 1, 1, (*rand.Rand).NormFloat64), 1, bad); err == nil {
		t.Error("levels that do not increase were accepted")
	}
	var e conformal.Errors
	for h := 1; h <= 28; h++ {
		e.Add(0, h, 0, 5, 5)
		e.Add(0, h, 0, math.NaN(), 5)
		e.Add(1, h, 0, 0, 0)
	}
	c, err := conformal.Fit(t.Context(), e, 2, options())
	if err != nil {
		t.Fatal(err)
	}
	if c.Rows != 56 {
		t.Errorf("%d rows, want 56: a missing forecast teaches nothing", c.Rows)
	}
	q := make([]float64, 14)
	for s := range 2 {
		c.Apply(s, []float64{5, math.NaN()}, nil, q)
		if math.Abs(q[0]-5) > 1e-6 || math.Abs(q[6]-5) > 1e-6 || !math.IsNaN(q[7]) {
			t.Errorf("series %d: forecasts without errors have quantiles %v", s, q)
		}
	}
}

func TestJSONRoundTrip(t *testing.T) {
	t.Parallel()
	c, err := conformal.Fit(t.Context(), world(4, 5, 3, (*rand.Rand).NormFloat64), 6, options())
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var d conformal.Calibration
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(*c, d) {
		t.Error("a calibration changed through JSON")
	}
}

// Errors that go together in their windows are worth as many as there are windows, others as many as they are.
func TestDependentErrorsWiden(t *testing.T) {
	t.Parallel()
	factor := func(together bool) float64 {
		var e conformal.Errors
		for w := range 3 {
			for h := 1; h <= 20; h++ {
				sign := 1.0
				if together && w == 1 || !together && h%2 == 0 {
					sign = -1
				}
				e.Add(0, h, w, 100, 100+sign*float64(9+h%2))
			}
		}
		wide, err := conformal.Fit(t.Context(), e, 1, conformal.Options{Levels: []float64{0.025, 0.975}, Dependent: true})
		if err != nil {
			t.Fatal(err)
		}
		plain, err := conformal.Fit(t.Context(), e, 1, conformal.Options{Levels: []float64{0.025, 0.975}})
		if err != nil {
			t.Fatal(err)
		}
		return wide.Quantiles[1] / plain.Quantiles[1]
	}
	if got, want := factor(true), 1+(1.96*1.96+1)/12; math.Abs(got-want) > 0.01 {
		t.Errorf("errors that are the same all over a window are widened by %.3f, want %.3f", got, want)
	}
	if got := factor(false); !(got > 1 && got < 1.03) {
		t.Errorf("errors that alternate are widened by %.3f", got)
	}
}
