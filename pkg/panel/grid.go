package panel

import (
	"errors"
	"math"
	"slices"

	"salescast/pkg/calendar"
)

// grid places the rows of one series after another on the regular grid and fills what is absent.
type grid struct {
	b      *Builder
	f      calendar.Frequency
	end    calendar.Step // the last step with a sale of any series
	levels [][]string
	places [][]int32
	static [][]string
	splace [][]int32

	// the rows of the series at hand, ascending and unique
	steps  []calendar.Step
	origin []Origin
	values []float32 // stride
	stride int
	// flag is the place of the Stockout column among the values, 0 for none.
	flag  int
	parts parts

	out *Panel
}

func newGrid(b *Builder, f calendar.Frequency, levels [][]string, places [][]int32) *grid {
	g := &grid{b: b, f: f, levels: levels, places: places, stride: 1 + len(b.schema.Covariates)}
	for c, a := range b.schema.Covariates {
		if a.Role == Stockout {
			g.flag = 1 + c
		}
	}
	g.static, g.splace = usedLevels(b.static, b.attributes, len(b.series))
	g.end = f.Floor(b.lastSale)
	g.reset()
	return g
}

func (g *grid) reset() {
	p := &Panel{Frequency: g.f, Offsets: []int{0}, EndedAfter: g.b.opts.EndedAfter}
	for k, name := range g.b.schema.Keys {
		p.Keys = append(p.Keys, Key{Name: name, Levels: g.levels[k]})
	}
	for k, name := range g.b.schema.Static {
		p.Static = append(p.Static, Key{Name: name, Levels: g.static[k]})
	}
	for _, c := range g.b.schema.Covariates {
		if c.Role != Stockout {
			p.Covariates = append(p.Covariates, Covariate{Name: c.Name, Role: c.Role})
		}
	}
	g.out = p
}

func (g *grid) take() *Panel {
	p := g.out
	g.reset()
	return p
}

// read takes the rows of series s from the merger, reporting those that cannot stay.
func (g *grid) read(m *merger, s int32) error {
	g.steps, g.origin, g.values = g.steps[:0], g.origin[:0], g.values[:0]
	var value []float32
	for {
		r := m.peek()
		if r == nil || r.series() != s {
			g.settle()
			return nil
		}
		step, ok := g.f.Step(r.day())
		n := len(g.steps)
		switch {
		case !ok:
			value = r.values(value)
			g.b.report(OffGrid, s, r.day(), value, r.origin(), 0)
		case n > 0 && g.steps[n-1] == step && g.b.opts.Aggregate != Refuse:
			g.add(r)
		case n > 0 && g.steps[n-1] == step:
			value = r.values(value)
			g.b.report(Duplicate, s, r.day(), value, r.origin(), g.origin[n-1])
		default:
			g.settle()
			g.steps, g.origin = append(g.steps, step), append(g.origin, r.origin())
			for i := range g.stride {
				g.values = append(g.values, r.value(i))
			}
		}
		if err := m.advance(); err != nil {
			return err
		}
	}
}

// parts are the sums and numbers of known values, by column, of a step that has more than one row.
type parts struct {
	sum  []float64
	n    []int
	rows int
}

// add takes another row of the last step in.
func (g *grid) add(r record) {
	last := g.values[len(g.values)-g.stride:]
	if g.parts.rows == 0 {
		g.parts.rows, g.parts.sum, g.parts.n = 1, make([]float64, g.stride), make([]int, g.stride)
		for i, v := range last {
			g.parts.take(i, v)
		}
	}
	g.parts.rows++
	for i := range last {
		v := r.value(i)
		g.parts.take(i, v)
		switch {
		case g.flag > 0 && i == g.flag:
			if v != 0 && !isNaN(v) {
				last[i] = v
			}
		case g.b.opts.Aggregate == Last:
			last[i] = v
		}
	}
	if g.b.opts.Aggregate == Last {
		g.origin[len(g.origin)-1] = r.origin()
	}
}

func (p *parts) take(i int, v float32) {
	if !isNaN(v) {
		p.sum[i] += float64(v)
		p.n[i]++
	}
}

// settle puts the rows of the last step together.
func (g *grid) settle() {
	if g.parts.rows == 0 {
		return
	}
	g.parts.rows = 0
	if g.b.opts.Aggregate == Last {
		return
	}
	last := g.values[len(g.values)-g.stride:]
	for i := range last {
		n := g.parts.n[i]
		switch {
		case g.flag > 0 && i == g.flag:
		case n == 0:
			last[i] = float32(math.NaN())
		case i == 0 && g.b.opts.Aggregate == Sum:
			last[i] = float32(g.parts.sum[i])
		default:
			last[i] = float32(g.parts.sum[i] / float64(n))
		}
	}
}

func (g *grid) target(i int) float32 { return g.values[i*g.stride] }

// emptyShelf says whether the sale of a row was cut short.
func (g *grid) emptyShelf(i int) bool {
	v := g.values[i*g.stride+g.flag]
	return g.flag > 0 && v != 0 && !isNaN(v) && !isNaN(g.target(i))
}

// place appends the series at hand to the panel.
func (g *grid) place(s int32) {
	first := 0
	for first < len(g.steps) && isNaN(g.target(first)) {
		first++
	}
	isNew := false
	if first == len(g.steps) && g.b.opts.NewSeries {
		first = 0
		for first < len(g.steps) && g.steps[first] <= g.end {
			first++
		}
		isNew = first < len(g.steps)
	}
	if first == len(g.steps) {
		if first > 0 {
			g.b.report(NoSale, s, g.f.Day(g.steps[0]), g.values[:g.stride], g.origin[0], 0)
		}
		return
	}
	for i := range first {
		if isNew {
			break // it has no first sale
		}
		g.b.report(BeforeFirstSale, s, g.f.Day(g.steps[i]), g.values[i*g.stride:(i+1)*g.stride], g.origin[i], 0)
	}
	g.checkFrequency(s, first)
	start, last := g.steps[first], max(g.end, g.steps[len(g.steps)-1])
	p := g.out
	n := len(g.b.schema.Keys)
	for k := range p.Keys {
		p.Keys[k].Codes = append(p.Keys[k].Codes, g.places[k][g.b.ids[int(s)*n+k]])
	}
	n = len(g.b.schema.Static)
	for k := range p.Static {
		p.Static[k].Codes = append(p.Static[k].Codes, g.splace[k][g.b.attributes[int(s)*n+k]])
	}
	p.Start = append(p.Start, start)
	from := len(p.Target)
	g.fill(s, first, start, last)
	g.shut(start, from)
	p.Offsets = append(p.Offsets, len(p.Target))
}

// fill appends the rows from start to last. Absent rows up to the end of the data follow the missing policy and carry their
// covariates forward; absent rows of the plan are unknown: a plan is not to be guessed.
func (g *grid) fill(s int32, first int, start, last calendar.Step) {
	p := g.out
	i := first
	carried := float32(math.NaN())
	for at := start; at <= last; at++ {
		have := i < len(g.steps) && g.steps[i] == at
		y := float32(math.NaN())
		if have {
			y = g.target(i)
		}
		observed := !isNaN(y)
		switch {
		case have && g.emptyShelf(i):
			g.b.report(EmptyShelf, s, g.f.Day(at), g.values[i*g.stride:(i+1)*g.stride], g.origin[i], 0)
			y, observed = float32(math.NaN()), false
		case observed:
			carried = y
		case at <= g.end:
			switch g.b.opts.Missing {
			case Zero:
				y = 0
			case Carry:
				y = carried
			case Leave:
			case NoneSold:
				if !have {
					y, observed = 0, true
				}
			}
		}
		p.Target, p.Observed = append(p.Target, y), append(p.Observed, observed)
		for c := range p.Covariates {
			v := float32(math.NaN())
			from := 1 + c
			if g.flag > 0 && from >= g.flag {
				from++ // the flag is no covariate
			}
			switch x := &p.Covariates[c].Values; {
			case have:
				v = g.values[i*g.stride+from]
			case at <= g.end:
				v = (*x)[len(*x)-1] // the first row of a series is never absent
			}
			p.Covariates[c].Values = append(p.Covariates[c].Values, v)
		}
		if have {
			i++
		}
	}
}

// shut takes the zeros of the weekdays on which the series at hand, whose rows begin at from, is never sold to be unknown: a table that has
// them and one that does not are the same panel. Where something is known in future it may be what shuts, and all stays as it is.
func (g *grid) shut(start calendar.Step, from int) {
	p := g.out
	if slices.ContainsFunc(p.Covariates, func(c Covariate) bool { return c.Role == KnownFuture }) {
		return
	}
	n := from + min(len(p.Target)-from, max(0, int(g.end-start)+1))
	closed := closedWeekdays(g.f, start, p.Target[from:n], p.Observed[from:n])
	if closed == [7]bool{} {
		return
	}
	day := g.f.Day(start).Weekday()
	for r := from; r < n; r++ {
		if closed[(day+r-from)%7] {
			p.Observed[r] = false
		}
	}
}

// coarseRun is how many steps in a row on a coarser grid make a finding: two months of weekly rows in daily data.
const coarseRun = 8

// checkFrequency reports a run of rows that lies on weeks where the panel has days, or on months where it has days or weeks.
func (g *grid) checkFrequency(s int32, first int) {
	if g.f.Unit >= calendar.Monthly {
		return
	}
	weekly, monthly := 0, 0
	for i := first + 1; i < len(g.steps); i++ {
		gap := g.steps[i] - g.steps[i-1]
		if g.f.Unit == calendar.Daily && gap == 7 {
			weekly++
		} else {
			weekly = 0
		}
		if isMonth(g.f, g.steps[i-1], g.steps[i]) {
			monthly++
		} else {
			monthly = 0
		}
		if n := max(weekly, monthly); n == coarseRun {
			at := i - n
			g.b.report(OtherFrequency, s, g.f.Day(g.steps[at]), g.values[at*g.stride:(at+1)*g.stride], g.origin[at], g.origin[i])
			return
		}
	}
}

func isMonth(f calendar.Frequency, a, b calendar.Step) bool {
	if f.Unit != calendar.Daily || b-a < 28 || b-a > 31 {
		return false
	}
	_, _, d := f.Day(a).Date()
	_, _, e := f.Day(b).Date()
	return d == e || (d >= 28 && e >= 28)
}

func isNaN(x float32) bool { return x != x }

// Concat joins consecutive chunks of one panel, as Panels yields them, into one.
func Concat(chunks ...*Panel) (*Panel, error) {
	if len(chunks) == 0 {
		return nil, errors.New("joining panels: there are none")
	}
	out := chunks[0].Slice(0, chunks[0].Series())
	for i := range out.Keys {
		out.Keys[i].Codes = append([]int32(nil), out.Keys[i].Codes...)
	}
	for i := range out.Static {
		out.Static[i].Codes = append([]int32(nil), out.Static[i].Codes...)
	}
	for i := range out.Covariates {
		out.Covariates[i].Values = append([]float32(nil), out.Covariates[i].Values...)
	}
	out.Start = append([]calendar.Step(nil), out.Start...)
	out.Target = append([]float32(nil), out.Target...)
	out.Observed = append([]bool(nil), out.Observed...)
	for _, c := range chunks[1:] {
		if c.Frequency != out.Frequency || len(c.Keys) != len(out.Keys) || len(c.Static) != len(out.Static) || len(c.Covariates) != len(out.Covariates) {
			return nil, errors.New("joining panels: they differ in frequency or columns")
		}
		base := out.Rows()
		for _, o := range c.Offsets[1:] {
			out.Offsets = append(out.Offsets, base+o)
		}
		for i := range out.Keys {
			out.Keys[i].Codes = append(out.Keys[i].Codes, c.Keys[i].Codes...)
		}
		for i := range out.Static {
			out.Static[i].Codes = append(out.Static[i].Codes, c.Static[i].Codes...)
		}
		for i := range out.Covariates {
			out.Covariates[i].Values = append(out.Covariates[i].Values, c.Covariates[i].Values...)
		}
		out.Start = append(out.Start, c.Start...)
		out.Target = append(out.Target, c.Target...)
		out.Observed = append(out.Observed, c.Observed...)
	}
	return out, nil
}
