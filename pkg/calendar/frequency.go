package calendar

import (
	"fmt"
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
)

// Frequency is a regular grid of days: every day, every week on one weekday, or the first of every month.
// The zero value is no frequency.
type Frequency struct {
	Unit Unit
	// Anchor is the weekday on which a weekly step begins, Monday = 0; 0 for other units.
	Anchor int
}

// Step is the ordinal of a step on its frequency's grid. Steps of one frequency are consecutive integers.
type Step int32

var anchors = [...]string{"MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"}

// ParseFrequency reads D, W, W-MON to W-SUN, or M. anchored is false for a bare W, whose weekday is for the data to tell.
func ParseFrequency(s string) (f Frequency, anchored bool, err error) {
	u := strings.ToUpper(strings.TrimSpace(s))
	switch {
	case u == "D":
		return Frequency{Unit: Daily}, true, nil
	case u == "M" || u == "MS":
		return Frequency{Unit: Monthly}, true, nil
	case u == "W":
		return Frequency{Unit: Weekly}, false, nil
	case strings.HasPrefix(u, "W-"):
		for i, a := range anchors {
			if u[2:] == a {
				return Frequency{Unit: Weekly, Anchor: i}, true, nil
			}
		}
	}
	return Frequency{}, false, fmt.Errorf("frequency %q is not one of D, W, W-MON to W-SUN, M", s)
}

// String returns D, W-MON to W-SUN, or M.
func (f Frequency) String() string {
	switch f.Unit {
	case Daily:
		return "D"
	case Weekly:
		return "W-" + anchors[f.Anchor]
	case Monthly:
		return "M"
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

// Step returns the step that begins on d; ok is false where no step begins on that day.
func (f Frequency) Step(d Day) (s Step, ok bool) {
	switch f.Unit {
	case Daily:
		return Step(d), true
	case Weekly:
		n := int(d) + 3 - f.Anchor // 1970-01-01 was a Thursday: d+3 counts from a Monday
		q := floorDiv(n, 7)
		return Step(q), n == q*7
	case Monthly:
		y, m, day := d.Date()
		return Step((y-1970)*12 + int(m) - 1), day == 1
	}
	return 0, false
}

// Day returns the day on which step s begins.
func (f Frequency) Day(s Step) Day {
	switch f.Unit {
	case Daily:
		return Day(s)
	case Weekly:
		return Day(int(s)*7 - 3 + f.Anchor)
	case Monthly:
		return DateOf(1970, time.Month(int(s)+1), 1)
	}
	return 0
}

// Season returns the length in steps of the short season: 7 for days, 1 (none) for weeks and months.
func (f Frequency) Season() int {
	if f.Unit == Daily {
		return 7
	}
	return 1
}

// Year returns the length in steps of a year that keeps the short season: 364 days, 52 weeks, 12 months.
func (f Frequency) Year() int {
	switch f.Unit {
	case Daily:
		return 364
	case Weekly:
		return 52
	case Monthly:
	}
	return 12
}

// Cycle returns the length in steps of the shortest season that there is: 7 days, 52 weeks, 12 months.
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

// Floor returns the step that holds d: the last one that begins on it or before.
func (f Frequency) Floor(d Day) Step {
	switch f.Unit {
	case Weekly:
		return Step(floorDiv(int(d)+3-f.Anchor, 7))
	case Monthly:
		y, m, _ := d.Date()
		return Step((y-1970)*12 + int(m) - 1)
	case Daily:
	}
	return Step(d)
}
