package global

import (
	"cmp"
	"container/heap"
	"math"
	"math/rand/v2"
	"slices"

	"salescast/pkg/calendar"
	"salescast/pkg/feature"
	"salescast/pkg/panel"
)

// sample is the training rows of a fit; decayed rows were drawn with the decay as probability and need no weight for their age.
type sample struct {
	rows    []feature.Row
	decayed bool
}

// decayYears is the age at which a sale counts 1/e.
const decayYears = 1.5

// decay is the weight of a target's age.
func decay(f calendar.Frequency, age calendar.Step) float64 {
	return math.Exp(-float64(age) / (decayYears * float64(f.Year())))
}

// draw returns at most limit rows whose targets were observed at steps up to origin, of series with minHistory steps before the row's
// own origin. Direct rows have a horizon drawn at random from 1 to horizon; where there are fewer sales than rows wanted, each is used
// several times with other horizons. Where there are more, recent ones are likelier (Efraimidis & Spirakis, Weighted random sampling
// with a reservoir, 2006). Rows come in order of series id, whatever the order of the panel, and depend on the seed alone.
func draw(p *panel.Panel, strategy Strategy, origin calendar.Step, horizon, limit, minHistory int, seed uint64) sample {
	order := seriesByID(p)
	base := calendar.Step(minHistory)
	eligible := 0
	each(p, order, origin, base, func(int, calendar.Step) { eligible++ })
	repeat := 1
	if strategy == Direct {
		most := 3
		if p.Frequency.Unit != calendar.Daily {
			most = 4
		}
		repeat = max(1, min(most, (limit+eligible-1)/max(eligible, 1)))
	}
	r := rand.New(rand.NewPCG(seed, 0x5a1e5ca57))
	pick := func(s int, t calendar.Step) (feature.Row, bool) {
		h := calendar.Step(1)
		if strategy == Direct {
			h = 1 + calendar.Step(r.IntN(horizon))
		}
		return feature.Row{Series: int32(s), Origin: t - h, Target: t}, t-h-p.Start[s] >= base
	}
	var kept reservoir
	seen := 0
	each(p, order, origin, base, func(s int, t calendar.Step) {
		for range repeat {
			row, ok := pick(s, t)
			key := math.Log(1-r.Float64()) / decay(p.Frequency, origin-t)
			if !ok {
				continue
			}
			kept.offer(drawn{row, key, seen}, limit)
			seen++
		}
	})
	slices.SortFunc(kept, func(a, b drawn) int { return cmp.Compare(a.order, b.order) })
	out := sample{decayed: seen > limit, rows: make([]feature.Row, len(kept))}
	for i, d := range kept {
		out.rows[i] = d.row
	}
	return out
}

// each calls do for every observed sale up to origin that is more than base steps after its series' start.
func each(p *panel.Panel, order []int, origin, base calendar.Step, do func(s int, t calendar.Step)) {
	for _, s := range order {
		lo, hi := p.Span(s)
		for r := lo + int(base) + 1; r < hi; r++ {
			t := p.Start[s] + calendar.Step(r-lo)
			if t > origin {
				break
			}
			if p.Observed[r] {
				do(s, t)
			}
		}
	}
}

// seriesByID returns the series in order of their key values.
func seriesByID(p *panel.Panel) []int {
	order := make([]int, p.Series())
	for s := range order {
		order[s] = s
	}
	slices.SortStableFunc(order, func(a, b int) int {
		for _, k := range p.Keys {
			if c := cmp.Compare(k.Codes[a], k.Codes[b]); c != 0 { // levels are sorted
				return c
			}
		}
		return 0
	})
	return order
}

type drawn struct {
	row   feature.Row
	key   float64
	order int
}

// reservoir is a heap with the smallest key on top.
type reservoir []drawn

func (r *reservoir) offer(d drawn, limit int) {
	switch {
	case len(*r) < limit:
		heap.Push(r, d)
	case d.key > (*r)[0].key:
		(*r)[0] = d
		heap.Fix(r, 0)
	}
}

func (r reservoir) Len() int           { return len(r) }
func (r reservoir) Less(i, j int) bool { return r[i].key < r[j].key }
func (r reservoir) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }
func (r *reservoir) Push(x any)        { *r = append(*r, x.(drawn)) }
func (r *reservoir) Pop() any {
	d := (*r)[len(*r)-1]
	*r = (*r)[:len(*r)-1]
	return d
}
