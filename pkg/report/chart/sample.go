package chart

import (
	"math"
	"math/rand/v2"
	"slices"

	"salescast/pkg/backtest"
	"salescast/pkg/calendar"
)

// maxSampled bounds the series whose single predictions are drawn.
const maxSampled = 1000

// Sample gathers what pictures show of predictions that come block by block: the sums of all series by day, and the rows of some.
type Sample struct {
	// Rows are those of the primary and the baseline for at most maxSampled series, drawn by lot where there are more.
	Rows *backtest.Predictions
	sums []map[calendar.Day]sum
	keep []bool // by series
	show []bool // by model
}

// sum is what all series together sold and what was forecast of them, over rows that have both.
type sum struct{ actual, forecast float64 }

// NewSample prepares for predictions with the keys, models and levels of head.
func NewSample(head *backtest.Predictions, primary, baseline string) *Sample {
	n := head.NumSeries()
	s := &Sample{
		Rows: &backtest.Predictions{Keys: head.Keys, Models: head.Models, Levels: head.Levels},
		keep: make([]bool, n), show: make([]bool, len(head.Models)),
	}
	for _, i := range rand.New(rand.NewPCG(2, 2)).Perm(n)[:min(n, maxSampled)] {
		s.keep[i] = true
	}
	for m, name := range head.Models {
		s.sums = append(s.sums, map[calendar.Day]sum{})
		s.show[m] = name == primary || name == baseline
	}
	return s
}

// Add takes in the next rows.
func (s *Sample) Add(pr *backtest.Predictions) error {
	for i := range pr.Rows() {
		m := pr.Model[i]
		if !s.show[m] {
			continue
		}
		if !math.IsNaN(pr.Actual[i]) && !math.IsNaN(pr.Forecast[i]) {
			v := s.sums[m][pr.Date[i]]
			s.sums[m][pr.Date[i]] = sum{v.actual + pr.Actual[i], v.forecast + pr.Forecast[i]}
		}
	}
	return s.Rows.Append(pr.Filter(func(i int) bool { return s.show[pr.Model[i]] && s.keep[pr.Series[i]] }))
}

// Size is the number of series whose rows are kept.
func (s *Sample) Size() int {
	n := 0
	for _, k := range s.keep {
		if k {
			n++
		}
	}
	return n
}

// days are the dates of a model's sums, increasing.
func (s *Sample) days(m int) []calendar.Day {
	out := make([]calendar.Day, 0, len(s.sums[m]))
	for d := range s.sums[m] {
		out = append(out, d)
	}
	slices.Sort(out)
	return out
}
