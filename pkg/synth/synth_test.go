package synth

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"gonum.org/v1/gonum/mat"

	"salescast/pkg/calendar"
)

func threeStores(t *testing.T) Options {
	t.Helper()
	return Options{Stores: 3, Items: 8, Start: calendar.DateOf(2022, 1, 10), End: calendar.DateOf(2024, 12, 20), Plan: 60, Seed: 7, Threads: 2}
}

// row is one series and day as a test looks at it.
type row struct {
	store, product            string
	date                      calendar.Day
	quantity, demand, onHand  int32
	expected, discount        float64
	revenue, cost, profit     float64
	promo, closed, renovation bool
	stockout                  bool
}

type dataset struct {
	generator  *Generator
	rows       []row
	promotions []Promotion
	events     []StoreEvent
}

func generate(t *testing.T, o Options) *dataset {
	t.Helper()
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	d := &dataset{generator: g}
	for m, err := range g.Months(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		d.promotions, d.events = append(d.promotions, m.Promotions...), append(d.events, m.Events...)
		for b := range m.Stores {
			s := b.Sales()
			for i := range s.Date {
				d.rows = append(d.rows, row{
					g.Stores[s.Store[i]].ID, g.Products[s.Product[i]].ID, s.Date[i], s.Quantity[i], s.Demand[i], s.OnHand[i],
					s.Expected[i], s.Discount[i], s.Revenue[i], s.Cost[i], s.Profit[i], s.Promo[i], s.Closed[i], s.Renovation[i], s.Stockout[i],
				})
			}
		}
	}
	return d
}

// sold are the rows that are not plan.
func (d *dataset) sold() []row {
	return slices.DeleteFunc(slices.Clone(d.rows), func(r row) bool { return r.quantity == Unknown })
}

func TestEverySeriesHasEveryDayOnce(t *testing.T) {
	t.Parallel()
	o := threeStores(t)
	d := generate(t, o)
	type key struct {
		store, product string
		date           calendar.Day
	}
	seen := map[key]bool{}
	for _, r := range d.rows {
		k := key{r.store, r.product, r.date}
		if seen[k] {
			t.Fatalf("%v stands twice", k)
		}
		seen[k] = true
		if planned := r.date > o.End; planned != (r.quantity == Unknown) {
			t.Fatalf("%v: quantity %d, and the sales end on %s", k, r.quantity, o.End)
		}
	}
	if want := int(o.End-o.Start+1) + o.Plan; len(seen) != want*o.Stores*o.Items {
		t.Errorf("%d rows, want %d days of %d series", len(seen), want, o.Stores*o.Items)
	}
}

func TestPromotionsFallOnTheirDays(t *testing.T) {
	t.Parallel()
	// The days are from the calendars of those years.
	windows := map[string]map[int][2]string{
		"black_friday":   {2022: {"2022-11-25", "2022-11-29"}, 2023: {"2023-11-24", "2023-11-28"}, 2024: {"2024-11-29", "2024-12-03"}},
		"cyber_monday":   {2022: {"2022-11-28", "2022-11-29"}, 2023: {"2023-11-27", "2023-11-28"}, 2024: {"2024-12-02", "2024-12-03"}},
		"memorial_day":   {2022: {"2022-05-28", "2022-05-30"}, 2023: {"2023-05-27", "2023-05-29"}, 2024: {"2024-05-25", "2024-05-27"}},
		"labor_day":      {2022: {"2022-09-03", "2022-09-05"}, 2023: {"2023-09-02", "2023-09-04"}, 2024: {"2024-08-31", "2024-09-02"}},
		"presidents_day": {2025: {"2025-02-15", "2025-02-17"}, 2022: {"2022-02-19", "2022-02-21"}, 2023: {"2023-02-18", "2023-02-20"}, 2024: {"2024-02-17", "2024-02-19"}},
		"christmas_sale": {2022: {"2022-12-15", "2022-12-24"}, 2023: {"2023-12-15", "2023-12-24"}, 2024: {"2024-12-15", "2024-12-24"}},
		"new_year_sale":  {2022: {"2022-01-10", "2022-01-07"}, 2023: {"2023-01-01", "2023-01-07"}, 2024: {"2024-01-01", "2024-01-07"}, 2025: {"2025-01-01", "2025-01-07"}},
		"july_4th_sale":  {2022: {"2022-07-01", "2022-07-05"}, 2023: {"2023-07-01", "2023-07-05"}, 2024: {"2024-07-01", "2024-07-05"}},
		"back_to_school": {2022: {"2022-08-01", "2022-08-14"}, 2023: {"2023-08-01", "2023-08-14"}, 2024: {"2024-08-01", "2024-08-14"}},
	}
	d := generate(t, threeStores(t))
	type offer struct {
		product int
		date    calendar.Day
	}
	discount := map[offer]float64{}
	count := map[string]int{}
	for _, p := range d.promotions {
		count[p.Type]++
		if _, twice := discount[offer{p.Product, p.Date}]; twice {
			t.Fatalf("product %d has two offers on %s", p.Product, p.Date)
		}
		discount[offer{p.Product, p.Date}] = p.Discount
		if p.Type == flashSale {
			continue
		}
		w, known := windows[p.Type][p.Date.Time().Year()]
		if day := p.Date.String(); !known || day < w[0] || day > w[1] {
			t.Errorf("%s on %s, want %v", p.Type, p.Date, w)
		}
	}
	for name := range windows {
		if count[name] == 0 {
			t.Errorf("no %s in three years", name)
		}
	}
	if count[flashSale] == 0 {
		t.Error("no flash sale in three years")
	}
	index := map[string]int{}
	for i, p := range d.generator.Products {
		index[p.ID] = i
	}
	for _, r := range d.rows {
		want := discount[offer{index[r.product], r.date}]
		if r.discount != want || r.promo != (want > 0) {
			t.Fatalf("%s on %s has discount %v and promo %v, its promotion says %v", r.product, r.date, r.discount, r.promo, want)
		}
	}
}

func TestUSDates(t *testing.T) {
	t.Parallel()
	want := []string{
		"2024-01-01", "2024-01-15", "2024-02-19", "2024-05-27", "2024-07-04", "2024-09-02", "2024-10-14", "2024-11-11", "2024-11-28", "2024-12-25",
		"2024-06-19",
	}
	var got []string
	for _, d := range holidays(2024) {
		got = append(got, d.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("holidays of 2024: %v, want %v", got, want)
	}
	public, err := calendar.Holidays("US")
	if err != nil {
		t.Fatal(err)
	}
	for year := 2021; year < 2040; year++ {
		for _, d := range holidays(year) {
			if _, ok := public.Name(d); !ok {
				t.Errorf("%s is no public holiday", d)
			}
		}
	}
}

func TestStockCensorsSales(t *testing.T) {
	t.Parallel()
	d := generate(t, threeStores(t))
	rows := d.sold()
	out := 0
	for _, r := range rows {
		if r.quantity != min(r.demand, r.onHand) || r.quantity < 0 {
			t.Fatalf("%+v: sold is not the smaller of demand and stock", r)
		}
		if r.stockout != (r.demand > r.onHand) {
			t.Fatalf("%+v: the stockout is not one", r)
		}
		if r.stockout {
			out++
		}
	}
	if share := float64(out) / float64(len(rows)); share < 0.005 || share > 0.08 {
		t.Errorf("%.2f %% of the days are sold out, want a few", 100*share)
	}
}

func TestStockIsKept(t *testing.T) {
	t.Parallel()
	g, err := New(threeStores(t))
	if err != nil {
		t.Fatal(err)
	}
	left := map[[2]int]int32{}
	deliveries := 0
	for m, err := range g.Months(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		for b := range m.Stores {
			for p := range g.Products {
				for i := range b.Sold {
					row, k := p*b.Days+i, [2]int{b.Store, p}
					if before, known := left[k]; known {
						if b.OnHand[row] < before {
							t.Fatalf("store %d product %d lost stock in the night before %s", b.Store, p, b.First+calendar.Day(i))
						}
						if b.OnHand[row] > before {
							deliveries++
						}
					}
					left[k] = b.OnHand[row] - b.Quantity[row]
					if b.Closing[row] != left[k] {
						t.Fatalf("closing %d, want %d", b.Closing[row], left[k])
					}
				}
			}
		}
	}
	if deliveries == 0 {
		t.Error("nothing was ever delivered")
	}
}

// What is expected is the mean of what is demanded, at every level of it, and of what is sold where there is stock for any demand.
func TestTruthIsTheMeanOfDemand(t *testing.T) {
	t.Parallel()
	o := Options{Stores: 10, Items: 20, Start: calendar.DateOf(2022, 1, 1), End: calendar.DateOf(2023, 12, 31), Seed: 3, Threads: 2}
	rows := generate(t, o).sold()
	classes := map[string]func(row) bool{
		"all":       func(row) bool { return true },
		"slow":      func(r row) bool { return r.expected > 0 && r.expected < 2 },
		"middle":    func(r row) bool { return r.expected >= 2 && r.expected < 10 },
		"fast":      func(r row) bool { return r.expected >= 10 },
		"promo":     func(r row) bool { return r.promo },
		"december":  func(r row) bool { _, m, _ := r.date.Date(); return m == time.December },
		"sunday":    func(r row) bool { return r.date.Weekday() == 6 },
		"last year": func(r row) bool { return r.date >= calendar.DateOf(2023, 1, 1) },
		"renovated": func(r row) bool { return r.renovation },
	}
	for name, in := range classes {
		var demand, expected, variance float64
		days := map[string]float64{}
		for _, r := range rows {
			if in(r) {
				demand, expected = demand+float64(r.demand), expected+r.expected
				// A store's day is shared by its products: the error of the sum is that of the store-days.
				days[r.store+r.date.String()] += float64(r.demand) - r.expected
			}
		}
		for _, e := range days {
			variance += e * e
		}
		if z := (demand - expected) / math.Sqrt(variance); math.Abs(z) > 3.5 || expected == 0 {
			t.Errorf("%s: demand %v, expected %v, %.1f standard errors away", name, demand, expected, z)
		}
	}
	var sales, expected float64
	for _, r := range rows {
		// Stock for six standard deviations: no demand is censored, so no selection by demand.
		if float64(r.onHand) > r.expected+6*math.Sqrt(r.expected+0.06*r.expected*r.expected) {
			sales, expected = sales+float64(r.quantity), expected+r.expected
		}
	}
	if ratio := sales / expected; math.Abs(ratio-1) > 0.005 {
		t.Errorf("sales without stockouts are %.4f of the truth", ratio)
	}
}

func TestDemandIsDense(t *testing.T) {
	t.Parallel()
	o := Options{Stores: 10, Items: 20, Start: calendar.DateOf(2022, 1, 1), End: calendar.DateOf(2022, 12, 31), Seed: 42, Threads: 2}
	rows := generate(t, o).sold()
	units := map[string]int32{}
	zero, total := 0, 0.0
	for _, r := range rows {
		units[r.store+r.product] += r.quantity
		total += float64(r.quantity)
		if r.quantity == 0 && !r.closed {
			zero++
		}
	}
	for series, n := range units {
		if n < 50 {
			t.Errorf("%s sells %d a year", series, n)
		}
	}
	if mean := total / float64(len(rows)); mean < 4 || mean > 20 {
		t.Errorf("%.1f units a day and series", mean)
	}
	if share := float64(zero) / float64(len(rows)); share > 0.15 {
		t.Errorf("%.0f %% of the open days sell nothing", 100*share)
	}
}

func TestMoney(t *testing.T) {
	t.Parallel()
	d := generate(t, threeStores(t))
	price := map[string]Product{}
	for _, p := range d.generator.Products {
		price[p.ID] = p
	}
	for _, r := range d.sold() {
		p := price[r.product]
		revenue := float64(r.quantity) * float64(p.Price) * (1 - r.discount)
		cost := float64(r.quantity) * float64(p.Price) * (1 - p.Margin)
		if math.Abs(r.revenue-revenue) > 0.00501 || math.Abs(r.cost-cost) > 0.00501 || math.Abs(r.profit-(r.revenue-r.cost)) > 1e-6 {
			t.Fatalf("%+v: revenue %v, cost %v by hand", r, revenue, cost)
		}
	}
}

func TestClosedStoresSellNothing(t *testing.T) {
	t.Parallel()
	o := threeStores(t)
	d := generate(t, o)
	closures := map[string]int{}
	event := map[string]EventType{}
	for _, e := range d.events {
		key := d.generator.Stores[e.Store].ID + e.Date.String()
		if _, twice := event[key]; twice {
			t.Fatalf("%s has two events", key)
		}
		event[key] = e.Type
		if e.Type == Closure {
			closures[key[:9]+e.Date.String()[:4]]++
		}
	}
	renovated := 0
	for _, r := range d.rows {
		e := event[r.store+r.date.String()]
		if r.closed != (e == Closure) || r.renovation != (e == Renovation) {
			t.Fatalf("%+v, its event is %q", r, e)
		}
		if r.closed && (r.expected != 0 || r.demand > 0) {
			t.Fatalf("%+v sells while closed", r)
		}
		if r.renovation {
			renovated++
		}
	}
	for _, s := range d.generator.Stores {
		if event[s.ID+"2023-12-25"] != Closure {
			t.Errorf("%s is open on Christmas Day", s.ID)
		}
		if n := closures[s.ID+"2023"]; n < 2 || n > 5 {
			t.Errorf("%s is closed on %d days of 2023", s.ID, n)
		}
	}
	if renovated == 0 {
		t.Error("no renovation among three stores in three years with this seed: choose another")
	}
}

// bytesOf writes all that a data set holds.
func bytesOf(t *testing.T, o Options) []byte {
	t.Helper()
	var out bytes.Buffer
	put := func(v any) {
		if err := binary.Write(&out, binary.LittleEndian, v); err != nil {
			t.Fatal(err)
		}
	}
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	for m, err := range g.Months(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		for b := range m.Stores {
			s, v, c := b.Sales(), b.Inventory(), b.Traffic()
			for _, column := range []any{
				s.Date, s.Store, s.Product, s.Quantity, s.Revenue, s.Expected, s.Demand, s.OnHand, s.Discount, s.Stockout,
				v.Date, v.Level, v.ReorderPoint, v.DaysOfSupply, c.Date, c.Visitors, c.Weather, c.Holiday,
			} {
				put(column)
			}
		}
	}
	return out.Bytes()
}

func TestTheSeedAndNothingElseDecides(t *testing.T) {
	t.Parallel()
	o := threeStores(t)
	want := bytesOf(t, o)
	for _, threads := range []int{0, 1, 5} {
		o.Threads = threads
		if !bytes.Equal(bytesOf(t, o), want) {
			t.Errorf("%d threads give other bytes", threads)
		}
	}
	o.Seed++
	if bytes.Equal(bytesOf(t, o), want) {
		t.Error("another seed gives the same bytes")
	}
}

// A longer span, more stores and more products change nothing about the sales that were there before.
func TestLongerAndWiderKeepsWhatWas(t *testing.T) {
	t.Parallel()
	type key struct {
		store, product string
		date           calendar.Day
	}
	o := Options{Stores: 2, Items: 6, Start: calendar.DateOf(2023, 3, 5), End: calendar.DateOf(2023, 12, 10), Plan: 30, Seed: 1}
	before := generate(t, o)
	o.Stores, o.Items, o.End, o.Threads = 13, 27, calendar.DateOf(2024, 2, 3), 2
	after := map[key]row{}
	for _, r := range generate(t, o).rows {
		after[key{r.store, r.product, r.date}] = r
	}
	for _, r := range before.rows {
		now := after[key{r.store, r.product, r.date}]
		if r.quantity == Unknown {
			// What was planned has come true: the plan is kept, and now there are sales.
			now.quantity, now.demand, now.onHand, now.stockout = r.quantity, r.demand, r.onHand, r.stockout
			now.revenue, now.cost, now.profit = 0, 0, 0
			r.revenue, r.cost, r.profit = 0, 0, 0
		}
		if now != r {
			t.Fatalf("%+v became %+v", r, now)
		}
	}
}

// A regression of the log of monthly demand finds the trend that was put in, and the weekday shares are those of the structure.
func TestTrendAndWeekdaysAreRecovered(t *testing.T) {
	t.Parallel()
	o := Options{Stores: 10, Items: 20, Start: calendar.DateOf(2020, 1, 1), End: calendar.DateOf(2023, 12, 31), Seed: 11, Threads: 2}
	d := generate(t, o)
	rows := d.sold()
	growth := map[string]float64{}
	for _, s := range d.generator.Stores {
		growth[s.ID] = s.Growth
	}
	seasonal := map[string]bool{}
	for _, p := range d.generator.Products {
		growth[p.ID] = p.Growth
		seasonal[p.ID] = p.Season != AllYear
	}
	type cell struct{ year, weekday int }
	demand, days := map[string]map[cell]float64{}, map[string]map[cell]float64{}
	for _, r := range rows {
		if seasonal[r.product] || r.promo || r.closed || r.renovation || slices.Contains(holidays(r.date.Time().Year()), r.date) {
			continue
		}
		k := r.store + r.product
		if demand[k] == nil {
			demand[k], days[k] = map[cell]float64{}, map[cell]float64{}
		}
		c := cell{r.date.Time().Year(), r.date.Weekday()}
		demand[k][c] += float64(r.demand)
		days[k][c]++
	}
	for k, cells := range demand {
		var years, log []float64
		var week [7]float64
		for year := 2020; year <= 2023; year++ {
			var sum, n float64
			for w := range 7 {
				c := cell{year, w}
				sum, n = sum+cells[c], n+days[k][c]
				week[w] += cells[c] / days[k][c] / 4
			}
			years, log = append(years, float64(year)), append(log, math.Log(sum/n))
		}
		want := growth[k[:9]] + growth[k[9:]]
		if got := slope(years, log); math.Abs(got-want) > 0.04 {
			t.Errorf("%s grows by %.3f a year, want %.3f", k, got, want)
		}
		var mean float64
		for w := range 7 {
			mean += week[w] / 7
		}
		for w := range 7 {
			const structure = 7.1 / 7
			if got, want := week[w]/mean, weekdays[w]/structure; math.Abs(got-want) > 0.1 {
				t.Errorf("%s sells %.2f of the mean on weekday %d, want %.2f", k, got, w, want)
			}
		}
	}
	if len(demand) != 30 {
		t.Errorf("%d series without a season, want 10 stores of 3 products", len(demand))
	}
}

func slope(x, y []float64) float64 {
	a := mat.NewDense(len(x), 2, nil)
	for i := range x {
		a.Set(i, 0, 1)
		a.Set(i, 1, x[i]-x[0])
	}
	var b mat.VecDense
	if err := b.SolveVec(a, mat.NewVecDense(len(y), y)); err != nil {
		panic(err)
	}
	return b.AtVec(1)
}

func TestSeasonsPeakWhereTheySay(t *testing.T) {
	t.Parallel()
	tests := map[Season][2]time.Month{
		Holiday: {time.November, time.December}, Summer: {time.June, time.July}, Winter: {time.December, time.January},
		Spring: {time.April, time.May}, BackToSchool: {time.August, time.September}, Fitness: {time.January, time.June},
	}
	for season, months := range tests {
		best, at := 0.0, calendar.Day(0)
		for d := calendar.DateOf(2023, 1, 1); d <= calendar.DateOf(2023, 12, 31); d++ {
			if f := season.factor(d, false); f > best {
				best, at = f, d
			}
		}
		if _, m, _ := at.Date(); m != months[0] && m != months[1] {
			t.Errorf("%s peaks on %s", season, at)
		}
	}
}

func TestCatalogue(t *testing.T) {
	t.Parallel()
	g, err := New(Options{Stores: 10, Items: 20, Seed: 5})
	if err != nil {
		t.Fatal(err)
	}
	if s := g.Stores[8]; s.ID != "store_009" || s.City != "Dallas" || s.Traffic != 850 || s.Size != large {
		t.Errorf("the ninth store is %+v", s)
	}
	if p := g.Products[6]; p.ID != "ELEC_002" || p.Name != "Laptop" || p.Price != 999 || p.Margin != .12 || p.Season != BackToSchool {
		t.Errorf("the seventh product is %+v", p)
	}
	g, err = New(Options{Stores: 250, Items: 60, Seed: 5})
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, s := range g.Stores {
		ids[s.ID] = true
	}
	for _, p := range g.Products {
		ids[p.ID] = true
		if p.Price < 9 || p.Margin <= 0 || p.Margin >= 1 {
			t.Errorf("%+v", p)
		}
	}
	if len(ids) != 310 {
		t.Errorf("%d ids, want 310", len(ids))
	}
	if !slices.IsSortedFunc(g.Products, func(a, b Product) int { return bytes.Compare([]byte(a.ID), []byte(b.ID)) }) {
		t.Error("the products are not sorted")
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	good := Options{Stores: 1, Items: 1, Start: 100, End: 200}
	tests := map[string]func(*Options){
		"no store":       func(o *Options) { o.Stores = 0 },
		"many stores":    func(o *Options) { o.Stores = MaxStores + 1 },
		"no item":        func(o *Options) { o.Items = 0 },
		"many items":     func(o *Options) { o.Items = MaxItems + 1 },
		"end first":      func(o *Options) { o.End = 99 },
		"far away":       func(o *Options) { o.End = calendar.DateOf(2300, 1, 1) },
		"very long":      func(o *Options) { o.Start = calendar.DateOf(1950, 1, 1); o.End = calendar.DateOf(2020, 1, 1) },
		"negative plan":  func(o *Options) { o.Plan = -1 },
		"boundless plan": func(o *Options) { o.Plan = maxPlan + 1 },
	}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range tests {
		o := good
		spoil(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestMonthsEndWithTheContext(t *testing.T) {
	t.Parallel()
	g, err := New(threeStores(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	months := 0
	for m, err := range g.Months(ctx) {
		if last = err; err != nil {
			break
		}
		months++
		for range m.Stores {
			cancel()
		}
	}
	if last == nil || months != 1 {
		t.Errorf("%d months, then %v", months, last)
	}
}

func TestPoisson(t *testing.T) {
	t.Parallel()
	for _, lambda := range []float64{0, 0.3, 4, 9.99, 10, 37, 1500} {
		src := source(1, streamSeries, uint64(lambda*100))
		r := rand.New(&src)
		const n = 40000
		var sum, squares float64
		for range n {
			k := float64(poisson(r, lambda))
			sum, squares = sum+k, squares+k*k
		}
		mean := sum / n
		variance := squares/n - mean*mean
		// Four standard errors of a mean and of a variance.
		if math.Abs(mean-lambda) > 4*math.Sqrt(lambda/n) {
			t.Errorf("lambda %v: mean %v", lambda, mean)
		}
		if math.Abs(variance-lambda) > 4*math.Sqrt((lambda+2*lambda*lambda)/n) {
			t.Errorf("lambda %v: variance %v", lambda, variance)
		}
	}
}
