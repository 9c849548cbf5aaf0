package global

import (
	"context"
	"iter"
	"math"

	"salescast/pkg/calendar"
	"salescast/pkg/feature"
	"salescast/pkg/panel"
	"salescast/pkg/regress"
)

const (
	// blockRows is the number of rows that are filled at once.
	blockRows = 8192
	// keepBytes bounds the features that are kept between the engine's passes; larger matrices are filled anew in each.
	keepBytes = 48 << 20
	// maxRatio cuts the target of a ratio, and weights lie between minWeight and maxWeight: one row must not own the loss.
	maxRatio             = 20
	minWeight, maxWeight = 0.05, 20
	logFloor, logOffset  = 0.001, 0.02
)

// source is the design matrix of drawn rows. It is read by one engine at a time.
type source struct {
	state  *states
	kind   feature.ScaleKind
	rows   []feature.Row
	y, w   []float32
	frames []*panel.Frame // of all blocks, or none
	keep   bool
}

// newSource computes targets and weights; scales need no columns, so they come from a state of the empty plan.
func newSource(st *states, scales []float64, p *panel.Panel, origin calendar.Step, spec Spec, kind feature.ScaleKind, drawn sample) *source {
	s := &source{
		state: st, kind: kind, rows: drawn.rows, y: make([]float32, len(drawn.rows)), w: make([]float32, len(drawn.rows)),
		keep: len(drawn.rows)*len(st.plan.Names())*4 <= keepBytes,
	}
	logs := 0.0
	for _, v := range scales {
		logs += math.Log(v)
	}
	typical := math.Exp(logs / float64(max(len(scales), 1)))
	for i, r := range drawn.rows {
		row, _ := p.Row(int(r.Series), r.Target)
		s.y[i] = float32(spec.Target.forward(float64(p.Target[row]) / scales[i]))
		w := min(max(math.Sqrt(scales[i]/typical), minWeight), maxWeight)
		if !drawn.decayed {
			w *= decay(p.Frequency, origin-r.Target)
		}
		s.w[i] = float32(w)
	}
	return s
}

// forward is what the learner fits of a sale over its scale, and backward its inverse.
func (t Target) forward(ratio float64) float64 {
	if t == Log {
		return math.Log(max(ratio, logFloor) + logOffset)
	}
	return min(max(ratio, 0), maxRatio)
}

func (t Target) backward(y float64) float64 {
	if t == Log {
		return max(math.Exp(y)-logOffset, 0)
	}
	return max(y, 0)
}

func (s *source) Columns() []regress.Column { return s.state.plan.Learner() }

func (s *source) Rows() int { return len(s.rows) }

func (s *source) Blocks(ctx context.Context) iter.Seq2[regress.Block, error] {
	return func(yield func(regress.Block, error) bool) {
		var frame panel.Frame
		for lo := 0; lo < len(s.rows); lo += blockRows {
			if err := ctx.Err(); err != nil {
				yield(regress.Block{}, err)
				return
			}
			hi := min(lo+blockRows, len(s.rows))
			x := &frame
			if k := lo / blockRows; k < len(s.frames) {
				x = s.frames[k]
			} else {
				if s.keep {
					x = &panel.Frame{}
				}
				if err := s.state.Fill(s.rows[lo:hi], s.kind, x, nil); err != nil {
					yield(regress.Block{}, err)
					return
				}
				if s.keep {
					s.frames = append(s.frames, x)
				}
			}
			if !yield(regress.Block{X: x, Y: s.y[lo:hi], Weight: s.w[lo:hi]}, nil) {
				return
			}
		}
	}
}
