package golearn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"

	"github.com/sjwhitworth/golearn/trees"

	"salescast/pkg/panel"
	"salescast/pkg/regress"
	"salescast/pkg/regress/internal/boost"
)

// Format names what Save writes: one JSON object,
//
//	{"schema": "salescast.golearn/v1", "columns": [...], "medians": [...], "base": b, "gain": [...],
//	 "trees": [[{"column": c, "below": t, "left": i, "right": j}, {"leaf": v}, ...], ...]}
//
// A prediction is base plus one leaf of each tree. From node 0 a row goes to the node left if its value of column is below t, else to
// right; medians stand in for missing values.
const Format = "golearn.json"

const schema = "salescast.golearn/v1"

type model struct {
	Schema  string    `json:"schema"`
	Columns []string  `json:"columns"`
	Medians []float64 `json:"medians"`
	Base    float64   `json:"base"`
	// Gain is the sum over all splits of the sampled rows' squared error that they take away.
	Gain  []float64 `json:"gain"`
	Trees []tree    `json:"trees"`

	closed atomic.Bool
}

// tree is its nodes; the root is the first, and children come after their parent.
type tree []node

type node struct {
	Column int     `json:"column"`
	Below  float64 `json:"below"`
	Left   int     `json:"left,omitempty"`
	Right  int     `json:"right,omitempty"`
	Leaf   float64 `json:"leaf,omitempty"`
}

func (n node) isLeaf() bool { return n.Left == 0 }

// flatten copies golearn's nodes, whose type it does not export, scaling the leaves.
func flatten(t *trees.CARTDecisionTreeRegressor, rate float64) tree {
	out := tree{{}}
	queue, at := list(t.RootNode), []int{0}
	for len(queue) > 0 {
		n, i := queue[0], at[0]
		queue, at = queue[1:], at[1:]
		out[i] = node{Column: int(n.Feature), Below: n.Threshold, Left: len(out), Right: len(out) + 1}
		out = append(out, node{Leaf: rate * n.LeftPred}, node{Leaf: rate * n.RightPred})
		if n.Left != nil {
			queue, at = append(queue, n.Left), append(at, out[i].Left)
		}
		if n.Right != nil {
			queue, at = append(queue, n.Right), append(at, out[i].Right)
		}
	}
	return out
}

func list[T any](v ...T) []T { return v }

func (t tree) predict(row []float32) float64 {
	i := 0
	for !t[i].isLeaf() {
		if n := t[i]; float64(row[n.Column]) < n.Below {
			i = n.Left
		} else {
			i = n.Right
		}
	}
	return t[i].Leaf
}

// addGain adds to each column the variance between the two sides of its splits, over sampled rows whose residuals after the tree are y.
func (t tree) addGain(x [][]float64, y []float64, gain []float64) {
	count, sum := make([]float64, len(t)), make([]float64, len(t))
	for r := range y {
		var path []int
		i := 0
		for path = append(path, i); !t[i].isLeaf(); path = append(path, i) {
			if n := t[i]; float64(float32(x[n.Column][r])) < n.Below {
				i = n.Left
			} else {
				i = n.Right
			}
		}
		for _, p := range path {
			count[p]++
			sum[p] += y[r] + t[i].Leaf
		}
	}
	square := func(i int) float64 {
		if count[i] == 0 {
			return 0
		}
		return sum[i] * sum[i] / count[i]
	}
	for i, n := range t {
		if !n.isLeaf() {
			gain[n.Column] += max(0, square(n.Left)+square(n.Right)-square(i))
		}
	}
}

// Load opens a model that Save wrote.
func Load(r io.Reader) (regress.Model, error) {
	b, err := boost.ReadModel(r)
	if err != nil {
		return nil, fmt.Errorf("golearn: %w", err)
	}
	m := &model{}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("open a golearn model of %d bytes: %w", len(b), err)
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("open a golearn model: %w", err)
	}
	return m, nil
}

// check makes sure that every walk through a tree ends in it.
func (m *model) check() error {
	if m.Schema != schema {
		return fmt.Errorf("its schema is %q, not %q", m.Schema, schema)
	}
	if len(m.Columns) == 0 || len(m.Medians) != len(m.Columns) || len(m.Gain) != len(m.Columns) {
		return fmt.Errorf("it has %d columns, %d medians and %d gains", len(m.Columns), len(m.Medians), len(m.Gain))
	}
	for i, t := range m.Trees {
		if len(t) == 0 {
			return fmt.Errorf("tree %d is empty", i)
		}
		for j, n := range t {
			if !n.isLeaf() && (n.Left <= j || n.Right <= j || n.Left >= len(t) || n.Right >= len(t) || n.Column < 0 || n.Column >= len(m.Columns)) {
				return fmt.Errorf("node %d of tree %d points outside", j, i)
			}
		}
	}
	return nil
}

var errClosed = errors.New("the golearn model is closed")

// checkEvery is the number of rows after which the context is looked at.
const checkEvery = 4096

func (m *model) Predict(ctx context.Context, x *panel.Frame, dst []float32) error {
	if m.closed.Load() {
		return errClosed
	}
	if err := boost.CheckNames(m.Columns, x.Names); err != nil {
		return fmt.Errorf("predict with golearn: %w", err)
	}
	if err := boost.CheckFrame(x, len(m.Columns), 1, len(dst)); err != nil {
		return fmt.Errorf("predict with golearn: %w", err)
	}
	row := make([]float32, len(m.Columns))
	for r := range x.Rows {
		if r%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		for c := range row {
			v := x.Data[c*x.Rows+r]
			if v != v {
				v = float32(m.Medians[c])
			}
			row[c] = v
		}
		p := m.Base
		for _, t := range m.Trees {
			p += t.predict(row)
		}
		dst[r] = float32(p)
	}
	return ctx.Err()
}

func (m *model) Format() string { return Format }

// Save writes the JSON that Format describes.
func (m *model) Save(w io.Writer) error {
	if m.closed.Load() {
		return errClosed
	}
	return json.NewEncoder(w).Encode(m)
}

// Importance returns the gain of every column.
func (m *model) Importance() ([]float64, error) {
	if m.closed.Load() {
		return nil, errClosed
	}
	return slices.Clone(m.Gain), nil
}

func (m *model) Close() error {
	m.closed.Store(true)
	return nil
}
