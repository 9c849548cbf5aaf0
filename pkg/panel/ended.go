package panel

import "salescast/pkg/calendar"

// silences is how many times as long as ever before a series must have been silent to have ended, where no policy says how long.
const silences = 2

// shortestSilence is the least number of steps of such a silence: 8 weeks, 16 weeks, a year.
func shortestSilence(f calendar.Frequency) int {
	switch f.Unit {
	case calendar.Weekly:
		return 16
	case calendar.Monthly:
		return 12
	case calendar.Quarterly:
		return 4
	case calendar.Yearly:
		return 2
	case calendar.Daily:
	}
	return 56
}

// Ended says whether series s is no longer sold at origin: its last sale lies more than EndedAfter steps back. Without a policy it has
// ended when it has been silent for more than 8 weeks (16 weeks of weekly data, a year of monthly) and more than twice as long as ever
// between two of its sales: what is sold at Christmas alone has not ended in June, but for its first year. A series that never sold has
// not ended. Only rows up to origin are looked at.
func (p *Panel) Ended(s int, origin calendar.Step) bool {
	if p.EndedAfter < 0 {
		return false
	}
	lo, hi := p.Span(s)
	n := int(origin) - int(p.Start[s]) + 1
	rows := p.Target[lo:min(hi, lo+max(n, 0))]
	last := len(rows) - 1
	for last >= 0 && !(p.Observed[lo+last] && rows[last] > 0) {
		last--
	}
	silent := n - 1 - last
	if p.EndedAfter > 0 {
		return last >= 0 && silent > p.EndedAfter
	}
	if last < 0 || silent <= shortestSilence(p.Frequency) {
		return false
	}
	longest, before := 1, -1
	for i := range last + 1 {
		if p.Observed[lo+i] && rows[i] > 0 {
			if before >= 0 {
				longest = max(longest, i-before)
			}
			before = i
		}
	}
	return silent > silences*longest
}
