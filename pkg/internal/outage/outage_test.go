package outage_test

import (
	"testing"
	"time"

	"salescast/pkg/internal/outage"
)

func TestOutage(t *testing.T) {
	t.Parallel()
	zero := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	at := func(s int) time.Time { return zero.Add(time.Duration(s) * time.Second) }
	o := outage.Outage{Patience: time.Minute}
	until := func(began, now, want int, over bool) {
		t.Helper()
		if got := o.Failed(at(began), at(now)); !got.Equal(at(want)) || o.Over(at(now)) != over {
			t.Errorf("a call of %d s that failed at %d s may try until %v (patience is over: %v), want %v, %v", began, now, got, o.Over(at(now)), at(want), over)
		}
	}
	until(0, 1, 60, false)
	until(30, 31, 60, false) // a second call has what the first leaves
	until(61, 62, 60, true)  // and a third makes one attempt
	o.Passed()
	until(70, 71, 130, false)
	until(1000, 1001, 1060, false) // much later is another outage
	o.Passed()
	until(1100, 1155, 1160, false)
	o.Passed()
	until(1100, 1158, 1160, false) // a call that fails where others pass is not endless
}
