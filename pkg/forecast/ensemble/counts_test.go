package ensemble_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"salescast/pkg/backtest"
	"salescast/pkg/calendar"
	"salescast/pkg/forecast"
	"salescast/pkg/forecast/ensemble"
	"salescast/pkg/panel"
)

// seldom is a panel of series that sell now and then: some often, some next to never, some nothing at all, some only lately; of each how
// often and how much is drawn. Its forecasts are wrong on purpose.
func seldom(seed uint64, unit string) (*panel.Panel, ensemble.Points) {
	r := rand.New(rand.NewPCG(seed, 5))
	f, _, _ := calendar.ParseFrequency(unit)
	p := &panel.Panel{Frequency: f, Keys: []panel.Key{{Name: "part"}}, Offsets: []int{0}}
	steps, series := 90+r.IntN(200), 3+r.IntN(40)
	for s := range series {
		p.Keys[0].Levels, p.Keys[0].Codes = append(p.Keys[0].Levels, string(rune(0x4e00+s))), append(p.Keys[0].Codes, int32(s))
		start := 0
		if r.IntN(4) == 0 {
			start = r.IntN(steps - 1)
		}
		p.Start = append(p.Start, calendar.Step(start))
		often, size := r.Float64()*r.Float64(), math.Exp(2*r.NormFloat64())
		if r.IntN(6) == 0 {
			often = 0
		}
		for range steps - start {
			y := 0.0
			if r.Float64() < often {
				y = math.Ceil(size * r.ExpFloat64())
			}
			p.Target, p.Observed = append(p.Target, float32(y)), append(p.Observed, r.IntN(10) > 0)
		}
		p.Offsets = append(p.Offsets, len(p.Target))
	}
	return p, func(_ string, o calendar.Step) []float64 {
		r := rand.New(rand.NewPCG(seed, uint64(o)))
		out := make([]float64, series*horizon)
		for i := range out {
			out[i] = math.Exp(4 * r.NormFloat64())
			if r.IntN(3) == 0 {
				out[i] = 0
			}
		}
		return out
	}
}

// Whatever sells seldom, in whatever panel, from whatever origin and however wrong the forecasts of the past were: no quantile of a series
// with a past is beyond three times the most it ever sold, or the forecast where that is more; and they are in order around the median.
func TestNoQuantileIsUnthinkable(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		p, points := seldom(seed, []string{"D", "W", "M"}[seed%3])
		s, err := backtest.Origins(p, horizon, 2)
		if err != nil {
			t.Fatal(err)
		}
		set := ensemble.Settings{Candidates: []ensemble.Candidate{{Name: "a"}}, Levels: levels, NonNegative: true}
		for _, o := range append([]calendar.Step{s.End}, s.Test...) {
			f, err := ensemble.Fit(t.Context(), p, s, points, o, set)
			if err != nil {
				t.Fatal(err)
			}
			out, err := f.Predict(t.Context(), p, points, horizon, set)
			if err != nil {
				t.Fatal(err)
			}
			unthinkable(t, p, out)
		}
	}
}

func unthinkable(t *testing.T, p *panel.Panel, out *forecast.Prediction) {
	t.Helper()
	for s := range p.Series() {
		most := 0.0
		lo, hi := p.Span(s)
		for r := lo; r < hi && p.Start[s]+calendar.Step(r-lo) <= out.Origin; r++ {
			if p.Observed[r] {
				most = max(most, float64(p.Target[r]))
			}
		}
		for h := 1; h <= out.Horizon; h++ {
			i := out.At(s, h)
			q, f := out.QuantilesAt(i), out.Point[i]
			for k := range q {
				if k > 0 && q[k] < q[k-1] || q[k] < 0 || math.IsNaN(q[k]) {
					t.Fatalf("a forecast of %g has quantiles %v", f, q)
				}
			}
			if ensemble.Mature(p, s, out.Origin) && q[len(q)-1] > 3*max(most, f) {
				t.Fatalf("series %d sold %g at most and is forecast to sell %g; its quantiles are %v", s, most, f, q)
			}
		}
	}
}
