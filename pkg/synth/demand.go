package synth

import (
	"math"
	"time"

	"salescast/pkg/calendar"
)

const (
	// conversion is the share of visitors who would buy a product that costs nothing.
	conversion = 0.04
	// holidayTraffic is how many times the usual visitors come on a public holiday.
	holidayTraffic = 1.3
	// uplift is what a discount of 100 % would add to demand, as a multiple of it.
	uplift = 3
	// The spreads of what nobody can know in advance, on the log scale: the weather and the day of a store, and a product's own day.
	weatherSigma, trafficSigma, demandSigma = 0.1, 0.05, 0.2
	// affinitySigma spreads how well a product sells in one store rather than another.
	affinitySigma = 0.3
)

var weekdays = [7]float64{0.90, 0.85, 0.85, 0.90, 1.10, 1.30, 1.20}

// factor returns what a day of the year does to demand.
func (s Season) factor(d calendar.Day, holiday bool) float64 {
	_, month, _ := d.Date()
	n := float64(d.YearDay())
	wave := func(amplitude, shift float64) float64 { return 1 + amplitude*math.Sin(2*math.Pi*(n-shift)/365) }
	switch s {
	case Holiday:
		if month >= time.November {
			return 1.5 + 0.3*math.Sin(2*math.Pi*(n-300)/60)
		}
		if holiday {
			return 1.3
		}
	case Summer:
		return wave(0.4, 80)
	case Winter:
		return wave(0.3, -90)
	case Spring:
		return wave(0.3, 20)
	case BackToSchool:
		if month == time.August || month == time.September {
			return 1.4
		}
		return 0.9
	case Fitness:
		if month == time.January {
			return 1.5
		}
		if month == time.May || month == time.June {
			return 1.3
		}
	case AllYear:
	}
	return 1
}

// visitors returns the expected visitors of a store on a day that is as usual but for its weekday and holiday.
func (s Store) visitors(d, start calendar.Day, holiday bool) float64 {
	v := s.Traffic * weekdays[d.Weekday()] * trend(s.Growth, d, start)
	if holiday {
		v *= holidayTraffic
	}
	return v
}

// appeal returns what one visitor of a store is expected to buy of a product at its list price.
func (p Product) appeal(d, start calendar.Day, holiday bool) float64 {
	return conversion / (1 + float64(p.Price)/100) * p.Season.factor(d, holiday) * trend(p.Growth, d, start)
}

func trend(growth float64, d, start calendar.Day) float64 {
	return math.Exp(growth * float64(d-start) / 365.25)
}
