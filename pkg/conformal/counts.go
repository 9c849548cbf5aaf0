package conformal

import (
	"fmt"
	"math"
	"slices"
)

// Counts are quantiles of what series sell of which most steps sell nothing. There errors say little: the forecast is a mean between many
// zeros and few sales, and no sale is near it. What is pooled is the sale itself, in units of the size of the series' sales, over forecasts
// that promise about as much in the same units: so zeros are as frequent as they were, and the largest sale is one that was made.
type Counts struct {
	// Rates are the mean forecasts of the bins, in units of the series' sizes, increasing.
	Rates []float64 `json:"rates"`
	// Quantiles are those of sales in each bin, one per level, in the same units; they do not decrease from bin to bin.
	Quantiles [][]float64 `json:"quantiles"`
	// Kin is the median size of the series that were learned from.
	Kin float64 `json:"kin"`
}

const (
	// countRows is the number of rows below which no counts are learned, and of those that a bin has at least.
	countRows = 150
	// countBins is the most bins.
	countBins = 12
)

// fitCounts learns from the rows of series with a size.
func (c *Calibration) fitCounts(e Errors) {
	var rows []int
	var sizes []float64
	for i, z := range e.Size {
		if z > 0 {
			rows = append(rows, i)
			sizes = append(sizes, z)
		}
	}
	if len(rows) < countRows {
		return
	}
	rate := func(i int) float64 { return e.Forecast[i] / e.Size[i] }
	slices.SortStableFunc(rows, func(a, b int) int {
		switch {
		case rate(a) < rate(b):
			return -1
		case rate(a) > rate(b):
			return 1
		}
		return 0
	})
	slices.Sort(sizes)
	out := &Counts{Kin: quantile(sizes, 0.5)}
	bins := min(countBins, max(1, len(rows)/countRows))
	for b := range bins {
		own := rows[b*len(rows)/bins : (b+1)*len(rows)/bins]
		sales := make([]float64, len(own))
		r := 0.0
		for k, i := range own {
			sales[k] = e.Actual[i] / e.Size[i]
			r += rate(i) / float64(len(own))
		}
		slices.Sort(sales)
		q := make([]float64, len(c.Levels))
		for k, level := range c.Levels {
			q[k] = quantile(sales, level)
			if b > 0 {
				q[k] = max(q[k], out.Quantiles[b-1][k])
			}
		}
		out.Rates, out.Quantiles = append(out.Rates, r), append(out.Quantiles, q)
	}
	c.Counts = out
}

// ApplyCounts is [Calibration.Apply] for a series whose sales are of a size, see [Errors.Size], and mostly 0. The quantile at level 0.5 is
// the median, which is 0 where most steps sell nothing, not the forecast, which is a mean.
func (c *Calibration) ApplyCounts(size float64, point, dst []float64) {
	for i, f := range point {
		q := dst[i*len(c.Levels) : (i+1)*len(c.Levels)]
		c.Counts.at(max(f, 0)/size, q)
		for k := range q {
			q[k] *= size
			if math.IsNaN(f) {
				q[k] = f
			}
		}
	}
}

// at writes the quantiles of sales where the forecast is rate: those of the bins on both sides by their distance; beyond the last as many
// times as much as the forecast is.
func (n *Counts) at(rate float64, dst []float64) {
	last := len(n.Rates) - 1
	b := 0
	for b <= last && n.Rates[b] < rate {
		b++
	}
	switch {
	case b == 0:
		copy(dst, n.Quantiles[0])
	case b > last:
		for k := range dst {
			dst[k] = n.Quantiles[last][k]
			if n.Rates[last] > 0 {
				dst[k] *= rate / n.Rates[last]
			}
		}
	default:
		w := (rate - n.Rates[b-1]) / (n.Rates[b] - n.Rates[b-1])
		for k := range dst {
			dst[k] = (1-w)*n.Quantiles[b-1][k] + w*n.Quantiles[b][k]
		}
	}
}

func (n *Counts) check(levels int) error {
	if n == nil {
		return nil
	}
	if len(n.Rates) == 0 || len(n.Rates) != len(n.Quantiles) {
		return fmt.Errorf("its counts have %d rates and %d rows of quantiles", len(n.Rates), len(n.Quantiles))
	}
	for b, q := range n.Quantiles {
		if len(q) != levels || !slices.IsSorted(q) {
			return fmt.Errorf("the quantiles %v of its counts are not %d in order", q, levels)
		}
		if b > 0 && !(n.Rates[b] >= n.Rates[b-1]) {
			return fmt.Errorf("the rates %v of its counts decrease", n.Rates)
		}
	}
	return checkFinite(append([][]float64{n.Rates, {n.Kin}}, n.Quantiles...)...)
}
