package backtest

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

// ValidationOrigins is the number of blocks before an origin from which weights and intervals are learned.
const ValidationOrigins = 3

// Split is a forecast origin and what is forecast from it: the last step whose sale is known, and the number of steps after it.
type Split struct {
	Cutoff  calendar.Step
	Horizon int
}

// Window returns the first and the last step that are forecast.
func (s Split) Window() (first, last calendar.Step) {
	return s.Cutoff + 1, s.Cutoff + calendar.Step(s.Horizon)
}

// Schedule is where a panel is split, by date: every list ascends, and all blocks are Horizon steps long and do not overlap.
type Schedule struct {
	// Validation origins lie before the first test origin.
	Validation []calendar.Step
	Test       []calendar.Step
	// End is the origin of the forecast itself: the last step with an observed sale.
	End     calendar.Step
	Horizon int
}

// Splits returns validation and test splits, ascending.
func (s Schedule) Splits() []Split {
	out := make([]Split, 0, len(s.Validation)+len(s.Test))
	for _, o := range slices.Concat(s.Validation, s.Test) {
		out = append(out, Split{Cutoff: o, Horizon: s.Horizon})
	}
	return out
}

// Before returns the origins whose whole block was known at origin o, the latest n of them, ascending: what may be learned from at o.
func (s Schedule) Before(o calendar.Step, n int) []calendar.Step {
	var out []calendar.Step
	for _, x := range slices.Concat(s.Validation, s.Test) {
		if x <= o-calendar.Step(s.Horizon) {
			out = append(out, x)
		}
	}
	return out[max(0, len(out)-n):]
}

// Origins places test origins at the last blocks of horizon steps before the panel's end, and [ValidationOrigins] more before them.
// Origins at which most series would have too little history are left out: at every origin nine of ten series that
// are alive at the end must have three horizons of history, or the panel as a whole two horizons when no origin can do better. A
// panel without room for one block has a Schedule without origins.
func Origins(p *panel.Panel, horizon, origins int) (Schedule, error) {
	if horizon < 1 || origins < 1 {
		return Schedule{}, fmt.Errorf("placing test origins: horizon %d and origins %d must be positive", horizon, origins)
	}
	return schedule(p, horizon, origins, ValidationOrigins)
}

// Shares places origins so that the timeline from the panel's first to its last observed step is split by date into shares for
// training, validation and test, as many whole blocks of horizon steps as fit into each of the last two, at least one each; of
// validation blocks the last [ValidationOrigins], since no more are learned from.
func Shares(p *panel.Panel, horizon int, shares [3]float64) (Schedule, error) {
	sum := shares[0] + shares[1] + shares[2]
	if horizon < 1 || math.Abs(sum-1) > 1e-6 || min(shares[0], shares[1], shares[2]) <= 0 {
		return Schedule{}, fmt.Errorf("splitting by date: the shares %v must be positive and sum to 1, and the horizon %d positive", shares, horizon)
	}
	end, ok := p.End()
	if !ok {
		return Schedule{}, errNoSales
	}
	steps := float64(end-slices.Min(p.Start)) + 1
	blocks := func(share float64) int { return max(1, int(share*steps+1e-9)/horizon) }
	return schedule(p, horizon, blocks(shares[2]), min(blocks(shares[1]), ValidationOrigins))
}

var errNoSales = errors.New("placing test origins: the panel has no observed sale")

func schedule(p *panel.Panel, horizon, tests, validations int) (Schedule, error) {
	end, ok := p.End()
	if !ok {
		return Schedule{}, errNoSales
	}
	s := Schedule{End: end, Horizon: horizon}
	starts := slices.Clone(p.Start)
	slices.Sort(starts)
	// One new series must not decide over all: the youngest tenth is not asked.
	most, first := starts[(len(starts)-1)*9/10], starts[0]
	h := calendar.Step(horizon)
	room := func(o calendar.Step) bool { return o+1-most >= 3*h }
	if !room(end - h) {
		room = func(o calendar.Step) bool { return o+1-first >= 2*h }
	}
	for k := tests + validations; k >= 1; k-- {
		o := end - calendar.Step(k)*h
		switch {
		case !room(o):
		case k > tests:
			s.Validation = append(s.Validation, o)
		default:
			s.Test = append(s.Test, o)
		}
	}
	return s, nil
}
