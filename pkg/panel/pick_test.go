package panel_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

// Every row of the series and steps that are picked is there, and no other.
func TestPickSteps(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 5))
	p := &panel.Panel{Offsets: []int{0}, EndedAfter: 9, Keys: []panel.Key{{Name: "item", Levels: []string{"a", "b", "c", "d", "e"}}}, Covariates: []panel.Covariate{{Name: "promo", Role: panel.KnownFuture}}}
	for s := range 5 {
		p.Keys[0].Codes = append(p.Keys[0].Codes, int32(s))
		p.Start = append(p.Start, calendar.Step(100+r.IntN(20)))
		for range r.IntN(30) {
			p.Target, p.Observed = append(p.Target, r.Float32()), append(p.Observed, r.IntN(2) == 0)
			p.Covariates[0].Values = append(p.Covariates[0].Values, r.Float32())
		}
		p.Offsets = append(p.Offsets, len(p.Target))
	}
	for range 200 {
		series := r.Perm(5)[:r.IntN(6)]
		from := calendar.Step(90 + r.IntN(60))
		to := from + calendar.Step(r.IntN(40)-5)
		q := p.PickSteps(series, from, to)
		if q.Series() != len(series) || q.EndedAfter != p.EndedAfter {
			t.Fatalf("%d of %d series", q.Series(), len(series))
		}
		rows := 0
		for i, s := range series {
			if !slices.Equal(q.ID(i), p.ID(s)) {
				t.Fatalf("%v is %v", q.ID(i), p.ID(s))
			}
			for at := from; at <= to; at++ {
				want, ok := p.Row(s, at)
				got, has := q.Row(i, at)
				if ok != has || ok && (p.Target[want] != q.Target[got] || p.Observed[want] != q.Observed[got] || p.Covariates[0].Values[want] != q.Covariates[0].Values[got]) {
					t.Fatalf("series %d, step %d of %d to %d: %v and %v", s, at, from, to, ok, has)
				}
				if ok {
					rows++
				}
			}
		}
		if rows != q.Rows() {
			t.Fatalf("%d rows, want %d", q.Rows(), rows)
		}
	}
}
