package theta

import (
	"context"
	"fmt"
	"math"

	"salescast/pkg/calendar"
	"salescast/pkg/forecast"
	"salescast/pkg/panel"
)

// Forecaster fits one model per series of a panel.
type Forecaster struct {
	NonNegative bool
	// Samples is the number of simulated futures behind the quantiles; 0 is 500.
	Samples int
	// Threads is the number of series fitted at once; 0 is 1.
	Threads int
	Seed    uint64
}

// Fit returns a model that fits each series anew to the history of a request, which takes microseconds.
func (f Forecaster) Fit(context.Context, *panel.Panel, calendar.Step) (forecast.Model, error) {
	return panelModel{f}, nil
}

type panelModel struct{ Forecaster }

func (panelModel) Close() error { return nil }

// Forecast implements [forecast.Model]. An unknown value inside a series carries the one before it. Series with fewer than 8 values stay NaN.
func (m panelModel) Forecast(ctx context.Context, r forecast.Request) (*forecast.Prediction, error) {
	out := forecast.NewPrediction(r.Origin, r.Panel.Series(), r.Horizon, r.Levels)
	samples := m.Samples
	if samples < 2 {
		samples = 500
	}
	season := r.Panel.Frequency.Cycle()
	err := forecast.EachSeries(ctx, r.Panel.Series(), m.Threads, func(ctx context.Context, s int) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		y := history(r.Panel, s, r.Origin)
		if len(y) < minHistory {
			return nil
		}
		fitted, err := Fit(y, season)
		if err != nil {
			return fmt.Errorf("series %v: %w", r.Panel.ID(s), err)
		}
		i, nl := out.At(s, 1), len(r.Levels)
		fitted.Forecast(out.Point[i : i+r.Horizon])
		if nl > 0 {
			copy(out.Quantiles[i*nl:], fitted.Quantiles(r.Horizon, r.Levels, samples, m.Seed^forecast.SeriesSeed(r.Panel.ID(s))))
		}
		if m.NonNegative {
			for k := i; k < i+r.Horizon; k++ {
				out.Point[k] = max(out.Point[k], 0)
			}
			for k := i * nl; k < (i+r.Horizon)*nl; k++ {
				out.Quantiles[k] = max(out.Quantiles[k], 0)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// history returns the sales of a series up to and including origin, without NaN.
func history(p *panel.Panel, s int, origin calendar.Step) []float64 {
	lo, hi := p.Span(s)
	n := min(int(origin-p.Start[s])+1, hi-lo)
	var y []float64
	for i := range max(n, 0) {
		v := float64(p.Target[lo+i])
		switch {
		case !math.IsNaN(v):
			y = append(y, v)
		case len(y) > 0:
			y = append(y, y[len(y)-1])
		}
	}
	return y
}
