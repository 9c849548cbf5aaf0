package synth

import (
	"math"
	"math/rand/v2"

	"salescast/pkg/calendar"
)

// stock is the shelf of one product in one store. It is watched every evening: at or below the reorder point an order fills it up, which
// comes after the lead time, or late.
type stock struct {
	onHand, onOrder int32
	arrival         calendar.Day
	lead            int32
}

const (
	// safety is how many standard deviations of the demand in a lead time the reorder point lies above its mean.
	safety = 1.2
	// cover is the days of sales that an order fills up to beyond the reorder point.
	cover = 10
	// lateShare of the orders come later than promised.
	lateShare = 0.05
)

// reorderPoint returns the level for a planner who expects rate units a day and knows nothing of promotions.
func (s *stock) reorderPoint(rate float64) int32 {
	days := float64(s.lead + 1)
	return int32(math.Ceil(rate*days + safety*math.Sqrt(rate*days+0.06*rate*rate*days)))
}

// open takes in what has arrived, and returns the units on hand as the day begins.
func (s *stock) open(d calendar.Day) int32 {
	if s.onOrder > 0 && d >= s.arrival {
		s.onHand, s.onOrder = s.onHand+s.onOrder, 0
	}
	return s.onHand
}

// close takes away what was sold and orders more when it is time.
func (s *stock) close(d calendar.Day, sold int32, rate float64, r *rand.Rand) {
	s.onHand -= sold
	point := s.reorderPoint(rate)
	if s.onOrder > 0 || s.onHand > point {
		return
	}
	s.onOrder = max(1, point+int32(math.Ceil(cover*rate))-s.onHand)
	s.arrival = d + 1 + calendar.Day(s.lead)
	if r.Float64() < lateShare {
		s.arrival += calendar.Day(3 + r.IntN(8))
	}
}
