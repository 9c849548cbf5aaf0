package prophet

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"salescast/pkg/forecast"
)

// Components are a forecast taken apart, in units of the target but for multiplicative terms, which are shares of the trend.
type Components struct {
	Trend, Additive, Multiplicative, Yhat []float64
	// Terms has one column for each seasonality, holiday and regressor, by name.
	Terms map[string][]float64
}

// Predict returns the components at any times, within the history or after it.
func (m *Model) Predict(t Times) (*Components, error) {
	if err := t.validate(&m.opts); err != nil {
		return nil, fmt.Errorf("predict with prophet: %w", err)
	}
	if m.hasFloor() && len(t.Floor) != len(t.At) {
		return nil, fmt.Errorf("predict with prophet: %d floors for %d times, and the model was fitted with a floor", len(t.Floor), len(t.At))
	}
	n := len(t.At)
	c := &Components{
		Trend: make([]float64, n), Additive: make([]float64, n), Multiplicative: make([]float64, n), Yhat: make([]float64, n),
		Terms: map[string][]float64{},
	}
	m.scaledTrend().at(m.scaledTime(&t), m.scaledCap(&t), c.Trend)
	for i := range c.Trend {
		c.Trend[i] = c.Trend[i]*m.yScale + m.floorAt(&t, i)
	}
	d := m.design(&t)
	for j, col := range d.columns {
		sum, scale := c.Additive, m.yScale
		if col.mode == Multiplicative {
			sum, scale = c.Multiplicative, 1
		}
		term := c.Terms[col.component]
		if term == nil {
			term = make([]float64, n)
			c.Terms[col.component] = term
		}
		b := m.beta[j] * scale
		for i, x := range d.x[j] {
			sum[i] += b * x
			term[i] += b * x
		}
	}
	delete(c.Terms, "zeros")
	for i := range c.Yhat {
		c.Yhat[i] = c.Trend[i]*(1+c.Multiplicative[i]) + c.Additive[i]
	}
	return c, nil
}

// Quantiles simulates the future as Prophet does: trend changes as frequent and as large on average as the fitted ones, and normal
// noise. It returns, for each time, one value per level, increasing. At times within the history only the noise is uncertain.
// c are the components at the same times.
func (m *Model) Quantiles(t Times, c *Components, levels []float64, samples int, seed uint64) []float64 {
	n, nl := len(t.At), len(levels)
	out := make([]float64, n*nl)
	if n == 0 || nl == 0 {
		return out
	}
	rng := rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))
	ts := m.scaledTime(&t)
	first := 0 // the first time after the history
	for first < n && ts[first] <= 1 {
		first++
	}
	step := 0.0
	switch {
	case n-first > 1:
		step = (ts[n-1] - ts[first]) / float64(n-1-first)
	case len(m.history.At) > 1:
		step = 1 / float64(len(m.history.At)-1)
	}
	size := 1e-8
	for _, d := range m.delta {
		size += math.Abs(d) / float64(len(m.delta))
	}
	draws := make([]float64, n*samples) // time-major, so that each time's draws can be sorted in place
	shift := make([]float64, n)
	rate, offset := m.scaledTrend().segments()
	path := paths{
		growth: m.opts.Growth, t: ts, caps: m.scaledCap(&t), first: first, step: step,
		chance: float64(len(m.changepoints)) * step, size: size, rate: rate[len(rate)-1], offset: offset[len(offset)-1],
	}
	for s := range samples {
		path.draw(rng, shift)
		for i := range n {
			trend := c.Trend[i] + shift[i]*m.yScale
			draws[i*samples+s] = trend*(1+c.Multiplicative[i]) + c.Additive[i] + rng.NormFloat64()*m.sigma*m.yScale
		}
	}
	for i := range n {
		d := draws[i*samples : (i+1)*samples]
		slices.Sort(d)
		for j, l := range levels {
			out[i*nl+j] = forecast.SortedQuantile(d, l)
		}
	}
	return out
}

// scaledTrend is the one that was fitted.
func (m *Model) scaledTrend() trend {
	return trend{growth: m.opts.Growth, k: m.k, m: m.m, delta: m.delta, changepoints: m.changepoints}
}

// paths are those that the trend may take after the history.
type paths struct {
	growth Growth
	// t are scaled times, with a capacity each where growth is logistic; those from first on lie after the history, step apart.
	t, caps []float64
	first   int
	step    float64
	// chance is that of a change in a step, and size its mean.
	chance, size float64
	// rate and offset are those of the last segment.
	rate, offset float64
}

// draw writes one path less the expected one, scaled. A change falls half on its own step and half on the next, as in Prophet's
// vectorised simulation.
func (p *paths) draw(rng *rand.Rand, dst []float64) {
	clear(dst)
	if p.growth == Flat {
		return
	}
	t, caps, rate, offset := p.t, p.caps, p.rate, p.offset
	prev, slope, sum := 0.0, 0.0, 0.0
	k, off := rate, offset
	for i := p.first; i < len(t); i++ {
		jump := 0.0
		if rng.Float64() < p.chance {
			jump = p.size * math.Copysign(rng.ExpFloat64(), rng.Float64()-0.5)
		}
		change := (jump + prev) / 2
		prev = jump
		if p.growth == Linear {
			slope += change
			sum += slope
			dst[i] = sum * p.step
			continue
		}
		if change != 0 && k+change != 0 {
			off += (t[i] - off) * (1 - k/(k+change))
			k += change
		}
		dst[i] = caps[i]/(1+math.Exp(-k*(t[i]-off))) - caps[i]/(1+math.Exp(-rate*(t[i]-offset)))
	}
}
