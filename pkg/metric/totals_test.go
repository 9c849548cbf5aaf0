package metric_test

import (
	"math"
	"testing"

	"salescast/pkg/backtest"
	"salescast/pkg/metric"
	"salescast/pkg/panel"
)

func TestTotals(t *testing.T) {
	t.Parallel()
	nan := math.NaN()
	pr := &backtest.Predictions{
		Keys: []panel.Key{{Name: "level", Levels: []string{"all", "store"}, Codes: []int32{0, 1, 1}}, {Name: "value", Levels: []string{"a", "all", "b"}, Codes: []int32{1, 0, 2}}},
		// Of four sums of all series one is not sold, one is on the bound of 80 % and one outside of 95 %.
		Series: []int32{0, 0, 0, 0, 1, 2}, Actual: []float64{100, 110, 130, nan, 50, 50}, Forecast: []float64{100, 100, 100, 100, 50, 45},
		Levels: []float64{0.025, 0.1, 0.9, 0.975}, Quantiles: []float64{80, 90, 110, 120, 80, 90, 110, 120, 80, 90, 110, 120, 80, 90, 110, 120, 40, 45, 55, 60, 40, 42, 48, 52},
	}
	want := []metric.TotalScores{
		{Level: "all", Totals: 1, Rows: 3, WAPE: 40.0 / 340, Coverage80: 2.0 / 3, Coverage95: 2.0 / 3},
		{Level: "store", Totals: 2, Rows: 2, WAPE: 0.05, Coverage80: 0.5, Coverage95: 1},
	}
	got := metric.Totals(pr)
	if len(got) != len(want) {
		t.Fatalf("%d levels, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%+v, want %+v", got[i], want[i])
		}
	}
	pr.Levels, pr.Quantiles = nil, nil
	if c := metric.Totals(pr)[0].Coverage95; c.Defined() {
		t.Errorf("without quantiles the coverage is %v", c)
	}
}
