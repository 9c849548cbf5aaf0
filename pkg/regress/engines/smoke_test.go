package engines_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"

	"salescast/pkg/panel"
	"salescast/pkg/regress"
	"salescast/pkg/regress/engines"
	"salescast/pkg/regress/regresstest"
)

var nan = float32(math.NaN())

func TestSmoke(t *testing.T) {
	e := engines.New(engines.Config{EngineDir: regresstest.EngineDir(t), CacheDir: t.TempDir(), Threads: 2, Log: func(e, m string) { t.Log(e, m) }})
	defer e.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	names := []string{"a", "b", "c", "d"}
	x := &panel.Frame{Names: names}
	x.Resize(5000)
	y := make([]float32, x.Rows)
	for r := range y {
		for c := range names {
			x.Column(c)[r] = rng.Float32()
		}
		x.Column(3)[r] = float32(rng.IntN(6))
		y[r] = 10*x.Column(0)[r] + x.Column(1)[r]*x.Column(1)[r] + x.Column(3)[r]
	}
	m := &regresstest.Matrix{X: x, Y: y, BlockRows: 999}
	for i, n := range names {
		m.Cols = append(m.Cols, regress.Column{Name: n, Categorical: i == 3})
	}
	for _, name := range []string{"xgboost", "lightgbm"} {
		l, err := e.Learner(name, map[string]string{"rounds": "60", "learning_rate": "0.2"})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range []*regress.Valid{nil, {Source: m, Patience: 5}} {
			model, err := l.Fit(t.Context(), m, v)
			if err != nil {
				t.Fatal(name, err)
			}
			p := make([]float32, x.Rows)
			if err := model.Predict(t.Context(), x, p); err != nil {
				t.Fatal(err)
			}
			var s float64
			for i := range p {
				s += math.Pow(float64(p[i]-y[i]), 2)
			}
			st, _ := e.Status(name)
			imp, err := model.Importance()
			t.Log(st, math.Sqrt(s/float64(len(p))), imp, err)
			sh := make([]float32, 5*x.Rows)
			if err := model.(regress.Contributor).Contributions(t.Context(), x, sh); err != nil {
				t.Fatal(err)
			}
			t.Log(sh[:5], sh[0]+sh[1]+sh[2]+sh[3]+sh[4], p[0])
			var b bytes.Buffer
			if err := model.Save(&b); err != nil {
				t.Fatal(err)
			}
			open, err := e.Open(model.Format())
			if err != nil {
				t.Fatal(err)
			}
			m2, err := open(&b)
			if err != nil {
				t.Fatal(err)
			}
			q := make([]float32, x.Rows)
			if err := m2.Predict(t.Context(), x, q); err != nil {
				t.Fatal(err)
			}
			for i := range p {
				if p[i] != q[i] {
					t.Fatal(i, p[i], q[i])
				}
			}
			model.Close()
			m2.Close()
		}
	}
	_, err := e.Learner("xgboost", map[string]string{"max_dept": "3"})
	t.Log(err)
	for _, n := range []string{"xgboost", "lightgbm"} {
		l, _ := e.Learner(n, map[string]string{"max_dept": "3"})
		_, err = l.Fit(t.Context(), m, nil)
		t.Log(err)
		l, _ = e.Learner(n, map[string]string{"objective": "foo"})
		_, err = l.Fit(t.Context(), m, nil)
		t.Log(err)
	}
}
