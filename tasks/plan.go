package tasks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"salescast/pkg/backtest"
	"salescast/pkg/bundle"
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

// reachName is the file of a [metric.Foresight]: how far the source knows the columns of the plan.
const reachName = "reach.json"

// foresight is what is known of the future at the origins of a backtest.
type foresight struct {
	panel *panel.Panel
	reach *forecast.Reach
	// promised is true where the whole plan counts as known.
	promised bool
	plans    map[calendar.Step]*forecast.Plan
}

func foresightOf(p *panel.Panel, sched backtest.Schedule, b BacktestOptions) *foresight {
	return newForesight(p, sched.End, sched.Horizon, b.Plan == PlanKnown)
}

func newForesight(p *panel.Panel, end calendar.Step, horizon int, promised bool) *foresight {
	return &foresight{panel: p, reach: forecast.ReachOf(p, end, horizon), promised: promised, plans: map[calendar.Step]*forecast.Plan{}}
}

// at is the plan as it was known at an origin.
func (f *foresight) at(origin calendar.Step) *forecast.Plan {
	if !f.short() {
		return forecast.PlanOf(f.panel, origin)
	}
	if f.plans[origin] == nil {
		f.plans[origin] = f.reach.At(f.panel, origin)
	}
	return f.plans[origin]
}

// short says whether less of the future is known than there is to know.
func (f *foresight) short() bool { return !f.promised && !f.reach.Whole() }

// document is what reach.json says; nil where there is no known-future column.
func (f *foresight) document() *metric.Foresight {
	if len(f.reach.Columns) == 0 {
		return nil
	}
	out := &metric.Foresight{Promised: f.promised, Horizon: f.reach.Horizon}
	for _, c := range f.reach.Columns {
		out.Columns = append(out.Columns, metric.ColumnKnown{Name: c.Name, Known: c.Median, Least: c.Least})
	}
	return out
}

// tell says which columns a forecast has to do without, and what follows for the figures.
func (f *foresight) tell(s *Step) {
	if f.reach.Whole() {
		return
	}
	knew := f.document().Knew()
	if f.promised {
		s.Warn("at the origins of the backtest the models knew the sales%s: its figures hold for forecasts that have it", knew)
		return
	}
	s.Warn("at the origins of the backtest the models knew the sales%s. Append rows with what is planned and an empty sale; or list under data.past_only what is never planned; "+
		"or say backtest.plan: known if the plan will be there in time", knew)
}

// readReach reads what the backtest of a model knew of the plan: what its figures are of. nil is of nothing to be planned, and of models
// older than such files.
func readReach(ctx context.Context, r bundle.Reader) (*metric.Foresight, error) {
	b, err := r.ReadFile(ctx, reachName, maxSmall)
	if errors.Is(err, fs.ErrNotExist) || KindOf(err) == KindInputMissing {
		return nil, nil
	}
	f := &metric.Foresight{}
	if err == nil {
		err = json.Unmarshal(b, f)
	}
	if err != nil {
		return nil, fmt.Errorf("read what the model's backtest knew of the plan: %w", err)
	}
	return f, nil
}

// promisedBy says whether the backtest of a model took the whole plan as known.
func promisedBy(ctx context.Context, r bundle.Reader) (bool, error) {
	f, err := readReach(ctx, r)
	return f != nil && f.Promised, err
}

// readForesight reads what the ensemble's backtest knew, with what the whole plan would be worth; nil where there is nothing to be planned.
func (s *Step) readForesight(ctx context.Context, x *scoring) (*metric.Foresight, error) {
	in := s.Input("ensemble")
	if !in.Has(reachName) {
		return nil, nil
	}
	out := &metric.Foresight{}
	if err := in.readJSON(ctx, reachName, out); err != nil {
		return nil, err
	}
	var err error
	out.Planned, err = s.scorePlanned(ctx, x)
	return out, err
}

// scorePlanned scores the ensemble's forecasts with the whole plan known; nil where the source knows it, or no member reads one.
func (s *Step) scorePlanned(ctx context.Context, x *scoring) (*metric.Scores, error) {
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
	for i, v := range ev.Overall[0].Values() {
		s.Metric("planned_"+primaryModel+"_"+metric.Columns()[i], float64(v))
	}
	return &ev.Overall[0], nil
}
