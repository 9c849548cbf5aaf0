package quality

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"salescast/pkg/panel"
)

// The isolation forest of Liu, Ting and Zhou (ICDM 2008) with the paper's sizes: 100 trees of 256 rows. It is not golearn's, because
// that one draws from the global generator, so that the same data would give another report each time, and never returns from NaN.
const (
	forestTrees = 100
	forestRows  = 256
	sampleRows  = 4096
	// unusualScore: scores lie between 0 and 1, about 0.5 for the ordinary.
	unusualScore = 0.72
)

// reservoir is a uniform sample of rows: Algorithm L of Li (1994), which draws a number per kept row and not per row.
type reservoir struct {
	rng   *rand.Rand
	rows  [][]float32
	names []string
	seen  int64
	next  int64
	w     float64
	cols  []string
}

func newReservoir(seed uint64) *reservoir {
	return &reservoir{rng: rand.New(rand.NewPCG(seed, 0x150)), w: 1}
}

// offer shows row r of series s; score is how far its sale is from the usual.
func (v *reservoir) offer(p *panel.Panel, s, r int, score float64) {
	v.seen++
	at := len(v.rows)
	if at == sampleRows {
		if v.seen < v.next {
			return
		}
		at = v.rng.IntN(sampleRows)
	} else {
		v.rows, v.names = append(v.rows, nil), append(v.names, "")
	}
	row := append(v.rows[at][:0], float32(score))
	for _, c := range p.Covariates {
		x := c.Values[r]
		if x != x {
			x = 0 // the forest compares; an absent value is an ordinary one
		}
		row = append(row, x)
	}
	lo, _ := p.Span(s)
	v.rows[at] = row
	v.names[at] = fmt.Sprintf("%s on %v", strings.Join(p.ID(s), " "), p.Frequency.Day(p.Start[s]+stepOf(r-lo)))
	if v.cols == nil {
		v.cols = []string{"distance from the usual sale"}
		for _, c := range p.Covariates {
			v.cols = append(v.cols, c.Name)
		}
	}
	if len(v.rows) == sampleRows {
		v.w *= math.Exp(math.Log(v.rng.Float64()) / sampleRows)
		v.next = v.seen + 1 + int64(math.Log(v.rng.Float64())/math.Log(1-v.w))
	}
}

type isolationNode struct {
	column      int
	threshold   float32
	left, right *isolationNode
	rows        int
}

func grow(rng *rand.Rand, rows [][]float32, depth int) *isolationNode {
	n := &isolationNode{column: -1, rows: len(rows)}
	if depth == 0 || len(rows) < 2 {
		return n
	}
	var splittable []int
	var lows, highs []float32
	for c := range rows[0] {
		lo, hi := rows[0][c], rows[0][c]
		for _, r := range rows {
			lo, hi = min(lo, r[c]), max(hi, r[c])
		}
		if lo < hi {
			splittable, lows, highs = append(splittable, c), append(lows, lo), append(highs, hi)
		}
	}
	if len(splittable) == 0 {
		return n
	}
	i := rng.IntN(len(splittable))
	c := splittable[i]
	t := lows[i] + (highs[i]-lows[i])*rng.Float32()
	if t >= highs[i] {
		t = lows[i]
	}
	at := 0
	for j := range rows {
		if rows[j][c] <= t {
			rows[at], rows[j] = rows[j], rows[at]
			at++
		}
	}
	n.column, n.threshold = c, t
	n.left, n.right = grow(rng, rows[:at], depth-1), grow(rng, rows[at:], depth-1)
	return n
}

// pathOf returns the depth of a row, with the paper's correction for what was not split further.
func (n *isolationNode) pathOf(row []float32) float64 {
	d := 0.0
	for n.column >= 0 {
		if row[n.column] <= n.threshold {
			n = n.left
		} else {
			n = n.right
		}
		d++
	}
	return d + meanPath(n.rows)
}

// meanPath is the mean depth of an unsuccessful search in a binary tree of n rows.
func meanPath(n int) float64 {
	switch {
	case n <= 1:
		return 0
	case n == 2:
		return 1
	}
	m := float64(n)
	return 2*(math.Log(m-1)+0.5772156649) - 2*(m-1)/m
}

// isolationScores returns a score per row.
func isolationScores(rng *rand.Rand, rows [][]float32) []float64 {
	depth := int(math.Ceil(math.Log2(forestRows)))
	take := min(forestRows, len(rows))
	sums := make([]float64, len(rows))
	order := slices.Clone(rows)
	for range forestTrees {
		for i := range take { // the first of a partial shuffle
			j := i + rng.IntN(len(order)-i)
			order[i], order[j] = order[j], order[i]
		}
		tree := grow(rng, slices.Clone(order[:take]), depth)
		for i, r := range rows {
			sums[i] += tree.pathOf(r)
		}
	}
	for i := range sums {
		sums[i] = math.Pow(2, -sums[i]/forestTrees/meanPath(take))
	}
	return sums
}

// varying counts the columns that have more than one value: with a single one there are no combinations, and outliers have their own rule.
func (v *reservoir) varying() int {
	n := 0
	for c := range v.cols {
		if slices.ContainsFunc(v.rows, func(r []float32) bool { return r[c] != v.rows[0][c] }) {
			n++
		}
	}
	return n
}

func (v *reservoir) report(found *Collector) {
	if len(v.rows) < 64 || v.varying() < 2 {
		return
	}
	scores := isolationScores(v.rng, v.rows)
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case scores[a] > scores[b]:
			return -1
		case scores[a] < scores[b]:
			return 1
		}
		return strings.Compare(v.names[a], v.names[b])
	})
	for _, i := range order {
		if scores[i] < unusualScore {
			break
		}
		var b strings.Builder
		fmt.Fprintf(&b, "%s (score %.2f):", v.names[i], scores[i])
		for c, name := range v.cols {
			fmt.Fprintf(&b, " %s %.3g", name, v.rows[i][c])
		}
		found.Add("unusual_rows", Place{Text: b.String()})
	}
}
