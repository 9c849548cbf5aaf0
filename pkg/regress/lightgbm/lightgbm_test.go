package lightgbm_test

import (
	"context"
	"sync"
	"testing"

	"salescast/pkg/internal/dl"
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
