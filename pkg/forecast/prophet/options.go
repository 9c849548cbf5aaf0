package prophet

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Mode says how a term joins the trend.
type Mode string

// A term is added to the trend, or multiplies it as trend*(1+term).
const (
	Additive       Mode = "additive"
	Multiplicative Mode = "multiplicative"
)

// ByZeros is a SeasonalityMode that [Forecaster] alone understands: Multiplicative for series that nearly always sell, whose swings grow
// with the level; Additive where more than a twentieth of the sales are 0, on which a share of the trend has no meaning.
const ByZeros Mode = "by zeros"

// Growth is the shape of the trend.
type Growth string

// The trend is piecewise linear, saturates at a capacity, or is constant.
const (
	Linear   Growth = "linear"
	Logistic Growth = "logistic"
	Flat     Growth = "flat"
)

// Scaling says how the target is brought to the range of the priors.
type Scaling string

// The target is divided by its largest absolute value, or by its range after its minimum is subtracted.
const (
	AbsMax Scaling = "absmax"
	MinMax Scaling = "minmax"
)

// Auto asks for a built-in seasonality where the history is long enough for it; Off for none; a positive order for that many Fourier pairs.
const (
	Auto = -1
	Off  = 0
)

// Seasonality is a periodic term as a Fourier series.
type Seasonality struct {
	Name string
	// Period is in days.
	Period float64
	// Order is the number of Fourier pairs.
	Order      int
	PriorScale float64
	Mode       Mode
	// Condition names the column of History.Conditions that switches the term on; empty for always.
	Condition string
}

// Holiday is a named set of days, each with a window of days around it; every day of the window has a coefficient of its own.
type Holiday struct {
	Name string
	// Days are counted since 1970-01-01; they may lie in the future too.
	Days []int
	// Lower <= 0 and Upper >= 0 are the first and last day of the window, relative to the day itself.
	Lower, Upper int
	// PriorScale 0 is Options.HolidaysPriorScale.
	PriorScale float64
}

// Regressor is an extra column with a linear effect.
type Regressor struct {
	Name string
	// PriorScale 0 is Options.HolidaysPriorScale.
	PriorScale float64
	// Mode "" is Options.SeasonalityMode.
	Mode Mode
}

// Options are Prophet's own, with its defaults in [DefaultOptions].
type Options struct {
	Growth Growth
	// Changepoints are times in days since 1970-01-01; nil places NChangepoints of them evenly over the first ChangepointRange of the history.
	Changepoints                              []float64
	NChangepoints                             int
	ChangepointRange                          float64
	ChangepointPriorScale                     float64
	Yearly, Weekly, Daily                     int
	SeasonalityMode, HolidaysMode             Mode
	SeasonalityPriorScale, HolidaysPriorScale float64
	Seasonalities                             []Seasonality
	Holidays                                  []Holiday
	Regressors                                []Regressor
	Scaling                                   Scaling
	// IntervalWidth and UncertaintySamples are for the saved model; Simulate takes its own.
	IntervalWidth      float64
	UncertaintySamples int
}

// DefaultOptions returns Prophet's defaults.
func DefaultOptions() Options {
	return Options{
		Growth: Linear, NChangepoints: 25, ChangepointRange: 0.8, ChangepointPriorScale: 0.05,
		Yearly: Auto, Weekly: Auto, Daily: Auto,
		SeasonalityMode: Additive, SeasonalityPriorScale: 10, HolidaysPriorScale: 10,
		Scaling: AbsMax, IntervalWidth: 0.8, UncertaintySamples: 1000,
	}
}

func (o *Options) holidaysMode() Mode {
	if o.HolidaysMode == "" {
		return o.SeasonalityMode
	}
	return o.HolidaysMode
}

func (o *Options) validate() error {
	if !slices.Contains([]Growth{Linear, Logistic, Flat}, o.Growth) {
		return fmt.Errorf("growth %q is not one of linear, logistic, flat", o.Growth)
	}
	if o.Scaling != AbsMax && o.Scaling != MinMax {
		return fmt.Errorf("scaling %q is not one of absmax, minmax", o.Scaling)
	}
	if o.ChangepointRange < 0 || o.ChangepointRange > 1 {
		return fmt.Errorf("changepoint range %g is not within 0 and 1", o.ChangepointRange)
	}
	if o.NChangepoints < 0 {
		return fmt.Errorf("number of changepoints %d is negative", o.NChangepoints)
	}
	scales := []float64{o.ChangepointPriorScale, o.SeasonalityPriorScale, o.HolidaysPriorScale}
	modes := []Mode{o.SeasonalityMode, o.holidaysMode()}
	names := map[string]bool{}
	unique := func(kind, n string) error {
		if n == "" || strings.Contains(n, "_delim_") || names[n] {
			return fmt.Errorf("the name %q of a %s is empty, repeated or contains _delim_", n, kind)
		}
		names[n] = true
		return nil
	}
	for _, s := range o.Seasonalities {
		if err := unique("seasonality", s.Name); err != nil {
			return err
		}
		if s.Order < 1 || s.Period <= 0 {
			return fmt.Errorf("seasonality %q needs an order of at least 1 and a positive period", s.Name)
		}
		scales, modes = append(scales, s.PriorScale), append(modes, s.Mode)
	}
	for _, h := range o.Holidays {
		if err := unique("holiday", h.Name); err != nil {
			return err
		}
		if h.Lower > 0 || h.Upper < 0 {
			return fmt.Errorf("holiday %q needs a window with lower <= 0 <= upper", h.Name)
		}
		if h.PriorScale < 0 {
			return fmt.Errorf("holiday %q has a negative prior scale", h.Name)
		}
	}
	for _, r := range o.Regressors {
		if err := unique("regressor", r.Name); err != nil {
			return err
		}
		if r.Mode != "" {
			modes = append(modes, r.Mode)
		}
		if r.PriorScale < 0 {
			return fmt.Errorf("regressor %q has a negative prior scale", r.Name)
		}
	}
	for _, s := range scales {
		if !(s > 0) {
			return errors.New("a prior scale is not positive")
		}
	}
	for _, m := range modes {
		if m != Additive && m != Multiplicative {
			return fmt.Errorf("mode %q is not one of additive, multiplicative", m)
		}
	}
	return nil
}

// Times are points at which a model is fitted or asked.
type Times struct {
	// At is in days since 1970-01-01, increasing; fractions are times of day.
	At []float64
	// Cap and Floor bound logistic growth, one value per time; Floor nil is 0.
	Cap, Floor []float64
	// Regressors has one column per Options.Regressors, in that order, without NaN.
	Regressors [][]float64
	// Conditions are the columns that Seasonality.Condition names.
	Conditions map[string][]bool
}

func (x *Times) validate(o *Options) error {
	n := len(x.At)
	if o.Growth == Logistic && len(x.Cap) != n {
		return errors.New("logistic growth needs a capacity for every time")
	}
	if len(x.Regressors) != len(o.Regressors) {
		return fmt.Errorf("%d regressor columns are given, the model has %d", len(x.Regressors), len(o.Regressors))
	}
	for i, c := range x.Regressors {
		if len(c) != n {
			return fmt.Errorf("regressor %q has %d values for %d times", o.Regressors[i].Name, len(c), n)
		}
		for j, v := range c {
			if v-v != 0 {
				return fmt.Errorf("regressor %q is not a finite number at row %d", o.Regressors[i].Name, j)
			}
		}
	}
	for _, s := range o.Seasonalities {
		if s.Condition != "" && len(x.Conditions[s.Condition]) != n {
			return fmt.Errorf("condition %q of seasonality %q has %d values for %d times", s.Condition, s.Name, len(x.Conditions[s.Condition]), n)
		}
	}
	return nil
}
