package chart

import (
	"cmp"
	"fmt"
	"image/color"
	"io"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// drawTotal shows the sum of all series. Only steps at which every scored prediction of the model stands are summed, and the same
// rows for the sales, so that a missing observation makes no dip.
func (d *Data) drawTotal(w io.Writer) error {
	ev := d.Evaluation
	pg := newPage(820, 400, "All series together: what was forecast and what was sold",
		fmt.Sprintf("Sum of %d series of %s, forecast from %s (dotted lines). Unobserved sales are left out of both sums.", ev.Series, d.Target, plural(len(ev.Origins), "origin")))
	p := axes("")
	p.X.Tick.Marker = dates{10}
	var ends endLabels
	ends.size = 10
	sold := d.sums(d.model(d.Primary), func(v sum) float64 { return v.actual })
	for _, name := range []string{d.Baseline, d.Primary} {
		if m := d.model(name); m >= 0 {
			xy := d.sums(m, func(v sum) float64 { return v.forecast })
			curves(p, xy, draw.LineStyle{Color: d.hue(name), Width: 1.75})
			ends.name(xy, name, name == d.Primary, d.hue(name))
		}
	}
	curves(p, sold, draw.LineStyle{Color: actual, Width: 1.75})
	ends.name(sold, "sold", true, actual)
	p.Add(ends)
	d.markOrigins(p)
	if p.Y.Min < p.Y.Max/2 {
		p.Y.Min = min(p.Y.Min, 0)
	}
	drawUnder(pg.body, p, d.Target+" per step")
	return pg.encode(w)
}

// name labels a curve in its own colour.
func (e *endLabels) name(xy plotter.XYs, name string, bold bool, c color.NRGBA) {
	if len(xy) > 0 {
		e.add(xy[len(xy)-1], label(name), style(e.size, bold, darker(c)))
	}
}

func (d *Data) markOrigins(p *plot.Plot) {
	for _, o := range d.Evaluation.Origins {
		p.Add(rule{a: float64(o) + 0.5, upright: true, line: draw.LineStyle{Color: naive, Width: 0.75, Dashes: []vg.Length{1.5, 2.5}}})
	}
}

// sums lists a value of the sums of model m by date.
func (d *Data) sums(m int, of func(sum) float64) plotter.XYs {
	var xy plotter.XYs
	for _, day := range d.Sample.days(m) {
		xy = append(xy, plotter.XY{X: float64(day), Y: of(d.Sample.sums[m][day])})
	}
	return xy
}

// drawSeries shows nine series from best to worst, so that neither is hidden.
func (d *Data) drawSeries(w io.Writer) error {
	m := d.model(d.Primary)
	chosen := d.chosen(m, 9)
	columns := min(3, max(len(chosen), 1))
	rows := (len(chosen) + columns - 1) / columns
	pg := newPage(vg.Length(330*columns), vg.Length(190*max(rows, 1))+80, "Series from the best forecast to the worst, by "+label(d.Primary),
		fmt.Sprintf("Dark: sold. Green: forecast, with its 80 %% and 95 %% intervals. Every series is drawn to its own scale, in %s per step.", d.Target))
	cells := grid(pg.body, columns, max(rows, 1), 26, 16)
	for i, s := range chosen {
		score := d.Evaluation.BySeries[m][s]
		note := "WAPE " + asPercent(float64(score.WAPE))
		if score.Coverage95.Defined() {
			note += fmt.Sprintf(" · %s of sales inside the 95 %% interval", percent(float64(score.Coverage95), 0))
		}
		d.drawOne(caption(cells[i], d.name(s), note), m, s)
	}
	return pg.encode(w)
}

// chosen returns up to n scored series of the sample of model m, spread evenly from the lowest error to the highest.
func (d *Data) chosen(m, n int) []int {
	var all []int
	for s, v := range d.Evaluation.BySeries[m] {
		if v.WAPE.Defined() && d.Sample.keep[s] {
			all = append(all, s)
		}
	}
	scores := d.Evaluation.BySeries[m]
	slices.SortFunc(all, func(a, b int) int { return cmp.Or(cmp.Compare(scores[a].WAPE, scores[b].WAPE), cmp.Compare(a, b)) })
	if len(all) <= n {
		return all
	}
	out := make([]int, n)
	for i := range out {
		out[i] = all[i*(len(all)-1)/(n-1)]
	}
	return out
}

func (d *Data) drawOne(c draw.Canvas, m, s int) {
	p := axes("")
	p.X.Tick.Marker, p.Y.Tick.Marker = dates{6}, ticks{4, amounts}
	pr := d.Sample.Rows
	sold, forecast := plotter.XYs{}, plotter.XYs{}
	lo, hi := band80and95(pr.Levels)
	var b80, b95 band
	for i := range pr.Rows() {
		if int(pr.Model[i]) != m || int(pr.Series[i]) != s {
			continue
		}
		x := float64(pr.Date[i])
		sold = append(sold, plotter.XY{X: x, Y: pr.Actual[i]})
		forecast = append(forecast, plotter.XY{X: x, Y: pr.Forecast[i]})
		q := pr.Quantiles[i*len(pr.Levels) : (i+1)*len(pr.Levels)]
		if lo[0] >= 0 && !slices.ContainsFunc(q, func(v float64) bool { return !drawable(v) }) {
			b95.x, b95.lo, b95.hi = append(b95.x, x), append(b95.lo, q[lo[0]]), append(b95.hi, q[hi[0]])
			b80.x, b80.lo, b80.hi = append(b80.x, x), append(b80.lo, q[lo[1]]), append(b80.hi, q[hi[1]])
		}
	}
	sortXY(sold)
	sortXY(forecast)
	hue := d.hue(d.Primary)
	for _, v := range []struct {
		b       band
		opacity float64
	}{{b95, 0.16}, {b80, 0.22}} {
		if len(v.b.x) > 1 {
			v.b.fill.Color = fade(hue, v.opacity)
			p.Add(v.b)
		}
	}
	d.markOrigins(p)
	curves(p, forecast, draw.LineStyle{Color: hue, Width: 1.5})
	curves(p, sold, draw.LineStyle{Color: actual, Width: 1.25})
	p.Y.Min = min(p.Y.Min, 0)
	show(c, p)
}

func sortXY(xy plotter.XYs) {
	slices.SortStableFunc(xy, func(a, b plotter.XY) int { return cmp.Compare(a.X, b.X) })
}

// band80and95 finds the ends of the 95 % and the 80 % interval among the levels; -1 where one of the four is absent.
func band80and95(levels []float64) (lo, hi [2]int) {
	at := func(want float64) int {
		return slices.IndexFunc(levels, func(l float64) bool { return math.Abs(l-want) < 1e-9 })
	}
	lo, hi = [2]int{at(0.025), at(0.1)}, [2]int{at(0.975), at(0.9)}
	if min(lo[0], lo[1], hi[0], hi[1]) < 0 {
		return [2]int{-1, -1}, [2]int{-1, -1}
	}
	return lo, hi
}
