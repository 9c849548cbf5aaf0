package panel_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

type sale struct {
	store, item string
	day         calendar.Day
	y, promo    float32
}

var nan = float32(math.NaN())

func build(t *testing.T, o panel.BuilderOptions, rows []sale) (*panel.Panel, []panel.Event, error) {
	t.Helper()
	var events []panel.Event
	o.Report = func(e panel.Event) {
		e.Value = slices.Clone(e.Value)
		events = append(events, e)
	}
	b, err := panel.NewBuilder(panel.Schema{Keys: []string{"store", "item"}, Covariates: []panel.Attribute{{Name: "promo", Role: panel.KnownFuture}}}, o)
	if err != nil {
		return nil, nil, err
	}
	for _, r := range rows {
		if err := b.AddText([]string{r.store, r.item}, nil, r.day, r.y, []float32{r.promo}); err != nil {
			t.Fatal(err)
		}
	}
	p, err := b.Build(t.Context())
	if e := b.Close(); e != nil {
		t.Fatal(e)
	}
	return p, events, err
}

func dump(p *panel.Panel) string {
	var b strings.Builder
	fmt.Fprintln(&b, p.Frequency, p.Offsets, p.Start, p.Keys, p.Static, p.Target, p.Observed, p.Covariates)
	return b.String()
}

func randomSales(rng *rand.Rand, series, days int) []sale {
	var rows []sale
	for s := range series {
		for d := range days {
			if rng.IntN(4) == 0 {
				continue
			}
			y := float32(rng.IntN(50))
			if rng.IntN(12) == 0 {
				y = nan
			}
			rows = append(rows, sale{fmt.Sprint("s", s%5), fmt.Sprint("i", s/5), calendar.Day(18000 + d), y, float32(rng.IntN(2))})
		}
	}
	return rows
}

// slow is the obvious builder: a map of days per series.
func slow(rows []sale, missing panel.Missing) string {
	type row struct{ y, promo float32 }
	series := map[[2]string]map[calendar.Day]row{}
	end := calendar.Day(math.MinInt32)
	for _, r := range rows {
		id := [2]string{r.store, r.item}
		if series[id] == nil {
			series[id] = map[calendar.Day]row{}
		}
		series[id][r.day] = row{r.y, r.promo}
		if r.y == r.y {
			end = max(end, r.day)
		}
	}
	var ids [][2]string
	for id := range series {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	var b strings.Builder
	for _, id := range ids {
		first, last := calendar.Day(math.MaxInt32), end
		for d, r := range series[id] {
			if r.y == r.y {
				first = min(first, d)
			}
			last = max(last, d)
		}
		if first == math.MaxInt32 {
			continue
		}
		carried, promo := nan, nan
		for d := first; d <= last; d++ {
			r, ok := series[id][d]
			observed := ok && r.y == r.y
			switch {
			case observed:
				carried = r.y
			case d > end || missing == panel.Leave:
				r.y = nan
			case missing == panel.Zero:
				r.y = 0
			case missing == panel.Carry:
				r.y = carried
			}
			if ok {
				promo = r.promo
			} else if d > end {
				promo = nan
			}
			fmt.Fprintln(&b, id, d, r.y, observed, promo)
		}
	}
	return b.String()
}

func rowsOf(p *panel.Panel) string {
	var b strings.Builder
	for s := range p.Series() {
		lo, hi := p.Span(s)
		for r := lo; r < hi; r++ {
			fmt.Fprintln(&b, p.ID(s), p.Frequency.Day(p.Start[s]+calendar.Step(r-lo)), p.Target[r], p.Observed[r], p.Covariates[0].Values[r])
		}
	}
	return b.String()
}

func TestBuilderEqualsTheObviousOne(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		rows := randomSales(rng, 1+rng.IntN(12), 2+rng.IntN(60))
		for _, m := range []panel.Missing{panel.Zero, panel.Carry, panel.Leave} {
			p, _, err := build(t, panel.BuilderOptions{Frequency: "D", Missing: m}, rows)
			if err != nil {
				if errors.Is(err, panel.ErrNoSales) && slow(rows, m) == "" {
					continue
				}
				t.Fatal(err)
			}
			if got, want := rowsOf(p), slow(rows, m); got != want {
				t.Fatalf("seed %d, %s: got\n%s\nwant\n%s", seed, m, got, want)
			}
		}
	}
}

func TestOrderOfRowsAndSpillingChangeNothing(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(5, 5))
	rows := randomSales(rng, 30, 200)
	want, _, err := build(t, panel.BuilderOptions{}, rows)
	if err != nil {
		t.Fatal(err)
	}
	for _, memory := range []int{0, 100, 1777} {
		shuffled := slices.Clone(rows)
		rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		got, _, err := build(t, panel.BuilderOptions{MemoryRows: memory, Scratch: t.TempDir()}, shuffled)
		if err != nil {
			t.Fatal(err)
		}
		if dump(got) != dump(want) {
			t.Fatalf("memory for %d rows: the panel depends on the order of the rows", memory)
		}
	}
}

func TestFirstOfDuplicatesStays(t *testing.T) {
	t.Parallel()
	rows := []sale{{"a", "x", 1, 10, 0}, {"a", "x", 2, 20, 0}, {"a", "x", 1, 11, 0}, {"a", "x", 1, 12, 0}}
	for _, o := range []panel.BuilderOptions{{Frequency: "D"}, {Frequency: "D", MemoryRows: 1, Scratch: t.TempDir()}} {
		p, events, err := build(t, o, rows)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(p.Target, []float32{10, 20}) {
			t.Fatalf("target %v", p.Target)
		}
		if len(events) != 2 || events[0].Kind != panel.Duplicate || events[0].Origin != 2 || events[0].Other != 0 || events[1].Value[0] != 12 {
			t.Fatalf("events %+v", events)
		}
	}
}

func TestFrequency(t *testing.T) {
	t.Parallel()
	day := func(s string) calendar.Day {
		d, err := calendar.ParseDay(s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	weekly := []calendar.Day{day("1990-06-14"), day("1990-06-21"), day("1990-07-05")}
	for _, c := range []struct {
		asked string
		days  []calendar.Day
		want  string
	}{
		{"", []calendar.Day{day("2020-01-01"), day("2020-01-03"), day("2020-01-06")}, "D"},
		{"", weekly, "W-THU"},
		{"W", weekly, "W-THU"},
		{"W-THU", weekly, "W-THU"},
		{"D", weekly, "D"},
		{"W-MON", weekly, "begin their week on another day"},
		{"", []calendar.Day{day("2020-01-01"), day("2020-02-01"), day("2020-05-01")}, "M"},
		{"M", weekly, "not on the first of a month"},
		{"W", []calendar.Day{day("2020-01-01"), day("2020-01-02"), day("2020-01-03")}, "begin their week on another day"},
		{"", []calendar.Day{day("2020-01-02")}, "single date"},
		{"fortnight", weekly, "is not one of"},
	} {
		var rows []sale
		for _, d := range c.days {
			rows = append(rows, sale{"a", "x", d, 1, 0})
		}
		p, _, err := build(t, panel.BuilderOptions{Frequency: c.asked}, rows)
		if err != nil {
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q: error %v, want %q", c.asked, err, c.want)
			}
			continue
		}
		if p.Frequency.String() != c.want {
			t.Errorf("%q: got %v, want %s", c.asked, p.Frequency, c.want)
		}
	}
}

func TestEventsNameWhatIsLeftOut(t *testing.T) {
	t.Parallel()
	var rows []sale
	for d := range calendar.Day(100) {
		rows = append(rows, sale{"a", "x", 18000 + d, 1, 0})
		if d%7 == 0 {
			rows = append(rows, sale{"b", "weekly", 18000 + d, 1, 0})
		}
	}
	rows = append(rows, sale{"c", "plan only", 18001, nan, 0}, sale{"d", "late", 18001, nan, 0}, sale{"d", "late", 18002, 1, 0})
	p, events, err := build(t, panel.BuilderOptions{}, rows)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, e := range events {
		kinds = append(kinds, fmt.Sprint(e.Kind, e.ID))
	}
	want := []string{
		fmt.Sprint(panel.OtherFrequency, []string{"b", "weekly"}), fmt.Sprint(panel.NoSale, []string{"c", "plan only"}),
		fmt.Sprint(panel.BeforeFirstSale, []string{"d", "late"}),
	}
	if !slices.Equal(kinds, want) {
		t.Fatalf("events %v, want %v", kinds, want)
	}
	if p.Series() != 3 {
		t.Fatalf("%d series", p.Series())
	}
}

// Rows of one series and day make together what a map of days would, however many are in memory, and absent days of receipts are sales of 0.
func TestReceipts(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 9))
		var rows []sale
		type day struct {
			sold []float32
			rain []float32
		}
		want := map[calendar.Day]*day{}
		for range 1 + rng.IntN(80) {
			d := calendar.Day(18000 + rng.IntN(12))
			s := sale{"a", "x", d, float32(rng.IntN(9)), float32(rng.IntN(3))}
			if rng.IntN(7) == 0 {
				s.y = nan
			}
			rows = append(rows, s)
			if want[d] == nil {
				want[d] = &day{}
			}
			if s.y == s.y {
				want[d].sold = append(want[d].sold, s.y)
			}
			want[d].rain = append(want[d].rain, s.promo)
		}
		for how, of := range map[panel.Aggregate]func(x []float32) float32{
			panel.Sum:  func(x []float32) float32 { return sum(x) },
			panel.Mean: func(x []float32) float32 { return sum(x) / float32(len(x)) },
		} {
			for _, memory := range []int{0, 3} {
				o := panel.BuilderOptions{Frequency: "D", Aggregate: how, Missing: panel.NoneSold, MemoryRows: memory}
				if memory > 0 {
					o.Scratch = t.TempDir()
				}
				p, events, err := build(t, o, rows)
				if err != nil {
					continue // no row has a sale
				}
				for _, e := range events {
					if e.Kind == panel.Duplicate {
						t.Fatalf("%s: a receipt is reported: %+v", how, e)
					}
				}
				end, _ := p.End()
				for at := p.Start[0]; at <= end; at++ {
					r, _ := p.Row(0, at)
					d := want[p.Frequency.Day(at)]
					y, known := float32(0), true
					if d != nil {
						if known = len(d.sold) > 0; known {
							y = of(d.sold)
						}
					}
					if p.Observed[r] != known || known && math.Abs(float64(p.Target[r]-y)) > 1e-5 {
						t.Fatalf("seed %d, %s, day %v: %v, seen %t; want %v, %t", seed, how, p.Frequency.Day(at), p.Target[r], p.Observed[r], y, known)
					}
					if d != nil && math.Abs(float64(p.Covariates[0].Values[r]-sum(d.rain)/float32(len(d.rain)))) > 1e-5 {
						t.Fatalf("seed %d, %s: the covariate is %v", seed, how, p.Covariates[0].Values[r])
					}
				}
			}
		}
	}
	p, _, err := build(t, panel.BuilderOptions{Frequency: "D", Aggregate: panel.Last}, []sale{{"a", "x", 1, 10, 1}, {"a", "x", 2, 20, 0}, {"a", "x", 1, 11, 0}})
	if err != nil || !slices.Equal(p.Target, []float32{11, 20}) || p.Covariates[0].Values[0] != 0 {
		t.Errorf("the last stands for all: %v, %v", p, err)
	}
}

func sum(x []float32) (s float32) {
	for _, v := range x {
		s += v
	}
	return s
}
