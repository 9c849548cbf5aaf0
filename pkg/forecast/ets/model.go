package ets

import (
	"errors"
	"math"

	"gonum.org/v1/gonum/optimize"
)

const (
	// minHistory is the number of observed values below which no form can be told from another.
	minHistory = 8
	// maxSeason is the longest season that is looked for: each of its steps is a state to be estimated.
	maxSeason = 24
	// lowest and highest bound the smoothing constants, minPhi and maxPhi the damping, as upstream does.
	lowest, highest = 1e-4, 0.9999
	minPhi, maxPhi  = 0.8, 0.98
)

// Form says which components a model has beside level and error. A trend is always damped: one that goes on for ever wins many a
// comparison within the history and loses after it.
type Form struct {
	Trend bool
	// Season is the number of steps of the season; 0 is none.
	Season int
}

// Forms returns those that n observed values with a season of m steps can tell apart, the simplest first.
func Forms(n, m int) []Form {
	seasons := []int{0}
	if m > 1 && m <= maxSeason && n > m {
		seasons = append(seasons, m)
	}
	var out []Form
	for _, s := range seasons {
		for _, f := range []Form{{Season: s}, {Trend: true, Season: s}} {
			if f.parameters() < n-1 {
				out = append(out, f)
			}
		}
	}
	return out
}

// states is the number of free initial states: those of a season sum to 0.
func (f Form) states() int {
	n := 1
	if f.Trend {
		n++
	}
	return n + max(f.Season-1, 0)
}

// parameters counts the smoothing constants and the initial states.
func (f Form) parameters() int { return f.constants() + f.states() }

func (f Form) constants() int {
	n := 1
	if f.Trend {
		n += 2
	}
	if f.Season > 0 {
		n++
	}
	return n
}

// Model is one fitted series.
type Model struct {
	Form
	// Alpha, Beta and Gamma are what level, slope and season take of an error, Phi what the slope keeps from step to
	// step. Beta and Gamma are 0, and Phi is 1, where the form lacks their component.
	Alpha, Beta, Gamma, Phi float64
	// SSE is the sum of squared one-step errors, Sigma their standard deviation as upstream has it, AICc the criterion.
	SSE, Sigma, AICc float64

	level, slope float64
	// season is that of the next steps in turn.
	season []float64
}

var errTooShort = errors.New("fewer than 8 observed values")

// Fit fits every form that y, regular, allows, with a season of m steps (m <= 1 for none), and returns the one with the least AICc.
// A NaN was not observed: the states go on without it. y must not be infinite.
func Fit(y []float64, m int) (*Model, error) {
	n, constant := 0, true
	first := math.NaN()
	for _, v := range y {
		switch {
		case math.IsInf(v, 0):
			return nil, errors.New("a value is infinite")
		case math.IsNaN(v):
			continue
		case n == 0:
			first = v
		}
		n++
		constant = constant && v == first
	}
	if n < minHistory {
		return nil, errTooShort
	}
	if constant {
		return &Model{Alpha: highest, Phi: 1, level: first, AICc: math.Inf(-1)}, nil
	}
	var best *Model
	for _, f := range Forms(n, m) {
		if one := FitForm(y, f); best == nil || one.AICc < best.AICc {
			best = one
		}
	}
	return best, nil
}

// FitForm fits one form to y, of which more values than the form has parameters must be observed.
func FitForm(y []float64, f Form) *Model {
	w := newWork(y, f)
	x := w.search()
	m := w.constantsOf(x)
	w.errorsOf(m)
	w.solve()
	m.run(y, w.centre, w.state)
	n, k := float64(w.n), float64(f.parameters()+1)
	m.SSE = max(m.SSE, math.SmallestNonzeroFloat64)
	m.AICc = math.Inf(1)
	if n-k-1 > 0 {
		m.AICc = n*math.Log(m.SSE) + 2*k + 2*k*(k+1)/(n-k-1)
		m.Sigma = math.Sqrt(m.SSE / (n - k - 1))
	}
	return m
}

// work holds what the evaluation of constants needs: the sums of the least squares for the initial states. A state is level, slope where
// there is one, and all but the last of the season, of the phases from y[0] on.
type work struct {
	Form
	// y is centred: the sums lose fewer digits.
	y      []float64
	centre float64
	n      int
	p      int
	// a and b are the normal equations, lower triangle by rows, of the states; uu is the squared error without them.
	a, b []float64
	uu   float64
	// state solves them.
	state []float64
	// Derivatives of level, slope and seasonal states by the initial ones, and those of one forecast.
	dl, db, dy []float64
	ds         [][]float64
	factor     []float64
}

func newWork(y []float64, f Form) *work {
	w := &work{Form: f, y: make([]float64, len(y)), p: f.states()}
	for _, v := range y {
		if !math.IsNaN(v) {
			w.centre, w.n = w.centre+v, w.n+1
		}
	}
	w.centre /= float64(w.n)
	for i, v := range y {
		w.y[i] = v - w.centre
	}
	w.a, w.factor, w.b = make([]float64, w.p*w.p), make([]float64, w.p*w.p), make([]float64, w.p)
	w.state, w.dl, w.db, w.dy = make([]float64, w.p), make([]float64, w.p), make([]float64, w.p), make([]float64, w.p)
	for range f.Season {
		w.ds = append(w.ds, make([]float64, w.p))
	}
	return w
}

// constantsOf maps any numbers to constants within the usual region: 0 < beta < alpha < 1, 0 < gamma < 1-alpha.
func (w *work) constantsOf(x []float64) *Model {
	m := &Model{Form: w.Form, Phi: 1}
	within := func(u, lo, hi float64) float64 { return lo + (hi-lo)/(1+math.Exp(-u)) }
	m.Alpha = within(x[0], lowest, highest)
	k := 1
	if w.Trend {
		m.Beta = within(x[k], lowest*m.Alpha, m.Alpha)
		k++
	}
	if w.Season > 0 {
		m.Gamma = within(x[k], lowest*(1-m.Alpha), 1-m.Alpha)
		k++
	}
	if w.Trend {
		m.Phi = within(x[k], minPhi, maxPhi)
	}
	return m
}

// errorsOf runs the recursion from states of 0 and, beside it, the derivatives of its forecasts by the initial states, and sums up the
// normal equations.
func (w *work) errorsOf(m *Model) {
	clear(w.a)
	clear(w.b)
	clear(w.dl)
	clear(w.db)
	w.uu = 0
	w.dl[0] = 1
	first := 1 // of the seasonal states
	if w.Trend {
		w.db[1] = 1
		first = 2
	}
	for k, d := range w.ds {
		clear(d)
		if k < w.Season-1 {
			d[first+k] = 1
		} else {
			for j := first; j < w.p; j++ {
				d[j] = -1
			}
		}
	}
	season := make([]float64, w.Season)
	level, slope := 0.0, 0.0
	for i, y := range w.y {
		u := y - level - m.Phi*slope
		var ds []float64
		if w.Season > 0 {
			ds = w.ds[i%w.Season]
			u -= season[i%w.Season]
		}
		known := !math.IsNaN(y)
		for k := range w.dy {
			w.dy[k] = w.dl[k] + m.Phi*w.db[k]
			w.dl[k] = w.dy[k]
			if ds != nil {
				w.dy[k] += ds[k]
			}
		}
		level, slope = level+m.Phi*slope, m.Phi*slope
		if !known {
			for k := range w.db {
				w.db[k] *= m.Phi
			}
			continue
		}
		level, slope = level+m.Alpha*u, slope+m.Beta*u
		if ds != nil {
			season[i%w.Season] += m.Gamma * u
		}
		w.uu += u * u
		for k, d := range w.dy {
			w.b[k] += u * d
			row := w.a[k*w.p : k*w.p+k+1]
			for j := range row {
				row[j] += d * w.dy[j]
			}
			w.dl[k] -= m.Alpha * d
			w.db[k] = m.Phi*w.db[k] - m.Beta*d
			if ds != nil {
				ds[k] -= m.Gamma * d
			}
		}
	}
}

// solve sets the states by Cholesky's factors; a state that the sales say nothing of is 0.
func (w *work) solve() {
	p := w.p
	for i := range p {
		for j := range i + 1 {
			s := w.a[i*p+j]
			for k := range j {
				s -= w.factor[i*p+k] * w.factor[j*p+k]
			}
			switch {
			case i != j && w.factor[j*p+j] == 0:
				s = 0
			case i != j:
				s /= w.factor[j*p+j]
			case s <= 1e-12*w.a[i*p+i]:
				s = 0
			default:
				s = math.Sqrt(s)
			}
			w.factor[i*p+j] = s
		}
	}
	for i := range p {
		s := w.b[i]
		for k := range i {
			s -= w.factor[i*p+k] * w.state[k]
		}
		w.state[i] = over(s, w.factor[i*p+i])
	}
	for i := p - 1; i >= 0; i-- {
		s := w.state[i]
		for k := i + 1; k < p; k++ {
			s -= w.factor[k*p+i] * w.state[k]
		}
		w.state[i] = over(s, w.factor[i*p+i])
	}
}

func over(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// loss is the logarithm of the squared error at constants x with the best initial states.
func (w *work) loss(x []float64) float64 {
	for _, v := range x {
		if math.Abs(v) > 30 {
			return math.Inf(1) // the constant is at its bound, and the search need not run on
		}
	}
	w.errorsOf(w.constantsOf(x))
	w.solve()
	sse := w.uu
	for k, b := range w.b {
		sse -= b * w.state[k]
	}
	return math.Log(max(sse, 1e-14*w.uu, math.SmallestNonzeroFloat64))
}

// search tries a grid, since the error may have several valleys, and goes down from its best point by the simplexes of Nelder and Mead.
func (w *work) search() []float64 {
	grid := [][]float64{{-4, -2, -1, 0, 1.5}}
	if w.Trend {
		grid = append(grid, []float64{-4, -1})
	}
	if w.Season > 0 {
		grid = append(grid, []float64{-5, -2})
	}
	if w.Trend {
		grid = append(grid, []float64{1.5})
	}
	best, at := math.Inf(1), make([]float64, len(grid))
	x, index := make([]float64, len(grid)), make([]int, len(grid))
	for done := false; !done; {
		for k := range x {
			x[k] = grid[k][index[k]]
		}
		if v := w.loss(x); v < best {
			best = v
			copy(at, x)
		}
		done = true
		for k := range index {
			if index[k]++; index[k] < len(grid[k]) {
				done = false
				break
			}
			index[k] = 0
		}
	}
	r, err := optimize.Minimize(optimize.Problem{Func: w.loss}, at, &optimize.Settings{
		MajorIterations: 60 * len(at), Converger: &optimize.FunctionConverge{Absolute: 1e-5, Iterations: 8},
	}, &optimize.NelderMead{SimplexSize: 0.7})
	if r == nil || err != nil && r.X == nil || r.F > best {
		return at
	}
	return r.X
}

// run follows the recursion from the initial states to the end of y and sums up the squared errors.
func (m *Model) run(y []float64, centre float64, state []float64) {
	m.level, m.slope, m.season = state[0]+centre, 0, make([]float64, m.Season)
	first := 1
	if m.Trend {
		m.slope = state[1]
		first = 2
	}
	if m.Season > 0 {
		for k, v := range state[first:] {
			m.season[k] = v
			m.season[m.Season-1] -= v
		}
	}
	m.SSE = 0
	for i, v := range y {
		m.level, m.slope = m.level+m.Phi*m.slope, m.Phi*m.slope
		if math.IsNaN(v) {
			continue
		}
		e := v - m.level
		if m.Season > 0 {
			e -= m.season[i%m.Season]
			m.season[i%m.Season] += m.Gamma * e
		}
		m.level, m.slope = m.level+m.Alpha*e, m.slope+m.Beta*e
		m.SSE += e * e
	}
	if m.Season > 0 {
		turned := make([]float64, m.Season)
		for k := range turned {
			turned[k] = m.season[(len(y)+k)%m.Season]
		}
		m.season = turned
	}
}

// Forecast writes the next len(dst) values.
func (m *Model) Forecast(dst []float64) {
	level, slope := m.level, m.slope
	for h := range dst {
		slope *= m.Phi
		level += slope
		dst[h] = level
		if m.Season > 0 {
			dst[h] += m.season[h%m.Season]
		}
	}
}

// Deviations writes the standard deviation of each of the next len(dst) values: that of the one-step errors times the root of one plus the
// squares of what each error before has moved the forecast (Hyndman et al., 2008, section 6.1).
func (m *Model) Deviations(dst []float64) {
	variance, moved, phi := 1.0, 0.0, 1.0
	for h := range dst {
		dst[h] = m.Sigma * math.Sqrt(variance)
		phi *= m.Phi
		moved += phi
		c := m.Alpha + m.Beta*moved
		if m.Season > 0 && (h+1)%m.Season == 0 {
			c += m.Gamma
		}
		variance += c * c
	}
}
