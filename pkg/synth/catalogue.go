package synth

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Season names the shape of a product's year.
type Season string

// The shapes of a product's year.
const (
	Holiday      Season = "holiday"
	Summer       Season = "summer"
	Winter       Season = "winter"
	Spring       Season = "spring"
	BackToSchool Season = "back_to_school"
	Fitness      Season = "fitness"
	AllYear      Season = "all_year"
)

// Store is a shop of the chain.
type Store struct {
	ID   string `json:"store_id"`
	City string `json:"city"`
	// Size scales what a visitor buys.
	Size float64 `json:"size"`
	// Traffic is the visitors of an average day.
	Traffic float64 `json:"base_traffic"`
	// Growth is the yearly growth of visitors, on the log scale.
	Growth float64 `json:"growth"`
	number int
}

// Product is something the chain sells, at one price in every store.
type Product struct {
	ID       string `json:"product_id"`
	Name     string `json:"name"`
	Category string `json:"category"`
	// Price is the list price in whole dollars; Margin the share of it that is not cost.
	Price  int     `json:"price"`
	Margin float64 `json:"margin"`
	Season Season  `json:"seasonality"`
	// Growth is the yearly growth of its demand, on the log scale.
	Growth float64 `json:"growth"`
	number uint64
}

// MaxStores and MaxItems bound what the catalogue's ids can name.
const (
	MaxStores = 999
	MaxItems  = 999 * len(shelves)
)

const large, medium, small = 1.0, 0.7, 0.5

var chain = [...]Store{
	{City: "New York", Size: large, Traffic: 1000},
	{City: "Los Angeles", Size: large, Traffic: 950},
	{City: "Chicago", Size: medium, Traffic: 700},
	{City: "Houston", Size: medium, Traffic: 650},
	{City: "Phoenix", Size: small, Traffic: 400},
	{City: "Philadelphia", Size: medium, Traffic: 600},
	{City: "San Antonio", Size: small, Traffic: 350},
	{City: "San Diego", Size: medium, Traffic: 550},
	{City: "Dallas", Size: large, Traffic: 850},
	{City: "Miami", Size: medium, Traffic: 600},
}

var shelves = [...]struct {
	prefix, category string
	products         [5]Product
}{
	{"ELEC", "Electronics", [5]Product{
		{Name: "Smartphone", Price: 699, Margin: .15, Season: Holiday},
		{Name: "Laptop", Price: 999, Margin: .12, Season: BackToSchool},
		{Name: "Headphones", Price: 199, Margin: .25, Season: Holiday},
		{Name: "Tablet", Price: 499, Margin: .18, Season: Holiday},
		{Name: "Smart Watch", Price: 299, Margin: .20, Season: Fitness},
	}},
	{"CLTH", "Clothing", [5]Product{
		{Name: "T-Shirt", Price: 29, Margin: .50, Season: Summer},
		{Name: "Jeans", Price: 79, Margin: .45, Season: AllYear},
		{Name: "Jacket", Price: 149, Margin: .40, Season: Winter},
		{Name: "Dress", Price: 89, Margin: .48, Season: Summer},
		{Name: "Shoes", Price: 119, Margin: .42, Season: AllYear},
	}},
	{"HOME", "Home", [5]Product{
		{Name: "Coffee Maker", Price: 79, Margin: .30, Season: Holiday},
		{Name: "Blender", Price: 49, Margin: .35, Season: Summer},
		{Name: "Vacuum Cleaner", Price: 199, Margin: .28, Season: Spring},
		{Name: "Air Purifier", Price: 149, Margin: .32, Season: AllYear},
		{Name: "Toaster", Price: 39, Margin: .40, Season: Holiday},
	}},
	{"SPRT", "Sports", [5]Product{
		{Name: "Yoga Mat", Price: 29, Margin: .55, Season: Fitness},
		{Name: "Dumbbells", Price: 49, Margin: .45, Season: Fitness},
		{Name: "Running Shoes", Price: 129, Margin: .38, Season: Spring},
		{Name: "Bicycle", Price: 399, Margin: .25, Season: Summer},
		{Name: "Tennis Racket", Price: 89, Margin: .35, Season: Summer},
	}},
}

// stores returns the first n stores of the chain; past the ten of the catalogue they are variations of those ten.
func stores(seed uint64, n int) []Store {
	out := make([]Store, n)
	for i := range out {
		src := source(seed, streamStore, uint64(i))
		r := rand.New(&src)
		s := chain[i%len(chain)]
		s.number, s.ID = i, fmt.Sprintf("store_%03d", i+1)
		s.Growth = 0.03 + clip(0.03*r.NormFloat64(), 0.08)
		if branch := i / len(chain); branch > 0 {
			s.City = fmt.Sprintf("%s %d", s.City, branch+1)
			s.Traffic = math.Round(s.Traffic * noise(r, 0.2))
		}
		out[i] = s
	}
	return out
}

// products returns n products sorted by id, taken from the four categories in turn; past the twenty of the catalogue they are variations
// of those twenty in price and margin.
func products(seed uint64, n int) []Product {
	out := make([]Product, n)
	for i := range out {
		src := source(seed, streamProduct, uint64(i))
		r := rand.New(&src)
		shelf := shelves[i%len(shelves)]
		place := i / len(shelves)
		p := shelf.products[place%len(shelf.products)]
		p.number, p.ID, p.Category = uint64(i), fmt.Sprintf("%s_%03d", shelf.prefix, place+1), shelf.category
		p.Growth = 0.03 + clip(0.06*r.NormFloat64(), 0.15)
		if edition := place / len(shelf.products); edition > 0 {
			p.Name = fmt.Sprintf("%s %d", p.Name, edition+1)
			p.Price = max(9, int(math.Round(float64(p.Price)*noise(r, 0.3)/10))*10-1)
			p.Margin = min(max(p.Margin+0.04*r.NormFloat64(), 0.05), 0.7)
		}
		out[i] = p
	}
	slices.SortFunc(out, func(a, b Product) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

func clip(x, bound float64) float64 { return min(max(x, -bound), bound) }
