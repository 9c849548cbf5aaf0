package mlflow

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"sync"

	"salescast/pkg/track"
)

// maxInMemory bounds a file that is held in memory to be sent again after a fault; what is larger and cannot be read again goes to a
// temporary file.
const maxInMemory = 8 << 20

// Artifact uploads a file.
func (r *run) Artifact(ctx context.Context, name string, src io.Reader, size int64) error {
	what := fmt.Sprintf("artifact %q", name)
	if err := cmp.Or(ctx.Err(), track.ValidateArtifact(name, size)); err != nil {
		return r.fail(what, err)
	}
	f, done, err := replayable(src, size)
	if err != nil {
		return r.fail(what, err)
	}
	f.name = name
	err = r.t.upload(ctx, r.info.ArtifactURI, name, f)
	if err == nil {
		err = r.recent.keep(name, f)
	}
	return r.fail(what, errors.Join(err, done()))
}

// The sizes of a file and of all files that are kept in memory.
const (
	recentFile = 512 << 10
	recentAll  = 8 << 20
)

// recent holds contents of small files by name.
type recent struct {
	mu    sync.Mutex
	files map[string][]byte
	size  int64
}

// keep remembers a file, if it is small and there is room.
func (r *recent) keep(name string, f *file) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.size -= int64(len(r.files[name]))
	delete(r.files, name)
	if f.size > recentFile || r.size+f.size > recentAll {
		return nil
	}
	body, err := f.open()
	if err != nil {
		return err
	}
	b := make([]byte, f.size)
	if _, err := io.ReadFull(body, b); err != nil {
		return err
	}
	if r.files == nil {
		r.files = map[string][]byte{}
	}
	r.files[name], r.size = b, r.size+f.size
	return nil
}

// get returns a file that has the size that the server says; nil is not kept.
func (r *recent) get(f fileInfo) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b, ok := r.files[f.Path]; ok && int64(len(b)) == int64(f.Size) {
		return b
	}
	return nil
}

// upload writes a file under an artifact URI, through the server or directly.
func (t *Tracker) upload(ctx context.Context, uri, name string, f *file) error {
	at, straight, err := direct(uri)
	if err != nil {
		return err
	}
	if straight {
		if t.conf.Artifacts == nil {
			return fmt.Errorf("the artifacts of this experiment lie at %s: give the credentials of that storage, or start the server with --serve-artifacts", uri)
		}
		store, err := t.conf.Artifacts(ctx, at)
		if err != nil {
			return err
		}
		body, err := f.open()
		if err != nil {
			return err
		}
		_, err = store.Put(ctx, name, body)
		return err
	}
	p, err := proxied(uri, name)
	if err != nil {
		return err
	}
	return t.client.do(ctx, request{method: http.MethodPut, path: p, file: f})
}

// proxied returns the path of a file that the server passes on.
func proxied(uri, name string) (string, error) {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "mlflow-artifacts" {
		return "", fmt.Errorf("the server keeps artifacts at %q, which only it can reach: start it with --serve-artifacts", uri)
	}
	return path.Join("api/2.0/mlflow-artifacts/artifacts", u.Path, name), nil
}

// replayable makes a body that can be sent again. done takes away what it needed.
func replayable(src io.Reader, size int64) (f *file, done func() error, err error) {
	none := func() error { return nil }
	if s, ok := src.(io.ReadSeeker); ok {
		at, err := s.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, nil, err
		}
		end, err := s.Seek(0, io.SeekEnd)
		if err != nil {
			return nil, nil, err
		}
		if end-at < size {
			return nil, nil, fmt.Errorf("the reader has %d of %d bytes: %w", end-at, size, io.ErrUnexpectedEOF)
		}
		return &file{size: size, open: func() (io.Reader, error) {
			_, err := s.Seek(at, io.SeekStart)
			return io.LimitReader(s, size), err
		}}, none, nil
	}
	if size <= maxInMemory {
		b := make([]byte, size)
		if _, err := io.ReadFull(src, b); err != nil {
			return nil, nil, err
		}
		return &file{size: size, open: func() (io.Reader, error) { return bytes.NewReader(b), nil }}, none, nil
	}
	tmp, err := os.CreateTemp("", "salescast-artifact-*")
	if err != nil {
		return nil, nil, err
	}
	done = func() error { return errors.Join(tmp.Close(), os.Remove(tmp.Name())) }
	if _, err := io.CopyN(tmp, src, size); err != nil {
		return nil, nil, errors.Join(err, done())
	}
	return &file{size: size, open: func() (io.Reader, error) {
		_, err := tmp.Seek(0, io.SeekStart)
		return io.LimitReader(tmp, size), err
	}}, done, nil
}

// download reads a file under an artifact URI.
func (t *Tracker) download(ctx context.Context, uri, name string, sink func(io.Reader) error) error {
	at, straight, err := direct(uri)
	if err != nil {
		return err
	}
	if straight {
		if t.conf.Artifacts == nil {
			return fmt.Errorf("the artifacts of this experiment lie at %s: give the credentials of that storage", uri)
		}
		store, err := t.conf.Artifacts(ctx, at)
		if err != nil {
			return err
		}
		body, _, err := store.Get(ctx, name)
		if err != nil {
			return err
		}
		return errors.Join(sink(body), body.Close())
	}
	p, err := proxied(uri, name)
	if err != nil {
		return err
	}
	return t.client.do(ctx, request{method: http.MethodGet, path: p, sink: sink})
}

// files lists all files under a folder of a run.
func (r *run) files(ctx context.Context, folder string) ([]fileInfo, error) {
	var out []fileInfo
	token := ""
	for {
		var a filesAnswer
		q := url.Values{"run_id": {r.info.RunID}, "path": {folder}}
		if token != "" {
			q.Set("page_token", token)
		}
		if err := r.t.client.get(ctx, "artifacts/list", q, &a); err != nil {
			return nil, err
		}
		for _, f := range a.Files {
			if !f.IsDir {
				out = append(out, f)
				continue
			}
			below, err := r.files(ctx, f.Path)
			if err != nil {
				return nil, err
			}
			out = append(out, below...)
		}
		if token = a.NextToken; token == "" {
			return out, nil
		}
	}
}

// within returns the name of a file below a folder.
func within(folder, name string) string { return strings.TrimPrefix(name, folder+"/") }
