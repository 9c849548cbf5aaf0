package theta

import (
	"math"
	"testing"

	"salescast/pkg/forecast/forecasttest"
)

// fixture is one series and what statsforecast 2.0.3 made of it; testdata/fixtures.py wrote it.
type fixture struct {
	Name                string
	M                   int
	Y, Mean, Width      []float64
	Alpha, Level, Theta float64
	SSE                 *float64
	Fixed               []float64
	FixedErrors         []float64 `json:"fixed_errors"`
}

func fixtures(t *testing.T) []fixture {
	t.Helper()
	return forecasttest.Fixtures[fixture](t, 12)
}

// At the same parameters the recursion is the same.
func TestRecursionIsUpstreams(t *testing.T) {
	t.Parallel()
	for _, f := range fixtures(t) {
		m := Model{Alpha: 0.3, Level: f.Y[0] / 2, Weight: 1 - 1/2.5, n: len(f.Y)}
		m.run(f.Y)
		got := make([]float64, len(f.Fixed))
		m.Forecast(got)
		for h, want := range f.Fixed {
			if math.Abs(got[h]-want) > 1e-9*(1+math.Abs(want)) {
				t.Fatalf("%s: step %d is %g, want %g", f.Name, h+1, got[h], want)
			}
		}
	}
}

// Upstream searches all three parameters by Nelder-Mead from a fixed start and stops where it stops: ours may only have a smaller
// error. Where both found the same valley the forecasts agree within 1 % of the series' mean.
func TestParityWithStatsforecast(t *testing.T) {
	t.Parallel()
	points, within := 0, 0
	var width []float64
	for _, f := range fixtures(t) {
		m, err := Fit(f.Y, f.M)
		if err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		if f.SSE != nil && m.MSE*float64(len(f.Y)-burn) > *f.SSE*(1+1e-9) {
			t.Errorf("%s: squared error %g, upstream's %g", f.Name, m.MSE*float64(len(f.Y)-burn), *f.SSE)
		}
		got, scale := make([]float64, len(f.Mean)), 0.0
		m.Forecast(got)
		for _, v := range f.Y {
			scale += math.Abs(v) / float64(len(f.Y))
		}
		in := 0
		for h, want := range f.Mean {
			if math.Abs(got[h]-want) <= 0.01*scale {
				in++
			}
		}
		points, within = points+len(got), within+in
		q, g, w := m.Quantiles(len(got), []float64{0.025, 0.975}, 2000, 1), 0.0, 0.0
		for h := range got {
			g, w = g+q[2*h+1]-q[2*h], w+f.Width[h]
		}
		if f.SSE != nil {
			// With a season, upstream adds the season itself to the errors before it takes their spread: its intervals are then too wide by
			// that much, and there is nothing to agree with.
			width = append(width, g/w)
		}
		t.Logf("%-26s alpha %.3f (%.3f) weight %.3f (%.3f) within %d/%d width %.3f", f.Name, m.Alpha, f.Alpha, m.Weight, 1-1/f.Theta, in, len(got), g/w)
	}
	if share := float64(within) / float64(points); share < 0.95 {
		t.Errorf("%.1f %% of points within 1 %% of upstream's", 100*share)
	}
	for i, r := range width {
		if math.Abs(r-1) > 0.15 { // upstream draws 200 futures: its own widths vary by several percent
			t.Errorf("case %d: the interval is %.3f times as wide as upstream's", i, r)
		}
	}
}
