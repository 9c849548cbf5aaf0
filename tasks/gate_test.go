package tasks

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"salescast/pkg/backtest"
	"salescast/pkg/calendar"
	"salescast/pkg/metric"
	"salescast/pkg/panel"
)

const gateDays = 120

// gatePanel has series of sales around 10.
func gatePanel(series int) *panel.Panel {
	r := rand.New(rand.NewPCG(1, 1))
	p := &panel.Panel{Frequency: calendar.Frequency{Unit: calendar.Daily}, Offsets: []int{0}, Keys: []panel.Key{{Name: "item"}}}
	for s := range series {
		p.Keys[0].Levels = append(p.Keys[0].Levels, fmt.Sprintf("i%02d", s))
		p.Keys[0].Codes = append(p.Keys[0].Codes, int32(s))
		p.Start = append(p.Start, 0)
		for range gateDays {
			p.Target, p.Observed = append(p.Target, float32(10+r.NormFloat64())), append(p.Observed, true)
		}
		p.Offsets = append(p.Offsets, len(p.Target))
	}
	return p
}

// contender forecasts p from origins, 14 days ahead, missing each sale by miss of (series, day).
func contender(p *panel.Panel, origins []calendar.Step, miss func(s, d int) float64) metric.Contender {
	out := &backtest.Predictions{Keys: p.Keys, Models: []string{"m"}}
	for _, o := range origins {
		for s := range p.Series() {
			for h := 1; h <= 14; h++ {
				row, _ := p.Row(s, o+calendar.Step(h))
				y := float64(p.Target[row])
				out.Model, out.Series, out.Horizon = append(out.Model, 0), append(out.Series, int32(s)), append(out.Horizon, int32(h))
				out.Cutoff, out.Date = append(out.Cutoff, p.Frequency.Day(o)), append(out.Date, p.Frequency.Day(o+calendar.Step(h)))
				out.Actual, out.Forecast = append(out.Actual, y), append(out.Forecast, y+miss(s, int(o)+h))
			}
		}
	}
	return metric.Contender{Predictions: out, Model: "m"}
}

func always(v float64) func(int, int) float64 { return func(int, int) float64 { return v } }

func TestGate(t *testing.T) {
	t.Parallel()
	p := gatePanel(30)
	origins := []calendar.Step{89, 103}
	reference := contender(p, origins, always(1))
	noise := rand.New(rand.NewPCG(2, 2))
	noisy := contender(p, origins, func(int, int) float64 { return 1 + 0.5*noise.NormFloat64() })
	// One series is much better, all others are a little worse: better in sum, and not so for others of its kind.
	lucky := contender(p, origins, func(s, _ int) float64 {
		if s == 0 {
			return 0.01
		}
		return 1.02
	})
	moved := contender(p, origins, always(1))
	moved.Predictions = moved.Predictions.Filter(func(i int) bool { s := moved.Predictions.Series[i]; return s < 3 })
	moved.Predictions.Keys = []panel.Key{{Name: "item", Levels: []string{"other", "i05", "i03"}, Codes: []int32{0, 1, 2}}}
	sold := contender(p, origins, always(1))
	sold.Predictions.Actual[7]++
	for _, c := range []struct {
		name      string
		gate      gate
		candidate metric.Contender
		reference metric.Contender
		better    bool
		reason    string
	}{
		{"better", gate{metric: "wape"}, contender(p, origins, always(0.8)), reference, true, "better"},
		{"better in all metrics", gate{metric: "rmsse"}, contender(p, origins, always(0.8)), reference, true, "rmsse"},
		{"better by less than the margin", gate{metric: "wape", margin: 0.25}, contender(p, origins, always(0.8)), reference, false, "not better by 25 %"},
		{"better by more than the margin", gate{metric: "mae", margin: 0.15}, contender(p, origins, always(0.8)), reference, true, "mae"},
		{"worse", gate{metric: "wape"}, contender(p, origins, always(1.2)), reference, false, "not better"},
		{"the same", gate{metric: "wape"}, reference, reference, false, "not better"},
		{"noise", gate{metric: "wape"}, lucky, reference, false, "no more than noise"},
		{"noise about the same", gate{metric: "mae"}, noisy, reference, false, ""},
		{"only the origins in common count", gate{metric: "wape"}, contender(p, []calendar.Step{75, 89}, func(_, d int) float64 {
			if d <= 89 {
				return 0 // where the reference forecast nothing
			}
			return 1.2
		}), reference, false, "not better"},
		{"other origins", gate{metric: "wape"}, contender(p, []calendar.Step{61}, always(0)), reference, false, "in common"},
		{"other sales", gate{metric: "wape"}, contender(p, origins, always(0)), sold, false, "same data"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v, err := c.gate.judge(p, c.candidate, c.reference)
			if err != nil {
				t.Fatal(err)
			}
			if v.Better != c.better || !strings.Contains(v.Reason, c.reason) {
				t.Errorf("better %v, %q; want %v, %q", v.Better, v.Reason, c.better, c.reason)
			}
		})
	}
	t.Run("series are known by their keys", func(t *testing.T) {
		t.Parallel()
		same, err := shared(contender(p, origins, always(1)), moved)
		if err != nil {
			t.Fatal(err)
		}
		if want := 2 * 2 * 14 * 2; same.Rows() != want { // i05 and i03, from both, two origins
			t.Fatalf("%d rows in common, want %d", same.Rows(), want)
		}
	})
	t.Run("one series is judged by its days", func(t *testing.T) {
		t.Parallel()
		one := gatePanel(1)
		v, err := gate{metric: "wape"}.judge(one, contender(one, origins, always(0.5)), contender(one, origins, always(1)))
		if err != nil || !v.Better || !strings.Contains(v.Reason, "over dates") {
			t.Errorf("%+v, %v", v, err)
		}
		v, err = gate{metric: "wape"}.judge(one, contender(one, origins[:1], always(0.5)), contender(one, origins, always(1)))
		if err != nil || v.Better || !strings.Contains(v.Reason, "too few") {
			t.Errorf("on one origin: %+v, %v", v, err)
		}
	})
	t.Run("unknown metric", func(t *testing.T) {
		t.Parallel()
		if _, err := (gate{metric: "bias"}).judge(p, reference, reference); KindOf(err) != KindConfig {
			t.Error(err)
		}
	})
}
