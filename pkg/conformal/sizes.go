package conformal

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"

	"salescast/pkg/panel"
	"salescast/pkg/regress"
)

// Sizes says how the size of errors depends on what is known of a step, beside its series, forecast and horizon, where that makes the errors
// of other windows likelier. It has one model for
// each window, learned from the others, so that a window's own errors never shape its own scale: the scale would fit them too well, and
// the quantiles of what is left would be too narrow for errors that were not seen.
type Sizes struct {
	// Columns are the features, in their order.
	Columns []string `json:"columns"`
	// Centres are the mean predictions of the models on their own rows, which are taken out.
	Centres []float64 `json:"centres"`
	// Power is that to which factors are raised: the one that makes errors of windows that the models did not see the likeliest.
	Power float64 `json:"power"`
	// Gain is the mean log-likelihood that the factors so add to such an error.
	Gain   float64 `json:"gain"`
	models []regress.Model
}

const (
	// sizeRows is the number of rows below which nothing is learned.
	sizeRows = 200
	// learnRows is the most rows that a model of sizes learns from: more cost time and gained nothing.
	learnRows = 20_000
	// minSize is the floor of a standardised error before its logarithm.
	minSize = 0.05
)

// sizePowers are the powers to which learned factors may be raised: how much of what was seen persists.
var sizePowers = []float64{0.25, 0.5, 0.75, 1}

// Models are the fitted models; they stay the Sizes'.
func (z *Sizes) Models() []regress.Model { return z.models }

// Restore takes models that were saved, which the Sizes owns from then on.
func (z *Sizes) Restore(models []regress.Model) error {
	if len(models) == 0 || len(models) != len(z.Centres) {
		return fmt.Errorf("restore the sizes of errors: %d models for %d centres", len(models), len(z.Centres))
	}
	z.models = models
	return nil
}

// Close frees the models; z may be nil.
func (z *Sizes) Close() error {
	if z == nil {
		return nil
	}
	errs := make([]error, len(z.models))
	for i, m := range z.models {
		errs[i] = m.Close()
	}
	return errors.Join(errs...)
}

// Factors writes, for each row of x, the factor of its scale: the mean over all models.
func (z *Sizes) Factors(ctx context.Context, x *panel.Frame, dst []float64) error {
	if !slices.Equal(x.Names, z.Columns) {
		return fmt.Errorf("sizes of errors: the columns are %v, want %v", x.Names, z.Columns)
	}
	clear(dst)
	y := make([]float32, x.Rows)
	for k, m := range z.models {
		if err := m.Predict(ctx, x, y); err != nil {
			return fmt.Errorf("sizes of errors: %w", err)
		}
		for i, v := range y {
			dst[i] += (float64(v) - z.Centres[k]) / float64(len(z.models))
		}
	}
	for i := range dst {
		dst[i] = math.Exp(z.Power * dst[i])
	}
	return nil
}

// fitSizes learns from the errors' rows x and multiplies each sigma by what the model of the other windows says of it.
func (c *Calibration) fitSizes(ctx context.Context, e Errors, sigma []float64, o Options) (err error) {
	x := o.Features
	if o.Learner == nil || len(e.Series) < sizeRows || e.Windows < 2 {
		return nil
	}
	if x.Rows != len(sigma) {
		return fmt.Errorf("learn the sizes of errors: %d rows of features for %d errors", x.Rows, len(sigma))
	}
	learner, err := o.Learner(min(len(sigma), learnRows*e.Windows/max(1, e.Windows-1)))
	if err != nil {
		return fmt.Errorf("learn the sizes of errors: %w", err)
	}
	z := &Sizes{Columns: x.Names}
	defer func() {
		if err != nil {
			err = errors.Join(err, z.Close())
		}
	}()
	y := make([]float32, len(sigma))
	for i := range y {
		y[i] = float32(math.Log(max(math.Abs(e.Actual[i]-e.Forecast[i])/sigma[i], minSize)))
	}
	own := make([]float64, len(sigma))
	for w := range e.Windows {
		var in, out []int
		for i, v := range e.Window {
			if int(v) == w {
				out = append(out, i)
			} else {
				in = append(in, i)
			}
		}
		if len(in) < sizeRows/2 || len(out) == 0 {
			continue
		}
		in = some(in, learnRows)
		train := Rows(x, in)
		m, err := learner.Fit(ctx, sizeSource{train, pick(y, in)}, nil)
		if err != nil {
			return fmt.Errorf("learn the sizes of errors: %w", err)
		}
		z.models = append(z.models, m)
		fitted, unseen := make([]float32, len(in)), make([]float32, len(out))
		if err := errors.Join(m.Predict(ctx, train, fitted), m.Predict(ctx, Rows(x, out), unseen)); err != nil {
			return fmt.Errorf("learn the sizes of errors: %w", err)
		}
		centre := 0.0
		for _, v := range fitted {
			centre += float64(v) / float64(len(fitted))
		}
		z.Centres = append(z.Centres, centre)
		for k, i := range out {
			own[i] = float64(unseen[k]) - centre
		}
	}
	if len(z.models) == 0 {
		return nil
	}
	for _, k := range sizePowers {
		if g := gained(e, sigma, own, k); g > z.Gain {
			z.Power, z.Gain = k, g
		}
	}
	if z.Gain <= 0 {
		return z.Close()
	}
	for i := range sigma {
		sigma[i] *= math.Exp(z.Power * own[i])
	}
	c.Sizes = z
	return nil
}

// some are at most n of rows, drawn by the same numbers each time, in their order.
func some(rows []int, n int) []int {
	if len(rows) <= n {
		return rows
	}
	r := rand.New(rand.NewPCG(uint64(len(rows)), uint64(n)))
	out := make([]int, 0, n)
	for k, i := range rows { // each with the chance that is left (Knuth's algorithm S)
		if r.IntN(len(rows)-k) < n-len(out) {
			out = append(out, i)
		}
	}
	return out
}

// Rows copies rows of a frame.
func Rows(x *panel.Frame, rows []int) *panel.Frame {
	out := &panel.Frame{Names: x.Names}
	out.Resize(len(rows))
	for c := range x.Names {
		from, to := x.Column(c), out.Column(c)
		for k, i := range rows {
			to[k] = from[i]
		}
	}
	return out
}

// Stack puts frames of the same columns one below the other.
func Stack(frames []*panel.Frame) *panel.Frame {
	out := &panel.Frame{}
	n := 0
	for _, x := range frames {
		out.Names, n = x.Names, n+x.Rows
	}
	out.Resize(n)
	at := 0
	for _, x := range frames {
		for c := range x.Names {
			copy(out.Column(c)[at:], x.Column(c))
		}
		at += x.Rows
	}
	return out
}

func pick(y []float32, rows []int) []float32 {
	out := make([]float32, len(rows))
	for k, i := range rows {
		out[k] = y[i]
	}
	return out
}

// sizeSource is a design matrix in memory.
type sizeSource struct {
	x *panel.Frame
	y []float32
}

func (s sizeSource) Columns() []regress.Column {
	out := make([]regress.Column, len(s.x.Names))
	for c, name := range s.x.Names {
		out[c] = regress.Column{Name: name, MayBeMissing: true}
	}
	return out
}

func (s sizeSource) Rows() int { return s.x.Rows }

func (s sizeSource) Blocks(context.Context) iter.Seq2[regress.Block, error] {
	return func(yield func(regress.Block, error) bool) { yield(regress.Block{X: s.x, Y: s.y}, nil) }
}

// gained is the mean log-likelihood of errors, as those of Laplace's distribution, that the factors of logarithms own to a power add; the
// scale of both is the best for them.
func gained(e Errors, sigma, own []float64, power float64) float64 {
	var plain, sized, logs float64
	n := float64(len(sigma))
	for i := range sigma {
		u := math.Abs(e.Actual[i]-e.Forecast[i]) / sigma[i]
		plain += u / n
		sized += u * math.Exp(-power*own[i]) / n
		logs += power * own[i] / n
	}
	if plain <= 0 || sized <= 0 {
		return 0
	}
	return math.Log(plain) - math.Log(sized) - logs
}
