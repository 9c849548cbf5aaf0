package panel

import (
	"fmt"
	"strings"

	"salescast/pkg/calendar"
)

// dayCensus counts what days there are, enough to tell a grid without keeping them.
type dayCensus struct {
	rows     int64
	weekday  [7]int64
	firsts   int64 // first days of a month
	last     calendar.Day
	lastIs1  bool
	distinct int // capped at 2
	one      calendar.Day
}

func (c *dayCensus) add(d calendar.Day) {
	if c.rows == 0 {
		c.one, c.distinct = d, 1
	}
	if d != c.one {
		c.distinct = 2
	}
	if c.rows == 0 || d != c.last {
		c.last = d
		_, _, day := d.Date()
		c.lastIs1 = day == 1
	}
	c.rows++
	c.weekday[d.Weekday()]++
	if c.lastIs1 {
		c.firsts++
	}
}

var weekdays = [...]string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}

// busiest returns the weekday with most rows and how many weekdays have any.
func (c *dayCensus) busiest() (day, used int) {
	for w, n := range c.weekday {
		if n > 0 {
			used++
		}
		if n > c.weekday[day] {
			day = w
		}
	}
	return day, used
}

func (c *dayCensus) frequency(want string) (calendar.Frequency, error) {
	day, used := c.busiest()
	if want == "" {
		switch {
		case c.distinct < 2:
			return calendar.Frequency{}, &FrequencyError{"the frequency cannot be told from a single date"}
		case c.firsts == c.rows:
			return calendar.Frequency{Unit: calendar.Monthly}, nil
		case used == 1:
			return calendar.Frequency{Unit: calendar.Weekly, Anchor: day}, nil
		}
		return calendar.Frequency{Unit: calendar.Daily}, nil
	}
	f, anchored, err := calendar.ParseFrequency(want)
	if err != nil {
		return f, err
	}
	switch f.Unit {
	case calendar.Daily:
	case calendar.Weekly:
		if !anchored {
			f.Anchor = day
		}
		if off := c.rows - c.weekday[f.Anchor]; off*2 > c.rows || (!anchored && used > 1 && off*100 > c.rows) {
			return f, &FrequencyError{fmt.Sprintf("frequency %s is asked for, but %d of %d rows begin their week on another day than %s (%s)",
				want, off, c.rows, weekdays[f.Anchor], c.spread())}
		}
	case calendar.Monthly:
		if off := c.rows - c.firsts; off*2 > c.rows {
			return f, &FrequencyError{fmt.Sprintf("frequency %s is asked for, but %d of %d rows are not on the first of a month", want, off, c.rows)}
		}
	}
	return f, nil
}

func (c *dayCensus) spread() string {
	var b strings.Builder
	for w, n := range c.weekday {
		if n > 0 {
			if b.Len() > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "%s %d", weekdays[w], n)
		}
	}
	return b.String()
}
