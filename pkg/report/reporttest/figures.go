package reporttest

import (
	"math"
	"math/rand/v2"
)

// Figures are of the kinds that data, models and scores may bring, the worst included.
var Figures = map[string]func(*rand.Rand) float64{
	"random":         func(r *rand.Rand) float64 { return math.Exp(4 + r.NormFloat64()) },
	"constant":       func(*rand.Rand) float64 { return 1000 },
	"zero":           func(*rand.Rand) float64 { return 0 },
	"NaN":            func(*rand.Rand) float64 { return math.NaN() },
	"negative":       func(r *rand.Rand) float64 { return -100 * r.Float64() },
	"one ulp apart":  func(r *rand.Rand) float64 { return 4e16 + 8*float64(r.IntN(2)) },
	"huge":           func(r *rand.Rand) float64 { return math.MaxFloat64 * r.Float64() },
	"huge both ways": func(r *rand.Rand) float64 { return math.MaxFloat64 * (2*r.Float64() - 1) },
	"tiny":           func(r *rand.Rand) float64 { return math.SmallestNonzeroFloat64 * float64(r.IntN(4)) },
	"outliers":       func(r *rand.Rand) float64 { return math.Pow(10, 60*r.Float64()*float64(r.IntN(2))) },
	"anything": func(r *rand.Rand) float64 {
		odd := []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, 1, 4e16, r.NormFloat64()}
		return odd[r.IntN(len(odd))]
	},
}
