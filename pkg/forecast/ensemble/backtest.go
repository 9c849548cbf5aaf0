package ensemble

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"salescast/pkg/backtest"
	"salescast/pkg/calendar"
	"salescast/pkg/conformal"
	"salescast/pkg/forecast"
	"salescast/pkg/panel"
	"salescast/pkg/regress"
)

// Points answers what a member forecast from an origin, laid out as [forecast.Prediction.Point].
type Points func(member string, origin calendar.Step) []float64

// Settings are those of a combination.
type Settings struct {
	Candidates  []Candidate
	Levels      []float64
	NonNegative bool
	// Sizes makes the learner of the size of errors, for so many rows; nil for none.
	Sizes func(rows int) (regress.Learner, error)
	// Plain leaves the forecast at closed steps as it is: a baseline gets no help.
	Plain bool
	// Method says how weights are found; empty is [ByLoss].
	Method Method
	// Known answers what was known at an origin of the steps after it; nil takes what stands in the panel.
	Known func(origin calendar.Step) *forecast.Plan
	// Totals asks [Fit] to calibrate sums too, Alone each member by itself.
	Totals, Alone bool
}

func (set Settings) known(p *panel.Panel, origin calendar.Step) *forecast.Plan {
	if set.Known == nil {
		return forecast.PlanOf(p, origin)
	}
	return set.Known(origin)
}

// Fitted is what was learned at an origin from the windows known there.
type Fitted struct {
	Origin  calendar.Step
	Weights []Weight
	// Calibration is nil where no window was known.
	Calibration *conformal.Calibration
	Windows     []calendar.Step
	// Totals are the calibrations of sums, where the settings ask for them and a window was known.
	Totals []Totals
	// Alone are the calibrations of members with weight, where the settings ask for them; none learns the sizes of errors.
	Alone map[string]*conformal.Calibration
}

// Fit learns weights and calibration at an origin from the last [backtest.ValidationOrigins] blocks that were known there. Whoever called
// it closes the calibration.
func Fit(ctx context.Context, p *panel.Panel, schedule backtest.Schedule, points Points, origin calendar.Step, set Settings) (*Fitted, error) {
	f := &Fitted{Origin: origin, Windows: schedule.Before(origin, backtest.ValidationOrigins)}
	windows := make([]Window, len(f.Windows))
	for w, o := range f.Windows {
		windows[w].Origin = o
		for _, c := range set.Candidates {
			windows[w].Points = append(windows[w].Points, points(c.Name, o))
		}
	}
	f.Weights = Weigh(p, windows, schedule.Horizon, set.Candidates, set.Method)
	combined := make([][]float64, len(windows))
	for w := range windows {
		combined[w] = Combine(f.Weights, windows[w].Points, schedule.Horizon)
		if !set.Plain {
			combined[w] = set.open(p, windows[w].Origin, schedule.Horizon, combined[w])
		}
	}
	if set.Totals {
		var err error
		if f.Totals, err = calibrateTotals(ctx, p, windows, combined, schedule.Horizon, set); err != nil {
			return nil, err
		}
	}
	c, err := Calibrate(ctx, p, windows, combined, schedule.Horizon, set)
	switch {
	case err == nil:
		f.Calibration = c
	case !errors.Is(err, conformal.ErrNoErrors):
		return nil, err
	}
	if f.Calibration != nil && set.Alone {
		if err := f.alone(ctx, p, windows, schedule.Horizon, set); err != nil {
			return nil, errors.Join(err, f.Calibration.Close())
		}
	}
	return f, nil
}

// alone calibrates each member with weight on its own errors.
func (f *Fitted) alone(ctx context.Context, p *panel.Panel, windows []Window, horizon int, set Settings) error {
	f.Alone = map[string]*conformal.Calibration{}
	set.Sizes = nil
	for m, share := range f.Weights {
		if share.Weight == 0 {
			continue
		}
		own := make([][]float64, len(windows))
		for w := range windows {
			if own[w] = slices.Clone(windows[w].Points[m]); !set.Plain {
				own[w] = set.open(p, windows[w].Origin, horizon, own[w])
			}
		}
		c, err := Calibrate(ctx, p, windows, own, horizon, set)
		if errors.Is(err, conformal.ErrNoErrors) {
			continue
		}
		if err != nil {
			return fmt.Errorf("calibrate %s: %w", share.Member, err)
		}
		f.Alone[share.Member] = c
	}
	return nil
}

// open is points with NaN where [closeSteps] puts 0: those quantiles are 0 too, and errors of 0 there would make all others too narrow.
func (set Settings) open(p *panel.Panel, origin calendar.Step, horizon int, points []float64) []float64 {
	for _, i := range closedSteps(p, ClosedFlags(p, origin), set.known(p, origin), origin, horizon) {
		points[i] = math.NaN()
	}
	return points
}

// Predict combines what the members forecast from the origin that f was learned at, with quantiles.
func (f *Fitted) Predict(ctx context.Context, p *panel.Panel, points Points, horizon int, set Settings) (*forecast.Prediction, error) {
	out := forecast.NewPrediction(f.Origin, p.Series(), horizon, set.Levels)
	all := make([][]float64, len(f.Weights))
	for m, w := range f.Weights {
		all[m] = points(w.Member, f.Origin)
	}
	copy(out.Point, Combine(f.Weights, all, horizon))
	if f.Calibration != nil {
		if err := spread(ctx, f.Calibration, p, set.known(p, f.Origin), identity, f.Origin, horizon, out.Point, out.Quantiles); err != nil {
			return nil, err
		}
	} else if err := Uncalibrated(ctx, forecast.Request{Panel: p, Origin: f.Origin, Horizon: horizon, Levels: set.Levels}, out, set.NonNegative); err != nil {
		return nil, err
	}
	if !set.Plain {
		closeSteps(out, closedSteps(p, ClosedFlags(p, f.Origin), set.known(p, f.Origin), f.Origin, horizon))
	}
	return out, nil
}

// BacktestPlanned learns and predicts at every origin in turn, each from the windows known there, and returns the rows under the name model.
// One candidate alone gives that member's own forecasts with calibrated quantiles. Whole is what the same weights and calibrations make of
// planned, which are the members' forecasts with the whole plan of p known. planned may be nil: then there are none.
func BacktestPlanned(ctx context.Context, p *panel.Panel, schedule backtest.Schedule, points, planned Points, model string, origins []calendar.Step, set Settings) (rows, whole *backtest.Predictions, err error) {
	made, with := make([]*forecast.Prediction, 0, len(origins)), []*forecast.Prediction(nil)
	knowing := set
	knowing.Known = nil
	for _, o := range origins {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		f, err := Fit(ctx, p, schedule, points, o, set)
		if err != nil {
			return nil, nil, fmt.Errorf("combining %s at %s: %w", model, p.Frequency.Day(o), err)
		}
		pr, err := f.Predict(ctx, p, points, schedule.Horizon, set)
		if err == nil && planned != nil {
			var all *forecast.Prediction
			all, err = f.Predict(ctx, p, planned, schedule.Horizon, knowing)
			with = append(with, all)
		}
		if err = errors.Join(err, f.Calibration.Close()); err != nil {
			return nil, nil, fmt.Errorf("combining %s at %s: %w", model, p.Frequency.Day(o), err)
		}
		made = append(made, pr)
	}
	if planned != nil {
		whole = backtest.Collect(p, model, with)
	}
	return backtest.Collect(p, model, made), whole, nil
}
