package tasks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"salescast/pkg/artifact"
	"salescast/pkg/artifact/dir"
	"salescast/pkg/track"
)

// stepEnv is an environment on a fresh folder, with a clock that ticks a second at every look.
func stepEnv(t *testing.T) Env {
	t.Helper()
	s, err := dir.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var ticks atomic.Int64
	return Env{
		Store: s, Log: zerolog.New(zerolog.NewTestWriter(t)), Version: "test",
		Now: func() time.Time {
			return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(ticks.Add(1)) * time.Second)
		},
		Scratch: t.TempDir(),
	}
}

type testOptions struct {
	A     int    `json:"a"`
	Note  string `json:"note"`
	Force bool   `json:"-"`
}

func firstSpec() stepSpec { return stepSpec{Name: "first", Options: testOptions{A: 1}, Seed: 7} }

// firstBody writes two files, one of them larger than every buffer.
func firstBody(ctx context.Context, s *Step) error {
	s.Phase("write", 2)
	if err := s.WriteJSON(ctx, "small.json", map[string]int{"b": 1, "a": 2}); err != nil {
		return err
	}
	o, err := s.Create(ctx, "deep/big.csv")
	if err != nil {
		return err
	}
	defer o.Abort()
	for i := range 60_000 {
		if _, err := fmt.Fprintf(o, "%d\n", i); err != nil {
			return err
		}
	}
	o.Rows(60_000)
	s.Metric("wape", 0.25)
	s.Rows("out", 60_000)
	s.Warn("mind the %s", "gap")
	return o.Close()
}

func mustStep(t *testing.T, env Env, spec stepSpec, want Status, body func(context.Context, *Step) error) *Result {
	t.Helper()
	r, err := runStep(t.Context(), env, spec, body)
	if err != nil || r.Status != want {
		t.Fatalf("step %s: %+v, %v, want status %s", spec.Name, r, err, want)
	}
	return r
}

func never(context.Context, *Step) error { return errors.New("the body ran") }

func objects(t *testing.T, s artifact.Store, prefix string) []string {
	t.Helper()
	var names []string
	for i, err := range s.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, i.Name)
	}
	return names
}

func TestStepCommitsAndAnswersFromItsManifest(t *testing.T) {
	t.Parallel()
	env := stepEnv(t)
	r := mustStep(t, env, firstSpec(), Done, firstBody)
	if r.Metrics["wape"] != 0.25 || r.Rows["out"] != 60_000 || !slices.Equal(r.Warnings, []string{"mind the gap"}) || r.Timings["write"] <= 0 || r.Timings["total"] < r.Timings["write"] || r.PeakRSSBytes < 1<<20 {
		t.Errorf("result %+v", r)
	}
	o, err := OpenStep(t.Context(), env.Store, "first")
	if err != nil {
		t.Fatal(err)
	}
	if got := o.Names(""); !slices.Equal(got, []string{"deep/big.csv", "small.json"}) {
		t.Errorf("files %v", got)
	}
	if f, _ := o.file("deep/big.csv"); f.Rows != 60_000 {
		t.Errorf("record of big.csv: %+v", f)
	}
	b, err := o.ReadFile(t.Context(), "small.json", 100)
	if err != nil || string(b) != "{\n  \"a\": 2,\n  \"b\": 1\n}\n" {
		t.Errorf("small.json: %q, %v", b, err)
	}
	if _, err := o.ReadFile(t.Context(), "deep/big.csv", 100); KindOf(err) != KindData {
		t.Errorf("a file over the limit: %v", err)
	}
	if _, err := o.Get(t.Context(), "none"); KindOf(err) != KindInputMissing {
		t.Errorf("a file that is not there: %v", err)
	}
	// Under its logical name, too.
	if rc, _, err := env.Store.Get(t.Context(), "first/deep/big.csv"); err != nil {
		t.Error(err)
	} else {
		rc.Close()
	}

	again := mustStep(t, env, firstSpec(), Cached, never)
	if again.Metrics["wape"] != 0.25 || again.Rows["out"] != 60_000 || !slices.Equal(again.Warnings, r.Warnings) || again.Manifest != r.Manifest {
		t.Errorf("cached result %+v, want the figures of %+v", again, r)
	}
	for _, change := range []func(*stepSpec){
		func(s *stepSpec) { s.Options = testOptions{A: 2} },
		func(*stepSpec) {}, // back to what it was
		func(s *stepSpec) { s.Seed++ },
		func(s *stepSpec) { s.Salt = map[string]string{"engine": "3.2"} },
		func(s *stepSpec) { s.Sources = []artifact.Input{{Step: "x.csv", Digest: "d"}} },
	} {
		spec := firstSpec()
		change(&spec)
		mustStep(t, env, spec, Done, firstBody)
		mustStep(t, env, spec, Cached, never)
	}
	mustStep(t, env, firstSpec(), Done, firstBody)
	spec := firstSpec()
	spec.Options = testOptions{A: 1, Force: true}
	mustStep(t, env, spec, Cached, never) // json:"-" does not count
	spec.Force = true
	mustStep(t, env, spec, Done, firstBody)
}

func TestSameInputsGiveTheSameContent(t *testing.T) {
	t.Parallel()
	second := func(ctx context.Context, s *Step) error {
		r, err := s.Input("first").Get(ctx, "deep/big.csv")
		if err != nil {
			return err
		}
		defer r.Close()
		o, err := s.Create(ctx, "copy")
		if err != nil {
			return err
		}
		defer o.Abort()
		if _, err := io.Copy(o, r); err != nil {
			return err
		}
		return o.Close()
	}
	spec := stepSpec{Name: "second", Options: testOptions{}, Inputs: []string{"first"}}
	var digests []string
	for range 2 {
		env := stepEnv(t)
		mustStep(t, env, firstSpec(), Done, firstBody)
		mustStep(t, env, spec, Done, second)
		o, err := OpenStep(t.Context(), env.Store, "second")
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, o.Manifest.ContentDigest())

		// Redoing the first with the same outcome leaves the second cached; another outcome does not.
		forced := firstSpec()
		forced.Force = true
		mustStep(t, env, forced, Done, firstBody)
		mustStep(t, env, spec, Cached, never)
		mustStep(t, env, forced, Done, func(ctx context.Context, s *Step) error { return s.WriteFile(ctx, "deep/big.csv", []byte("other")) })
		mustStep(t, env, spec, Done, second)
		if _, err := env.Store.Stat(t.Context(), "first/small.json"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the logical name of a file that is no longer written: %v", err)
		}
	}
	if digests[0] != digests[1] {
		t.Errorf("two workspaces differ in content: %v", digests)
	}
}

func TestMissingInput(t *testing.T) {
	t.Parallel()
	env := stepEnv(t)
	r, err := runStep(t.Context(), env, stepSpec{Name: "x", Options: testOptions{}, Inputs: []string{"train/xgboost"}}, never)
	if KindOf(err) != KindInputMissing || r.Status != Failed || r.Error == nil || r.Error.Code != "input_missing" || !strings.Contains(r.Error.Hint, "train --model xgboost") {
		t.Errorf("%+v %+v, %v", r, r.Error, err)
	}
}

func TestDamageIsFound(t *testing.T) {
	t.Parallel()
	env := stepEnv(t)
	mustStep(t, env, firstSpec(), Done, firstBody)
	o, err := OpenStep(t.Context(), env.Store, "first")
	if err != nil {
		t.Fatal(err)
	}
	f, _ := o.file("deep/big.csv")
	whole, err := o.ReadFile(t.Context(), "deep/big.csv", f.Size)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/2] ^= 1
	// The last of them has another size, which is what is looked at below; so the order matters.
	damages := []struct {
		name string
		b    []byte
	}{{"flipped", flipped}, {"short", whole[:len(whole)-1]}, {"long", append(bytes.Clone(whole), 'x')}, {"empty", nil}}
	for _, d := range damages {
		name, b := d.name, d.b
		if _, err := env.Store.Put(t.Context(), path.Join("first", f.Object), bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
		o, err := OpenStep(t.Context(), env.Store, "first")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := o.ReadFile(t.Context(), "deep/big.csv", f.Size); KindOf(err) != KindData || int64(len(got)) > f.Size {
			t.Errorf("%s: ReadFile gave %d bytes, %v", name, len(got), err)
		}
		if _, err := o.ReadAt(t.Context(), "deep/big.csv"); KindOf(err) != KindData {
			t.Errorf("%s: ReadAt: %v", name, err)
		}
	}
	// A file of another size or none, and a damaged manifest, are no answer to give again.
	mustStep(t, env, firstSpec(), Done, firstBody)
	for _, b := range []string{"", "{", `{"schema":"salescast.manifest/v0"}`} {
		if _, err := env.Store.Put(t.Context(), "first/manifest.json", strings.NewReader(b)); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenStep(t.Context(), env.Store, "first"); KindOf(err) != KindData {
			t.Errorf("manifest %q: %v", b, err)
		}
		mustStep(t, env, firstSpec(), Done, firstBody)
	}
}

// breaking is a store that fails from the n-th write on: the place of a kill, a full disk or a lost network.
type breaking struct {
	*dir.Store
	left atomic.Int64
	err  error
	dead bool // nothing works once it broke, not even cleaning up
}

func (b *breaking) tick() error {
	if b.left.Add(-1) < 0 {
		return b.err
	}
	return nil
}

func (b *breaking) Put(ctx context.Context, name string, r io.Reader) (artifact.Info, error) {
	if err := b.tick(); err != nil {
		_, _ = io.CopyN(io.Discard, r, 1000)
		return artifact.Info{}, err
	}
	return b.Store.Put(ctx, name, r)
}

func (b *breaking) Create(ctx context.Context, name string, r io.Reader) (artifact.Info, error) {
	if err := b.tick(); err != nil {
		return artifact.Info{}, err
	}
	return b.Store.Create(ctx, name, r)
}

func (b *breaking) Replace(ctx context.Context, name, etag string, r io.Reader) (artifact.Info, error) {
	if err := b.tick(); err != nil {
		return artifact.Info{}, err
	}
	return b.Store.Replace(ctx, name, etag, r)
}

func (b *breaking) Link(ctx context.Context, name, alias string) error {
	if err := b.tick(); err != nil {
		return err
	}
	return b.Store.Link(ctx, name, alias)
}

func (b *breaking) Delete(ctx context.Context, name string) error {
	if b.dead && b.left.Load() < 0 {
		return b.err
	}
	return b.Store.Delete(ctx, name)
}

// A step that breaks at any write is either whole or absent, whatever it replaces, and the next run completes with the same content.
func TestBrokenAtAnyWrite(t *testing.T) {
	t.Parallel()
	clean := stepEnv(t)
	mustStep(t, clean, firstSpec(), Done, firstBody)
	want, err := OpenStep(t.Context(), clean.Store, "first")
	if err != nil {
		t.Fatal(err)
	}
	full := fmt.Errorf("%w: %w", artifact.ErrUnavailable, syscall.ENOSPC)
	for _, redo := range []bool{false, true} {
		for _, dead := range []bool{false, true} {
			for n := range int64(6) {
				env := stepEnv(t)
				folder := env.Store.(*dir.Store)
				oldBody := func(ctx context.Context, s *Step) error { return s.WriteFile(ctx, "small.json", []byte("old")) }
				if redo {
					mustStep(t, env, stepSpec{Name: "first", Options: testOptions{A: 9}}, Done, oldBody)
				}
				before := objects(t, folder, "")
				b := &breaking{Store: folder, err: full, dead: dead}
				b.left.Store(n)
				env.Store = b
				_, err := runStep(t.Context(), env, firstSpec(), firstBody)
				env.Store = folder
				o, operr := OpenStep(t.Context(), folder, "first")
				switch {
				case err == nil:
					if operr != nil || o.Manifest.ContentDigest() != want.Manifest.ContentDigest() {
						t.Errorf("write %d: the step succeeded but left %+v, %v", n, o, operr)
					}
				case KindOf(err) != KindTryAgain:
					t.Errorf("write %d: %v, want a full disk to be try_again", n, err)
				case redo:
					if old, err := o.ReadFile(t.Context(), "small.json", 10); operr != nil || err != nil || string(old) != "old" {
						t.Errorf("write %d: the old step reads %q, %v, %v", n, old, err, operr)
					}
				case KindOf(operr) != KindInputMissing:
					t.Errorf("write %d: a broken first attempt opens: %v", n, operr)
				}
				if after := objects(t, folder, ""); err != nil && !dead && !slices.Equal(before, after) {
					t.Errorf("write %d: the failed attempt left %v, before %v", n, after, before)
				}
				if err != nil {
					mustStep(t, env, firstSpec(), Done, firstBody)
				} else {
					mustStep(t, env, firstSpec(), Cached, never) // and mends links that were not made
				}
				o, err = OpenStep(t.Context(), folder, "first")
				if err != nil || o.Manifest.ContentDigest() != want.Manifest.ContentDigest() {
					t.Errorf("write %d: the next run made other content: %v", n, err)
				}
				for _, name := range o.Names("") {
					a, aerr := folder.Stat(t.Context(), "first/"+name)
					f, _ := o.file(name)
					b, berr := folder.Stat(t.Context(), "first/"+f.Object)
					if aerr != nil || berr != nil || a.ETag != b.ETag {
						t.Errorf("write %d: logical name %s: %v %v", n, name, aerr, berr)
					}
				}
			}
		}
	}
}

func TestConcurrentRunsGiveOneManifest(t *testing.T) {
	t.Parallel()
	for _, force := range []bool{false, true} {
		env := stepEnv(t)
		spec := firstSpec()
		if force {
			mustStep(t, env, spec, Done, firstBody)
		}
		spec.Force = force
		const n = 6
		var gate, wg sync.WaitGroup
		gate.Add(n)
		results := make([]*Result, n)
		for i := range n {
			wg.Go(func() {
				var err error
				results[i], err = runStep(t.Context(), env, spec, func(ctx context.Context, s *Step) error {
					gate.Done()
					gate.Wait() // all of them are in the body before any commits
					return firstBody(ctx, s)
				})
				if err != nil {
					t.Errorf("force %t, run %d: %v", force, i, err)
				}
			})
		}
		wg.Wait()
		count := map[Status]int{}
		for _, r := range results {
			count[r.Status]++
		}
		if !maps.Equal(count, map[Status]int{Done: 1, Cached: n - 1}) {
			t.Errorf("force %t: statuses %v, want one done", force, count)
		}
		o, err := OpenStep(t.Context(), env.Store, "first")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range objects(t, env.Store, "first/attempts/") {
			if !force && !strings.HasPrefix(name, "first/attempts/"+o.Manifest.Attempt+"/") {
				t.Errorf("a losing attempt left %s", name)
			}
		}
	}
}

func TestTwoOptionsAtOnceIsTryAgain(t *testing.T) {
	t.Parallel()
	env := stepEnv(t)
	_, err := runStep(t.Context(), env, firstSpec(), func(ctx context.Context, s *Step) error {
		mustStep(t, env, stepSpec{Name: "first", Options: testOptions{A: 2}}, Done, firstBody) //nolint:contextcheck // it stands for another process
		return firstBody(ctx, s)
	})
	if KindOf(err) != KindTryAgain || !errors.Is(err, artifact.ErrChanged) {
		t.Errorf("%v, want try_again", err)
	}
}

// recorder is a tracker that remembers.
type recorder struct {
	noRun
	specs   []track.Spec
	ends    []track.Status
	params  map[string]string
	metrics map[string]float64
	files   []string
	fail    error
}

func (r *recorder) Start(_ context.Context, s track.Spec) (track.Run, error) {
	r.specs = append(r.specs, s)
	return r, r.fail
}
func (r *recorder) Close(context.Context) error { return nil }
func (r *recorder) ID() string                  { return "run-1" }
func (r *recorder) Params(_ context.Context, p map[string]string) error {
	r.params = p
	return nil
}

func (r *recorder) Metrics(_ context.Context, m []track.Metric) error {
	if r.metrics == nil {
		r.metrics = map[string]float64{}
	}
	for _, p := range m {
		r.metrics[p.Name] = p.Value
	}
	return nil
}

func (r *recorder) Artifact(_ context.Context, name string, f io.Reader, size int64) error {
	if n, err := io.Copy(io.Discard, f); err != nil || n != size {
		return fmt.Errorf("artifact %s: %d bytes, said %d: %w", name, n, size, err)
	}
	r.files = append(r.files, name)
	return nil
}

func (r *recorder) End(ctx context.Context, s track.Status, _ time.Time) error {
	if err := ctx.Err(); err != nil {
		return err // an end that is sent with a dead context is no end
	}
	r.ends = append(r.ends, s)
	return nil
}

func TestStepIsRecorded(t *testing.T) {
	t.Parallel()
	env := stepEnv(t)
	rec := &recorder{}
	env.Tracker, env.Experiment, env.Parent, env.Tags = rec, "exp", "parent", map[string]string{"who": "test"}
	spec := firstSpec()
	spec.Options = map[string]any{"nested": map[string]any{"list": []int{1, 2}, "word": "w"}}
	r := mustStep(t, env, spec, Done, firstBody)
	if s := rec.specs[0]; s.Experiment != "exp" || s.Parent != "parent" || s.Name != "first" || s.Tags["who"] != "test" || s.Tags["salescast.step"] != "first" || s.Start.IsZero() {
		t.Errorf("spec %+v", s)
	}
	if rec.params["nested.list"] != "[1,2]" || rec.params["nested.word"] != "w" || rec.params["seed"] != "7" {
		t.Errorf("params %v", rec.params)
	}
	if rec.metrics["wape"] != 0.25 || rec.metrics["rows.out"] != 60_000 || rec.metrics["peak_rss_bytes"] == 0 {
		t.Errorf("metrics %v", rec.metrics)
	}
	if !slices.Equal(rec.files, []string{"deep/big.csv", "small.json", "manifest.json"}) {
		t.Errorf("recorded files %v", rec.files)
	}
	if r.MLflow == nil || r.MLflow.RunID != "run-1" {
		t.Errorf("result names run %+v", r.MLflow)
	}

	mustStep(t, env, spec, Cached, never)
	if len(rec.specs) != 1 {
		t.Errorf("a cached answer started a run")
	}

	spec.Seed++
	if _, err := runStep(t.Context(), env, spec, never); err == nil {
		t.Error("no error")
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := runStep(ctx, env, spec, func(ctx context.Context, s *Step) error {
		if err := s.WriteFile(ctx, "a", nil); err != nil {
			return err
		}
		cancel()
		return nil // did not notice
	})
	if KindOf(err) != KindInterrupted {
		t.Errorf("cancelled: %v", err)
	}
	mustStep(t, env, spec, Done, firstBody)
	if !slices.Equal(rec.ends, []track.Status{track.Finished, track.Failed, track.Killed, track.Finished}) {
		t.Errorf("runs ended %v", rec.ends)
	}
	// A retried step continues its run, a forced one has another.
	spec.Force = true
	mustStep(t, env, spec, Done, firstBody)
	if s := rec.specs; s[1].Key != s[2].Key || s[2].Key != s[3].Key || s[3].Key == s[0].Key || s[4].Key == s[3].Key {
		t.Errorf("keys of runs: %+v", s)
	}

	rec.fail = errors.New("tracking is required")
	spec.Seed++
	if r, err := runStep(t.Context(), env, spec, firstBody); !errors.Is(err, rec.fail) || r.Status != Failed {
		t.Errorf("%+v, %v, want the tracker's refusal", r, err)
	}
}

func TestPanicLeavesNothing(t *testing.T) {
	t.Parallel()
	env := stepEnv(t)
	rec := &recorder{}
	env.Tracker = rec
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_, _ = runStep(t.Context(), env, firstSpec(), func(ctx context.Context, s *Step) error {
			if _, err := s.Scratch(); err != nil {
				return err
			}
			if err := firstBody(ctx, s); err != nil {
				return err
			}
			panic("boom")
		})
	}()
	if got := objects(t, env.Store, ""); len(got) != 0 {
		t.Errorf("objects %v", got)
	}
	if left, err := filepath.Glob(filepath.Join(env.Scratch, "*")); err != nil || len(left) != 0 {
		t.Errorf("scratch %v, %v", left, err)
	}
	if !slices.Equal(rec.ends, []track.Status{track.Failed}) {
		t.Errorf("runs ended %v", rec.ends)
	}
}

func TestOutputs(t *testing.T) {
	t.Parallel()
	env := stepEnv(t)
	mustStep(t, env, firstSpec(), Done, func(ctx context.Context, s *Step) error {
		for _, name := range []string{"manifest.json", "attempts/x", "../x", ""} {
			if _, err := s.Create(ctx, name); !errors.Is(err, fs.ErrInvalid) {
				t.Errorf("Create(%q): %v", name, err)
			}
		}
		o, err := s.Create(ctx, "a")
		if err != nil {
			return err
		}
		if _, err := s.Create(ctx, "a"); !errors.Is(err, fs.ErrExist) {
			t.Errorf("a second Create while the first is open: %v", err)
		}
		if _, err := o.Write(make([]byte, 1<<20)); err != nil {
			return err
		}
		o.Abort()
		if err := s.WriteFile(ctx, "a", []byte("kept")); err != nil {
			t.Errorf("Create after Abort: %v", err)
		}
		if _, err := s.Create(ctx, "a"); !errors.Is(err, fs.ErrExist) {
			t.Errorf("a second Create: %v", err)
		}
		return nil
	})
	_, err := runStep(t.Context(), env, stepSpec{Name: "x", Options: testOptions{}}, func(ctx context.Context, s *Step) error {
		_, err := s.Create(ctx, "left-open")
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "left-open") {
		t.Errorf("an output that is left open: %v", err)
	}
}

func TestWarningsAreBounded(t *testing.T) {
	t.Parallel()
	r := mustStep(t, stepEnv(t), firstSpec(), Done, func(_ context.Context, s *Step) error {
		for i := range 500 {
			s.Warn("%d %s", i%250, strings.Repeat("é", 1000))
		}
		return nil
	})
	size := 0
	for _, w := range r.Warnings {
		size += len(w)
	}
	if len(r.Warnings) != maxWarnings+1 || size > maxWarnings*(maxWarning+10)+100 {
		t.Errorf("%d warnings of %d bytes", len(r.Warnings), size)
	}
}
