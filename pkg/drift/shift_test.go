package drift_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"salescast/pkg/calendar"
	"salescast/pkg/drift"
	"salescast/pkg/panel"
)

const window = 28

// grid is a daily panel of as many series from step 0 on, with a covariate beside the sales.
func grid(series, steps int, value func(s, at int) (sale, price float32)) *panel.Panel {
	p := &panel.Panel{Frequency: calendar.Frequency{Unit: calendar.Daily}, Offsets: []int{0}, Keys: []panel.Key{{Name: "item"}}, Covariates: []panel.Covariate{{Name: "price", Role: panel.KnownFuture}}}
	for s := range series {
		p.Keys[0].Levels = append(p.Keys[0].Levels, fmt.Sprintf("I%04d", s))
		p.Keys[0].Codes = append(p.Keys[0].Codes, int32(s))
		p.Start = append(p.Start, 0)
		for at := range steps {
			sale, price := value(s, at)
			p.Target = append(p.Target, sale)
			p.Observed = append(p.Observed, sale == sale)
			p.Covariates[0].Values = append(p.Covariates[0].Values, price)
		}
		p.Offsets = append(p.Offsets, len(p.Target))
	}
	return p
}

// latest compares the last window of p with what came before it.
func latest(p *panel.Panel) []drift.Shift {
	end := calendar.Step(p.Rows()/p.Series() - 1)
	return compare(p, p, end)
}

// compare is of the last window of p up to end with the history before them.
func compare(history, p *panel.Panel, end calendar.Step) []drift.Shift {
	shifts, _ := drift.NewWindow(end-window, end, window).Compare(history, p, "sales")
	return shifts
}

// draw is of lognormal sales and of a price that is rarely reduced.
func draw(rng *rand.Rand) func(s, at int) (float32, float32) {
	return func(s, _ int) (float32, float32) {
		price := float32(2 + s)
		if rng.Float64() < 0.1 {
			price *= 0.8
		}
		return float32(float64(10*(s+1)) * math.Exp(0.4*rng.NormFloat64())), price
	}
}

// relative are the values of a column over the mean of their series in the history, the slow way; steps from to to.
func relative(p *panel.Panel, values []float32, end, from, to int) (known []float64, missing int) {
	for s := range p.Series() {
		lo, _ := p.Span(s)
		sum, n := 0.0, 0.0
		for at := range end + 1 {
			if v := float64(values[lo+at]); !math.IsNaN(v) {
				sum, n = sum+math.Abs(v), n+1
			}
		}
		for at := from; at <= to; at++ {
			if v := float64(values[lo+at]); math.IsNaN(v) {
				missing++
			} else if sum > 0 {
				known = append(known, v/(sum/n))
			} else {
				known = append(known, v)
			}
		}
	}
	return known, missing
}

// kolmogorov is the largest difference of the distribution functions of two samples, over every value there is.
func kolmogorov(a, b []float64) float64 {
	share := func(v []float64, x float64) float64 {
		n := 0.0
		for _, y := range v {
			if y <= x {
				n++
			}
		}
		return n / float64(len(v))
	}
	d := 0.0
	for _, x := range slices.Concat(a, b) {
		d = max(d, math.Abs(share(a, x)-share(b, x)))
	}
	return d
}

// stability is PSI over the deciles of a, each ended by the value at which a tenth more of a is passed.
func stability(a, b []float64, missingA, missingB int) float64 {
	sorted := slices.Sorted(slices.Values(a))
	var ends []float64
	for i := 1; i < 10; i++ {
		ends = append(ends, sorted[i*len(sorted)/10])
	}
	count := func(v []float64, missing int) (out [11]float64) {
		for _, x := range v {
			bin := 0
			for bin < 9 && x > ends[bin] {
				bin++
			}
			out[bin]++
		}
		out[10] = float64(missing)
		return out
	}
	p, q, sum := count(a, missingA), count(b, missingB), 0.0
	for i := range p {
		x, y := (p[i]+0.5)/(float64(len(a)+missingA)+5.5), (q[i]+0.5)/(float64(len(b)+missingB)+5.5)
		sum += (y - x) * math.Log(y/x)
	}
	return sum
}

// KS is that of all values to within one of the 256 cells, and PSI that of the deciles to within the tenth part of a bin.
func TestShiftsAreTheDistancesOfTheValues(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 1))
		usual, factor := draw(rng), float32(1+0.1*float64(seed))
		steps := 20*window + 1
		p := grid(5, steps, func(s, at int) (float32, float32) {
			sale, price := usual(s, at)
			if at >= steps-window {
				sale *= factor
				if at%5 == 0 {
					price = float32(math.NaN())
				}
			}
			return sale, price
		})
		end := steps - 1 - window
		got := latest(p)
		for c, values := range [][]float32{p.Target, p.Covariates[0].Values} {
			past, pastMissing := relative(p, values, end, 0, end)
			now, missing := relative(p, values, end, end+1, steps-1)
			if want := kolmogorov(past, now); math.Abs(float64(got[c].KS)-want) > 1.5/256 {
				t.Errorf("seed %d, %s: KS %v, the slow way %v", seed, got[c].Column, got[c].KS, want)
			}
			if c == 0 {
				if want := stability(past, now, pastMissing, missing); math.Abs(float64(got[c].PSI)-want) > 0.02+0.05*want {
					t.Errorf("seed %d, %s: PSI %v, the slow way %v", seed, got[c].Column, got[c].PSI, want)
				}
			}
			if want := float64(missing) / float64(len(now)+missing); float64(got[c].Missing) != want || got[c].Rows != 5*window {
				t.Errorf("seed %d, %s: %v of %d missing, want %v", seed, got[c].Column, got[c].Missing, got[c].Rows, want)
			}
			if got[c].Precedents != 19 {
				t.Errorf("%d precedents, 19 whole windows came before", got[c].Precedents)
			}
		}
	}
}

// A window like those before it is the farthest of all as often as any of them: once in n+1 times.
func TestTheLatestOfEqualWindowsIsRarelyTheFarthest(t *testing.T) {
	t.Parallel()
	const draws, before = 800, 19
	farthest := map[string]int{}
	for seed := range uint64(draws) {
		rng := rand.New(rand.NewPCG(seed, 2))
		for _, s := range latest(grid(3, (before+1)*window, draw(rng))) {
			if s.Precedents != before {
				t.Fatalf("%d precedents", s.Precedents)
			}
			if s.KS > s.PastKS {
				farthest["KS of "+s.Column]++
			}
			if s.PSI > s.PastPSI {
				farthest["PSI of "+s.Column]++
			}
		}
	}
	for what, n := range farthest {
		// 1 in 20 of 800 is 40; four standard deviations are 25.
		if n < 15 || n > 65 {
			t.Errorf("%s: the latest window was the farthest in %d of %d draws", what, n, draws)
		}
	}
	if len(farthest) != 4 {
		t.Errorf("counted %v", farthest)
	}
}

func TestShiftFindings(t *testing.T) {
	t.Parallel()
	limits := drift.Limits{KS: 0.1, PSI: 0.2}
	steps := 15 * window
	for _, c := range []struct {
		name   string
		change func(sale, price float32) (float32, float32)
		want   []string
	}{
		{"nothing", func(sale, price float32) (float32, float32) { return sale, price }, nil},
		{"half as much again", func(sale, price float32) (float32, float32) { return sale * 1.5, price }, []string{"sales"}},
		{"every day reduced", func(sale, price float32) (float32, float32) { return sale, price * 0.8 }, []string{"price"}},
		{"no price", func(sale, _ float32) (float32, float32) { return sale, float32(math.NaN()) }, []string{"price"}},
		{"no price, and nothing sold", func(float32, float32) (float32, float32) { return 0, float32(math.NaN()) }, []string{"sales", "price"}},
	} {
		rng := rand.New(rand.NewPCG(7, 3))
		usual := draw(rng)
		p := grid(10, steps, func(s, at int) (float32, float32) {
			sale, price := usual(s, at)
			if at >= steps-window {
				sale, price = c.change(sale, price)
			}
			return sale, price
		})
		var got []string
		for _, s := range latest(p) {
			if f, ok := s.Finding(limits); ok {
				got = append(got, f.Column)
				if f.Severity != drift.Watch || f.Value <= f.Limit {
					t.Errorf("%s: %+v", c.name, f)
				}
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: found in %v, want %v", c.name, got, c.want)
		}
	}
}

// The size of a series has no part in it, nor have series that the history lacks, the plan after the window, or the order of either.
func TestShiftsOfSeries(t *testing.T) {
	t.Parallel()
	steps := 12 * window
	end := calendar.Step(steps - 1)
	made := func(series int, size func(s int) float32) *panel.Panel {
		rng := rand.New(rand.NewPCG(4, 4))
		usual := draw(rng)
		return grid(series, steps+5, func(s, at int) (float32, float32) {
			sale, price := usual(s%6, at)
			return sale * size(s), price
		})
	}
	plain := made(6, func(int) float32 { return 1 })
	want := compare(plain, plain, end)
	big := made(6, func(s int) float32 { return float32(int(1) << s) })
	more := made(9, func(int) float32 { return 1 })
	for name, got := range map[string][]drift.Shift{
		"sizes":       compare(big, big, end),
		"order":       compare(plain, plain.Pick([]int{3, 0, 5, 1, 2, 4}), end),
		"more series": compare(plain, more, end),
	} {
		for c := range want {
			if got[c] != want[c] {
				t.Errorf("%s: %+v, want %+v", name, got[c], want[c])
			}
		}
	}
	if _, unknown := drift.NewWindow(end-window, end, window).Compare(plain, more, "sales"); unknown != 3 {
		t.Errorf("%d series are unknown, 3 are", unknown)
	}
	short := compare(plain, plain, 6*window-1)
	if _, found := short[0].Finding(drift.Limits{}); found || short[0].Precedents != 5 {
		t.Errorf("five windows before are too few to say anything: %+v", short[0])
	}
	none := grid(2, 40, func(int, int) (float32, float32) { return 1, float32(math.NaN()) })
	empty := compare(none, none, 39)
	if empty[1].KS.Defined() || empty[0].KS != 0 || empty[1].Missing != 1 {
		t.Errorf("a column of which nothing is known: %+v", empty)
	}
}

// Rows are thinned out where there are many, and no day of the week is favoured.
func TestManyRows(t *testing.T) {
	t.Parallel()
	steps := 30 * window
	weekly := func(rng *rand.Rand) func(s, at int) (float32, float32) {
		return func(_, at int) (float32, float32) { return float32(1 + at%7 + rng.IntN(2)), 1 }
	}
	many := latest(grid(9_000, steps, weekly(rand.New(rand.NewPCG(1, 5)))))[0]
	if many.KS > 0.005 || many.Precedents != 29 {
		t.Errorf("%+v", many)
	}
}
