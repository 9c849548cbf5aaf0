package tasks

import (
	"math"
	"slices"

	"salescast/pkg/bundle"
	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

// exampleYears is how much of one series' history the example of a model's input has: enough for every member, and small.
const exampleYears = 2

// modelTable says what a model of a panel reads and gives: the columns of its data's contract, and as an example the end of the first
// series, with its plan.
func modelTable(p *panel.Panel, in DataOptions, levels []float64) bundle.Table {
	t := bundle.Table{Time: in.Time, Keys: in.Keys, Levels: levels}
	add := func(names ...string) {
		for _, n := range names {
			if !slices.Contains(t.Inputs, n) {
				t.Inputs = append(t.Inputs, n)
			}
		}
	}
	add(in.Keys...)
	add(in.Time, in.Target)
	add(slices.Concat(in.KnownFuture, in.PastOnly, in.Static, in.flags())...)
	if p.Series() == 0 {
		return t
	}
	lo, hi := p.Span(0)
	end, ok := p.LastObserved(0)
	if !ok {
		return t
	}
	values := map[string]func(row int) any{in.Time: func(row int) any { return p.Frequency.Day(p.Start[0] + calendar.Step(row-lo)).String() }}
	values[in.Target] = func(row int) any {
		if !p.Observed[row] {
			return nil
		}
		return known(p.Target[row])
	}
	for _, k := range slices.Concat(p.Keys, p.Static) {
		values[k.Name] = func(int) any { return k.Levels[k.Codes[0]] }
	}
	for _, name := range in.flags() { // a sale on an empty shelf is no sale of the panel
		values[name] = func(int) any { return 0 }
	}
	for _, c := range p.Covariates {
		values[c.Name] = func(row int) any { return known(c.Values[row]) }
	}
	for row := max(lo, lo+int(end-p.Start[0])-exampleYears*p.Frequency.Year()); row < hi; row++ {
		line := make([]any, len(t.Inputs))
		for i, name := range t.Inputs {
			if value, ok := values[name]; ok {
				line[i] = value(row)
			}
		}
		t.Example = append(t.Example, line)
	}
	return t
}

// known is a number, or nil for one that is not known: JSON has no NaN.
func known(v float32) any {
	if math.IsNaN(float64(v)) {
		return nil
	}
	return v
}
