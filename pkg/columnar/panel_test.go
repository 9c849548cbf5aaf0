package columnar_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"salescast/pkg/backtest"
	"salescast/pkg/calendar"
	"salescast/pkg/columnar"
	"salescast/pkg/panel"
)

// randomPanel builds a panel of n series with gaps, plan rows, missing covariates and awkward key texts.
func randomPanel(t *testing.T, rng *rand.Rand, n, maxLen int) *panel.Panel {
	t.Helper()
	b, err := panel.NewBuilder(panel.Schema{
		Keys: []string{"store", "item"}, Static: []string{"region"},
		Covariates: []panel.Attribute{{Name: "promo", Role: panel.KnownFuture}, {Name: "rain ü,x", Role: panel.PastOnly}},
	}, panel.BuilderOptions{Frequency: "D", Missing: panel.Leave})
	if err != nil {
		t.Fatal(err)
	}
	for s := range n {
		id := []string{fmt.Sprintf("s %d", s%7), fmt.Sprintf("i\"%d,\n", s/7)}
		for i := range 1 + rng.IntN(maxLen) {
			y, rain := rng.Float32()*100, float32(math.NaN())
			if rng.IntN(10) == 0 && i > 0 {
				continue
			}
			if rng.IntN(10) == 0 && i > 0 {
				y = float32(math.NaN())
			}
			if rng.IntN(3) > 0 {
				rain = rng.Float32()
			}
			if err := b.AddText(id, []string{fmt.Sprint("r", s%3)}, calendar.Day(17000+i), y, []float32{float32(i % 2), rain}); err != nil {
				t.Fatal(err)
			}
		}
	}
	p, err := b.Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// dump writes every fact of a panel as text, so that NaN equals NaN.
func dump(p *panel.Panel) string {
	var b strings.Builder
	fmt.Fprintln(&b, p.Frequency, p.Offsets, p.Start)
	for _, k := range slices.Concat(p.Keys, p.Static) {
		fmt.Fprintf(&b, "%s %q %v\n", k.Name, k.Levels, k.Codes)
	}
	fmt.Fprintln(&b, p.Target, p.Observed)
	for _, c := range p.Covariates {
		fmt.Fprintln(&b, c.Name, c.Role, c.Values)
	}
	return b.String()
}

func writePanel(t *testing.T, chunks ...*panel.Panel) *bytes.Reader {
	t.Helper()
	var buf bytes.Buffer
	w, err := columnar.NewPanelWriter(&buf, columnar.SchemaOf(chunks[0], "day", "sales"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range chunks {
		if err := w.Write(c); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(buf.Bytes())
}

func TestPanelSurvivesTheFile(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct{ series, length int }{{1, 1}, {3, 20}, {50, 300}, {3, 90_000}} {
		p := randomPanel(t, rng, c.series, c.length)
		want := dump(p)
		got, err := columnar.ReadPanel(t.Context(), writePanel(t, p))
		if err != nil {
			t.Fatal(err)
		}
		if dump(got) != want {
			t.Fatalf("%d series: the panel read is not the panel written", c.series)
		}
	}
}

func TestChunkedWritesGiveTheSamePanel(t *testing.T) {
	t.Parallel()
	p := randomPanel(t, rand.New(rand.NewPCG(3, 4)), 40, 4000)
	var chunks []*panel.Panel
	for s := range p.Series() {
		chunks = append(chunks, p.Slice(s, s+1))
	}
	got, err := columnar.ReadPanel(t.Context(), writePanel(t, chunks...))
	if err != nil {
		t.Fatal(err)
	}
	if dump(got) != dump(p) {
		t.Fatal("a panel written series by series differs from the panel written at once")
	}
}

func TestPanelsConcatenatedEqualReadPanel(t *testing.T) {
	t.Parallel()
	p := randomPanel(t, rand.New(rand.NewPCG(5, 6)), 60, 8000)
	r := writePanel(t, p)
	for _, maxRows := range []int{1, 70_000, math.MaxInt} {
		var chunks []*panel.Panel
		for c, err := range columnar.Panels(t.Context(), r, maxRows) {
			if err != nil {
				t.Fatal(err)
			}
			chunks = append(chunks, c)
		}
		got, err := panel.Concat(chunks...)
		if err != nil {
			t.Fatal(err)
		}
		if dump(got) != dump(p) {
			t.Fatalf("maxRows %d: the chunks do not add up to the panel", maxRows)
		}
		if maxRows == 1 && len(chunks) < 2 {
			t.Fatal("the file has one row group, so nothing was streamed")
		}
	}
}

func TestPanelWriterRefusesDisorder(t *testing.T) {
	t.Parallel()
	p := randomPanel(t, rand.New(rand.NewPCG(7, 8)), 3, 5)
	w, err := columnar.NewPanelWriter(&bytes.Buffer{}, columnar.SchemaOf(p, "d", "y"))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(p.Slice(1, 2)); err != nil {
		t.Fatal(err)
	}
	if err := w.Write(p.Slice(0, 1)); err == nil || !strings.Contains(err.Error(), "in order") {
		t.Fatalf("got %v", err)
	}
}

func randomPredictions(rng *rand.Rand, levels []float64) *backtest.Predictions {
	p := &backtest.Predictions{
		Keys: []panel.Key{
			{Name: "store", Levels: []string{"a", "b,\"c\""}, Codes: []int32{0, 0, 1}},
			{Name: "item", Levels: []string{"x", "y"}, Codes: []int32{0, 1, 0}},
		},
		Models: []string{"xgboost", "ensemble"}, Levels: levels,
	}
	for m := range 2 {
		for cut := range 2 {
			for s := range 3 {
				for h := range 4 {
					p.Model, p.Series = append(p.Model, int32(m)), append(p.Series, int32(s))
					p.Cutoff, p.Date = append(p.Cutoff, calendar.Day(100+cut)), append(p.Date, calendar.Day(101+cut+h))
					p.Horizon = append(p.Horizon, int32(h+1))
					y := rng.Float64() * 10
					if rng.IntN(4) == 0 {
						y = math.NaN()
					}
					p.Actual, p.Forecast = append(p.Actual, y), append(p.Forecast, rng.Float64())
					for range levels {
						p.Quantiles = append(p.Quantiles, rng.Float64())
					}
				}
			}
		}
	}
	return p
}

func TestPredictionsSurviveTheFile(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(9, 10))
	for _, levels := range [][]float64{nil, {0.025, 0.1, 0.5, 0.975}} {
		p := randomPredictions(rng, levels)
		var buf bytes.Buffer
		if err := columnar.WritePredictions(&buf, p); err != nil {
			t.Fatal(err)
		}
		got, err := columnar.ReadPredictions(t.Context(), bytes.NewReader(buf.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		if a, b := fmt.Sprint(*p), fmt.Sprint(*got); a != b {
			t.Fatalf("wrote %s\nread %s", a, b)
		}
	}
}

func TestPredictionsCSV(t *testing.T) {
	t.Parallel()
	p := &backtest.Predictions{
		Keys:   []panel.Key{{Name: "store", Levels: []string{"a,b"}, Codes: []int32{0}}},
		Models: []string{"m"}, Model: []int32{0, 0}, Series: []int32{0, 0},
		Cutoff: []calendar.Day{0, 0}, Date: []calendar.Day{1, 2}, Horizon: []int32{1, 2},
		Actual: []float64{1.5, math.NaN()}, Forecast: []float64{0.1, 2}, Levels: []float64{0.025, 0.1, 0.25, 0.5}, Quantiles: []float64{0, 1, 2, 3, 4, 5, 6, 1e-9},
	}
	var buf bytes.Buffer
	if err := columnar.WritePredictionsCSV(&buf, p); err != nil {
		t.Fatal(err)
	}
	want := "store,date,cutoff,horizon,model,actual,forecast,q025,q10,q25,q50\n" +
		"\"a,b\",1970-01-02,1970-01-01,1,m,1.5,0.1,0,1,2,3\n" +
		"\"a,b\",1970-01-03,1970-01-01,2,m,,2,4,5,6,0.000000001\n"
	if buf.String() != want {
		t.Fatalf("got\n%s\nwant\n%s", buf.String(), want)
	}
}

func TestFrameSurvivesTheFile(t *testing.T) {
	t.Parallel()
	const rows = 150_000
	rng := rand.New(rand.NewPCG(11, 12))
	b := &columnar.FrameBlock{
		Levels: [][]string{{"a", "b"}}, Codes: [][]int32{make([]int32, rows)}, Dates: make([]calendar.Day, rows),
		Frame: &panel.Frame{Names: []string{"lag1", "weekday"}},
	}
	b.Frame.Resize(rows)
	for i := range rows {
		b.Codes[0][i] = int32(i * 2 / rows)
		b.Dates[i] = calendar.Day(i)
		b.Frame.Column(0)[i] = rng.Float32()
		if i%5 == 0 {
			b.Frame.Column(0)[i] = float32(math.NaN())
		}
		b.Frame.Column(1)[i] = float32(i % 7)
	}
	var buf bytes.Buffer
	w, err := columnar.NewFrameWriter(&buf, columnar.FrameSchema{Keys: []string{"store"}, Columns: []columnar.FrameColumn{{Name: "lag1"}, {Name: "weekday", Int16: true}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	at := 0
	for got, err := range columnar.Frames(t.Context(), bytes.NewReader(buf.Bytes()), nil) {
		if err != nil {
			t.Fatal(err)
		}
		for i := range got.Frame.Rows {
			for c := range 2 {
				if x, y := got.Frame.Column(c)[i], b.Frame.Column(c)[at+i]; math.Float32bits(x) != math.Float32bits(y) {
					t.Fatalf("row %d column %d: got %v, want %v", at+i, c, x, y)
				}
			}
			if got.Dates[i] != b.Dates[at+i] || got.Levels[0][got.Codes[0][i]] != b.Levels[0][b.Codes[0][at+i]] {
				t.Fatalf("row %d: key or date differs", at+i)
			}
		}
		at += got.Frame.Rows
	}
	if at != rows {
		t.Fatalf("read %d of %d rows", at, rows)
	}
}

func FuzzReadPanel(f *testing.F) {
	b, _ := panel.NewBuilder(panel.Schema{Keys: []string{"k"}}, panel.BuilderOptions{Frequency: "D"})
	for i := range 20 {
		_ = b.AddText([]string{strconv.Itoa(i % 3)}, nil, calendar.Day(i), float32(i), nil)
	}
	p, err := b.Build(context.Background())
	if err != nil {
		f.Fatal(err)
	}
	var buf bytes.Buffer
	w, _ := columnar.NewPanelWriter(&buf, columnar.SchemaOf(p, "d", "y"))
	_ = w.Write(p)
	_ = w.Close()
	f.Add(buf.Bytes())
	f.Add(buf.Bytes()[:buf.Len()/2])
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := columnar.ReadPanel(t.Context(), bytes.NewReader(data))
		if err != nil {
			return
		}
		if _, err := json.Marshal(got.Keys); err != nil || got.Offsets[got.Series()] != got.Rows() {
			t.Fatalf("a panel that was read is not whole: %v", err)
		}
	})
}

func FuzzReadPredictions(f *testing.F) {
	var buf bytes.Buffer
	if err := columnar.WritePredictions(&buf, randomPredictions(rand.New(rand.NewPCG(1, 1)), []float64{0.1, 0.9})); err != nil {
		f.Fatal(err)
	}
	f.Add(buf.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := columnar.ReadPredictions(t.Context(), bytes.NewReader(data))
		if err != nil {
			return
		}
		if err := columnar.WritePredictions(&bytes.Buffer{}, p); err != nil {
			t.Fatalf("predictions that were read cannot be written: %v", err)
		}
	})
}

func BenchmarkPanel(b *testing.B) {
	const series, days = 1000, 1000
	builder, _ := panel.NewBuilder(panel.Schema{Keys: []string{"store", "item"}, Covariates: []panel.Attribute{{Name: "promo", Role: panel.KnownFuture}, {Name: "price", Role: panel.KnownFuture}}}, panel.BuilderOptions{Frequency: "D"})
	rng := rand.New(rand.NewPCG(1, 1))
	for s := range series {
		for d := range days {
			if err := builder.AddText([]string{strconv.Itoa(s / 100), strconv.Itoa(s % 100)}, nil, calendar.Day(d), float32(rng.IntN(100)), []float32{float32(d % 2), rng.Float32()}); err != nil {
				b.Fatal(err)
			}
		}
	}
	p, err := builder.Build(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	var buf bytes.Buffer
	b.Run("write", func(b *testing.B) {
		for b.Loop() {
			buf.Reset()
			w, _ := columnar.NewPanelWriter(&buf, columnar.SchemaOf(p, "d", "y"))
			if err := w.Write(p); err != nil {
				b.Fatal(err)
			}
			if err := w.Close(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(p.Rows()), "ns/row")
	})
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			for _, err := range columnar.Panels(b.Context(), bytes.NewReader(buf.Bytes()), 1<<18) {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(p.Rows()), "ns/row")
	})
}
