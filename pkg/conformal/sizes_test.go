package conformal_test

import (
	"context"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"salescast/pkg/conformal"
	"salescast/pkg/panel"
	"salescast/pkg/regress"
)

// byFlag predicts, for each value of the first column, the mean target that was seen under it.
type byFlag struct{}

func (byFlag) Fit(ctx context.Context, train regress.Source, _ *regress.Valid) (regress.Model, error) {
	sum, n := map[float32]float64{}, map[float32]float64{}
	for b, err := range train.Blocks(ctx) {
		if err != nil {
			return nil, err
		}
		for r, y := range b.Y {
			k := b.X.Column(0)[r]
			sum[k] += float64(y)
			n[k]++
		}
	}
	m := means{}
	for k := range sum {
		m[k] = float32(sum[k] / n[k])
	}
	return m, nil
}

type means map[float32]float32

func (m means) Predict(_ context.Context, x *panel.Frame, dst []float32) error {
	for r := range dst {
		dst[r] = m[x.Column(0)[r]] // 0 for a value that was not seen
	}
	return nil
}

func (means) Format() string                 { return "means" }
func (means) Save(io.Writer) error           { return nil }
func (means) Importance() ([]float64, error) { return nil, nil }
func (means) Close() error                   { return nil }

// flagged draws errors around a forecast of 100 whose size depends on a flag alone.
func flagged(seed uint64, size func(window, flag int) float64) (conformal.Errors, *panel.Frame) {
	r := rand.New(rand.NewPCG(seed, 7))
	var e conformal.Errors
	x := &panel.Frame{Names: []string{"flag"}}
	for w := range 3 {
		for s := range 5 {
			for h := 1; h <= 28; h++ {
				flag := (h + s) % 2
				e.Add(s, h, w, 100, 100+r.NormFloat64()*size(w, flag))
				x.Data = append(x.Data, float32(flag))
			}
		}
	}
	x.Rows = len(x.Data)
	return e, x
}

func fitSizes(t *testing.T, e conformal.Errors, x *panel.Frame) *conformal.Calibration {
	t.Helper()
	o := options()
	o.Features, o.Learner = x, func(int) (regress.Learner, error) { return byFlag{}, nil }
	c, err := conformal.Fit(t.Context(), e, 5, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What makes errors larger makes intervals wider, and they cover fresh errors with and without it.
func TestSizesWidenWhereErrorsAreLarge(t *testing.T) {
	t.Parallel()
	size := func(_, flag int) float64 { return 3 + 12*float64(flag) }
	e, x := flagged(1, size)
	c := fitSizes(t, e, x)
	if c.Sizes == nil || len(c.Sizes.Models()) != 3 {
		t.Fatalf("sizes %+v, want a model for each of 3 windows", c.Sizes)
	}
	factors := make([]float64, 2)
	if err := c.Sizes.Factors(t.Context(), &panel.Frame{Names: x.Names, Rows: 2, Data: []float32{0, 1}}, factors); err != nil {
		t.Fatal(err)
	}
	// What holds in every window is believed whole; the floor of small errors takes a little.
	if ratio := factors[1] / factors[0]; ratio < 4 || ratio > 6 {
		t.Errorf("errors 5 times as large make intervals %.2f times as wide", ratio)
	}
	if c.Sizes.Power != 1 || c.Sizes.Gain < 0.1 {
		t.Errorf("power %g with a gain of %g", c.Sizes.Power, c.Sizes.Gain)
	}
	fresh, fx := flagged(2, size)
	in := 0
	q := make([]float64, 28*len(levels))
	for i := range fresh.Series {
		h := int(fresh.Horizon[i])
		point, all := make([]float64, 28), make([]float64, 28)
		for k := range point {
			point[k], all[k] = 100, factors[int(fx.Data[i])]
		}
		c.Apply(int(fresh.Series[i]), point, all, q)
		row := q[(h-1)*len(levels) : h*len(levels)]
		if fresh.Actual[i] >= row[0] && fresh.Actual[i] <= row[6] {
			in++
		}
	}
	if share := float64(in) / float64(len(fresh.Series)); share < 0.93 || share > 0.99 {
		t.Errorf("95 %% intervals cover %.3f of fresh errors", share)
	}
}

// A window's own errors never shape its own scale: where a flag means something in one window alone, that window's errors stay as large
// beside their scale as they are, and the quantiles know of it.
func TestSizesAreCrossFitted(t *testing.T) {
	t.Parallel()
	learned := map[int]bool{}
	e, x := flagged(3, func(w, flag int) float64 {
		if w == 2 && flag == 1 {
			return 60
		}
		return 6
	})
	o := options()
	o.Features = x
	o.Learner = func(int) (regress.Learner, error) { return spying{e, x, learned, t}, nil }
	if _, err := conformal.Fit(t.Context(), e, 5, o); err != nil {
		t.Fatal(err)
	}
	for w := range 3 {
		if !learned[w] {
			t.Errorf("no model was learned without window %d", w)
		}
	}
}

// spying checks that what it is taught are the rows of all windows but one, and that it is then asked about that one.
type spying struct {
	e       conformal.Errors
	x       *panel.Frame
	learned map[int]bool
	t       *testing.T
}

func (l spying) Fit(ctx context.Context, train regress.Source, _ *regress.Valid) (regress.Model, error) {
	rows := len(l.e.Series) / 3
	if train.Rows() != 2*rows {
		l.t.Errorf("%d training rows, want those of two windows, %d", train.Rows(), 2*rows)
	}
	var y []float32
	for b, err := range train.Blocks(ctx) {
		if err != nil {
			return nil, err
		}
		y = append(y, b.Y...)
	}
	// Rows come in the order of the windows: the left out one shows where log errors, up to a constant per series, do not match.
	missing := -1
	for w := range 3 {
		worst := 0.0
		k := 0
		for i := range l.e.Series {
			if int(l.e.Window[i]) == w {
				continue
			}
			// All series have the same forecast and so a scale of their own alone; ratios within a series do not depend on it.
			first := k - k%28
			j := i - (int(l.e.Horizon[i]) - 1)
			got := float64(y[k] - y[first])
			want := logError(l.e, i) - logError(l.e, j)
			if y[k] > -2.9 && y[first] > -2.9 { // not at the floor of 0.05
				worst = max(worst, math.Abs(got-want))
			}
			k++
		}
		if worst < 1e-4 {
			missing = w
		}
	}
	if missing < 0 {
		l.t.Error("the training rows are not those of two whole windows")
	}
	l.learned[missing] = true
	return means{}, nil
}

func logError(e conformal.Errors, i int) float64 {
	return math.Log(math.Abs(e.Actual[i] - e.Forecast[i]))
}

// A flag that means nothing, or in each window something else, is left out; one that means the same in all is believed.
func TestSizesAreKeptWhereTheyHelp(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		size     func(w, flag int) float64
		low, top float64 // bounds of the power; both 0 where nothing is kept
	}{
		"nothing":         {func(int, int) float64 { return 5 }, 0, 0},
		"turns round":     {func(w, flag int) float64 { return 5 * math.Pow(4, float64(flag*(w%2*2-1))) }, 0, 0},
		"the same always": {func(_, flag int) float64 { return 5 + 15*float64(flag) }, 0.75, 1},
	} {
		e, x := flagged(8, c.size)
		z := fitSizes(t, e, x).Sizes
		switch {
		case z == nil && c.top > 0:
			t.Errorf("%s: nothing was kept", name)
		case z != nil && (z.Power < c.low || z.Power > c.top):
			t.Errorf("%s: power %g with a gain of %g, want %g to %g", name, z.Power, z.Gain, c.low, c.top)
		}
	}
}

// Of many rows some are learned from, the same each time, and the sizes stay what they are.
func TestSizesLearnFromSomeOfManyRows(t *testing.T) {
	t.Parallel()
	size := func(_, flag int) float64 { return 3 + 12*float64(flag) }
	e, x := conformal.Errors{}, &panel.Frame{Names: []string{"flag"}}
	for seed := range uint64(100) {
		more, mx := flagged(seed, size)
		for i := range more.Series {
			e.Add(int(more.Series[i]), int(more.Horizon[i]), int(more.Window[i]), more.Forecast[i], more.Actual[i])
		}
		x.Data, x.Rows = append(x.Data, mx.Data...), x.Rows+mx.Rows
	}
	o := options()
	o.Features = x
	most := 0
	o.Learner = func(int) (regress.Learner, error) { return counting{&most}, nil }
	var factors [2][]float64
	for k := range factors {
		c, err := conformal.Fit(t.Context(), e, 5, o)
		if err != nil {
			t.Fatal(err)
		}
		if c.Sizes == nil || most != 20_000 {
			t.Fatalf("sizes %+v, learned from %d of %d rows, want 20,000", c.Sizes, most, len(e.Series))
		}
		factors[k] = make([]float64, 2)
		if err := c.Sizes.Factors(t.Context(), &panel.Frame{Names: x.Names, Rows: 2, Data: []float32{0, 1}}, factors[k]); err != nil {
			t.Fatal(err)
		}
	}
	if ratio := factors[0][1] / factors[0][0]; ratio < 4 || ratio > 6 || !slices.Equal(factors[0], factors[1]) {
		t.Errorf("errors 5 times as large make intervals %.2f times as wide; factors %v", ratio, factors)
	}
}

// counting is byFlag that tells the most rows it was taught.
type counting struct{ most *int }

func (c counting) Fit(ctx context.Context, train regress.Source, v *regress.Valid) (regress.Model, error) {
	*c.most = max(*c.most, train.Rows())
	return byFlag{}.Fit(ctx, train, v)
}

// Few rows, one window or no learner leave the scale alone.
func TestSizesNeedRows(t *testing.T) {
	t.Parallel()
	e, x := flagged(4, func(int, int) float64 { return 5 })
	for i := range e.Window {
		e.Window[i] = 0
	}
	e.Windows = 1
	if c := fitSizes(t, e, x); c.Sizes != nil {
		t.Error("one window taught the size of its own errors")
	}
	c, err := conformal.Fit(t.Context(), e, 5, options())
	if err != nil || c.Sizes != nil {
		t.Errorf("without a learner: %+v, %v", c.Sizes, err)
	}
}
