package calendar

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Unit is the length of one step of a regular grid.
type Unit uint8

// The units that sales are kept in.
const (
	Daily Unit = iota + 1
	Weekly
	Monthly
	Quarterly
	Yearly
)

// Frequency is a regular grid of days: every day, every week on one weekday, or the first or last day of every month, quarter or year.
// The zero value is no frequency.
type Frequency struct {
	Unit Unit
	// Anchor is the weekday on which a weekly step begins, Monday = 0; the month with which a quarter begins, January = 0, up to 2, or a
	// year, up to 11; 0 for other units.
	Anchor int
	// End says that months, quarters and years are called by their last day.
	End bool
}

// Step is the ordinal of a step on its frequency's grid. Steps of one frequency are consecutive integers.
type Step int32

var (
	anchors = [...]string{"MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"}
	months  = [...]string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}
)

// Frequencies are the forms that [ParseFrequency] reads, but for those that name a month.
func Frequencies() []string {
	return []string{"D", "W", "W-MON", "W-TUE", "W-WED", "W-THU", "W-FRI", "W-SAT", "W-SUN", "M", "MS", "ME", "Q", "QS", "QE", "Y", "YS", "YE"}
}

// ParseFrequency reads D, W, W-MON to W-SUN, M, Q and Y. MS, QS and YS are called by their first day, ME, QE and YE by their last; a
// month after a dash, as in QS-FEB or YS-APR, is the one that they begin with. anchored is false where the weekday, the month, or
// the side is for the data to tell: of W, M, Q, QS, QE, Y, YS and YE.
func ParseFrequency(s string) (f Frequency, anchored bool, err error) {
	unit, anchor, named := strings.Cut(strings.ToUpper(strings.TrimSpace(s)), "-")
	at := -1
	switch unit {
	case "D":
		f.Unit = Daily
	case "W":
		f.Unit, at = Weekly, slices.Index(anchors[:], anchor)
	case "M", "MS", "ME":
		f.Unit = Monthly
	case "Q", "QS", "QE":
		if f.Unit, at = Quarterly, slices.Index(months[:], anchor); at > 2 {
			at = -1
		}
	case "Y", "YS", "YE":
		f.Unit, at = Yearly, slices.Index(months[:], anchor)
	}
	if f.Unit == 0 || named && at < 0 {
		return Frequency{}, false, fmt.Errorf("frequency %q is not one of D, W, W-MON to W-SUN, M, MS, ME, Q, QS, QE, Y, YS, YE", s)
	}
	f.Anchor, f.End = max(0, at), strings.HasSuffix(unit, "E")
	return f, named || unit == "D" || unit == "MS" || unit == "ME", nil
}

// String returns D, W-MON to W-SUN, M, ME, QS-JAN to QS-MAR, QE-JAN to QE-MAR, YS-JAN to YS-DEC, or YE-JAN to YE-DEC.
func (f Frequency) String() string {
	side := "S"
	if f.End {
		side = "E"
	}
	switch f.Unit {
	case Daily:
		return "D"
	case Weekly:
		return "W-" + anchors[f.Anchor]
	case Monthly:
		if f.End {
			return "ME"
		}
		return "M"
	case Quarterly:
		return "Q" + side + "-" + months[f.Anchor]
	case Yearly:
		return "Y" + side + "-" + months[f.Anchor]
	}
	return "none"
}

// MarshalText returns String.
func (f Frequency) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText parses the form that MarshalText writes.
func (f *Frequency) UnmarshalText(b []byte) error {
	v, _, err := ParseFrequency(string(b))
	if err == nil {
		*f = v
	}
	return err
}

// months is the length of a step in months; 0 of days and weeks.
func (f Frequency) months() int {
	switch f.Unit {
	case Monthly:
		return 1
	case Quarterly:
		return 3
	case Yearly:
		return 12
	case Daily, Weekly:
	}
	return 0
}

// Step returns the step that is called by d; ok is false where none is.
func (f Frequency) Step(d Day) (s Step, ok bool) {
	switch f.Unit {
	case Daily:
		return Step(d), true
	case Weekly:
		n := int(d) + 3 - f.Anchor // 1970-01-01 was a Thursday: d+3 counts from a Monday
		q := floorDiv(n, 7)
		return Step(q), n == q*7
	case Monthly, Quarterly, Yearly:
		s = f.Floor(d)
		return s, f.Day(s) == d
	}
	return 0, false
}

// Day returns the day by which step s is called: its first, or with End its last.
func (f Frequency) Day(s Step) Day {
	switch f.Unit {
	case Daily:
		return Day(s)
	case Weekly:
		return Day(int(s)*7 - 3 + f.Anchor)
	case Monthly, Quarterly, Yearly:
		first := int(s)*f.months() + f.Anchor
		if f.End {
			return DateOf(1970, time.Month(first+f.months()+1), 1) - 1
		}
		return DateOf(1970, time.Month(first+1), 1)
	}
	return 0
}

// Season returns the length in steps of the short season: 7 for days, 1 (none) for all others.
func (f Frequency) Season() int {
	if f.Unit == Daily {
		return 7
	}
	return 1
}

// Year returns the length in steps of a year that keeps the short season: 364 days, 52 weeks, 12 months, 4 quarters, 1 year.
func (f Frequency) Year() int {
	switch f.Unit {
	case Daily:
		return 364
	case Weekly:
		return 52
	case Quarterly:
		return 4
	case Yearly:
		return 1
	case Monthly:
	}
	return 12
}

// Cycle returns the length in steps of the shortest season that there is: 7 days, 52 weeks, 12 months, 4 quarters, 1 (none) of years.
func (f Frequency) Cycle() int {
	if f.Season() > 1 {
		return f.Season()
	}
	return f.Year()
}

func floorDiv(a, b int) int {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}

// Floor returns the step that holds d.
func (f Frequency) Floor(d Day) Step {
	switch f.Unit {
	case Weekly:
		return Step(floorDiv(int(d)+3-f.Anchor, 7))
	case Monthly, Quarterly, Yearly:
		y, m, _ := d.Date()
		return Step(floorDiv((y-1970)*12+int(m)-1-f.Anchor, f.months()))
	case Daily:
	}
	return Step(d)
}
