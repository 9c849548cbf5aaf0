package tasks

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync"

	"salescast/pkg/artifact"
)

// Opened is a finished step of a workspace: its manifest, and its files by their logical names. It may be used from several goroutines.
type Opened struct {
	Manifest artifact.Manifest

	store artifact.Store
	etag  string

	mu       sync.Mutex
	verified map[string]bool
}

// OpenStep reads the manifest of a step. A step that has none is KindInputMissing; one that cannot be decoded is KindData.
func OpenStep(ctx context.Context, store artifact.Store, step string) (*Opened, error) {
	name := path.Join(step, artifact.ManifestName)
	r, info, err := store.Get(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &Error{
			Kind: KindInputMissing, Op: "open " + step, Err: &missingStep{step, store.URL("")},
			Hint: fmt.Sprintf("run %q on this workspace first", "salescast "+commandOf(step)),
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", step, err)
	}
	defer r.Close()
	m, err := artifact.ReadManifest(r)
	if err == nil && m.Step != step {
		err = fmt.Errorf("it is the manifest of %q", m.Step)
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("open %s: %w", step, err)
		}
		return nil, damaged(step, store.URL(name), err)
	}
	return &Opened{Manifest: m, store: store, etag: info.ETag, verified: map[string]bool{}}, nil
}

// missingStep wraps fs.ErrNotExist and does not repeat its words.
type missingStep struct{ step, workspace string }

func (e *missingStep) Error() string {
	return fmt.Sprintf("the workspace %s has no finished %q step", e.workspace, e.step)
}

func (e *missingStep) Unwrap() error { return fs.ErrNotExist }

// commandOf is what a person types to make a step.
func commandOf(step string) string {
	if model, ok := strings.CutPrefix(step, "train/"); ok {
		return "train --model " + model
	}
	if step == "data" {
		return "generate"
	}
	return step
}

func damaged(step, object string, err error) error {
	return &Error{
		Kind: KindData, Op: "read " + object, Err: err,
		Hint: fmt.Sprintf("the file is not what the step wrote; redo it with %q", "salescast "+commandOf(step)+" --force"),
	}
}

// Has says whether the step wrote a file of that name.
func (o *Opened) Has(name string) bool {
	_, ok := o.file(name)
	return ok
}

// Names are the files whose names begin with prefix, in order.
func (o *Opened) Names(prefix string) []string {
	var names []string
	for _, f := range o.Manifest.Files {
		if strings.HasPrefix(f.Name, prefix) {
			names = append(names, f.Name)
		}
	}
	return names
}

func (o *Opened) file(name string) (artifact.File, bool) {
	for _, f := range o.Manifest.Files {
		if f.Name == name {
			return f, true
		}
	}
	return artifact.File{}, false
}

// find returns the file's record and the name of its object in the store.
func (o *Opened) find(name string) (artifact.File, string, error) {
	f, ok := o.file(name)
	if !ok {
		return f, "", &Error{
			Kind: KindInputMissing, Op: "read " + path.Join(o.Manifest.Step, name), Err: fmt.Errorf("the step wrote no such file: %w", fs.ErrNotExist),
			Hint: fmt.Sprintf("redo it with %q", "salescast "+commandOf(o.Manifest.Step)+" --force"),
		}
	}
	return f, path.Join(o.Manifest.Step, f.Object), nil
}

// Get opens a file as a stream. Reading it to its end fails where size or SHA-256 differ from the manifest.
func (o *Opened) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	f, object, err := o.find(name)
	if err != nil {
		return nil, err
	}
	r, _, err := o.store.Get(ctx, object)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, damaged(o.Manifest.Step, o.store.URL(object), err)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path.Join(o.Manifest.Step, name), err)
	}
	return &verifier{ReadCloser: r, hash: sha256.New(), file: f, fail: func(err error) error { return damaged(o.Manifest.Step, o.store.URL(object), err) }}, nil
}

// ReadAt opens a file for random access, after one pass over it that verifies its digest; later calls on the same Opened trust that pass.
func (o *Opened) ReadAt(ctx context.Context, name string) (artifact.ReaderAt, error) {
	_, object, err := o.find(name)
	if err != nil {
		return nil, err
	}
	if err := o.verify(ctx, name); err != nil {
		return nil, err
	}
	r, err := o.store.ReadAt(ctx, object)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path.Join(o.Manifest.Step, name), err)
	}
	return r, nil
}

func (o *Opened) verify(ctx context.Context, name string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.verified[name] {
		return nil
	}
	r, err := o.Get(ctx, name)
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	o.verified[name] = true
	return nil
}

// ReadFile returns a whole file, verified; one that is larger than limit bytes is an error.
func (o *Opened) ReadFile(ctx context.Context, name string, limit int64) ([]byte, error) {
	f, _, err := o.find(name)
	if err != nil {
		return nil, err
	}
	if f.Size > limit {
		return nil, &Error{Kind: KindData, Op: "read " + path.Join(o.Manifest.Step, name), Err: fmt.Errorf("it has %d bytes, at most %d are expected", f.Size, limit)}
	}
	r, err := o.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// present says whether every object is there in its size, without reading any.
func (o *Opened) present(ctx context.Context) (bool, error) {
	for _, f := range o.Manifest.Files {
		i, err := o.store.Stat(ctx, path.Join(o.Manifest.Step, f.Object))
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("look for the files of %s: %w", o.Manifest.Step, err)
		}
		if i.Size != f.Size {
			return false, nil
		}
	}
	return true, nil
}

// verifier hashes what passes and compares at the end. It never hands out more bytes than the manifest says.
type verifier struct {
	io.ReadCloser
	hash hash.Hash
	n    int64
	file artifact.File
	fail func(error) error
}

func (v *verifier) Read(p []byte) (int, error) {
	n, err := v.ReadCloser.Read(p)
	v.n += int64(n)
	v.hash.Write(p[:n])
	if v.n > v.file.Size {
		return 0, v.fail(fmt.Errorf("it has more than the %d bytes that the manifest says", v.file.Size))
	}
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	if v.n < v.file.Size {
		return n, v.fail(fmt.Errorf("it has %d bytes, the manifest says %d", v.n, v.file.Size))
	}
	if got := hex.EncodeToString(v.hash.Sum(nil)); got != v.file.SHA256 {
		return n, v.fail(fmt.Errorf("its SHA-256 is %s, the manifest says %s", got, v.file.SHA256))
	}
	return n, io.EOF
}
