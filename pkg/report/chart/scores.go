package chart

import (
	"cmp"
	"fmt"
	"image/color"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"salescast/pkg/metric"
)

// bar is one score in the comparison of models.
type bar struct {
	title, note string
	of          func(metric.Scores) metric.Value
	label       func(float64) string
	// aim is the best score there can be: bars hang from it.
	aim float64
}

func asPercent(v float64) string { return percent(v, 1) }

func asScore(v float64) string {
	if math.Abs(v) >= 1e4 {
		return number(v)
	}
	return strings.Replace(fmt.Sprintf("%.3f", v), "-", "−", 1)
}

// rowHeight is that of one bar and the gap to the next.
const rowHeight = vg.Length(20)

func (d *Data) drawMetrics(w io.Writer) error {
	bars := []bar{
		{"WAPE", "absolute error, share of sales · lower is better", func(s metric.Scores) metric.Value { return s.WAPE }, asPercent, 0},
		{"RMSSE", "against day-to-day change · lower is better", func(s metric.Scores) metric.Value { return s.RMSSE }, asScore, 0},
		{"MASE", "against in-sample naive · lower is better", func(s metric.Scores) metric.Value { return s.MASE }, asScore, 0},
		{"WQL", "quantile loss, share of sales · lower is better", func(s metric.Scores) metric.Value { return s.WQL }, asPercent, 0},
		{"Bias", "over- or under-forecast · nearer to 0 is better", func(s metric.Scores) metric.Value { return s.Bias }, asPercent, 0},
		{"95 % coverage", "sales inside the interval · bars hang from 95 %", func(s metric.Scores) metric.Value { return s.Coverage95 }, asPercent, 0.95},
	}
	order := d.models()
	best := d.Evaluation.Overall[order[0]]
	title := fmt.Sprintf("Scores of %d models on sales they had not seen", len(order))
	reading := fmt.Sprintf("%s of %d series, %s ahead from %s; %s is the yardstick.",
		plural(best.Rows, "prediction"), d.Evaluation.Series, plural(d.Evaluation.Horizons, "step"), plural(len(d.Evaluation.Origins), "origin"), label(d.Baseline))
	height := 2*(40+rowHeight*vg.Length(len(order))) + 125
	p := newPage(720, height, title, reading)
	for i, cell := range grid(p.body, 3, 2, 28, 22) {
		d.drawBars(caption(cell, bars[i].title, bars[i].note), bars[i], order)
	}
	return p.encode(w)
}

// drawBars draws one row per model.
func (d *Data) drawBars(c draw.Canvas, b bar, order []int) {
	names := vg.Length(0)
	for _, m := range order {
		names = max(names, style(9.5, true, ink).Width(label(d.Evaluation.Models[m]))+8)
	}
	names = min(names, 92)
	lo, hi := b.aim, b.aim
	for _, m := range order {
		if v := b.of(d.Evaluation.Overall[m]); v.Defined() {
			lo, hi = min(lo, float64(v)), max(hi, float64(v))
		}
	}
	if hi == lo {
		hi = lo + 1
	}
	room := style(9.5, true, ink).Width("−88.8 %") + 6
	x0, x1 := c.Min.X+names, c.Max.X
	if lo < b.aim {
		x0 += room
	}
	if hi > b.aim {
		x1 -= room
	}
	at := func(v float64) vg.Length { return x0 + (x1-x0)*vg.Length((v-lo)/(hi-lo)) }
	for i, m := range order {
		name, v := d.Evaluation.Models[m], b.of(d.Evaluation.Overall[m])
		y := c.Max.Y - rowHeight*(vg.Length(i)+0.5)
		st := style(9.5, name == d.Primary, ink)
		write(c, shorten(label(name), st, names-6), c.Min.X, y, st, left, middle)
		if !v.Defined() {
			write(c, "not defined", at(b.aim)+4, y, style(9.5, false, soft), left, middle)
			continue
		}
		x := at(float64(v))
		block(c, at(b.aim), y-6.5, x, y+6.5, d.hue(name))
		if float64(v) < b.aim {
			write(c, b.label(float64(v)), x-4, y, st, right, middle)
		} else {
			write(c, b.label(float64(v)), x+4, y, st, left, middle)
		}
	}
	stroke(c, at(b.aim), c.Max.Y+2, at(b.aim), c.Max.Y-rowHeight*vg.Length(len(order)), 0.75, soft)
}

func (d *Data) drawHorizon(w io.Writer) error {
	pg := newPage(720, 400, "Error by how far ahead", "WAPE of all series and origins at each step ahead. A line that stays flat forecasts the last day as well as the first.")
	p := axes("steps ahead")
	p.Y.Tick.Marker = ticks{6, shares}
	p.X.Tick.Marker = ticks{min(d.Evaluation.Horizons, 14), amounts}
	p.Y.Min, p.X.Min, p.X.Max = 0, 1, float64(max(d.Evaluation.Horizons, 2))
	var ends endLabels
	ends.size = 10
	order := d.models()
	slices.Reverse(order)
	for _, m := range order {
		name := d.Evaluation.Models[m]
		var xy plotter.XYs
		for h, s := range d.Evaluation.ByHorizon[m] {
			xy = append(xy, plotter.XY{X: float64(h + 1), Y: float64(s.WAPE)})
		}
		width := vg.Length(1.5)
		if name == d.Primary {
			width = 2.75
		}
		curves(p, xy, draw.LineStyle{Color: d.hue(name), Width: width})
		ends.name(xy, name, name == d.Primary, d.hue(name))
	}
	p.Add(ends)
	drawUnder(pg.body, p, "WAPE")
	return pg.encode(w)
}

// darker makes text in a hue legible on white.
func darker(c color.NRGBA) color.NRGBA {
	c.R, c.G, c.B = uint8(float64(c.R)*0.72), uint8(float64(c.G)*0.72), uint8(float64(c.B)*0.72)
	return c
}

func (d *Data) drawSeriesError(w io.Writer) error {
	m, base := d.model(d.Primary), d.model(d.Baseline)
	xy, wins, scored := d.seriesDots(m, base)
	reading := fmt.Sprintf("One dot per series; below the line %s errs less than %s. Larger dots sell more.", label(d.Primary), label(d.Baseline))
	if len(xy) < scored {
		reading += fmt.Sprintf(" Shown are %s of them, drawn by lot.", thousands(len(xy)))
	}
	lo, hi, biggest := 2.0, 0.0, 0.0
	for _, s := range xy {
		lo, hi, biggest = min(lo, s.x, s.y), max(hi, s.x, s.y), max(biggest, s.sold)
	}
	if hi > 2 {
		reading += " What is beyond 200 % stands at the edge."
	}
	hi = max(min(hi, 2)*1.06, 0.05)
	if lo *= 0.85; lo > hi/2 || lo < hi/5 {
		lo = 0
	}
	pg := newPage(560, 560, fmt.Sprintf("Better than %s in %d of %d series", label(d.Baseline), wins, scored), reading)
	p := axes("WAPE of " + label(d.Baseline))
	p.X.Min, p.Y.Min, p.X.Max, p.Y.Max = lo, lo, hi, hi
	p.X.Tick.Marker = ticks{5, shares}
	p.Y.Tick.Marker = p.X.Tick.Marker
	p.Add(rule{a: 0, b: 1, line: draw.LineStyle{Color: naive, Width: 1.25}})
	for _, s := range xy {
		c := d.hue(d.Primary)
		if s.y > s.x {
			c = d.hue("xgboost")
		}
		p.Add(dots{plotter.XYs{{X: min(s.x, hi), Y: min(s.y, hi)}}, vg.Length(2.5 + 7*math.Sqrt(s.sold/max(biggest, 1))), draw.LineStyle{Color: fade(c, 0.55)}})
	}
	var ends endLabels
	slices.SortFunc(xy, func(a, b seriesDot) int { return cmp.Compare(b.y, a.y) })
	for _, s := range xy[:min(3, len(xy))] {
		ends.add(plotter.XY{X: min(s.x, hi), Y: min(s.y, hi)}, s.name, style(9, false, ink))
	}
	ends.size = 9
	p.Add(ends)
	drawUnder(pg.body, p, "WAPE of "+label(d.Primary))
	return pg.encode(w)
}

type seriesDot struct {
	x, y, sold float64
	name       string
}

// seriesDots pairs the error of two models in the sampled series that both were scored on, and counts all such series, and those in which
// the first errs less.
func (d *Data) seriesDots(m, base int) (out []seriesDot, wins, scored int) {
	sold := map[int32]float64{}
	for _, q := range d.scored(m) {
		sold[d.Sample.Rows.Series[q.row]] += math.Abs(q.actual)
	}
	for s, v := range d.Evaluation.BySeries[m] {
		b := d.Evaluation.BySeries[base][s]
		if !v.WAPE.Defined() || !b.WAPE.Defined() {
			continue
		}
		if scored++; v.WAPE < b.WAPE {
			wins++
		}
		if d.Sample.keep[s] {
			out = append(out, seriesDot{float64(b.WAPE), float64(v.WAPE), sold[int32(s)], d.name(s)})
		}
	}
	return out, wins, scored
}

// name is what people call series s.
func (d *Data) name(s int) string {
	var parts []string
	for _, k := range d.Sample.Rows.Keys {
		parts = append(parts, k.Levels[k.Codes[s]])
	}
	return strings.Join(parts, " · ")
}

func (d *Data) drawCalibration(w io.Writer) error {
	pg := newPage(560, 560, "Do the quantiles keep their word?", "Share of sales below each quantile; sales that equal it count for it. On the line, a 90 % quantile is right 90 % of the time.")
	p := axes("promised")
	p.X.Min, p.Y.Min, p.X.Max, p.Y.Max = 0, 0, 1, 1
	p.X.Tick.Marker = ticks{5, shares}
	p.Y.Tick.Marker = p.X.Tick.Marker
	p.Add(rule{a: 0, b: 1, line: draw.LineStyle{Color: naive, Width: 1.25, Dashes: []vg.Length{4, 3}}})
	order := d.models()
	slices.Reverse(order)
	var ends endLabels
	ends.size = 10
	for _, m := range order {
		name := d.Evaluation.Models[m]
		var xy plotter.XYs
		for j := range d.Evaluation.Levels {
			if v := d.Evaluation.Held(m, j); v.Defined() {
				xy = append(xy, plotter.XY{X: d.Evaluation.Levels[j], Y: float64(v)})
			}
		}
		if len(xy) == 0 {
			continue
		}
		width, size := vg.Length(1.25), vg.Length(2)
		if name == d.Primary {
			width, size = 2.75, 4
		}
		p.Add(curve(xy, draw.LineStyle{Color: d.hue(name), Width: width}), dots{xy, size, draw.LineStyle{Color: d.hue(name)}})
		ends.name(xy, name, name == d.Primary, d.hue(name))
	}
	p.Add(ends)
	drawUnder(pg.body, p, "observed")
	return pg.encode(w)
}

// shownFeatures is how many rows the importance chart has room for.
const shownFeatures = 20

func (d *Data) drawImportance(w io.Writer) error {
	n := len(d.Importance)
	rows := 0
	for _, imp := range d.Importance {
		rows = max(rows, min(len(imp.Features), shownFeatures))
	}
	columns := min(n, 4)
	tiers := (n + columns - 1) / columns
	pg := newPage(vg.Length(max(720, 330*columns)), vg.Length(80+(40+19*max(rows, 3))*tiers), "What the models look at", fmt.Sprintf("Share of the total gain of all splits, the %d strongest features of each model. Gain says what a model used, not what causes sales.", shownFeatures))
	for i, cell := range grid(pg.body, columns, tiers, 30, 20)[:n] {
		imp := d.Importance[i]
		d.drawGains(caption(cell, label(imp.Model), ""), imp)
	}
	return pg.encode(w)
}

func (d *Data) drawGains(c draw.Canvas, imp Importance) {
	f := slices.Clone(imp.Features)
	slices.SortStableFunc(f, func(a, b Feature) int { return cmp.Or(cmp.Compare(b.Gain, a.Gain), cmp.Compare(a.Name, b.Name)) })
	total := 0.0
	for _, x := range f {
		total += max(x.Gain, 0)
	}
	f = f[:min(len(f), shownFeatures)]
	if total <= 0 || math.IsNaN(total) || math.IsInf(total, 0) {
		write(c, "this model reports no gain", c.Min.X, c.Max.Y, style(10, false, soft), left, top)
		return
	}
	names := vg.Length(0)
	for _, x := range f {
		names = max(names, style(9, false, ink).Width(x.Name)+8)
	}
	names = min(names, (c.Max.X-c.Min.X)*0.5)
	width := c.Max.X - c.Min.X - names - 38
	for i, x := range f {
		y := c.Max.Y - 19*vg.Length(i) - 9
		write(c, shorten(x.Name, style(9, false, ink), names-6), c.Min.X+names-6, y, style(9, false, ink), right, middle)
		end := c.Min.X + names + width*vg.Length(max(x.Gain, 0)/max(f[0].Gain, 1e-300))
		block(c, c.Min.X+names, y-6, end, y+6, d.hue(imp.Model))
		write(c, percent(x.Gain/total, 1), end+4, y, style(9, false, soft), left, middle)
	}
}

func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return thousands(n) + " " + what + "s"
}
