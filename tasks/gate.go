package tasks

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"salescast/pkg/backtest"
	"salescast/pkg/calendar"
	"salescast/pkg/metric"
	"salescast/pkg/panel"
)

// GateMetrics are the scores that a gate can look at; of all of them less is better.
func GateMetrics() []string { return []string{"wape", "rmse", "mae", "rmsse", "mase"} }

// gate says whether a candidate replaces a reference: its metric must be lower by more than a margin, and the difference of WAPE must be
// more than noise.
type gate struct {
	metric string
	// margin is the share of the reference's metric by which the candidate's must be lower.
	margin float64
	seed   uint64
}

// Verdict is what the gate says of a candidate, and on what.
type Verdict struct {
	Better bool   `json:"better"`
	Reason string `json:"reason"`
	Metric string `json:"metric"`
	// Margin is the share by which the candidate had to be better.
	Margin    float64      `json:"margin"`
	Candidate metric.Value `json:"candidate"`
	Reference metric.Value `json:"reference"`
	// Origins are those that both forecast from.
	Origins    []calendar.Day     `json:"origins"`
	Comparison *metric.Comparison `json:"comparison,omitempty"`
}

// judge compares two models on the forecasts that both made: same series, origin and date. p is the panel of the candidate. Where they
// have none in common, or saw other sales, the candidate is not better, and the reason says why.
func (g gate) judge(p *panel.Panel, candidate, reference metric.Contender) (Verdict, error) {
	v := undecided(g.metric)
	v.Margin = g.margin
	at := slices.Index(metric.Columns(), g.metric)
	if at < 0 || !slices.Contains(GateMetrics(), g.metric) {
		return v, &Error{Kind: KindConfig, Op: "judge the candidate", Err: fmt.Errorf("unknown metric %q", g.metric), Hint: "register.metric is one of " + strings.Join(GateMetrics(), ", ")}
	}
	both, err := shared(candidate, reference)
	if err != nil {
		return v, err
	}
	if both.Rows() == 0 {
		v.Reason = "they have no forecast of the same series, origin and date in common"
		return v, nil
	}
	v.Origins = distinctDays(both.Cutoff)
	c, err := metric.Paired(metric.Contender{Predictions: both, Model: challengerAlias}, metric.Contender{Predictions: both, Model: championAlias}, g.seed)
	if err != nil {
		v.Reason = err.Error()
		return v, nil //nolint:nilerr // what cannot be compared is refused, for this reason
	}
	v.Comparison = c
	ev, err := metric.Evaluate(p, both)
	if err != nil {
		return v, fmt.Errorf("score candidate and reference: %w", err)
	}
	v.Candidate, v.Reference = ev.Overall[0].Values()[at], ev.Overall[1].Values()[at]
	v.Better, v.Reason = g.decide(v, c)
	return v, nil
}

// undecided is a verdict without figures.
func undecided(name string) Verdict {
	nan := metric.Value(math.NaN())
	return Verdict{Metric: name, Candidate: nan, Reference: nan, Origins: []calendar.Day{}}
}

func (g gate) decide(v Verdict, c *metric.Comparison) (bool, string) {
	interval, over := c.BySeries, "series"
	if !interval.High.Defined() {
		interval, over = c.ByDate, "dates"
	}
	figures := fmt.Sprintf("%s %.4f against %.4f", g.metric, float64(v.Candidate), float64(v.Reference))
	noise := fmt.Sprintf("its WAPE differs by %+.4f, 95 %% interval over %s %+.4f to %+.4f", float64(c.Difference), over, float64(interval.Low), float64(interval.High))
	switch {
	case !v.Candidate.Defined() || !v.Reference.Defined():
		return false, g.metric + " is not defined on what both forecast"
	case float64(v.Candidate) >= float64(v.Reference)*(1-g.margin):
		if g.margin > 0 {
			return false, fmt.Sprintf("%s: not better by %g %%", figures, g.margin*100)
		}
		return false, figures + ": not better"
	case !interval.High.Defined():
		return false, figures + ": too few series and dates to tell the difference from noise"
	case interval.High >= 0:
		return false, figures + ": no more than noise, " + noise
	}
	return true, figures + ": better, " + noise
}

// shared has the points of the two, as challenger and champion, where both have one; series are those of the candidate.
func shared(candidate, reference metric.Contender) (*backtest.Predictions, error) {
	c, err := pointsOf(candidate, challengerAlias)
	if err != nil {
		return nil, err
	}
	r, err := pointsOf(reference, championAlias)
	if err != nil {
		return nil, err
	}
	r = onto(c, r)
	type cell struct {
		series       int32
		cutoff, date calendar.Day
	}
	in := map[cell]int{}
	for i := range c.Rows() {
		in[cell{c.Series[i], c.Cutoff[i], c.Date[i]}]++
	}
	r = r.Filter(func(i int) bool { return in[cell{r.Series[i], r.Cutoff[i], r.Date[i]}] > 0 })
	for i := range r.Series {
		in[cell{r.Series[i], r.Cutoff[i], r.Date[i]}]++
	}
	c = c.Filter(func(i int) bool { return in[cell{c.Series[i], c.Cutoff[i], c.Date[i]}] > 1 })
	return backtest.Merge(c, r)
}

// pointsOf are the rows of one model under another name, without quantiles and without what has no sale or no forecast.
func pointsOf(c metric.Contender, name string) (*backtest.Predictions, error) {
	m := slices.Index(c.Predictions.Models, c.Model)
	if m < 0 {
		return nil, fmt.Errorf("model %q is not among the predictions, which have %v", c.Model, c.Predictions.Models)
	}
	bare := *c.Predictions
	bare.Levels, bare.Quantiles = nil, nil
	out := bare.Filter(func(i int) bool {
		return int(bare.Model[i]) == m && !math.IsNaN(bare.Actual[i]) && !math.IsNaN(bare.Forecast[i])
	})
	out.Models, out.Model = []string{name}, make([]int32, out.Rows())
	return out, nil
}

// seriesIDs are the key values of every series, joined.
func seriesIDs(p *backtest.Predictions) []string {
	if len(p.Keys) == 0 {
		return []string{""}
	}
	out := make([]string, len(p.Keys[0].Codes))
	for s := range out {
		id := make([]string, len(p.Keys))
		for k, key := range p.Keys {
			id[k] = key.Levels[key.Codes[s]]
		}
		out[s] = strings.Join(id, "\x00")
	}
	return out
}

func distinctDays(days []calendar.Day) []calendar.Day {
	out := slices.Clone(days)
	slices.Sort(out)
	return slices.Compact(out)
}

// refusal is the error of a candidate that did not pass.
func refusal(r Registration) error {
	hint := "the champion stays; the figures are in register/decisions.json and in the version's tags"
	if r.Verdict.Comparison == nil && r.Champion != "" {
		hint = "the champion stays, because the two cannot be compared; if the candidate is to replace it, register with --promote always, and if both are needed give this one a name of its own with --prefix"
	}
	return &Error{Kind: KindRefused, Op: fmt.Sprintf("promote %s version %s over %s", r.Model, r.Version, r.Against), Err: errors.New(r.Verdict.Reason), Hint: hint}
}
