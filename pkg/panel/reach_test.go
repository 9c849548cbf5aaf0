package panel_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

func builderOf(t *testing.T, o panel.BuilderOptions, rows []sale) *panel.Builder {
	t.Helper()
	b, err := panel.NewBuilder(panel.Schema{Keys: []string{"store", "item"}, Covariates: []panel.Attribute{{Name: "promo", Role: panel.KnownFuture}}}, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if err := b.AddText([]string{r.store, r.item}, nil, r.day, r.y, []float32{r.promo}); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// What the builder says of the grid is what it makes, on every frequency, and one row less is refused.
func TestGridRowsAreThoseOfThePanel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 5))
		rows := randomSales(rng, 1+rng.IntN(12), 1+rng.IntN(60))
		o := panel.BuilderOptions{Frequency: "D", NewSeries: seed%2 == 0}
		for i := range 3 { // plans, of known series and of new ones
			rows = append(rows, sale{fmt.Sprint("s", i), "i0", calendar.Day(18100 + rng.IntN(40)), nan, 1}, sale{"new", strconv.Itoa(i), calendar.Day(18070 + rng.IntN(40)), nan, 1})
		}
		b := builderOf(t, o, rows)
		f, err := b.Frequency()
		if err != nil {
			t.Fatal(err)
		}
		want := b.GridRows(f)
		p, err := b.Build(t.Context())
		if errors.Is(err, panel.ErrNoSales) && want == 0 {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if o.NewSeries && want < int64(p.Rows()) || !o.NewSeries && want != int64(p.Rows()) {
			t.Errorf("seed %d: %d rows are foretold, %d made", seed, want, p.Rows())
		}
		o.MaxRows = want - 1
		_, err = builderOf(t, o, rows).Build(t.Context())
		if e, ok := errors.AsType[*panel.GridError](err); !ok || e.Rows != want || e.Given != int64(len(rows)) {
			t.Errorf("seed %d: one row less allowed: %v", seed, err)
		}
	}
}

// Few rows that lie far apart are refused before a day between them is made.
func TestAHugeGridIsNotMade(t *testing.T) {
	t.Parallel()
	var rows []sale
	for s := range 1000 {
		rows = append(rows, sale{"s", strconv.Itoa(s), calendar.DateOf(1970, 1, 1), 1, 0}, sale{"s", strconv.Itoa(s), calendar.DateOf(2200, 12, 16), 1, 0})
	}
	b := builderOf(t, panel.BuilderOptions{Frequency: "D"}, rows)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := b.Build(t.Context())
	runtime.ReadMemStats(&after)
	if e, ok := errors.AsType[*panel.GridError](err); !ok || e.Rows != 84_356_000 {
		t.Fatalf("84 million rows: %v", err)
	}
	if made := after.TotalAlloc - before.TotalAlloc; made > 64<<20 {
		t.Errorf("%d bytes were made to refuse it", made)
	}
}
