package global

import (
	"slices"
	"testing"

	"salescast/pkg/calendar"
	"salescast/pkg/feature"
	"salescast/pkg/forecast/forecasttest"
	"salescast/pkg/panel"
)

// The features of a panel that is held part by part are, bit by bit, those of the whole.
func TestStatesAreOneState(t *testing.T) {
	t.Parallel()
	shape := forecasttest.Daily()
	shape.Steps = 300
	p := forecasttest.Panel(shape)
	origin, _ := p.End()
	const horizon = 14
	plan, err := feature.NewPlan(feature.Spec{}, feature.Describe(p, origin, horizon, "DE"))
	if err != nil {
		t.Fatal(err)
	}
	var rows []feature.Row
	for s := range p.Series() {
		for h := 1; h <= horizon; h++ {
			rows = append(rows, feature.Row{Series: int32(s), Origin: origin, Target: origin + calendar.Step(h)})
		}
	}
	whole, err := plan.NewState(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	var want, got panel.Frame
	wantScale, gotScale := make([]float64, len(rows)), make([]float64, len(rows))
	if err := whole.Fill(rows, feature.Recent, &want, wantScale); err != nil {
		t.Fatal(err)
	}
	x := newStates(plan, p)
	for _, x.rows = range []int{1, 700, p.Rows()} {
		x.lo, x.hi, x.held = 0, 0, nil
		for range 2 { // from the last part back to the first
			if err := x.Fill(rows, feature.Recent, &got, gotScale); err != nil {
				t.Fatal(err)
			}
		}
		same := func(a, b float32) bool { return a == b || a != a && b != b }
		if !slices.Equal(gotScale, wantScale) || !slices.Equal(got.Names, want.Names) || !slices.EqualFunc(got.Data, want.Data, same) {
			t.Errorf("held %d rows at a time, features differ", x.rows)
		}
	}
}
