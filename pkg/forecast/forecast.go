package forecast

import (
	"context"
	"fmt"
	"math"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

// Forecaster fits series. Everything it learns comes from observed rows of p at steps up to origin: rows after it are not read, but
// for known-future covariates, whose spread may be looked at nowhere but at or before origin.
type Forecaster interface {
	Fit(ctx context.Context, p *panel.Panel, origin calendar.Step) (Model, error)
}

// Model is fitted series. Forecast may be called for any panel with the columns it was fitted on, at any origin: it reads sales at
// steps <= r.Origin and known-future covariates at steps <= r.Origin+r.Horizon and nothing else.
// Forecast may be called from several goroutines. Close frees what engines hold.
type Model interface {
	Forecast(ctx context.Context, r Request) (*Prediction, error)
	Close() error
}

// Request asks for Horizon steps after Origin for every series of Panel.
type Request struct {
	Panel   *panel.Panel
	Origin  calendar.Step
	Horizon int
	// Levels are the quantile levels wanted, increasing, in (0, 1); a Model without intervals of its own ignores them.
	Levels []float64
}

// Prediction is the answer for Series x Horizon, series-major: step h (1 to Horizon) of series s is at [s*Horizon + h-1].
type Prediction struct {
	Origin  calendar.Step
	Series  int
	Horizon int
	// Point is the forecast, in units of the target; NaN where the series has no history at the origin and no forecast can be made.
	Point []float64
	// Levels are the quantile levels of Quantiles; empty where there are none.
	Levels []float64
	// Quantiles has len(Levels) values for each Point, in the order of Levels, non-decreasing.
	Quantiles []float64
}

// NewPrediction allocates a Prediction with NaN points and quantiles.
func NewPrediction(origin calendar.Step, series, horizon int, levels []float64) *Prediction {
	p := &Prediction{
		Origin: origin, Series: series, Horizon: horizon, Levels: levels,
		Point: make([]float64, series*horizon), Quantiles: make([]float64, series*horizon*len(levels)),
	}
	for i := range p.Point {
		p.Point[i] = math.NaN()
	}
	for i := range p.Quantiles {
		p.Quantiles[i] = math.NaN()
	}
	return p
}

// At returns the index into Point of step h, 1 to Horizon, of series s.
func (p *Prediction) At(s, h int) int { return s*p.Horizon + h - 1 }

// QuantilesAt returns the quantiles of Point[i], one per level; they share the prediction's memory.
func (p *Prediction) QuantilesAt(i int) []float64 {
	n := len(p.Levels)
	return p.Quantiles[i*n : (i+1)*n]
}

// MissingPlanError says that known-future covariates end before the horizon.
type MissingPlanError struct {
	// Series is the id of the first series without a plan, Column its covariate, From and To the first and last missing day.
	Series   []string
	Column   string
	From, To calendar.Day
	// Count is the number of missing (series, column) pairs.
	Count int
}

func (e *MissingPlanError) Error() string {
	return fmt.Sprintf("the plan is missing: column %q of series %v has no value from %s to %s (%d series and columns in all); add rows with the known values and an empty target, or list the column under past_only",
		e.Column, e.Series, e.From, e.To, e.Count)
}
