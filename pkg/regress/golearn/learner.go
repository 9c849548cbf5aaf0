package golearn

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/sjwhitworth/golearn/base"
	"github.com/sjwhitworth/golearn/trees"

	"salescast/pkg/regress"
	"salescast/pkg/regress/internal/boost"
)

// bins is the number of values that a column is cut to: golearn tries a split between any two, and for each of them goes over all rows of
// the node anew, so that time is the product of columns, bins and rows.
const bins = 10

type learner struct {
	rounds, depth, sample int
	rate                  float64
}

// NewLearner returns a learner. Its parameters: rounds (number of trees, 20), max_depth (4), learning_rate (0.3), sample_rows (600).
// The seed is accepted and changes nothing: the sample is evenly spaced.
func NewLearner(params map[string]string) (regress.Learner, error) {
	l := &learner{rounds: 20, depth: 4, sample: 600, rate: 0.3}
	p, err := boost.Parse(params, "")
	if err != nil {
		return nil, fmt.Errorf("golearn: %w", err)
	}
	whole := map[string]*int{"rounds": &l.rounds, "max_depth": &l.depth, "sample_rows": &l.sample}
	for _, k := range p.Keys {
		switch v := p.Values[k]; {
		case whole[k] != nil:
			if *whole[k], err = strconv.Atoi(v); err != nil || *whole[k] < 1 || *whole[k] > 100_000 {
				return nil, fmt.Errorf("golearn: parameter %s = %q: want a whole number from 1 to 100000", k, v)
			}
		case k == "learning_rate":
			if l.rate, err = strconv.ParseFloat(v, 64); err != nil || !(l.rate > 0 && l.rate <= 1) {
				return nil, fmt.Errorf("golearn: parameter %s = %q: want a number above 0, at most 1", k, v)
			}
		case k != "seed":
			return nil, fmt.Errorf("golearn does not know the parameter %s", k)
		}
	}
	return l, nil
}

func (l *learner) Fit(ctx context.Context, train regress.Source, valid *regress.Valid) (regress.Model, error) {
	m, err := l.fit(ctx, train, valid)
	if err != nil {
		return nil, fmt.Errorf("fit golearn's trees on %d rows: %w", train.Rows(), err)
	}
	return m, nil
}

func (l *learner) fit(ctx context.Context, train regress.Source, valid *regress.Valid) (*model, error) {
	if valid != nil {
		return nil, errors.New("early stopping is not supported")
	}
	if err := boost.CheckSource(train); err != nil {
		return nil, err
	}
	x, y, err := l.read(ctx, train)
	if err != nil {
		return nil, err
	}
	m := &model{Schema: schema, Gain: make([]float64, len(x))}
	for c, column := range train.Columns() {
		m.Columns = append(m.Columns, column.Name)
		m.Medians = append(m.Medians, impute(x[c]))
		coarsen(x[c])
	}
	m.Base = mean(y)
	for i := range y {
		y[i] -= m.Base
	}
	grid, target, err := instances(x, len(y))
	if err != nil {
		return nil, err
	}
	for range l.rounds {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if !l.grow(m, grid, target, x, y) {
			break
		}
	}
	return m, nil
}

// grow fits one tree to the residuals y, adds it to the model and takes its part out of y. It returns false if no split helps.
func (l *learner) grow(m *model, grid *base.DenseInstances, target base.AttributeSpec, x [][]float64, y []float64) bool {
	if slices.Min(y) == slices.Max(y) {
		return false
	}
	for i, v := range y {
		grid.Set(target, i, base.PackFloatToBytes(v))
	}
	t := trees.NewDecisionTreeRegressor(trees.MSE, int64(l.depth))
	if err := t.Fit(grid); err != nil { // cannot happen: the grid has one numeric class
		return false
	}
	if t.RootNode.Left == nil && t.RootNode.Right == nil && t.RootNode.LeftPred == mean(y) { // golearn found no split: its root is not one
		return false
	}
	tree := flatten(t, l.rate)
	row := make([]float32, len(x))
	for i := range y {
		for c := range x {
			row[c] = float32(x[c][i])
		}
		y[i] -= tree.predict(row)
	}
	m.Trees = append(m.Trees, tree)
	tree.addGain(x, y, m.Gain)
	return true
}

// read returns an evenly spaced sample of the rows, column by column, and their targets.
func (l *learner) read(ctx context.Context, s regress.Source) (x [][]float64, y []float64, err error) {
	x = make([][]float64, len(s.Columns()))
	n, first, next := min(l.sample, s.Rows()), 0, 0
	for b, err := range s.Blocks(ctx) {
		if err == nil {
			err = boost.CheckBlock(b, len(x), s.Rows()-first)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("read the design matrix: %w", err)
		}
		for ; next < n && next*s.Rows()/n < first+b.X.Rows; next++ {
			r := next*s.Rows()/n - first
			for c := range x {
				x[c] = append(x[c], float64(b.X.Column(c)[r]))
			}
			y = append(y, float64(b.Y[r]))
		}
		first += b.X.Rows
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	if first != s.Rows() {
		return nil, nil, fmt.Errorf("read the design matrix: it yields %d rows and announced %d", first, s.Rows())
	}
	return x, y, nil
}

// impute replaces NaN by the median of the other values, which it returns; 0 for a column of NaN.
func impute(column []float64) float64 {
	known := slices.DeleteFunc(slices.Clone(column), math.IsNaN)
	median := 0.0
	if len(known) > 0 {
		slices.Sort(known)
		median = known[len(known)/2]
	}
	for i, v := range column {
		if math.IsNaN(v) {
			column[i] = median
		}
	}
	return median
}

// coarsen replaces every value by the largest cut at or below it: the cuts are all values, or quantiles where there are more than bins.
func coarsen(column []float64) {
	cuts := slices.Clone(column)
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	if len(cuts) <= bins {
		return
	}
	sorted := slices.Clone(column)
	slices.Sort(sorted)
	cuts = cuts[:0]
	for b := range bins {
		cuts = append(cuts, sorted[b*len(sorted)/bins])
	}
	cuts = slices.Compact(cuts)
	for i, v := range column {
		at, found := slices.BinarySearch(cuts, v)
		if !found {
			at--
		}
		column[i] = cuts[at]
	}
}

// instances copies the columns into golearn's table and adds a target to be set.
func instances(x [][]float64, rows int) (*base.DenseInstances, base.AttributeSpec, error) {
	grid := base.NewDenseInstances()
	specs := make([]base.AttributeSpec, len(x))
	for c := range x {
		specs[c] = grid.AddAttribute(base.NewFloatAttribute(strconv.Itoa(c)))
	}
	class := base.NewFloatAttribute("target")
	target := grid.AddAttribute(class)
	if err := grid.AddClassAttribute(class); err != nil {
		return nil, target, err
	}
	if err := grid.Extend(rows); err != nil {
		return nil, target, err
	}
	for c := range x {
		for i, v := range x[c] {
			grid.Set(specs[c], i, base.PackFloatToBytes(v))
		}
	}
	return grid, target, nil
}

func mean(y []float64) float64 {
	s := 0.0
	for _, v := range y {
		s += v
	}
	return s / float64(len(y))
}
