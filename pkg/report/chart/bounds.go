package chart

import (
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// most bounds the magnitude of what is drawn: the distance of two such values is finite, and so is every tick between them.
const most = 1e100

// drawable says whether v has a place on an axis.
func drawable(v float64) bool { return math.Abs(v) <= most } // of NaN it is false

func drawablePoint(v plotter.XY) bool { return drawable(v.X) && drawable(v.Y) }

// rangeOf spans the drawable points. Where there is none it spans nothing, which leaves the axes of a plot as they are.
func rangeOf(xy plotter.XYs) (x0, x1, y0, y1 float64) {
	x0, x1, y0, y1 = math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
	for _, v := range xy {
		if drawablePoint(v) {
			x0, x1, y0, y1 = min(x0, v.X), max(x1, v.X), min(y0, v.Y), max(y1, v.Y)
		}
	}
	return x0, x1, y0, y1
}

// settle gives an axis a range that ticks can divide: of drawable ends, and wide enough that the numbers on it can be told apart.
func settle(a *plot.Axis) {
	lo, hi := a.Min, a.Max
	switch {
	case !drawable(lo) && !drawable(hi):
		lo, hi = 0, 1
	case !drawable(lo):
		lo = min(0, hi)
	case !drawable(hi):
		hi = max(0, lo)
	}
	if hi < lo {
		lo, hi = hi, lo
	}
	size := max(math.Abs(lo), math.Abs(hi))
	if hi-lo < max(1e-9*size, 1/most) {
		pad := 0.1 * size
		if _, days := a.Tick.Marker.(dates); days {
			pad = max(1, 1e-9*size)
		}
		if size < 1/most {
			pad = 0.5
		}
		lo, hi = max(lo-pad, -most), min(hi+pad, most)
	}
	a.Min, a.Max = lo, hi
}

// show draws p. It is the one way from a plot to a canvas.
func show(c draw.Canvas, p *plot.Plot) {
	settle(&p.X)
	settle(&p.Y)
	p.Draw(c)
}

// bounded is a canvas that draws nothing without a place and a size, and nothing farther off than its own extent: the rasterizer below
// walks every pixel of a path, so that one at 1e30 would keep it busy for ever.
type bounded struct{ *vgimg.Canvas }

// Stroke draws the line of p.
func (b bounded) Stroke(p vg.Path) {
	if p, ok := b.inside(p); ok {
		b.Canvas.Stroke(p)
	}
}

// Fill fills p.
func (b bounded) Fill(p vg.Path) {
	if p, ok := b.inside(p); ok {
		b.Canvas.Fill(p)
	}
}

// inside returns p with its points moved to within a canvas' width and height of the canvas.
func (b bounded) inside(p vg.Path) (vg.Path, bool) {
	w, h := b.Size()
	out := slices.Clone(p)
	for i, c := range out {
		for _, v := range []vg.Length{c.Pos.X, c.Pos.Y, c.Radius, vg.Length(c.Start), vg.Length(c.Angle)} {
			if !drawable(float64(v)) {
				return nil, false
			}
		}
		out[i].Pos = vg.Point{X: min(max(c.Pos.X, -w), 2*w), Y: min(max(c.Pos.Y, -h), 2*h)}
		out[i].Radius = min(c.Radius, w)
	}
	return out, true
}
