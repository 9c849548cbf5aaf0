package conformal

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
	"salescast/pkg/regress"
)

// Errors are out-of-sample forecasts and what was then sold, in long form. Rows whose forecast or sale is NaN are left out.
type Errors struct {
	// Series is an index below the series count given to [Fit], Horizon 1 and up, Window the number of the block, below Windows.
	Series, Horizon, Window []int32
	Windows                 int
	Forecast, Actual        []float64
	// Size, where it is not nil, is for each row the size of a sale of a series of which most steps sell nothing, see [Counts]; 0 for rows
	// of other series, and below 0 for rows that only say something of such series and have no size.
	Size []float64
}

// Add appends one row, and says whether it did.
func (e *Errors) Add(series, horizon, window int, forecast, actual float64) bool {
	if math.IsNaN(forecast) || math.IsNaN(actual) {
		return false
	}
	e.Series, e.Horizon, e.Window = append(e.Series, int32(series)), append(e.Horizon, int32(horizon)), append(e.Window, int32(window))
	e.Forecast, e.Actual = append(e.Forecast, forecast), append(e.Actual, actual)
	e.Windows = max(e.Windows, window+1)
	return true
}

// without are the errors of rows without a size, and their features; all of them where too few are left to learn from.
func (e Errors) without(x *panel.Frame) (Errors, *panel.Frame) {
	var kept []int
	for i, z := range e.Size {
		if z == 0 {
			kept = append(kept, i)
		}
	}
	if len(kept) < countRows {
		return e, x
	}
	out := Errors{Windows: e.Windows}
	for _, i := range kept {
		out.Add(int(e.Series[i]), int(e.Horizon[i]), int(e.Window[i]), e.Forecast[i], e.Actual[i])
	}
	out.Windows = e.Windows
	if x != nil {
		x = Rows(x, kept)
	}
	return out, x
}

// Options hold what [Fit] does not learn.
type Options struct {
	// Levels are the quantile levels, increasing, in (0, 1).
	Levels    []float64
	Frequency calendar.Frequency
	// NonNegative cuts quantiles at 0.
	NonNegative bool
	// Learner, where it is set, makes a learner for so many rows, which learns the size of errors from Features: one row for each error.
	Learner  func(rows int) (regress.Learner, error)
	Features *panel.Frame
	// Dependent says that the errors of one window go together, as those of sums do, and may be few: quantiles are widened as those of
	// Student's t with as many degrees of freedom as the errors are worth independent ones, at least one for each window.
	Dependent bool
}

// Calibration is what was learned from errors. Its JSON form is part of a bundle.
//
// The quantile at level q of a forecast f of series s at horizon h is f + Quantiles[q] * Scale[s] * g(f) * Buckets[h] * Sizes, where
// g(f) = m * max(f/m, 0.05)^Exponent and m = Mean[s]: larger forecasts have larger errors, less than in proportion.
type Calibration struct {
	Levels []float64 `json:"levels"`
	// Quantiles are those of the standardised errors, one per level, widened for drift and centred.
	Quantiles []float64 `json:"quantiles"`
	Exponent  float64   `json:"exponent"`
	// Mean is the mean of what each series was forecast to sell and sold during validation; 0 for a series that was not in it.
	Mean []float64 `json:"mean"`
	// Scale is the mean absolute error of each series per unit of g, shrunk to that of all series.
	Scale []float64 `json:"scale"`
	// UnseenScale is that of a series that was not in validation.
	UnseenScale float64 `json:"unseen_scale"`
	// Buckets are factors by horizon, non-decreasing.
	Buckets []Bucket `json:"buckets"`
	// Rows and Windows say how much was learned from.
	Rows        int  `json:"rows"`
	Windows     int  `json:"windows"`
	NonNegative bool `json:"non_negative"`
	// Counts are for series of which most steps sell nothing; nil where there were too few such errors.
	Counts *Counts `json:"counts,omitempty"`
	// Sizes multiplies the scale; nil where nothing was learned.
	Sizes *Sizes `json:"sizes,omitempty"`
}

// Close frees what Sizes holds; c may be nil.
func (c *Calibration) Close() error {
	if c == nil {
		return nil
	}
	return c.Sizes.Close()
}

// Bucket is the factor of the horizons From and up, until the next bucket.
type Bucket struct {
	From   int     `json:"from"`
	Factor float64 `json:"factor"`
}

const (
	exponent = 0.65
	// minForecast is the smallest share of a series' mean forecast at which its errors are still thought to shrink.
	minForecast = 0.05
	// seriesPrior is the number of rows by which the scale of a series is shrunk to that of all.
	seriesPrior = 15
	// bucketPrior is the number of rows by which the factor of a horizon bucket is shrunk to 1.
	bucketPrior = 100
	// bucketRows is the number of rows below which the horizon is not asked.
	bucketRows = 200
	// centre is the share of the mean standardised error that is taken out of the quantiles: bias persists only partly. The mean, not
	// the median: forecasts are means, and errors around a mean may well be skewed.
	centre = 0.5
	// unseenFactor widens the intervals of series that were not validated.
	unseenFactor = 1.5
)

// ErrNoErrors says that there is nothing to calibrate on.
var ErrNoErrors = errors.New("no out-of-sample errors to calibrate intervals on")

// Fit learns from the errors of series 0 to series-1. It answers ErrNoErrors where there are none.
func Fit(ctx context.Context, e Errors, series int, o Options) (*Calibration, error) {
	if err := checkLevels(o.Levels); err != nil {
		return nil, err
	}
	if len(e.Series) == 0 {
		return nil, ErrNoErrors
	}
	c := &Calibration{Levels: o.Levels, Exponent: exponent, Rows: len(e.Series), Windows: e.Windows, NonNegative: o.NonNegative}
	if c.fitCounts(e); c.Counts != nil {
		e, o.Features = e.without(o.Features)
	}
	c.fitSeries(e, series)
	sigma := make([]float64, len(e.Series))
	for i, s := range e.Series {
		sigma[i] = c.Scale[s] * c.spread(c.Mean[s], e.Forecast[i])
	}
	if err := c.fitSizes(ctx, e, sigma, o); err != nil {
		return nil, err
	}
	c.fitBuckets(e, sigma, o.Frequency)
	c.fitQuantiles(e, sigma)
	if o.Dependent {
		c.widenFew(e, sigma)
	}
	return c, nil
}

func checkLevels(levels []float64) error {
	for i, q := range levels {
		if !(q > 0 && q < 1) || i > 0 && q <= levels[i-1] {
			return fmt.Errorf("quantile levels %v must increase and lie between 0 and 1", levels)
		}
	}
	return nil
}

// spread is g: the size of the errors of a forecast f of a series with mean forecast m, but for its Scale.
func (c *Calibration) spread(m, f float64) float64 {
	if m <= 0 {
		return 0
	}
	return m * math.Pow(max(f/m, minForecast), c.Exponent)
}

func (c *Calibration) fitSeries(e Errors, series int) {
	c.Mean, c.Scale = make([]float64, series), make([]float64, series)
	rows, abs, spread := make([]float64, series), make([]float64, series), make([]float64, series)
	var total float64
	for i, s := range e.Series {
		rows[s]++
		// Of a series that was forecast to sell next to nothing, and sold, the forecast alone would make a scale without bound.
		c.Mean[s] += (e.Forecast[i] + e.Actual[i]) / 2
		total += e.Forecast[i]
	}
	// A series forecast to be 0 all the time still has errors of some size.
	floor := 1e-3*max(total, 0)/float64(len(e.Series)) + 1e-9
	for s := range c.Mean {
		if rows[s] > 0 {
			c.Mean[s] = max(c.Mean[s]/rows[s], floor)
		}
	}
	var sumAbs, sumSpread float64
	for i, s := range e.Series {
		abs[s] += math.Abs(e.Actual[i] - e.Forecast[i])
		spread[s] += c.spread(c.Mean[s], e.Forecast[i])
	}
	for s := range abs {
		sumAbs += abs[s]
		sumSpread += spread[s]
	}
	// Errors may all be 0; the standardised errors must stay finite.
	pool := max(sumAbs/sumSpread, 1e-9)
	var seen []float64
	for s := range abs {
		c.Scale[s] = pool
		if rows[s] > 0 {
			c.Scale[s] = (abs[s] + seriesPrior*pool*c.Mean[s]) / (spread[s] + seriesPrior*c.Mean[s])
			seen = append(seen, c.Scale[s])
		}
	}
	slices.Sort(seen)
	c.UnseenScale = unseenFactor * quantile(seen, 0.75)
	for s := range abs {
		if rows[s] == 0 {
			c.Scale[s] = c.UnseenScale
		}
	}
}

func (c *Calibration) fitBuckets(e Errors, sigma []float64, f calendar.Frequency) {
	last := int(slices.Max(e.Horizon))
	c.Buckets = nil
	for _, from := range HorizonBuckets(f, last) {
		c.Buckets = append(c.Buckets, Bucket{From: from, Factor: 1})
	}
	if len(e.Series) < bucketRows {
		c.Buckets = c.Buckets[:1]
		return
	}
	sum, rows := make([]float64, len(c.Buckets)), make([]float64, len(c.Buckets))
	var mean float64
	for i := range e.Series {
		b := c.bucket(int(e.Horizon[i]))
		u := math.Abs(e.Actual[i]-e.Forecast[i]) / sigma[i]
		sum[b] += u
		rows[b]++
		mean += u / float64(len(e.Series))
	}
	if mean == 0 {
		c.Buckets = c.Buckets[:1]
		return
	}
	for b := range c.Buckets {
		c.Buckets[b].Factor = (sum[b] + bucketPrior*mean) / (rows[b] + bucketPrior) / mean
		if b > 0 {
			c.Buckets[b].Factor = max(c.Buckets[b].Factor, c.Buckets[b-1].Factor)
		}
	}
	for i := range sigma {
		sigma[i] *= c.Buckets[c.bucket(int(e.Horizon[i]))].Factor
	}
}

// HorizonBuckets returns the first step of each group of steps ahead, up to last, whose errors are alike: the first four weeks of days, or
// steps 1 and 2, 3 and 4, and the rest.
func HorizonBuckets(f calendar.Frequency, last int) []int {
	starts := []int{1, 3, 5}
	if f.Unit == calendar.Daily {
		starts = []int{1, 8, 15, 22}
	}
	n := 1
	for n < len(starts) && starts[n] <= last {
		n++
	}
	return starts[:n]
}

func (c *Calibration) bucket(h int) int {
	b := len(c.Buckets) - 1
	for b > 0 && h < c.Buckets[b].From {
		b--
	}
	return b
}

func (c *Calibration) fitQuantiles(e Errors, sigma []float64) {
	all := make([]float64, len(sigma))
	windows := make([][]float64, e.Windows)
	for i := range sigma {
		all[i] = (e.Actual[i] - e.Forecast[i]) / sigma[i]
		windows[e.Window[i]] = append(windows[e.Window[i]], all[i])
	}
	slices.Sort(all)
	for _, w := range windows {
		slices.Sort(w)
	}
	shift := centre * mean(all)
	c.Quantiles = make([]float64, len(c.Levels))
	for k, q := range c.Levels {
		c.Quantiles[k] = quantile(all, q) - shift + math.Copysign(widening(q)*spreadOver(windows, q), q-0.5)
	}
	slices.Sort(c.Quantiles)
}

// widenFew widens the quantiles as Student's t is wider than the normal distribution. Its degrees of freedom are the number of independent
// errors that have the variance seen between the windows' means.
func (c *Calibration) widenFew(e Errors, sigma []float64) {
	sum, rows, square := make([]float64, e.Windows), make([]float64, e.Windows), 0.0
	for i, w := range e.Window {
		u := (e.Actual[i] - e.Forecast[i]) / sigma[i]
		sum[w], rows[w], square = sum[w]+u, rows[w]+1, square+u*u/float64(len(sigma))
	}
	var windows, between float64
	for w := range sum {
		if rows[w] > 0 {
			windows, between = windows+1, between+sum[w]/rows[w]*sum[w]/rows[w]
		}
	}
	n := float64(len(sigma))
	if between > 0 {
		n = min(n, max(windows, windows*windows*square/between))
	}
	for k, q := range c.Levels {
		c.Quantiles[k] *= studentOverNormal(q, n)
	}
}

// studentOverNormal is the ratio of the quantiles at level q of Student's t with n degrees of freedom and of the normal distribution, to
// the first order of its expansion in 1/n (Fisher and Cornish): 1 + (z^2+1)/4n.
func studentOverNormal(q, n float64) float64 {
	z := math.Sqrt2 * math.Erfinv(2*q-1)
	return 1 + (z*z+1)/(4*n)
}

// widening is the share of the standard deviation between windows by which the quantile at level q moves outward: errors drift, and
// the few windows of validation do not show by how much. Half at 95 % intervals, a quarter at 80 %, none at 50 % and inside.
func widening(q float64) float64 {
	inside := math.Abs(2*q - 1)
	switch {
	case inside <= 0.5:
		return 0
	case inside <= 0.8:
		return 0.25 * (inside - 0.5) / 0.3
	}
	return min(0.5, 0.25+0.25*(inside-0.8)/0.15)
}

// spreadOver is the standard deviation over windows of their own quantiles.
func spreadOver(windows [][]float64, q float64) float64 {
	var n, sum, squares float64
	for _, w := range windows {
		if len(w) > 0 {
			v := quantile(w, q)
			n, sum, squares = n+1, sum+v, squares+v*v
		}
	}
	if n == 0 {
		return 0
	}
	return math.Sqrt(max(0, squares/n-sum/n*sum/n))
}

// quantile interpolates linearly between order statistics (type 7 of Hyndman and Fan) of sorted values; 0 for none.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	x := q * float64(len(sorted)-1)
	i := min(int(x), len(sorted)-1)
	j := min(i+1, len(sorted)-1)
	return sorted[i] + (x-float64(i))*(sorted[j]-sorted[i])
}

func mean(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

// Unseen asks [Calibration.Apply] for a series that was not calibrated.
const Unseen = -1

// Apply writes the quantiles of point, the forecasts of one series for horizons 1 to len(point), into dst: len(c.Levels) for each,
// non-decreasing. The quantile at level 0.5 is the point forecast itself, and those on its sides are on its sides. series is its index at Fit, or Unseen. size has the factors
// that c.Sizes gives each point, nil without Sizes. A NaN point has NaN quantiles.
func (c *Calibration) Apply(series int, point, size, dst []float64) {
	mean, scale := 0.0, c.UnseenScale
	if series >= 0 && series < len(c.Mean) {
		mean, scale = c.Mean[series], c.Scale[series]
	}
	if mean == 0 { // not validated: the forecast's own mean is the level
		n := 0.0
		for _, f := range point {
			if !math.IsNaN(f) {
				mean, n = mean+f, n+1
			}
		}
		mean /= max(n, 1)
	}
	c.apply(mean, scale, c.Quantiles, point, size, dst)
}

func (c *Calibration) apply(mean, scale float64, quantiles, point, size, dst []float64) {
	for i, f := range point {
		q := dst[i*len(c.Levels) : (i+1)*len(c.Levels)]
		sigma := scale * c.spread(mean, f) * c.Buckets[c.bucket(i+1)].Factor
		if size != nil {
			sigma *= size[i]
		}
		for k := range q {
			q[k] = f + sigma*quantiles[k]
			switch {
			case math.IsNaN(f):
			case c.Levels[k] < 0.5:
				q[k] = min(q[k], f)
			case c.Levels[k] > 0.5:
				q[k] = max(q[k], f)
			default:
				q[k] = f
			}
			if c.NonNegative {
				q[k] = max(q[k], 0)
			}
		}
		slices.Sort(q)
	}
}
