package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"

	"salescast/pkg/track"
)

// Forward is a track.Tracker that records everything in a spool and passes it on to another tracker as it goes. Where the other is
// unavailable the record stays in the spool, complete, for a later Forward or Replay; nothing fails but what the spool cannot keep
// and what the other refuses.
type Forward struct {
	spool  *Spool
	to     track.Tracker
	target string
	warn   func(error)

	mu   sync.Mutex
	away error
}

// NewForward passes on what is recorded to a tracker that is called target, as in Replay. warn is told once that the tracker is
// unavailable, and of every earlier run that could not be caught up.
func NewForward(s *Spool, to track.Tracker, target string, warn func(error)) *Forward {
	return &Forward{spool: s, to: to, target: target, warn: warn}
}

// lost returns nil where the spool can stand in for the error, and goes on without the other tracker.
func (f *Forward) lost(err error) error {
	if !errors.Is(err, track.ErrUnavailable) {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away == nil {
		f.away = err
		f.warn(fmt.Errorf("runs are kept in %s until salescast sync: %w", f.spool.dir, err))
	}
	return nil
}

func (f *Forward) gone() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.away != nil
}

// Start begins or continues the run of a key in both.
func (f *Forward) Start(ctx context.Context, spec track.Spec) (track.Run, error) {
	local, err := f.spool.start(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("start run %q in spool %s: %w", spec.Name, f.spool.dir, err)
	}
	r := &forwarded{run: local, f: f}
	if f.gone() {
		return r, nil
	}
	unlock, err := f.spool.hold(ctx, "start-"+spec.Key)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if r.remote, err = f.to.Start(ctx, spec); err != nil {
		return r, f.lost(err)
	}
	return r, nil
}

// Close flushes both, and catches up with earlier runs of the spool that the other tracker does not have yet.
func (f *Forward) Close(ctx context.Context) error {
	err := f.spool.Close(ctx)
	if !f.gone() {
		if cerr := f.lost(f.to.Close(ctx)); cerr != nil {
			err = errors.Join(err, cerr)
		}
	}
	if f.gone() {
		return err
	}
	// Failures of earlier runs are not of this one: they stay in the spool.
	if _, rerr := Replay(ctx, f.spool, f.to, f.target); rerr != nil {
		f.warn(rerr)
		return err
	}
	if _, perr := Prune(ctx, f.spool); perr != nil {
		f.warn(perr)
	}
	return err
}

// forwarded is a run in the spool and, while remote is set, in the other tracker.
type forwarded struct {
	*run
	f *Forward

	mu     sync.Mutex
	remote track.Run
}

func (r *forwarded) other() track.Run {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.f.gone() {
		return nil
	}
	return r.remote
}

// ID is that of the other tracker where it took the run, and the key where not.
func (r *forwarded) ID() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.remote != nil {
		return r.remote.ID()
	}
	return r.run.ID()
}

func (r *forwarded) URL() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.remote != nil {
		return r.remote.URL()
	}
	return ""
}

// pass hands on what the spool has kept.
func (r *forwarded) pass(kept error, on func(track.Run) error) error {
	if kept != nil {
		return kept
	}
	if remote := r.other(); remote != nil {
		return r.f.lost(on(remote))
	}
	return nil
}

func (r *forwarded) Params(ctx context.Context, p map[string]string) error {
	return r.pass(r.run.Params(ctx, p), func(o track.Run) error { return o.Params(ctx, p) })
}

func (r *forwarded) Metrics(ctx context.Context, m []track.Metric) error {
	return r.pass(r.run.Metrics(ctx, m), func(o track.Run) error { return o.Metrics(ctx, m) })
}

func (r *forwarded) Tags(ctx context.Context, t map[string]string) error {
	return r.pass(r.run.Tags(ctx, t), func(o track.Run) error { return o.Tags(ctx, t) })
}

func (r *forwarded) Dataset(ctx context.Context, d track.Dataset) error {
	return r.pass(r.run.Dataset(ctx, d), func(o track.Run) error { return o.Dataset(ctx, d) })
}

func (r *forwarded) Artifact(ctx context.Context, name string, src io.Reader, size int64) error {
	kept, err := r.artifact(ctx, name, src, size)
	return r.pass(err, func(o track.Run) error {
		file, err := r.spool.openArtifact(r.spec.Key, kept)
		if err != nil {
			return err
		}
		return errors.Join(o.Artifact(ctx, name, file, size), file.Close())
	})
}

func (r *forwarded) Model(ctx context.Context, m track.LoggedModel) error {
	return r.pass(r.run.Model(ctx, m), func(o track.Run) error { return o.Model(ctx, m) })
}

func (r *forwarded) Flush(ctx context.Context) error {
	return r.pass(r.run.Flush(ctx), func(o track.Run) error { return o.Flush(ctx) })
}

func (r *forwarded) End(ctx context.Context, s track.Status, at time.Time) error {
	return r.pass(r.run.End(ctx, s, at), func(o track.Run) error {
		if err := o.End(ctx, s, at); err != nil {
			return err
		}
		if !r.whole() {
			return nil // Close sends the lines of others too
		}
		err := r.spool.writeNote(r.spec.Key, synced{Target: r.f.target, Bytes: r.log.end(), RunID: o.ID(), URL: o.URL(), Ended: true})
		if errors.Is(err, fs.ErrNotExist) {
			return nil // another process has seen the end, passed the run on and removed it
		}
		return err
	})
}
