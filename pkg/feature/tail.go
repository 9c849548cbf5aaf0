package feature

import (
	"salescast/pkg/calendar"
)

// Carry is what a series' past adds up to before the first row that a tail holds. Starting from the very sums, not from their
// differences, gives the very bits that the whole history gives.
type Carry struct {
	// Start is the first step of the series.
	Start calendar.Step
	// Sum and Squares are the sums of the observed sales and of their squares, Count and Zeros how many there are and how many are 0.
	Sum, Squares float64
	Count, Zeros int32
	// EWM holds the exponentially weighted means.
	EWM [2]float32
}

func (c Carry) sums() sums {
	return sums{sum: c.Sum, squares: c.Squares, count: c.Count, zeros: c.Zeros, ewm: c.EWM}
}

// minEnd is the least index after the origin for which a series of a restored state holds all that the plan reads.
func (st *State) minEnd(s int32) int { return int(st.held[s]) + st.plan.lookback }
