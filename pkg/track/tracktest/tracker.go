package tracktest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"salescast/pkg/track"
)

// Harness is what the suite needs of a tracker.
type Harness struct {
	// Open returns a tracker on the storage of this test; every call opens the same storage, as another process would.
	Open func(t *testing.T) track.Tracker
	// Observe returns every run kept under a key of an experiment, read from the storage and not from a tracker's memory.
	Observe func(t *testing.T, experiment, key string) []Observed
	// Models is false where the storage has no logged models, as MLflow 2.
	Models bool
}

var epoch = time.Date(2026, 3, 1, 9, 0, 0, 123e6, time.UTC)

// Tracker runs the suite. A test gets keys and experiments of its own, so that all may share a server.
func Tracker(t *testing.T, h Harness) {
	tests := []struct {
		name string
		test func(*testing.T, Harness)
	}{
		{"everything recorded is kept", testKept},
		{"what is recorded twice is there once", testTwice},
		{"a key continues its run", testContinue},
		{"a parameter keeps its first value", testConflict},
		{"a run has a parent", testParent},
		{"a parent may come late", testLateParent},
		{"statuses", testStatuses},
		{"many points, parameters and tags", testMany},
		{"goroutines share a run", testGoroutines},
		{"a short artifact is not recorded", testShortArtifact},
		{"invalid records are refused and leave nothing", testInvalid},
		{"a cancelled context records nothing", testCancelled},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.test(t, h)
		})
	}
}

// spec makes a run of the test.
func spec(t *testing.T, unit string) track.Spec {
	t.Helper()
	sum := sha256.Sum256([]byte(t.Name()))
	id := hex.EncodeToString(sum[:8])
	return track.Spec{
		Experiment: "conformance-" + id, Name: "train " + unit, Key: id + "." + unit, Start: epoch,
		Tags: map[string]string{"pipeline.unit": unit},
	}
}

func open(t *testing.T, h Harness) track.Tracker {
	t.Helper()
	tr := h.Open(t)
	t.Cleanup(func() { must(t, tr.Close(context.WithoutCancel(t.Context()))) })
	return tr
}

func start(t *testing.T, tr track.Tracker, s track.Spec) track.Run {
	t.Helper()
	r, err := tr.Start(t.Context(), s)
	must(t, err)
	return r
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func one(t *testing.T, h Harness, s track.Spec) Observed {
	t.Helper()
	all := h.Observe(t, s.Experiment, s.Key)
	if len(all) != 1 {
		t.Fatalf("%d runs are kept under the key %s, want 1", len(all), s.Key)
	}
	return all[0]
}

// same compares a run with that of the tracker in memory to which the same was recorded.
func same(t *testing.T, h Harness, want *Memory, s track.Spec) {
	t.Helper()
	Equal(t, one(t, h, s), want.Runs(s.Key)[0], h.Models)
}

// Equal fails the test where two runs differ. Without models those are not compared.
func Equal(t *testing.T, got, want Observed, models bool) {
	t.Helper()
	check := func(what string, a, b any) {
		t.Helper()
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%s:\n got %.1000v\nwant %.1000v", what, a, b)
		}
	}
	check("experiment, name, parent, status", []any{got.Experiment, got.Name, got.Parent, got.Status},
		[]any{want.Experiment, want.Name, want.Parent, want.Status})
	if !got.Start.Equal(want.Start) || !got.End.Equal(want.End) {
		t.Errorf("times: got %v to %v, want %v to %v", got.Start, got.End, want.Start, want.End)
	}
	check("params", got.Params, want.Params)
	check("tags", got.Tags, want.Tags)
	check("names of metrics", slices.Sorted(maps.Keys(got.Metrics)), slices.Sorted(maps.Keys(want.Metrics)))
	for name, points := range want.Metrics {
		if !slices.EqualFunc(got.Metrics[name], points, func(a, b track.Metric) bool { return ComparePoints(a, b) == 0 }) {
			t.Errorf("metric %s: got %.1000v, want %.1000v", name, got.Metrics[name], points)
		}
	}
	check("number of datasets", len(got.Datasets), len(want.Datasets))
	for i := range min(len(got.Datasets), len(want.Datasets)) {
		a, b := got.Datasets[i], want.Datasets[i]
		check("dataset", []any{a.Name, a.Digest, a.Context, a.Rows}, []any{b.Name, b.Digest, b.Context, b.Rows})
	}
	check("names of artifacts", slices.Sorted(maps.Keys(got.Artifacts)), slices.Sorted(maps.Keys(want.Artifacts)))
	for name, b := range want.Artifacts {
		check("artifact "+name, string(got.Artifacts[name]), string(b))
	}
	if models {
		check("models", got.Models, want.Models)
	}
}

// record records one of everything.
func record(t *testing.T, r track.Run) {
	t.Helper()
	ctx := t.Context()
	at := func(s int) time.Time { return epoch.Add(time.Duration(s) * time.Second) }
	must(t,
		r.Params(ctx, map[string]string{"learning rate": "0.05", "data/columns_n.a-b": "größe €", "empty": "", "long": strings.Repeat("x", track.MaxParamValue)}),
		r.Metrics(ctx, []track.Metric{
			{Name: "valid/wape", Value: 0.1 + 0.2, Step: 0, At: at(1)},
			{Name: "valid/wape", Value: math.NaN(), Step: 1, At: at(2)},
			{Name: "valid/wape", Value: -5e-324, Step: 2, At: at(3)},
			{Name: "valid/wape", Value: math.MaxFloat64, Step: -3, At: at(4)},
			{Name: "system/cpu_utilization_percentage", Value: 99.5, At: at(5)},
		}),
		r.Metrics(ctx, []track.Metric{{Name: "valid/wape", Value: 0.5, Step: 2, At: at(3)}}),
		r.Tags(ctx, map[string]string{"pipeline.step": "train/xgboost", "note": "zwei\nZeilen \"quoted\" <&>", "long": strings.Repeat("y", track.MaxTagValue)}),
		r.Dataset(ctx, track.Dataset{Name: "bakery", Digest: "0123456789abcdef", URI: "s3://bucket/validate/panel.parquet", Context: "training", Rows: 72900, Columns: []string{"date", "sold"}}),
		r.Dataset(ctx, track.Dataset{Name: "bakery", Digest: "fedcba9876543210", Context: "test"}),
		r.Artifact(ctx, "metrics.json", strings.NewReader(`{"wape":0.3}`), 12),
		r.Artifact(ctx, "charts/by series/a b+c?&ä.txt", strings.NewReader("first"), 5),
		r.Artifact(ctx, "charts/by series/a b+c?&ä.txt", strings.NewReader("second, and not all of it"), 6),
		r.Artifact(ctx, "empty.txt", strings.NewReader(""), 0),
		r.Artifact(ctx, "model/MLmodel", strings.NewReader("flavors: {}\n"), 12),
		r.Model(ctx, track.LoggedModel{
			Name: "xgboost", Path: "model", Flavors: []string{"xgboost", "python_function"},
			Params: map[string]string{"depth": "6"}, Metrics: []track.Metric{{Name: "valid/wape", Value: 0.5, Step: 2, At: at(3)}},
		}),
		r.End(ctx, track.Finished, at(60)),
	)
}

func testKept(t *testing.T, h Harness) {
	s, want := spec(t, "a"), NewMemory()
	tr := open(t, h)
	r := start(t, tr, s)
	if r.ID() == "" {
		t.Error("the run has no id")
	}
	record(t, r)
	record(t, start(t, want, s))
	same(t, h, want, s)
}

func testTwice(t *testing.T, h Harness) {
	s, want := spec(t, "a"), NewMemory()
	record(t, start(t, want, s))
	tr := open(t, h)
	var ids []string
	for range 2 {
		r := start(t, tr, s)
		ids = append(ids, r.ID())
		record(t, r)
	}
	r := start(t, open(t, h), s)
	record(t, r)
	if ids = slices.Compact(append(ids, r.ID())); len(ids) != 1 {
		t.Errorf("one key has the ids %v", ids)
	}
	same(t, h, want, s)
}

func testContinue(t *testing.T, h Harness) {
	s, want := spec(t, "a"), NewMemory()
	again := s
	again.Start, again.Tags = s.Start.Add(time.Hour), map[string]string{"pipeline.try": "2"}
	for _, tr := range []track.Tracker{open(t, h), want} {
		r := start(t, tr, s)
		must(t, r.Params(t.Context(), map[string]string{"a": "1"}), r.Metrics(t.Context(), []track.Metric{{Name: "m", Value: 1, At: epoch}}),
			r.End(t.Context(), track.Failed, epoch.Add(time.Minute)))
	}
	for _, tr := range []track.Tracker{open(t, h), want} {
		r := start(t, tr, again)
		must(t, r.Params(t.Context(), map[string]string{"a": "1", "b": "2"}), r.Metrics(t.Context(), []track.Metric{{Name: "m", Value: 2, Step: 1, At: epoch}}),
			r.Flush(t.Context()))
	}
	same(t, h, want, s) // open again, with its first start
	for _, tr := range []track.Tracker{open(t, h), want} {
		must(t, start(t, tr, again).End(t.Context(), track.Finished, epoch.Add(2*time.Hour)))
	}
	same(t, h, want, s)
}

func testConflict(t *testing.T, h Harness) {
	s := spec(t, "a")
	r := start(t, open(t, h), s)
	must(t, r.Params(t.Context(), map[string]string{"a": "1"}), r.Flush(t.Context()))
	err := r.Params(t.Context(), map[string]string{"a": "2", "b": "3"})
	if err == nil { // a tracker that buffers may say so later
		err = r.Flush(t.Context())
	}
	if !errors.Is(err, track.ErrConflict) {
		t.Fatalf("changing a parameter: %v, want ErrConflict", err)
	}
	must(t, r.Params(t.Context(), map[string]string{"c": "4"}), r.Metrics(t.Context(), []track.Metric{{Name: "m", At: epoch}}),
		r.End(t.Context(), track.Finished, epoch))
	got := one(t, h, s)
	if want := map[string]string{"a": "1", "c": "4"}; !maps.Equal(got.Params, want) {
		t.Errorf("params are %v, want %v", got.Params, want)
	}
	if len(got.Metrics["m"]) != 1 {
		t.Errorf("metric m has %d points, want 1", len(got.Metrics["m"]))
	}
}

func testParent(t *testing.T, h Harness) {
	parent, child := spec(t, "parent"), spec(t, "child")
	child.Parent = parent.Key
	want, tr := NewMemory(), open(t, h)
	for _, tr := range []track.Tracker{tr, want} {
		p := start(t, tr, parent)
		must(t, start(t, tr, child).End(t.Context(), track.Finished, epoch), p.End(t.Context(), track.Finished, epoch))
	}
	same(t, h, want, parent)
	same(t, h, want, child)
}

func testLateParent(t *testing.T, h Harness) {
	parent, child := spec(t, "parent"), spec(t, "child")
	child.Parent = parent.Key
	want, tr := NewMemory(), open(t, h)
	for _, tr := range []track.Tracker{tr, want} {
		must(t, start(t, tr, child).End(t.Context(), track.Finished, epoch))
		must(t, start(t, tr, parent).End(t.Context(), track.Finished, epoch))
	}
	same(t, h, want, parent)
	same(t, h, want, child)
}

func testStatuses(t *testing.T, h Harness) {
	tr := open(t, h)
	for _, status := range []track.Status{track.Finished, track.Failed, track.Killed} {
		s := spec(t, string(status))
		r := start(t, tr, s)
		must(t, r.Flush(t.Context()))
		if got := one(t, h, s).Status; got != track.Running {
			t.Errorf("before its end a run is %s", got)
		}
		must(t, r.End(t.Context(), status, epoch.Add(time.Hour)))
		if got := one(t, h, s); got.Status != status || !got.End.Equal(epoch.Add(time.Hour)) {
			t.Errorf("the run is %s at %v, want %s", got.Status, got.End, status)
		}
	}
}

func testMany(t *testing.T, h Harness) {
	s, want := spec(t, "a"), NewMemory()
	params, tags := map[string]string{}, map[string]string{}
	for i := range 250 {
		params[fmt.Sprintf("p%03d", i)] = strings.Repeat("v", i)
		tags[fmt.Sprintf("t%03d", i)] = strings.Repeat("w", i)
	}
	points := make([]track.Metric, 0, 2500)
	for i := range 2500 {
		points = append(points, track.Metric{Name: fmt.Sprintf("m%d", i%3), Value: float64(i) / 7, Step: int64(i), At: epoch.Add(time.Duration(i) * time.Millisecond)})
	}
	for _, tr := range []track.Tracker{open(t, h), want} {
		r := start(t, tr, s)
		must(t, r.Params(t.Context(), params), r.Tags(t.Context(), tags), r.Metrics(t.Context(), points), r.End(t.Context(), track.Finished, epoch))
	}
	same(t, h, want, s)
}

func testGoroutines(t *testing.T, h Harness) {
	s, want := spec(t, "a"), NewMemory()
	work := func(r track.Run, g int) error {
		var errs []error
		for i := range 5 {
			errs = append(errs, r.Metrics(t.Context(), []track.Metric{{Name: fmt.Sprintf("m%d", g), Value: float64(i), Step: int64(i), At: epoch}}),
				r.Params(t.Context(), map[string]string{fmt.Sprintf("p%d.%d", g, i): "v"}))
		}
		return errors.Join(append(errs, r.Artifact(t.Context(), fmt.Sprintf("f%d.txt", g), strings.NewReader("x"), 1))...)
	}
	tr := open(t, h)
	for _, tr := range []track.Tracker{tr, want} {
		r := start(t, tr, s)
		var wg sync.WaitGroup
		errs := make([]error, 6)
		for g := range errs {
			wg.Go(func() { errs[g] = work(r, g) })
		}
		wg.Wait()
		must(t, append(errs, r.End(t.Context(), track.Finished, epoch))...)
	}
	same(t, h, want, s)
}

func testShortArtifact(t *testing.T, h Harness) {
	s, want := spec(t, "a"), NewMemory()
	broken := errors.New("the disk is broken")
	for _, tr := range []track.Tracker{open(t, h), want} {
		r := start(t, tr, s)
		if err := r.Artifact(t.Context(), "short.txt", strings.NewReader("abc"), 4); err == nil {
			t.Error("an artifact of 3 bytes was recorded with 4")
		}
		err := r.Artifact(t.Context(), "broken.txt", io.MultiReader(strings.NewReader("abc"), failing{broken}), 4)
		if !errors.Is(err, broken) {
			t.Errorf("a reader that fails: %v, want its error", err)
		}
		must(t, r.End(t.Context(), track.Finished, epoch))
	}
	same(t, h, want, s)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func testInvalid(t *testing.T, h Harness) {
	s, want := spec(t, "a"), NewMemory()
	tr := open(t, h)
	for _, change := range []func(*track.Spec){
		func(s *track.Spec) { s.Key = "" },
		func(s *track.Spec) { s.Key = ".." },
		func(s *track.Spec) { s.Key = "a/b" },
		func(s *track.Spec) { s.Key = strings.Repeat("k", track.MaxKey+1) },
		func(s *track.Spec) { s.Parent = "a b" },
		func(s *track.Spec) { s.Parent = s.Key },
		func(s *track.Spec) { s.Experiment = "" },
		func(s *track.Spec) { s.Name = "" },
		func(s *track.Spec) { s.Start = time.Time{} },
		func(s *track.Spec) { s.Tags = map[string]string{"a:b": ""} },
	} {
		bad := s
		change(&bad)
		if _, err := tr.Start(t.Context(), bad); !errors.Is(err, track.ErrInvalid) {
			t.Errorf("start %+v: %v, want ErrInvalid", bad, err)
		}
	}
	for _, tr := range []track.Tracker{tr, want} {
		r := start(t, tr, s)
		for name, record := range invalid(t.Context()) {
			if err := record(r); !errors.Is(err, track.ErrInvalid) {
				t.Errorf("%s: %v, want ErrInvalid", name, err)
			}
		}
		must(t, r.End(t.Context(), track.Finished, epoch))
	}
	same(t, h, want, s)
}

func invalid(ctx context.Context) map[string]func(track.Run) error {
	metric := func(m track.Metric) func(track.Run) error {
		return func(r track.Run) error { return r.Metrics(ctx, []track.Metric{{Name: "good", At: epoch}, m}) }
	}
	param := func(k, v string) func(track.Run) error {
		return func(r track.Run) error { return r.Params(ctx, map[string]string{"good": "1", k: v}) }
	}
	artifact := func(name string, size int64) func(track.Run) error {
		return func(r track.Run) error { return r.Artifact(ctx, name, strings.NewReader("x"), size) }
	}
	return map[string]func(track.Run) error{
		"an infinite metric":       metric(track.Metric{Name: "m", Value: math.Inf(-1), At: epoch}),
		"a metric without time":    metric(track.Metric{Name: "m"}),
		"a metric with a colon":    metric(track.Metric{Name: "a:b", At: epoch}),
		"a metric that climbs":     metric(track.Metric{Name: "../m", At: epoch}),
		"a metric without name":    metric(track.Metric{At: epoch}),
		"a parameter with a slash": param("/a", "1"),
		"a parameter with an ä":    param("ä", "1"),
		"a parameter too long":     param("a", strings.Repeat("x", track.MaxParamValue+1)),
		"a tag too long": func(r track.Run) error {
			return r.Tags(ctx, map[string]string{"a": strings.Repeat("x", track.MaxTagValue+1)})
		},
		"a dataset without digest": func(r track.Run) error { return r.Dataset(ctx, track.Dataset{Name: "d"}) },
		"a digest too long": func(r track.Run) error {
			return r.Dataset(ctx, track.Dataset{Name: "d", Digest: strings.Repeat("0", 64)})
		},
		"an artifact that climbs":    artifact("../x", 1),
		"an absolute artifact":       artifact("/x", 1),
		"an artifact with a percent": artifact("a%20b", 1),
		"an artifact with a hash":    artifact("a#b", 1),
		"an artifact without name":   artifact("", 1),
		"an artifact's size below 0": artifact("x", -1),
		"a model with a slash":       func(r track.Run) error { return r.Model(ctx, track.LoggedModel{Name: "a/b", Path: "model"}) },
		"an end that runs":           func(r track.Run) error { return r.End(ctx, track.Running, epoch) },
		"an end of no known status":  func(r track.Run) error { return r.End(ctx, "DONE", epoch) },
	}
}

func testCancelled(t *testing.T, h Harness) {
	s := spec(t, "a")
	tr := open(t, h)
	r := start(t, tr, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tr.Start(ctx, spec(t, "b")); !errors.Is(err, context.Canceled) {
		t.Errorf("start: %v, want context.Canceled", err)
	}
	if err := r.Artifact(ctx, "a.txt", strings.NewReader("a"), 1); !errors.Is(err, context.Canceled) {
		t.Errorf("artifact: %v, want context.Canceled", err)
	}
	if err := r.End(ctx, track.Finished, epoch); !errors.Is(err, context.Canceled) {
		t.Errorf("end: %v, want context.Canceled", err)
	}
	must(t, r.End(t.Context(), track.Killed, epoch))
	if got := one(t, h, s); got.Status != track.Killed || len(got.Artifacts) != 0 {
		t.Errorf("the run is %s with %d artifacts, want KILLED and none", got.Status, len(got.Artifacts))
	}
	b := spec(t, "b")
	if got := h.Observe(t, b.Experiment, b.Key); len(got) != 0 {
		t.Errorf("%d runs were started by a cancelled context", len(got))
	}
}
