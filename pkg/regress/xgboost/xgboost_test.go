package xgboost_test

import (
	"context"
	"sync"
	"testing"

	"salescast/pkg/internal/dl"
	"salescast/pkg/regress/regresstest"
	"salescast/pkg/regress/xgboost"
)

// engine opens the library once for all tests, from memory. One thread: the suite runs its laws in parallel.
var engine = sync.OnceValues(func() (*xgboost.Engine, error) {
	lib, err := dl.NewLoader(dl.Config{Dir: dir}).Open(context.Background(), "xgboost")
	if err != nil {
		return nil, err
	}
	return xgboost.Open(lib, xgboost.Config{Threads: 1})
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
		Steps: map[string]string{"seed_per_iteration": "true"}, Sampled: map[string]string{"subsample": "0.7", "colsample_bytree": "0.7"},
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
	regresstest.Parity(t, open(t), "xgboost")
}
