package spool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"salescast/pkg/track"
)

// Format is the first line of the FORMAT file.
const Format = "salescast.spool/v1"

// DefaultMaxBytes is the size a spool may have unless told otherwise.
const DefaultMaxBytes = 4 << 30

// Spool is a folder of runs. It is a track.Tracker; Registry is its other half.
type Spool struct {
	dir   string
	space *space

	mu   sync.Mutex
	runs []*run
}

// Open opens the spool in a folder, making it where it is new. maxBytes caps all of its files together, 0 is DefaultMaxBytes; what
// would go beyond fails with an error that wraps track.ErrUnavailable, and nothing that was recorded is dropped.
func Open(dir string, maxBytes int64) (*Spool, error) {
	if maxBytes <= 0 {
		maxBytes = DefaultMaxBytes
	}
	for _, sub := range []string{"runs", "locks", "incoming"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, fmt.Errorf("open spool: %w", full(err))
		}
	}
	if err := checkFormat(dir); err != nil {
		return nil, fmt.Errorf("open spool %s: %w", dir, err)
	}
	used, err := diskUse(dir)
	if err != nil {
		return nil, fmt.Errorf("open spool %s: %w", dir, err)
	}
	s := &space{dir: dir, limit: maxBytes}
	s.used.Store(used)
	return &Spool{dir: dir, space: s}, nil
}

func checkFormat(dir string) error {
	name := filepath.Join(dir, "FORMAT")
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err == nil {
		_, err := f.WriteString(Format + "\n")
		return errors.Join(full(err), f.Close())
	}
	if !errors.Is(err, fs.ErrExist) {
		return full(err)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	// Empty is the file of a process that is just making it, or was killed there.
	if got := strings.TrimSpace(string(b)); got != "" && got != Format {
		return fmt.Errorf("the format is %q and this program reads %q: use the version that wrote it", got, Format)
	}
	return nil
}

func diskUse(dir string) (int64, error) {
	var used int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // taken away by another process meanwhile
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		used += info.Size()
		return nil
	})
	return used, err
}

// Dir is the folder of the spool.
func (s *Spool) Dir() string { return s.dir }

// Keys returns the keys of all runs, sorted.
func (s *Spool) Keys() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, "runs"))
	if err != nil {
		return nil, fmt.Errorf("list spool: %w", err)
	}
	var keys []string
	for _, e := range entries {
		if e.IsDir() {
			keys = append(keys, e.Name())
		}
	}
	slices.Sort(keys)
	return keys, nil
}

func (s *Spool) runDir(key string) string { return filepath.Join(s.dir, "runs", key) }

// Start begins or continues the run of a key. The id of the run is its key.
func (s *Spool) Start(ctx context.Context, spec track.Spec) (track.Run, error) {
	r, err := s.start(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("start run %q in spool %s: %w", spec.Name, s.dir, err)
	}
	return r, nil
}

func (s *Spool) start(ctx context.Context, spec track.Spec) (*run, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	r := newRun(s, spec)
	if err := r.record(ctx, true, func() ([]entry, error) {
		// record itself puts the start before the first line of a new log.
		if r.log.chain.seq == 0 {
			return nil, nil
		}
		return []entry{{opStart, startOf(spec)}}, nil
	}); err != nil {
		return nil, err
	}
	if err := syncDir(s.runDir(spec.Key)); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runs = append(s.runs, r)
	return r, nil
}

// Close brings everything to the disk.
func (s *Spool) Close(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	errs := make([]error, 0, len(s.runs))
	for _, r := range s.runs {
		errs = append(errs, r.log.close())
	}
	s.runs = nil
	return errors.Join(errs...)
}

// space counts the bytes of a spool against its cap.
type space struct {
	dir   string
	limit int64
	used  atomic.Int64
}

func (s *space) take(n int64) error {
	if used := s.used.Add(n); used > s.limit {
		s.used.Add(-n)
		return fmt.Errorf("%w: the spool %s is full with %d of %d bytes: run salescast sync, or raise its limit",
			track.ErrUnavailable, s.dir, used-n, s.limit)
	}
	return nil
}

func (s *space) give(n int64) { s.used.Add(-n) }

// full marks the errors of a disk that has no room left.
func full(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG) {
		return fmt.Errorf("%w: %w", track.ErrUnavailable, err)
	}
	return err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
