package report

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"salescast/pkg/calendar"
	"salescast/pkg/metric"
	"salescast/pkg/report/reporttest"
)

// spoil puts figures of one kind in place of what was sold, forecast and scored.
func spoil(p *Page, r *rand.Rand, kind func(*rand.Rand) float64) {
	for i := range p.Panel.Target {
		p.Panel.Target[i] = float32(kind(r))
	}
	for _, column := range [][]float64{p.Backtest.Actual, p.Backtest.Forecast, p.Backtest.Quantiles, p.Forecast.Forecast, p.Forecast.Quantiles} {
		for i := range column {
			column[i] = kind(r)
		}
	}
	for i := range p.Importance[0].Features {
		p.Importance[0].Features[i].Gain = kind(r)
	}
	tables := append(append(append([][]metric.Scores{p.Evaluation.Overall}, p.Evaluation.ByHorizon...), p.Evaluation.BySeries...), p.Evaluation.ByOrigin...)
	for _, table := range tables {
		for i := range table {
			v := &table[i]
			for _, x := range []*metric.Value{&v.WAPE, &v.RMSE, &v.MAE, &v.MAPE, &v.R2, &v.RMSSE, &v.MASE, &v.Bias, &v.Coverage80, &v.Coverage95, &v.WQL, &v.MSIS} {
				*x = metric.Value(kind(r))
			}
		}
	}
	for _, x := range []*metric.Value{&p.Comparison.Difference, &p.Comparison.BySeries.Low, &p.Comparison.BySeries.High, &p.Coverage.ByHorizon[0].Coverage95} {
		*x = metric.Value(kind(r))
	}
	if r.IntN(2) == 0 { // the last origin is far from the others
		for i, at := range p.Backtest.Cutoff {
			if at == p.Backtest.Cutoff[0] {
				p.Backtest.Date[i] -= 600_000
			}
		}
	}
}

// Whatever the data are, the page is whole, of a bounded size, and written soon; no figure in it is beyond a chart.
func TestEveryPageIsBounded(t *testing.T) {
	t.Parallel()
	seeds := uint64(3)
	if testing.Short() {
		seeds = 1
	}
	for name, kind := range reporttest.Figures {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range seeds {
				p := pageOf(t, reporttest.New(3, 2, 60, 2, 7-int(seed)*3))
				spoil(p, rand.New(rand.NewPCG(seed, 1)), kind)
				start := time.Now()
				b := render(t, p)
				if d := time.Since(start); d > 20*time.Second || len(b) > 6<<20 {
					t.Errorf("seed %d: %d bytes in %v", seed, len(b), d)
				}
				checkPage(t, b)
				for _, word := range strings.FieldsFunc(string(b[:strings.Index(string(b), "<script")]), func(r rune) bool { return r < '0' || r > '9' }) {
					if len(word) > 20 {
						t.Fatalf("seed %d: the page has a number of %d digits", seed, len(word))
					}
				}
			}
		})
	}
}

// What the script reads is JSON whose numbers a chart can take.
func TestPayloadIsDrawable(t *testing.T) {
	t.Parallel()
	for name, kind := range reporttest.Figures {
		p := pageOf(t, reporttest.New(2, 2, 60, 2, 7))
		spoil(p, rand.New(rand.NewPCG(9, 1)), kind)
		p.all = p.overview()
		b, err := json.Marshal(p.payload(p.seriesRows()))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var tree any
		if err := json.Unmarshal(b, &tree); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := walk(tree); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func walk(v any) error {
	switch v := v.(type) {
	case float64:
		if math.Abs(v) > most {
			return fmt.Errorf("the number %v", v)
		}
	case []any:
		if len(v) > maxPoints {
			return fmt.Errorf("a list of %d", len(v))
		}
		for _, x := range v {
			if err := walk(x); err != nil {
				return err
			}
		}
	case map[string]any:
		for k, x := range v {
			if err := walk(x); err != nil {
				return fmt.Errorf("%s: %w", k, err)
			}
		}
	}
	return nil
}

// A run of predictions that reaches over centuries keeps its end.
func TestStretchIsBounded(t *testing.T) {
	t.Parallel()
	p := pageOf(t, reporttest.New(1, 1, 60, 2, 7))
	var rows []int
	for i := range p.Backtest.Rows() {
		rows = append(rows, i)
	}
	p.Backtest.Date[0] -= 700_000
	s := p.stretch(p.Backtest, rows, 100)
	if len(s.Point) != 100 || !s.Point[99].known() {
		t.Errorf("%d points, the last %v", len(s.Point), s.Point[len(s.Point)-1])
	}
	sums := map[calendar.Step]float64{-700_000: 1, 5: 2}
	if s := stretchOf(p.Panel.Frequency, sums, 100); len(s.Point) != 100 || s.Point[99] != 2 {
		t.Errorf("%d points of sums", len(s.Point))
	}
}
