package spool

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"salescast/pkg/track"
)

// Replayed says what a Replay did.
type Replayed struct {
	// Runs are those that were sent, in order.
	Runs []Sent
	// Unchanged counts runs that the target already has.
	Unchanged int
}

// Sent is a run that was replayed.
type Sent struct {
	Key, Name, RunID, URL string
	// Open is a run whose log has no end yet: it is being recorded still, or its process was killed.
	Open bool
}

// synced is the note beside a log that was replayed.
type synced struct {
	Target string `json:"target"`
	Bytes  int64  `json:"bytes"`
	RunID  string `json:"run_id"`
	URL    string `json:"url,omitempty"`
	Ended  bool   `json:"ended"`
}

// Replay sends every run that changed since the last Replay to a tracker, enclosing runs before those within, otherwise by start time.
// target names the tracker, such as its URL: a note per run says what that target has, so that a repeated Replay has nothing to do.
// An interrupted Replay is repeated from the start of the run it was at; recording is idempotent, so the target holds everything once.
//
// A tracker that is unavailable or refuses our credentials stops the Replay; a run that cannot be replayed for a reason of its own is
// reported in the error, and the others go on.
func Replay(ctx context.Context, s *Spool, to track.Tracker, target string) (Replayed, error) {
	var done Replayed
	unlock, err := s.hold(ctx, "replay")
	if err != nil {
		return done, fmt.Errorf("replay spool %s: %w", s.dir, err)
	}
	defer unlock()
	starts, err := s.starts()
	errs := []error{err}
	for _, b := range starts {
		sent, err := s.replayRun(ctx, b.Key, to, target)
		switch {
		case err == nil && sent == nil:
			done.Unchanged++
		case err == nil:
			done.Runs = append(done.Runs, *sent)
		default:
			errs = append(errs, fmt.Errorf("replay run %q (%s): %w", b.Name, b.Key, err))
		}
		if err := stops(err); err != nil {
			break
		}
	}
	return done, errors.Join(errs...)
}

// stops returns the error where going on with another run would meet it again.
func stops(err error) error {
	for _, target := range []error{track.ErrUnavailable, fs.ErrPermission, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, target) {
			return err
		}
	}
	return nil
}

// starts returns the first record of every run in the order in which they are replayed. Runs that cannot be read are in the error.
func (s *Spool) starts() ([]startBody, error) {
	keys, err := s.Keys()
	if err != nil {
		return nil, err
	}
	var errs []error
	byKey := map[string]startBody{}
	var all []startBody
	for _, key := range keys {
		b, err := s.firstStart(key)
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, fs.ErrNotExist): // nothing whole was written, or it was taken away
		case err != nil:
			errs = append(errs, fmt.Errorf("read run %s: %w", key, err))
		default:
			byKey[key] = b
			all = append(all, b)
		}
	}
	depth := func(b startBody) int {
		d := 0
		for p, ok := byKey[b.Parent]; ok && d <= len(all); p, ok = byKey[p.Parent] {
			d++
		}
		return d
	}
	slices.SortStableFunc(all, func(a, b startBody) int {
		return cmp.Or(cmp.Compare(depth(a), depth(b)), cmp.Compare(a.Start, b.Start), strings.Compare(a.Key, b.Key))
	})
	return all, errors.Join(errs...)
}

var errStop = errors.New("stop")

func (s *Spool) firstStart(key string) (startBody, error) {
	var b startBody
	_, err := s.scanRun(key, func(l line) error {
		var err error
		if l.Op != opStart {
			return fmt.Errorf("%w: the log begins with %q", ErrCorrupt, l.Op)
		}
		if b, err = decode[startBody](l); err != nil {
			return err
		}
		return errStop
	})
	if errors.Is(err, errStop) {
		return b, nil
	}
	if err == nil {
		err = io.EOF
	}
	return b, err
}

func (s *Spool) scanRun(key string, apply func(line) error) (int64, error) {
	f, err := os.Open(filepath.Join(s.runDir(key), "log.jsonl"))
	if err != nil {
		return 0, err
	}
	_, n, err := scan(f, chain{}, apply)
	return n, errors.Join(err, f.Close())
}

// replayRun sends one run, and returns nil where the target has it all.
func (s *Spool) replayRun(ctx context.Context, key string, to track.Tracker, target string) (*Sent, error) {
	size, err := s.scanRun(key, func(line) error { return ctx.Err() })
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	note, err := s.note(key)
	if err != nil {
		return nil, err
	}
	if note.Target == target && note.Bytes == size {
		return nil, nil
	}
	p := player{spool: s, key: key, to: to}
	size, err = s.scanRun(key, func(l line) error { return p.play(ctx, l) })
	if err != nil {
		return nil, err
	}
	if p.ended != nil {
		if err := p.run.End(ctx, p.ended.Status, p.ended.at()); err != nil {
			return nil, err
		}
	} else if err := p.run.Flush(ctx); err != nil {
		return nil, err
	}
	note = synced{Target: target, Bytes: size, RunID: p.run.ID(), URL: p.run.URL(), Ended: p.ended != nil}
	if err := s.writeNote(key, note); err != nil {
		return nil, err
	}
	return &Sent{Key: key, Name: p.name, RunID: note.RunID, URL: note.URL, Open: p.ended == nil}, nil
}

// player plays the lines of one log to a tracker. The end comes last, whatever was recorded after it.
type player struct {
	spool *Spool
	key   string
	to    track.Tracker
	run   track.Run
	name  string
	ended *endBody
}

func (p *player) play(ctx context.Context, l line) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if p.run == nil && l.Op != opStart {
		return fmt.Errorf("%w: the log begins with %q", ErrCorrupt, l.Op)
	}
	switch l.Op {
	case opStart:
		b, err := decode[startBody](l)
		if err != nil {
			return err
		}
		p.ended = nil
		if p.run != nil { // a later process that went on with this run
			return p.run.Tags(ctx, b.Tags)
		}
		p.name = b.Name
		unlock, err := p.spool.hold(ctx, "start-"+b.Key)
		if err != nil {
			return err
		}
		defer unlock()
		p.run, err = p.to.Start(ctx, b.spec())
		return err
	case opParams:
		return send(ctx, l, p.run.Params)
	case opTags:
		return send(ctx, l, p.run.Tags)
	case opMetrics:
		return send(ctx, l, func(ctx context.Context, m []metricBody) error { return p.run.Metrics(ctx, metricsFrom(m)) })
	case opDataset:
		return send(ctx, l, func(ctx context.Context, d datasetBody) error { return p.run.Dataset(ctx, track.Dataset(d)) })
	case opModel:
		return send(ctx, l, func(ctx context.Context, m modelBody) error { return p.run.Model(ctx, m.model()) })
	case opArtifact:
		return send(ctx, l, p.artifact)
	case opEnd:
		b, err := decode[endBody](l)
		p.ended = &b
		return err
	}
	return fmt.Errorf("the operation %q is unknown: a newer version wrote this spool, use that one", l.Op)
}

func send[T any](ctx context.Context, l line, to func(context.Context, T) error) error {
	v, err := decode[T](l)
	if err != nil {
		return err
	}
	return to(ctx, v)
}

func (p *player) artifact(ctx context.Context, b artifactBody) (err error) {
	f, err := p.spool.openArtifact(p.key, b)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return p.run.Artifact(ctx, b.Name, f, b.Size)
}

// openArtifact opens the kept file of an artifact after it has verified its digest.
func (s *Spool) openArtifact(key string, b artifactBody) (*os.File, error) {
	if sum, err := hex.DecodeString(b.SHA256); err != nil || len(sum) != sha256.Size {
		return nil, fmt.Errorf("%w: artifact %q has the digest %q", ErrCorrupt, b.Name, b.SHA256)
	}
	f, err := os.Open(filepath.Join(s.runDir(key), "files", b.SHA256))
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err == nil && (n != b.Size || hex.EncodeToString(h.Sum(nil)) != b.SHA256) {
		err = fmt.Errorf("%w: artifact %q is not the file that was recorded", ErrCorrupt, b.Name)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (s *Spool) note(key string) (synced, error) {
	var n synced
	b, err := os.ReadFile(filepath.Join(s.runDir(key), "synced.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return n, nil
	}
	if err != nil {
		return n, err
	}
	if err := json.Unmarshal(bytes.TrimSpace(b), &n); err != nil {
		return n, fmt.Errorf("%w: read synced.json: %w", ErrCorrupt, err)
	}
	return n, nil
}

func (s *Spool) writeNote(key string, n synced) error {
	b, err := json.Marshal(n)
	if err != nil {
		return err
	}
	name := filepath.Join(s.runDir(key), "synced.json")
	if err := os.WriteFile(name+".new", append(b, '\n'), 0o600); err != nil {
		return full(err)
	}
	return full(os.Rename(name+".new", name))
}

// Prune removes the runs that have ended and that a target has in full, and returns their keys.
func Prune(ctx context.Context, s *Spool) ([]string, error) {
	release, err := s.hold(ctx, removals)
	if err != nil {
		return nil, err
	}
	defer release()
	return s.pruneAll(ctx)
}

// pruneAll is Prune for who holds the lock of removals.
func (s *Spool) pruneAll(ctx context.Context) ([]string, error) {
	keys, err := s.Keys()
	if err != nil {
		return nil, err
	}
	var gone []string
	for _, key := range keys {
		ok, err := s.prune(ctx, key)
		if err != nil {
			return gone, fmt.Errorf("prune run %s: %w", key, err)
		}
		if ok {
			gone = append(gone, key)
		}
	}
	return gone, nil
}

// prune takes a replayed run away, under the lock of its log: whoever appends next finds no log and begins a new one.
func (s *Spool) prune(ctx context.Context, key string) (removed bool, err error) {
	n, err := s.note(key)
	if err != nil || !n.Ended {
		return false, err
	}
	f, err := os.Open(filepath.Join(s.runDir(key), "log.jsonl"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := waitLock(ctx, f); err != nil {
		return false, err
	}
	info, err := f.Stat()
	if err != nil || info.Size() != n.Bytes {
		return false, err
	}
	trash := filepath.Join(s.dir, "incoming", "replayed-"+key)
	if err := os.RemoveAll(trash); err != nil {
		return false, err
	}
	if err := os.Rename(s.runDir(key), trash); err != nil {
		return false, err
	}
	used, err := diskUse(trash)
	if err != nil {
		return true, err
	}
	s.space.give(used)
	return true, os.RemoveAll(trash)
}

// hold takes a named lock of the spool and returns what lets go of it. A process that dies lets go as well.
func (s *Spool) hold(ctx context.Context, name string) (func(), error) {
	f, err := os.OpenFile(filepath.Join(s.dir, "locks", name), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, full(err)
	}
	if err := waitLock(ctx, f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}
