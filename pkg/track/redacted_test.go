package track_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"salescast/pkg/track"
)

// What a tracker is given with a secret in it, it does not keep.
func TestRedactedKeepsNoSecret(t *testing.T) {
	t.Parallel()
	kept := &keeper{Tracker: track.Off{}}
	const address = "s3://KEY:hunter2@bucket/sales.csv"
	run, err := track.Redacted(kept).Start(t.Context(), track.Spec{Name: "x", Key: "k", Start: time.Unix(0, 0), Tags: map[string]string{"a": address}})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		run.Params(t.Context(), map[string]string{"data.source": address, "db.password": "hunter2"}),
		run.Tags(t.Context(), map[string]string{"b": address}),
		run.Dataset(t.Context(), track.Dataset{Name: "d", URI: address}),
		run.Model(t.Context(), track.LoggedModel{Name: "m", Params: map[string]string{"c": address}}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	b, err := json.Marshal(kept.all)
	if err != nil {
		t.Fatal(err)
	}
	if len(kept.all) != 5 || strings.Contains(string(b), "hunter2") || !strings.Contains(string(b), "***@bucket/sales.csv") {
		t.Errorf("kept %s", b)
	}
}

// keeper remembers what reaches it.
type keeper struct {
	track.Tracker
	all []any
}

func (k *keeper) Start(ctx context.Context, s track.Spec) (track.Run, error) {
	k.all = append(k.all, s)
	run, err := k.Tracker.Start(ctx, s)
	return keeperRun{run, k}, err
}

type keeperRun struct {
	track.Run
	k *keeper
}

func (r keeperRun) Params(_ context.Context, p map[string]string) error {
	r.k.all = append(r.k.all, p)
	return nil
}

func (r keeperRun) Tags(_ context.Context, t map[string]string) error {
	r.k.all = append(r.k.all, t)
	return nil
}

func (r keeperRun) Dataset(_ context.Context, d track.Dataset) error {
	r.k.all = append(r.k.all, d)
	return nil
}

func (r keeperRun) Model(_ context.Context, m track.LoggedModel) error {
	r.k.all = append(r.k.all, m)
	return nil
}
