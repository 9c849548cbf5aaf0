package serve

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"

	"salescast/pkg/calendar"
	"salescast/pkg/forecast"
	"salescast/pkg/forecast/ensemble"
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
// the answer has only in part, or that has a series which the model does not know, is left out.
func (a *answer) total() error {
	v := a.view
	refuse := func(format string, args ...any) error {
		return (&problem{Status: http.StatusUnprocessableEntity, Code: codeTotals, Message: fmt.Sprintf(format, args...)}).hint("ask the ensemble, for all series of a store, of an item, or of all")
	}
	if v.member >= 0 || v.bundle.Totals == nil {
		return refuse("the model %s has no intervals of totals", v.name)
	}
	p := v.history
	f := forecast.NewPrediction(v.end, p.Series(), a.horizon, a.levels)
	for i := range f.Point {
		f.Point[i] = math.NaN()
	}
	has := make([]bool, p.Series())
	for i := range a.series {
		one := &a.series[i]
		s, ok := v.index[joinID(one.id)]
		if !ok {
			a.warnings = append(a.warnings, "totals are of the series that the model knows")
			continue
		}
		if one.origin != a.series[0].origin {
			return refuse("the series are forecast from different days")
		}
		has[s] = true
		copy(f.Point[s*a.horizon:], one.point)
		copy(f.Quantiles[s*a.horizon*len(a.levels):], one.quantiles)
	}
	rows, err := ensemble.Sum(p, f, v.bundle.Totals)
	if err != nil {
		return err
	}
	whole := func(level, value string) bool {
		for s := range has {
			if has[s] {
				continue
			}
			if level == ensemble.All && value == ensemble.All {
				return false
			}
			for _, k := range p.Keys {
				if k.Name == level && k.Levels[k.Codes[s]] == value {
					return false
				}
			}
		}
		return true
	}
	n := len(rows.Levels)
	for i := range rows.Rows() {
		s := rows.Series[i]
		level, value := rows.Keys[0].Levels[rows.Keys[0].Codes[s]], rows.Keys[1].Levels[rows.Keys[1].Codes[s]]
		if rows.Horizon[i] == 1 && whole(level, value) {
			a.totals = append(a.totals, totalAnswer{level: level, value: value})
		}
		if len(a.totals) == 0 {
			continue
		}
		if to := &a.totals[len(a.totals)-1]; to.level == level && to.value == value {
			h := len(to.point)
			to.dates, to.point = append(to.dates, a.series[0].dates[h]), append(to.point, rows.Forecast[i])
			to.quantiles = append(to.quantiles, rows.Quantiles[i*n:(i+1)*n]...)
		}
	}
	if len(a.totals) == 0 {
		return refuse("no total has all of its series in the answer")
	}
	a.warnings = slices.Compact(a.warnings)
	return nil
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
		b = append(b, `,"dates":[`...)
		for h, d := range t.dates {
			if h > 0 {
				b = append(b, ',')
			}
			b = append(b, '"')
			b = appendDay(b, d)
			b = append(b, '"')
		}
		b = append(b, `],"forecast":`...)
		b = appendNumbers(b, t.point, 0, 1, len(t.point))
		b = append(b, `,"quantiles":{`...)
		for l, level := range a.levels {
			if l > 0 {
				b = append(b, ',')
			}
			b = append(b, '"')
			b = strconv.AppendFloat(b, level, 'g', -1, 64)
			b = append(b, `":`...)
			b = appendNumbers(b, t.quantiles, l, len(a.levels), len(t.point))
		}
		b = append(b, "}}"...)
	}
	return append(b, ']')
}
