package bundle_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"salescast/pkg/backtest"
	"salescast/pkg/bundle"
	"salescast/pkg/calendar"
	"salescast/pkg/conformal"
	"salescast/pkg/forecast"
	"salescast/pkg/forecast/ensemble"
	"salescast/pkg/forecast/forecasttest"
	"salescast/pkg/forecast/member"
	"salescast/pkg/panel"
	"salescast/pkg/regress"
)

const horizon = 28 // three blocks of it have errors enough to learn their sizes

var levels = []float64{0.1, 0.5, 0.9}

// files is a folder in memory.
type files map[string][]byte

func (f files) WriteFile(_ context.Context, name string, b []byte) error {
	if _, ok := f[name]; ok {
		return fmt.Errorf("%s was written twice", name)
	}
	f[name] = slices.Clone(b)
	return nil
}

func (f files) ReadFile(_ context.Context, name string, limit int64) ([]byte, error) {
	b, ok := f[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s is too large", name)
	}
	return b, nil
}

// column predicts one column of the rows, and its file is that column's name.
type column struct{ name string }

func (c column) Fit(context.Context, regress.Source, *regress.Valid) (regress.Model, error) {
	return c, nil
}

func (c column) Predict(_ context.Context, x *panel.Frame, dst []float32) error {
	i := slices.Index(x.Names, c.name)
	if i < 0 {
		return fmt.Errorf("no column %s", c.name)
	}
	copy(dst, x.Column(i))
	return nil
}
func (c column) Format() string                 { return "column.txt" }
func (c column) Save(w io.Writer) error         { _, err := io.WriteString(w, c.name); return err }
func (c column) Importance() ([]float64, error) { return nil, nil }
func (c column) Close() error                   { return nil }

func learners(string, map[string]string) (regress.Learner, error) {
	return column{"sales_mean_all"}, nil
}

func loaders(format string) (regress.Open, error) {
	if format != "column.txt" {
		return nil, fmt.Errorf("no loader of %s", format)
	}
	return func(r io.Reader) (regress.Model, error) {
		b, err := io.ReadAll(r)
		return column{string(b)}, err
	}, nil
}

// write makes a bundle of trees and smoothing, and answers what they forecast before they were written.
func write(t *testing.T, p *panel.Panel) (files, *forecast.Prediction) {
	t.Helper()
	sched, err := backtest.Origins(p, horizon, 2)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"ets", "lightgbm", "prophet", "smoothing", "theta"}
	points := map[string]map[calendar.Step][]float64{}
	sources := map[string]bundle.Source{}
	for _, name := range names {
		spec, err := member.Named(name)
		if err != nil {
			t.Fatal(err)
		}
		f := spec.Forecaster(member.Settings{Horizon: horizon, Rows: 500, Country: "DE", NonNegative: true, Learners: learners})
		points[name] = map[calendar.Step][]float64{}
		for _, o := range append([]calendar.Step{sched.End}, append(sched.Validation, sched.Test...)...) {
			m, err := f.Fit(t.Context(), p, o)
			if err != nil {
				t.Fatal(err)
			}
			pr, err := m.Forecast(t.Context(), forecast.Request{Panel: p, Origin: o, Horizon: horizon})
			if err != nil {
				t.Fatal(err)
			}
			points[name][o] = pr.Point
			if o == sched.End {
				w := files{}
				if err := bundle.WriteMember(t.Context(), w, "", name, m.(*member.Model), true); err != nil {
					t.Fatal(err)
				}
				sources[name] = bundle.Source{Reader: w}
			}
		}
	}
	at := func(name string, o calendar.Step) []float64 { return points[name][o] }
	set := ensemble.Settings{Levels: levels, NonNegative: true, Totals: true, Alone: true, Sizes: func(int) (regress.Learner, error) { return column{"relative"}, nil }}
	for _, name := range names {
		set.Candidates = append(set.Candidates, ensemble.Candidate{Name: name})
	}
	f, err := ensemble.Fit(t.Context(), p, sched, at, sched.End, set)
	if err != nil {
		t.Fatal(err)
	}
	for i := range f.Weights { // all must be in the bundle, whatever they are worth
		f.Weights[i].Weight = 0.25
	}
	want, err := f.Predict(t.Context(), p, at, horizon, set)
	if err != nil {
		t.Fatal(err)
	}
	out := files{}
	m := bundle.Manifest{Time: "date", Target: "sales", Horizon: horizon, Origin: p.Frequency.Day(sched.End), Levels: levels, NonNegative: true}
	if err := bundle.Write(t.Context(), out, m, p, f, sources); err != nil {
		t.Fatal(err)
	}
	return out, want
}

func same(t *testing.T, what string, got, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	for i := range got {
		if math.Float64bits(got[i]) != math.Float64bits(want[i]) {
			t.Fatalf("%s: value %d is %v, want %v", what, i, got[i], want[i])
		}
	}
}

// What is opened forecasts what was written, from the panel and from the bundle's own history.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	long := forecasttest.Daily()
	long.Stores, long.Steps = 1, 7*365
	for name, shape := range map[string]forecasttest.Shape{"years": forecasttest.Daily(), "seven years": long} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			roundTrip(t, forecasttest.Panel(shape))
		})
	}
}

func roundTrip(t *testing.T, p *panel.Panel) {
	b, want := write(t, p)
	o, err := bundle.Open(t.Context(), b, loaders)
	if err != nil {
		t.Fatal(err)
	}
	history, err := o.History(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, q := range map[string]*panel.Panel{"panel": p, "history": history} {
		got, err := o.Forecast(t.Context(), forecast.Request{Panel: q, Origin: want.Origin, Horizon: horizon, Levels: levels})
		if err != nil {
			t.Fatal(err)
		}
		same(t, name, got.Point, want.Point)
		same(t, name+" quantiles", got.Quantiles, want.Quantiles)
	}
	if _, ok := b["sizes-3.txt"]; ok != (p.Series() > 2) { // fewer have fewer than 200 errors
		t.Errorf("models of the size of errors of %d series: %v", p.Series(), ok)
	}
	totals := make([]string, len(o.Totals))
	for i, c := range o.Totals {
		totals[i] = c.Level
	}
	if len(totals) == 0 || totals[0] != ensemble.All {
		t.Errorf("the bundle has totals of %v", totals)
	}
	if sums, err := ensemble.Sum(p, want, o.Totals, nil); err != nil || !slices.Equal(sums.Levels, levels) {
		t.Errorf("totals with the bundle's calibration: %+v, %v", sums, err)
	}
	alone := 0
	for k, share := range o.Manifest.Members {
		raw, ok := b["members/"+share.Name+"/"+bundle.CalibrationName]
		if !ok {
			continue // it had no weight when the calibrations were learned
		}
		alone++
		var c conformal.Calibration
		if err := json.Unmarshal(raw, &c); err != nil {
			t.Fatalf("the calibration of %s: %v", share.Name, err)
		}
		one, err := o.Alone(k).Forecast(t.Context(), forecast.Request{Panel: p, Origin: want.Origin, Horizon: horizon, Levels: levels})
		if err != nil {
			t.Fatal(err)
		}
		q := make([]float64, horizon*len(levels))
		for s := range p.Series() {
			if int(want.Origin-p.Start[s]) < 100 || one.Point[s*horizon] == 0 {
				continue // young series are wider, closed ones 0
			}
			c.Apply(s, one.Point[s*horizon:(s+1)*horizon], nil, q)
			same(t, share.Name+" alone", one.Quantiles[s*horizon*len(levels):s*horizon*len(levels)+len(levels)], q[:len(levels)])
		}
	}
	if alone == 0 {
		t.Error("no member has a calibration of its own")
	}
	if got := len(o.Manifest.Members); got != 5 {
		t.Errorf("%d members, want 5", got)
	}
	if err := o.Close(); err != nil {
		t.Error(err)
	}
}

func TestSameBytes(t *testing.T) {
	t.Parallel()
	p := forecasttest.Panel(forecasttest.Daily())
	a, _ := write(t, p)
	b, _ := write(t, p)
	for name := range a {
		if string(a[name]) != string(b[name]) {
			t.Errorf("%s was written with other bytes the second time", name)
		}
	}
}

// Every file is checked before it is believed.
func TestDamage(t *testing.T) {
	t.Parallel()
	p := forecasttest.Panel(forecasttest.Daily())
	whole, _ := write(t, p)
	for name := range whole {
		if name == bundle.HistoryName { // read when it is asked for
			continue
		}
		t.Run(strings.ReplaceAll(name, "/", "_"), func(t *testing.T) {
			t.Parallel()
			for what, damage := range map[string]func([]byte) []byte{
				"changed":   func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
				"truncated": func(b []byte) []byte { return b[:len(b)/2] },
				"missing":   nil,
			} {
				b := files{}
				for n, v := range whole {
					b[n] = slices.Clone(v)
				}
				if damage == nil {
					delete(b, name)
				} else {
					b[name] = damage(b[name])
				}
				o, err := bundle.Open(t.Context(), b, loaders)
				if err == nil && name != bundle.Name { // one flipped bit of bundle.json may leave it readable
					t.Errorf("%s: opened", what)
				}
				if err == nil {
					_ = o.Close()
				}
			}
		})
	}
	history := maps.Clone(whole)
	history[bundle.HistoryName] = []byte("PAR1")
	o, err := bundle.Open(t.Context(), history, loaders)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.History(t.Context()); err == nil {
		t.Error("a damaged history was read")
	}
}

func TestMissingPlan(t *testing.T) {
	t.Parallel()
	p := forecasttest.Panel(forecasttest.Daily())
	b, want := write(t, p)
	o, err := bundle.Open(t.Context(), b, loaders)
	if err != nil {
		t.Fatal(err)
	}
	r, _ := p.Row(1, want.Origin+3)
	p.Covariates[0].Values[r] = float32(math.NaN())
	_, err = o.Forecast(t.Context(), forecast.Request{Panel: p, Origin: want.Origin, Horizon: horizon})
	if err == nil || !strings.Contains(err.Error(), "promo") {
		t.Errorf("a plan with a hole: %v", err)
	}
}
