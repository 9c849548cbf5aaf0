package serve

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"strconv"

	"salescast/pkg/calendar"
	"salescast/pkg/forecast"
	"salescast/pkg/panel"
)

// seriesAnswer is the forecast of one series.
type seriesAnswer struct {
	id     []string
	origin calendar.Day
	dates  []calendar.Day
	point  []float64
	// quantiles has one row of levels per date.
	quantiles []float64
	drivers   *drivers
	first     int // index of the first point in drivers
}

// answer is what a question is answered with.
type answer struct {
	view     *view
	horizon  int
	levels   []float64
	series   []seriesAnswer
	totals   []totalAnswer
	warnings []string
}

// answer forecasts.
func (q *question) answer(ctx context.Context) (*answer, error) {
	a := &answer{view: q.view, horizon: q.horizon, levels: q.levels}
	for _, s := range q.stored {
		a.series = append(a.series, q.lookUp(s))
	}
	for _, p := range q.parts {
		r := forecast.Request{Panel: p.panel, Origin: p.origin, Horizon: q.horizon, Levels: q.levels}
		var why *drivers
		if q.drivers {
			why = &drivers{}
		}
		f, err := q.view.forecast(ctx, r, why)
		if err != nil {
			return nil, err
		}
		for s := range p.panel.Series() {
			one := q.blank(p.panel, s, p.origin)
			i := f.At(s, 1)
			n := len(q.levels)
			one.point, one.quantiles = f.Point[i:i+q.horizon], f.Quantiles[i*n:(i+q.horizon)*n]
			one.drivers, one.first = why, i
			a.series = append(a.series, one)
		}
	}
	a.warnings = q.warnings
	return a, nil
}

func (q *question) blank(p *panel.Panel, s int, origin calendar.Step) seriesAnswer {
	one := seriesAnswer{id: p.ID(s), origin: p.Frequency.Day(origin), dates: make([]calendar.Day, q.horizon)}
	for h := range one.dates {
		one.dates[h] = p.Frequency.Day(origin + calendar.Step(h+1))
	}
	return one
}

// lookUp answers from the forecast that was made when the bundle was opened.
func (q *question) lookUp(s int) seriesAnswer {
	f := q.view.ahead
	one := q.blank(q.view.history, s, q.view.end)
	i := f.At(s, 1)
	one.point = f.Point[i : i+q.horizon]
	for h := range q.horizon {
		all := f.QuantilesAt(i + h)
		for _, l := range q.levels {
			one.quantiles = append(one.quantiles, all[slices.Index(f.Levels, l)])
		}
	}
	return one
}

// MarshalJSON writes the answer of POST /v1/forecast; numbers that are not finite are null.
func (a *answer) MarshalJSON() ([]byte, error) { return a.append(nil), nil }

func (a *answer) append(b []byte) []byte {
	b = append(b, `{"model":`...)
	b = appendText(b, a.view.name)
	b = append(b, `,"horizon":`...)
	b = strconv.AppendInt(b, int64(a.horizon), 10)
	b = append(b, `,"series":[`...)
	for i := range a.series {
		if i > 0 {
			b = append(b, ',')
		}
		b = a.appendSeries(b, &a.series[i])
	}
	b = append(b, ']')
	b = a.appendTotals(b)
	b = append(b, `,"warnings":[`...)
	for i, w := range a.warnings {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, w)
	}
	return append(b, "]}"...)
}

func (a *answer) appendSeries(b []byte, s *seriesAnswer) []byte {
	b = append(b, `{"id":{`...)
	for k, key := range a.view.history.Keys {
		if k > 0 {
			b = append(b, ',')
		}
		b = appendText(b, key.Name)
		b = append(b, ':')
		b = appendText(b, s.id[k])
	}
	b = append(b, `},"origin":"`...)
	b = appendDay(b, s.origin)
	b = append(b, '"')
	b = a.appendSteps(b, s.dates, s.point, s.quantiles)
	if d := s.drivers; d != nil {
		b = append(b, `,"drivers":{"base":`...)
		b = appendNumbers(b, d.base, s.first, 1, len(s.point))
		for g, name := range d.groups {
			b = append(b, ',')
			b = appendText(b, name)
			b = append(b, ':')
			b = appendNumbers(b, d.parts, s.first*len(d.groups)+g, len(d.groups), len(s.point))
		}
		b = append(b, '}')
	}
	return append(b, '}')
}

// appendSteps writes dates, forecasts and quantiles, which have one row of levels per date.
func (a *answer) appendSteps(b []byte, dates []calendar.Day, point, quantiles []float64) []byte {
	b = append(b, `,"dates":[`...)
	for h, d := range dates {
		if h > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = appendDay(b, d)
		b = append(b, '"')
	}
	b = append(b, `],"forecast":`...)
	b = appendNumbers(b, point, 0, 1, len(point))
	b = append(b, `,"quantiles":{`...)
	for l, level := range a.levels {
		if l > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = strconv.AppendFloat(b, level, 'g', -1, 64)
		b = append(b, `":`...)
		b = appendNumbers(b, quantiles, l, len(a.levels), len(point))
	}
	return append(b, '}')
}

// appendNumbers writes n values of v from index first on, stride apart.
func appendNumbers(b []byte, v []float64, first, stride, n int) []byte {
	b = append(b, '[')
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendNumber(b, v[first+i*stride])
	}
	return append(b, ']')
}

func appendNumber(b []byte, v float64) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(b, "null"...)
	}
	return strconv.AppendFloat(b, v, 'g', -1, 64)
}

func appendDay(b []byte, d calendar.Day) []byte {
	y, m, day := d.Date()
	return append(b, byte('0'+y/1000), byte('0'+y/100%10), byte('0'+y/10%10), byte('0'+y%10), '-', byte('0'+int(m)/10), byte('0'+int(m)%10), '-', byte('0'+day/10), byte('0'+day%10))
}

func appendText(b []byte, s string) []byte {
	q, err := json.Marshal(s)
	if err != nil {
		return append(b, `""`...)
	}
	return append(b, q...)
}
