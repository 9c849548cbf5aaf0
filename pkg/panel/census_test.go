package panel_test

import (
	"strings"
	"testing"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

// The days decide the frequency, with any anchor, and one that they do not have is an error that says what they have.
func TestDaysDecideTheFrequency(t *testing.T) {
	t.Parallel()
	days := func(f string, skip func(i int) bool) []sale {
		fr, _, err := calendar.ParseFrequency(f)
		if err != nil {
			t.Fatal(err)
		}
		first := fr.Floor(calendar.DateOf(2015, 2, 10))
		var rows []sale
		for i := range 30 {
			if skip == nil || !skip(i) {
				rows = append(rows, sale{"a", "x", fr.Day(first + calendar.Step(i)), float32(i), 0})
			}
		}
		return rows
	}
	for _, f := range []string{"D", "W-MON", "W-SAT", "M", "ME", "QS-JAN", "QS-MAR", "QE-JAN", "QE-FEB", "YS-JAN", "YS-APR", "YE-JAN", "YE-OCT"} {
		for _, asked := range []string{"", f, strings.ToLower(f), f[:1]} {
			p, _, err := build(t, panel.BuilderOptions{Frequency: asked}, days(f, nil))
			if err != nil || p.Frequency.String() != f || p.Rows() != 30 {
				t.Errorf("%s, asked for as %q: %v, %v", f, asked, p, err)
			}
		}
		p, _, err := build(t, panel.BuilderOptions{}, days(f, func(i int) bool { return i == 7 || i == 8 || i == 20 }))
		if err != nil || p.Frequency.String() != f || p.Rows() != 30 {
			t.Errorf("%s with holes: %v, %v", f, p, err)
		}
	}
	for _, c := range []struct{ has, asked, says string }{
		{"QS-JAN", "M", "the dates are quarters"},
		{"QE-JAN", "ME", "the dates are quarters"},
		{"YS-JAN", "M", "the dates are years"},
		{"YE-JAN", "Q", "the dates are years"},
		{"M", "Q", "the dates are months"},
		{"M", "D", "the dates are months"},
		{"ME", "W", "the dates are months"},
		{"W-MON", "D", "the dates are weeks"},
		{"ME", "MS", "not on the first of a month"},
		{"D", "M", "not on the"},
	} {
		if p, _, err := build(t, panel.BuilderOptions{Frequency: c.asked}, days(c.has, nil)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s, asked for as %s: %v, %v; want %q", c.has, c.asked, p, err, c.says)
		}
	}
	for _, c := range []struct {
		has   string
		every int
		says  string
	}{
		{"M", 2, "2 months apart"},
		{"ME", 4, "4 months apart"},
		{"QS-FEB", 2, "6 months apart"},
		{"QE-JAN", 2, "6 months apart"},
		{"YS-APR", 2, "2 years apart"},
		{"YE-JAN", 3, "3 years apart"},
	} {
		for _, asked := range []string{"", c.has, c.has[:1]} {
			p, _, err := build(t, panel.BuilderOptions{Frequency: asked}, days(c.has, func(i int) bool { return i%c.every != 0 }))
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("every %d of %s, asked for as %q: %v, %v; want %q", c.every, c.has, asked, p, err, c.says)
			}
		}
	}
	for _, asked := range []string{"", "W"} {
		if p, _, err := build(t, panel.BuilderOptions{Frequency: asked}, days("W-MON", func(i int) bool { return i%2 == 1 })); err == nil || !strings.Contains(err.Error(), "2 weeks apart") {
			t.Errorf("every second week, asked for as %q: %v, %v", asked, p, err)
		}
	}
}

// What a model is asked about may lie anywhere on its steps.
func TestSettledFrequencyIsNotDoubted(t *testing.T) {
	t.Parallel()
	for _, f := range []string{"D", "W-MON", "M", "ME", "QS-FEB", "QE-JAN", "YS-APR"} {
		fr, _, err := calendar.ParseFrequency(f)
		if err != nil {
			t.Fatal(err)
		}
		first := fr.Floor(calendar.DateOf(2015, 2, 10))
		for gap := range 15 {
			rows := []sale{{"a", "x", fr.Day(first), 1, 0}, {"a", "x", fr.Day(first + calendar.Step(gap+1)), 2, 0}}
			p, _, err := build(t, panel.BuilderOptions{Frequency: f, Settled: true}, rows)
			if err != nil || p.Frequency != fr || p.Rows() != gap+2 {
				t.Errorf("%s, two rows %d steps apart: %v, %v", f, gap+1, p, err)
			}
		}
	}
}
