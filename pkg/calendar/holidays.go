package calendar

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rickar/cal/v2"
)

// Holiday is a public holiday on one day.
type Holiday struct {
	Day  Day
	Name string
}

// HolidayCalendar knows the public holidays of one country.
type HolidayCalendar struct {
	country string
	rules   []*cal.Holiday
}

// Holidays returns the public holidays of a country by its ISO 3166-1 code, or of a part of Germany or Australia by its ISO 3166-2
// code such as DE-BY; upper or lower case. Australia has no holidays but its parts'.
func Holidays(country string) (*HolidayCalendar, error) {
	c := strings.ToUpper(strings.TrimSpace(country))
	rules, ok := rules[c]
	if !ok {
		return nil, fmt.Errorf("public holidays of country %q are not known; known are %s, DE-BW to DE-TH and AU-ACT to AU-WA", country, strings.Join(countries(), ", "))
	}
	return &HolidayCalendar{country: c, rules: rules}, nil
}

// Country returns the code in upper case.
func (h *HolidayCalendar) Country() string { return h.country }

// Between returns the holidays on days from first to last, by day and name. A holiday that is observed on another day, because it falls
// on a weekend, is there on both: shops and customers keep the one, offices the other.
func (h *HolidayCalendar) Between(first, last Day) []Holiday {
	from, _, _ := first.Date()
	to, _, _ := last.Date()
	var out []Holiday
	add := func(t time.Time, name string) {
		if d := FromTime(t); !t.IsZero() && d >= first && d <= last {
			out = append(out, Holiday{Day: d, Name: name})
		}
	}
	for year := from - 1; year <= to+1; year++ { // a new year's day may be observed in the old year
		for _, r := range h.rules {
			actual, observed := r.Calc(year)
			add(actual, r.Name)
			if !observed.Equal(actual) {
				add(observed, r.Name+" (observed)")
			}
		}
	}
	slices.SortFunc(out, func(a, b Holiday) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), strings.Compare(a.Name, b.Name))
	})
	return slices.Compact(out)
}

// Name returns the name of the holiday on d; ok is false where there is none. Use Between for many days.
func (h *HolidayCalendar) Name(d Day) (name string, ok bool) {
	if v := h.Between(d, d); len(v) > 0 {
		return v[0].Name, true
	}
	return "", false
}

// Easter returns Easter Sunday of the Gregorian calendar, by the anonymous algorithm of Nature, 20 April 1876.
func Easter(year int) Day {
	a, b, c := year%19, year/100, year%100
	d, e := b/4, b%4
	f := (b + 8) / 25
	g := (b - f + 1) / 3
	h := (19*a + b - d - g + 15) % 30
	i, k := c/4, c%4
	l := (32 + 2*e + 2*i - h - k) % 7
	m := (a + 11*h + 22*l) / 451
	n := h + l - 7*m + 114
	return civil(year, n/31, n%31+1)
}

// SinceEaster returns the days from the nearest Easter Sunday to d: negative before it, positive after it.
func (d Day) SinceEaster() int {
	year, _, _ := d.Date()
	nearest := int(d - Easter(year))
	for _, y := range [...]int{year - 1, year + 1} {
		if n := int(d - Easter(y)); max(n, -n) < max(nearest, -nearest) {
			nearest = n
		}
	}
	return nearest
}

// Thanksgiving returns the fourth Thursday of November, as kept in the United States.
func Thanksgiving(year int) Day {
	first := civil(year, 11, 1)
	return first + Day((3-first.Weekday()+7)%7) + 21
}

// BlackFriday returns the day after Thanksgiving.
func BlackFriday(year int) Day { return Thanksgiving(year) + 1 }

// CyberMonday returns the Monday after Thanksgiving.
func CyberMonday(year int) Day { return Thanksgiving(year) + 4 }
