package backtest

import (
	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

// Predictions are out-of-sample forecasts in long form: row i is the forecast of one model for one series, made at Cutoff[i], the
// last day it knew, for Date[i]. Rows are unique by (model, cutoff, series, date) and sorted in that order.
type Predictions struct {
	// Time is the name of the time column in files; "" is date.
	Time string
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

// NumSeries returns the number of series that Series may name: one that has no name where there are no keys.
func (p *Predictions) NumSeries() int {
	if len(p.Keys) == 0 {
		return 1
	}
	return len(p.Keys[0].Codes)
}

// Rows returns the number of rows.
func (p *Predictions) Rows() int { return len(p.Series) }
