package backtest

import (
	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

// Predictions are out-of-sample forecasts in long form: row i is the forecast of one model for one series, made at Cutoff[i], the
// last day it knew, for Date[i]. Rows are unique by (model, cutoff, series, date) and sorted in that order.
type Predictions struct {
	// Keys describe the series: codes are per series, not per row.
	Keys []panel.Key
	// Models are the names that Model indexes.
	Models  []string
	Model   []int32
	Series  []int32
	Cutoff  []calendar.Day
	Date    []calendar.Day
	Horizon []int32
	// Actual is the observed sale; NaN where none was observed: such rows are never scored.
	Actual   []float64
	Forecast []float64
	// Levels are the quantile levels; empty where the model gave none.
	Levels []float64
	// Quantiles has len(Levels) values per row, non-decreasing.
	Quantiles []float64
}

// Rows returns the number of rows.
func (p *Predictions) Rows() int { return len(p.Series) }
