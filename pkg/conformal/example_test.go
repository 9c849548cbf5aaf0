package conformal_test

import (
	"context"
	"fmt"
	"math/rand/v2"

	"salescast/pkg/calendar"
	"salescast/pkg/conformal"
)

// Intervals come from out-of-sample errors: here of one series that is forecast as 100 and is off by as much as 20.
func ExampleFit() {
	draw := rand.New(rand.NewPCG(1, 2))
	e := conformal.Errors{Windows: 4}
	for window := range e.Windows {
		for h := 1; h <= 28; h++ {
			e.Add(0, h, window, 100, 80+40*draw.Float64())
		}
	}
	c, err := conformal.Fit(context.Background(), e, 1, conformal.Options{
		Levels: []float64{0.1, 0.5, 0.9}, Frequency: calendar.Frequency{Unit: calendar.Daily}, NonNegative: true,
	})
	if err != nil {
		panic(err)
	}
	quantiles := make([]float64, 3)
	c.Apply(0, []float64{100}, nil, quantiles)
	fmt.Printf("%.0f rows, from %.0f to %.0f around %.0f\n", float64(c.Rows), quantiles[0], quantiles[2], quantiles[1])
	// Output: 112 rows, from 81 to 116 around 100
}
