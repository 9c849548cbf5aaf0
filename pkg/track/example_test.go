package track_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"salescast/pkg/track"
	"salescast/pkg/track/spool"
)

// A step that is tried again continues its record, and an alias names the version that serves.
func ExampleTracker() {
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	s, err := spool.Open(folder, 0)
	if err != nil {
		panic(err)
	}
	ctx, at := context.Background(), time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	var tracker track.Tracker = s
	for range 2 {
		run, err := tracker.Start(ctx, track.Spec{Experiment: "sales", Name: "train/lightgbm", Key: "train-1", Start: at})
		if err != nil {
			panic(err)
		}
		fmt.Println(run.Metrics(ctx, []track.Metric{{Name: "wape", Value: 0.21, At: at}}), run.End(ctx, track.Finished, at))
	}
	keys, err := s.Keys()
	fmt.Println(keys, err)

	var registry track.Registry = spool.NewRegistry(s, func() time.Time { return at })
	v, err := registry.Create(ctx, track.NewVersion{Model: "sales_forecast", Key: "made-1", Source: "file:///runs/today/ensemble"})
	if err != nil {
		panic(err)
	}
	fmt.Println(registry.SetAlias(ctx, v.Model, "champion", v.Version))
	v, err = registry.ByAlias(ctx, "sales_forecast", "champion")
	fmt.Println(v.Version, v.Source, err)
	// Output:
	// <nil> <nil>
	// <nil> <nil>
	// [train-1] <nil>
	// <nil>
	// 1 file:///runs/today/ensemble <nil>
}
