package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"salescast/pkg/track"
	"salescast/pkg/track/tracktest"
)

// flaky is a tracker that goes away after a number of calls, or refuses.
type flaky struct {
	*tracktest.Memory
	left atomic.Int64
	err  error
}

func (f *flaky) call() error {
	if f.left.Add(-1) < 0 {
		return f.err
	}
	return nil
}

func (f *flaky) Start(ctx context.Context, s track.Spec) (track.Run, error) {
	if err := f.call(); err != nil {
		return nil, err
	}
	r, err := f.Memory.Start(ctx, s)
	return &flakyRun{r, f}, err
}

type flakyRun struct {
	track.Run
	f *flaky
}

func (r *flakyRun) Params(ctx context.Context, p map[string]string) error {
	return errors.Join(r.Run.Params(ctx, p), r.f.call()) // the answer is lost after the deed
}

func (r *flakyRun) Metrics(ctx context.Context, m []track.Metric) error {
	if err := r.f.call(); err != nil {
		return err
	}
	return r.Run.Metrics(ctx, m)
}

func (r *flakyRun) Artifact(ctx context.Context, name string, src io.Reader, size int64) error {
	if err := r.f.call(); err != nil {
		return err
	}
	return r.Run.Artifact(ctx, name, src, size)
}

func (r *flakyRun) End(ctx context.Context, s track.Status, at time.Time) error {
	if err := r.f.call(); err != nil {
		return err
	}
	return r.Run.End(ctx, s, at)
}

// overtaken is a tracker at which another process passes on and prunes what has ended, just before an End returns.
type overtaken struct {
	*tracktest.Memory
	prune func()
}

func (o *overtaken) Start(ctx context.Context, s track.Spec) (track.Run, error) {
	r, err := o.Memory.Start(ctx, s)
	return &overtakenRun{r, o}, err
}

type overtakenRun struct {
	track.Run
	o *overtaken
}

func (r *overtakenRun) End(ctx context.Context, s track.Status, at time.Time) error {
	err := r.Run.End(ctx, s, at)
	r.o.prune()
	return err
}

// TestForwardOvertaken lets another process, which shares the spool, finish the work of the first: nothing is lost.
func TestForwardOvertaken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	to := &overtaken{Memory: tracktest.NewMemory()}
	to.prune = func() {
		s := open(t, dir, 0)
		_, err := Replay(t.Context(), s, to.Memory, "server")
		must(t, err)
		_, err = Prune(t.Context(), s)
		must(t, err)
	}
	f := NewForward(open(t, dir, 0), to, "server", func(err error) { t.Errorf("warned of %v", err) })
	must(t, work(t.Context(), f), f.Close(t.Context()))
	if keys, err := open(t, dir, 0).Keys(); err != nil || len(keys) != 0 {
		t.Errorf("left are %v, %v", keys, err)
	}
}

func work(ctx context.Context, tr track.Tracker) error {
	parent, err := tr.Start(ctx, spec("parent"))
	if err != nil {
		return err
	}
	s := spec("child")
	s.Parent = "parent"
	r, err := tr.Start(ctx, s)
	if err != nil {
		return err
	}
	return errors.Join(r.Params(ctx, map[string]string{"a": "1"}), r.Metrics(ctx, metric(1)), r.Artifact(ctx, "f/a.txt", strings.NewReader("abc"), 3),
		r.Metrics(ctx, metric(2)), r.End(ctx, track.Finished, epoch.Add(time.Hour)), parent.End(ctx, track.Finished, epoch.Add(time.Hour)))
}

// Whenever the other tracker goes away, the work succeeds, and the next time it has everything once.
func TestForwardAway(t *testing.T) {
	t.Parallel()
	want := tracktest.NewMemory()
	must(t, work(t.Context(), want))
	for calls := range 12 {
		dir := t.TempDir()
		to := &flaky{Memory: tracktest.NewMemory(), err: fmt.Errorf("%w: away", track.ErrUnavailable)}
		to.left.Store(int64(calls))
		var warned []error
		f := NewForward(open(t, dir, 0), to, "memory", func(err error) { warned = append(warned, err) })
		must(t, work(t.Context(), f), f.Close(t.Context()))
		if away := to.left.Load() < 0; away != (len(warned) == 1) {
			t.Errorf("away after %d calls: %t, warnings %v", calls, away, warned)
		}
		to.left.Store(1000)
		f = NewForward(open(t, dir, 0), to, "memory", func(err error) { t.Error(err) })
		must(t, f.Close(t.Context()))
		for _, key := range want.Keys() {
			tracktest.Equal(t, to.Runs(key)[0], want.Runs(key)[0], true)
		}
		keys, err := open(t, dir, 0).Keys()
		must(t, err)
		if len(keys) != 0 {
			t.Errorf("away after %d calls: runs %v are left in the spool", calls, keys)
		}
	}
}

// A refusal is no absence: the caller hears of it, and Close of a strict tracker too.
func TestForwardRefused(t *testing.T) {
	t.Parallel()
	refused := errors.New("no such permission")
	for calls := range 7 {
		to := &flaky{Memory: tracktest.NewMemory(), err: refused}
		to.left.Store(int64(calls))
		f := track.Strict(NewForward(open(t, t.TempDir(), 0), to, "memory", func(error) {}))
		if err := work(t.Context(), f); !errors.Is(err, refused) {
			t.Errorf("refused after %d calls: the work says %v", calls, err)
		}
		if err := f.Close(t.Context()); calls >= 2 && !errors.Is(err, refused) {
			t.Errorf("refused after %d calls: Close says %v", calls, err)
		}
	}
}

func TestForwardConformance(t *testing.T) {
	t.Parallel()
	to := tracktest.NewMemory()
	dir := t.TempDir()
	tracktest.Tracker(t, tracktest.Harness{
		Open: func(t *testing.T) track.Tracker {
			return NewForward(open(t, dir, 0), to, "memory", func(err error) { t.Log(err) })
		},
		Observe: func(_ *testing.T, _, key string) []tracktest.Observed { return to.Runs(key) },
		Models:  true,
	})
}

// Replayed twice is the same as once; a replay cut off anywhere and repeated gives the same.
func TestReplayInterrupted(t *testing.T) {
	t.Parallel()
	want := tracktest.NewMemory()
	must(t, work(t.Context(), want))
	for calls := range 12 {
		s := open(t, t.TempDir(), 0)
		must(t, work(t.Context(), s))
		to := &flaky{Memory: tracktest.NewMemory(), err: fmt.Errorf("%w: away", track.ErrUnavailable)}
		to.left.Store(int64(calls))
		_, err := Replay(t.Context(), s, to, "memory")
		if away := to.left.Load() < 0; away != errors.Is(err, track.ErrUnavailable) {
			t.Errorf("cut off after %d calls: %v", calls, err)
		}
		to.left.Store(1000)
		if _, err = Replay(t.Context(), s, to, "memory"); err != nil {
			t.Fatal(err)
		}
		again, err := Replay(t.Context(), s, to, "memory")
		must(t, err)
		if len(again.Runs) != 0 || again.Unchanged != 2 {
			t.Errorf("a replay of what is there sent %v, unchanged %d", again.Runs, again.Unchanged)
		}
		elsewhere := tracktest.NewMemory()
		_, err = Replay(t.Context(), s, elsewhere, "elsewhere")
		must(t, err)
		for _, key := range want.Keys() {
			tracktest.Equal(t, to.Runs(key)[0], want.Runs(key)[0], true)
			tracktest.Equal(t, elsewhere.Runs(key)[0], want.Runs(key)[0], true)
		}
	}
}
