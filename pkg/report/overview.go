package report

import (
	"math"
	"strings"

	"salescast/pkg/backtest"
	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

// Overview is what the page tells of all series together. It is gathered block by block, so that its size is that of the list of series
// and of the calendar.
type Overview struct {
	f       calendar.Frequency
	primary string
	series  int
	// sold are the known sales of all series by step.
	sold       map[calendar.Step]float64
	start, end calendar.Step
	observed   bool
	// soldBy is what was sold at the test origins, by series of the predictions; nextBy what is forecast, by joined keys.
	soldBy []float64
	nextBy map[string]float64
	// tested and next are the sums of what the primary forecast, by step.
	tested, next map[calendar.Step]float64
	total        float64
	horizon      int
	last         calendar.Day
	planned      bool
}

// NewOverview prepares for a panel of a frequency, and for predictions with the keys of head in which primary is the model that the page
// is about.
func NewOverview(f calendar.Frequency, head *backtest.Predictions, primary string) *Overview {
	n := head.NumSeries()
	return &Overview{
		f: f, primary: primary, soldBy: make([]float64, n), sold: map[calendar.Step]float64{}, nextBy: map[string]float64{},
		tested: map[calendar.Step]float64{}, next: map[calendar.Step]float64{},
	}
}

// AddPanel takes in a part of the panel, whole series.
func (o *Overview) AddPanel(p *panel.Panel) {
	for s := range p.Series() {
		if o.series == 0 || p.Start[s] < o.start {
			o.start = p.Start[s]
		}
		o.series++
		lo, hi := p.Span(s)
		for r := lo; r < hi; r++ {
			if !math.IsNaN(float64(p.Target[r])) {
				o.sold[p.Start[s]+calendar.Step(r-lo)] += float64(p.Target[r])
			}
		}
	}
	if end, ok := p.End(); ok && (!o.observed || end > o.end) {
		o.end, o.observed = end, true
	}
}

// AddTested takes in a block of the predictions at the test origins.
func (o *Overview) AddTested(pr *backtest.Predictions) {
	for i, y := range pr.Actual {
		if pr.Models[pr.Model[i]] != o.primary {
			continue
		}
		if !math.IsNaN(y) {
			o.soldBy[pr.Series[i]] += y
		}
		if at, ok := o.f.Step(pr.Date[i]); ok && !math.IsNaN(pr.Forecast[i]) {
			o.tested[at] += pr.Forecast[i]
		}
	}
}

// AddForecast takes in a block of the predictions after the end of the data.
func (o *Overview) AddForecast(pr *backtest.Predictions) {
	for i, y := range pr.Forecast {
		o.horizon, o.last, o.planned = max(o.horizon, int(pr.Horizon[i])), max(o.last, pr.Date[i]), true
		if math.IsNaN(y) {
			continue
		}
		o.total += y
		_, parts := nameOf(pr.Keys, int(pr.Series[i]))
		o.nextBy[strings.Join(parts, "\x00")] += y
		if at, ok := o.f.Step(pr.Date[i]); ok {
			o.next[at] += y
		}
	}
}

// overview is what was gathered, or, where nothing was, what the page's own panel and predictions say.
func (p *Page) overview() *Overview {
	if p.Overview != nil {
		return p.Overview
	}
	o := NewOverview(p.Panel.Frequency, p.Backtest, p.Primary)
	o.AddPanel(p.Panel)
	o.AddTested(p.Backtest)
	if p.Forecast != nil {
		o.AddForecast(p.Forecast)
	}
	return o
}

// soldLately sums what was sold in the last n steps up to the end of the data.
func (o *Overview) soldLately(n int) (sum float64, ok bool) {
	for k := range n {
		sum += o.sold[o.end-calendar.Step(k)]
	}
	return sum, o.observed
}

// stretchOf lays sums on the grid, at most the last steps of them.
func stretchOf(f calendar.Frequency, sums map[calendar.Step]float64, steps int) *stretch {
	if len(sums) == 0 {
		return nil
	}
	first, last := calendar.Step(math.MaxInt32), calendar.Step(math.MinInt32)
	for at := range sums {
		first, last = min(first, at), max(last, at)
	}
	first = max(first, last-calendar.Step(steps)+1)
	out := &stretch{Start: f.Day(first).String(), Point: nothing(int(last-first) + 1)}
	for at, v := range sums {
		if at >= first {
			out.Point[at-first] = figure(v)
		}
	}
	return out
}
