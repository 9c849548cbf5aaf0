package forecast

import (
	"math"
	"slices"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

// usualWindow is how many values of the same weekday, or how many steps of coarser data, make what is usual.
const usualWindow = 8

// HasPlan says whether any row lies after the origin.
func HasPlan(p *panel.Panel, origin calendar.Step) bool {
	for s := range p.Start {
		lo, hi := p.Span(s)
		if p.Start[s]+calendar.Step(hi-lo)-1 > origin {
			return true
		}
	}
	return false
}

// UsualPlan returns p itself where it has any row after the origin. Else it returns a copy that goes on for horizon steps: with the
// known-future values that known tells of a series, a covariate and a step after the origin, and where known is nil or answers NaN with
// what is usual: the median of the last usualWindow values on the same weekday, or of the last steps of weekly and monthly data. It says
// the names of the columns of which something is assumed to be as usual.
func UsualPlan(p *panel.Panel, origin calendar.Step, horizon int, known func(series, covariate int, at calendar.Step) float32) (*panel.Panel, []string) {
	if HasPlan(p, origin) || !slices.ContainsFunc(p.Covariates, func(c panel.Covariate) bool { return c.Role == panel.KnownFuture }) {
		return p, nil
	}
	q := *p
	q.Offsets, q.Target, q.Observed = []int{0}, nil, nil
	q.Covariates = slices.Clone(p.Covariates)
	for c := range q.Covariates {
		q.Covariates[c].Values = make([]float32, 0, p.Rows()+p.Series()*horizon)
	}
	nan := float32(math.NaN())
	assumed := make([]bool, len(p.Covariates))
	for s := range p.Start {
		lo, hi := p.Span(s)
		added := int(origin) + horizon - (int(p.Start[s]) + hi - lo - 1)
		q.Target = append(append(q.Target, p.Target[lo:hi]...), slices.Repeat([]float32{nan}, added)...)
		q.Observed = append(append(q.Observed, p.Observed[lo:hi]...), make([]bool, added)...)
		for c, from := range p.Covariates {
			to := append(q.Covariates[c].Values, from.Values[lo:hi]...)
			for h := range added {
				v := nan
				if from.Role == panel.KnownFuture {
					if known != nil {
						v = known(s, c, p.Start[s]+calendar.Step(hi-lo+h))
					}
					if v != v {
						assumed[c] = true
						v = Usual(from.Values[lo:hi], hi-lo+h, p.Frequency)
					}
				}
				to = append(to, v)
			}
			q.Covariates[c].Values = to
		}
		q.Offsets = append(q.Offsets, len(q.Target))
	}
	var names []string
	for c, usual := range assumed {
		if usual {
			names = append(names, p.Covariates[c].Name)
		}
	}
	return &q, names
}

// Usual is what is usual of a covariate's history at an index, for the frequency of the panel: the lower median of the last known
// values a multiple of a week, or of a step of coarser data, before it; NaN without any.
func Usual(history []float32, at int, f calendar.Frequency) float32 {
	lag := 1
	if f.Unit == calendar.Daily {
		lag = 7
	}
	var last []float32
	for i := at - lag; i >= 0 && len(last) < usualWindow; i -= lag {
		if i < len(history) && history[i] == history[i] {
			last = append(last, history[i])
		}
	}
	if len(last) == 0 {
		return float32(math.NaN())
	}
	slices.Sort(last)
	return last[(len(last)-1)/2]
}
