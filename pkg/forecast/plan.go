package forecast

import (
	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

// CheckPlan answers a *MissingPlanError where a known-future covariate of a series that has begun, and not ended, has no value at a step after origin and
// up to the horizon.
func CheckPlan(p *panel.Panel, origin calendar.Step, horizon int) error {
	var missing *MissingPlanError
	for s := range p.Series() {
		if p.Start[s] > origin || p.Ended(s, origin) {
			continue
		}
		for c := range p.Covariates {
			if p.Covariates[c].Role != panel.KnownFuture {
				continue
			}
			first, last, hole := calendar.Step(0), calendar.Step(0), false
			for at := origin + 1; at <= origin+calendar.Step(horizon); at++ {
				r, ok := p.Row(s, at)
				if ok && p.Covariates[c].Values[r] == p.Covariates[c].Values[r] {
					continue
				}
				if !hole {
					first, hole = at, true
				}
				last = at
			}
			switch {
			case !hole:
			case missing == nil:
				missing = &MissingPlanError{Series: p.ID(s), Column: p.Covariates[c].Name, From: p.Frequency.Day(first), To: p.Frequency.Day(last), Count: 1}
			default:
				missing.Count++
			}
		}
	}
	if missing == nil {
		return nil
	}
	return missing
}
