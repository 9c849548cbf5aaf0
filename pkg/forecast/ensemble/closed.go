package ensemble

import (
	"salescast/pkg/calendar"
	"salescast/pkg/forecast"
	"salescast/pkg/panel"
)

const (
	// closedRows and closedShare say when a flag means "closed": so many past sales under it, of which this share is 0.
	closedRows  = 5
	closedShare = 0.95
)

// ClosedFlags returns the known-future covariates of two values, 0 and 1, under which, up to origin, (almost) nothing was sold.
func ClosedFlags(p *panel.Panel, origin calendar.Step) []int {
	var out []int
	for c := range p.Covariates {
		v := p.Covariates[c].Values
		if p.Covariates[c].Role != panel.KnownFuture {
			continue
		}
		flag, rows, zeros := true, 0, 0
		for s := 0; s < p.Series() && flag; s++ {
			lo, hi := p.Span(s)
			end := min(hi, lo+max(0, int(origin)+1-int(p.Start[s])))
			for r := lo; r < end; r++ {
				if v[r] != 0 && v[r] != 1 && v[r] == v[r] {
					flag = false
					break
				}
				if v[r] == 1 && p.Observed[r] {
					rows++
					if p.Target[r] == 0 {
						zeros++
					}
				}
			}
		}
		if flag && rows >= closedRows && float64(zeros) >= closedShare*float64(rows) {
			out = append(out, c)
		}
	}
	return out
}

// closeFlagged sets the forecast and its quantiles to 0 where nothing is sold: for series that have ended, see [panel.Panel.Ended], and at
// the steps where one of flags, see [ClosedFlags], or without any the weekday says so.
func closeFlagged(p *panel.Panel, f *forecast.Prediction, flags []int) {
	closeSteps(f, closedSteps(p, flags, forecast.PlanOf(p, f.Origin), f.Origin, f.Horizon))
}

func closeSteps(f *forecast.Prediction, steps []int) {
	for _, i := range steps {
		f.Point[i] = 0
		clear(f.QuantilesAt(i))
	}
}

// closedSteps returns the indices, laid out as [forecast.Prediction.Point], of the steps that a flag of the plan closes, or where none does
// the weekday, see [panel.Panel.ClosedWeekdays], and of all steps of series that have ended.
func closedSteps(p *panel.Panel, flags []int, plan *forecast.Plan, origin calendar.Step, horizon int) []int {
	var out []int
	for s := range p.Series() {
		if p.Ended(s, origin) {
			for i := range horizon {
				out = append(out, s*horizon+i)
			}
			continue
		}
		if len(flags) == 0 { // who plans when it is shut plans when it is open, too
			closed := p.ClosedWeekdays(s, origin)
			for h := 1; h <= horizon && closed != [7]bool{}; h++ {
				if closed[p.Frequency.Day(origin+calendar.Step(h)).Weekday()] {
					out = append(out, s*horizon+h-1)
				}
			}
		}
		for _, c := range flags {
			for h := 1; h <= horizon; h++ {
				if plan.Value(s, c, h) == 1 {
					out = append(out, s*horizon+h-1)
				}
			}
		}
	}
	return out
}
