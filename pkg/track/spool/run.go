package spool

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"salescast/pkg/track"
)

// batch bounds the points or values of one line: the longest values, each byte of which JSON may write as six, stay below maxLine.
const batch = 100

// run is one run's log, open for writing.
type run struct {
	spool *Spool
	spec  track.Spec
	log   journal

	mu     sync.Mutex
	params map[string]string
}

func newRun(s *Spool, spec track.Spec) *run {
	r := &run{spool: s, spec: spec}
	r.log = journal{
		path:  filepath.Join(s.runDir(spec.Key), "log.jsonl"),
		space: s.space,
		reset: func() { r.params = map[string]string{} },
		apply: func(l line) error {
			if l.Op != opParams {
				return nil
			}
			p, err := decode[map[string]string](l)
			maps.Copy(r.params, p)
			return err
		},
	}
	return r
}

func (r *run) ID() string  { return r.spec.Key }
func (r *run) URL() string { return "" }

// record appends to the log. A log that is new, because it is the first time or because it was replayed and taken away meanwhile,
// begins with the start.
func (r *run) record(ctx context.Context, durable bool, decide func() ([]entry, error)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.update(ctx, durable, func() ([]entry, error) {
		entries, err := decide()
		if err == nil && r.log.chain.seq == 0 {
			entries = append([]entry{{opStart, startOf(r.spec)}}, entries...)
		}
		return entries, err
	})
}

func (r *run) put(ctx context.Context, durable bool, what string, entries ...entry) error {
	if err := r.record(ctx, durable, func() ([]entry, error) { return entries, nil }); err != nil {
		return r.fail(what, err)
	}
	return nil
}

func (r *run) fail(what string, err error) error {
	return fmt.Errorf("record %s of run %q: %w", what, r.spec.Name, err)
}

func (r *run) Params(ctx context.Context, p map[string]string) error {
	if err := track.ValidateParams(p); err != nil {
		return r.fail("parameters", err)
	}
	if err := r.record(ctx, false, func() ([]entry, error) {
		fresh := map[string]string{}
		for k, v := range p {
			old, there := r.params[k]
			if there && old != v {
				return nil, fmt.Errorf("%w: %q is %q and would become %q", track.ErrConflict, k, old, v)
			}
			if !there {
				fresh[k] = v
			}
		}
		return chunkMap(opParams, fresh), nil
	}); err != nil {
		return r.fail("parameters", err)
	}
	return nil
}

func (r *run) Metrics(ctx context.Context, m []track.Metric) error {
	if err := track.ValidateMetrics(m); err != nil {
		return r.fail("metrics", err)
	}
	var entries []entry
	for len(m) > 0 {
		n := min(len(m), batch)
		entries = append(entries, entry{opMetrics, metricsOf(m[:n])})
		m = m[n:]
	}
	return r.put(ctx, false, "metrics", entries...)
}

func (r *run) Tags(ctx context.Context, t map[string]string) error {
	if err := track.ValidateTags(t); err != nil {
		return r.fail("tags", err)
	}
	return r.put(ctx, false, "tags", chunkMap(opTags, t)...)
}

func (r *run) Dataset(ctx context.Context, d track.Dataset) error {
	if err := d.Validate(); err != nil {
		return r.fail("dataset", err)
	}
	return r.put(ctx, false, "dataset", entry{opDataset, datasetBody(d)})
}

func (r *run) Artifact(ctx context.Context, name string, src io.Reader, size int64) error {
	_, err := r.artifact(ctx, name, src, size)
	return err
}

func (r *run) artifact(ctx context.Context, name string, src io.Reader, size int64) (kept artifactBody, err error) {
	what := fmt.Sprintf("artifact %q", name)
	if err := track.ValidateArtifact(name, size); err != nil {
		return kept, r.fail(what, err)
	}
	file, sum, err := r.spool.receive(ctx, src, size)
	if err != nil {
		return kept, r.fail(what, err)
	}
	kept = artifactBody{Name: name, Size: size, SHA256: sum}
	dir := filepath.Join(r.spool.runDir(r.spec.Key), "files")
	err = r.record(ctx, true, func() ([]entry, error) {
		// Under the lock, so that a replay that takes the finished run away never takes this file with it.
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, full(err)
		}
		if err := os.Rename(file, filepath.Join(dir, sum)); err != nil {
			return nil, full(err)
		}
		return []entry{{opArtifact, kept}}, syncDir(dir)
	})
	if err != nil {
		if os.Remove(file) == nil {
			r.spool.space.give(size)
		}
		return kept, r.fail(what, err)
	}
	return kept, nil
}

// whole says whether every line of the log was written through this run, so that passing each on has passed on all.
func (r *run) whole() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.chain.seq == r.log.written
}

func (r *run) Model(ctx context.Context, m track.LoggedModel) error {
	if err := m.Validate(); err != nil {
		return r.fail("model", err)
	}
	return r.put(ctx, true, "model", entry{opModel, modelOf(m)})
}

func (r *run) Flush(ctx context.Context) error { return r.put(ctx, true, "flush") }

func (r *run) End(ctx context.Context, s track.Status, at time.Time) error {
	if err := track.ValidateEnd(s); err != nil {
		return r.fail("end", err)
	}
	return r.put(ctx, true, "end", entry{opEnd, endBody{s, at.UnixMilli()}})
}

// receive copies size bytes to a new file on the disk and returns its path and digest.
func (s *Spool) receive(ctx context.Context, src io.Reader, size int64) (file, sum string, err error) {
	if err := s.space.take(size); err != nil {
		return "", "", err
	}
	f, err := os.CreateTemp(filepath.Join(s.dir, "incoming"), "artifact-*")
	if err != nil {
		s.space.give(size)
		return "", "", full(err)
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), io.LimitReader(&contextReader{ctx, src}, size))
	if err == nil && n < size {
		err = fmt.Errorf("the reader ended after %d of %d bytes: %w", n, size, io.ErrUnexpectedEOF)
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		s.space.give(size)
		return "", "", errors.Join(full(err), os.Remove(f.Name()))
	}
	return f.Name(), hex.EncodeToString(h.Sum(nil)), nil
}

// contextReader stops a copy when the work is cancelled.
type contextReader struct {
	ctx context.Context //nolint:containedctx // lives for one copy
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// chunkMap splits a map into entries of at most batch pairs, in the order of the keys.
func chunkMap(op string, m map[string]string) []entry {
	var entries []entry
	part := map[string]string{}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		part[k] = m[k]
		if len(part) == batch {
			entries, part = append(entries, entry{op, part}), map[string]string{}
		}
	}
	if len(part) > 0 {
		entries = append(entries, entry{op, part})
	}
	return entries
}
