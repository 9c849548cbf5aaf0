package prophettest

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"salescast/pkg/forecast/prophet"
	"salescast/tests/servers"
)

// TestPythonLoadsAndAgrees saves one model of every shape, has the Python package load them, and compares forecast and components.
func TestPythonLoadsAndAgrees(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(5, 6))
	const n, h, first = 800, 28, 18000
	base := func() (at, y []float64) {
		for i := range n + h {
			at = append(at, first+float64(i))
			y = append(y, 40+0.02*float64(i)+6*math.Sin(2*math.Pi*float64(i)/7)+2*rng.NormFloat64())
		}
		return at, y
	}
	write := func(name string, v any) {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	flag, price, caps, floor := make([]float64, n+h), make([]float64, n+h), make([]float64, n+h), make([]float64, n+h)
	for i := range flag {
		flag[i], price[i], caps[i], floor[i] = float64(rng.IntN(2)), 3+rng.Float64(), 90, 5
	}
	day := make([]bool, n+h)
	for i := range day {
		day[i] = i%2 == 0
	}
	shapes := map[string]struct {
		options func(*prophet.Options)
		times   prophet.Times
		columns map[string]any
		terms   []string
	}{
		"default": {func(*prophet.Options) {}, prophet.Times{}, nil, []string{"weekly", "yearly"}},
		"multiplicative": {func(o *prophet.Options) {
			o.SeasonalityMode = prophet.Multiplicative
			o.Regressors = []prophet.Regressor{{Name: "promo"}, {Name: "price", Mode: prophet.Additive, PriorScale: 2}}
		}, prophet.Times{Regressors: [][]float64{flag, price}}, map[string]any{"promo": flag, "price": price}, []string{"promo", "price"}},
		"logistic": {func(o *prophet.Options) {
			o.Growth = prophet.Logistic
			o.Holidays = []prophet.Holiday{{Name: "fair", Days: []int{first + 30, first + 395, first + 760, first + n + 3}, Lower: -1, Upper: 2}}
		}, prophet.Times{Cap: caps, Floor: floor}, map[string]any{"cap": caps, "floor": floor}, []string{"fair", "holidays"}},
		"flat, custom season": {func(o *prophet.Options) {
			o.Growth, o.Yearly = prophet.Flat, prophet.Off
			o.Seasonalities = []prophet.Seasonality{{Name: "monthly", Period: 30.5, Order: 3, PriorScale: 5, Mode: prophet.Additive, Condition: "open"}}
		}, prophet.Times{Conditions: map[string][]bool{"open": day}}, map[string]any{"open": day}, []string{"monthly"}},
		"no changepoints, minmax": {func(o *prophet.Options) { o.NChangepoints, o.Scaling = 0, prophet.MinMax }, prophet.Times{}, nil, []string{"weekly"}},
	}
	for name, s := range shapes {
		o := prophet.DefaultOptions()
		s.options(&o)
		at, y := base()
		s.times.At = at
		m, err := prophet.Fit(t.Context(), o, cut(s.times, n), y[:n])
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		f, err := os.Create(filepath.Join(dir, name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Save(f); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		c, err := m.Predict(s.times)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := map[string][]float64{"yhat": c.Yhat, "trend": c.Trend}
		for _, term := range s.terms {
			if v := c.Terms[term]; v != nil {
				want[term] = v
			}
		}
		if s.columns == nil {
			s.columns = map[string]any{}
		}
		write(name+".ask", map[string]any{"at": at, "columns": s.columns})
		write(name+".want", want)
	}
	cmd := exec.CommandContext(t.Context(), servers.Tool(t, "venvs/prophet-1.5/bin/python"), "load.py", dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("load.py: %v", err)
	}
	var got struct {
		Models int
		Worst  float64
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("load.py printed %q: %v", out, err)
	}
	if got.Models != len(shapes) || got.Worst > 1e-6 {
		t.Errorf("%d models of %d, largest relative difference %g", got.Models, len(shapes), got.Worst)
	}
}

// cut is the first n times.
func cut(x prophet.Times, n int) prophet.Times {
	out := prophet.Times{At: x.At[:n]}
	if x.Cap != nil {
		out.Cap, out.Floor = x.Cap[:n], x.Floor[:n]
	}
	for _, r := range x.Regressors {
		out.Regressors = append(out.Regressors, r[:n])
	}
	for k, v := range x.Conditions {
		if out.Conditions == nil {
			out.Conditions = map[string][]bool{}
		}
		out.Conditions[k] = v[:n]
	}
	return out
}
