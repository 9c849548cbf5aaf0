package ets

import (
	"math"
	"testing"

	"salescast/pkg/forecast/forecasttest"
)

// fixture is one series and what statsforecast 2.0.3 made of it; testdata/fixtures.py wrote it.
type fixture struct {
	Name  string
	M     int
	Y     []float64
	Forms []upstream
}

// upstream is one form as statsforecast fitted it.
type upstream struct {
	Trend       bool
	Season      int
	Par         []*float64
	State       []float64
	SSE, AICc   float64
	Mean, Width []float64
}

func fixtures(t *testing.T) []fixture {
	t.Helper()
	return forecasttest.Fixtures[fixture](t, 12)
}

// At upstream's constants and initial states the recursion has upstream's errors and forecasts, and the variance its closed form.
func TestRecursionIsUpstreams(t *testing.T) {
	t.Parallel()
	for _, f := range fixtures(t) {
		for _, u := range f.Forms {
			m := &Model{Form: Form{Trend: u.Trend, Season: u.Season}, Alpha: *u.Par[0], Phi: 1}
			if u.Trend {
				m.Beta, m.Phi = *u.Par[1], *u.Par[3]
			}
			if u.Season > 0 {
				m.Gamma = *u.Par[2]
			}
			// Upstream holds the season backwards from the step before the first.
			first := 1
			if u.Trend {
				first = 2
			}
			state := append([]float64{}, u.State[:first]...)
			for k := range max(u.Season-1, 0) {
				state = append(state, u.State[first+u.Season-1-k])
			}
			m.run(f.Y, 0, state)
			if math.Abs(m.SSE-u.SSE) > 1e-9*u.SSE {
				t.Errorf("%s %+v: squared error %g, want %g", f.Name, m.Form, m.SSE, u.SSE)
			}
			got := make([]float64, len(u.Mean))
			m.Forecast(got)
			trend := got[0] - m.seasonAt(0)
			for h, want := range u.Mean {
				// From the second step on upstream adds a power less of phi to the slope than the model says: its steps are 1/phi of the model's.
				got[h] = trend + (got[h]-m.seasonAt(h)-trend)/m.Phi + m.seasonAt(h)
				if math.Abs(got[h]-want) > 1e-9*(1+math.Abs(want)) {
					t.Fatalf("%s %+v: step %d is %g, want %g", f.Name, m.Form, h+1, got[h], want)
				}
			}
			n, k := float64(len(f.Y)), float64(m.parameters()+1)
			m.Sigma = math.Sqrt(m.SSE / (n - k - 1))
			m.Deviations(got)
			for h := range got {
				// With a season upstream counts at every step the seasons up to the last one, so that only its last step is right.
				if u.Season > 0 && h != len(got)-1 {
					continue
				}
				// 1.959964 is the quantile at 97.5 %.
				if want := u.Width[h] / 2 / 1.959963984540054; math.Abs(got[h]-want) > 1e-6*want {
					t.Errorf("%s %+v: the deviation of step %d is %g, want %g", f.Name, m.Form, h+1, got[h], want)
				}
			}
		}
	}
}

func (m *Model) seasonAt(h int) float64 {
	if m.Season == 0 {
		return 0
	}
	return m.season[h%m.Season]
}

// Upstream searches constants and states together by Nelder and Mead and stops where it stops; ours may be worse by a thousandth, where it stops, but where upstream
// left the region in which beta < alpha and gamma < 1-alpha. Where both found the same valley, errors within 0.5 %, 95 % of forecasts
// agree within 2 % of the series' mean; and where the best form of both is so found it is the same one.
func TestParityWithStatsforecast(t *testing.T) {
	t.Parallel()
	points, within := 0, 0
	for _, f := range fixtures(t) {
		var best upstream
		alike := true
		scale := 0.0
		for _, v := range f.Y {
			scale += math.Abs(v) / float64(len(f.Y))
		}
		for k, u := range f.Forms {
			m := FitForm(f.Y, Form{Trend: u.Trend, Season: u.Season})
			usual := (!u.Trend || *u.Par[1] < *u.Par[0]) && (u.Season == 0 || *u.Par[2] < 1-*u.Par[0])
			t.Logf("%-22s %+v alpha %.4f (%.4f) beta %.4f gamma %.4f phi %.3f SSE %.5f of upstream's", f.Name, m.Form, m.Alpha, *u.Par[0], m.Beta, m.Gamma, m.Phi, m.SSE/u.SSE)
			if usual && m.SSE > u.SSE*(1+1e-3) {
				t.Errorf("%s %+v: squared error %g, upstream's %g", f.Name, m.Form, m.SSE, u.SSE)
			}
			if k == 0 || u.AICc < best.AICc {
				best = u
			}
			if math.Abs(m.SSE/u.SSE-1) > 0.005 {
				alike = false
				continue
			}
			got := make([]float64, len(u.Mean))
			m.Forecast(got)
			for h, want := range u.Mean {
				points++
				if math.Abs(got[h]-want) <= 0.02*scale {
					within++
				}
			}
		}
		m, err := Fit(f.Y, f.M)
		if err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		if alike && (m.Trend != best.Trend || m.Season != best.Season) {
			t.Errorf("%s: the best form is %+v, upstream's has a trend %v and season %d", f.Name, m.Form, best.Trend, best.Season)
		}
		if m.AICc > best.AICc+1e-3*math.Abs(best.AICc) {
			t.Errorf("%s: AICc %g, upstream's %g", f.Name, m.AICc, best.AICc)
		}
	}
	if points < 30*28 || within < points*95/100 {
		t.Errorf("%d of %d points within 2 %% of upstream's", within, points)
	}
}
