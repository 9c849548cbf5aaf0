package prophet

import (
	"math"

	"gonum.org/v1/gonum/mat"
)

// quadratic is 1/2 x'(Q + v R)x - b'x + v sum_p |x_p|/tau, the penalised least squares of one Gauss-Newton step at noise variance v:
// Q is J'J, b is J'(residual + J x0), R the ridge of the normal priors. Parameters free[...] have no absolute-value penalty; the
// others, lasso[...], do.
type quadratic struct {
	q     *mat.SymDense
	b     []float64
	ridge []float64
	free  []int
	lasso []int
	tau   float64
}

// solve returns the minimiser at noise variance v. delta0 is a warm start for the lasso parameters; its signs are used.
func (z *quadratic) solve(v float64, delta0 []float64) []float64 {
	nf, nl := len(z.free), len(z.lasso)
	a := mat.NewSymDense(nf, nil)
	for i, p := range z.free {
		for j := i; j < nf; j++ {
			a.SetSym(i, j, z.q.At(p, z.free[j]))
		}
		a.SetSym(i, i, a.At(i, i)+v*z.ridge[p])
	}
	var ch mat.Cholesky
	for jitter := 1e-12; !ch.Factorize(a); jitter *= 100 { // a ridge of v/prior^2 keeps it definite but for rounding
		for i := range nf {
			a.SetSym(i, i, a.At(i, i)+jitter*(1+a.At(i, i)))
		}
	}
	bf := mat.NewVecDense(nf, nil)
	for i, p := range z.free {
		bf.SetVec(i, z.b[p])
	}
	var w mat.VecDense // A^-1 bf
	_ = ch.SolveVecTo(&w, bf)
	delta := make([]float64, nl)
	var c mat.Dense // A^-1 Q_fl
	if nl > 0 {
		qfl := mat.NewDense(nf, nl, nil)
		for i, p := range z.free {
			for j, l := range z.lasso {
				qfl.Set(i, j, z.q.At(p, l))
			}
		}
		_ = ch.SolveTo(&c, qfl)
		// The free parameters are eliminated: what is left is a lasso in nl parameters.
		s := make([]float64, nl*nl)
		r := make([]float64, nl)
		for i, l := range z.lasso {
			for j, k := range z.lasso {
				t := z.q.At(l, k)
				for p := range nf {
					t -= qfl.At(p, i) * c.At(p, j)
				}
				s[i*nl+j] = t
			}
			r[i] = z.b[l]
			for p := range nf {
				r[i] -= qfl.At(p, i) * w.AtVec(p)
			}
		}
		copy(delta, delta0)
		featureSign(s, r, v/z.tau, delta)
	}
	x := make([]float64, nf+nl)
	for i, p := range z.free {
		t := w.AtVec(i)
		for j := range delta {
			t -= c.At(i, j) * delta[j]
		}
		x[p] = t
	}
	for j, l := range z.lasso {
		x[l] = delta[j]
	}
	return x
}

// featureSign minimises 1/2 x'Sx - r'x + lambda |x|_1 exactly; S is n x n, positive semidefinite, row-major. x is the start and the
// answer. Lee, Battle, Raina, Ng: "Efficient sparse coding algorithms", NIPS 2006, algorithm 1.
func featureSign(s, r []float64, lambda float64, x []float64) {
	n := len(x)
	sign := make([]float64, n)
	for i, v := range x {
		if v != 0 {
			sign[i] = math.Copysign(1, v)
		}
	}
	scale := lambda
	for _, v := range r {
		scale = max(scale, math.Abs(v))
	}
	tol := 1e-11 * scale
	grad := func(i int) float64 {
		g := -r[i]
		for j, v := range x {
			if v != 0 {
				g += s[i*n+j] * v
			}
		}
		return g
	}
	for range 20 * (n + 1) { // each pass lowers the objective strictly, so signs cannot repeat; the bound is for rounding
		if !signStep(s, r, lambda, x, sign, n) {
			best, at := lambda+tol, -1
			for i := range n {
				if x[i] == 0 {
					if g := math.Abs(grad(i)); g > best {
						best, at = g, i
					}
				}
			}
			if at < 0 {
				return
			}
			sign[at] = -math.Copysign(1, grad(at))
			signStep(s, r, lambda, x, sign, n)
		}
	}
}

// signStep moves the active parameters (sign != 0) to the minimiser for their signs, or to the best point on the way at which one of
// them is zero. It reports whether a sign was lost, so that another step is due.
func signStep(s, r []float64, lambda float64, x, sign []float64, n int) bool {
	var act []int
	for i := range n {
		if sign[i] != 0 {
			act = append(act, i)
		}
	}
	if len(act) == 0 {
		return false
	}
	k := len(act)
	a := mat.NewSymDense(k, nil)
	b := mat.NewVecDense(k, nil)
	for i, p := range act {
		for j := i; j < k; j++ {
			a.SetSym(i, j, s[p*n+act[j]])
		}
		b.SetVec(i, r[p]-lambda*sign[p])
	}
	var ch mat.Cholesky
	for jitter := 1e-13; !ch.Factorize(a); jitter *= 100 {
		for i := range k {
			a.SetSym(i, i, a.At(i, i)+jitter*(1e-12+a.At(i, i)))
		}
	}
	var y mat.VecDense
	_ = ch.SolveVecTo(&y, b)
	// Along the way from x to y the objective is convex and piecewise quadratic: its least value is at y or where a sign changes.
	along := func(t float64) float64 {
		z := make([]float64, len(act))
		for i, p := range act {
			z[i] = x[p] + t*(y.AtVec(i)-x[p])
		}
		f := 0.0
		for i, p := range act {
			g := 0.0
			for j, q := range act {
				g += s[p*n+q] * z[j]
			}
			f += z[i]*(g/2-r[p]) + lambda*math.Abs(z[i])
		}
		return f
	}
	best, at := along(1), 1.0
	crossing := -1
	for i, p := range act {
		if x[p] == 0 || (x[p] > 0) == (y.AtVec(i) > 0) && y.AtVec(i) != 0 {
			continue
		}
		t := x[p] / (x[p] - y.AtVec(i))
		if f := along(t); f < best {
			best, at, crossing = f, t, p
		}
	}
	lost := false
	for i, p := range act {
		v := x[p] + at*(y.AtVec(i)-x[p])
		if at == 1 {
			v = y.AtVec(i)
		}
		if p == crossing {
			v = 0
		}
		if s := signOf(v); s != sign[p] {
			sign[p], lost = s, true
		}
		x[p] = v
	}
	return lost
}

func signOf(v float64) float64 {
	switch {
	case v > 0:
		return 1
	case v < 0:
		return -1
	}
	return 0
}
