package synth

import (
	"math/rand/v2"
	"slices"
	"time"

	"salescast/pkg/calendar"
)

// Promotion is one product on offer in every store on one day.
type Promotion struct {
	Date    calendar.Day
	Product int
	// Type names the campaign; Discount is the share of the list price taken off.
	Type     string
	Discount float64
}

// campaign is a promotion that comes back every year.
type campaign struct {
	name     string
	first    func(year int) calendar.Day
	days     int
	discount float64
}

// Where campaigns meet, the first one in this table sets the price.
var campaigns = [...]campaign{
	{"black_friday", calendar.BlackFriday, 5, .25},
	{"cyber_monday", calendar.CyberMonday, 2, .20},
	{"christmas_sale", fixed(time.December, 15), 10, .15},
	{"new_year_sale", fixed(time.January, 1), 7, .20},
	{"presidents_day", func(y int) calendar.Day { return monday(y, time.February, 3) - 2 }, 3, .15},
	{"memorial_day", func(y int) calendar.Day { return lastMonday(y, time.May) - 2 }, 3, .15},
	{"july_4th_sale", fixed(time.July, 1), 5, .15},
	{"labor_day", func(y int) calendar.Day { return monday(y, time.September, 1) - 2 }, 3, .15},
	{"back_to_school", fixed(time.August, 1), 14, .10},
}

const (
	flashSale = "flash_sale"
	// flashShare is the share of days with a flash sale.
	flashShare = 0.05
)

func fixed(m time.Month, d int) func(int) calendar.Day {
	return func(y int) calendar.Day { return calendar.DateOf(y, m, d) }
}

// monday returns the n-th Monday of a month.
func monday(year int, m time.Month, n int) calendar.Day {
	first := calendar.DateOf(year, m, 1)
	return first + calendar.Day((7-first.Weekday())%7+7*(n-1))
}

func lastMonday(year int, m time.Month) calendar.Day { return monday(year, m+1, 1) - 7 }

// promotions returns the offers from first to last by date, then product; a product has at most one a day.
func promotions(seed uint64, items []Product, first, last calendar.Day) []Promotion {
	n := len(items)
	offers := make([]Promotion, int(last-first+1)*n)
	offer := func(d calendar.Day, product int, name string, discount float64) {
		if d < first || d > last {
			return
		}
		if o := &offers[int(d-first)*n+product]; o.Type == "" {
			*o = Promotion{d, product, name, discount}
		}
	}
	for year := first.Time().Year(); year <= last.Time().Year(); year++ {
		for c, campaign := range campaigns {
			src := source(seed, streamPromotion, uint64(year), uint64(c))
			share := 0.25 + 0.5*rand.New(&src).Float64()
			for p, item := range items {
				if !promoted(seed, item, share, uint64(year), uint64(c)) {
					continue
				}
				for d := range campaign.days {
					offer(campaign.first(year)+calendar.Day(d), p, campaign.name, campaign.discount)
				}
			}
		}
	}
	for d := first; d <= last; d++ {
		src := source(seed, streamFlash, uint64(d))
		r := rand.New(&src)
		if r.Float64() >= flashShare {
			continue
		}
		share, discount := 0.15+0.25*r.Float64(), float64(10+r.IntN(21))/100
		for p, item := range items {
			if promoted(seed, item, share, uint64(d)) {
				offer(d, p, flashSale, discount)
			}
		}
	}
	return slices.DeleteFunc(offers, func(o Promotion) bool { return o.Type == "" })
}

// promoted says whether a product takes part: each decides by itself, so that a longer list of products changes nothing for the others.
func promoted(seed uint64, item Product, share float64, of ...uint64) bool {
	src := source(seed, streamPromoted, append(of, item.number)...)
	return rand.New(&src).Float64() < share
}

// EventType says what happens to a store.
type EventType string

// The events of a store.
const (
	Closure    EventType = "closure"
	Renovation EventType = "renovation"
)

// StoreEvent is a day on which a store is not as usual.
type StoreEvent struct {
	Store int
	Date  calendar.Day
	Type  EventType
	// Impact is the relative change of visitors, -1 for none left.
	Impact float64
}

// EventTypes are the types of store events, and PromotionTypes those of promotions, each once.
var (
	EventTypes     = []string{string(Closure), string(Renovation)}
	PromotionTypes = promotionTypes()
)

func promotionTypes() []string {
	types := []string{flashSale}
	for _, c := range campaigns {
		types = append(types, c.name)
	}
	return types
}

const renovationImpact = -0.3

// storeEvents returns the events from first to last by store, then date; a closed day of a renovation is closed.
func storeEvents(seed uint64, shops []Store, first, last calendar.Day) []StoreEvent {
	var out []StoreEvent
	for s, shop := range shops {
		days := map[calendar.Day]EventType{}
		// A renovation may reach over the new year.
		for year := first.Time().Year() - 1; year <= last.Time().Year(); year++ {
			renovate(seed, shop, year, days)
		}
		for year := first.Time().Year(); year <= last.Time().Year(); year++ {
			closures(seed, shop, year, days)
		}
		for d := first; d <= last; d++ {
			switch days[d] {
			case Closure:
				out = append(out, StoreEvent{s, d, Closure, -1})
			case Renovation:
				out = append(out, StoreEvent{s, d, Renovation, renovationImpact})
			}
		}
	}
	return out
}

// renovate marks 7 to 21 days in three years of ten.
func renovate(seed uint64, shop Store, year int, days map[calendar.Day]EventType) {
	src := source(seed, streamRenovation, uint64(shop.number), uint64(year))
	r := rand.New(&src)
	if r.Float64() >= 0.3 {
		return
	}
	start := calendar.DateOf(year, time.January, 1) + calendar.Day(r.IntN(365))
	for d := range calendar.Day(7 + r.IntN(15)) {
		days[start+d] = Renovation
	}
}

// closures marks Christmas Day and one to four other days of a year.
func closures(seed uint64, shop Store, year int, days map[calendar.Day]EventType) {
	src := source(seed, streamClosures, uint64(shop.number), uint64(year))
	r := rand.New(&src)
	days[calendar.DateOf(year, time.December, 25)] = Closure
	for range 1 + r.IntN(4) {
		days[calendar.DateOf(year, time.January, 1)+calendar.Day(r.IntN(365))] = Closure
	}
}

// holidays returns the federal holidays of the United States of a year on their own days, not on those that offices keep instead when
// one falls on a weekend: shops do not.
func holidays(year int) []calendar.Day {
	out := []calendar.Day{
		calendar.DateOf(year, time.January, 1),
		monday(year, time.January, 3),
		monday(year, time.February, 3),
		lastMonday(year, time.May),
		calendar.DateOf(year, time.July, 4),
		monday(year, time.September, 1),
		monday(year, time.October, 2),
		calendar.DateOf(year, time.November, 11),
		calendar.Thanksgiving(year),
		calendar.DateOf(year, time.December, 25),
	}
	if year >= 2021 {
		out = append(out, calendar.DateOf(year, time.June, 19))
	}
	return out
}
