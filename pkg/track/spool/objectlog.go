package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"

	"salescast/pkg/artifact"
)

const (
	// maxObjectLog bounds a log that is one object, in bytes: a version of a model takes about one kilobyte.
	maxObjectLog = 64 << 20
	// maxLost is how often a writer begins again because another was quicker.
	maxLost = 100
	// maxTorn is how often an object is read that changes while it is.
	maxTorn = 5
)

// objectLog is a log that is one object of a store: whoever writes replaces the object that it has read, or begins again. apply and
// reset are as in journal.
type objectLog struct {
	store artifact.Store
	name  string
	reset func()
	apply func(line) error

	mu    sync.Mutex
	etag  string // of the object that was read last, "" where there is none
	data  []byte
	chain chain
}

func (o *objectLog) update(ctx context.Context, _ bool, decide func() ([]entry, error)) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	at := o.store.URL(o.name)
	for lost := 0; ; lost++ {
		if err := o.catchUp(ctx); err != nil {
			return fmt.Errorf("read %s: %w", at, err)
		}
		entries, err := decide()
		if err != nil || len(entries) == 0 {
			return err
		}
		err = o.append(ctx, entries)
		if err == nil {
			return nil
		}
		quicker := errors.Is(err, artifact.ErrChanged) || errors.Is(err, fs.ErrExist)
		if !quicker || lost == maxLost {
			return fmt.Errorf("write %s: %w", at, err)
		}
		if err := pause(ctx, lost); err != nil {
			return err
		}
	}
}

// pause waits the longer the more often something was tried; not at all before the first time.
func pause(ctx context.Context, tried int) error {
	if tried == 0 {
		return ctx.Err()
	}
	wait := time.NewTimer(time.Duration(min(tried, 20)) * 5 * time.Millisecond)
	defer wait.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-wait.C:
		return nil
	}
}

// catchUp reads the object where it is another than the last time.
func (o *objectLog) catchUp(ctx context.Context) error {
	data, info, err := o.read(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		o.begin()
		return nil
	}
	if err != nil || o.etag != "" && info.ETag == o.etag {
		return err
	}
	o.begin()
	c, good, err := scan(bytes.NewReader(data), chain{}, o.apply)
	if err != nil {
		return err
	}
	if good != int64(len(data)) { // objects are whole or absent: no writer left this
		return fmt.Errorf("%w: its last line is bad", ErrCorrupt)
	}
	o.etag, o.data, o.chain = info.ETag, data, c
	return nil
}

// read reads the object, unless it is the one that was read last. A store that is no object store at heart may hand out the bytes of
// one version with the checksum of another while it is replaced; such a read is repeated.
func (o *objectLog) read(ctx context.Context) (data []byte, info artifact.Info, err error) {
	for torn := range maxTorn {
		if err := pause(ctx, torn); err != nil {
			return nil, info, err
		}
		var r io.ReadCloser
		if r, info, err = o.store.Get(ctx, o.name); err != nil || o.etag != "" && info.ETag == o.etag {
			return nil, info, errors.Join(err, closed(r))
		}
		data, err = io.ReadAll(io.LimitReader(r, maxObjectLog+1))
		err = errors.Join(err, r.Close())
		if err == nil && len(data) > maxObjectLog {
			return nil, info, fmt.Errorf("%w: it has more than %d bytes", ErrCorrupt, maxObjectLog)
		}
		if err == nil || ctx.Err() != nil || errors.Is(err, artifact.ErrUnavailable) {
			break
		}
	}
	return data, info, err
}

func closed(r io.Closer) error {
	if r == nil {
		return nil
	}
	return r.Close()
}

func (o *objectLog) begin() {
	o.etag, o.data, o.chain = "", nil, chain{}
	o.reset()
}

func (o *objectLog) append(ctx context.Context, entries []entry) error {
	c, lines, raw, err := encode(o.chain, entries)
	if err != nil {
		return err
	}
	data := bytes.Join([][]byte{o.data, raw}, nil)
	var info artifact.Info
	if o.etag == "" {
		info, err = o.store.Create(ctx, o.name, bytes.NewReader(data))
	} else {
		info, err = o.store.Replace(ctx, o.name, o.etag, bytes.NewReader(data))
	}
	if err != nil {
		return err
	}
	o.etag, o.data, o.chain = info.ETag, data, c
	for _, l := range lines {
		if err := o.apply(l); err != nil {
			return err
		}
	}
	return nil
}

func (o *objectLog) end() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return int64(len(o.data))
}

func (o *objectLog) close() error { return nil }
