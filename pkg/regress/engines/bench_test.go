package engines_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"salescast/pkg/panel"
	"salescast/pkg/regress"
	"salescast/pkg/regress/engines"
	"salescast/pkg/regress/regresstest"
)

// table returns a design matrix like that of daily sales: counts, ratios, codes and some missing values.
func table(rows, columns int, missing float64) *regresstest.Matrix {
	rng := rand.New(rand.NewPCG(uint64(rows), uint64(columns)))
	x := &panel.Frame{}
	m := &regresstest.Matrix{X: x, BlockRows: 8192, Y: make([]float32, rows)}
	for c := range columns {
		x.Names = append(x.Names, fmt.Sprintf("c%d", c))
		m.Cols = append(m.Cols, regress.Column{Name: x.Names[c], MayBeMissing: missing > 0})
	}
	x.Resize(rows)
	for c := range columns {
		for r, column := 0, x.Column(c); r < rows; r++ {
			switch c % 3 {
			case 0:
				column[r] = float32(rng.IntN(100))
			case 1:
				column[r] = float32(rng.NormFloat64())
			default:
				column[r] = float32(rng.IntN(7))
			}
			m.Y[r] += column[r] * float32(c%5) / 10
		}
	}
	for r := range m.Y {
		m.Y[r] += float32(rng.NormFloat64()) * 3
	}
	if missing > 0 {
		for i := range x.Data {
			if rng.Float64() < missing {
				x.Data[i] = nan
			}
		}
	}
	return m
}

func open(tb testing.TB, threads int) *engines.Engines {
	e := engines.New(engines.Config{EngineDir: regresstest.EngineDir(tb), CacheDir: tb.TempDir(), Threads: threads})
	tb.Cleanup(e.Close)
	return e
}

func fitted(tb testing.TB, e *engines.Engines, engine string, m regress.Source, params map[string]string) regress.Model {
	l, err := e.Learner(engine, params)
	if err != nil {
		tb.Fatal(err)
	}
	model, err := l.Fit(tb.Context(), m, nil)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = model.Close() })
	return model
}

func BenchmarkPredict(b *testing.B) {
	train := table(50_000, 60, 0)
	for _, engine := range []string{"xgboost", "lightgbm"} {
		e := open(b, 2)
		model := fitted(b, e, engine, train, map[string]string{"rounds": "300", "learning_rate": "0.05"})
		for _, rows := range []int{1, 28, 1680, 100_000} {
			x := table(rows, 60, 0).X
			dst := make([]float32, rows)
			b.Run(fmt.Sprintf("%s/%d", engine, rows), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := model.Predict(b.Context(), x, dst); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkFit(b *testing.B) {
	threads := cmp.Or(os.Getenv("THREADS"), "2")
	for _, rows := range []int{70_000} {
		for _, missing := range []float64{0, 0.01} {
			train := table(rows, 60, missing)
			for _, engine := range []string{"xgboost", "lightgbm"} {
				b.Run(fmt.Sprintf("%s/%d/missing=%g", engine, rows, missing), func(b *testing.B) {
					e := open(b, 2)
					l, err := e.Learner(engine, map[string]string{"rounds": "100", "learning_rate": "0.1", "max_bin": "255", "nthread": threads})
					if err != nil {
						b.Fatal(err)
					}
					for b.Loop() {
						model, err := l.Fit(b.Context(), train, nil)
						if err != nil {
							b.Fatal(err)
						}
						model.Close()
					}
				})
			}
		}
	}
}
