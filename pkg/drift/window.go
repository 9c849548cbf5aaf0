package drift

import (
	"slices"
	"strings"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

// maxBlocks is how far a model's way since its training is looked back on.
const maxBlocks = 12

// Window is where a model is measured: blocks of Steps each, from the steps that it learned until, Learned, to the last with a sale, End.
type Window struct {
	Steps        int
	Learned, End calendar.Step
	// Origins are where the blocks are forecast from, the oldest first; the last is the window that the verdict is of. What is left of the
	// steps since Learned, fewer than a block, belongs to none.
	Origins []calendar.Step
}

// NewWindow lays out the steps after learned up to end in blocks of horizon steps, or in one of fewer where there are not as many.
func NewWindow(learned, end calendar.Step, horizon int) Window {
	w := Window{Steps: max(0, min(horizon, int(end-learned))), Learned: learned, End: end}
	if w.Steps == 0 {
		return w
	}
	for o := end - calendar.Step(w.Steps); o >= learned && len(w.Origins) < maxBlocks; o -= calendar.Step(w.Steps) {
		w.Origins = append(w.Origins, o)
	}
	slices.Reverse(w.Origins)
	return w
}

// Enough is the number of new steps from which on a model can be judged: a week, a month, a quarter, two quarters, a year.
func Enough(f calendar.Frequency) int {
	switch f.Unit {
	case calendar.Daily:
		return 7
	case calendar.Weekly:
		return 4
	case calendar.Quarterly:
		return 2
	case calendar.Yearly:
		return 1
	case calendar.Monthly:
	}
	return 3
}

// places are where the series of p stand in the history; -1 for those that it lacks.
func places(history, p *panel.Panel) []int {
	known := make(map[string]int, history.Series())
	for s := range history.Series() {
		known[strings.Join(history.ID(s), "\x1f")] = s
	}
	out := make([]int, p.Series())
	for s := range out {
		var ok bool
		if out[s], ok = known[strings.Join(p.ID(s), "\x1f")]; !ok {
			out[s] = -1
		}
	}
	return out
}
