package tasks

import (
	"testing"
	"time"
)

func TestSamples(t *testing.T) {
	t.Parallel()
	s := sample(t.Context(), time.Now)
	until := time.Now().Add(150 * time.Millisecond)
	for time.Now().Before(until) { // use some CPU
	}
	got := map[string]float64{}
	for _, p := range s.finish() {
		got[p.Name] = p.Value
	}
	for name, within := range map[string][2]float64{
		"system/cpu_utilization_percentage": {0, 100}, "system/system_memory_usage_percentage": {0, 100},
		"system/system_memory_usage_megabytes": {1, 1e8}, "system/process_cpu_percentage": {0.1, 1e5}, "system/process_memory_megabytes": {1, 1e6},
	} {
		if v, there := got[name]; !there || v < within[0] || v > within[1] {
			t.Errorf("%s is %v (there: %v), want within %v", name, v, there, within)
		}
	}
}
