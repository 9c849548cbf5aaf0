package panel

import (
	"math"

	"salescast/pkg/calendar"
)

const (
	// closedYear is how many days back a weekday must be without a sale to be closed.
	closedYear = 364
	// closedWeeks is the least number of dates of a weekday that say anything of it.
	closedWeeks = 8
	// closedDoubt is the logarithm of the chance, one in ten thousand, that a weekday on which a series sells as often as on its others
	// shows no sale.
	closedDoubt = -9.2
)

// ClosedWeekdays are the weekdays, Monday first, on which series s was not sold in the year up to origin, although it would have been
// with a chance of one in ten thousand if they were like its other days: the shop is shut. Rows that are absent, unknown and 0 count alike. All are open in
// weekly and coarser data.
func (p *Panel) ClosedWeekdays(s int, origin calendar.Step) (closed [7]bool) {
	lo, hi := p.Span(s)
	n := min(hi, lo+max(0, int(origin-p.Start[s])+1)) - lo
	from := max(0, n-closedYear)
	return closedWeekdays(p.Frequency, p.Start[s]+calendar.Step(from), p.Target[lo+from:lo+n], p.Observed[lo+from:lo+n])
}

func closedWeekdays(f calendar.Frequency, start calendar.Step, target []float32, observed []bool) (closed [7]bool) {
	if f.Unit != calendar.Daily {
		return closed
	}
	var dates, sold [7]int
	day := f.Day(start).Weekday()
	for i, y := range target {
		w := (day + i) % 7
		dates[w]++
		if observed[i] && y > 0 {
			sold[w]++
		}
	}
	all, some := 0, 0
	for w, n := range sold {
		if n > 0 {
			all, some = all+dates[w], some+n
		}
	}
	if some == 0 {
		return closed
	}
	never := math.Log1p(-min(float64(some)/float64(all), 1-1e-9))
	for w, n := range sold {
		closed[w] = n == 0 && dates[w] >= closedWeeks && float64(dates[w])*never < closedDoubt
	}
	return closed
}
