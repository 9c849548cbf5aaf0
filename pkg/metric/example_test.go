package metric_test

import (
	"fmt"

	"salescast/pkg/backtest"
	"salescast/pkg/calendar"
	"salescast/pkg/forecast"
	"salescast/pkg/metric"
	"salescast/pkg/panel"
)

// Predictions are scored against the panel that they were made from; an overestimate is a bias above 0.
func ExampleEvaluate() {
	p := &panel.Panel{
		Frequency: calendar.Frequency{Unit: calendar.Daily}, Offsets: []int{0, 5}, Start: []calendar.Step{100},
		Keys:   []panel.Key{{Name: "store", Levels: []string{"north"}, Codes: []int32{0}}},
		Target: []float32{8, 12, 9, 10, 20}, Observed: []bool{true, true, true, true, true},
	}
	made := forecast.NewPrediction(102, 1, 2, nil)
	copy(made.Point, []float64{11, 22})
	scores, err := metric.Evaluate(p, backtest.Collect(p, "mine", []*forecast.Prediction{made}))
	if err != nil {
		panic(err)
	}
	s := scores.Overall[0]
	fmt.Printf("%d forecasts, MAE %.1f, WAPE %.2f, bias %+.2f\n", s.Rows, s.MAE, s.WAPE, s.Bias)
	// Output: 2 forecasts, MAE 1.5, WAPE 0.10, bias +0.10
}
