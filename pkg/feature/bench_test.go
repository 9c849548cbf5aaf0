package feature_test

import (
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"salescast/pkg/feature"
	"salescast/pkg/panel"
)

// BenchmarkFill fills the training families for the rows of a direct member, by series and at random.
func BenchmarkFill(b *testing.B) {
	p := randomPanel(1, daily, 10, 6, 1215, 28)
	p.Covariates = append(p.Covariates[:1:1], panel.Covariate{Name: "holiday", Role: panel.KnownFuture, Values: p.Covariates[0].Values},
		panel.Covariate{Name: "bridge", Role: panel.KnownFuture, Values: p.Covariates[0].Values}, panel.Covariate{Name: "school", Role: panel.KnownFuture, Values: p.Covariates[0].Values})
	origin, _ := p.End()
	for _, u := range []struct {
		name string
		spec feature.Spec
	}{{"training", feature.Spec{}}, {"reference", feature.Spec{Families: []string{feature.Lag, feature.Rolling, feature.Date}}}} {
		plan, err := feature.NewPlan(u.spec, feature.Describe(p, origin, 28, ""))
		if err != nil {
			b.Fatal(err)
		}
		st, err := plan.NewState(p, nil)
		if err != nil {
			b.Fatal(err)
		}
		rows := randomRows(rand.New(rand.NewPCG(1, 1)), p, origin-28, 28, 80_000)
		sorted := slices.Clone(rows)
		slices.SortFunc(sorted, func(x, y feature.Row) int {
			if x.Series != y.Series {
				return int(x.Series - y.Series)
			}
			return int(x.Target - y.Target)
		})
		for _, o := range []struct {
			name string
			rows []feature.Row
		}{{"random", rows}, {"sorted", sorted}} {
			b.Run(u.name+"/"+o.name, func(b *testing.B) {
				var f panel.Frame
				scale := make([]float64, len(rows))
				b.ReportAllocs()
				before := cpuSeconds(b)
				for b.Loop() {
					if err := st.Fill(o.rows, feature.Recent, &f, scale); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric((cpuSeconds(b)-before)*1e9/float64(b.N*len(rows)), "cpu-ns/row")
				b.ReportMetric(float64(len(f.Names)), "columns")
			})
		}
	}
}

// BenchmarkNewState makes the memory of a panel.
func BenchmarkNewState(b *testing.B) {
	p := randomPanel(1, daily, 10, 6, 1215, 28)
	origin, _ := p.End()
	for _, u := range []struct {
		name string
		spec feature.Spec
	}{{"training", feature.Spec{}}, {"reference", feature.Spec{Families: []string{feature.Lag, feature.Rolling, feature.Date}}}} {
		plan, err := feature.NewPlan(u.spec, feature.Describe(p, origin, 28, ""))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(u.name, func(b *testing.B) {
			before := cpuSeconds(b)
			for b.Loop() {
				if _, err := plan.NewState(p, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric((cpuSeconds(b)-before)*1e9/float64(b.N*p.Rows()), "cpu-ns/row")
		})
	}
}

// cpuSeconds is the processor time of this process: on a busy machine the clock tells nothing.
func cpuSeconds(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// Filling allocates nothing once its memory is warm.
func TestFillDoesNotAllocate(t *testing.T) {
	p := randomPanel(1, daily, 2, 3, 500, 28)
	origin, _ := p.End()
	plan, err := feature.NewPlan(feature.Spec{Families: feature.Families()}, feature.Describe(p, origin, 28, "DE"))
	if err != nil {
		t.Fatal(err)
	}
	st, err := plan.NewState(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	rows := randomRows(rand.New(rand.NewPCG(1, 1)), p, origin, 28, 1000)
	var f panel.Frame
	scale := make([]float64, len(rows))
	if n := testing.AllocsPerRun(20, func() {
		if err := st.Fill(rows, feature.Recent, &f, scale); err != nil {
			t.Fatal(err)
		}
	}); n > 1 { // the collector may empty the pool of blocks
		t.Errorf("%v allocations per fill", n)
	}
}
