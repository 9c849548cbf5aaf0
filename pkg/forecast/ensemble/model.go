package ensemble

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"salescast/pkg/conformal"
	"salescast/pkg/forecast"
	"salescast/pkg/forecast/seasonal"
	"salescast/pkg/panel"
)

// Member is a fitted forecaster with its share.
type Member struct {
	Weight
	Model forecast.Model
}

// Model is the weighted combination of fitted members with calibrated quantiles; it is a [forecast.Model].
type Model struct {
	members     []Member
	calibration *conformal.Calibration
	index       map[string]int
	nonNegative bool
	horizon     int
}

// New combines members, of which it closes all, as it does the calibration. calibration may be nil: then the width of quantiles is that of exponential smoothing.
// ids are the key values of the series in the order of the calibration. Members without weight are never asked.
func New(members []Member, calibration *conformal.Calibration, ids [][]string, nonNegative bool) *Model {
	m := &Model{members: members, calibration: calibration, index: map[string]int{}, nonNegative: nonNegative}
	for s, id := range ids {
		m.index[join(id)] = s
	}
	return m
}

// join makes one map key of key values; the separator cannot be typed into a CSV cell by accident.
func join(id []string) string { return strings.Join(id, "\x1f") }

// Forecast implements [forecast.Model]. Requested levels must be among those that were calibrated.
func (m *Model) Forecast(ctx context.Context, r forecast.Request) (*forecast.Prediction, error) {
	points, err := m.points(ctx, r)
	if err != nil {
		return nil, err
	}
	return m.Finish(ctx, r, points, ClosedFlags(r.Panel, r.Origin), m.AskAll)
}

// AskAll is an [Ask] for panels that have all series: each member forecasts the whole of it.
func (m *Model) AskAll(ctx context.Context, r forecast.Request, series []int) ([][]float64, error) {
	points, err := m.points(ctx, r)
	for k := range points {
		points[k] = rowsOf(points[k], series, r.Horizon)
	}
	return points, err
}

// points are the forecasts of every member with weight.
func (m *Model) points(ctx context.Context, r forecast.Request) ([][]float64, error) {
	points := make([][]float64, len(m.members))
	for k, member := range m.members {
		if member.Weight.Weight == 0 {
			continue
		}
		f, err := member.Model.Forecast(ctx, forecast.Request{Panel: r.Panel, Origin: r.Origin, Horizon: r.Horizon})
		if err != nil {
			return nil, fmt.Errorf("member %s: %w", member.Member, err)
		}
		points[k] = f.Point
	}
	return points, nil
}

// rowsOf are the points of some series; nil of nil.
func rowsOf(points []float64, series []int, horizon int) []float64 {
	if points == nil {
		return nil
	}
	out := make([]float64, 0, len(series)*horizon)
	for _, s := range series {
		out = append(out, points[s*horizon:(s+1)*horizon]...)
	}
	return out
}

func (m *Model) weights() []Weight {
	out := make([]Weight, len(m.members))
	for k, member := range m.members {
		out[k] = member.Weight
	}
	return out
}

// SetHorizon says for how many steps the members were fitted: new series are tested on as many, whatever a request asks for.
func (m *Model) SetHorizon(steps int) { m.horizon = steps }

// Finish makes a forecast of the points of members that were asked one by one: weights, quantiles, and zeros where a flag closes. Points
// of a member without weight may be nil. ask is for the past of series that the calibration does not know.
func (m *Model) Finish(ctx context.Context, r forecast.Request, points [][]float64, closed []int, ask Ask) (*forecast.Prediction, error) {
	out := forecast.NewPrediction(r.Origin, r.Panel.Series(), r.Horizon, r.Levels)
	copy(out.Point, Combine(m.weights(), points, r.Horizon))
	if err := m.quantiles(ctx, r, out, closed, ask); err != nil {
		return nil, err
	}
	closeFlagged(r.Panel, out, closed)
	if slices.ContainsFunc(out.Point, infinite) || slices.ContainsFunc(out.Quantiles, infinite) {
		return nil, ErrNotFinite
	}
	return out, nil
}

// ErrNotFinite says that a forecast is beyond all numbers, as that of no fitted model is: its files were altered.
var ErrNotFinite = errors.New("the model forecasts an infinite sale; make or register it again")

func infinite(v float64) bool { return math.IsInf(v, 0) }

// Members returns the members; they stay the Model's.
func (m *Model) Members() []Member { return m.members }

// Calibrated says whether the quantiles come from errors of the past.
func (m *Model) Calibrated() bool { return m.calibration != nil }

// Member returns the member of index k as a model of its own, with the quantiles of calibration, or, where that is nil, those of m.
// Closing it closes nothing.
func (m *Model) Member(k int, calibration *conformal.Calibration) *Model {
	if calibration == nil {
		calibration = m.calibration
	}
	one := m.members[k]
	one.Weight.Weight, one.Steps = 1, nil
	return &Model{members: []Member{one}, calibration: calibration, index: m.index, nonNegative: m.nonNegative, horizon: m.horizon}
}

func (m *Model) quantiles(ctx context.Context, r forecast.Request, out *forecast.Prediction, closed []int, ask Ask) error {
	if len(r.Levels) == 0 {
		return nil
	}
	if m.calibration == nil {
		return Uncalibrated(ctx, r, out, m.nonNegative)
	}
	pick := make([]int, len(r.Levels))
	for k, q := range r.Levels {
		if pick[k] = slices.Index(m.calibration.Levels, q); pick[k] < 0 {
			return fmt.Errorf("quantile level %v was not calibrated; the levels are %v", q, m.calibration.Levels)
		}
	}
	all := make([]float64, len(out.Point)*len(m.calibration.Levels))
	known := func(s int) int { return m.lookup(r.Panel, s) }
	if err := spread(ctx, m.calibration, r.Panel, forecast.PlanOf(r.Panel, r.Origin), known, r.Origin, r.Horizon, out.Point, all); err != nil {
		return err
	}
	individual, err := m.individuals(ctx, r, closed, ask)
	if err != nil {
		return err
	}
	n := len(m.calibration.Levels)
	for s, own := range individual {
		a, b := s*r.Horizon, (s+1)*r.Horizon
		m.calibration.ApplyOwn(own, out.Point[a:b], all[a*n:b*n])
		pastOf(r.Panel, s, r.Origin).bound(out.Point[a:b], all[a*n:b*n])
	}
	for i := range out.Point {
		q := out.QuantilesAt(i)
		for k := range q {
			q[k] = all[i*len(m.calibration.Levels)+pick[k]]
		}
	}
	return nil
}

// Has says whether p has every series that the calibration knows: false also where there is no calibration.
func (m *Model) Has(p *panel.Panel) bool {
	if len(m.index) == 0 || p.Series() < len(m.index) {
		return false
	}
	known := 0
	for s := range p.Series() {
		if m.lookup(p, s) != conformal.Unseen {
			known++
		}
	}
	return known == len(m.index)
}

func (m *Model) lookup(p *panel.Panel, s int) int {
	if i, ok := m.index[join(p.ID(s))]; ok {
		return i
	}
	return conformal.Unseen
}

// Uncalibrated writes quantiles around out.Point as wide as those of exponential smoothing: for panels too short to be backtested.
func Uncalibrated(ctx context.Context, r forecast.Request, out *forecast.Prediction, nonNegative bool) error {
	native, err := seasonal.Complete(seasonal.Smoothing{}, false).Fit(ctx, r.Panel, r.Origin)
	if err != nil {
		return err
	}
	f, err := native.Forecast(ctx, r)
	if err != nil {
		return err
	}
	for i, y := range out.Point {
		q, n := out.QuantilesAt(i), f.QuantilesAt(i)
		for k := range q {
			q[k] = y + n[k] - f.Point[i]
			if !finite(n[k]) {
				q[k] = y
			}
			if nonNegative && !math.IsNaN(q[k]) {
				q[k] = max(q[k], 0)
			}
		}
	}
	for s := range r.Panel.Series() {
		n, k := r.Horizon, len(r.Levels)
		pastOf(r.Panel, s, r.Origin).bound(out.Point[s*n:(s+1)*n], out.Quantiles[s*n*k:(s+1)*n*k])
		if !Mature(r.Panel, s, r.Origin) {
			widen(r.Panel, s, r.Origin, out.Point[s*n:(s+1)*n], r.Levels, out.Quantiles[s*n*k:(s+1)*n*k])
		}
	}
	return nil
}

// Close closes every member and the calibration.
func (m *Model) Close() error {
	errs := []error{m.calibration.Close()}
	for _, member := range m.members {
		if member.Model != nil {
			errs = append(errs, member.Model.Close())
		}
	}
	return errors.Join(errs...)
}
