package prophet

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
)

// standardised is a regressor's centre and spread in training.
type standardised struct{ Mu, Std float64 }

// Model is one fitted series.
type Model struct {
	opts Options
	// seasonalities are the given ones and the built-in ones, in Prophet's order.
	seasonalities []Seasonality
	regressors    []standardised
	history       Times
	y             []float64
	start, tScale float64 // days
	yMin, yScale  float64
	noChange      bool
	changepoints  []float64 // scaled to [0, 1]; one at 0 where there are none
	columns       []column

	k, m, sigma float64
	delta, beta []float64
	trend       []float64 // scaled, at the history
	objective   float64
}

// Objective returns the negative log posterior density, up to a constant, at the fit: lower is better.
func (m *Model) Objective() float64 { return m.objective }

// Fit finds the posterior mode for y observed at x.At. Rows whose y is NaN are dropped; fewer than two others are an error, and so is
// an infinite value. x and y are not kept nor changed.
func Fit(ctx context.Context, o Options, x Times, y []float64) (*Model, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("prophet options: %w", err)
	}
	if len(y) != len(x.At) {
		return nil, fmt.Errorf("fit prophet: %d values for %d times", len(y), len(x.At))
	}
	if err := x.validate(&o); err != nil {
		return nil, fmt.Errorf("fit prophet: %w", err)
	}
	m := &Model{opts: o}
	if err := m.take(&x, y); err != nil {
		return nil, fmt.Errorf("fit prophet: %w", err)
	}
	m.scale()
	m.autoSeasonalities()
	m.placeChangepoints()
	d := m.design(&m.history)
	m.columns = d.columns
	return m, m.optimise(ctx, &d)
}

// take copies the rows that have a value.
func (m *Model) take(x *Times, y []float64) error {
	var rows []int
	for i, v := range y {
		if math.IsInf(v, 0) {
			return fmt.Errorf("the value of row %d is infinite", i)
		}
		if i > 0 && !(x.At[i] > x.At[i-1]) {
			return fmt.Errorf("times are not increasing at row %d", i)
		}
		if !math.IsNaN(v) {
			rows = append(rows, i)
		}
	}
	if len(rows) < 2 {
		return errors.New("fewer than two values are known")
	}
	pick := func(v []float64) []float64 {
		if v == nil {
			return nil
		}
		out := make([]float64, len(rows))
		for j, i := range rows {
			out[j] = v[i]
		}
		return out
	}
	m.y = pick(y)
	m.history = Times{At: pick(x.At), Cap: pick(x.Cap), Floor: pick(x.Floor)}
	for _, c := range x.Regressors {
		m.history.Regressors = append(m.history.Regressors, pick(c))
	}
	for name, c := range x.Conditions {
		if m.history.Conditions == nil {
			m.history.Conditions = map[string][]bool{}
		}
		on := make([]bool, len(rows))
		for j, i := range rows {
			on[j] = c[i]
		}
		m.history.Conditions[name] = on
	}
	return nil
}

// hasFloor says that the floor is the user's own and not the scaling's.
func (m *Model) hasFloor() bool { return m.opts.Growth == Logistic && m.history.Floor != nil }

func (m *Model) floorAt(t *Times, i int) float64 {
	switch {
	case m.hasFloor():
		return t.Floor[i]
	case m.opts.Scaling == MinMax:
		return m.yMin
	}
	return 0
}

// scale sets the scales of time, target and regressors as Prophet does.
func (m *Model) scale() {
	at := m.history.At
	m.start, m.tScale = at[0], at[len(at)-1]-at[0]
	lo, hi, abs := math.Inf(1), math.Inf(-1), 0.0
	for i, v := range m.y {
		if m.hasFloor() {
			v -= m.history.Floor[i]
		}
		lo, hi, abs = min(lo, v), max(hi, v), max(abs, math.Abs(v))
	}
	switch {
	case m.hasFloor() && m.opts.Scaling == MinMax:
		m.yMin = slices.Min(m.history.Floor)
		m.yScale = slices.Max(m.history.Cap) - m.yMin
	case m.hasFloor():
		m.yMin = math.Inf(1)
		for i, v := range m.y {
			m.yMin = min(m.yMin, math.Abs(v-m.history.Floor[i]))
		}
		m.yScale = abs
	case m.opts.Scaling == MinMax:
		m.yMin, m.yScale = lo, hi-lo
	default:
		m.yScale = abs
	}
	if m.yScale == 0 {
		m.yScale = 1
	}
	for _, c := range m.history.Regressors {
		m.regressors = append(m.regressors, standardise(c))
	}
}

// standardise leaves constants and 0/1 columns alone; the spread is the sample standard deviation.
func standardise(c []float64) standardised {
	s := standardised{0, 1}
	binary, constant := true, true
	for _, v := range c {
		binary = binary && (v == 0 || v == 1)
		constant = constant && v == c[0]
	}
	if binary || constant {
		return s
	}
	sum := 0.0
	for _, v := range c {
		sum += v
	}
	s.Mu = sum / float64(len(c))
	ss := 0.0
	for _, v := range c {
		ss += (v - s.Mu) * (v - s.Mu)
	}
	s.Std = math.Sqrt(ss / float64(len(c)-1))
	return s
}

func (m *Model) autoSeasonalities() {
	m.seasonalities = slices.Clone(m.opts.Seasonalities)
	at := m.history.At
	span, gap := at[len(at)-1]-at[0], math.Inf(1)
	for i := 1; i < len(at); i++ {
		gap = min(gap, at[i]-at[i-1])
	}
	for _, s := range []struct {
		name   string
		asked  int
		enough bool
		period float64
		order  int
	}{
		{"yearly", m.opts.Yearly, span >= 730, 365.25, 10},
		{"weekly", m.opts.Weekly, span >= 14 && gap < 7, 7, 3},
		{"daily", m.opts.Daily, span >= 2 && gap < 1, 1, 4},
	} {
		order := s.asked
		if order < 0 {
			order = 0
			custom := slices.ContainsFunc(m.seasonalities, func(c Seasonality) bool { return c.Name == s.name })
			if s.enough && !custom {
				order = s.order
			}
		}
		if order > 0 {
			m.seasonalities = slices.DeleteFunc(m.seasonalities, func(c Seasonality) bool { return c.Name == s.name })
			m.seasonalities = append(m.seasonalities, Seasonality{
				Name: s.name, Period: s.period, Order: order, PriorScale: m.opts.SeasonalityPriorScale, Mode: m.opts.SeasonalityMode,
			})
		}
	}
}

func (m *Model) placeChangepoints() {
	var cps []float64
	if m.opts.Changepoints != nil {
		for _, c := range m.opts.Changepoints {
			cps = append(cps, (c-m.start)/m.tScale)
		}
		slices.Sort(cps)
	} else {
		at := m.history.At
		size := int(math.Floor(float64(len(at)) * m.opts.ChangepointRange))
		if m.opts.NChangepoints+1 > size {
			m.opts.NChangepoints = max(size-1, 0)
		}
		for j := 1; j <= m.opts.NChangepoints; j++ {
			i := int(math.RoundToEven(float64(j) * float64(size-1) / float64(m.opts.NChangepoints)))
			cps = append(cps, (at[i]-m.start)/m.tScale)
		}
	}
	if len(cps) == 0 {
		m.noChange, cps = true, []float64{0}
	}
	m.changepoints = cps
}

// scaledTime and scaledCap bring times to the model's units.
func (m *Model) scaledTime(t *Times) []float64 {
	out := make([]float64, len(t.At))
	for i, at := range t.At {
		out[i] = (at - m.start) / m.tScale
	}
	return out
}

func (m *Model) scaledCap(t *Times) []float64 {
	if m.opts.Growth != Logistic {
		return nil
	}
	out := make([]float64, len(t.Cap))
	for i, c := range t.Cap {
		out[i] = (c - m.floorAt(t, i)) / m.yScale
	}
	return out
}

// initial is the trend through the first and the last point, or the mean for flat growth.
func (m *Model) initial(t, y, caps []float64) (k, mm float64) {
	n := len(t) - 1
	switch m.opts.Growth {
	case Flat:
		for _, v := range y {
			mm += v
		}
		return 0, mm / float64(len(y))
	case Logistic:
		c0, c1 := caps[0], caps[n]
		r0 := c0 / max(0.01*c0, min(0.99*c0, y[0]))
		r1 := c1 / max(0.01*c1, min(0.99*c1, y[n]))
		if math.Abs(r0-r1) <= 0.01 {
			r0 *= 1.05
		}
		l0, l1 := math.Log(r0-1), math.Log(r1-1)
		span := t[n] - t[0]
		return (l0 - l1) / span, l0 * span / (l0 - l1)
	case Linear:
	}
	k = (y[n] - y[0]) / (t[n] - t[0])
	return k, y[0] - k*t[0]
}

// problem is the fit at work: everything in scaled units.
type problem struct {
	m          *Model
	d          *design
	t, y, caps []float64
	trend, mul []float64 // at the current parameters
	jac        [][]float64
	linear     bool
}

// Parameters are ordered k, m, delta, beta.
func (p *problem) split(x []float64) (k, m float64, delta, beta []float64) {
	n := 2 + len(p.m.changepoints)
	return x[0], x[1], x[2:n], x[n:]
}

// residuals writes y - mean and returns its sum of squares; +Inf where the mean is not a number.
func (p *problem) residuals(x, dst []float64) float64 {
	k, m, delta, beta := p.split(x)
	trend{p.m.opts.Growth, k, m, delta, p.m.changepoints}.at(p.t, p.caps, p.trend)
	for i := range p.mul {
		p.mul[i] = 1
	}
	copy(dst, p.y)
	for j, c := range p.d.columns {
		if b := beta[j]; b != 0 {
			if c.mode == Multiplicative {
				for i, v := range p.d.x[j] {
					p.mul[i] += b * v
				}
			} else {
				for i, v := range p.d.x[j] {
					dst[i] -= b * v
				}
			}
		}
	}
	ss := 0.0
	for i := range dst {
		dst[i] -= p.trend[i] * p.mul[i]
		ss += dst[i] * dst[i]
	}
	if math.IsNaN(ss) {
		return math.Inf(1)
	}
	return ss
}

// penalty is the negative log prior of everything but the noise.
func (p *problem) penalty(x []float64) float64 {
	k, m, delta, beta := p.split(x)
	f := (k*k + m*m) / 50
	for _, d := range delta {
		f += math.Abs(d) / p.m.opts.ChangepointPriorScale
	}
	for j, b := range beta {
		s := p.d.columns[j].prior
		f += b * b / (2 * s * s)
	}
	return f
}

// variance is the noise variance at which the density is highest for a sum of squares: the root of T - ss/v + 4v = 0.
// The floor stands for a perfect fit, where the density has no maximum.
func (p *problem) variance(ss float64) float64 {
	n := float64(len(p.y))
	return max(2*ss/(n+math.Sqrt(n*n+16*ss)), 1e-18)
}

func (p *problem) value(ss, v, penalty float64) float64 {
	return float64(len(p.y))/2*math.Log(v) + ss/(2*v) + 2*v + penalty
}

// gaussNewton builds the quadratic around x from the Jacobian and the residuals r. p.trend and p.mul belong to x.
func (p *problem) gaussNewton(x, r []float64) *quadratic {
	nc := 2 + len(p.m.changepoints)
	n := len(x)
	k, m, delta, _ := p.split(x)
	trend{p.m.opts.Growth, k, m, delta, p.m.changepoints}.jacobian(p.t, p.caps, p.jac[:nc])
	for j, c := range p.d.columns {
		if c.mode != Multiplicative {
			continue
		}
		for i, v := range p.d.x[j] {
			p.jac[nc+j][i] = v * p.trend[i]
		}
	}
	if !p.additive() {
		for _, c := range p.jac[:nc] {
			for i := range c {
				c[i] *= p.mul[i]
			}
		}
	}
	z := &quadratic{q: mat.NewSymDense(n, nil), b: make([]float64, n), ridge: make([]float64, n), tau: p.m.opts.ChangepointPriorScale}
	z.ridge[0], z.ridge[1] = 1.0/25, 1.0/25
	for j, c := range p.d.columns {
		z.ridge[nc+j] = 1 / (c.prior * c.prior)
	}
	gram(z.q, p.jac)
	for i := range n {
		s := 0.0
		for j, v := range p.jac[i] {
			s += v * r[j]
		}
		for j := range n {
			s += z.q.At(i, j) * x[j]
		}
		z.b[i] = s
		if i >= 2 && i < nc {
			z.lasso = append(z.lasso, i)
		} else {
			z.free = append(z.free, i)
		}
	}
	return z
}

// gram writes the products of all pairs of columns, a few hundred rows at a time so that they stay in the cache.
func gram(q *mat.SymDense, cols [][]float64) {
	const block = 256
	n := len(cols)
	raw := q.RawSymmetric()
	for lo := 0; lo < len(cols[0]); lo += block {
		hi := min(lo+block, len(cols[0]))
		for i := range n {
			a := cols[i][lo:hi]
			for j := i; j < n; j++ {
				raw.Data[i*raw.Stride+j] += floats.Dot(a, cols[j][lo:hi])
			}
		}
	}
}

func (p *problem) additive() bool {
	return !slices.ContainsFunc(p.d.columns, func(c column) bool { return c.mode == Multiplicative })
}

func (m *Model) newProblem(d *design) *problem {
	p := &problem{m: m, d: d, t: m.scaledTime(&m.history), caps: m.scaledCap(&m.history)}
	p.y = make([]float64, len(m.y))
	for i, v := range m.y {
		p.y[i] = (v - m.floorAt(&m.history, i)) / m.yScale
	}
	p.trend, p.mul = make([]float64, len(p.y)), make([]float64, len(p.y))
	for range 2 + len(m.changepoints) {
		p.jac = append(p.jac, make([]float64, len(p.y)))
	}
	for j, c := range d.columns {
		if c.mode == Multiplicative {
			p.jac = append(p.jac, make([]float64, len(p.y)))
		} else {
			p.jac = append(p.jac, d.x[j])
		}
	}
	p.linear = m.opts.Growth != Logistic && p.additive()
	return p
}

// optimise finds the mode. A constant series under linear or flat growth has none (its noise is zero): as Prophet does, it keeps the
// line through its ends.
func (m *Model) optimise(ctx context.Context, d *design) error {
	p := m.newProblem(d)
	x := make([]float64, 2+len(m.changepoints)+len(d.columns))
	x[0], x[1] = m.initial(p.t, p.y, p.caps)
	r := make([]float64, len(p.y))
	ss := p.residuals(x, r)
	v := p.variance(ss)
	if slices.Min(m.y) == slices.Max(m.y) && m.opts.Growth != Logistic {
		v = 1e-18
	} else {
		f := p.value(ss, v, p.penalty(x))
		for range 200 {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("fit prophet: %w", err)
			}
			var moved bool
			if x, ss, v, moved = p.step(x, r, ss, v); !moved || p.linear {
				break
			}
			next := p.value(ss, v, p.penalty(x))
			if f-next <= 1e-11*math.Abs(f) {
				break
			}
			f = next
		}
	}
	ss = p.residuals(x, r)
	m.objective = p.value(ss, v, p.penalty(x))
	k, mm, delta, beta := p.split(x)
	m.k, m.m, m.delta, m.beta, m.sigma = k, mm, slices.Clone(delta), slices.Clone(beta), math.Sqrt(v)
	m.trend = slices.Clone(p.trend)
	if m.noChange { // a changepoint at the start is a second name for the rate
		m.k += m.delta[0]
		m.delta = []float64{0}
	}
	return nil
}

// step goes from x to the minimiser of the quadratic around it, or less far where the objective would not fall. r holds the residuals
// at x and is overwritten with those of the answer.
func (p *problem) step(x, r []float64, ss, v float64) (nx []float64, nss, nv float64, moved bool) {
	z := p.gaussNewton(x, r)
	nc := 2 + len(p.m.changepoints)
	if p.linear {
		// The quadratic is the model itself: its minimum and the noise are found together without reading the history again.
		base := p.quadraticSS(z, x, ss)
		for range 100 {
			nx = z.solve(v, x[2:nc])
			nss = base(nx)
			nv = p.variance(nss)
			if math.Abs(nv-v) <= 1e-12*v {
				break
			}
			x, v = nx, nv
		}
		return nx, p.residuals(nx, r), nv, true
	}
	f := p.value(ss, v, p.penalty(x))
	target := z.solve(v, x[2:nc])
	trial, rr := make([]float64, len(x)), make([]float64, len(r))
	for a := 1.0; a > 1e-6; a /= 2 {
		for i := range x {
			trial[i] = x[i] + a*(target[i]-x[i])
		}
		nss = p.residuals(trial, rr)
		nv = p.variance(nss)
		if p.value(nss, nv, p.penalty(trial)) < f {
			copy(r, rr)
			return trial, nss, nv, true
		}
	}
	p.residuals(x, r)
	return x, ss, v, false
}

// quadraticSS returns the sum of squared residuals of a linear model as a function of its parameters, from the products alone.
func (p *problem) quadraticSS(z *quadratic, x []float64, ss float64) func([]float64) float64 {
	n := len(x)
	c := ss // y'y = ss + 2 b'x - x'Qx
	for i := range n {
		q := 0.0
		for j := range n {
			q += z.q.At(i, j) * x[j]
		}
		c += x[i] * (2*z.b[i] - q)
	}
	return func(w []float64) float64 {
		s := c
		for i := range n {
			q := 0.0
			for j := range n {
				q += z.q.At(i, j) * w[j]
			}
			s += w[i] * (q - 2*z.b[i])
		}
		return max(s, 0)
	}
}
