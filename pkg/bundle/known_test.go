package bundle_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"math"
	"slices"
	"testing"

	"salescast/pkg/bundle"
	"salescast/pkg/calendar"
	"salescast/pkg/columnar"
	"salescast/pkg/forecast"
	"salescast/pkg/forecast/forecasttest"
	"salescast/pkg/panel"
	"salescast/pkg/regress"
)

// trend opens trees that say nothing but how much all series together have sold of late.
func trend(string) (regress.Open, error) {
	return func(r io.Reader) (regress.Model, error) {
		b, err := io.ReadAll(r)
		if string(b) == "sales_mean_all" {
			return column{"panel_trend"}, err
		}
		return column{string(b)}, err // of the size of errors
	}, nil
}

// know opens a bundle and what it knows.
func know(t *testing.T, b files) (*bundle.Bundle, *bundle.Known) {
	t.Helper()
	o, err := bundle.Open(t.Context(), b, trend)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	})
	k, err := o.Know(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return o, k
}

// until is p without the rows after a step that are not plan, whose sales are unknown.
func until(p *panel.Panel, last calendar.Step) *panel.Panel {
	all := make([]int, p.Series())
	for s := range all {
		all[s] = s
	}
	q := p.PickSteps(all, math.MinInt32, last+horizon)
	for s := range q.Series() {
		lo, hi := q.Span(s)
		for r := max(lo, lo+int(last-q.Start[s])+1); r < hi; r++ {
			q.Target[r], q.Observed[r] = float32(math.NaN()), false
		}
	}
	return q
}

// Whatever part of the series is asked for, in whatever order, with a new one or without: the forecast is to the bit that of the series among
// all. It takes a copy of a series under a new name to be another one.
func TestPartIsAsAmongAll(t *testing.T) {
	t.Parallel()
	p := forecasttest.Panel(forecasttest.Daily())
	b, want := write(t, p)
	o, k := know(t, b)
	all, err := o.Forecast(t.Context(), forecast.Request{Panel: p, Origin: want.Origin, Horizon: horizon, Levels: levels})
	if err != nil {
		t.Fatal(err)
	}
	if slices.Equal(all.Point, want.Point) {
		t.Fatal("the trees that read all series change nothing")
	}
	for _, series := range [][]int{{0}, {3}, {2, 0}, {3, 1, 2}, {0, 1, 2, 3}} {
		for _, news := range []bool{false, true} {
			part := p.Pick(series)
			if news && len(series) == p.Series() {
				continue // all and a new one are other totals
			}
			if news {
				copied := p.Pick(series[:1])
				part.Keys[0].Levels = append(slices.Clone(p.Keys[0].Levels), "new")
				copied.Keys[0] = panel.Key{Name: "store", Levels: part.Keys[0].Levels, Codes: []int32{int32(len(p.Keys[0].Levels))}}
				if part, err = panel.Concat(part, copied); err != nil {
					t.Fatal(err)
				}
			}
			part = k.Adopt(part)
			got, err := k.Forecast(t.Context(), o.Model, forecast.Request{Panel: part, Origin: want.Origin, Horizon: horizon, Levels: levels}, nil)
			if err != nil {
				t.Fatal(err)
			}
			n := horizon * len(levels)
			for i, s := range series {
				same(t, "points", got.Point[i*horizon:(i+1)*horizon], all.Point[s*horizon:(s+1)*horizon])
				same(t, "quantiles", got.Quantiles[i*n:(i+1)*n], all.Quantiles[s*n:(s+1)*n])
			}
			if absent := k.Absent(part, want.Origin); absent.Series() != p.Series()-len(series) || absent.Rows() != 0 {
				t.Errorf("of %v, %d series with %d rows are absent", series, absent.Series(), absent.Rows())
			}
		}
	}
	if beside, err := o.Beside(t.Context(), p, want.Origin); beside != nil || err != nil {
		t.Errorf("the history is read for a panel of all series: %v", err)
	}
	if beside, err := o.Beside(t.Context(), p.Pick([]int{1}), want.Origin); beside == nil || err != nil {
		t.Errorf("the history is not read for a panel of one series: %v", err)
	}
}

// No sale of the history after the origin is seen: a part is forecast from an earlier origin as if there were none.
func TestPartSeesNothingLater(t *testing.T) {
	t.Parallel()
	p := forecasttest.Panel(forecasttest.Daily())
	b, want := write(t, p)
	origin := want.Origin - 40
	var answers [2]*forecast.Prediction
	for i, history := range []*panel.Panel{p, later(p, origin)} {
		o, k := know(t, withHistory(t, b, history))
		part := until(p, origin).Pick([]int{2})
		young := until(p, origin).PickSteps([]int{1}, origin-9, origin+horizon)
		young.Keys[0].Levels = part.Keys[0].Levels
		young.Keys[1] = panel.Key{Name: "item", Levels: []string{p.Keys[1].Levels[0], p.Keys[1].Levels[1], "new"}, Codes: []int32{2}}
		part.Keys[1].Levels = young.Keys[1].Levels
		both, err := panel.Concat(part, young)
		if err != nil {
			t.Fatal(err)
		}
		if answers[i], err = k.Forecast(t.Context(), o.Model, forecast.Request{Panel: k.Adopt(both), Origin: origin, Horizon: horizon, Levels: levels}, nil); err != nil {
			t.Fatal(err)
		}
	}
	same(t, "points", answers[1].Point, answers[0].Point)
	same(t, "quantiles", answers[1].Quantiles, answers[0].Quantiles)
	if math.IsNaN(answers[0].Point[2*horizon-1]) {
		t.Error("a young series has no forecast")
	}
}

// later is p with other sales after a step.
func later(p *panel.Panel, origin calendar.Step) *panel.Panel {
	q := *p
	q.Target = slices.Clone(p.Target)
	for s := range q.Series() {
		lo, hi := q.Span(s)
		for r := lo + int(origin-q.Start[s]) + 1; r < hi; r++ {
			q.Target[r] = 3*q.Target[r] + 50
		}
	}
	return &q
}

// withHistory is a bundle with another history.
func withHistory(t *testing.T, b files, p *panel.Panel) files {
	t.Helper()
	out := maps.Clone(b)
	var raw bytes.Buffer
	w, err := columnar.NewPanelWriter(&raw, columnar.SchemaOf(p, "date", "sales"))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(p); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	out[bundle.HistoryName] = raw.Bytes()
	var m bundle.Manifest
	if err := json.Unmarshal(b[bundle.Name], &m); err != nil {
		t.Fatal(err)
	}
	for i := range m.Files {
		if m.Files[i].Name == bundle.HistoryName {
			sum := sha256.Sum256(raw.Bytes())
			m.Files[i].SHA256, m.Files[i].Size = hex.EncodeToString(sum[:]), int64(raw.Len())
		}
	}
	if out[bundle.Name], err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	return out
}
