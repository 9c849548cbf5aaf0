package track

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Strict wraps a Tracker whose Close then fails where anything that was to be recorded is lost, so that callers may go on with their
// work when a record fails and still answer for it at the end. What a run buffers counts as lost only if no later Flush or End
// brought it home.
func Strict(t Tracker) Tracker { return &strict{Tracker: t} }

type strict struct {
	Tracker
	mu   sync.Mutex
	runs []*strictRun
}

func (s *strict) Start(ctx context.Context, spec Spec) (Run, error) {
	r, err := s.Tracker.Start(ctx, spec)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &strictRun{Run: r}
	s.runs = append(s.runs, out)
	return out, nil
}

func (s *strict) Close(ctx context.Context) error {
	err := s.Tracker.Close(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.runs {
		r.mu.Lock()
		lost := r.lost
		if lost == nil && err != nil {
			lost = r.pending // Close did not bring it home either
		}
		r.mu.Unlock()
		if lost != nil {
			return errors.Join(fmt.Errorf("tracking lost data: %w", lost), err)
		}
	}
	return err
}

type strictRun struct {
	Run
	mu sync.Mutex
	// lost is the first error that nothing can mend, pending the last that a Flush may.
	lost, pending error
}

func (r *strictRun) note(err error, mends bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err == nil:
	case mends && errors.Is(err, ErrUnavailable):
		r.pending = err
	case r.lost == nil:
		r.lost = err
	}
	return err
}

// settled notes the answer of what sends everything that is buffered.
func (r *strictRun) settled(err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending = err
	return err
}

func (r *strictRun) Params(ctx context.Context, p map[string]string) error {
	return r.note(r.Run.Params(ctx, p), true)
}

func (r *strictRun) Metrics(ctx context.Context, m []Metric) error {
	return r.note(r.Run.Metrics(ctx, m), true)
}

func (r *strictRun) Tags(ctx context.Context, t map[string]string) error {
	return r.note(r.Run.Tags(ctx, t), true)
}

func (r *strictRun) Dataset(ctx context.Context, d Dataset) error {
	return r.note(r.Run.Dataset(ctx, d), true)
}

func (r *strictRun) Artifact(ctx context.Context, name string, src io.Reader, size int64) error {
	return r.note(r.Run.Artifact(ctx, name, src, size), false)
}

func (r *strictRun) Model(ctx context.Context, m LoggedModel) error {
	return r.note(r.Run.Model(ctx, m), false)
}

func (r *strictRun) Flush(ctx context.Context) error { return r.settled(r.Run.Flush(ctx)) }

// End that fails is lost for good: nobody ends a run twice.
func (r *strictRun) End(ctx context.Context, s Status, at time.Time) error {
	err := r.Run.End(ctx, s, at)
	if err == nil {
		return r.settled(nil)
	}
	return r.note(err, false)
}
