package lightgbm_test

import (
	"bytes"
	"context"
	"math"
	"regexp"
	"sync"
	"testing"

	"salescast/pkg/internal/dl"
	"salescast/pkg/panel"
	"salescast/pkg/regress"
	"salescast/pkg/regress/lightgbm"
	"salescast/pkg/regress/regresstest"
)

// engine opens the library once for all tests, from memory. One thread: the suite runs its laws in parallel.
var engine = sync.OnceValues(func() (*lightgbm.Engine, error) {
	lib, err := dl.NewLoader(dl.Config{Dir: dir}).Open(context.Background(), "lightgbm")
	if err != nil {
		return nil, err
	}
	return lightgbm.Open(lib, lightgbm.Config{Threads: 1})
})

var dir string

var find sync.Once

func open(t *testing.T) regresstest.Engine {
	t.Helper()
	find.Do(func() { dir = regresstest.EngineDir(t) })
	e, err := engine()
	if err != nil {
		t.Fatal(err)
	}
	return regresstest.Engine{
		Learner: e.Learner, Open: e.Load, Rounds: true, Explains: true,
		Steps: map[string]string{"feature_pre_filter": "false"}, Sampled: map[string]string{"bagging_fraction": "0.7", "bagging_freq": "1", "feature_fraction": "0.7"},
		Params: map[string]string{"rounds": "40", "learning_rate": "0.2"},
		// Contributions are added up in float32 by this test and in another order by the engine.
		Tolerance: 1e-5,
	}
}

func TestContract(t *testing.T) {
	t.Parallel()
	regresstest.Run(t, open(t))
}

func TestPython(t *testing.T) {
	t.Parallel()
	regresstest.Parity(t, open(t), "lightgbm")
}

// A split that tells known values from missing ones has an infinite threshold, and the model that has it opens again.
func TestInfiniteThreshold(t *testing.T) {
	t.Parallel()
	e := open(t)
	x := &panel.Frame{Names: []string{"a", "b"}}
	x.Resize(400)
	m := &regresstest.Matrix{Cols: []regress.Column{{Name: "a", MayBeMissing: true}, {Name: "b"}}, X: x, Y: make([]float32, 400), BlockRows: 100}
	for i := range m.Y {
		x.Column(0)[i], x.Column(1)[i] = float32(i%7), float32(i%5)
		m.Y[i] = float32(i % 5)
		if i%3 == 0 {
			x.Column(0)[i] = float32(math.NaN())
			m.Y[i] += 10
		}
	}
	learner, err := e.Learner(e.Params)
	if err != nil {
		t.Fatal(err)
	}
	fitted, err := learner.Fit(t.Context(), m, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer fitted.Close()
	var b bytes.Buffer
	if err := fitted.Save(&b); err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`(?m)^threshold=.*\binf\b`).Match(b.Bytes()) {
		t.Fatal("no split of the model has an infinite threshold")
	}
	again, err := e.Open(&b)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
