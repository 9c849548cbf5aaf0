package chart

import (
	"bytes"
	"fmt"
	"image/png"
	"maps"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"salescast/pkg/calendar"
	"salescast/pkg/metric"
	"salescast/pkg/report/reporttest"
)

// spoiled is a shop whose predictions, and with scores its scores and gains too, are figures of one kind.
func spoiled(t *testing.T, r *rand.Rand, kind func(*rand.Rand) float64, scores bool) *Data {
	t.Helper()
	s := reporttest.New(3, 2, 40, 1+r.IntN(3), 1+r.IntN(7))
	ev, err := metric.Evaluate(s.Panel, s.Predictions)
	if err != nil {
		t.Fatal(err)
	}
	s.Predictions.Keys[0].Levels[0] = strings.Repeat("a long name ", 20_000)
	for _, column := range [][]float64{s.Predictions.Actual, s.Predictions.Forecast, s.Predictions.Quantiles} {
		for i := range column {
			column[i] = kind(r)
		}
	}
	if r.IntN(3) == 0 {
		for i := range s.Predictions.Date {
			s.Predictions.Date[i] += calendar.Day(r.IntN(5_000_000) - 500_000)
		}
	}
	gains := []Feature{{s.Predictions.Keys[0].Levels[0], 1}, {"weekday", 2}}
	if scores {
		for i := range gains {
			gains[i].Gain = kind(r)
		}
		spoil := func(table []metric.Scores) {
			for i := range table {
				v := &table[i]
				for _, x := range []*metric.Value{&v.WAPE, &v.RMSE, &v.MAE, &v.RMSSE, &v.MASE, &v.Bias, &v.Coverage95, &v.WQL} {
					*x = metric.Value(kind(r))
				}
			}
		}
		spoil(ev.Overall)
		for m := range ev.Models {
			spoil(ev.ByHorizon[m])
			spoil(ev.BySeries[m])
			for j := range ev.Below[m] {
				ev.Below[m][j], ev.AtOrBelow[m][j] = metric.Value(kind(r)), metric.Value(kind(r))
			}
		}
	}
	return &Data{sampled(s.Predictions), ev, "ensemble", "seasonal_naive", "sales", []Importance{{"xgboost", gains}, {"lightgbm", gains}}}
}

// Whatever the data are, every picture is drawn, soon and in little memory.
func TestEveryPictureIsBounded(t *testing.T) { //nolint:paralleltest // it counts what the process allocates
	const most, soon = 400 << 20, 20 * time.Second
	names, seeds := slices.Sorted(maps.Keys(reporttest.Figures)), uint64(4)
	if testing.Short() {
		names, seeds = []string{"anything", "constant", "one ulp apart", "huge both ways"}, 1
	}
	for _, name := range names {
		kind := reporttest.Figures[name]
		for seed := range seeds {
			d := spoiled(t, rand.New(rand.NewPCG(seed, 1)), kind, seed%2 == 0)
			for _, p := range d.Pictures() {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				var b bytes.Buffer
				done := make(chan error, 1)
				go func() { done <- p.Draw(&b) }()
				select {
				case err := <-done:
					if err != nil {
						t.Fatalf("%s of %s, seed %d: %v", p.Name, name, seed, err)
					}
				case <-time.After(soon):
					t.Fatalf("%s of %s, seed %d, is not drawn after %v", p.Name, name, seed, soon)
				}
				runtime.ReadMemStats(&after)
				if n := after.TotalAlloc - before.TotalAlloc; n > most {
					t.Errorf("%s of %s, seed %d, took %d MiB", p.Name, name, seed, n>>20)
				}
				if _, err := png.DecodeConfig(bytes.NewReader(b.Bytes())); err != nil {
					t.Errorf("%s of %s, seed %d: %v", p.Name, name, seed, err)
				}
			}
		}
	}
}

// Ticks of any axis are few, increasing, and on it; those of an axis that was settled tell its ends apart.
func TestTicksAreFew(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 1))
	for name, kind := range reporttest.Figures {
		for range 2000 {
			count := r.IntN(15)
			for _, marker := range []plot.Ticker{ticks{count, amounts}, ticks{count, shares}, dates{count}} {
				a := plot.Axis{Min: kind(r), Max: kind(r)}
				a.Tick.Marker = marker
				checkTicks(t, name, count, a)
				settle(&a)
				if !(a.Min < a.Max) || !drawable(a.Min) || !drawable(a.Max) {
					t.Fatalf("%s: an axis was settled at %v to %v", name, a.Min, a.Max)
				}
				checkTicks(t, name, count, a)
				if _, days := marker.(dates); !days && count > 1 && len(a.Tick.Marker.Ticks(a.Min, a.Max)) == 0 {
					t.Fatalf("%s: the axis from %v to %v has no tick", name, a.Min, a.Max)
				}
			}
		}
	}
}

func checkTicks(t *testing.T, name string, count int, a plot.Axis) {
	t.Helper()
	got := a.Tick.Marker.Ticks(a.Min, a.Max)
	if len(got) > max(2*count, count+3) {
		t.Fatalf("%s: %T from %v to %v has %d ticks, %d were asked for", name, a.Tick.Marker, a.Min, a.Max, len(got), count)
	}
	slack := 1e-8 * (a.Max - a.Min)
	for i, v := range got {
		if v.Value < a.Min-slack || v.Value > a.Max+slack || i > 0 && v.Value <= got[i-1].Value || len(v.Label) > 24 {
			t.Fatalf("%s: %T from %v to %v has a tick at %v, %q", name, a.Tick.Marker, a.Min, a.Max, v.Value, v.Label)
		}
	}
}

// Labels of neighbouring ticks differ, however narrow the axis.
func TestTicksAreToldApart(t *testing.T) {
	t.Parallel()
	for _, at := range []float64{0, 1, 95, 950, 12_480, 99_990, 2_499_000, 3e9, 7e13, -12_480} {
		for _, width := range []float64{0.5, 4, 40, 900, 30_000, 1e7} {
			if width < 1e-5*math.Abs(at) {
				continue
			}
			seen := map[string]float64{}
			for _, v := range (ticks{6, amounts}).Ticks(at, at+width) {
				if w, ok := seen[v.Label]; ok {
					t.Errorf("from %v, %v wide: %v and %v are both %q", at, width, w, v.Value, v.Label)
				}
				seen[v.Label] = v.Value
			}
		}
	}
}

// The canvas takes any path and returns soon.
func TestCanvasIsBounded(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 1))
	pg := newPage(100, 100, "title", "reading")
	at := func(kind func(*rand.Rand) float64) vg.Point {
		return vg.Point{X: vg.Length(kind(r)), Y: vg.Length(kind(r))}
	}
	for name, kind := range reporttest.Figures {
		start := time.Now()
		for range 20 {
			pg.body.SetLineDash([]vg.Length{4, 3}, 0)
			var p vg.Path
			p.Move(at(kind))
			p.Line(at(kind))
			p.Arc(at(kind), vg.Length(kind(r)), kind(r), kind(r))
			pg.body.Stroke(p)
			pg.body.Fill(p)
		}
		if d := time.Since(start); d > 30*time.Second {
			t.Errorf("%s: 20 paths took %v", name, d)
		}
	}
	if err := pg.encode(&bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
}

// A range has the points that can be drawn, and nothing else.
func TestRangeOfDrawablePoints(t *testing.T) {
	t.Parallel()
	x0, x1, y0, y1 := rangeOf(plotter.XYs{{X: 1, Y: math.NaN()}, {X: 2, Y: 5}, {X: math.Inf(1), Y: 0}, {X: 3, Y: 4}, {X: -9, Y: 1e200}})
	if got := fmt.Sprint(x0, x1, y0, y1); got != "2 3 4 5" {
		t.Errorf("the range is %s", got)
	}
}
