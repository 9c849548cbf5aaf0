package forecast_test

import (
	"context"
	"fmt"

	"salescast/pkg/calendar"
	"salescast/pkg/forecast"
	"salescast/pkg/forecast/seasonal"
	"salescast/pkg/panel"
)

// A Forecaster fits series up to an origin; its Model forecasts from there.
func ExampleForecaster() {
	p := &panel.Panel{
		Frequency: calendar.Frequency{Unit: calendar.Daily}, Offsets: []int{0, 28}, Start: []calendar.Step{0},
		Keys: []panel.Key{{Name: "store", Levels: []string{"north"}, Codes: []int32{0}}},
	}
	for i := range 28 {
		p.Target, p.Observed = append(p.Target, float32(10+i%7)), append(p.Observed, true)
	}
	var f forecast.Forecaster = seasonal.Naive{}
	ctx := context.Background()
	m, err := f.Fit(ctx, p, 27)
	if err != nil {
		panic(err)
	}
	defer m.Close()
	made, err := m.Forecast(ctx, forecast.Request{Panel: p, Origin: 27, Horizon: 7})
	if err != nil {
		panic(err)
	}
	fmt.Println(made.Point)
	// Output: [10 11 12 13 14 15 16]
}
