package chart

import (
	"fmt"
	"image/color"
	"image/png"
	"io"
	"math"
	"strings"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// page is one picture: a heading, and a body to draw in.
type page struct {
	img  *vgimg.Canvas
	body draw.Canvas
}

const (
	dpi    = 144 // twice the 72 points of an inch: sharp on dense screens
	margin = vg.Length(24)
)

// newPage lays out a heading that says what is shown and how to read it.
func newPage(w, h vg.Length, title, reading string) *page {
	img := vgimg.NewWith(vgimg.UseWH(w, h), vgimg.UseDPI(dpi), vgimg.UseBackgroundColor(paper))
	c := draw.New(bounded{img})
	body := draw.Crop(c, margin, -margin, margin*0.75, -margin)
	y := body.Max.Y
	for _, line := range wrap(title, style(17, true, ink), body.Max.X-body.Min.X) {
		write(c, line, body.Min.X, y, style(17, true, ink), left, top)
		y -= 22
	}
	y--
	for _, line := range wrap(reading, style(10.5, false, soft), body.Max.X-body.Min.X) {
		write(c, line, body.Min.X, y, style(10.5, false, soft), left, top)
		y -= 14.5
	}
	body.Max.Y = y - 12
	return &page{img, body}
}

func (p *page) encode(w io.Writer) error {
	e := png.Encoder{CompressionLevel: png.DefaultCompression}
	if err := e.Encode(w, p.img.Image()); err != nil {
		return fmt.Errorf("writing a picture: %w", err)
	}
	return nil
}

// grid cuts c into columns x rows cells with gaps between them, row by row from the top.
func grid(c draw.Canvas, columns, rows int, gapX, gapY vg.Length) []draw.Canvas {
	w := (c.Max.X - c.Min.X - gapX*vg.Length(columns-1)) / vg.Length(columns)
	h := (c.Max.Y - c.Min.Y - gapY*vg.Length(rows-1)) / vg.Length(rows)
	var out []draw.Canvas
	for r := range rows {
		for k := range columns {
			x, y := c.Min.X+vg.Length(k)*(w+gapX), c.Max.Y-vg.Length(r)*(h+gapY)-h
			out = append(out, draw.Canvas{Canvas: c.Canvas, Rectangle: vg.Rectangle{Min: vg.Point{X: x, Y: y}, Max: vg.Point{X: x + w, Y: y + h}}})
		}
	}
	return out
}

// caption writes a cell's own heading and returns what is left of the cell.
func caption(c draw.Canvas, title, note string) draw.Canvas {
	w := c.Max.X - c.Min.X
	write(c, shorten(title, style(11.5, true, ink), w), c.Min.X, c.Max.Y, style(11.5, true, ink), left, top)
	c.Max.Y -= 15
	if note != "" {
		write(c, shorten(note, style(9, false, soft), w), c.Min.X, c.Max.Y, style(9, false, soft), left, top)
		c.Max.Y -= 13
	}
	c.Max.Y -= 5
	return c
}

const (
	left   = text.XLeft
	center = text.XCenter
	right  = text.XRight
	top    = text.YTop
	middle = text.YCenter
	bottom = text.YBottom
)

func style(size vg.Length, bold bool, c color.Color) text.Style {
	f := font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
	if bold {
		f.Weight = xfont.WeightBold
	}
	return text.Style{Color: c, Font: f, Handler: text.Plain{Fonts: font.DefaultCache}}
}

// longest is the number of letters of a text that a picture has any room for.
const longest = 400

// clip bounds what is laid out: measuring a text takes time in its length, and names come with the data.
func clip(s string) string {
	if r := []rune(s); len(r) > longest {
		return string(r[:longest]) + "…"
	}
	return s
}

func write(c draw.Canvas, s string, x, y vg.Length, st text.Style, xa text.XAlignment, ya text.YAlignment) {
	st.XAlign, st.YAlign = xa, ya
	c.FillText(st, vg.Point{X: x, Y: y}, s)
}

// wrap breaks s into lines no wider than w.
func wrap(s string, st text.Style, w vg.Length) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(clip(s)) {
		if next := strings.TrimSpace(line + " " + word); line == "" || st.Width(next) <= w {
			line = next
			continue
		}
		lines = append(lines, line)
		line = word
	}
	return append(lines, line)
}

// shorten cuts s to the width w, with an ellipsis.
func shorten(s string, st text.Style, w vg.Length) string {
	r := []rune(strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, clip(s)))
	if st.Width(string(r)) <= w {
		return string(r)
	}
	for len(r) > 1 && st.Width(string(r)+"…") > w {
		r = r[:len(r)-1]
	}
	return string(r) + "…"
}

// block fills a rectangle.
func block(c draw.Canvas, x0, y0, x1, y1 vg.Length, fill color.Color) {
	c.FillPolygon(fill, []vg.Point{{X: x0, Y: y0}, {X: x1, Y: y0}, {X: x1, Y: y1}, {X: x0, Y: y1}})
}

func stroke(c draw.Canvas, x0, y0, x1, y1, width vg.Length, col color.Color, dashes ...vg.Length) {
	c.StrokeLine2(draw.LineStyle{Color: col, Width: width, Dashes: dashes}, x0, y0, x1, y1)
}

// spread moves sorted positions apart until neighbours are gap from each other, keeping their mean place.
func spread(at []vg.Length, gap vg.Length) {
	for range 50 {
		moved := false
		for i := 1; i < len(at); i++ {
			if lack := gap - (at[i] - at[i-1]); lack > 0.01 {
				at[i-1] -= lack / 2
				at[i] += lack / 2
				moved = true
			}
		}
		if !moved {
			return
		}
	}
}

// number writes v short enough for an axis: 950, 12.5k, 3.1M, 1.2e+15.
func number(v float64) string {
	a := math.Abs(v)
	switch {
	case a >= 1e12:
		return inUnits(v, a/10)
	case a >= 1e9:
		return inUnits(v, 1e8)
	case a >= 1e6:
		return inUnits(v, 1e5)
	case a >= 1e4:
		return inUnits(v, 1e2)
	case a >= 100:
		return inUnits(v, 1)
	case a >= 10:
		return inUnits(v, 0.1)
	}
	return inUnits(v, 0.001)
}

// inUnits writes v in thousands, millions or thousands of millions, to the digit that tells it from v + step.
func inUnits(v, step float64) string {
	a := math.Abs(v)
	trim := func(x, unit float64, sign string) string {
		decimals := min(max(int(math.Ceil(-math.Log10(step/unit)-1e-9)), 0), 6)
		s := fmt.Sprintf("%.*f", decimals, x/unit)
		if strings.Contains(s, ".") {
			s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
		}
		if s == "-0" {
			s = "0"
		}
		return strings.Replace(s, "-", "−", 1) + sign
	}
	switch {
	case a >= 1e12:
		digits := min(max(int(math.Ceil(math.Log10(a/step)-1e-9)), 1), 6)
		return strings.Replace(fmt.Sprintf("%.*e", digits, v), "-", "−", 1)
	case a >= 1e9:
		return trim(v, 1e9, "G")
	case a >= 1e6:
		return trim(v, 1e6, "M")
	case a >= 1e4:
		return trim(v, 1e3, "k")
	}
	return trim(v, 1, "")
}

// percent writes a share with as many decimals as help.
func percent(v float64, decimals int) string {
	if math.Abs(v) >= 1e3 {
		return number(100*v) + " %"
	}
	s := fmt.Sprintf("%.*f", decimals, 100*v)
	if strings.Trim(s, "-0.") == "" {
		s = strings.TrimPrefix(s, "-")
	}
	return strings.Replace(s, "-", "−", 1) + " %"
}
