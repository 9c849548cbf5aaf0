package feature

import (
	"fmt"
	"math"
	"slices"

	"salescast/pkg/calendar"
)

// dateColumn is a feature of the target's date alone: it is laid out once per step.
type dateColumn uint8

const (
	dayOfYear dateColumn = iota + 1
	month
	sinceEaster
	weekday
	dayOfMonth
	weekOfMonth
	year
	quarter
	weekOfYear
	isWeekend
	monthSin
	monthCos
	daySin
	dayCos
	weekdaySin
	weekdayCos
	holidays
	toHoliday
	sinceHoliday
)

// dateReach is the number of days beyond which the distance to Easter or to a holiday says no more.
const dateReach = 60

// dateTable holds the plan's date columns for steps from first on.
type dateTable struct {
	first  calendar.Step
	steps  int
	values [][]float32 // in the order of plan.dates
}

// datesOf returns the values of the plan's dates, at the steps first to last or more.
func (p *Plan) datesOf(first, last calendar.Step) (dateTable, error) {
	if t := p.table.Load(); t != nil && t.covers(first, last) {
		return *t, nil
	}
	t, err := newDateTable(p, first, last)
	if err == nil {
		p.table.Store(&t)
	}
	return t, err
}

func (t dateTable) covers(first, last calendar.Step) bool {
	return first >= t.first && last < t.first+calendar.Step(t.steps)
}

func newDateTable(p *Plan, first, last calendar.Step) (dateTable, error) {
	t := dateTable{first: first, steps: int(last-first) + 1}
	f := p.schema.Frequency
	days := make([]calendar.Day, t.steps+1)
	for i := range days {
		days[i] = f.Day(first + calendar.Step(i))
	}
	for _, c := range p.dates {
		v := make([]float32, t.steps)
		if c >= holidays {
			if err := holidayColumn(c, p.schema.Country, days, v); err != nil {
				return t, fmt.Errorf("features of dates: %w", err)
			}
		} else {
			for i := range v {
				v[i] = float32(c.of(days[i]))
			}
		}
		t.values = append(t.values, v)
	}
	return t, nil
}

func (c dateColumn) of(d calendar.Day) float64 {
	y, m, dom := d.Date()
	switch c {
	case dayOfYear:
		return float64(d.YearDay())
	case month:
		return float64(m)
	case sinceEaster:
		return float64(max(-dateReach, min(d.SinceEaster(), dateReach)))
	case weekday:
		return float64(d.Weekday())
	case dayOfMonth:
		return float64(dom)
	case weekOfMonth:
		return float64((dom - 1) / 7)
	case year:
		return float64(y)
	case quarter:
		return float64((m-1)/3 + 1)
	case weekOfYear:
		_, w := d.ISOWeek()
		return float64(w)
	case isWeekend:
		return float64(d.Weekday() / 5)
	case monthSin:
		return math.Sin(2 * math.Pi * float64(m) / 12)
	case monthCos:
		return math.Cos(2 * math.Pi * float64(m) / 12)
	case daySin:
		return math.Sin(2 * math.Pi * float64(dom) / 31)
	case dayCos:
		return math.Cos(2 * math.Pi * float64(dom) / 31)
	case weekdaySin:
		return math.Sin(2 * math.Pi * float64(d.Weekday()) / 7)
	case weekdayCos:
		return math.Cos(2 * math.Pi * float64(d.Weekday()) / 7)
	case holidays, toHoliday, sinceHoliday: // not of the date alone
	}
	return missing
}

// holidayColumn fills v for the steps that begin at days; days has one more, the end of the last step.
func holidayColumn(c dateColumn, country string, days []calendar.Day, v []float32) error {
	h, err := calendar.Holidays(country)
	if err != nil {
		return err
	}
	all := h.Between(days[0]-2*dateReach, days[len(days)-1]+2*dateReach)
	all = slices.CompactFunc(all, func(a, b calendar.Holiday) bool { return a.Day == b.Day })
	next := 0 // the first holiday at or after the step's first day
	for i := range v {
		for next < len(all) && all[next].Day < days[i] {
			next++
		}
		v[i] = holidayValue(c, all, next, days[i], days[i+1])
	}
	return nil
}

// holidayValue is the column's value for the step from day from to the day before to; all[next] is the first holiday from then on.
func holidayValue(c dateColumn, all []calendar.Holiday, next int, from, to calendar.Day) float32 {
	if c == holidays {
		n := 0
		for next+n < len(all) && all[next+n].Day < to {
			n++
		}
		return float32(n)
	}
	distance := dateReach
	if next < len(all) && (c == toHoliday || all[next].Day == from) {
		distance = int(all[next].Day - from)
	} else if c == sinceHoliday && next > 0 {
		distance = int(from - all[next-1].Day)
	}
	return float32(min(distance, dateReach))
}

func dateOp(c dateColumn) op {
	return func(b *block, dst []float32) {
		v := b.st.dates.values[slices.Index(b.st.plan.dates, c)]
		for r := range dst {
			dst[r] = v[b.cur[r].date]
		}
	}
}
