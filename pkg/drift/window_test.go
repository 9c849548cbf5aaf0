package drift_test

import (
	"slices"
	"testing"

	"salescast/pkg/calendar"
	"salescast/pkg/drift"
)

func TestWindow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		learned, end calendar.Step
		horizon      int
		steps        int
		origins      []calendar.Step
	}{
		{100, 100, 14, 0, nil},
		{100, 90, 14, 0, nil},
		{100, 103, 14, 3, []calendar.Step{100}},
		{100, 114, 14, 14, []calendar.Step{100}},
		{100, 141, 14, 14, []calendar.Step{113, 127}}, // 13 steps are left over
		{0, 1000, 10, 10, []calendar.Step{880, 890, 900, 910, 920, 930, 940, 950, 960, 970, 980, 990}},
	} {
		w := drift.NewWindow(c.learned, c.end, c.horizon)
		if w.Steps != c.steps || w.Learned != c.learned || w.End != c.end || !slices.Equal(w.Origins, c.origins) {
			t.Errorf("from %d to %d by %d: %+v", c.learned, c.end, c.horizon, w)
		}
	}
}
