package casestest

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"salescast/pkg/calendar"
	"salescast/tasks"
)

// truth is what is expected to be demanded, by "store item date".
func truth(t *testing.T, r *result) map[string]float64 {
	t.Helper()
	b := r.file(t, "data", "truth.parquet")
	f, err := parquet.OpenFile(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]int{}
	for _, c := range f.Root().Columns() {
		at[c.Name()] = c.Index()
	}
	out := map[string]float64{}
	buf := make([]parquet.Row, 512)
	for _, group := range f.RowGroups() {
		rows := group.Rows()
		for {
			n, err := rows.ReadRows(buf)
			for _, v := range buf[:n] {
				id := []string{v[at["store_id"]].String(), v[at["product_id"]].String(), calendar.Day(v[at["date"]].Int32()).String()}
				out[strings.Join(id, " ")] = v[at["expected_demand"]].Double()
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// missed is the error of the forecasts after the end against what will be demanded, as a share of it, and the bias.
func (r *result) missed(t *testing.T, want map[string]float64) (wape, bias float64) {
	t.Helper()
	var miss, off, sum float64
	for id, rows := range r.ahead {
		for _, v := range rows {
			y, ok := want[id+" "+v.date]
			if !ok {
				t.Fatalf("%s on %s has no truth", id, v.date)
			}
			miss, off, sum = miss+math.Abs(v.forecast-y), off+v.forecast-y, sum+y
		}
	}
	return miss / sum, off / sum
}

// Where empty shelves are known, forecasts are much nearer to what will be demanded than where the sales are believed; and with two years
// of history they are nearer to the truth than half as far again as chance takes the sales.
func TestStockoutsAndTruth(t *testing.T) {
	t.Parallel()
	run := func(d tasks.DataOptions) *result {
		env := newEnv(t)
		o := tasks.GenerateOptions{Stores: 3, Items: 8, Start: calendar.DateOf(2023, time.January, 1), End: calendar.DateOf(2024, time.November, 30), Seed: 5}
		g, err := tasks.Generate(t.Context(), env, o)
		if err != nil {
			t.Fatal(err)
		}
		if share := g.Metrics["stockout_share"]; share < 0.01 || share > 0.1 {
			t.Fatalf("%.1f %% of the sales are cut short", 100*share)
		}
		return pipeline(t, env, d, []string{"lightgbm", "smoothing"}, 2)
	}
	known := run(tasks.GeneratedData())
	want := truth(t, known)
	wape, bias := known.missed(t, want)
	ignoring := tasks.GeneratedData()
	ignoring.Stockout, ignoring.Ignore = "", append(ignoring.Ignore, "sold_out")
	blind, blindBias := run(ignoring).missed(t, want)
	t.Logf("known: missed %.1f %%, bias %.1f %%; ignored: missed %.1f %%, bias %.1f %%", 100*wape, 100*bias, 100*blind, 100*blindBias)
	if wape > 0.8*blind || math.Abs(bias) > math.Abs(blindBias) {
		t.Errorf("with stockouts known the forecast misses demand by %.1f %%, bias %.1f %%, without by %.1f %%, bias %.1f %%", 100*wape, 100*bias, 100*blind, 100*blindBias)
	}
	if !strings.Contains(string(known.file(t, "validate", "report.json")), "cut short by an empty shelf") {
		t.Error("the quality report says nothing of stockouts")
	}
	s := known.scores.Truth
	if s == nil {
		t.Fatal("metrics.json says nothing of the truth")
	}
	t.Logf("%+v", *s)
	if !(s.Ratio <= 1.5) || !(s.Excess <= 1.2) || s.Rows < 2*horizon*20 {
		t.Errorf("against the truth: %+v", *s)
	}
	if page := string(known.file(t, "report", "index.html")); !strings.Contains(page, "what was to be expected of them is known") {
		t.Error("the report says nothing of the truth")
	}
}
