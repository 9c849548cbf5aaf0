package calendar_test

import (
	"testing"

	"salescast/pkg/calendar"
)

// every form that names all of a frequency.
func frequencies(t *testing.T) []calendar.Frequency {
	t.Helper()
	var out []calendar.Frequency
	for _, s := range []string{"D", "W-MON", "W-THU", "W-SUN", "M", "ME", "QS-JAN", "QS-FEB", "QE-MAR", "QE-JAN", "YS-JAN", "YS-APR", "YE-JAN", "YE-OCT"} {
		f, _, err := calendar.ParseFrequency(s)
		if err != nil {
			t.Fatal(err)
		}
		if f.String() != s {
			t.Errorf("%s comes back as %s", s, f)
		}
		var again calendar.Frequency
		if err := again.UnmarshalText([]byte(s)); err != nil || again != f {
			t.Errorf("%s is read as %+v, %v", s, again, err)
		}
		out = append(out, f)
	}
	return out
}

// Steps follow each other, are called by one of their days, and hold every day from the day after the step before to their last.
func TestStepsPartitionTheDays(t *testing.T) {
	t.Parallel()
	for _, f := range frequencies(t) {
		for d := calendar.DateOf(1899, 12, 1); d < calendar.DateOf(1905, 3, 1); d++ {
			s := f.Floor(d)
			if next := f.Floor(d + 1); next != s && next != s+1 {
				t.Fatalf("%s: %v is of step %d, the next day of %d", f, d, s, next)
			}
			if got := f.Floor(f.Day(s)); got != s {
				t.Fatalf("%s: step %d is called by %v, which is of step %d", f, s, f.Day(s), got)
			}
			step, ok := f.Step(d)
			if ok != (f.Day(s) == d) || ok && step != s {
				t.Fatalf("%s: %v is step %d, %t; the step that holds it is %d, called by %v", f, d, step, ok, s, f.Day(s))
			}
			if begins := f.Floor(d-1) != s; f.End && ok != (f.Floor(d+1) != s) || !f.End && ok != begins {
				t.Fatalf("%s: %v calls a step: %t", f, d, ok)
			}
		}
	}
}

func TestAnchors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ f, day, next string }{
		{"M", "2024-02-01", "2024-03-01"},
		{"ME", "2024-01-31", "2024-02-29"},
		{"QS-JAN", "2024-10-01", "2025-01-01"},
		{"QE-JAN", "2023-12-31", "2024-03-31"},
		{"QS-FEB", "2024-02-01", "2024-05-01"},
		{"QE-FEB", "2024-01-31", "2024-04-30"},
		{"YS-APR", "2023-04-01", "2024-04-01"},
		{"YE-JAN", "2023-12-31", "2024-12-31"},
		{"YE-APR", "2024-03-31", "2025-03-31"},
	} {
		f, _, err := calendar.ParseFrequency(c.f)
		if err != nil {
			t.Fatal(err)
		}
		d, err := calendar.ParseDay(c.day)
		if err != nil {
			t.Fatal(err)
		}
		s, ok := f.Step(d)
		if !ok || f.Day(s+1).String() != c.next {
			t.Errorf("%s: after %s (a step: %t) comes %v, want %s", c.f, c.day, ok, f.Day(s+1), c.next)
		}
	}
	for _, bad := range []string{"", "H", "W-MAY", "M-JAN", "QS-APR", "Y-", "D-MON", "2W"} {
		if f, _, err := calendar.ParseFrequency(bad); err == nil {
			t.Errorf("%q is read as %s", bad, f)
		}
	}
}
