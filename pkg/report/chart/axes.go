package chart

import (
	"math"
	"slices"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"salescast/pkg/calendar"
)

// axes returns an empty plot: no frame, soft labels, horizontal hairlines. What y means stands above the plot, upright.
func axes(x string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Width = 0
		a.Tick.Width = 0
		a.Tick.Length = 3
		a.Padding = 2
		rotation := a.Tick.Label.Rotation
		a.Tick.Label = style(9, false, soft)
		a.Tick.Label.Rotation = rotation
		a.Label.TextStyle = style(9.5, false, soft)
	}
	p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = center, top
	p.Y.Tick.Label.XAlign, p.Y.Tick.Label.YAlign = right, middle
	p.X.Label.TextStyle.XAlign, p.X.Label.TextStyle.YAlign = center, top
	p.X.Label.Text, p.X.Label.Padding = clip(x), -2
	p.X.Tick.Marker, p.Y.Tick.Marker = ticks{6, amounts}, ticks{6, amounts}
	g := plotter.NewGrid()
	g.Vertical.Width = 0
	g.Horizontal = draw.LineStyle{Color: hairline, Width: 0.75}
	p.Add(g)
	return p
}

// ticks places about count ticks at 1, 2, 2.5 or 5 times a power of ten.
type ticks struct {
	count int
	label func(v, step float64) string
}

// amounts and shares write what an axis counts, with the decimals that its step needs.
func amounts(v, step float64) string { return inUnits(v, step) }

func shares(v, step float64) string {
	return percent(v, min(max(int(math.Ceil(-2-math.Log10(step)-1e-9)), 0), 6))
}

// Ticks lists them from lo to hi, increasing, at most count+2. An axis that is too narrow or too wide to be divided has none.
func (t ticks) Ticks(lo, hi float64) []plot.Tick {
	if !(hi-lo > 1/most) || !drawable(lo) || !drawable(hi) || t.count < 1 {
		return nil
	}
	raw := (hi - lo) / float64(t.count)
	unit := math.Pow(10, math.Floor(math.Log10(raw)))
	step := 10 * unit
	for _, m := range []float64{1, 2, 2.5, 5} {
		if m*unit >= raw {
			step = m * unit
			break
		}
	}
	var out []plot.Tick
	first := math.Ceil(lo/step - 1e-9)
	for k := range t.count + 2 {
		v := (first + float64(k)) * step
		if v > hi+1e-9*step {
			break
		}
		if len(out) == 0 || v > out[len(out)-1].Value {
			out = append(out, plot.Tick{Value: v, Label: t.label(v, step)})
		}
	}
	return out
}

// dates are ticks over days: Mondays, every second of them, firsts of months, or years, so that at most about count stand side by side.
type dates struct{ count int }

// The days that have a date of four digits.
var firstDay, lastDay = float64(calendar.DateOf(1, time.January, 1)), float64(calendar.DateOf(9999, time.December, 31))

// Ticks lists them from lo to hi, in days; an axis that reaches beyond the years 1 to 9999 has none.
func (t dates) Ticks(lo, hi float64) []plot.Tick {
	if !(hi >= lo) || lo < firstDay || hi > lastDay || t.count < 1 {
		return nil
	}
	span := hi - lo
	var out []plot.Tick
	for weeks := 1; weeks <= 2; weeks++ {
		if span > float64(7*weeks*t.count) {
			continue
		}
		for d := calendar.Day(math.Ceil(lo)); float64(d) <= hi; d++ {
			if d.Weekday() == 0 && (weeks == 1 || (int(d)+3)/7%2 == 0) {
				out = append(out, plot.Tick{Value: float64(d), Label: d.Time().Format("2 Jan")})
			}
		}
		return out
	}
	every := 12000
	for _, m := range []int{1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1200, 6000} {
		if span/30.4/float64(m) <= float64(t.count) {
			every = m
			break
		}
	}
	y, m, _ := calendar.Day(lo).Date()
	from := (12*y + int(m) - 1) / every * every
	for i := range t.count + 3 {
		month := from + i*every
		d := calendar.DateOf(month/12, time.Month(month%12+1), 1)
		if float64(d) < lo {
			continue
		}
		if float64(d) > hi {
			break
		}
		label := d.Time().Format("Jan")
		if len(out) == 0 || month%12 == 0 {
			label = d.Time().Format("Jan 2006")
		}
		out = append(out, plot.Tick{Value: float64(d), Label: label})
	}
	return out
}

// drawUnder draws p with what y means written above it.
func drawUnder(c draw.Canvas, p *plot.Plot, y string) {
	write(c, clip(y), c.Min.X, c.Max.Y, style(9.5, false, soft), left, top)
	c.Max.Y -= 18
	show(c, p)
}

func curve(xy plotter.XYs, c draw.LineStyle) *plotter.Line {
	return &plotter.Line{XYs: xy, LineStyle: c}
}

// curves draws xy in pieces, broken where a point has no place on the axes; a piece of one point is a dot.
func curves(p *plot.Plot, xy plotter.XYs, c draw.LineStyle) {
	for len(xy) > 0 {
		n := slices.IndexFunc(xy, func(v plotter.XY) bool { return !drawablePoint(v) })
		if n < 0 {
			n = len(xy)
		}
		if n == 1 {
			p.Add(dots{xy[:n], 2 * c.Width, c})
		} else if n > 1 {
			p.Add(curve(xy[:n], c))
		}
		xy = xy[min(n+1, len(xy)):]
	}
}

// band fills between lo and hi, both over x.
type band struct {
	x, lo, hi []float64
	fill      draw.LineStyle
}

func (b band) Plot(c draw.Canvas, p *plot.Plot) {
	tx, ty := p.Transforms(&c)
	pts := make([]vg.Point, 0, 2*len(b.x))
	for _, v := range b.edge() {
		if drawablePoint(v) {
			pts = append(pts, vg.Point{X: tx(v.X), Y: ty(v.Y)})
		}
	}
	c.FillPolygon(b.fill.Color, c.ClipPolygonXY(pts))
}

// edge walks round the band: forth along its top, back along its bottom.
func (b band) edge() plotter.XYs {
	out := make(plotter.XYs, 0, 2*len(b.x))
	for i, x := range b.x {
		out = append(out, plotter.XY{X: x, Y: b.hi[i]})
	}
	for i, x := range slices.Backward(b.x) {
		out = append(out, plotter.XY{X: x, Y: b.lo[i]})
	}
	return out
}

func (b band) DataRange() (x0, x1, y0, y1 float64) { return rangeOf(b.edge()) }

// rule is a straight line across the whole plot, from edge to edge at y = a + b*x, or upright at x.
type rule struct {
	a, b    float64
	upright bool
	line    draw.LineStyle
	label   string
}

func (r rule) Plot(c draw.Canvas, p *plot.Plot) {
	tx, ty := p.Transforms(&c)
	if r.upright {
		c.StrokeLine2(r.line, tx(r.a), c.Min.Y, tx(r.a), c.Max.Y)
		write(c, r.label, tx(r.a)+3, c.Max.Y, style(8.5, false, soft), left, top)
		return
	}
	c.StrokeLines(r.line, c.ClipLinesXY([]vg.Point{{X: tx(p.X.Min), Y: ty(r.a + r.b*p.X.Min)}, {X: tx(p.X.Max), Y: ty(r.a + r.b*p.X.Max)}})...)
}

// endLabels name curves at their right ends, moved apart where they would overlap, and then tied to their ends by a hair.
type endLabels struct {
	labels []endLabel
	size   vg.Length
}

// hair is the distance from the end of a curve to its name.
const hair = vg.Length(14)

// widestName is the room at the right that names of curves may take.
const widestName = vg.Length(130)

type endLabel struct {
	x, y float64
	text string
	st   text.Style
}

// add names the curve that ends at a point, where that has a place on the axes.
func (e *endLabels) add(at plotter.XY, name string, st text.Style) {
	if drawablePoint(at) {
		e.labels = append(e.labels, endLabel{at.X, at.Y, shorten(name, st, widestName), st})
	}
}

func (e endLabels) Plot(c draw.Canvas, p *plot.Plot) {
	tx, ty := p.Transforms(&c)
	sorted := slices.Clone(e.labels)
	slices.SortStableFunc(sorted, func(a, b endLabel) int {
		switch {
		case a.y < b.y:
			return -1
		case a.y > b.y:
			return 1
		}
		return 0
	})
	at := make([]vg.Length, len(sorted))
	for i, l := range sorted {
		at[i] = ty(l.y)
	}
	spread(at, e.size*1.25)
	for i, l := range sorted {
		x, y := tx(l.x), ty(l.y)
		if away := at[i] - y; max(away, -away) > e.size/4 {
			stroke(c, x+2, y, x+hair-2, at[i], 0.5, l.st.Color)
		}
		write(c, l.text, x+hair, at[i], l.st, left, middle)
	}
}

// GlyphBoxes reserves room for the labels at the right edge.
func (e endLabels) GlyphBoxes(p *plot.Plot) []plot.GlyphBox {
	var out []plot.GlyphBox
	for _, l := range e.labels {
		out = append(out, plot.GlyphBox{X: p.X.Norm(l.x), Y: p.Y.Norm(l.y), Rectangle: vg.Rectangle{Max: vg.Point{X: l.st.Width(l.text) + hair + 1}}})
	}
	return out
}

// dots draws small round points; those outside the axes are left out.
type dots struct {
	xy   plotter.XYs
	size vg.Length
	fill draw.LineStyle
}

func (d dots) Plot(c draw.Canvas, p *plot.Plot) {
	tx, ty := p.Transforms(&c)
	for _, v := range d.xy {
		x, y := tx(v.X), ty(v.Y)
		if !drawablePoint(v) || !c.Contains(vg.Point{X: x, Y: y}) {
			continue
		}
		c.DrawGlyph(draw.GlyphStyle{Color: d.fill.Color, Radius: d.size, Shape: draw.CircleGlyph{}}, vg.Point{X: x, Y: y})
	}
}

func (d dots) DataRange() (x0, x1, y0, y1 float64) { return rangeOf(d.xy) }
