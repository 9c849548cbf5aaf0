package spool

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"salescast/pkg/track"
)

// removals is the lock under which runs are taken out of the spool, by whichever process: until then what was packed is still there.
const removals = "removals"

// Pack writes the runs that have ended to w, as a tar of the folder of runs, and returns their keys and how much of each was written;
// Packed.Done then says that the tar is safe. A run that is still being recorded stays. Until the Packed is closed no other process packs
// or removes runs of the spool: they wait.
func (s *Spool) Pack(ctx context.Context, w io.Writer) (_ *Packed, err error) {
	release, err := s.hold(ctx, removals)
	if err != nil {
		return nil, err
	}
	out := &Packed{spool: s, sizes: map[string]int64{}, release: release}
	defer func() {
		if err != nil {
			out.Close()
		}
	}()
	keys, err := s.Keys()
	if err != nil {
		return nil, err
	}
	t := tar.NewWriter(w)
	for _, key := range keys {
		if err := out.add(ctx, t, key); err != nil {
			return nil, fmt.Errorf("pack run %s: %w", key, err)
		}
	}
	return out, t.Close()
}

// Packed are runs that were written to a tar.
type Packed struct {
	spool   *Spool
	sizes   map[string]int64
	release func()
}

// Close lets others pack; it may be called again.
func (p *Packed) Close() {
	p.release()
	p.release = func() {}
}

// Len is the number of runs.
func (p *Packed) Len() int { return len(p.sizes) }

func (p *Packed) add(ctx context.Context, t *tar.Writer, key string) error {
	var files []string
	ended := false
	size, err := p.spool.scanRun(key, func(l line) error {
		ended = l.Op == opEnd
		if l.Op == opArtifact {
			b, err := decode[artifactBody](l)
			files = append(files, path.Join("files", b.SHA256))
			return err
		}
		return ctx.Err()
	})
	if errors.Is(err, fs.ErrNotExist) || err == nil && !ended {
		return nil
	}
	if err != nil {
		return err
	}
	packed := map[string]struct{}{}
	for _, name := range append(files, "log.jsonl") {
		if _, twice := packed[name]; twice {
			continue
		}
		packed[name] = struct{}{}
		limit := int64(-1)
		if name == "log.jsonl" {
			limit = size // what is appended meanwhile stays for the next time
		}
		if err := addFile(ctx, t, filepath.Join(p.spool.runDir(key), filepath.FromSlash(name)), path.Join("runs", key, name), limit); err != nil {
			return err
		}
	}
	p.sizes[key] = size
	return nil
}

func addFile(ctx context.Context, t *tar.Writer, from, name string, limit int64) (err error) {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if limit < 0 {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		limit = info.Size()
	}
	if err := t.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: limit, Format: tar.FormatPAX}); err != nil {
		return err
	}
	_, err = io.CopyN(t, &contextReader{ctx, f}, limit)
	return err
}

// Done removes the runs that were packed, but for those to which something was added meanwhile. where is the address of the tar.
func (p *Packed) Done(ctx context.Context, where string) error {
	for key, size := range p.sizes {
		err := p.spool.writeNote(key, synced{Target: where, Bytes: size, RunID: key, Ended: true})
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // it is not there where another process has sent it
			return fmt.Errorf("note that run %s is at %s: %w", key, where, err)
		}
	}
	_, err := p.spool.pruneAll(ctx)
	return err
}

// Unpack makes a spool in an empty folder from what Pack wrote. maxBytes bounds its files together.
func Unpack(ctx context.Context, r io.Reader, dir string, maxBytes int64) (*Spool, error) {
	s, err := Open(dir, maxBytes)
	if err != nil {
		return nil, err
	}
	t := tar.NewReader(&contextReader{ctx, r})
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return s, nil
		}
		if err != nil {
			return nil, fmt.Errorf("unpack spool: %w: %w", ErrCorrupt, err)
		}
		if err := s.extract(h, t); err != nil {
			return nil, fmt.Errorf("unpack spool: %w", err)
		}
	}
}

func (s *Spool) extract(h *tar.Header, r io.Reader) error {
	parts := strings.Split(h.Name, "/")
	known := len(parts) == 3 && parts[2] == "log.jsonl" || len(parts) == 4 && parts[2] == "files" && len(parts[3]) == 64 && strings.Trim(parts[3], "0123456789abcdef") == ""
	if parts[0] != "runs" || !known || track.ValidateKey(parts[1]) != nil || h.Typeflag != tar.TypeReg {
		return fmt.Errorf("%w: it has an entry %q", ErrCorrupt, h.Name)
	}
	if err := s.space.take(h.Size); err != nil {
		return err
	}
	name := filepath.Join(s.dir, filepath.FromSlash(h.Name))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return full(err)
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return full(err)
	}
	_, err = io.CopyN(f, r, h.Size)
	return full(errors.Join(err, f.Close()))
}
