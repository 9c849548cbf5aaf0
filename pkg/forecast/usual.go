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

// UsualPlan returns a copy of p, which has no row after the origin, that goes on for horizon steps with the known-future values that are
// usual: the median of the last usualWindow values on the same weekday, or of the last steps of weekly and monthly data. It says the
// names of these columns; without any it returns p itself.
func UsualPlan(p *panel.Panel, origin calendar.Step, horizon int) (*panel.Panel, []string) {
	var names []string
	for _, c := range p.Covariates {
		if c.Role == panel.KnownFuture {
			names = append(names, c.Name)
		}
	}
	if len(names) == 0 {
		return p, nil
	}
	q := *p
	q.Offsets, q.Target, q.Observed = []int{0}, nil, nil
	q.Covariates = slices.Clone(p.Covariates)
	for c := range q.Covariates {
		q.Covariates[c].Values = make([]float32, 0, p.Rows()+p.Series()*horizon)
	}
	nan := float32(math.NaN())
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
					v = Usual(from.Values[lo:hi], hi-lo+h, p.Frequency)
				}
				to = append(to, v)
			}
			q.Covariates[c].Values = to
		}
		q.Offsets = append(q.Offsets, len(q.Target))
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
