package metric

import (
	"fmt"
	"math"
	"slices"

	"salescast/pkg/backtest"
	"salescast/pkg/calendar"
)

// Pairing compares one model with every other of predictions that come block by block. It keeps the candidate's errors and the sums that
// comparisons follow from.
type Pairing struct {
	head      *backtest.Predictions
	candidate int
	origins   []calendar.Day
	horizons  int
	errors    []float64 // of the candidate by origin, series and step ahead; NaN where it was not scored
	begun     bool
	others    []paired
}

// paired are the sums of one reference.
type paired struct {
	series []pair
	seen   []bool
	dates  map[calendar.Day]pair
	rows   int
	ahead  int32
}

// NewPairing prepares for predictions with the models of head, made at origins up to horizons steps ahead.
func NewPairing(head *backtest.Predictions, candidate string, origins []calendar.Day, horizons int) (*Pairing, error) {
	m, err := Contender{Predictions: head, Model: candidate}.model()
	if err != nil {
		return nil, err
	}
	n := seriesCount(head)
	p := &Pairing{head: head, candidate: m, origins: origins, horizons: horizons, errors: make([]float64, len(origins)*n*horizons), others: make([]paired, len(head.Models))}
	for i := range p.errors {
		p.errors[i] = math.NaN()
	}
	for k := range p.others {
		p.others[k] = paired{series: make([]pair, n), seen: make([]bool, n), dates: map[calendar.Day]pair{}}
	}
	return p, nil
}

// Add takes in the next rows. Those of the candidate must come before any other's.
func (p *Pairing) Add(pr *backtest.Predictions) error {
	n := seriesCount(p.head)
	for i := range pr.Rows() {
		y, f := pr.Actual[i], pr.Forecast[i]
		if math.IsNaN(y) || math.IsNaN(f) {
			continue
		}
		o, ok := slices.BinarySearch(p.origins, pr.Cutoff[i])
		h := int(pr.Horizon[i]) - 1
		if !ok || h < 0 || h >= p.horizons {
			return fmt.Errorf("a prediction from %s, %d steps ahead, is not of the origins %v and %d steps", pr.Cutoff[i], h+1, p.origins, p.horizons)
		}
		own := &p.errors[(o*n+int(pr.Series[i]))*p.horizons+h]
		if int(pr.Model[i]) == p.candidate {
			if p.begun {
				return fmt.Errorf("rows of %s come after those of another model", p.head.Models[p.candidate])
			}
			*own = math.Abs(f - y)
			continue
		}
		p.begun = true
		if math.IsNaN(*own) {
			continue
		}
		r := &p.others[pr.Model[i]]
		d := pair{*own, math.Abs(f - y), math.Abs(y)}
		r.series[pr.Series[i]], r.seen[pr.Series[i]] = r.series[pr.Series[i]].plus(d), true
		r.dates[pr.Date[i]] = r.dates[pr.Date[i]].plus(d)
		r.rows, r.ahead = r.rows+1, max(r.ahead, pr.Horizon[i])
	}
	return nil
}

// With compares the candidate with a reference over the rows that both have. The same seed gives the same intervals.
func (p *Pairing) With(reference string, seed uint64) (*Comparison, error) {
	m, err := Contender{Predictions: p.head, Model: reference}.model()
	if err != nil {
		return nil, err
	}
	r := &p.others[m]
	var series []pair
	for s, seen := range r.seen {
		if seen {
			series = append(series, r.series[s])
		}
	}
	return compare(series, ordered(r.dates), r.rows, int(r.ahead), seed)
}
