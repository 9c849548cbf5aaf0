package panel_test

import (
	"math"
	"testing"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

// sold builds a panel of one series that sold one unit on each of these days, and another that reaches the last day.
func sold(t *testing.T, last calendar.Day, days ...calendar.Day) *panel.Panel {
	t.Helper()
	b, err := panel.NewBuilder(panel.Schema{Keys: []string{"item"}}, panel.BuilderOptions{Frequency: "D"})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range days {
		if err := b.AddText([]string{"a"}, nil, d, 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.AddText([]string{"z"}, nil, last, 1, nil); err != nil {
		t.Fatal(err)
	}
	p, err := b.Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestEnded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		days   []calendar.Day
		after  int
		origin calendar.Step
		want   bool
	}{
		"eight weeks of silence":               {[]calendar.Day{0, 1, 2}, 0, 58, false},
		"and a day":                            {[]calendar.Day{0, 1, 2}, 0, 59, true},
		"it was silent for as long before":     {[]calendar.Day{0, 100}, 0, 300, false},
		"but not for half as long":             {[]calendar.Day{0, 100}, 0, 301, true},
		"a policy does not look at the past":   {[]calendar.Day{0, 100}, 30, 131, true},
		"a policy is met and not yet exceeded": {[]calendar.Day{0, 100}, 30, 130, false},
		"nothing ends":                         {[]calendar.Day{0}, -1, 400, false},
		"what is sold later is not known":      {[]calendar.Day{0, 1, 399}, 0, 200, true},
		"it has not begun":                     {[]calendar.Day{300}, 0, 200, false},
	} {
		p := sold(t, 400, c.days...)
		p.EndedAfter = c.after
		if got := p.Ended(0, c.origin); got != c.want {
			t.Errorf("%s: ended is %t", name, got)
		}
	}
}

// A sale beside an empty shelf is unknown, whatever the policy for absent rows; its covariates stand. The flag is no covariate.
func TestEmptyShelf(t *testing.T) {
	t.Parallel()
	for _, missing := range []panel.Missing{panel.Zero, panel.Carry, panel.Leave} {
		told := 0
		b, err := panel.NewBuilder(panel.Schema{Keys: []string{"item"}, Covariates: []panel.Attribute{
			{Name: "promo", Role: panel.KnownFuture}, {Name: "out", Role: panel.Stockout}, {Name: "rain", Role: panel.PastOnly},
		}}, panel.BuilderOptions{Frequency: "D", Missing: missing, NewSeries: true, Report: func(e panel.Event) {
			if e.Kind == panel.EmptyShelf {
				told++
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		nan := float32(math.NaN())
		for d, out := range []float32{0, 1, nan, 0} {
			if err := b.AddText([]string{"a"}, nil, calendar.Day(d), float32(10+d), []float32{float32(d), out, float32(100 + d)}); err != nil {
				t.Fatal(err)
			}
		}
		// A series that is planned alone begins with its plan; a flag beside no sale says nothing.
		for d := range calendar.Day(3) {
			if err := b.AddText([]string{"new"}, nil, 3+d, nan, []float32{7, 1, nan}); err != nil {
				t.Fatal(err)
			}
		}
		p, err := b.Build(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if told != 1 || len(p.Covariates) != 2 || p.Covariates[0].Name != "promo" || p.Covariates[1].Name != "rain" {
			t.Fatalf("%d told, covariates %+v", told, p.Covariates)
		}
		for d := range 4 {
			cut := d == 1
			if p.Observed[d] == cut || math.IsNaN(float64(p.Target[d])) != cut || p.Covariates[0].Values[d] != float32(d) || p.Covariates[1].Values[d] != float32(100+d) {
				t.Errorf("%s, day %d: %v, observed %t, %v, %v", missing, d, p.Target[d], p.Observed[d], p.Covariates[0].Values[d], p.Covariates[1].Values[d])
			}
		}
		lo, hi := p.Span(1)
		if p.Start[1] != 4 || hi-lo != 2 || p.Observed[lo] || p.Covariates[0].Values[lo] != 7 {
			t.Errorf("the new series begins at %d with %d rows", p.Start[1], hi-lo)
		}
	}
}
