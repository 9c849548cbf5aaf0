package metric

import (
	"math"
	"slices"

	"salescast/pkg/backtest"
	"salescast/pkg/calendar"
)

// TruthScores hold a model against the expectation that sales were drawn from, which is known of generated data alone. All errors are
// sums of absolute differences over the sum of expectations, over the rows that have a sale, a forecast and an expectation.
type TruthScores struct {
	Rows int `json:"rows"`
	// Model is the error of the model's forecasts against the truth: what it could do better.
	Model Value `json:"model_against_truth"`
	// Sampling is the error of the truth itself against what was sold: chance, which no model can foresee. Sold is that of the model.
	Sampling Value `json:"truth_against_sales"`
	Sold     Value `json:"model_against_sales"`
	// Ratio is Model over Sampling, Excess is Sold over Sampling: 1 is a model that is the truth.
	Ratio  Value `json:"ratio"`
	Excess Value `json:"excess"`
	// Bias is the sum of forecasts over that of expectations, less 1.
	Bias Value `json:"bias"`
}

// TruthTally accumulates the TruthScores of one model from predictions that come block by block. It keeps the expectations of the steps
// after each origin.
type TruthTally struct {
	model    int
	index    map[string]int
	expected map[calendar.Day][]float32 // by series; NaN where unknown
	rows     int

	miss, chance, sold, sum, forecast float64
}

// NewTruth prepares for predictions with the keys and models of head. dates are those that are predicted.
func NewTruth(head *backtest.Predictions, model string, dates []calendar.Day) *TruthTally {
	ids := joinedIDs(head)
	t := &TruthTally{model: slices.Index(head.Models, model), index: make(map[string]int, len(ids)), expected: map[calendar.Day][]float32{}}
	for s, joined := range ids {
		t.index[joined] = s
	}
	for _, d := range dates {
		all := make([]float32, len(ids))
		for s := range all {
			all[s] = float32(math.NaN())
		}
		t.expected[d] = all
	}
	return t
}

// Wants says whether a date is one that is predicted.
func (t *TruthTally) Wants(d calendar.Day) bool { return t.expected[d] != nil }

// Expect takes in what was to be expected of a series, by its key values with zero bytes between them, on a date that is wanted.
func (t *TruthTally) Expect(joined string, d calendar.Day, y float32) {
	if s, ok := t.index[joined]; ok {
		t.expected[d][s] = y
	}
}

// Add takes in the next rows.
func (t *TruthTally) Add(pr *backtest.Predictions) {
	for i := range pr.Rows() {
		all := t.expected[pr.Date[i]]
		if int(pr.Model[i]) != t.model || math.IsNaN(pr.Actual[i]) || math.IsNaN(pr.Forecast[i]) || all == nil {
			continue
		}
		y := float64(all[pr.Series[i]])
		if math.IsNaN(y) {
			continue
		}
		t.rows++
		t.miss += math.Abs(pr.Forecast[i] - y)
		t.chance += math.Abs(pr.Actual[i] - y)
		t.sold += math.Abs(pr.Forecast[i] - pr.Actual[i])
		t.sum += y
		t.forecast += pr.Forecast[i]
	}
}

// Scores are those of what was added; nil where nothing was.
func (t *TruthTally) Scores() *TruthScores {
	if t.rows == 0 {
		return nil
	}
	return &TruthScores{
		Rows: t.rows, Model: ratio(t.miss, t.sum), Sampling: ratio(t.chance, t.sum), Sold: ratio(t.sold, t.sum),
		Ratio: ratio(t.miss, t.chance), Excess: ratio(t.sold, t.chance), Bias: ratio(t.forecast-t.sum, t.sum),
	}
}
