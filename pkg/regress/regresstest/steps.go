package regresstest

import (
	"bytes"
	"maps"
	"slices"
	"testing"

	"salescast/pkg/regress"
)

// steps are laws of engines whose trees grow in steps.
var steps = map[string]func(*testing.T, Engine){
	"steps give the bytes of one fit":            inSteps,
	"fits that take turns do not disturb others": taking,
	"bins of older rows serve newer ones":        olderBins,
	"what is watched is the same":                watched,
}

func bin(t *testing.T, b regress.Booster, s regress.Source, like regress.Bins) regress.Bins {
	t.Helper()
	bins, err := b.Bin(t.Context(), s, like)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closing(t, bins) })
	return bins
}

func closing(t *testing.T, c interface{ Close() error }) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func boost(t *testing.T, b regress.Booster, on regress.Bins) regress.Boosting {
	t.Helper()
	fit, err := b.Boost(t.Context(), on)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closing(t, fit) })
	return fit
}

// grown is what Save writes after so many rounds in all.
func grown(t *testing.T, fit regress.Boosting, steps ...int) []byte {
	t.Helper()
	for _, n := range steps {
		if _, err := fit.Grow(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	m, err := fit.Model()
	if err != nil {
		t.Fatal(err)
	}
	defer closing(t, m)
	return save(t, m)
}

func (e Engine) sampled(rounds string) []string {
	extra := []string{"rounds", rounds}
	for _, k := range slices.Sorted(maps.Keys(e.Sampled)) {
		extra = append(extra, k, e.Sampled[k])
	}
	return extra
}

func (e Engine) stepped(t *testing.T, rounds string) regress.Booster {
	t.Helper()
	b, ok := e.learner(t, e.sampled(rounds)...).(regress.Booster)
	if !ok {
		t.Fatal("the learner does not grow in steps")
	}
	return b
}

func inSteps(t *testing.T, e Engine) {
	s := Sales(2000, 3)
	b := e.stepped(t, "24")
	bins := bin(t, b, s, nil)
	if bins.Rows() != 2000 {
		t.Errorf("%d rows are binned, want 2000", bins.Rows())
	}
	extra := e.sampled("24")
	for _, k := range slices.Sorted(maps.Keys(e.Steps)) {
		extra = append(extra, k, e.Steps[k])
	}
	want := save(t, e.fit(t, s, extra...))
	for _, division := range [][]int{{24}, {1, 2, 21}, {8, 8, 8}, {23, 5}} {
		fit := boost(t, b, bins)
		if got := grown(t, fit, division...); !bytes.Equal(got, want) {
			t.Errorf("steps of %v rounds give other bytes than one fit", division)
		}
		if n, err := fit.Grow(t.Context(), 10); err != nil || n != 24 {
			t.Errorf("a finished fit has %d rounds, %v; want 24", n, err)
		}
	}
	// What was looked at in between is what a shorter fit gives, and does not change what follows.
	fit := boost(t, b, bins)
	part := predict(t, modelOf(t, fit, 10), s.X)
	if got := grown(t, fit, 14); !bytes.Equal(got, want) {
		t.Error("looking at a model changed the fit")
	}
	if short := predict(t, modelOf(t, boost(t, e.stepped(t, "10"), bins), 10), s.X); !slices.Equal(part, short) {
		t.Error("the first ten rounds of a fit are not those of a fit of ten rounds")
	}
}

func modelOf(t *testing.T, fit regress.Boosting, rounds int) regress.Model {
	t.Helper()
	if _, err := fit.Grow(t.Context(), rounds); err != nil {
		t.Fatal(err)
	}
	m, err := fit.Model()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closing(t, m) })
	return m
}

func taking(t *testing.T, e Engine) {
	b := e.stepped(t, "20")
	first, second := bin(t, b, Sales(1500, 4), nil), bin(t, b, Sales(1200, 5), nil)
	alone := [][]byte{grown(t, boost(t, b, first), 20), grown(t, boost(t, b, second), 20)}
	fits := []regress.Boosting{boost(t, b, first), boost(t, b, second)}
	for range 4 {
		for _, fit := range fits {
			if _, err := fit.Grow(t.Context(), 5); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, fit := range fits {
		if !bytes.Equal(grown(t, fit), alone[i]) {
			t.Errorf("fit %d gives other bytes beside another one", i)
		}
	}
}

func olderBins(t *testing.T, e Engine) {
	b := e.stepped(t, "40")
	bins := bin(t, b, Sales(3000, 6), bin(t, b, Sales(1500, 7), nil))
	test := Sales(1000, 8)
	if got := rmse(predict(t, modelOf(t, boost(t, b, bins), 40), test.X), test.Y); got > 2.5 {
		t.Errorf("root mean squared error on new rows is %.2f, want below 2.5", got)
	}
	weigh := func(m *Matrix) *Matrix {
		m.Weight = make([]float32, len(m.Y))
		for i := range m.Weight {
			m.Weight[i] = 0.5 + float32(i%3)
		}
		return m
	}
	weighted := bin(t, b, weigh(Sales(3000, 6)), bin(t, b, weigh(Sales(1500, 7)), nil))
	if got := rmse(predict(t, modelOf(t, boost(t, b, weighted), 40), test.X), test.Y); got > 2.5 {
		t.Errorf("with weights the root mean squared error on new rows is %.2f, want below 2.5", got)
	}
	other := Sales(10, 9)
	other.Cols[0].Name = "other"
	other.X.Names[0] = "other"
	if _, err := b.Bin(t.Context(), other, bins); err == nil {
		t.Error("bins of other columns were taken")
	}
}

func watched(t *testing.T, e Engine) {
	s := Sales(1500, 10)
	plain := e.learner(t, "rounds", "20")
	w, ok := plain.(regress.Watcher)
	if !ok {
		t.Fatal("the learner cannot be watched")
	}
	var rounds []int
	var losses []float64
	m, err := w.Watch(5, func(n int, loss float64) {
		rounds, losses = append(rounds, n), append(losses, loss)
	}).Fit(t.Context(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer closing(t, m)
	if !bytes.Equal(save(t, m), save(t, e.fit(t, s, "rounds", "20"))) {
		t.Error("watching changed the fit")
	}
	if !slices.Equal(rounds, []int{5, 10, 15, 20}) {
		t.Errorf("told after rounds %v", rounds)
	}
	if !slices.IsSortedFunc(losses, func(a, b float64) int {
		if a >= b {
			return -1
		}
		return 1
	}) {
		t.Errorf("the training loss does not fall: %v", losses)
	}
}
