package ensemble

import (
	"context"
	"fmt"

	"salescast/pkg/calendar"
	"salescast/pkg/conformal"
	"salescast/pkg/forecast"
	"salescast/pkg/forecast/seasonal"
	"salescast/pkg/panel"
)

// Ask answers what each member forecasts, from an origin, of some series of the request's panel: a slice for each member, laid out as
// [forecast.Prediction.Point] with the series in their order, nil for members without weight.
type Ask func(ctx context.Context, r forecast.Request, series []int) ([][]float64, error)

const (
	// ownWindows is how many windows of a new series' past are forecast again, ownPoints the number of series times windows from which on
	// there are fewer of them, down to fewestOwn.
	ownWindows = 8
	fewestOwn  = 3
	ownPoints  = 1600
)

// individuals calibrates the series of the request that the calibration does not know, on their own past: the members never saw them, so
// that forecasting it again is a fair test. Series with too little of it are left out.
func (m *Model) individuals(ctx context.Context, r forecast.Request, closed []int, ask Ask) (map[int]conformal.Individual, error) {
	var unseen []int
	base := seasonal.MinHistory(r.Panel.Frequency)
	for s := range r.Panel.Series() {
		if n := int(r.Origin-r.Panel.Start[s]) + 1; m.lookup(r.Panel, s) == conformal.Unseen && n > base && !m.counted(r.Panel, s, r.Origin) {
			unseen = append(unseen, s)
		}
	}
	if len(unseen) == 0 {
		return nil, nil
	}
	horizon := r.Horizon
	if m.horizon > 0 {
		horizon = m.horizon
	}
	all := make([]tested, len(unseen))
	for w, back := range ownOrigins(r.Panel.Frequency, horizon, len(unseen)) {
		origin := r.Origin - calendar.Step(back)
		var due []int // in unseen
		for i, s := range unseen {
			// Windows that end before the horizon are for those with few others.
			if int(origin-r.Panel.Start[s])+1 >= base && (back >= horizon || all[i].whole < fewestOwn) {
				due = append(due, i)
			}
		}
		if len(due) == 0 {
			continue
		}
		n := min(horizon, back) // what comes after the request's origin is not known
		points, err := ask(ctx, forecast.Request{Panel: r.Panel, Origin: origin, Horizon: n}, unseen)
		if err != nil {
			return nil, fmt.Errorf("forecast the past of new series: %w", err)
		}
		combined := Combine(m.weights(), points, n)
		for _, i := range due {
			if back >= horizon {
				all[i].whole++
			}
			all[i].add(r, unseen[i], w, origin, combined[i*n:(i+1)*n], closed)
		}
	}
	out := map[int]conformal.Individual{}
	for i, s := range unseen {
		if own, ok := m.calibration.Individual(all[i].errors, len(all[i].dates)); ok {
			out[s] = own
		}
	}
	return out, nil
}

// counted says whether the quantiles of a series are those of counts, which ask for nothing but the size of its sales.
func (m *Model) counted(p *panel.Panel, s int, origin calendar.Step) bool {
	return m.calibration.Counts != nil && pastOf(p, s, origin).size != 0
}

// ownOrigins are how many steps before the request's origin a new series is forecast again: first windows as long as the horizon, half a
// horizon apart, then shorter ones. Steps of days keep off multiples of a week, so that short horizons meet every weekday.
func ownOrigins(f calendar.Frequency, horizon, series int) []int {
	apart := max(1, horizon/2)
	if f.Unit == calendar.Daily && apart%7 == 0 {
		apart--
	}
	n := min(max(ownPoints/series, fewestOwn), ownWindows)
	out := make([]int, 0, n+3)
	for k := range n {
		out = append(out, horizon+k*apart)
	}
	for k := 3; k > 0; k-- {
		if back := horizon * k / 4; back > 0 && back < out[len(out)-1] {
			out = append(out, back)
		}
	}
	return out
}

// tested is how a series' own past was forecast.
type tested struct {
	errors conformal.Errors
	dates  map[calendar.Step]bool
	whole  int // windows as long as the horizon
}

func (t *tested) add(r forecast.Request, s, window int, origin calendar.Step, points []float64, closed []int) {
	if t.dates == nil {
		t.dates = map[calendar.Step]bool{}
	}
	for h := 1; h <= len(points); h++ {
		row, ok := r.Panel.Row(s, origin+calendar.Step(h))
		if !ok || !r.Panel.Observed[row] || isClosed(r.Panel, closed, row) {
			continue
		}
		if t.errors.Add(0, h, window, points[h-1], float64(r.Panel.Target[row])) {
			t.dates[origin+calendar.Step(h)] = true
		}
	}
}

func isClosed(p *panel.Panel, flags []int, row int) bool {
	for _, c := range flags {
		if p.Covariates[c].Values[row] == 1 {
			return true
		}
	}
	return false
}
