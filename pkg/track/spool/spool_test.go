package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"salescast/pkg/artifact/dir"
	"salescast/pkg/track"
	"salescast/pkg/track/tracktest"
)

func TestTracker(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tracktest.Tracker(t, tracktest.Harness{
		Open:    func(t *testing.T) track.Tracker { return open(t, dir, 0) },
		Observe: func(t *testing.T, _, key string) []tracktest.Observed { return observe(t, dir, key) },
		Models:  true,
	})
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tracktest.Registry(t, tracktest.RegistryHarness{
		Open: func(t *testing.T) track.Registry {
			r := NewRegistry(open(t, dir, 0), func() time.Time { return epoch })
			t.Cleanup(func() { must(t, r.Close()) })
			return r
		},
		Source: func(_ *testing.T, unit string) (string, string) { return "runs/1/" + unit, unit },
	})
}

func TestStoreRegistry(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	tracktest.Registry(t, tracktest.RegistryHarness{
		Open: func(t *testing.T) track.Registry {
			store, err := dir.New(root)
			must(t, err)
			return NewStoreRegistry(store, func() time.Time { return epoch })
		},
		Source: func(_ *testing.T, unit string) (string, string) { return "s3://b/runs/1/" + unit, unit },
	})
}

// TestStoreRegistryDamaged changes, cuts and extends the object: no reader takes it for whole.
func TestStoreRegistryDamaged(t *testing.T) {
	t.Parallel()
	store, err := dir.New(t.TempDir())
	must(t, err)
	now := func() time.Time { return epoch }
	for _, key := range []string{"a", "b"} {
		_, err := NewStoreRegistry(store, now).Create(t.Context(), track.NewVersion{Model: "m", Key: key, Source: "s3://b/" + key})
		must(t, err)
	}
	r, _, err := store.Get(t.Context(), registryName)
	must(t, err)
	whole, err := io.ReadAll(r)
	must(t, err, r.Close())
	for name, damaged := range map[string][]byte{
		"cut":       whole[:len(whole)-1],
		"extended":  append(slices.Clone(whole), "{}\n"...),
		"changed":   bytes.Replace(whole, []byte("s3://b/a"), []byte("s3://b/x"), 1),
		"last line": bytes.Replace(whole, []byte("s3://b/b"), []byte("s3://b/x"), 1),
	} {
		_, err := store.Put(t.Context(), registryName, bytes.NewReader(damaged))
		must(t, err)
		if _, err := NewStoreRegistry(store, now).Versions(t.Context(), "m"); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

var epoch = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

func open(t *testing.T, dir string, limit int64) *Spool {
	t.Helper()
	s, err := Open(dir, limit)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close(context.WithoutCancel(t.Context()))) })
	return s
}

// observe replays one run into memory.
func observe(t *testing.T, dir, key string) []tracktest.Observed {
	t.Helper()
	s := open(t, dir, 0)
	m := tracktest.NewMemory()
	p := player{spool: s, key: key, to: m}
	if _, err := os.Stat(s.runDir(key)); err != nil {
		return nil
	}
	_, err := s.scanRun(key, func(l line) error { return p.play(t.Context(), l) })
	must(t, err)
	if p.ended != nil {
		must(t, p.run.End(t.Context(), p.ended.Status, p.ended.at()))
	}
	return m.Runs(key)
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func spec(key string) track.Spec {
	return track.Spec{Experiment: "e", Name: "name of " + key, Key: key, Start: epoch}
}

func metric(i int) []track.Metric {
	return []track.Metric{{Name: "m", Value: float64(i), Step: int64(i), At: epoch}}
}

// A log cut off at any byte gives what its whole lines say, and can be continued.
func TestTornAtEveryByte(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, 0)
	r, err := s.Start(t.Context(), spec("k"))
	must(t, err, r.Metrics(t.Context(), metric(1)), r.Params(t.Context(), map[string]string{"p": "ü\n"}), r.Metrics(t.Context(), metric(2)), s.Close(t.Context()))
	whole, err := os.ReadFile(filepath.Join(dir, "runs", "k", "log.jsonl"))
	must(t, err)
	for cut := range len(whole) + 1 {
		tail := []string{"", "\x00\x00\x00", "garbage\n"}[cut%3]
		dir := t.TempDir()
		log := filepath.Join(dir, "runs", "k", "log.jsonl")
		must(t, os.MkdirAll(filepath.Dir(log), 0o755), os.WriteFile(log, append(bytes.Clone(whole[:cut]), tail...), 0o600))
		lines := bytes.Count(whole[:cut], []byte("\n"))
		s, err := Open(dir, 0)
		must(t, err)
		r, err := s.Start(t.Context(), spec("k"))
		must(t, err, r.Metrics(t.Context(), metric(9)), s.Close(t.Context()))
		got := observe(t, dir, "k")
		if len(got) != 1 {
			t.Fatalf("cut at %d: %d runs", cut, len(got))
		}
		want := 1 // the point that was added
		if lines >= 2 {
			want++
		}
		if lines >= 4 {
			want++
		}
		if n := len(got[0].Metrics["m"]); n != want {
			t.Fatalf("cut at byte %d with tail %q: %d points, want %d", cut, tail, n, want)
		}
		if (got[0].Params["p"] == "ü\n") != (lines >= 3) {
			t.Fatalf("cut at byte %d: params are %v", cut, got[0].Params)
		}
	}
}

// Any byte changed before the last line is noticed.
func TestCorrupt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, 0)
	r, err := s.Start(t.Context(), spec("k"))
	must(t, err, r.Metrics(t.Context(), metric(1)), r.Metrics(t.Context(), metric(2)), s.Close(t.Context()))
	log := filepath.Join(dir, "runs", "k", "log.jsonl")
	whole, err := os.ReadFile(log)
	must(t, err)
	last := bytes.LastIndexByte(whole[:len(whole)-1], '\n')
	for i := range last {
		bad := bytes.Clone(whole)
		bad[i] ^= 1
		_, _, err := scan(bytes.NewReader(bad), chain{}, func(line) error { return nil })
		if !errors.Is(err, ErrCorrupt) {
			t.Fatalf("byte %d (%q) changed: %v, want ErrCorrupt", i, whole[i], err)
		}
	}
	lines := bytes.SplitAfter(whole, []byte("\n"))
	lost := bytes.Join([][]byte{lines[0], lines[2], lines[2]}, nil)
	must(t, os.WriteFile(log, lost, 0o600))
	if _, err := open(t, dir, 0).Start(t.Context(), spec("k")); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a lost line: %v, want ErrCorrupt", err)
	}
	_, err = Replay(t.Context(), open(t, dir, 0), tracktest.NewMemory(), "memory")
	if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "k") {
		t.Errorf("replay: %v, want ErrCorrupt and the run's key", err)
	}
}

// A full spool fails, says so, and keeps what it had.
func TestFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, 2000)
	r, err := s.Start(t.Context(), spec("k"))
	must(t, err)
	kept := 0
	for ; kept < 100; kept++ {
		if err = r.Metrics(t.Context(), metric(kept)); err != nil {
			break
		}
	}
	if !errors.Is(err, track.ErrUnavailable) || !strings.Contains(err.Error(), "full") {
		t.Fatalf("after %d points: %v, want that the spool is full", kept, err)
	}
	if err := r.Artifact(t.Context(), "a", strings.NewReader(strings.Repeat("x", 3000)), 3000); !errors.Is(err, track.ErrUnavailable) {
		t.Errorf("an artifact beyond the cap: %v", err)
	}
	if got := observe(t, dir, "k"); len(got) != 1 || len(got[0].Metrics["m"]) != kept || kept == 0 {
		t.Errorf("kept %v, want %d points", got, kept)
	}
	if _, err := open(t, dir, 1).Start(t.Context(), spec("l")); !errors.Is(err, track.ErrUnavailable) {
		t.Errorf("a spool opened full: %v", err)
	}
}

// Processes that record to one run at once lose nothing of each other, with a prune in between.
func TestWriters(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	to := tracktest.NewMemory()
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for w := range errs {
		s := open(t, dir, 0)
		wg.Go(func() {
			r, err := s.Start(t.Context(), spec("k"))
			for i := 0; i < 40 && err == nil; i++ {
				name := fmt.Sprintf("m%d", w)
				err = errors.Join(r.Metrics(t.Context(), []track.Metric{{Name: name, Step: int64(i), At: epoch}}),
					r.Artifact(t.Context(), fmt.Sprintf("f%d/%d", w, i), strings.NewReader(name), 2))
				if err == nil && i%10 == 9 {
					err = r.End(t.Context(), track.Finished, epoch)
				}
			}
			errs[w] = err
		})
	}
	s := open(t, dir, 0)
	for range 20 {
		_, err := Replay(t.Context(), s, to, "memory")
		must(t, err)
		_, err = Prune(t.Context(), s)
		must(t, err)
		time.Sleep(5 * time.Millisecond)
	}
	wg.Wait()
	must(t, errs...)
	_, err := Replay(t.Context(), s, to, "memory")
	must(t, err)
	got := to.Runs("k")[0]
	for w := range errs {
		if n := len(got.Metrics[fmt.Sprintf("m%d", w)]); n != 40 {
			t.Errorf("writer %d has %d points, want 40", w, n)
		}
	}
	if len(got.Artifacts) != 160 {
		t.Errorf("%d artifacts, want 160", len(got.Artifacts))
	}
}

func TestFormat(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open(t, dir, 0)
	must(t, os.WriteFile(filepath.Join(dir, "FORMAT"), []byte("salescast.spool/v9\n"), 0o600))
	if _, err := Open(dir, 0); err == nil || !strings.Contains(err.Error(), "v9") {
		t.Errorf("a format of the future: %v", err)
	}
}

func FuzzScan(f *testing.F) {
	f.Add([]byte("{\"seq\":1,\"op\":\"end\",\"body\":{},\"sum\":\"00000000\"}\n"))
	f.Add([]byte("{}\n{}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, good, err := scan(bytes.NewReader(b), chain{}, func(line) error { return nil })
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
		if good > int64(len(b)) {
			t.Fatalf("%d of %d bytes are good", good, len(b))
		}
	})
}
