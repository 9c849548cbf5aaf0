package synth

import (
	"context"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"salescast/pkg/calendar"
)

// Options ask for a data set. There are no defaults here.
type Options struct {
	Stores, Items int
	// Start and End are the first and the last day with sales.
	Start, End calendar.Day
	// Plan is the days after End whose promotions and events are known.
	Plan int
	Seed uint64
	// Threads is the number of stores that are simulated at the same time; it changes nothing about what comes out. Less than 1 is 1.
	Threads int
}

// Generator makes a data set month by month.
type Generator struct {
	Stores   []Store
	Products []Product
	options  Options
}

// The bounds keep every date in four digits of year, and a mistyped one from filling the disk.
const maxYears, maxPlan = 50, 3660

// Version changes whenever the same options give other data.
const Version = "2"

// New checks the options and draws the catalogue.
func New(o Options) (*Generator, error) {
	switch {
	case o.Stores < 1 || o.Stores > MaxStores:
		return nil, fmt.Errorf("stores must be 1 to %d, not %d", MaxStores, o.Stores)
	case o.Items < 1 || o.Items > MaxItems:
		return nil, fmt.Errorf("items must be 1 to %d, not %d", MaxItems, o.Items)
	case o.End < o.Start:
		return nil, fmt.Errorf("the end %s lies before the start %s", o.End, o.Start)
	case o.Start < calendar.DateOf(1900, time.January, 1) || o.End > calendar.DateOf(2199, time.December, 31):
		return nil, fmt.Errorf("%s to %s does not lie in the years 1900 to 2199", o.Start, o.End)
	case o.End-o.Start > maxYears*366:
		return nil, fmt.Errorf("%s to %s is longer than %d years", o.Start, o.End, maxYears)
	case o.Plan < 0 || o.Plan > maxPlan:
		return nil, fmt.Errorf("the plan must be 0 to %d days, not %d", maxPlan, o.Plan)
	}
	return &Generator{Stores: stores(o.Seed, o.Stores), Products: products(o.Seed, o.Items), options: o}, nil
}

// Rows returns the number of rows of all series, the plan included.
func (g *Generator) Rows() int64 {
	days := int64(g.options.End-g.options.Start) + 1 + int64(g.options.Plan)
	return days * int64(len(g.Stores)) * int64(len(g.Products))
}

// Month is one calendar month of a data set, or as much of it as lies between the start and the end of the plan.
type Month struct {
	Year  int
	Month time.Month
	// First and Last are its days.
	First, Last calendar.Day
	// Promotions are by date, then product; Events by store, then date.
	Promotions []Promotion
	Events     []StoreEvent
	// Stores yields the sales of each store in order. It must be ranged over once, to its end, before the next month is asked for.
	Stores iter.Seq[*Block]
}

// Months yields the data set in order of time. What it keeps from month to month is the state of each series; what it holds at a time is
// the blocks of a few stores. It ends early, and yields the context's error, when the context ends.
func (g *Generator) Months(ctx context.Context) iter.Seq2[*Month, error] {
	return func(yield func(*Month, error) bool) {
		shops := g.shops()
		last := g.options.End + calendar.Day(g.options.Plan)
		for first := g.options.Start; ; {
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return
			}
			if first > last {
				return
			}
			year, month, _ := first.Date()
			next := calendar.DateOf(year, month+1, 1)
			m := &Month{Year: year, Month: month, First: first, Last: min(next-1, last)}
			m.Promotions = promotions(g.options.Seed, g.Products, m.First, m.Last)
			m.Events = storeEvents(g.options.Seed, g.Stores, m.First, m.Last)
			m.Stores = g.blocks(ctx, m, shops)
			if !yield(m, nil) {
				return
			}
			first = next
		}
	}
}

// blocks simulates the stores of a month, up to Threads of them at a time, and yields them in order.
func (g *Generator) blocks(ctx context.Context, m *Month, shops []*shop) iter.Seq[*Block] {
	return func(yield func(*Block) bool) {
		common := g.common(m)
		threads := max(1, g.options.Threads)
		done := make([]chan *Block, threads)
		for t := range done {
			done[t] = make(chan *Block)
		}
		ctx, cancel := context.WithCancel(ctx)
		var workers sync.WaitGroup
		defer workers.Wait()
		defer cancel()
		for t := range done {
			workers.Go(func() {
				for s := t; s < len(shops); s += threads {
					select {
					case done[t] <- shops[s].month(m, common):
					case <-ctx.Done():
						return
					}
				}
			})
		}
		for s := range shops {
			select {
			case b := <-done[s%threads]:
				if !yield(b) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

// common is what the stores of a month share.
type common struct {
	holiday []bool
	// appeal and discount have a row of days for each product.
	appeal, discount []float64
	// events are those of each store.
	events [][]StoreEvent
}

func (g *Generator) common(m *Month) *common {
	days := int(m.Last-m.First) + 1
	c := &common{
		holiday: make([]bool, days), appeal: make([]float64, days*len(g.Products)), discount: make([]float64, days*len(g.Products)),
		events: make([][]StoreEvent, len(g.Stores)),
	}
	for _, h := range holidays(m.Year) {
		if h >= m.First && h <= m.Last {
			c.holiday[h-m.First] = true
		}
	}
	for p, product := range g.Products {
		for i := range days {
			c.appeal[p*days+i] = product.appeal(m.First+calendar.Day(i), g.options.Start, c.holiday[i])
		}
	}
	for _, o := range m.Promotions {
		c.discount[o.Product*days+int(o.Date-m.First)] = o.Discount
	}
	for _, e := range m.Events {
		c.events[e.Store] = append(c.events[e.Store], e)
	}
	return c
}

// shop is a store with the state of its series.
type shop struct {
	Store
	g       *Generator
	traffic rand.PCG
	series  []series
}

type series struct {
	random rand.PCG
	// affinity is how well the product sells here, around 1.
	affinity float64
	stock    stock
}

func (g *Generator) shops() []*shop {
	out := make([]*shop, len(g.Stores))
	for i, s := range g.Stores {
		sh := &shop{Store: s, g: g, traffic: source(g.options.Seed, streamTraffic, uint64(s.number)), series: make([]series, len(g.Products))}
		for p, product := range g.Products {
			x := &sh.series[p]
			x.random = source(g.options.Seed, streamSeries, uint64(s.number), product.number)
			r := rand.New(&x.random)
			x.affinity = noise(r, affinitySigma)
			x.stock.lead = int32(2 + r.IntN(4))
			rate := sh.Size * sh.Traffic * product.appeal(g.options.Start, g.options.Start, false) * x.affinity
			x.stock.onHand = x.stock.reorderPoint(rate) + int32(math.Ceil(cover*rate))
		}
		out[i] = sh
	}
	return out
}

// month simulates the store's days of a month, and expects those after the end.
func (s *shop) month(m *Month, c *common) *Block {
	b := newBlock(s, m, c)
	r := rand.New(&s.traffic)
	expected, came := make([]float64, b.Days), make([]float64, b.Days)
	for i := range b.Days {
		expected[i] = s.visitors(b.First+calendar.Day(i), s.g.options.Start, c.holiday[i]) * (1 + b.Impact[i])
		if i < b.Sold {
			weather := noise(r, weatherSigma)
			came[i] = expected[i] * weather * noise(r, trafficSigma)
			b.Weather[i], b.Visits[i] = weather, int32(math.Round(came[i]))
		}
	}
	for p := range s.series {
		s.sell(p, b, c, expected, came)
	}
	return b
}

// sell simulates one series through a month.
func (s *shop) sell(p int, b *Block, c *common, expected, came []float64) {
	x := &s.series[p]
	r := rand.New(&x.random)
	for i := range b.Days {
		row := p*b.Days + i
		pull := s.Size * x.affinity * c.appeal[row] * (1 + uplift*c.discount[row])
		b.Expected[row] = pull * expected[i]
		if i >= b.Sold {
			continue
		}
		d := b.First + calendar.Day(i)
		onHand := x.stock.open(d)
		demand := poisson(r, pull*came[i]*noise(r, demandSigma))
		sold := min(demand, onHand)
		planned := s.Size * x.affinity * c.appeal[row] * s.Traffic * trend(s.Growth, d, s.g.options.Start)
		b.Reorder[row] = x.stock.reorderPoint(planned)
		x.stock.close(d, sold, planned, r)
		if demand > onHand {
			b.Stockouts++
		}
		b.OnHand[row], b.Demand[row], b.Quantity[row], b.Closing[row] = onHand, demand, sold, x.stock.onHand
	}
}
