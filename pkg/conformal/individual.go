package conformal

import (
	"math"
	"slices"
)

// Individual is the calibration of one series that was not in validation, learned from the errors that the same forecaster makes in the
// series' own past.
type Individual struct {
	Mean, Scale float64
	Quantiles   []float64
}

const (
	// minDates is the number of days of errors below which a series' own errors say too little.
	minDates = 7
	// shapeDates is the number of days of errors at which the tails are half the series' own and half those of the validated series.
	shapeDates = 60
	// unseenDates is the number of days of errors that the size of unseen series' errors is worth.
	unseenDates = 1
)

// Individual learns from the errors of one series; dates is the number of different steps among them, since windows overlap. Where there
// are too few it says so.
func (c *Calibration) Individual(e Errors, dates int) (own Individual, ok bool) {
	if dates < minDates {
		return own, false
	}
	n := float64(len(e.Actual))
	for i, f := range e.Forecast {
		own.Mean += (f + e.Actual[i]) / 2 / n
	}
	own.Mean = max(own.Mean, 1e-9)
	u := make([]float64, len(e.Actual))
	var size float64
	for i, f := range e.Forecast {
		unit := c.spread(own.Mean, f) * c.Buckets[c.bucket(int(e.Horizon[i]))].Factor
		u[i] = (e.Actual[i] - f) / unit
		size += math.Abs(u[i]) / n
	}
	own.Scale = max(size, 1e-9)
	bias, drift := 0.0, drifting{windows: make([]float64, e.Windows), rows: make([]float64, e.Windows)}
	for i := range u {
		u[i] /= own.Scale
		bias += u[i] / n
		drift.add(int(e.Window[i]), u[i])
	}
	between := drift.variance(bias)
	rest := 0.0 // mean size without the bias
	for i := range u {
		rest += math.Abs(u[i]-bias) / n
	}
	// A bias that every window shows goes on; one that comes and goes is part of the noise.
	kept := bias
	if bias != 0 {
		kept = bias * bias * bias / (bias*bias + between)
	}
	// Few errors may be small by luck: the size that unseen series are thought to have counts as some more.
	own.Scale *= math.Pow(max(c.UnseenScale/own.Scale, 1), unseenDates/(unseenDates+float64(dates)))
	slices.Sort(u)
	share := float64(dates) / float64(dates+shapeDates)
	few := max(float64(dates)/(1+float64(dates)*between), 2)
	own.Quantiles = make([]float64, len(c.Levels))
	for k, q := range c.Levels {
		v := share*(quantile(u, q)-bias) + (1-share)*rest*c.Quantiles[k]
		v = kept + v*studentOverNormal(q, few)
		switch { // the forecast itself stays inside
		case q < 0.5:
			v = min(v, 0)
		case q > 0.5:
			v = max(v, 0)
		default:
			v = 0
		}
		own.Quantiles[k] = v
	}
	slices.Sort(own.Quantiles)
	return own, true
}

// drifting are the means of standardised errors by window.
type drifting struct{ windows, rows []float64 }

func (d *drifting) add(w int, u float64) { d.windows[w] += u; d.rows[w]++ }

// variance is that of the windows' means around the mean of all.
func (d *drifting) variance(mean float64) float64 {
	var n, sum float64
	for w := range d.windows {
		if d.rows[w] > 0 {
			m := d.windows[w]/d.rows[w] - mean
			n, sum = n+1, sum+m*m
		}
	}
	return sum / max(n, 1)
}

// ApplyOwn is [Calibration.Apply] with what was learned from the series' own past.
func (c *Calibration) ApplyOwn(own Individual, point, dst []float64) {
	c.apply(own.Mean, own.Scale, own.Quantiles, point, nil, dst)
}
