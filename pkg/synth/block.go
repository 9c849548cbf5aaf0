package synth

import (
	"math"
	"slices"

	"salescast/pkg/calendar"
)

// Block is one store through one calendar month. Columns by day have Days values; columns by row have a run of Days rows for each product,
// in the order of the catalogue, so that rows are sorted by product, then date.
type Block struct {
	// Store is the index of the store.
	Store int
	First calendar.Day
	Days  int
	// Sold is the number of days that have sales; the days after them are the plan.
	Sold int

	// By day. Impact is the relative change of visitors by an event, 0 on a usual day; Weather and Visits are 0 in the plan.
	Holiday []bool
	Impact  []float64
	Weather []float64
	Visits  []int32

	// By row. Discount is the share of the list price taken off, Expected what is expected to be demanded by one who knows all that is
	// known in advance: the calendar, promotions, events, and the structure of the generator.
	Discount, Expected []float64
	// Demand is what was asked for, OnHand what was there to be sold as the day began, Quantity the smaller of the two, Closing what was
	// left in the evening, Reorder the level at which more is ordered. They are 0 in the plan.
	Demand, OnHand, Quantity, Closing, Reorder []int32

	// Stockouts is the number of rows on which more was asked for than was there.
	Stockouts int

	products []Product
}

// Categories are the categories of the catalogue, sorted.
var Categories = []string{"Clothing", "Electronics", "Home", "Sports"}

func newBlock(s *shop, m *Month, c *common) *Block {
	days := int(m.Last-m.First) + 1
	rows := days * len(s.series)
	b := &Block{
		Store: s.number, First: m.First, Days: days, Sold: min(max(int(s.g.options.End-m.First)+1, 0), days),
		Holiday: c.holiday, Impact: make([]float64, days), Weather: make([]float64, days), Visits: make([]int32, days),
		Discount: c.discount, Expected: make([]float64, rows), products: s.g.Products,
	}
	for _, column := range []*[]int32{&b.Demand, &b.OnHand, &b.Quantity, &b.Closing, &b.Reorder} {
		*column = make([]int32, rows)
	}
	for _, e := range c.events[s.number] {
		b.Impact[e.Date-m.First] = e.Impact
	}
	return b
}

// Rows returns the number of rows.
func (b *Block) Rows() int { return len(b.Expected) }

// SoldRows returns the number of rows that are not plan.
func (b *Block) SoldRows() int { return b.Sold * len(b.products) }

// Unknown stands in integer columns for a value that is not there, as NaN does in the others: the quantity of a day still to come.
const Unknown = math.MinInt32

// Sales are the columns of the tables of sales and of their truth, one value per row of the block.
type Sales struct {
	Date []calendar.Day
	// Store and Product index the catalogue, Category indexes Categories.
	Store, Product, Category []int32
	// Quantity and what follows from it is not known in the plan.
	Quantity, UnitPrice       []int32
	Discount                  []float64
	Promo, Closed, Renovation []bool
	// SoldOut is true where nothing was left in the evening: what a shop can know of a stockout.
	SoldOut []bool
	// Revenue, Cost and Profit are in dollars, to the cent.
	Revenue, Cost, Profit []float64
	// Expected, Demand, OnHand and Stockout are the truth: what a forecaster never sees.
	Expected       []float64
	Demand, OnHand []int32
	// Stockout is true where more was asked for than was there.
	Stockout []bool
}

// Sales returns the block's rows as tables have them.
func (b *Block) Sales() *Sales {
	n := b.Rows()
	s := &Sales{Date: make([]calendar.Day, n), Discount: b.Discount, Expected: b.Expected, Demand: b.Demand, OnHand: b.OnHand}
	for _, column := range []*[]int32{&s.Store, &s.Product, &s.Category, &s.Quantity, &s.UnitPrice} {
		*column = make([]int32, n)
	}
	for _, column := range []*[]float64{&s.Revenue, &s.Cost, &s.Profit} {
		*column = make([]float64, n)
	}
	for _, column := range []*[]bool{&s.Promo, &s.Closed, &s.Renovation, &s.SoldOut, &s.Stockout} {
		*column = make([]bool, n)
	}
	for p, product := range b.products {
		category := int32(slices.Index(Categories, product.Category))
		for i := range b.Days {
			row := p*b.Days + i
			s.Date[row] = b.First + calendar.Day(i)
			s.Store[row], s.Product[row], s.Category[row] = int32(b.Store), int32(p), category
			s.UnitPrice[row] = int32(product.Price)
			s.Promo[row] = b.Discount[row] > 0
			s.Closed[row] = b.Impact[i] == -1
			s.Renovation[row] = b.Impact[i] == renovationImpact
			if i >= b.Sold {
				s.Quantity[row], s.Demand[row], s.OnHand[row] = Unknown, Unknown, Unknown
				s.Revenue[row], s.Cost[row], s.Profit[row] = math.NaN(), math.NaN(), math.NaN()
				continue
			}
			s.Quantity[row] = b.Quantity[row]
			s.Stockout[row] = b.Demand[row] > b.Quantity[row]
			s.SoldOut[row] = b.Closing[row] == 0
			list := float64(b.Quantity[row]) * float64(product.Price)
			s.Revenue[row], s.Cost[row] = cents(list*(1-b.Discount[row])), cents(list*(1-product.Margin))
			s.Profit[row] = cents(s.Revenue[row] - s.Cost[row])
		}
	}
	return s
}

func cents(dollars float64) float64 { return math.Round(dollars*100) / 100 }

// Traffic are the columns of the table of visitors, one value per day that has sales.
type Traffic struct {
	Date     []calendar.Day
	Store    []int32
	Visitors []int32
	Weather  []float64
	Holiday  []bool
}

// Traffic returns the visitors of the block's days with sales.
func (b *Block) Traffic() *Traffic {
	t := &Traffic{Visitors: b.Visits[:b.Sold], Weather: b.Weather[:b.Sold], Holiday: b.Holiday[:b.Sold]}
	for i := range b.Sold {
		t.Date, t.Store = append(t.Date, b.First+calendar.Day(i)), append(t.Store, int32(b.Store))
	}
	return t
}

// Inventory are the columns of the table of stock, one value per product and Sunday with sales.
type Inventory struct {
	Date           []calendar.Day
	Store, Product []int32
	// Level is the units left in the evening, ReorderPoint the level at which more is ordered.
	Level, ReorderPoint []int32
	// DaysOfSupply is Level over the units sold on the day, at least one.
	DaysOfSupply []float64
}

// Inventory returns the stock of the block's Sundays, by product, then date.
func (b *Block) Inventory() *Inventory {
	v := &Inventory{}
	const sunday = 6
	for p := range b.products {
		for i := range b.Sold {
			d, row := b.First+calendar.Day(i), p*b.Days+i
			if d.Weekday() != sunday {
				continue
			}
			v.Date, v.Store, v.Product = append(v.Date, d), append(v.Store, int32(b.Store)), append(v.Product, int32(p))
			v.Level, v.ReorderPoint = append(v.Level, b.Closing[row]), append(v.ReorderPoint, b.Reorder[row])
			v.DaysOfSupply = append(v.DaysOfSupply, float64(b.Closing[row])/float64(max(1, b.Quantity[row])))
		}
	}
	return v
}

// Offers are the columns of the table of promotions.
type Offers struct {
	Date []calendar.Day
	// Product indexes the catalogue, Type indexes PromotionTypes.
	Product, Type []int32
	Discount      []float64
}

// Offers returns the promotions of the month.
func (m *Month) Offers() *Offers {
	o := &Offers{}
	for _, p := range m.Promotions {
		o.Date, o.Product = append(o.Date, p.Date), append(o.Product, int32(p.Product))
		o.Type, o.Discount = append(o.Type, int32(slices.Index(PromotionTypes, p.Type))), append(o.Discount, p.Discount)
	}
	return o
}

// Happenings are the columns of the table of store events.
type Happenings struct {
	Date []calendar.Day
	// Store indexes the catalogue, Type indexes EventTypes.
	Store, Type []int32
	Impact      []float64
}

// Happenings returns the store events of the month.
func (m *Month) Happenings() *Happenings {
	h := &Happenings{}
	for _, e := range m.Events {
		h.Date, h.Store = append(h.Date, e.Date), append(h.Store, int32(e.Store))
		h.Type, h.Impact = append(h.Type, int32(slices.Index(EventTypes, string(e.Type)))), append(h.Impact, e.Impact)
	}
	return h
}
