package chart

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// drawn bounds the points of a scatter; more of them would not be seen and take long to draw.
const drawn = 3000

// drawResiduals shows forecast - actual from four sides. Errors are divided by the mean sale of their series: a series that sells a
// hundred times as much as another would otherwise be all that is seen.
func (d *Data) drawResiduals(w io.Writer) error {
	reading := "Forecast minus sold, in units of the mean sale of the series; above zero too much was forecast. Good errors scatter around zero without a pattern."
	if n := d.Sample.Size(); n < d.Evaluation.Series {
		reading += fmt.Sprintf(" Of %s of the %s series, drawn by lot.", thousands(n), thousands(d.Evaluation.Series))
	}
	pg := newPage(820, 640, "What is left over: the errors of "+label(d.Primary), reading)
	m := d.model(d.Primary)
	r := d.relative(m)
	cells := grid(pg.body, 2, 2, 30, 20)
	d.drawOverTime(caption(cells[0], "Over time", "each dot one prediction; line: median of the day; band: middle half"), r)
	d.drawAgainstForecast(caption(cells[1], "Against the forecast", "a fan is usual: what sells more errs more"), r)
	d.drawDistribution(caption(cells[2], "Distribution", "share of predictions; grey: "+label(d.Baseline)), r)
	d.drawQQ(caption(cells[3], "Against a normal distribution", "Q-Q: away from the line, large errors come oftener than a bell curve says"), r)
	return pg.encode(w)
}

// residual is one error in units of its series' mean sale.
type residual struct {
	date, forecast, err float64
}

func (d *Data) relative(m int) []residual {
	type mean struct{ sum, n float64 }
	means := map[int32]mean{}
	pts := d.scored(m)
	for _, q := range pts {
		s := d.Sample.Rows.Series[q.row]
		means[s] = mean{means[s].sum + q.actual, means[s].n + 1}
	}
	var out []residual
	for _, q := range pts {
		if v := means[d.Sample.Rows.Series[q.row]]; v.sum > 0 {
			unit := v.sum / v.n
			e := residual{float64(d.Sample.Rows.Date[q.row]), q.forecast / unit, (q.forecast - q.actual) / unit}
			if drawable(e.forecast) && drawable(e.err) {
				out = append(out, e)
			}
		}
	}
	return out
}

// reach is the range that holds all but the wildest errors, symmetric, so that a few of them do not flatten the picture.
func reach(r []residual) float64 {
	e := make([]float64, len(r))
	for i := range r {
		e[i] = math.Abs(r[i].err)
	}
	slices.Sort(e)
	return max(quantile(e, 0.975)*1.2, 1e-9)
}

func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[i]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

func scatter(r []residual, x func(residual) float64) plotter.XYs {
	every := max((len(r)+drawn-1)/drawn, 1)
	xy := make(plotter.XYs, 0, drawn)
	for i := 0; i < len(r); i += every {
		xy = append(xy, plotter.XY{X: x(r[i]), Y: r[i].err})
	}
	return xy
}

func (d *Data) drawOverTime(c draw.Canvas, r []residual) {
	p := axes("")
	p.X.Tick.Marker = dates{7}
	p.Y.Tick.Marker = ticks{5, shares}
	p.Add(dots{scatter(r, func(v residual) float64 { return v.date }), 1.1, draw.LineStyle{Color: fade(naive, 0.35)}})
	byDate := map[float64][]float64{}
	for _, v := range r {
		byDate[v.date] = append(byDate[v.date], v.err)
	}
	days := make([]float64, 0, len(byDate))
	for x := range byDate {
		days = append(days, x)
	}
	slices.Sort(days)
	var b band
	median := plotter.XYs{}
	for _, x := range days {
		slices.Sort(byDate[x])
		b.x, b.lo, b.hi = append(b.x, x), append(b.lo, quantile(byDate[x], 0.25)), append(b.hi, quantile(byDate[x], 0.75))
		median = append(median, plotter.XY{X: x, Y: quantile(byDate[x], 0.5)})
	}
	if len(days) > 1 {
		b.fill.Color = fade(d.hue(d.Primary), 0.25)
		p.Add(b, curve(median, draw.LineStyle{Color: d.hue(d.Primary), Width: 1.75}))
	}
	p.Add(rule{line: draw.LineStyle{Color: soft, Width: 0.75}})
	p.Y.Max = reach(r)
	p.Y.Min = -p.Y.Max
	show(c, p)
}

func (d *Data) drawAgainstForecast(c draw.Canvas, r []residual) {
	p := axes("forecast, in mean sales of the series")
	p.Y.Tick.Marker = ticks{5, shares}
	f := make([]float64, len(r))
	for i := range r {
		f[i] = r[i].forecast
	}
	slices.Sort(f)
	p.Add(dots{scatter(r, func(v residual) float64 { return v.forecast }), 1.3, draw.LineStyle{Color: fade(d.hue(d.Primary), 0.35)}})
	p.Add(rule{line: draw.LineStyle{Color: soft, Width: 0.75}})
	p.X.Min, p.X.Max = 0, max(quantile(f, 0.995)*1.05, 1e-9)
	p.Y.Max = reach(r)
	p.Y.Min = -p.Y.Max
	show(c, p)
}

const bins = 41

func (d *Data) drawDistribution(c draw.Canvas, r []residual) {
	p := axes("error, in mean sales of the series")
	p.X.Tick.Marker = ticks{6, shares}
	p.Y.Tick.Marker = ticks{4, shares}
	edge := reach(r)
	if m := d.model(d.Baseline); m >= 0 {
		p.Add(curve(steps(histogram(d.relative(m), edge), edge), draw.LineStyle{Color: naive, Width: 1.5}))
	}
	own := steps(histogram(r, edge), edge)
	fill := band{fill: draw.LineStyle{Color: fade(d.hue(d.Primary), 0.3)}}
	for _, v := range own {
		fill.x, fill.lo, fill.hi = append(fill.x, v.X), append(fill.lo, 0), append(fill.hi, v.Y)
	}
	p.Add(fill, curve(own, draw.LineStyle{Color: d.hue(d.Primary), Width: 1.5}))
	p.Add(rule{upright: true, line: draw.LineStyle{Color: soft, Width: 0.75}})
	p.Y.Min, p.X.Min, p.X.Max = 0, -edge, edge
	show(c, p)
}

// histogram returns the share of errors in each of the bins between -edge and edge; what lies beyond counts in the outermost.
func histogram(r []residual, edge float64) []float64 {
	h := make([]float64, bins)
	for _, v := range r {
		at := min(max((v.err+edge)/(2*edge), 0), 1)
		h[min(int(at*bins), bins-1)] += 1 / float64(len(r))
	}
	return h
}

func steps(h []float64, edge float64) plotter.XYs {
	var xy plotter.XYs
	for i, v := range h {
		x := -edge + 2*edge*float64(i)/float64(len(h))
		xy = append(xy, plotter.XY{X: x, Y: v}, plotter.XY{X: x + 2*edge/float64(len(h)), Y: v})
	}
	return xy
}

func (d *Data) drawQQ(c draw.Canvas, r []residual) {
	p := axes("standard normal quantile")
	p.Y.Tick.Marker = ticks{5, shares}
	e := make([]float64, len(r))
	for i := range r {
		e[i] = r[i].err
	}
	slices.SortFunc(e, cmp.Compare)
	// The line goes through the quartiles, so that the tails do not bend it.
	slope := (quantile(e, 0.75) - quantile(e, 0.25)) / (2 * 0.6744897501960817)
	var xy plotter.XYs
	every := max(len(e)/400, 1)
	for i := range e {
		if i%every == 0 || i < 20 || i >= len(e)-20 {
			xy = append(xy, plotter.XY{X: distuv.UnitNormal.Quantile((float64(i) + 0.5) / float64(len(e))), Y: e[i]})
		}
	}
	p.Add(rule{a: quantile(e, 0.5), b: slope, line: draw.LineStyle{Color: naive, Width: 1.25, Dashes: []vg.Length{4, 3}}})
	p.Add(dots{xy, 1.6, draw.LineStyle{Color: d.hue(d.Primary)}})
	show(c, p)
}
