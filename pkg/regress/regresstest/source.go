package regresstest

import (
	"context"
	"iter"

	"salescast/pkg/panel"
	"salescast/pkg/regress"
)

// Matrix is a Source in memory: a small design matrix handed out in blocks of BlockRows rows.
type Matrix struct {
	Cols      []regress.Column
	X         *panel.Frame
	Y         []float32
	Weight    []float32
	BlockRows int
}

// Columns implements regress.Source.
func (m *Matrix) Columns() []regress.Column { return m.Cols }

// Rows implements regress.Source.
func (m *Matrix) Rows() int { return len(m.Y) }

// Blocks implements regress.Source. Every block reuses the memory of the one before, as the contract allows.
func (m *Matrix) Blocks(ctx context.Context) iter.Seq2[regress.Block, error] {
	return func(yield func(regress.Block, error) bool) {
		x := &panel.Frame{Names: m.X.Names}
		y, w := make([]float32, m.BlockRows), make([]float32, m.BlockRows)
		for lo := 0; lo < len(m.Y); lo += m.BlockRows {
			if err := ctx.Err(); err != nil {
				yield(regress.Block{}, err)
				return
			}
			hi := min(lo+m.BlockRows, len(m.Y))
			x.Resize(hi - lo)
			for c := range m.Cols {
				copy(x.Column(c), m.X.Column(c)[lo:hi])
			}
			b := regress.Block{X: x, Y: y[:copy(y, m.Y[lo:hi])]}
			if m.Weight != nil {
				b.Weight = w[:copy(w, m.Weight[lo:hi])]
			}
			if !yield(b, nil) {
				return
			}
		}
	}
}
