package metric_test

import (
	"bytes"
	"encoding/csv"
	"math"
	"reflect"
	"slices"
	"strconv"
	"testing"

	"salescast/pkg/backtest"
	"salescast/pkg/calendar"
	"salescast/pkg/metric"
	"salescast/pkg/panel"
)

// shop has four series of 40 days: one sells every day much, one middling, one little, one every third day.
func shop() *panel.Panel {
	p := &panel.Panel{Frequency: calendar.Frequency{Unit: calendar.Daily}, Offsets: []int{0}, Keys: []panel.Key{{Name: "item", Levels: []string{"a", "b", "c", "d"}, Codes: []int32{0, 1, 2, 3}}}}
	for s, level := range []float32{100, 10, 1, 5} {
		p.Start = append(p.Start, 0)
		for d := range 40 {
			y := level + float32(d%2)
			if s == 3 && d%3 != 0 {
				y = 0
			}
			p.Target, p.Observed = append(p.Target, y), append(p.Observed, d != 39 || s != 0)
		}
		p.Offsets = append(p.Offsets, len(p.Target))
	}
	return p
}

// tested has one prediction a day for the last 20 days of each series of shop; the last of series a was not observed.
func tested(p *panel.Panel) *backtest.Predictions {
	pr := &backtest.Predictions{Keys: p.Keys, Models: []string{"ensemble", "other"}, Levels: []float64{0.025, 0.1, 0.9, 0.975}}
	for m := range pr.Models {
		for s := range p.Series() {
			for h := 1; h <= 20; h++ {
				r, _ := p.Row(s, calendar.Step(19+h))
				y := float64(p.Target[r])
				if !p.Observed[r] {
					y = math.NaN()
				}
				q := []float64{99.5, 100, 101, 102}
				switch s {
				case 1:
					q = []float64{0, 0, 10, 10} // half of its sales are 11
				case 2:
					q = []float64{1.5, 1.6, 2, 3} // and half of these 1
				case 3:
					q = []float64{0, 0, 0, 6}
				}
				if m == 1 {
					q = []float64{-1, -1, -1, -1}
				}
				pr.Model, pr.Series, pr.Horizon = append(pr.Model, int32(m)), append(pr.Series, int32(s)), append(pr.Horizon, int32(h))
				pr.Cutoff, pr.Date = append(pr.Cutoff, 19), append(pr.Date, calendar.Day(19+h))
				pr.Actual, pr.Forecast, pr.Quantiles = append(pr.Actual, y), append(pr.Forecast, 5), append(pr.Quantiles, q...)
			}
		}
	}
	return pr
}

func coverageOf(t *testing.T, p *panel.Panel, blocks ...*backtest.Predictions) *metric.Coverage {
	t.Helper()
	tally, ok := metric.NewCoverage(blocks[0], "ensemble")
	if !ok {
		t.Fatal("the levels of the intervals are there")
	}
	first := blocks[0].Cutoff[0]
	for _, b := range blocks {
		tally.Add(b)
		first = min(first, slices.Min(b.Cutoff))
	}
	volumes := metric.NewVolumes(blocks[0], first)
	volumes.Add(p)
	c, err := tally.CoverageOf(volumes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCoverageByPart(t *testing.T) {
	t.Parallel()
	p := shop()
	c := coverageOf(t, p, tested(p))
	if want := []string{"high", "middle", "low", "intermittent"}; !reflect.DeepEqual(c.Class, want) {
		t.Fatalf("classes are %v, want %v", c.Class, want)
	}
	for s, want := range []metric.IntervalScores{
		{Series: 1, Rows: 19, Coverage80: 1, Coverage95: 1},
		{Series: 1, Rows: 20, Coverage80: 0.5, Coverage95: 0.5, Above95: 0.5, ZeroFloor: 1},
		{Series: 1, Rows: 20, Coverage80: 0.5, Coverage95: 0.5, Below95: 0.5},
		{Series: 1, Rows: 20, Coverage80: 0.65, Coverage95: 1, Zeros: 0.65, ZeroFloor: 1},
	} {
		got := c.BySeries[s]
		got.Width95 = 0
		if got != want {
			t.Errorf("series %d: %+v, want %+v", s, got, want)
		}
		if cls := c.ByClass[s].IntervalScores; cls != c.BySeries[s] {
			t.Errorf("class of one series: %+v, that series %+v", cls, c.BySeries[s])
		}
	}
	if got, want := float64(c.BySeries[0].Width95), 2.5*19/(100*10+101*9); math.Abs(got-want) > 1e-12 {
		t.Errorf("width is %g of the mean sale, want %g", got, want)
	}
	if first, last := c.ByHorizon[0], c.ByHorizon[19]; first.Series != 4 || last.Series != 3 || first.Rows != 4 || last.Horizon != 20 {
		t.Errorf("first and last step ahead: %+v, %+v", first, last)
	}
	// Series a has 19 rows: too few to be judged.
	o := c.OverSeries
	if o.Judged != 3 || o.Under90 != 2 || o.Lowest != 0.5 || o.Median != 0.5 || o.Ninetieth != 1 {
		t.Errorf("over series: %+v", o)
	}
	// P(X <= 17) of 20 draws with 0.95 is 0.0755.
	if math.Abs(float64(o.Chance)-3*0.07548) > 1e-4 {
		t.Errorf("by chance %g series are under 90 %%, want %g", o.Chance, 3*0.07548)
	}
}

// Rows may come in any blocks.
func TestCoverageStreams(t *testing.T) {
	t.Parallel()
	p := shop()
	pr := tested(p)
	var blocks []*backtest.Predictions
	for lo := 0; lo < pr.Rows(); lo += 7 {
		hi := min(lo+7, pr.Rows())
		blocks = append(blocks, &backtest.Predictions{
			Keys: pr.Keys, Models: pr.Models, Levels: pr.Levels, Model: pr.Model[lo:hi], Series: pr.Series[lo:hi], Cutoff: pr.Cutoff[lo:hi], Date: pr.Date[lo:hi],
			Horizon: pr.Horizon[lo:hi], Actual: pr.Actual[lo:hi], Forecast: pr.Forecast[lo:hi], Quantiles: pr.Quantiles[lo*4 : hi*4],
		})
	}
	if got, want := coverageOf(t, p, blocks...), coverageOf(t, p, pr); !reflect.DeepEqual(got, want) {
		t.Errorf("in blocks %+v, at once %+v", got, want)
	}
}

// The scores of whole and parts are those of Evaluate, which counts on its own.
func TestCoverageAgreesWithEvaluate(t *testing.T) {
	t.Parallel()
	p := shop()
	pr := tested(p)
	ev, err := metric.Evaluate(p, pr)
	if err != nil {
		t.Fatal(err)
	}
	c := coverageOf(t, p, pr)
	for h, v := range c.ByHorizon {
		if want := ev.ByHorizon[0][h]; v.Coverage95 != want.Coverage95 || v.Coverage80 != want.Coverage80 || v.Rows != want.Rows {
			t.Errorf("step %d: %+v, want %+v", h+1, v, want)
		}
	}
	for s, v := range c.BySeries {
		if want := ev.BySeries[0][s]; v.Coverage95 != want.Coverage95 || v.Coverage80 != want.Coverage80 || v.Rows != want.Rows {
			t.Errorf("series %d: %+v, want %+v", s, v, want)
		}
	}
}

// A series without a scored row has no share, in no class, and an empty field.
func TestCoverageOfNothing(t *testing.T) {
	t.Parallel()
	p := shop()
	pr := tested(p)
	for i := range pr.Rows() {
		if pr.Series[i] == 3 {
			pr.Actual[i] = math.NaN()
		}
	}
	c := coverageOf(t, p, pr)
	if len(c.ByClass) != 3 || c.BySeries[3].Rows != 0 || c.BySeries[3].Coverage95.Defined() {
		t.Errorf("%d classes, the series is %+v", len(c.ByClass), c.BySeries[3])
	}
	var b bytes.Buffer
	if err := c.WriteCSV(&b, pr.Keys); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil || len(rows) != 1+20+3+4 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	if last := rows[len(rows)-1]; last[0] != "series" || last[2] != "d" || last[3] != "intermittent" || last[5] != "0" || last[7] != "" {
		t.Errorf("the row of that series is %q", last)
	}
	if v, err := strconv.ParseFloat(rows[1][7], 64); err != nil || v != float64(c.ByHorizon[0].Coverage95) {
		t.Errorf("the row of the first step is %q", rows[1])
	}
	pr.Levels = []float64{0.5}
	if _, ok := metric.NewCoverage(pr, "ensemble"); ok {
		t.Error("coverage of intervals that are not there")
	}
}
