package panel_test

import (
	"context"
	"fmt"
	"time"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

// A day without a row before the last sale of all is filled by policy, and remembered as one that was not observed.
func ExampleBuilder() {
	b, err := panel.NewBuilder(panel.Schema{Keys: []string{"store"}}, panel.BuilderOptions{Frequency: "D", Missing: panel.Zero})
	if err != nil {
		panic(err)
	}
	defer b.Close()
	march := func(d int) calendar.Day { return calendar.DateOf(2026, time.March, d) }
	for _, row := range []struct {
		store string
		day   calendar.Day
		sales float32
	}{{"south", march(2), 5}, {"north", march(1), 7}, {"north", march(3), 9}} {
		if err := b.AddText([]string{row.store}, nil, row.day, row.sales, nil); err != nil {
			panic(err)
		}
	}
	p, err := b.Build(context.Background())
	if err != nil {
		panic(err)
	}
	for s := range p.Series() {
		lo, hi := p.Span(s)
		fmt.Println(p.ID(s), p.Frequency.Day(p.Start[s]), p.Target[lo:hi], p.Observed[lo:hi])
	}
	// Output:
	// [north] 2026-03-01 [7 0 9] [true false true]
	// [south] 2026-03-02 [5 0] [true false]
}
