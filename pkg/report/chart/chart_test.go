package chart

import (
	"bytes"
	"flag"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"testing"

	"salescast/pkg/backtest"
	"salescast/pkg/metric"
	"salescast/pkg/report/reporttest"
)

// pictures is where to keep the pictures for looking at: go test ./pkg/report/chart -args -pictures=DIR.
var pictures = flag.String("pictures", "", "folder that keeps the pictures")

func shopData(t *testing.T, stores, items, days, origins, horizon int) *Data {
	t.Helper()
	s := reporttest.New(stores, items, days, origins, horizon)
	ev, err := metric.Evaluate(s.Panel, s.Predictions)
	if err != nil {
		t.Fatal(err)
	}
	imp := func(model string) Importance {
		v := Importance{Model: model}
		for i, name := range []string{"sales_lag7_mean28", "sales_lag1", "weekday", "promo", "sales_seasonal_mean4", "holiday_next2", "item", "store", "sales_lag364", "week_of_year", "sales_roll28_std", "school_holiday", "a_feature_with_a_name_that_is_far_too_long_for_any_chart_to_show"} {
			v.Features = append(v.Features, Feature{name, 1000 / float64(i*i+1)})
		}
		return v
	}
	return &Data{sampled(s.Predictions), ev, "ensemble", "seasonal_naive", "sales", []Importance{imp("xgboost"), imp("lightgbm")}}
}

// TestPictures: every picture of a shop, and of a single short series, is a PNG of a fit size, and drawn twice it is the same.
func TestPictures(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]*Data{"shop": shopData(t, 20, 3, 400, 3, 28), "one series": shopData(t, 1, 1, 30, 1, 1)} {
		for _, p := range d.Pictures() {
			t.Run(name+"/"+p.Name, func(t *testing.T) {
				t.Parallel()
				var a, b bytes.Buffer
				if err := p.Draw(&a); err != nil {
					t.Fatal(err)
				}
				if err := p.Draw(&b); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(a.Bytes(), b.Bytes()) {
					t.Error("drawn twice, it differs")
				}
				cfg, err := png.DecodeConfig(bytes.NewReader(a.Bytes()))
				if err != nil || cfg.Width < 600 || a.Len() > 1<<20 {
					t.Errorf("a picture of %d x %d pixels and %d bytes: %v", cfg.Width, cfg.Height, a.Len(), err)
				}
				if *pictures != "" {
					if err := os.WriteFile(filepath.Join(*pictures, name+"-"+p.Name), a.Bytes(), 0o600); err != nil {
						t.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkPictures(b *testing.B) {
	s := reporttest.New(20, 3, 400, 3, 28)
	ev, err := metric.Evaluate(s.Panel, s.Predictions)
	if err != nil {
		b.Fatal(err)
	}
	d := &Data{sampled(s.Predictions), ev, "ensemble", "seasonal_naive", "sales", nil}
	for b.Loop() {
		for _, p := range d.Pictures() {
			if err := p.Draw(&bytes.Buffer{}); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// TestOddData: data with nothing to show still gives pictures, and says no nonsense on the way.
func TestOddData(t *testing.T) {
	t.Parallel()
	for name, d := range oddities(t) {
		for _, p := range d.Pictures() {
			t.Run(name+"/"+p.Name, func(t *testing.T) {
				t.Parallel()
				var b bytes.Buffer
				if err := p.Draw(&b); err != nil {
					t.Fatal(err)
				}
				if _, err := png.Decode(bytes.NewReader(b.Bytes())); err != nil {
					t.Error(err)
				}
				if *pictures != "" {
					if err := os.WriteFile(filepath.Join(*pictures, name+"-"+p.Name), b.Bytes(), 0o600); err != nil {
						t.Fatal(err)
					}
				}
			})
		}
	}
}

func oddities(t *testing.T) map[string]*Data {
	t.Helper()
	odd := map[string]func(s *reporttest.Shop){
		"nothing observed": func(s *reporttest.Shop) {
			for i := range s.Panel.Observed {
				s.Panel.Observed[i] = false
			}
			for i := range s.Predictions.Actual {
				s.Predictions.Actual[i] = math.NaN()
			}
		},
		"all zero": func(s *reporttest.Shop) {
			clear(s.Panel.Target)
			for i, y := range s.Predictions.Actual {
				s.Predictions.Actual[i] = 0 * y
			}
			clear(s.Predictions.Forecast)
			clear(s.Predictions.Quantiles)
		},
		"no quantiles": func(s *reporttest.Shop) { s.Predictions.Levels, s.Predictions.Quantiles = nil, nil },
		"no forecasts": func(s *reporttest.Shop) {
			for i := range s.Predictions.Forecast {
				s.Predictions.Forecast[i] = math.NaN()
			}
			for i := range s.Predictions.Quantiles {
				s.Predictions.Quantiles[i] = math.NaN()
			}
		},
		"huge": func(s *reporttest.Shop) {
			for i := range s.Predictions.Forecast {
				s.Predictions.Forecast[i] *= 1e30
			}
		},
		"no baseline": func(s *reporttest.Shop) { s.Predictions.Models[2] = "other" },
	}
	out := map[string]*Data{}
	for name, spoil := range odd {
		s := reporttest.New(2, 2, 60, 2, 7)
		spoil(s)
		ev, err := metric.Evaluate(s.Panel, s.Predictions)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = &Data{sampled(s.Predictions), ev, "ensemble", "seasonal_naive", "sales", []Importance{{"xgboost", nil}, {"lightgbm", []Feature{{"a", 0}}}}}
	}
	return out
}

func sampled(pr *backtest.Predictions) *Sample {
	s := NewSample(pr, "ensemble", "seasonal_naive")
	if err := s.Add(pr); err != nil {
		panic(err) // it is of the models and levels that the sample is for
	}
	return s
}

// A sample of many series has the sums of them all, and the rows of those alone that it drew.
func TestSampleIsBounded(t *testing.T) {
	t.Parallel()
	shop := reporttest.New(maxSampled/10, 11, 40, 1, 3)
	s := sampled(shop.Predictions)
	if n := s.Size(); n != maxSampled {
		t.Fatalf("%d series are kept", n)
	}
	if want := maxSampled * 3 * 2; s.Rows.Rows() != want { // three steps of two models
		t.Errorf("%d rows are kept, want %d", s.Rows.Rows(), want)
	}
	pr, actual := shop.Predictions, 0.0
	for i := range pr.Rows() {
		if pr.Model[i] == 0 && !math.IsNaN(pr.Actual[i]) {
			actual += pr.Actual[i]
		}
	}
	got := 0.0
	for _, v := range s.sums[0] {
		got += v.actual
	}
	if math.Abs(got-actual) > 1e-6*actual {
		t.Errorf("the sums have %v sold, want %v", got, actual)
	}
}
