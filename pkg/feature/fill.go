package feature

import (
	"fmt"
	"math"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

var nan32 = float32(math.NaN())

// Row is one row of a design matrix: the forecast made at Origin of the sale of a series at Target.
type Row struct {
	Series         int32
	Origin, Target calendar.Step
}

// ScaleKind is what the sales features of a row, and the learner's target with them, are divided by: one positive number for each
// series and origin, so that series of all sizes share trees.
type ScaleKind uint8

// The kinds of scales. Each has a floor, so that a new or dead series does not own the loss.
const (
	// Unscaled is 1: features in units of sales.
	Unscaled ScaleKind = iota
	// Recent is the mean of the last two base periods (56 days, 16 weeks, 12 months), at least 5 % of the series' mean.
	Recent
	// Yearly is the average of the last year's mean and the recent mean, at least 5 % of the series' mean.
	Yearly
	// Overall is the series' mean, at least 20 % of the recent mean.
	Overall
)

// String returns unscaled, recent, year or exp.
func (k ScaleKind) String() string {
	switch k {
	case Recent:
		return "recent"
	case Yearly:
		return "year"
	case Overall:
		return "exp"
	case Unscaled:
	}
	return "unscaled"
}

// ParseScale reads what String writes.
func ParseScale(s string) (ScaleKind, error) {
	for k := Unscaled; k <= Overall; k++ {
		if s == k.String() {
			return k, nil
		}
	}
	return 0, fmt.Errorf("scale %q is not one of unscaled, recent, year, exp", s)
}

// Fill writes the plan's columns for rows, in any order and of any series, into dst, which is given the plan's names and resized,
// and each row's scale into scale, unless that is nil. Sales features are divided by the scale; NaN is missing.
// Covariates around the target are read up to the later of the target and the row's origin + horizon.
func (st *State) Fill(rows []Row, kind ScaleKind, dst *panel.Frame, scale []float64) error {
	return st.fill(rows, nil, kind, dst, scale)
}

// FillFrom is Fill in recursion: the rows' origins are steps already forecast, and issued is the origin of the forecast as a whole,
// from which the reach of known-future covariates counts.
func (st *State) FillFrom(issued calendar.Step, rows []Row, kind ScaleKind, dst *panel.Frame, scale []float64) error {
	return st.fill(rows, &issued, kind, dst, scale)
}

// Scales writes what Fill divides the rows' sales by into dst, which has one value per row; targets do not matter.
func (st *State) Scales(rows []Row, kind ScaleKind, dst []float64) {
	for i, r := range rows {
		var c cursor
		st.locate(&c, r.Series, r.Origin)
		dst[i] = st.scale(&c, kind)
	}
}

func (st *State) fill(rows []Row, issued *calendar.Step, kind ScaleKind, dst *panel.Frame, scale []float64) error {
	p := st.plan
	if scale != nil && len(scale) != len(rows) {
		return fmt.Errorf("fill features: %d scales for %d rows", len(scale), len(rows))
	}
	dst.Names = p.names
	dst.Resize(len(rows))
	b := p.blocks.Get().(*block)
	defer p.blocks.Put(b)
	for lo := 0; lo < len(rows); lo += blockRows {
		hi := min(lo+blockRows, len(rows))
		if err := b.load(st, rows[lo:hi], issued, kind); err != nil {
			return err
		}
		if scale != nil {
			copy(scale[lo:hi], b.scale[:hi-lo])
		}
		b.prepare()
		for c := range p.columns {
			at := c * dst.Rows
			p.columns[c].fill(b, dst.Data[at+lo:at+hi])
		}
	}
	return nil
}

// op fills one column for the rows of a block.
type op func(b *block, dst []float32)

// shared is a set of intermediates that several columns of a block use.
type shared uint8

const (
	needsSeason shared = 1 << iota
	needsYear
	needsProfile
	needsAnalog
	needsPool
)

// blockRows is small enough that cursors and intermediates stay in the first-level cache.
const blockRows = 128

// seasonLags is the number of past weeks whose same weekday is looked at.
const seasonLags = 8

// cursor is a row's place in the state. Indices count steps since the series' first one.
type cursor struct {
	lo     int // position in State.sums of index 0, which may not be held
	held   int
	cut    int // last index whose sums lie in State.sums
	fork   int // first index that a fork has appended; beyond everything without a fork
	ov     int // position in the fork's arrays of that index
	end    int // origin + 1: windows end before it
	target int
	series int
	row    int // panel row of index 0, which may not be held
	rows   int // index after the last panel row
	limit  int // last index at which covariates may be read
	global int // pool index of index 0
	date   int // date table index of the target
}

// block is the working memory of Fill for a few rows.
type block struct {
	st    *State
	kind  ScaleKind
	n     int
	cur   [blockRows]cursor
	scale [blockRows]float64
	inv   [blockRows]float64

	window  []float32
	season  [seasonLags][blockRows]float64
	year    yearBlock
	profile [blockRows]float64
	analog  [blockRows]float64
}

func (st *State) locate(c *cursor, s int32, origin calendar.Step) {
	start := int(st.start[s])
	c.series = int(s)
	c.held = int(st.held[s])
	c.lo = st.off[s] - c.held
	c.cut = int(st.n[s])
	c.fork = math.MaxInt
	c.row = st.panel.Offsets[s] - c.held
	c.rows = int(st.n[s])
	c.end = int(origin) + 1 - start
	if f := st.fork; f != nil {
		c.fork = int(f.origin) + 1 - start
		c.cut = max(min(c.cut, c.fork), c.held)
		c.ov = int(s) * f.steps
	}
}

// at is the sums before the step of index i.
func (st *State) at(c *cursor, i int) *sums {
	if uint(i-c.held) <= uint(c.cut-c.held) {
		return &st.sums[c.lo+i]
	}
	return st.atFar(c, i)
}

func (st *State) atFar(c *cursor, i int) *sums {
	if i <= c.held {
		return &st.sums[c.lo+c.held]
	}
	if f := st.fork; f != nil {
		if k := min(i-c.fork, f.appended); k > 0 {
			return &f.sums[c.ov+k-1]
		}
	}
	return &st.sums[c.lo+c.cut]
}

// sale is the sale at index i, NaN where none was observed.
func (st *State) sale(c *cursor, i int) float32 {
	if i >= c.held && i < c.cut {
		return st.y[c.lo+i+1]
	}
	return st.saleFar(c, i)
}

func (st *State) saleFar(c *cursor, i int) float32 {
	if f := st.fork; f != nil && i >= c.fork && i-c.fork < f.appended {
		return f.y[c.ov+i-c.fork]
	}
	return nan32
}

// mean is the mean of the observed sales at indices a to b-1, NaN where there are none.
func (st *State) mean(c *cursor, a, b int) float64 {
	x, y := st.at(c, a), st.at(c, b)
	if y.count <= x.count {
		return missing
	}
	return (y.sum - x.sum) / float64(y.count-x.count)
}

func (b *block) load(st *State, rows []Row, issued *calendar.Step, kind ScaleKind) error {
	b.st, b.kind, b.n = st, kind, len(rows)
	h := st.plan.schema.Horizon
	known := calendar.Step(math.MaxInt32)
	if st.fork != nil {
		known = st.Appended()
	}
	for i := range rows {
		r := &rows[i]
		if uint(r.Series) >= uint(len(st.start)) || r.Target <= r.Origin || int(r.Target-r.Origin) > h {
			return fmt.Errorf("fill features: series %d, origin %d, target %d: the series must be below %d and the target 1 to %d steps after the origin",
				r.Series, r.Origin, r.Target, len(st.start), h)
		}
		if r.Origin > known {
			return fmt.Errorf("fill features: origin %d lies after step %d, the last that was appended", r.Origin, known)
		}
		c := &b.cur[i]
		st.locate(c, r.Series, r.Origin)
		start := int(st.start[r.Series])
		c.target = int(r.Target) - start
		from := r.Origin
		if issued != nil {
			from = *issued
		}
		c.limit = min(max(c.target, int(from)-start+h), c.rows-1)
		if st.pool != nil {
			c.global = start - int(st.pool.first)
		}
		c.date = int(r.Target - st.dates.first)
		if uint(c.date) >= uint(st.dates.steps) {
			return fmt.Errorf("fill features: target %d lies more than the horizon after the panel's last step", r.Target)
		}
		if c.held > 0 && c.end < st.minEnd(r.Series) {
			return fmt.Errorf("fill features: origin %d of series %d lies before what the state holds", r.Origin, r.Series)
		}
		v := st.scale(c, kind)
		b.scale[i], b.inv[i] = v, 1/v
	}
	return nil
}

func (st *State) scale(c *cursor, kind ScaleKind) float64 {
	if kind == Unscaled {
		return 1
	}
	g := &st.plan.grid
	end := st.at(c, c.end)
	level, all := zeroNaN(st.mean(c, c.end-2*g.base, c.end)), 0.0
	if end.count > 0 {
		all = end.sum / float64(end.count)
	}
	switch kind {
	case Recent:
		return max(level, 0.05*all) + 1e-3*(1+all)
	case Yearly:
		year := zeroNaN(st.mean(c, c.end-g.year, c.end))
		return max((year+level)/2, 0.05*all) + 1e-3*(1+all)
	case Unscaled, Overall:
	}
	return max(all, 0.2*level) + 1e-3
}

func zeroNaN(x float64) float64 {
	if x != x {
		return 0
	}
	return x
}

func (b *block) prepare() {
	p := b.st.plan
	if p.needs&needsSeason != 0 {
		b.seasons()
	}
	if p.needs&needsYear != 0 {
		b.years()
	}
	if p.needs&needsProfile != 0 {
		b.profiles(p.needs&needsAnalog != 0)
	}
}
