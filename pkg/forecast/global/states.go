package global

import (
	"salescast/pkg/feature"
	"salescast/pkg/panel"
)

// stateRows is how many rows of a panel have their features' memory at a time: it is several times that of the rows themselves.
const stateRows = 1 << 20

// filler fills the features of rows, as [feature.State.Fill] does.
type filler interface {
	Fill(rows []feature.Row, kind feature.ScaleKind, dst *panel.Frame, scale []float64) error
}

// states are those of consecutive parts of a panel, of which one is held at a time. Rows should come in order of series.
type states struct {
	plan   *feature.Plan
	panel  *panel.Panel
	pool   *feature.Pool
	rows   int // the most rows of a part with several series
	lo, hi int // the series of the part that is held
	held   *feature.State
	part   panel.Frame
}

func newStates(plan *feature.Plan, p *panel.Panel) *states {
	s := &states{plan: plan, panel: p, rows: stateRows}
	if plan.UsesPool() {
		s.pool = plan.Pool(p)
	}
	return s
}

// hold makes the state of the part that series s is in.
func (x *states) hold(s int) error {
	if s >= x.lo && s < x.hi {
		return nil
	}
	if s < x.hi {
		x.hi = 0
	}
	for s >= x.hi {
		x.lo = x.hi
		x.hi++
		for x.hi < x.panel.Series() && x.panel.Offsets[x.hi+1]-x.panel.Offsets[x.lo] <= x.rows {
			x.hi++
		}
	}
	x.held = nil
	part := x.panel
	if x.hi-x.lo < x.panel.Series() {
		part = x.panel.Slice(x.lo, x.hi)
	}
	st, err := x.plan.NewState(part, x.pool)
	x.held = st
	return err
}

// Fill implements filler.
func (x *states) Fill(rows []feature.Row, kind feature.ScaleKind, dst *panel.Frame, scale []float64) error {
	var part []feature.Row
	columns := len(x.plan.Names())
	for at := 0; at < len(rows); {
		if err := x.hold(int(rows[at].Series)); err != nil {
			return err
		}
		if x.lo == 0 && x.hi == x.panel.Series() {
			return x.held.Fill(rows, kind, dst, scale)
		}
		part = part[:0]
		for i := at; i < len(rows) && int(rows[i].Series) >= x.lo && int(rows[i].Series) < x.hi; i++ {
			r := rows[i]
			r.Series -= int32(x.lo)
			part = append(part, r)
		}
		var scales []float64
		if scale != nil {
			scales = scale[at : at+len(part)]
		}
		if err := x.held.Fill(part, kind, &x.part, scales); err != nil {
			return err
		}
		if at == 0 {
			dst.Names = x.part.Names
			dst.Resize(len(rows))
		}
		for c := range columns {
			copy(dst.Column(c)[at:], x.part.Column(c))
		}
		at += len(part)
	}
	return nil
}
