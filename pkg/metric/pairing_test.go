package metric_test

import (
	"math"
	"slices"
	"testing"

	"salescast/pkg/metric"
	"salescast/pkg/report/reporttest"
)

// Pairing, which sees a block at a time, says the very same as Paired, which sees everything.
func TestPairingIsPaired(t *testing.T) {
	t.Parallel()
	shop := reporttest.New(3, 4, 150, 3, 7)
	pr := shop.Predictions
	pr.Forecast[5] = math.NaN()
	p, err := metric.NewPairing(pr, "ensemble", slices.Compact(slices.Sorted(slices.Values(pr.Cutoff))), shop.Horizon)
	if err != nil {
		t.Fatal(err)
	}
	for lo := 0; lo < pr.Rows(); lo += 31 {
		lo, hi := lo, min(lo+31, pr.Rows())
		if err := p.Add(pr.Filter(func(i int) bool { return i >= lo && i < hi })); err != nil {
			t.Fatal(err)
		}
	}
	for _, reference := range pr.Models[1:] {
		want, err := metric.Paired(metric.Contender{Predictions: pr, Model: "ensemble"}, metric.Contender{Predictions: pr, Model: reference}, 3)
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.With(reference, 3)
		if err != nil || *got != *want {
			t.Errorf("%s: %+v, %v, want %+v", reference, got, err, want)
		}
	}
	if err := p.Add(pr); err == nil {
		t.Error("rows of the candidate after those of others were taken")
	}
}
