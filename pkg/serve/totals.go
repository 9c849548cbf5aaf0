package serve

import (
	"fmt"
	"net/http"
	"slices"

	"salescast/pkg/calendar"
	"salescast/pkg/forecast"
	"salescast/pkg/forecast/ensemble"
	"salescast/pkg/panel"
)

// totalAnswer is the forecast of a sum: of all series, or of those that share a value of a key.
type totalAnswer struct {
	level, value string
	dates        []calendar.Day
	point        []float64
	// quantiles has one row of levels per date.
	quantiles []float64
}

// total sums the answer up by level, with the intervals that the sums' own errors gave. A sum was calibrated of all its series: one that
// the answer has only in part is left out.
func (a *answer) total() error {
	v := a.view
	refuse := func(format string, args ...any) error {
		return (&problem{Status: http.StatusUnprocessableEntity, Code: codeTotals, Message: fmt.Sprintf(format, args...)}).hint("ask the ensemble, for all series of a store, of an item, or of all")
	}
	if v.member >= 0 || v.bundle.Totals == nil {
		return refuse("the model %s has no intervals of totals", v.name)
	}
	p := a.keys()
	origin := a.series[0].origin
	f := forecast.NewPrediction(p.Start[0], p.Series(), a.horizon, a.levels)
	for i := range a.series {
		one := &a.series[i]
		if one.origin != origin {
			return refuse("the series are forecast from different days")
		}
		if _, ok := v.index[joinID(one.id)]; !ok {
			a.warnings = append(a.warnings, "the intervals of totals with series that the model does not know are as wide as of those that it knows")
		}
		copy(f.Point[i*a.horizon:], one.point)
		copy(f.Quantiles[i*a.horizon*len(a.levels):], one.quantiles)
	}
	rows, err := ensemble.Sum(p, f, v.bundle.Totals, v.known.Absent(p, f.Origin))
	if err != nil {
		return err
	}
	n := len(rows.Levels)
	for i := range rows.Rows() {
		s := rows.Series[i]
		level, value := rows.Keys[0].Levels[rows.Keys[0].Codes[s]], rows.Keys[1].Levels[rows.Keys[1].Codes[s]]
		if k := len(a.totals); k == 0 || a.totals[k-1].level != level || a.totals[k-1].value != value {
			a.totals = append(a.totals, totalAnswer{level: level, value: value})
		}
		to := &a.totals[len(a.totals)-1]
		to.dates, to.point = append(to.dates, rows.Date[i]), append(to.point, rows.Forecast[i])
		to.quantiles = append(to.quantiles, rows.Quantiles[i*n:(i+1)*n]...)
	}
	if len(a.totals) == 0 {
		return refuse("no total has all of its series in the answer")
	}
	a.warnings = slices.Compact(a.warnings)
	return nil
}

// keys are the answer's series as a panel without rows, whose levels begin with those of the history.
func (a *answer) keys() *panel.Panel {
	known := a.view.history
	n := len(a.series)
	p := &panel.Panel{Frequency: known.Frequency, Start: make([]calendar.Step, n), Offsets: make([]int, n+1), Keys: make([]panel.Key, len(known.Keys))}
	for k := range p.Keys {
		p.Keys[k] = panel.Key{Name: known.Keys[k].Name, Codes: make([]int32, n)}
		for i := range a.series {
			p.Keys[k].Levels = append(p.Keys[k].Levels, a.series[i].id[k])
		}
		slices.Sort(p.Keys[k].Levels)
		p.Keys[k].Levels = slices.Compact(p.Keys[k].Levels)
		for i := range a.series {
			code, _ := slices.BinarySearch(p.Keys[k].Levels, a.series[i].id[k])
			p.Keys[k].Codes[i] = int32(code)
		}
	}
	for i := range a.series {
		p.Start[i], _ = known.Frequency.Step(a.series[i].origin)
	}
	return a.view.known.Adopt(p)
}

func (a *answer) appendTotals(b []byte) []byte {
	if a.totals == nil {
		return b
	}
	b = append(b, `,"totals":[`...)
	for i := range a.totals {
		t := &a.totals[i]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"level":`...)
		b = appendText(b, t.level)
		b = append(b, `,"value":`...)
		b = appendText(b, t.value)
		b = append(a.appendSteps(b, t.dates, t.point, t.quantiles), '}')
	}
	return append(b, ']')
}
