package drift

import (
	"fmt"
	"math"

	"salescast/pkg/metric"
)

// Severity says what a finding means.
type Severity string

// Drift is a model that forecasts worse than it did; Watch is data that look otherwise, which a model may well bear.
const (
	Drift Severity = "drift"
	Watch Severity = "watch"
)

// Limits say how far figures may move from those of the backtest. Beyond them they count where they are also beyond what the backtest, or
// the past, has seen by itself.
type Limits struct {
	// WAPE is the share by which it may rise, Bias how far it may move, and Coverage how far that of the 95 % interval may fall below 0.95.
	WAPE     float64 `json:"wape"`
	Bias     float64 `json:"bias"`
	Coverage float64 `json:"coverage"`
	// KS and PSI bound the distance of a column's values from those of the history.
	KS  float64 `json:"ks"`
	PSI float64 `json:"psi"`
}

// Finding is a figure beyond its limit.
type Finding struct {
	// Check is wape, bias, coverage_95, baseline or shift; Column is that of a shift.
	Check    string   `json:"check"`
	Column   string   `json:"column,omitempty"`
	Severity Severity `json:"severity"`
	// Value is the figure now, Reference what it was, Limit what it may be.
	Value     metric.Value `json:"value"`
	Reference metric.Value `json:"reference"`
	Limit     metric.Value `json:"limit"`
	Message   string       `json:"message"`
}

// Measured are the scores of a model, and of the naive forecast on the same sales.
type Measured struct {
	Model    metric.Scores `json:"model"`
	Baseline metric.Scores `json:"baseline"`
}

// Decay compares what a model scores now with its backtest, in whole and by origin, over the same steps ahead. A figure has moved where it
// is beyond its limit and beyond that of every origin of the backtest: what one of them did is not new. The limit of the WAPE rises with
// the naive forecast's, because some times, such as Christmas, are harder than others. Scores that are not defined on
// either side say nothing.
func Decay(now, then Measured, origins []metric.Scores, l Limits) []Finding {
	var out []Finding
	found := func(check string, value, reference, limit float64, beyond bool, format string, a ...any) {
		if beyond && !math.IsNaN(limit) {
			out = append(out, Finding{
				Check: check, Severity: Drift, Value: metric.Value(value), Reference: metric.Value(reference), Limit: metric.Value(limit), Message: fmt.Sprintf(format, a...),
			})
		}
	}
	wape, was := float64(now.Model.WAPE), float64(then.Model.WAPE)
	naive, wasNaive := float64(now.Baseline.WAPE), float64(then.Baseline.WAPE)
	limit := was * (1 + l.WAPE)
	for _, o := range origins {
		limit = beyond(limit, float64(o.WAPE), math.Max)
	}
	if naive > wasNaive { // a harder time, for which the model is not to blame
		limit *= naive / wasNaive
	}
	found("wape", wape, was, limit, wape > limit, "WAPE is %.4f and was %.4f in the backtest%s%s", wape, was,
		moved(": ", wape, was), moved("; that of the seasonal naive forecast moved by ", naive, wasNaive))
	found("baseline", wape, naive, naive, wape > naive && was < wasNaive, "WAPE is %.4f, that of the seasonal naive forecast %.4f: the model has become the worse of the two", wape, naive)

	bias, wasBias := float64(now.Model.Bias), float64(then.Model.Bias)
	limit = l.Bias
	for _, o := range origins {
		limit = beyond(limit, math.Abs(float64(o.Bias)-wasBias), math.Max)
	}
	found("bias", bias, wasBias, wasBias+math.Copysign(limit, bias-wasBias), math.Abs(bias-wasBias) > limit,
		"forecasts are %+.1f %% of sales off in sum, and were %+.1f %% in the backtest", 100*bias, 100*wasBias)

	covered, was95 := float64(now.Model.Coverage95), float64(then.Model.Coverage95)
	limit = 0.95 - l.Coverage
	for _, o := range origins {
		limit = beyond(limit, float64(o.Coverage95), math.Min)
	}
	found("coverage_95", covered, was95, limit, covered < limit && !math.IsNaN(was95), "%.1f %% of sales lie inside the 95 %% interval, and %.1f %% did in the backtest", 100*covered, 100*was95)
	return out
}

// moved says by what share a figure that was not zero changed, behind lead; nothing of one that was.
func moved(lead string, now, was float64) string {
	share := now/was - 1
	if math.IsNaN(share) || math.IsInf(share, 0) {
		return ""
	}
	return fmt.Sprintf("%s%+.0f %%", lead, 100*share)
}

// beyond is the farther of two figures; one that is not defined is passed over.
func beyond(limit, v float64, farther func(a, b float64) float64) float64 {
	if math.IsNaN(v) {
		return limit
	}
	return farther(limit, v)
}
