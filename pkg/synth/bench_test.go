package synth

import (
	"testing"

	"salescast/pkg/calendar"
)

func BenchmarkMonths(b *testing.B) {
	rows := 0
	for b.Loop() {
		g, err := New(Options{Stores: 50, Items: 20, Start: calendar.DateOf(2023, 1, 1), End: calendar.DateOf(2023, 6, 30), Seed: 1, Threads: 2})
		if err != nil {
			b.Fatal(err)
		}
		for m, err := range g.Months(b.Context()) {
			if err != nil {
				b.Fatal(err)
			}
			for s := range m.Stores {
				rows += len(s.Sales().Date)
			}
		}
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}
