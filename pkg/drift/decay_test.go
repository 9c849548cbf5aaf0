package drift_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"salescast/pkg/drift"
	"salescast/pkg/metric"
)

func scores(wape, bias, coverage float64) metric.Scores {
	return metric.Scores{WAPE: metric.Value(wape), Bias: metric.Value(bias), Coverage95: metric.Value(coverage)}
}

func TestDecay(t *testing.T) {
	t.Parallel()
	limits := drift.Limits{WAPE: 0.25, Bias: 0.1, Coverage: 0.1}
	nan := math.NaN()
	then := drift.Measured{Model: scores(0.20, -0.02, 0.95), Baseline: scores(0.30, 0, nan)}
	calm := []metric.Scores{scores(0.19, -0.03, 0.96), scores(0.21, -0.01, 0.94)}
	for _, c := range []struct {
		name     string
		now      metric.Scores
		baseline float64
		origins  []metric.Scores
		want     []string
	}{
		{"as before", scores(0.20, -0.02, 0.95), 0.30, calm, nil},
		{"at every limit", scores(0.25, 0.08, 0.85), 0.30, calm, nil},
		{"beyond every limit", scores(0.2501, 0.0801, 0.8499), 0.30, calm, []string{"wape", "bias", "coverage_95"}},
		{"too little as well as too much", scores(0.20, -0.1201, 0.95), 0.30, calm, []string{"bias"}},
		{"a harder time", scores(0.29, -0.02, 0.95), 0.36, calm, nil},
		{"an easier time excuses nothing and adds nothing", scores(0.24, -0.02, 0.95), 0.25, calm, nil},
		{"as one origin of the backtest was", scores(0.28, 0.15, 0.80), 0.30, append(calm, scores(0.28, 0.15, 0.80)), nil},
		{"worse than the naive forecast", scores(0.245, -0.02, 0.95), 0.24, calm, []string{"baseline"}},
		{"nothing can be said", scores(nan, nan, nan), nan, calm, nil},
		{"no naive forecast", scores(0.26, -0.02, 0.95), nan, calm, []string{"wape"}},
		{"no intervals", scores(0.20, -0.02, nan), 0.30, calm, nil},
		{"an origin without sales", scores(0.26, -0.02, 0.95), 0.30, append(calm, scores(nan, nan, nan)), []string{"wape"}},
	} {
		var got []string
		for _, f := range drift.Decay(drift.Measured{Model: c.now, Baseline: scores(c.baseline, 0, nan)}, then, c.origins, limits) {
			got = append(got, f.Check)
			if f.Severity != drift.Drift || !f.Value.Defined() || !f.Limit.Defined() || strings.Contains(f.Message, "NaN") {
				t.Errorf("%s: %+v", c.name, f)
			}
		}
		slices.Sort(got)
		want := slices.Sorted(slices.Values(c.want))
		if !slices.Equal(got, want) {
			t.Errorf("%s: found %v, want %v", c.name, got, want)
		}
	}

	// A model that never was better than the naive forecast has not become worse than it, and one without intervals has none to lose.
	weak := drift.Measured{Model: scores(0.40, 0, nan), Baseline: scores(0.30, 0, nan)}
	if got := drift.Decay(drift.Measured{Model: scores(0.41, 0, 0.5), Baseline: scores(0.30, 0, nan)}, weak, nil, limits); len(got) > 0 {
		t.Errorf("found %+v", got)
	}
	if got := drift.Decay(drift.Measured{Model: scores(0.19, 0, 0.95), Baseline: scores(0.30, 0, nan)}, drift.Measured{Model: scores(nan, nan, nan), Baseline: scores(nan, nan, nan)}, nil, limits); len(got) > 0 {
		t.Errorf("nothing is known of the past, and found %+v", got)
	}
}
