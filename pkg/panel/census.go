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
	week     [12]int64 // of the Monday's ordinal, to tell weeks from every second one
	month    [12]int64
	year     [12]int64 // of the year's ordinal, to tell years from every second one
	firsts   int64     // first days of a month
	ends     int64     // last days of a month
	last     calendar.Day
	first    bool // whether last is one
	end      bool
	at       int // its month
	in       int // its year
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
		y, m, day := d.Date()
		_, _, next := (d + 1).Date()
		c.first, c.end, c.at = day == 1, next == 1, int(m)-1
		c.in = (y%12 + 12) % 12
	}
	c.rows++
	c.weekday[d.Weekday()]++
	c.month[c.at]++
	c.year[c.in]++
	c.week[((int(d)+3)/7%12+12)%12]++
	if c.first {
		c.firsts++
	}
	if c.end {
		c.ends++
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

// used are the places of what is counted.
func used(counts []int64) []int {
	var out []int
	for i, n := range counts {
		if n > 0 {
			out = append(out, i)
		}
	}
	return out
}

// apart is the longest of the lengths, longest first, that lies between all that is counted, in a circle of twelve; 1 where none does.
func apart(counts []int64, lengths ...int) int {
	in := used(counts)
	for _, every := range lengths {
		one := true
		for _, at := range in {
			one = one && at%every == in[0]%every
		}
		if one {
			return every
		}
	}
	return 1
}

func tooFar(every int, unit string) error {
	return &FrequencyError{fmt.Sprintf("all rows lie %d %s apart, which is no frequency that is forecast: D, W, M, Q and Y are", every, unit)}
}

// monthly is the frequency of days that are all the first, or all the last, of a month: years where they lie in one month, quarters
// where they lie in every third.
func (c *dayCensus) monthly(end bool) (calendar.Frequency, error) {
	f := calendar.Frequency{Unit: calendar.Monthly, End: end}
	begins := used(c.month[:])[0] // the month after the last of a step that is called by its end
	if end {
		begins = (begins + 1) % 12
	}
	switch every := apart(c.month[:], 12, 6, 4, 3, 2); every {
	case 12:
		f.Unit, f.Anchor = calendar.Yearly, begins
		if every := apart(c.year[:], 6, 4, 3, 2); every > 1 && c.distinct > 1 {
			return f, tooFar(every, "years")
		}
	case 3:
		f.Unit, f.Anchor = calendar.Quarterly, begins%3
	case 6, 4, 2:
		return f, tooFar(every, "months")
	}
	return f, nil
}

// told is the frequency that the days have; ok is false where none of longer steps than days is.
func (c *dayCensus) told() (f calendar.Frequency, ok bool, err error) {
	day, weekdays := c.busiest()
	switch {
	case c.rows == 0:
	case c.firsts == c.rows:
		f, err = c.monthly(false)
		return f, err == nil, err
	case c.ends == c.rows:
		f, err = c.monthly(true)
		return f, err == nil, err
	case weekdays == 1:
		if every := apart(c.week[:], 6, 4, 3, 2); every > 1 && c.distinct > 1 {
			return f, false, tooFar(every, "weeks")
		}
		return calendar.Frequency{Unit: calendar.Weekly, Anchor: day}, true, nil
	}
	return calendar.Frequency{Unit: calendar.Daily}, false, nil
}

// frequency is the one that is wanted, or told; settled is one that few rows do not put in doubt, as they may lie far apart.
func (c *dayCensus) frequency(want string, settled bool) (calendar.Frequency, error) {
	if want == "" {
		if c.distinct < 2 {
			return calendar.Frequency{}, &FrequencyError{"the frequency cannot be told from a single date"}
		}
		f, _, err := c.told()
		return f, err
	}
	f, anchored, err := calendar.ParseFrequency(want)
	if err != nil {
		return f, err
	}
	asked := func(format string, a ...any) error {
		return &FrequencyError{fmt.Sprintf("frequency "+want+" is asked for, but "+format, a...)}
	}
	day, weekdaysUsed := c.busiest()
	has, coarse, terr := c.told()
	if settled {
		has, coarse, terr = f, false, nil
	}
	if c.distinct > 1 && terr == nil && coarse && has.Unit > f.Unit {
		return f, asked("the dates are %s", spoken(has))
	}
	switch f.Unit {
	case calendar.Daily:
	case calendar.Weekly:
		if !anchored {
			f.Anchor = day
		}
		if off := c.rows - c.weekday[f.Anchor]; off*2 > c.rows || (!anchored && weekdaysUsed > 1 && off*100 > c.rows) {
			return f, asked("%d of %d rows begin their week on another day than %s (%s)", off, c.rows, weekdays[f.Anchor], c.spread())
		}
		if terr != nil {
			return f, terr
		}
	case calendar.Monthly, calendar.Quarterly, calendar.Yearly:
		if !anchored {
			side := f.End || c.ends > c.firsts && strings.ToUpper(want) != "QS" && strings.ToUpper(want) != "YS"
			if has.Unit == f.Unit && has.End == side {
				f = has
			}
			f.End = side
		}
		on, which := c.firsts, "first"
		if f.End {
			on, which = c.ends, "last"
		}
		if off := c.rows - on; off*2 > c.rows {
			return f, asked("%d of %d rows are not on the %s of a month", off, c.rows, which)
		}
		if terr != nil {
			return f, terr
		}
		if coarse && has.Unit < f.Unit {
			return f, asked("the dates are %s", spoken(has))
		}
	}
	return f, nil
}

// spoken is a frequency as people say it.
func spoken(f calendar.Frequency) string {
	return map[calendar.Unit]string{
		calendar.Daily: "days", calendar.Weekly: "weeks", calendar.Monthly: "months", calendar.Quarterly: "quarters", calendar.Yearly: "years",
	}[f.Unit]
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
