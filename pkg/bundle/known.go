package bundle

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"salescast/pkg/calendar"
	"salescast/pkg/forecast"
	"salescast/pkg/forecast/ensemble"
	"salescast/pkg/forecast/global"
	"salescast/pkg/forecast/member"
	"salescast/pkg/forecast/seasonal"
	"salescast/pkg/panel"
)

// Known is a bundle's history at work. It forecasts panels of some of its series, and of new ones, in their place among all: what members
// read of other series comes from the history, nothing of it from after the request's origin. A panel of all series needs no history and
// is forecast by itself. It may be used from several goroutines while the bundle is open.
type Known struct {
	// Panel reaches, with the plan that was known or is usual, from the bundle's past to its horizon; End is its last step with a sale.
	Panel *panel.Panel
	End   calendar.Step
	// Assumed are the columns of the plan that the bundle did not know.
	Assumed []string

	// Index finds a series by the [JoinID] of its key values.
	Index map[string]int

	reach  *forecast.Reach // what is not assumed of the plan; nil where nothing is
	closed []int
	alive  []int // the series that have not ended at End
	served map[*member.Model]*global.Served
}

// Know reads the history and prepares the members for it.
func (b *Bundle) Know(ctx context.Context) (*Known, error) {
	k, err := b.recall(ctx)
	if err == nil {
		err = k.prepare(ctx, b)
	}
	if err != nil {
		return nil, blame(err)
	}
	return k, nil
}

// recall reads the history.
func (b *Bundle) recall(ctx context.Context) (*Known, error) {
	p, err := b.History(ctx)
	if err != nil {
		return nil, err
	}
	k := &Known{}
	var ok bool
	if k.End, ok = p.End(); !ok {
		return nil, errors.New("open bundle: its history has no sale")
	}
	var assumed []forecast.Assumed
	if k.Panel, assumed = forecast.CompletePlan(p, k.End, b.Manifest.Horizon, nil); len(assumed) > 0 {
		k.reach = forecast.ReachOf(p, k.End, b.Manifest.Horizon)
	}
	for _, a := range assumed {
		k.Assumed = append(k.Assumed, a.Name)
	}
	k.Index = make(map[string]int, k.Panel.Series())
	for s := range k.Panel.Series() {
		k.Index[JoinID(k.Panel.ID(s))] = s
	}
	k.alive = k.going(k.End)
	return k, nil
}

// prepare makes what every forecast of a part needs.
func (k *Known) prepare(ctx context.Context, b *Bundle) error {
	k.closed, k.served = ensemble.ClosedFlags(k.Panel, k.End), map[*member.Model]*global.Served{}
	var all []*global.Served
	for _, one := range b.Members() {
		m, ok := one.Model.(*member.Model)
		if !ok || m.Kind != member.Trees {
			continue
		}
		s, err := m.Trees.Serve(ctx, k.Panel, k.End, all...)
		if err != nil {
			return fmt.Errorf("prepare member %s: %w", one.Member, err)
		}
		k.served[m], all = s, append(all, s)
	}
	return nil
}

// Beside returns what the bundle knows besides p, which is forecast from origin: nil where p has all series that have not ended, so that it
// is forecast by itself, and where the bundle has no history. p must have the columns of the history in their order.
func (b *Bundle) Beside(ctx context.Context, p *panel.Panel, origin calendar.Step) (*Known, error) {
	if b.Has(p) || !b.HasHistory() {
		return nil, nil
	}
	k, err := b.recall(ctx)
	if err != nil || k.whole(p, origin) {
		return nil, err
	}
	if mine, want := columnsOf(p), columnsOf(k.Panel); !slices.Equal(mine, want) {
		return nil, fmt.Errorf("the columns %v are not those of the model's history, %v", mine, want)
	}
	return k, k.prepare(ctx, b)
}

// Plan returns what the history knows of the plan of p's series, for [forecast.CompletePlan]; nil where p has a plan after the origin, or
// the history has none. k is what [Bundle.Beside] returned of p.
func (b *Bundle) Plan(ctx context.Context, p *panel.Panel, origin calendar.Step, k *Known) (func(series, covariate int, at calendar.Step) float32, error) {
	planned := slices.ContainsFunc(p.Covariates, func(c panel.Covariate) bool { return c.Role == panel.KnownFuture })
	if !planned || forecast.HasPlan(p, origin) || k == nil && !b.HasHistory() {
		return nil, nil
	}
	if k == nil {
		var err error
		if k, err = b.recall(ctx); err != nil {
			return nil, err
		}
	}
	if !slices.Equal(columnsOf(p), columnsOf(k.Panel)) {
		return nil, nil
	}
	place := make([]int, p.Series())
	for s := range place {
		var ok bool
		if place[s], ok = k.Index[JoinID(p.ID(s))]; !ok {
			place[s] = -1
		}
	}
	return func(series, covariate int, at calendar.Step) float32 {
		if place[series] < 0 {
			return float32(math.NaN())
		}
		return k.Planned(place[series], covariate, at)
	}, nil
}

// columnsOf are the names of keys, attributes and covariates.
func columnsOf(p *panel.Panel) []string {
	var out []string
	for _, k := range slices.Concat(p.Keys, p.Static) {
		out = append(out, k.Name)
	}
	for _, c := range p.Covariates {
		out = append(out, c.Name)
	}
	return out
}

// JoinID makes one map key of key values; the separator cannot be typed into a CSV cell by accident.
func JoinID(id []string) string { return strings.Join(id, "\x1f") }

// going are the series that have begun by a step and have not ended.
func (k *Known) going(at calendar.Step) []int {
	var out []int
	for s := range k.Panel.Series() {
		if k.Panel.Start[s] <= at && !k.Panel.Ended(s, at) {
			out = append(out, s)
		}
	}
	return out
}

// Absent are, without their rows, the series of the history that p lacks, of those that at the origin, or at the end of the history where
// that is earlier, have begun and not ended. The levels of their keys are those of p, which begin with those of the history: see [Known.Adopt].
func (k *Known) Absent(p *panel.Panel, origin calendar.Step) *panel.Panel {
	q := k.Panel.PickSteps(k.absent(p, origin), origin+1, origin)
	withLevels(q, p)
	return q
}

func (k *Known) absent(p *panel.Panel, origin calendar.Step) []int {
	going := k.alive
	if origin < k.End {
		going = k.going(origin)
	}
	has := k.places(p)
	return slices.DeleteFunc(slices.Clone(going), func(s int) bool { return has[s] })
}

// places are the series of the history that p has.
func (k *Known) places(p *panel.Panel) map[int]bool {
	out := make(map[int]bool, p.Series())
	for s := range p.Series() {
		if i, ok := k.Index[JoinID(p.ID(s))]; ok {
			out[i] = true
		}
	}
	return out
}

// withLevels gives q, whose levels p's begin with, those of p.
func withLevels(q, p *panel.Panel) {
	for i := range q.Keys {
		q.Keys[i].Levels = p.Keys[i].Levels
	}
	for i := range q.Static {
		q.Static[i].Levels = p.Static[i].Levels
	}
}

// whole says whether none is absent.
func (k *Known) whole(p *panel.Panel, origin calendar.Step) bool {
	if origin >= k.End && p.Series() < len(k.alive) {
		return false
	}
	return len(k.absent(p, origin)) == 0
}

// Planned is what the history knows of a known-future covariate: NaN where it knows nothing, also where only what is usual is assumed.
func (k *Known) Planned(s, covariate int, at calendar.Step) float32 {
	r, ok := k.Panel.Row(s, at)
	if !ok || at > k.End && k.reach != nil && !k.reach.Knows(s, covariate, int(at-k.End)) {
		return float32(math.NaN())
	}
	return k.Panel.Covariates[covariate].Values[r]
}

// Adopt returns p with keys and attributes whose levels begin with those of the history; the codes of what both know are then the same.
func (k *Known) Adopt(p *panel.Panel) *panel.Panel {
	q := *p
	q.Keys, q.Static = adopt(p.Keys, k.Panel.Keys), adopt(p.Static, k.Panel.Static)
	return &q
}

func adopt(mine, known []panel.Key) []panel.Key {
	out := make([]panel.Key, len(mine))
	for i, key := range mine {
		levels := slices.Clip(known[i].Levels)
		place := make([]int32, len(key.Levels))
		for j, l := range key.Levels {
			c, ok := slices.BinarySearch(known[i].Levels, l)
			if !ok {
				c = len(levels)
				levels = append(levels, l)
			}
			place[j] = int32(c)
		}
		codes := make([]int32, len(key.Codes))
		for s, c := range key.Codes {
			codes[s] = place[c]
		}
		out[i] = panel.Key{Name: key.Name, Levels: levels, Codes: codes}
	}
	return out
}

// Explain is told, member by member, the points of a forecast and what each group of features brings; that is empty of members that are
// no trees. It is not told of points that only serve to test intervals.
type Explain func(share ensemble.Weight, points []float64, parts *global.Explanation)

// Forecast is what m, the bundle's ensemble or a member of it, forecasts of r. The panel's levels must begin with those of the history: see
// [Known.Adopt]. A *[forecast.MissingPlanError] says that a member needs more of the plan. explain may be nil.
func (k *Known) Forecast(ctx context.Context, m *ensemble.Model, r forecast.Request, explain Explain) (*forecast.Prediction, error) {
	if NeedsPlan(m) {
		if err := forecast.CheckPlan(r.Panel, r.Origin, r.Horizon); err != nil {
			return nil, err
		}
	}
	in := &place{Known: k, r: r, whole: k.whole(r.Panel, r.Origin)}
	defer in.states.Release()
	points, err := in.points(ctx, m, explain)
	if err != nil {
		return nil, err
	}
	past, of := &place{Known: k}, []int(nil) // several origins of the same series share their features
	defer past.states.Release()
	closed, ask := k.closed, func(ctx context.Context, r forecast.Request, series []int) ([][]float64, error) {
		switch {
		case slices.Equal(of, series):
			r.Panel = past.r.Panel
		case len(series) < r.Panel.Series():
			r.Panel = r.Panel.Pick(series)
		}
		past.r, of = r, series
		return past.points(ctx, m, nil)
	}
	switch {
	case in.whole:
		closed, ask = ensemble.ClosedFlags(r.Panel, r.Origin), m.AskAll
	case r.Origin < k.End: // nothing of what happened later
		closed = ensemble.ClosedFlags(k.Panel, r.Origin)
	}
	return m.Finish(ctx, r, points, closed, ask)
}

// NeedsPlan says whether any member of a model reads known-future covariates.
func NeedsPlan(m *ensemble.Model) bool {
	return slices.ContainsFunc(m.Members(), func(one ensemble.Member) bool {
		t, ok := one.Model.(*member.Model)
		return ok && (t.Kind == member.Trees || t.Kind == member.Prophet)
	})
}

// place is a request in its place among all series.
type place struct {
	*Known
	r     forecast.Request
	whole bool // the request has all series
	// states are the features of the request's panel.
	states global.States
}

// points are what each member with weight says.
func (in *place) points(ctx context.Context, m *ensemble.Model, explain Explain) ([][]float64, error) {
	points := make([][]float64, len(m.Members()))
	for i, one := range m.Members() {
		if one.Weight.Weight == 0 {
			continue
		}
		var parts *global.Explanation
		if explain != nil {
			parts = &global.Explanation{}
		}
		f, err := in.ask(ctx, one.Model.(*member.Model), parts)
		if err != nil {
			return nil, fmt.Errorf("member %s: %w", one.Member, err)
		}
		points[i] = f.Point
		if explain != nil {
			explain(one.Weight, f.Point, parts)
		}
	}
	return points, nil
}

// ask is what one member forecasts; what it learns from a series' kin comes from all series.
func (in *place) ask(ctx context.Context, m *member.Model, parts *global.Explanation) (f *forecast.Prediction, err error) {
	r := in.r
	r.Levels = nil
	switch {
	case m.Kind == member.Trees && !in.whole:
		f, err = in.served[m].Forecast(ctx, r, &in.states, parts)
	case m.Kind == member.Trees:
		f, err = in.served[m].Alone(ctx, r, &in.states, parts)
	case m.Kind == member.SmoothingYearly && !in.whole:
		f, err = in.amongAll(ctx, m.Own, r)
	default:
		f, err = m.Own.Forecast(ctx, r)
	}
	if err != nil {
		return nil, err
	}
	return f, seasonal.Group{}.Complete(ctx, r, f, in.kin)
}

// amongAll is what a model that looks at the totals of its panel forecasts of the request's series.
func (in *place) amongAll(ctx context.Context, m forecast.Model, r forecast.Request) (*forecast.Prediction, error) {
	all, err := in.beside(in.Panel.Pick(in.others()))
	if err != nil {
		return nil, err
	}
	n := r.Panel.Series()
	r.Panel = all
	f, err := m.Forecast(ctx, r)
	if err != nil {
		return nil, err
	}
	f.Point, f.Series = f.Point[(f.Series-n)*r.Horizon:], n
	return f, nil
}

// kin are the request's series after the recent past of all others. Where the history ends before the origin, that past is taken for the
// one before the origin: whole weeks later, so that weekdays stay what they are.
func (in *place) kin() (*panel.Panel, error) {
	if in.whole {
		return in.r.Panel, nil
	}
	f := in.Panel.Frequency
	end := min(in.r.Origin, in.End)
	rest := in.Panel.PickSteps(in.others(), end-calendar.Step(seasonal.KinHistory(f))+1, end)
	later := in.r.Origin - end
	if f.Unit == calendar.Daily {
		later -= later % 7
	}
	for s := range rest.Start {
		rest.Start[s] += later
	}
	return in.beside(rest)
}

// others are the series of the history that are not the request's.
func (in *place) others() []int {
	mine := in.places(in.r.Panel)
	var out []int
	for s := range in.Panel.Series() {
		if !mine[s] {
			out = append(out, s)
		}
	}
	return out
}

// beside puts the request's series after others, which are a copy, of the history.
func (in *place) beside(rest *panel.Panel) (*panel.Panel, error) {
	withLevels(rest, in.r.Panel)
	return panel.Concat(rest, in.r.Panel)
}
