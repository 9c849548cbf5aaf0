package ets

import (
	"context"
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat/distuv"

	"salescast/pkg/calendar"
	"salescast/pkg/forecast"
	"salescast/pkg/panel"
)

// A model looks years back, and leastSteps where these are fewer: states forget, and time does not come back, but a season of twelve months
// shows in ten of them, not in two.
const (
	years      = 2
	leastSteps = 120
)

// Forecaster fits one model per series of a panel.
type Forecaster struct {
	NonNegative bool
	// Threads is the number of series fitted at once; 0 is 1.
	Threads int
}

// Fit returns a model that fits each series anew to the history of a request.
func (f Forecaster) Fit(context.Context, *panel.Panel, calendar.Step) (forecast.Model, error) {
	return panelModel{f}, nil
}

type panelModel struct{ Forecaster }

func (panelModel) Close() error { return nil }

// Forecast implements [forecast.Model]. Each series is fitted to the last two years up to the origin, ten where steps are months; where that is less than two seasons,
// or the season is longer than 24 steps, without a season. Quantiles are normal. Series with fewer than 8 observed values stay NaN.
func (m panelModel) Forecast(ctx context.Context, r forecast.Request) (*forecast.Prediction, error) {
	out := forecast.NewPrediction(r.Origin, r.Panel.Series(), r.Horizon, r.Levels)
	season := r.Panel.Frequency.Cycle()
	err := forecast.EachSeries(ctx, r.Panel.Series(), m.Threads, func(ctx context.Context, s int) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		y := history(r.Panel, s, r.Origin)
		y = y[max(0, len(y)-max(years*r.Panel.Frequency.Year(), leastSteps)):]
		own := season
		if len(y) < 2*season {
			own = 1
		}
		fitted, err := Fit(y, own)
		if errors.Is(err, errTooShort) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("series %v: %w", r.Panel.ID(s), err)
		}
		deviations := make([]float64, r.Horizon)
		fitted.Deviations(deviations)
		i := out.At(s, 1)
		fitted.Forecast(out.Point[i : i+r.Horizon])
		for h, d := range deviations {
			q := out.QuantilesAt(i + h)
			for k, l := range r.Levels {
				q[k] = out.Point[i+h] + d*distuv.UnitNormal.Quantile(l)
				if m.NonNegative {
					q[k] = max(q[k], 0)
				}
			}
			if m.NonNegative {
				out.Point[i+h] = max(out.Point[i+h], 0)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// history returns the sales of a series from its first observed one up to and including origin; NaN where none was observed.
func history(p *panel.Panel, s int, origin calendar.Step) []float64 {
	lo, hi := p.Span(s)
	n := min(int(origin-p.Start[s])+1, hi-lo)
	var y []float64
	for r := lo; r < lo+n; r++ {
		switch {
		case p.Observed[r]:
			y = append(y, float64(p.Target[r]))
		case len(y) > 0:
			y = append(y, math.NaN())
		}
	}
	// Steps up to the origin that the panel has no row for were not observed either.
	for k := n; len(y) > 0 && k < int(origin-p.Start[s])+1; k++ {
		y = append(y, math.NaN())
	}
	return y
}
