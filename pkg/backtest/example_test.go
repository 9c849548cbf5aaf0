package backtest_test

import (
	"context"
	"fmt"

	"salescast/pkg/backtest"
	"salescast/pkg/calendar"
	"salescast/pkg/forecast"
	"salescast/pkg/forecast/seasonal"
	"salescast/pkg/metric"
	"salescast/pkg/panel"
)

// weekly is one series of 12 weeks that sells more on one day of seven.
func weekly() *panel.Panel {
	p := &panel.Panel{
		Frequency: calendar.Frequency{Unit: calendar.Daily}, Offsets: []int{0, 84}, Start: []calendar.Step{0},
		Keys: []panel.Key{{Name: "store", Levels: []string{"north"}, Codes: []int32{0}}},
	}
	for i := range 84 {
		y := float32(10)
		if i%7 == 5 {
			y = 30
		}
		p.Target, p.Observed = append(p.Target, y), append(p.Observed, true)
	}
	return p
}

// The past is forecast from each origin as it would have been then, and scored.
func Example() {
	p := weekly()
	schedule, err := backtest.Origins(p, 7, 2)
	if err != nil {
		panic(err)
	}
	var splits []backtest.Split
	for _, o := range schedule.Test {
		splits = append(splits, backtest.Split{Cutoff: o, Horizon: schedule.Horizon})
	}
	naive := func(backtest.Split) forecast.Forecaster { return seasonal.Naive{} }
	made, err := backtest.Run(context.Background(), p, "seasonal_naive", splits, naive, nil)
	if err != nil {
		panic(err)
	}
	scores, err := metric.Evaluate(p, made)
	if err != nil {
		panic(err)
	}
	fmt.Println(len(splits), "origins,", made.Rows(), "forecasts, WAPE", scores.Overall[0].WAPE)
	// Output: 2 origins, 14 forecasts, WAPE 0
}
