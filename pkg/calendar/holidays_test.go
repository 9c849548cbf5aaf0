package calendar_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"salescast/pkg/calendar"
)

// Dates without time.Time are those of time.Time.
func TestDaysAgreeWithTime(t *testing.T) {
	t.Parallel()
	g := rand.New(rand.NewPCG(1, 1))
	for range 200_000 {
		d := calendar.Day(g.IntN(1_500_000) - 750_000)
		at := d.Time()
		y, m, dom := d.Date()
		if y != at.Year() || m != at.Month() || dom != at.Day() {
			t.Fatalf("%d is %d-%d-%d, want %v", d, y, m, dom, at)
		}
		if d.YearDay() != at.YearDay() || d.Weekday() != (int(at.Weekday())+6)%7 {
			t.Fatalf("%v: day of the year %d, weekday %d", at, d.YearDay(), d.Weekday())
		}
		wy, w := at.ISOWeek()
		if gy, gw := d.ISOWeek(); gy != wy || gw != w {
			t.Fatalf("%v: ISO week %d of %d, want %d of %d", at, gw, gy, w, wy)
		}
	}
}

// Easter by the table of the Book of Common Prayer's dates that almanacs print.
func TestEaster(t *testing.T) {
	t.Parallel()
	for _, day := range []string{"1818-03-22", "1943-04-25", "2000-04-23", "2008-03-23", "2011-04-24", "2018-04-01", "2019-04-21", "2024-03-31", "2025-04-20", "2026-04-05", "2038-04-25"} {
		d, err := calendar.ParseDay(day)
		if err != nil {
			t.Fatal(err)
		}
		y, _, _ := d.Date()
		if e := calendar.Easter(y); e != d {
			t.Errorf("Easter %d is %v, want %v", y, e, d)
		}
		for n := -150; n <= 150; n++ {
			if got := (d + calendar.Day(n)).SinceEaster(); got != n {
				t.Fatalf("%v is %d days from Easter, want %d", d+calendar.Day(n), got, n)
			}
		}
	}
}

func TestHolidaysOfCountries(t *testing.T) {
	t.Parallel()
	for _, u := range []struct{ country, day, name string }{
		{"US", "2024-11-28", "Thanksgiving Day"},
		{"us", "2021-07-05", "Independence Day (observed)"},
		{"us", "2021-07-04", "Independence Day"},
		{"US", "2021-12-31", "New Year's Day (observed)"},
		{"DE", "2026-04-03", "Karfreitag"},
		{"DE", "2026-10-03", "Tag der Deutschen Einheit"},
		{"DE-BY", "2026-01-06", "Heilige Drei Könige"},
		{"GB", "2026-12-28", "Boxing Day (observed)"},
		{"DE", "2026-01-06", ""},
		{"FR", "2026-07-14", "Fête Nationale"},
		{"US", "2024-11-29", ""},
	} {
		h, err := calendar.Holidays(u.country)
		if err != nil {
			t.Fatal(err)
		}
		d, err := calendar.ParseDay(u.day)
		if err != nil {
			t.Fatal(err)
		}
		if name, ok := h.Name(d); name != u.name || ok != (u.name != "") {
			t.Errorf("%s %s is %q, want %q", u.country, u.day, name, u.name)
		}
	}
	for _, country := range []string{"", "XX", "Germany", "DE-XX"} {
		if _, err := calendar.Holidays(country); err == nil || !strings.Contains(err.Error(), "known are") {
			t.Errorf("country %q: %v", country, err)
		}
	}
}

// Between is the days that Name names, in order.
func TestBetweenAgreesWithName(t *testing.T) {
	t.Parallel()
	for _, country := range []string{"US", "DE", "GB", "JP", "NZ", "BR"} {
		h, err := calendar.Holidays(country)
		if err != nil {
			t.Fatal(err)
		}
		first, last := calendar.DateOf(2023, time.December, 20), calendar.DateOf(2025, time.January, 10)
		all := h.Between(first, last)
		if !slices.IsSortedFunc(all, func(a, b calendar.Holiday) int { return int(a.Day - b.Day) }) {
			t.Errorf("%s: not in order", country)
		}
		for d := first; d <= last; d++ {
			_, ok := h.Name(d)
			if listed := slices.ContainsFunc(all, func(x calendar.Holiday) bool { return x.Day == d }); ok != listed {
				t.Errorf("%s %v: named %v, listed %v", country, d, ok, listed)
			}
		}
	}
}

func TestShoppingDays(t *testing.T) {
	t.Parallel()
	for _, u := range []struct {
		year  int
		cyber string
	}{{2019, "2019-12-02"}, {2022, "2022-11-28"}, {2023, "2023-11-27"}, {2024, "2024-12-02"}, {2026, "2026-11-30"}} {
		if got := calendar.CyberMonday(u.year); got.String() != u.cyber || got.Weekday() != 0 {
			t.Errorf("Cyber Monday %d is %v, want %s", u.year, got, u.cyber)
		}
		if calendar.BlackFriday(u.year).Weekday() != 4 || calendar.Thanksgiving(u.year).Weekday() != 3 {
			t.Errorf("Thanksgiving %d is %v", u.year, calendar.Thanksgiving(u.year))
		}
	}
}
