package regress_test

import (
	"context"
	"fmt"
	"iter"

	"salescast/pkg/panel"
	"salescast/pkg/regress"
	"salescast/pkg/regress/golearn"
)

// table is a Source of one block.
type table struct {
	x *panel.Frame
	y []float32
}

func (t table) Columns() []regress.Column { return []regress.Column{{Name: "promo"}} }
func (t table) Rows() int                 { return t.x.Rows }
func (t table) Blocks(context.Context) iter.Seq2[regress.Block, error] {
	return func(yield func(regress.Block, error) bool) { yield(regress.Block{X: t.x, Y: t.y}, nil) }
}

// A Learner fits rows that it may read several times; what comes out of it is a Model.
func ExampleLearner() {
	t := table{x: &panel.Frame{Names: []string{"promo"}}}
	t.x.Resize(400)
	for i := range t.x.Rows {
		promo := float32(i % 2)
		t.x.Column(0)[i] = promo
		t.y = append(t.y, 100+50*promo)
	}
	l, err := golearn.NewLearner(map[string]string{"rounds": "50"})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	m, err := l.Fit(ctx, t, nil)
	if err != nil {
		panic(err)
	}
	defer m.Close()
	x := &panel.Frame{Names: []string{"promo"}, Rows: 2, Data: []float32{0, 1}}
	sales := make([]float32, x.Rows)
	if err := m.Predict(ctx, x, sales); err != nil {
		panic(err)
	}
	fmt.Printf("%.0f without, %.0f with a promotion\n", sales[0], sales[1])
	// Output: 100 without, 150 with a promotion
}
