package regresstest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"salescast/pkg/panel"
	"salescast/pkg/regress"
)

// Engine is what a regression engine offers to the suite.
type Engine struct {
	Learner func(params map[string]string) (regress.Learner, error)
	Open    regress.Open
	// Params fit the suite's data well and quickly.
	Params map[string]string
	// Rounds is true for engines that boost in rounds: they stop early, and between two rounds when the context ends.
	Rounds bool
	// Steps is what Fit must be told to give the bytes of a fit in steps; nil for engines that are no regress.Booster. Sampled makes the
	// engine draw rows and columns at random.
	Steps, Sampled map[string]string
	// Explains is true for engines whose models are regress.Contributors.
	Explains bool
	// Tolerance is the largest relative difference between a prediction and the sum of its contributions.
	Tolerance float64
}

// Run checks an engine against the contract of package regress.
func Run(t *testing.T, e Engine) {
	t.Helper()
	laws := map[string]func(*testing.T, Engine){
		"learns what is there to learn":                   learns,
		"the same rows give the same bytes":               deterministic,
		"a saved model predicts the same":                 roundTrip,
		"missing values are allowed":                      missing,
		"columns are checked by name":                     columns,
		"no rows give no predictions":                     noRows,
		"few rows and constant targets give the constant": constant,
		"a source that fails or lies is an error":         badSource,
		"a context that ends ends fitting and predicting": cancelled,
		"predictions and fits may run at once":            concurrent,
		"a closed model is an error":                      closed,
		"damaged models are errors":                       damaged,
		"parameters are checked":                          parameters,
		"importance finds the columns that matter":        importance,
		"contributions add up to the prediction":          contributions,
		"any column name survives saving":                 oddNames,
		"early stopping keeps the best round":             stopping,
	}
	if e.Steps != nil {
		maps.Copy(laws, steps)
	}
	for name, law := range laws {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			law(t, e)
		})
	}
}

// Sales makes a design matrix of rows in which the target is 3*level + weekday effect + noise, and the column "noise" says nothing.
func Sales(rows int, seed uint64) *Matrix {
	rng := rand.New(rand.NewPCG(seed, 1))
	x := &panel.Frame{Names: []string{"level", "weekday", "noise"}}
	x.Resize(rows)
	m := &Matrix{X: x, Y: make([]float32, rows), BlockRows: 333, Cols: []regress.Column{{Name: "level"}, {Name: "weekday", Categorical: true}, {Name: "noise"}}}
	effect := []float32{0, 8, 3, -4, 1, 9, -2}
	for r := range rows {
		level, day := rng.Float32()*10, rng.IntN(7)
		x.Column(0)[r], x.Column(1)[r], x.Column(2)[r] = level, float32(day), rng.Float32()
		m.Y[r] = 3*level + effect[day] + float32(rng.NormFloat64())
	}
	return m
}

func (e Engine) learner(t *testing.T, extra ...string) regress.Learner {
	t.Helper()
	params := maps.Clone(e.Params)
	for i := 0; i+1 < len(extra); i += 2 {
		params[extra[i]] = extra[i+1]
	}
	l, err := e.Learner(params)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (e Engine) fit(t *testing.T, s regress.Source, extra ...string) regress.Model {
	t.Helper()
	m, err := e.learner(t, extra...).Fit(t.Context(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func predict(t *testing.T, m regress.Model, x *panel.Frame) []float32 {
	t.Helper()
	p := make([]float32, x.Rows)
	if err := m.Predict(t.Context(), x, p); err != nil {
		t.Fatal(err)
	}
	return p
}

func save(t *testing.T, m regress.Model) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := m.Save(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func rmse(p, y []float32) float64 {
	var s float64
	for i := range p {
		s += math.Pow(float64(p[i]-y[i]), 2)
	}
	return math.Sqrt(s / float64(len(p)))
}

func learns(t *testing.T, e Engine) {
	m := e.fit(t, Sales(3000, 1))
	test := Sales(1000, 2)
	// The noise has a standard deviation of 1, the target one of about 9.8.
	if got := rmse(predict(t, m, test.X), test.Y); got > 2.5 {
		t.Errorf("root mean squared error on new rows is %.2f, want below 2.5", got)
	}
}

func deterministic(t *testing.T, e Engine) {
	s := Sales(2000, 3)
	if !bytes.Equal(save(t, e.fit(t, s)), save(t, e.fit(t, s))) {
		t.Error("two fits of the same rows are saved as different bytes")
	}
}

func roundTrip(t *testing.T, e Engine) {
	m, test := e.fit(t, Sales(2000, 4)), Sales(777, 5)
	saved := save(t, m)
	again, err := e.Open(bytes.NewReader(saved))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if again.Format() != m.Format() {
		t.Errorf("format %q becomes %q", m.Format(), again.Format())
	}
	if !slices.Equal(predict(t, m, test.X), predict(t, again, test.X)) {
		t.Error("the loaded model predicts differently")
	}
	if !bytes.Equal(saved, save(t, again)) {
		t.Error("the loaded model is saved as different bytes")
	}
}

func missing(t *testing.T, e Engine) {
	s := Sales(2000, 6)
	for i := range s.X.Data {
		if i%11 == 0 {
			s.X.Data[i] = float32(math.NaN())
		}
	}
	for i := range s.Cols {
		s.Cols[i].MayBeMissing = true
	}
	p := predict(t, e.fit(t, s), s.X)
	if i := slices.IndexFunc(p, func(v float32) bool { return math.IsNaN(float64(v)) }); i >= 0 {
		t.Errorf("row %d is predicted as NaN", i)
	}
	if got := rmse(p, s.Y); got > 6 {
		t.Errorf("root mean squared error is %.2f, want below 6", got)
	}
}

func columns(t *testing.T, e Engine) {
	s := Sales(500, 7)
	m := e.fit(t, s)
	dst := make([]float32, s.Rows())
	swapped := &panel.Frame{Names: []string{"weekday", "level", "noise"}, Rows: s.X.Rows, Data: s.X.Data}
	if err := m.Predict(t.Context(), swapped, dst); err == nil || !strings.Contains(err.Error(), `"weekday"`) {
		t.Errorf("swapped columns: error %v does not name the column", err)
	}
	short := &panel.Frame{Names: []string{"level", "weekday"}, Rows: s.X.Rows, Data: s.X.Data[:2*s.X.Rows]}
	if err := m.Predict(t.Context(), short, dst); err == nil {
		t.Error("a missing column is no error")
	}
	torn := &panel.Frame{Names: s.X.Names, Rows: s.X.Rows, Data: s.X.Data[:len(s.X.Data)-1]}
	if err := m.Predict(t.Context(), torn, dst); err == nil {
		t.Error("a frame whose data do not fill its rows is no error")
	}
	if err := m.Predict(t.Context(), s.X, dst[1:]); err == nil {
		t.Error("a destination that is too short is no error")
	}
}

func noRows(t *testing.T, e Engine) {
	s := Sales(500, 8)
	m := e.fit(t, s)
	if err := m.Predict(t.Context(), &panel.Frame{Names: s.X.Names}, nil); err != nil {
		t.Errorf("predicting no rows: %v", err)
	}
	empty := &Matrix{Cols: s.Cols, X: &panel.Frame{Names: s.X.Names}, BlockRows: 10}
	if m, err := e.learner(t).Fit(t.Context(), empty, nil); err == nil {
		_ = m.Close()
		t.Error("fitting no rows is no error")
	}
}

func constant(t *testing.T, e Engine) {
	for _, rows := range []int{1, 2, 500} {
		s := Sales(rows, 9)
		for i := range s.Y {
			s.Y[i] = 3.25
		}
		for _, v := range predict(t, e.fit(t, s), s.X) {
			if math.Abs(float64(v)-3.25) > 1e-3 {
				t.Fatalf("%d rows of target 3.25 are predicted as %v", rows, v)
			}
		}
	}
}

// broken is a source whose blocks go wrong in the n-th pass.
type broken struct {
	*Matrix
	mu     sync.Mutex
	passes int
	fail   int
	err    error // what to yield after the first block; nil leaves the last blocks out
}

func (b *broken) Blocks(ctx context.Context) iter.Seq2[regress.Block, error] {
	b.mu.Lock()
	b.passes++
	failing := b.passes == b.fail
	b.mu.Unlock()
	return func(yield func(regress.Block, error) bool) {
		n := 0
		for block, err := range b.Matrix.Blocks(ctx) {
			if n++; n > 1 && failing {
				if b.err != nil {
					yield(regress.Block{}, b.err)
				}
				return
			}
			if !yield(block, err) {
				return
			}
		}
	}
}

func badSource(t *testing.T, e Engine) {
	disk := errors.New("the disk is gone")
	for _, err := range []error{disk, nil} {
		for pass := 1; ; pass++ {
			s := &broken{Matrix: Sales(1000, 10), fail: pass, err: err}
			m, got := e.learner(t).Fit(t.Context(), s, nil)
			if s.passes < pass { // the engine reads fewer passes than that
				_ = m.Close()
				if pass == 1 {
					t.Error("the engine does not read its source")
				}
				break
			}
			if got == nil || m != nil || (err != nil && !errors.Is(got, err)) {
				t.Fatalf("pass %d goes wrong with %v: the fit answers %v", pass, err, got)
			}
		}
	}
	torn := Sales(1000, 10)
	torn.X = &panel.Frame{Names: torn.X.Names[:2], Rows: torn.X.Rows, Data: torn.X.Data[:2*torn.X.Rows]}
	if _, err := e.learner(t).Fit(t.Context(), &wrongShape{torn}, nil); err == nil {
		t.Error("blocks with a column too few are no error")
	}
}

// wrongShape yields the whole frame as it is.
type wrongShape struct{ *Matrix }

func (w *wrongShape) Blocks(context.Context) iter.Seq2[regress.Block, error] {
	return func(yield func(regress.Block, error) bool) { yield(regress.Block{X: w.X, Y: w.Y}, nil) }
}

// cancelling ends its context at the n-th block that it yields, counted over all passes.
type cancelling struct {
	*Matrix
	cancel context.CancelFunc
	at     int
}

func (c *cancelling) Blocks(ctx context.Context) iter.Seq2[regress.Block, error] {
	return func(yield func(regress.Block, error) bool) {
		for b, err := range c.Matrix.Blocks(ctx) {
			if c.at--; c.at == 0 {
				c.cancel()
			}
			if !yield(b, err) {
				return
			}
		}
	}
}

func cancelled(t *testing.T, e Engine) {
	for _, at := range []int{1, 4, 5} { // in the first block, at the end of a pass, in the next
		ctx, cancel := context.WithCancel(t.Context())
		m, err := e.learner(t).Fit(ctx, &cancelling{Matrix: Sales(4*333, 11), cancel: cancel, at: at}, nil)
		reached := ctx.Err() != nil
		cancel()
		if !reached { // the engine reads fewer blocks
			_ = m.Close()
		} else if m != nil || !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled at block %d: the fit answers a model %t, error %v", at, m != nil, err)
		}
	}
	if e.Rounds { // a million rounds take minutes: what ends them is the context
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		m, err := e.learner(t, "rounds", "1000000").Fit(ctx, Sales(500, 12), nil)
		cancel()
		if m != nil || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("cancelled between rounds: the fit answers a model %t, error %v", m != nil, err)
		}
	}
	m, x := e.fit(t, Sales(500, 12)), Sales(500, 12).X
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Predict(ctx, x, make([]float32, x.Rows)); !errors.Is(err, context.Canceled) {
		t.Errorf("predicting with a cancelled context answers %v", err)
	}
	if _, err := e.learner(t).Fit(ctx, Sales(500, 12), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("fitting with a cancelled context answers %v", err)
	}
}

func concurrent(t *testing.T, e Engine) {
	s, test := Sales(2000, 13), Sales(3000, 14)
	m := e.fit(t, s)
	want, saved := predict(t, m, test.X), save(t, m)
	l := e.learner(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			p := make([]float32, test.X.Rows)
			for range 3 {
				if err := m.Predict(t.Context(), test.X, p); err != nil || !slices.Equal(p, want) {
					t.Errorf("a prediction beside others differs (error %v)", err)
				}
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			m, err := l.Fit(t.Context(), s, nil)
			if err != nil {
				t.Error(err)
				return
			}
			var b bytes.Buffer
			if err := errors.Join(m.Save(&b), m.Close()); err != nil || !bytes.Equal(b.Bytes(), saved) {
				t.Errorf("a fit beside others differs (error %v)", err)
			}
		})
	}
	wg.Wait()
}

func closed(t *testing.T, e Engine) {
	s := Sales(500, 15)
	m, err := e.learner(t).Fit(t.Context(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Predict(t.Context(), s.X, make([]float32, s.Rows())); err == nil {
		t.Error("a closed model predicts")
	}
	if err := m.Save(io.Discard); err == nil {
		t.Error("a closed model saves")
	}
	if _, err := m.Importance(); err == nil {
		t.Error("a closed model answers its importance")
	}
}

func damaged(t *testing.T, e Engine) {
	saved := save(t, e.fit(t, Sales(500, 16)))
	for name, b := range map[string][]byte{
		"empty": {}, "text": []byte("hello"), "brace": []byte("{"), "json": []byte(`{"a":1}`), "half": saved[:len(saved)/2], "a tenth": saved[:len(saved)/10],
	} {
		if m, err := e.Open(bytes.NewReader(b)); err == nil {
			_ = m.Close()
			t.Errorf("a model that is %s opens", name)
		}
	}
	disk := errors.New("the disk is gone")
	if _, err := e.Open(io.MultiReader(bytes.NewReader(saved[:100]), failing{disk})); !errors.Is(err, disk) {
		t.Errorf("a reader that fails gives %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func parameters(t *testing.T, e Engine) {
	for _, extra := range []map[string]string{{"no_such_parameter": "1"}, {"rounds": "many"}, {"rounds": "0"}, {"": "1"}, {"seed": "1 2"}} {
		params := maps.Clone(e.Params)
		maps.Copy(params, extra)
		l, err := e.Learner(params)
		if err == nil {
			_, err = l.Fit(t.Context(), Sales(100, 17), nil)
		}
		if err == nil {
			t.Errorf("parameters %v are no error", extra)
			continue
		}
		for k := range extra {
			if !strings.Contains(err.Error(), k) {
				t.Errorf("the error for parameter %s does not name it: %v", k, err)
			}
		}
	}
}

func importance(t *testing.T, e Engine) {
	gain, err := e.fit(t, Sales(2000, 18)).Importance()
	if err != nil {
		t.Fatal(err)
	}
	if len(gain) != 3 || gain[0] < 10*gain[2] || gain[1] < 2*gain[2] || gain[2] < 0 {
		t.Errorf("importance of level, weekday, noise is %v", gain)
	}
}

func contributions(t *testing.T, e Engine) {
	m, test := e.fit(t, Sales(2000, 19)), Sales(300, 20)
	c, ok := m.(regress.Contributor)
	if ok != e.Explains {
		t.Fatalf("the model explains its predictions: %v, want %v", ok, e.Explains)
	}
	if !ok {
		return
	}
	per := len(test.Cols) + 1
	parts := make([]float32, per*test.Rows())
	if err := c.Contributions(t.Context(), test.X, parts); err != nil {
		t.Fatal(err)
	}
	for i, p := range predict(t, m, test.X) {
		var sum float64
		for _, v := range parts[i*per : (i+1)*per] {
			sum += float64(v)
		}
		if d := math.Abs(sum - float64(p)); d > e.Tolerance*math.Max(1, math.Abs(float64(p))) {
			t.Fatalf("row %d: contributions add up to %v, the prediction is %v", i, sum, p)
		}
	}
	if err := c.Contributions(t.Context(), test.X, parts[1:]); err == nil {
		t.Error("a destination that is too short is no error")
	}
}

func oddNames(t *testing.T, e Engine) {
	s := Sales(500, 21)
	s.X.Names = []string{`price [EUR], "net"`, "weekday\t1:{x}", "Menge größer=<5>"}
	for i, n := range s.X.Names {
		s.Cols[i].Name = n
	}
	m := e.fit(t, s)
	again, err := e.Open(bytes.NewReader(save(t, m)))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if !slices.Equal(predict(t, m, s.X), predict(t, again, s.X)) {
		t.Error("the loaded model predicts differently")
	}
}

func stopping(t *testing.T, e Engine) {
	if !e.Rounds {
		return
	}
	train, valid := Sales(300, 22), Sales(300, 23)
	kept := func(rounds, patience int) []byte {
		m, err := e.learner(t, "rounds", strconv.Itoa(rounds)).Fit(t.Context(), train, &regress.Valid{Source: valid, Patience: patience})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		return save(t, m)
	}
	stopped := kept(400, 10)
	if !bytes.Equal(stopped, kept(500, 10)) {
		t.Error("training that stopped early depends on how long it might have gone on")
	}
	var losses []float64
	for rounds := 1; rounds <= 160; rounds += 13 {
		m := e.fit(t, train, "rounds", strconv.Itoa(rounds))
		losses = append(losses, rmse(predict(t, m, valid.X), valid.Y))
	}
	m, err := e.Open(bytes.NewReader(stopped))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if got, best := rmse(predict(t, m, valid.X), valid.Y), slices.Min(losses); got > best*1.02 {
		t.Errorf("the kept model errs by %.4f on validation, the best of fixed rounds by %.4f", got, best)
	}
	if _, err := e.learner(t).Fit(t.Context(), train, &regress.Valid{Source: valid}); err == nil {
		t.Error("a patience of 0 is no error")
	}
	other := Sales(100, 24)
	other.Cols = slices.Clone(other.Cols)
	other.Cols[0].Name = "other"
	if _, err := e.learner(t).Fit(t.Context(), train, &regress.Valid{Source: other, Patience: 3}); err == nil || !strings.Contains(err.Error(), "other") {
		t.Errorf("a validation set with other columns: error %v does not name the column", err)
	}
}
