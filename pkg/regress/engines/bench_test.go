package engines_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"salescast/pkg/panel"
	"salescast/pkg/regress"
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

var nan = float32(math.NaN())

func BenchmarkPredict(b *testing.B) {
	train := table(50_000, 60, 0)
	for _, engine := range []string{"xgboost", "lightgbm"} {
		e := open(b, 2)
		model := fit(b, e, engine, train, map[string]string{"rounds": "300", "learning_rate": "0.05"})
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
	const rows = 70_000
	for _, missing := range []float64{0, 0.01} {
		train := table(rows, 60, missing)
		for _, engine := range []string{"xgboost", "lightgbm"} {
			b.Run(fmt.Sprintf("%s/%d/missing=%g", engine, rows, missing), func(b *testing.B) {
				e := open(b, 2)
				l, err := e.Learner(engine, map[string]string{"rounds": "100", "learning_rate": "0.1", "max_bin": "255"})
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
