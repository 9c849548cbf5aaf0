package chart

import (
	"bytes"
	"flag"
	"image/png"
	"os"
	"path/filepath"
	"testing"

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
	return &Data{s.Panel, s.Predictions, ev, "ensemble", "seasonal_naive", "sales", []Importance{imp("xgboost"), imp("lightgbm")}}
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
	d := &Data{s.Panel, s.Predictions, ev, "ensemble", "seasonal_naive", "sales", nil}
	for b.Loop() {
		for _, p := range d.Pictures() {
			if err := p.Draw(&bytes.Buffer{}); err != nil {
				b.Fatal(err)
			}
		}
	}
}
