package metric

import (
	"math"
	"slices"

	"salescast/pkg/backtest"
)

// AllSeries is the level of the sum of all series.
const AllSeries = "all"

// TotalScores are those of the sums of one level over the test origins.
type TotalScores struct {
	// Level is [AllSeries] or the name of the key whose values were summed.
	Level string `json:"level"`
	// Totals is the number of sums, Rows that of their steps with a sale.
	Totals int   `json:"totals"`
	Rows   int   `json:"rows"`
	WAPE   Value `json:"wape"`
	// Coverage80 and Coverage95 are the shares of sums within the central intervals; NaN where the quantiles are not there.
	Coverage80 Value `json:"coverage_80"`
	Coverage95 Value `json:"coverage_95"`
}

// Totals scores sums whose first key is their level, in the order in which levels come. Rows without a sale do not count.
func Totals(pr *backtest.Predictions) []TotalScores {
	var out []TotalScores
	of := map[string][]int{}
	for i := range pr.Rows() {
		level := pr.Keys[0].Levels[pr.Keys[0].Codes[pr.Series[i]]]
		if of[level] == nil {
			out = append(out, TotalScores{Level: level})
		}
		of[level] = append(of[level], i)
	}
	for l := range out {
		t := &out[l]
		var miss, sold float64
		series := map[int32]bool{}
		for _, i := range of[t.Level] {
			if math.IsNaN(pr.Actual[i]) {
				continue
			}
			t.Rows++
			series[pr.Series[i]] = true
			miss += math.Abs(pr.Actual[i] - pr.Forecast[i])
			sold += math.Abs(pr.Actual[i])
		}
		t.Totals, t.WAPE = len(series), Value(miss/sold)
		t.Coverage80, t.Coverage95 = covered(pr, of[t.Level], 0.1, 0.9), covered(pr, of[t.Level], 0.025, 0.975)
	}
	return out
}

// covered is the share of the sales of rows that lie between the quantiles of two levels, bounds included.
func covered(pr *backtest.Predictions, rows []int, lo, hi float64) Value {
	a, b := slices.Index(pr.Levels, lo), slices.Index(pr.Levels, hi)
	if a < 0 || b < 0 {
		return Value(math.NaN())
	}
	var n, in float64
	for _, i := range rows {
		if math.IsNaN(pr.Actual[i]) {
			continue
		}
		n++
		if q := pr.Quantiles[i*len(pr.Levels):]; q[a] <= pr.Actual[i] && pr.Actual[i] <= q[b] {
			in++
		}
	}
	return Value(in / n)
}
