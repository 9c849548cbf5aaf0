package tracktest

import (
	"testing"

	"salescast/pkg/track"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	m := NewMemory()
	Tracker(t, Harness{
		Open:    func(*testing.T) track.Tracker { return m },
		Observe: func(_ *testing.T, _, key string) []Observed { return m.Runs(key) },
		Models:  true,
	})
}
