package tasks

import (
	"context"
	"fmt"
	"strings"

	"salescast/pkg/backtest"
	"salescast/pkg/calendar"
	"salescast/pkg/forecast"
	"salescast/pkg/metric"
	"salescast/pkg/panel"
)

// What a backtest knows of the known-future columns after an origin.
const (
	// PlanReach gives it as much as the source knows past the last sale, and beyond that what a forecast assumes: the default.
	PlanReach = "reach"
	// PlanKnown gives it all, on the word of the user that the plan will be there in time.
	PlanKnown = "known"
)

// plannedName is the ensemble's forecasts from the test origins with the whole plan known, where the source knows less.
const plannedName = "planned.parquet"

// reachName is, beside it, how far the source knows the columns of the plan that it does not know up to the horizon.
const reachName = "reach.json"

// foresight is what is known of the future at the origins of a backtest.
type foresight struct {
	panel *panel.Panel
	// reach is nil where the whole plan counts as known.
	reach *forecast.Reach
	plans map[calendar.Step]*forecast.Plan
}

func foresightOf(p *panel.Panel, sched backtest.Schedule, b BacktestOptions) *foresight {
	f := &foresight{panel: p, plans: map[calendar.Step]*forecast.Plan{}}
	if b.Plan == PlanKnown {
		return f
	}
	if r := forecast.ReachOf(p, sched.End, sched.Horizon); !r.Whole() {
		f.reach = r
	}
	return f
}

// at is the plan as it was known at an origin.
func (f *foresight) at(origin calendar.Step) *forecast.Plan {
	if f.reach == nil {
		return forecast.PlanOf(f.panel, origin)
	}
	if f.plans[origin] == nil {
		f.plans[origin] = f.reach.At(f.panel, origin)
	}
	return f.plans[origin]
}

// short says whether the source knows less of the future than there is to know.
func (f *foresight) short() bool { return f.reach != nil }

// columns are those that the source does not know up to the horizon.
func (f *foresight) columns() []metric.PlannedColumn {
	var out []metric.PlannedColumn
	for i := range f.reach.Columns {
		if c := &f.reach.Columns[i]; !c.Whole(f.reach.Horizon) {
			out = append(out, metric.PlannedColumn{Name: c.Name, Known: c.Median})
		}
	}
	return out
}

// tell says which columns a forecast has to do without, and what follows for the figures.
func (f *foresight) tell(s *Step) {
	if !f.short() {
		return
	}
	var said []string
	for _, c := range f.columns() {
		said = append(said, c.Name+" "+reached(c.Known, f.reach.Horizon))
	}
	s.Warn("the data do not know the plan: %s; beyond that what is usual is assumed, in the backtest as in the forecast, so that its figures are those of the forecast. "+
		"Append rows with what is planned and an empty sale; or list under data.past_only what is never planned; or say backtest.plan: known if the plan will be there in time", strings.Join(said, ", "))
}

func reached(steps, horizon int) string {
	if steps == 0 {
		return "not at all past the last sale"
	}
	return fmt.Sprintf("for %d of %d steps", steps, horizon)
}

// scorePlanned scores the ensemble's forecasts with the whole plan known; nil where the source knows it, or no member reads one.
func (s *Step) scorePlanned(ctx context.Context, x *scoring) (*metric.PlannedScores, error) {
	in := s.Input("ensemble")
	if !in.Has(plannedName) {
		return nil, nil
	}
	rows, err := readPredictions(ctx, in, plannedName)
	if err != nil {
		return nil, err
	}
	sc, err := metric.NewScorer(rows, x.schema.Frequency, x.origins, x.horizons)
	if err != nil {
		return nil, unscorable(err)
	}
	out := &metric.PlannedScores{}
	if err := in.readJSON(ctx, reachName, &out.Columns); err != nil {
		return nil, err
	}
	scored := &scorer{sc}
	if err := x.panels(ctx, scored.addPanel); err != nil {
		return nil, err
	}
	if err := scored.add(rows); err != nil {
		return nil, err
	}
	ev, err := scored.finish()
	if err != nil {
		return nil, err
	}
	out.Overall = ev.Overall[0]
	for i, v := range out.Overall.Values() {
		s.Metric("planned_"+primaryModel+"_"+metric.Columns()[i], float64(v))
	}
	return out, nil
}
