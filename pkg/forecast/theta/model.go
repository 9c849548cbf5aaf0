package theta

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"

	"salescast/pkg/forecast"
)

const (
	// burn is the number of first errors that do not count: the states are still those of their start.
	burn = 3
	// minAlpha and maxAlpha bound the smoothing constant, as upstream does.
	minAlpha, maxAlpha = 0.1, 0.99
	// minHistory is the number of values below which three parameters cannot be told apart.
	minHistory = 8
)

// Model is one fitted series.
type Model struct {
	// Alpha is the smoothing constant, Level the initial level, Weight is 1-1/theta, in [0, 1).
	Alpha, Level, Weight float64
	// MSE is the mean squared one-step error after the first three, in units of the (deseasonalised) series.
	MSE float64
	// Sigma is the standard deviation of those errors.
	Sigma float64

	state   state
	n       int
	season  []float64 // of the next steps in turn; nil for none
	product bool      // season multiplies
}

// state is what the recursion carries: smoothed level, running mean, and the intercept and slope of the line through all values so far.
type state struct{ level, mean, a, b float64 }

// drift is the part of the one-step forecast that 1-1/theta weighs; i values were seen.
func (s state) drift(i int, alpha float64) float64 {
	p := math.Pow(1-alpha, float64(i))
	return s.a*p + s.b*(1-p*(1-alpha))/alpha
}

// next is the state after the i-th value (from 0), i >= 1.
func (s state) next(i int, y, alpha float64) state {
	n := float64(i)
	out := state{level: alpha*y + (1-alpha)*s.level, mean: (n*s.mean + y) / (n + 1)}
	out.b = ((n-1)*s.b + 6*(y-s.mean)/(n+1)) / (n + 2)
	out.a = out.mean - out.b*(n+2)/2
	return out
}

// Fit fits y, regular and without NaN, with a season of m steps where y shows one (m <= 1 for none).
func Fit(y []float64, m int) (*Model, error) {
	if len(y) < minHistory {
		return nil, errors.New("fewer than 8 values")
	}
	for _, v := range y {
		if v-v != 0 {
			return nil, errors.New("a value is not a finite number")
		}
	}
	out := &Model{n: len(y)}
	if seasonal(y, m) {
		var s []float64
		y, s, out.product = deseasonalise(y, m)
		out.season = make([]float64, m)
		for k := range out.season {
			out.season[k] = s[(len(y)+k)%m]
		}
	}
	f := func(alpha float64) float64 {
		mse, _, _ := given(y, alpha)
		return mse
	}
	out.Alpha = minimise(f, minAlpha, maxAlpha)
	out.MSE, out.Level, out.Weight = given(y, out.Alpha)
	out.run(y)
	return out, nil
}

// given returns the least mean squared error for a smoothing constant, with the level and weight that reach it.
func given(y []float64, alpha float64) (mse, level, weight float64) {
	// The error of step i is u_i - p_i*level - d_i*weight: u without either, p = (1-alpha)^i.
	var uu, up, ud, pp, pd, dd float64
	s := state{level: alpha * y[0], mean: y[0], a: y[0]}
	p := 1.0
	for i := 1; i < len(y); i++ {
		p *= 1 - alpha
		d := s.drift(i, alpha)
		if i >= burn {
			u := y[i] - s.level
			uu += u * u
			up += u * p
			ud += u * d
			pp += p * p
			pd += p * d
			dd += d * d
		}
		s = s.next(i, y[i], alpha)
	}
	sse := func(l, w float64) float64 { return uu - 2*l*up - 2*w*ud + l*l*pp + 2*l*w*pd + w*w*dd }
	// The weight is bounded; the function is convex, so the answer is inside or on an edge.
	const top = 1 - 1e-10
	best := math.Inf(1)
	try := func(l, w float64) {
		if v := sse(l, w); v < best {
			best, level, weight = v, l, w
		}
	}
	for _, w := range []float64{0, top} {
		if pp > 0 {
			try((up-w*pd)/pp, w)
		}
	}
	if det := pp*dd - pd*pd; det > 1e-14*pp*dd {
		if w := (ud*pp - up*pd) / det; w > 0 && w < top {
			try((up*dd-ud*pd)/det, w)
		}
	}
	return max(best, 0) / float64(len(y)-burn), level, weight
}

// run sets the last state and the spread of the errors.
func (m *Model) run(y []float64) {
	s := state{level: m.Alpha*y[0] + (1-m.Alpha)*m.Level, mean: y[0], a: y[0]}
	var e []float64
	for i := 1; i < len(y); i++ {
		if i >= burn {
			e = append(e, y[i]-s.level-m.Weight*s.drift(i, m.Alpha))
		}
		s = s.next(i, y[i], m.Alpha)
	}
	m.state = s
	mean, ss := 0.0, 0.0
	for _, v := range e {
		mean += v / float64(len(e))
	}
	for _, v := range e {
		ss += (v - mean) * (v - mean)
	}
	m.Sigma = math.Sqrt(ss / float64(len(e)-1))
}

// Forecast writes the next len(dst) values.
func (m *Model) Forecast(dst []float64) {
	s := m.state
	for h := range dst {
		y := s.level + m.Weight*s.drift(m.n+h, m.Alpha)
		dst[h] = m.reseason(y, h)
		s = s.next(m.n+h, y, m.Alpha)
	}
}

func (m *Model) reseason(y float64, h int) float64 {
	switch {
	case m.season == nil:
		return y
	case m.product:
		return y * m.season[h%len(m.season)]
	}
	return y + m.season[h%len(m.season)]
}

// Quantiles simulates samples futures of the fitted recursion with normal errors and returns, for each of horizon steps, one value per
// level, increasing where levels are.
func (m *Model) Quantiles(horizon int, levels []float64, samples int, seed uint64) []float64 {
	rng := rand.New(rand.NewPCG(seed, 0x2545f4914f6cdd1d))
	draws := make([]float64, horizon*samples)
	for k := range samples {
		s := m.state
		for h := range horizon {
			y := s.level + m.Weight*s.drift(m.n+h, m.Alpha) + rng.NormFloat64()*m.Sigma
			draws[h*samples+k] = m.reseason(y, h)
			s = s.next(m.n+h, y, m.Alpha)
		}
	}
	out := make([]float64, 0, horizon*len(levels))
	for h := range horizon {
		d := draws[h*samples : (h+1)*samples]
		slices.Sort(d)
		for _, l := range levels {
			out = append(out, forecast.SortedQuantile(d, l))
		}
	}
	return out
}

// minimise searches a grid and then closes in around its best point by golden sections: the error is smooth in the smoothing constant
// and may have more than one valley.
func minimise(f func(float64) float64, lo, hi float64) float64 {
	const grid = 40
	best, at := math.Inf(1), lo
	for i := range grid + 1 {
		x := lo + (hi-lo)*float64(i)/grid
		if v := f(x); v < best {
			best, at = v, x
		}
	}
	a, b := max(lo, at-(hi-lo)/grid), min(hi, at+(hi-lo)/grid)
	g := (math.Sqrt(5) - 1) / 2
	c, d := b-g*(b-a), a+g*(b-a)
	fc, fd := f(c), f(d)
	for range 40 {
		if fc < fd {
			b, d, fd = d, c, fc
			c = b - g*(b-a)
			fc = f(c)
		} else {
			a, c, fc = c, d, fd
			d = a + g*(b-a)
			fd = f(d)
		}
	}
	if x := (a + b) / 2; f(x) < best {
		return x
	}
	return at
}

// seasonal tests the autocorrelation at lag m at the 90 % level against the variance that the shorter lags explain, as the theta method
// has been applied since Assimakopoulos and Nikolopoulos (2000).
func seasonal(y []float64, m int) bool {
	if m < 4 || len(y) < 2*m {
		return false
	}
	mean := 0.0
	for _, v := range y {
		mean += v / float64(len(y))
	}
	var c0 float64
	for _, v := range y {
		c0 += (v - mean) * (v - mean)
	}
	if c0 == 0 {
		return false
	}
	r := func(k int) float64 {
		s := 0.0
		for i := k; i < len(y); i++ {
			s += (y[i] - mean) * (y[i-k] - mean)
		}
		return s / c0
	}
	sum := 0.0
	for k := 1; k < m; k++ {
		sum += r(k) * r(k)
	}
	return math.Abs(r(m))/math.Sqrt((1+2*sum)/float64(len(y))) > distuv.UnitNormal.Quantile(0.95)
}

// deseasonalise takes a classical decomposition: by division where all values are positive and no index is below 0.01, else by
// subtraction. season has m values, from the phase of y[0] on.
func deseasonalise(y []float64, m int) (out, season []float64, product bool) {
	product = slices.Min(y) > 0
	season = classical(y, m, product)
	if product && slices.Min(season) < 0.01 {
		product = false
		season = classical(y, m, false)
	}
	out = make([]float64, len(y))
	for i, v := range y {
		if product {
			out[i] = v / season[i%m]
		} else {
			out[i] = v - season[i%m]
		}
	}
	return out, season, product
}

// classical returns the mean of what a centred moving average leaves, by phase, normalised to mean 1 or 0.
func classical(y []float64, m int, product bool) []float64 {
	sum, n := make([]float64, m), make([]float64, m)
	half := m / 2
	for i := half; i+half < len(y); i++ {
		t := 0.0
		for j := -half; j <= half; j++ {
			w := 1.0
			if m%2 == 0 && (j == -half || j == half) {
				w = 0.5
			}
			t += w * y[i+j] / float64(m)
		}
		v := y[i] - t
		if product {
			v = y[i] / t
		}
		sum[i%m] += v
		n[i%m]++
	}
	mean := 0.0
	for k := range sum {
		sum[k] /= n[k]
		mean += sum[k] / float64(m)
	}
	for k := range sum {
		if product {
			sum[k] /= mean
		} else {
			sum[k] -= mean
		}
	}
	return sum
}
