package forecasttest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

// Shape says what a generated panel looks like.
type Shape struct {
	Frequency     calendar.Frequency
	Stores, Items int
	// Steps is the history of every series; Plan the number of steps after it with covariates and no sale.
	Steps, Plan int
	Seed        uint64
	// Covariates adds the known-future flag "promo", which doubles sales, and the past-only "weather".
	Covariates bool
}

// Daily is three months short of two years of four series with a promotion flag and a plan of 28 days.
func Daily() Shape {
	return Shape{Frequency: calendar.Frequency{Unit: calendar.Daily}, Stores: 2, Items: 2, Steps: 640, Plan: 28, Seed: 7, Covariates: true}
}

// Panel generates the shape: a level by series, a weekday and a yearly pattern, promotions and noise.
func Panel(s Shape) *panel.Panel {
	r := rand.New(rand.NewPCG(s.Seed, 1))
	p := &panel.Panel{Frequency: s.Frequency, Offsets: []int{0}, Keys: []panel.Key{{Name: "store"}, {Name: "item"}}}
	for i := range s.Stores {
		p.Keys[0].Levels = append(p.Keys[0].Levels, fmt.Sprintf("S%02d", i))
	}
	for i := range s.Items {
		p.Keys[1].Levels = append(p.Keys[1].Levels, fmt.Sprintf("I%02d", i))
	}
	start, _ := s.Frequency.Step(anchored(s.Frequency))
	var promo, weather []float32
	for store := range s.Stores {
		for item := range s.Items {
			p.Keys[0].Codes, p.Keys[1].Codes = append(p.Keys[0].Codes, int32(store)), append(p.Keys[1].Codes, int32(item))
			p.Start = append(p.Start, start)
			level := 20 * math.Exp(r.NormFloat64())
			for i := range s.Steps + s.Plan {
				flag := 0.0
				if r.Float64() < 0.15 {
					flag = 1
				}
				day := s.Frequency.Day(start + calendar.Step(i))
				mean := level * (1 + 0.3*math.Sin(2*math.Pi*float64(day.YearDay())/365))
				if s.Frequency.Unit == calendar.Daily {
					mean *= []float64{0.8, 0.8, 0.9, 1, 1.3, 1.6, 0.6}[day.Weekday()]
				}
				if s.Covariates {
					mean *= 1 + flag
				}
				y := float32(math.Round(max(0, mean*(1+0.2*r.NormFloat64()))))
				known := i < s.Steps
				if !known {
					y = float32(math.NaN())
				}
				p.Target, p.Observed = append(p.Target, y), append(p.Observed, known)
				promo, weather = append(promo, float32(flag)), append(weather, float32(r.NormFloat64()))
			}
			p.Offsets = append(p.Offsets, len(p.Target))
		}
	}
	if s.Covariates {
		p.Covariates = []panel.Covariate{{Name: "promo", Role: panel.KnownFuture, Values: promo}, {Name: "weather", Role: panel.PastOnly, Values: weather}}
	}
	return p
}

// anchored is a day on which a step of f begins.
func anchored(f calendar.Frequency) calendar.Day {
	d := calendar.DateOf(2022, 1, 1)
	for {
		if _, ok := f.Step(d); ok {
			return d
		}
		d++
	}
}

// Clone copies everything that a test may change: targets, observed flags and covariates.
func Clone(p *panel.Panel) *panel.Panel {
	q := *p
	q.Target, q.Observed, q.Covariates = slices.Clone(p.Target), slices.Clone(p.Observed), slices.Clone(p.Covariates)
	for c := range q.Covariates {
		q.Covariates[c].Values = slices.Clone(p.Covariates[c].Values)
	}
	return &q
}

// Garbage returns p with everything that may not be read at origin replaced: sales after it, past-only covariates after it, and
// known-future covariates after the horizon.
func Garbage(p *panel.Panel, origin calendar.Step, horizon int) *panel.Panel {
	q := Clone(p)
	for s := range q.Series() {
		lo, hi := q.Span(s)
		for r := lo; r < hi; r++ {
			at := q.Start[s] + calendar.Step(r-lo)
			if at > origin {
				q.Target[r] = 1000*float32(r%13) + 7
				q.Observed[r] = true
			}
			for c := range q.Covariates {
				if q.Covariates[c].Role == panel.PastOnly && at > origin || at > origin+calendar.Step(horizon) {
					q.Covariates[c].Values[r] = 1e6 + float32(r%7)
				}
			}
		}
	}
	return q
}

// Reverse returns p with its series in the opposite order. Keys' levels stay sorted, so it is the same data.
func Reverse(p *panel.Panel) *panel.Panel {
	q := &panel.Panel{Frequency: p.Frequency, Offsets: []int{0}}
	order := make([]int, p.Series())
	for s := range order {
		order[s] = p.Series() - 1 - s
	}
	for _, k := range p.Keys {
		q.Keys = append(q.Keys, panel.Key{Name: k.Name, Levels: k.Levels, Codes: reorder(k.Codes, order)})
	}
	for _, k := range p.Static {
		q.Static = append(q.Static, panel.Key{Name: k.Name, Levels: k.Levels, Codes: reorder(k.Codes, order)})
	}
	for _, c := range p.Covariates {
		q.Covariates = append(q.Covariates, panel.Covariate{Name: c.Name, Role: c.Role})
	}
	q.Start = reorder(p.Start, order)
	for _, s := range order {
		lo, hi := p.Span(s)
		q.Target, q.Observed = append(q.Target, p.Target[lo:hi]...), append(q.Observed, p.Observed[lo:hi]...)
		for c := range q.Covariates {
			q.Covariates[c].Values = append(q.Covariates[c].Values, p.Covariates[c].Values[lo:hi]...)
		}
		q.Offsets = append(q.Offsets, len(q.Target))
	}
	return q
}

func reorder[T any](v []T, order []int) []T {
	out := make([]T, len(v))
	for i, s := range order {
		out[i] = v[s]
	}
	return out
}

// Late returns p without the first n rows of series s.
func Late(p *panel.Panel, s, n int) *panel.Panel {
	q := Clone(p)
	lo, _ := q.Span(s)
	q.Target, q.Observed = slices.Delete(q.Target, lo, lo+n), slices.Delete(q.Observed, lo, lo+n)
	for c := range q.Covariates {
		q.Covariates[c].Values = slices.Delete(q.Covariates[c].Values, lo, lo+n)
	}
	q.Start, q.Offsets = slices.Clone(p.Start), slices.Clone(p.Offsets)
	q.Start[s] += calendar.Step(n)
	for i := s + 1; i < len(q.Offsets); i++ {
		q.Offsets[i] -= n
	}
	return q
}
