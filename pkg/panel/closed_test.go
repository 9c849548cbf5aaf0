package panel_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

// plain builds a panel without covariates.
func plain(t *testing.T, rows []sale) *panel.Panel {
	t.Helper()
	b, err := panel.NewBuilder(panel.Schema{Keys: []string{"store", "item"}}, panel.BuilderOptions{Frequency: "D"})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, r := range rows {
		if err := b.AddText([]string{r.store, r.item}, nil, r.day, r.y, nil); err != nil {
			t.Fatal(err)
		}
	}
	p, err := b.Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A shop that is shut on Sundays gives the same panel whether its table has no rows for them or rows with 0, and the weekday is told from either.
func TestShutWeekdays(t *testing.T) {
	t.Parallel()
	monday := calendar.DateOf(2024, 1, 1)
	var without, with []sale
	for d := range 140 {
		s := sale{"a", "x", monday + calendar.Day(d), float32(5 + d%11), 0}
		if d%7 == 6 {
			s.y = 0
			with = append(with, s)
			continue
		}
		without, with = append(without, s), append(with, s)
	}
	p, q := plain(t, without), plain(t, with[:len(with)-1])
	if dump(p) != dump(q) {
		t.Errorf("rows with 0 for Sundays make another panel:\n%s%s", dump(p), dump(q))
	}
	end, _ := p.End()
	if got := p.ClosedWeekdays(0, end); got != [7]bool{6: true} {
		t.Errorf("closed are %v", got)
	}
	if got := p.ClosedWeekdays(0, p.Start[0]+40); got != [7]bool{} {
		t.Errorf("five Sundays say that closed are %v", got)
	}
	// One sale on a Sunday, and it is open.
	with[6].y = 3
	q = plain(t, with)
	end, _ = q.End()
	if q.ClosedWeekdays(0, end) != [7]bool{} || slices.Contains(q.Observed, false) {
		t.Error("a Sunday with a sale is closed")
	}
}

// Series that sell seldom are not taken to be shut on the weekdays that chance left out.
func TestChanceShutsNoWeekday(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	shut := 0
	const series = 2000
	for range series {
		var rows []sale
		rate := []float64{0.01, 0.03, 0.1, 0.3}[rng.IntN(4)]
		for d := range 100 + rng.IntN(400) {
			s := sale{"a", "x", calendar.Day(18000 + d), 0, 0}
			if rng.Float64() < rate || d == 0 {
				s.y = 1
			}
			rows = append(rows, s)
		}
		p := plain(t, rows)
		end, _ := p.End()
		if p.ClosedWeekdays(0, end) != [7]bool{} {
			shut++
		}
	}
	if shut > series/200 {
		t.Errorf("%d of %d series are taken to be shut on a weekday", shut, series)
	}
}
