package calendar

import (
	"fmt"
	"time"
)

// Day is a civil date, counted in days since 1970-01-01. It has no time zone.
type Day int32

// DateOf returns the Day of a civil date; out-of-range values normalise as in [time.Date].
func DateOf(year int, month time.Month, day int) Day {
	return Day(time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Unix() / 86400)
}

// FromTime returns the civil date of t in t's own location.
func FromTime(t time.Time) Day { return DateOf(t.Year(), t.Month(), t.Day()) }

// Time returns midnight UTC of the day.
func (d Day) Time() time.Time { return time.Unix(int64(d)*86400, 0).UTC() }

// Date returns the civil year, month and day of the month.
func (d Day) Date() (year int, month time.Month, day int) {
	// civil_from_days of Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms"
	z := int(d) + 719468
	era := floorDiv(z, 146097)
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	day = doy - (153*mp+2)/5 + 1
	m := mp + 3
	if mp >= 10 {
		m = mp - 9
	}
	year = yoe + era*400
	if m <= 2 {
		year++
	}
	return year, time.Month(m), day
}

// Weekday returns the day of the week, Monday = 0 to Sunday = 6.
func (d Day) Weekday() int { return int(((d+3)%7 + 7) % 7) }

// YearDay returns the day of the year, 1 to 366.
func (d Day) YearDay() int {
	y, _, _ := d.Date()
	return int(d-civil(y, 1, 1)) + 1
}

// ISOWeek returns the ISO 8601 week, 1 to 53, and the year it belongs to.
func (d Day) ISOWeek() (year, week int) {
	thursday := d + Day(3-d.Weekday())
	year, _, _ = thursday.Date()
	return year, (thursday.YearDay()-1)/7 + 1
}

// String returns the ISO 8601 form, 2006-01-02.
func (d Day) String() string { return d.Time().Format(time.DateOnly) }

// MarshalText and UnmarshalText use the ISO 8601 form.
func (d Day) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText parses an ISO 8601 date.
func (d *Day) UnmarshalText(b []byte) error {
	v, err := ParseDay(string(b))
	if err == nil {
		*d = v
	}
	return err
}

// ParseDay parses an ISO 8601 civil date, YYYY-MM-DD, and refuses dates that do not exist.
func ParseDay(s string) (Day, error) {
	if len(s) != 10 || s[4] != '-' || s[7] != '-' {
		return 0, fmt.Errorf("date %q is not of the form YYYY-MM-DD", s)
	}
	y, ok1 := digits(s[:4])
	m, ok2 := digits(s[5:7])
	d, ok3 := digits(s[8:])
	if !ok1 || !ok2 || !ok3 {
		return 0, fmt.Errorf("date %q is not of the form YYYY-MM-DD", s)
	}
	if m < 1 || m > 12 || d < 1 || d > daysIn(y, m) {
		return 0, fmt.Errorf("date %q does not exist", s)
	}
	return civil(y, m, d), nil
}

func digits(s string) (int, bool) {
	n := 0
	for i := range len(s) {
		c := s[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

func daysIn(y, m int) int {
	switch m {
	case 2:
		if y%4 == 0 && (y%100 != 0 || y%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// civil is days_from_civil of Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": no time.Time on the hot path.
func civil(y, m, d int) Day {
	if m <= 2 {
		y--
	}
	era := y / 400
	if y < 0 {
		era = (y - 399) / 400
	}
	yoe := y - era*400
	mp := (m + 9) % 12
	doy := (153*mp+2)/5 + d - 1
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	return Day(era*146097 + doe - 719468)
}
