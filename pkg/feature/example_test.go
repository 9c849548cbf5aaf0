package feature_test

import (
	"fmt"

	"salescast/pkg/calendar"
	"salescast/pkg/feature"
	"salescast/pkg/panel"
)

// A plan is checked columns; each says what it may look at, counted from the forecast's origin.
func ExampleNewPlan() {
	p := &panel.Panel{
		Frequency: calendar.Frequency{Unit: calendar.Daily}, Offsets: []int{0, 100}, Start: []calendar.Step{0},
		Keys:   []panel.Key{{Name: "store", Levels: []string{"north"}, Codes: []int32{0}}},
		Target: make([]float32, 100), Observed: make([]bool, 100),
	}
	for i := range p.Target {
		p.Target[i], p.Observed[i] = float32(10+i%7), true
	}
	plan, err := feature.NewPlan(feature.Spec{Families: []string{"lag"}, Lags: []int{7, 14}}, feature.Describe(p, 99, 28, ""))
	if err != nil {
		panic(err)
	}
	for _, c := range plan.Columns() {
		fmt.Printf("%s: %s\n", c.Name, c.About)
	}
	// Output:
	// sales_lag7: sale 7 steps before the step after the origin
	// sales_lag14: sale 14 steps before the step after the origin
	// sales_year_lag: sale 364 steps before the target
}
