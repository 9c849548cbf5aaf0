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

// Assumed is a known-future covariate of which something is assumed to be as usual: at most Steps of a series' steps up to the horizon.
type Assumed struct {
	Name  string
	Steps int
}

// CompletePlan returns p with a value of every known-future covariate at each of the horizon steps after origin: the one that p has; else
// the one that known tells of a series, a covariate and a step; else, or where known is nil or answers NaN, what is usual, as [Reach.At]
// assumes it at the origins of a backtest: a median of the last usualWindow values up to the origin (see [Usual]). It returns p itself where
// nothing lacks, and says of which covariates something is assumed. Series that have ended are completed and not counted.
func CompletePlan(p *panel.Panel, origin calendar.Step, horizon int, known func(series, covariate int, at calendar.Step) float32) (*panel.Panel, []Assumed) {
	if planned(p, origin, horizon) {
		return p, nil
	}
	q := *p
	q.Offsets, q.Target, q.Observed = []int{0}, nil, nil
	q.Covariates = slices.Clone(p.Covariates)
	for c := range q.Covariates {
		q.Covariates[c].Values = make([]float32, 0, p.Rows()+p.Series()*horizon)
	}
	nan := float32(math.NaN())
	assumed := make([]int, len(p.Covariates))
	for s := range p.Start {
		lo, hi := p.Span(s)
		past := int(origin-p.Start[s]) + 1
		added := max(0, past+horizon-(hi-lo))
		q.Target = append(append(q.Target, p.Target[lo:hi]...), slices.Repeat([]float32{nan}, added)...)
		q.Observed = append(append(q.Observed, p.Observed[lo:hi]...), make([]bool, added)...)
		for c, from := range p.Covariates {
			to := append(q.Covariates[c].Values, from.Values[lo:hi]...)
			to = append(to, slices.Repeat([]float32{nan}, added)...)
			q.Covariates[c].Values = to
			if from.Role != panel.KnownFuture {
				continue
			}
			own, steps := to[len(to)-(hi-lo)-added:], 0
			history := from.Values[lo : lo+min(max(0, past), hi-lo)]
			for at := max(0, past); at < past+horizon; at++ {
				if own[at] == own[at] {
					continue
				}
				if known != nil {
					own[at] = known(s, c, p.Start[s]+calendar.Step(at))
				}
				if own[at] != own[at] {
					own[at] = Usual(history, at, p.Frequency)
					steps++
				}
			}
			if !p.Ended(s, origin) {
				assumed[c] = max(assumed[c], steps)
			}
		}
		q.Offsets = append(q.Offsets, len(q.Target))
	}
	var out []Assumed
	for c, steps := range assumed {
		if steps > 0 {
			out = append(out, Assumed{p.Covariates[c].Name, steps})
		}
	}
	return &q, out
}

// planned says whether every known-future covariate has a value at each of the horizon steps after origin.
func planned(p *panel.Panel, origin calendar.Step, horizon int) bool {
	for s := range p.Start {
		if p.Ended(s, origin) {
			continue
		}
		for c := range p.Covariates {
			if p.Covariates[c].Role != panel.KnownFuture {
				continue
			}
			for at := max(origin, p.Start[s]-1) + 1; at <= origin+calendar.Step(horizon); at++ {
				if r, ok := p.Row(s, at); !ok || p.Covariates[c].Values[r] != p.Covariates[c].Values[r] {
					return false
				}
			}
		}
	}
	return true
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
