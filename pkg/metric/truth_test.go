package metric_test

import (
	"math"
	"testing"

	"salescast/pkg/backtest"
	"salescast/pkg/calendar"
	"salescast/pkg/metric"
	"salescast/pkg/panel"
)

// The errors are those worked out by hand: of four rows one has no sale and one no truth.
func TestTruth(t *testing.T) {
	t.Parallel()
	nan := math.NaN()
	pr := &backtest.Predictions{
		Keys: []panel.Key{{Name: "item", Levels: []string{"a", "b"}, Codes: []int32{0, 1}}}, Models: []string{"ensemble", "naive"},
		Model: []int32{0, 0, 0, 0, 1}, Series: []int32{0, 0, 1, 1, 0}, Cutoff: []calendar.Day{9, 9, 9, 9, 9}, Date: []calendar.Day{10, 11, 10, 11, 10},
		Horizon: []int32{1, 2, 1, 2, 1}, Actual: []float64{12, nan, 16, 5, 12}, Forecast: []float64{11, 10, 22, 5, 99},
	}
	tally := metric.NewTruth(pr, "ensemble", []calendar.Day{10, 11})
	if tally.Scores() != nil {
		t.Error("there are scores of nothing")
	}
	if tally.Wants(12) || !tally.Wants(11) {
		t.Error("it wants other days than those that are predicted")
	}
	tally.Expect("a", 10, 10)
	tally.Expect("a", 11, 10)
	tally.Expect("b", 10, 20)
	tally.Expect("c", 10, 1000)
	tally.Add(pr)
	want := metric.TruthScores{Rows: 2, Model: 3.0 / 30, Sampling: 6.0 / 30, Sold: 7.0 / 30, Ratio: 3.0 / 6, Excess: 7.0 / 6, Bias: 3.0 / 30}
	if got := tally.Scores(); got == nil || *got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
