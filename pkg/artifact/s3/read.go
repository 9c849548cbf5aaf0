package s3

import (
	"container/list"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"

	"salescast/pkg/artifact"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// stall is how long a stream may give nothing before it is opened anew.
const stall = time.Minute

// reader is a stream over one version of an object.
type reader struct {
	s      *Store
	ctx    context.Context //nolint:containedctx // the stream belongs to the Get that was given it
	name   string
	object minio.ObjectInfo

	body   io.ReadCloser
	cancel context.CancelFunc
	idle   *time.Timer
	off    int64
	sum    uint32
	breaks int
}

// maxBreaks bounds how often one stream is taken up again without a byte in between.
const maxBreaks = 5

// open begins or continues at off.
func (r *reader) open() error {
	opts := minio.GetObjectOptions{Checksum: true}
	if r.off > 0 {
		if err := errors.Join(opts.SetRange(r.off, 0), opts.SetMatchETag(r.object.ETag)); err != nil {
			return err
		}
	}
	_, err := r.s.try(r.ctx, longCall, func(context.Context) error {
		// The context of a call that has succeeded must outlive it: the stream is read with it.
		ctx, cancel := context.WithCancel(r.ctx)
		idle := time.AfterFunc(stall, cancel)
		body, o, _, err := r.s.client.GetObject(ctx, r.s.at.Bucket, r.s.key(r.name), opts) //nolint:contextcheck // see above
		if err != nil {
			idle.Stop()
			cancel()
			return err
		}
		r.body, r.cancel, r.idle = body, cancel, idle
		if r.off == 0 {
			r.object = o
		}
		return nil
	})
	if errors.Is(err, errPrecondition) {
		return fmt.Errorf("%w while it was read", artifact.ErrChanged)
	}
	return err
}

func (r *reader) Read(p []byte) (int, error) {
	for {
		if err := r.ctx.Err(); err != nil {
			return 0, err
		}
		if r.body == nil {
			if err := r.open(); err != nil {
				return 0, r.s.fail("read", r.name, err)
			}
		}
		r.idle.Reset(stall)
		n, err := r.body.Read(p)
		r.off += int64(n)
		r.sum = crc32.Update(r.sum, castagnoli, p[:n])
		if n > 0 {
			r.breaks = 0
		}
		if err != nil && r.off >= r.object.Size {
			if err := r.verify(); err != nil {
				return n, err
			}
			return n, io.EOF
		}
		if err != nil { // broken, or ended before its end
			r.drop()
			r.breaks++
			if r.breaks > maxBreaks {
				return n, r.s.fail("read", r.name, fmt.Errorf("%w: the connection broke %d times at byte %d: %w", artifact.ErrUnavailable, r.breaks, r.off, err))
			}
		}
		if n > 0 || len(p) == 0 {
			return n, nil
		}
	}
}

// verify compares the bytes read with the checksum of the whole object, where the server has one.
func (r *reader) verify() error {
	if r.object.ChecksumCRC32C == "" || r.object.ChecksumMode == minio.ChecksumCompositeMode.String() {
		return nil
	}
	want, err := base64.StdEncoding.DecodeString(r.object.ChecksumCRC32C)
	if err != nil || len(want) != 4 {
		return nil //nolint:nilerr // a sum of parts, as other programs make it
	}
	if binary.BigEndian.Uint32(want) != r.sum {
		return r.s.fail("read", r.name, errors.New("the bytes are not those that were written: the checksum differs"))
	}
	return nil
}

func (r *reader) drop() {
	if r.body != nil {
		r.idle.Stop()
		r.cancel()
		_ = r.body.Close()
		r.body = nil
	}
}

func (r *reader) Close() error {
	r.drop()
	return nil
}

// block is the unit of random access; blocks of them are kept.
const (
	block  = 1 << 20
	blocks = 8
)

// ReadAt opens the object for random access. Small reads share blocks of 1 MiB, of which the last few are kept.
func (s *Store) ReadAt(ctx context.Context, name string) (artifact.ReaderAt, error) {
	o, err := s.head(ctx, name)
	if err != nil {
		return nil, s.fail("read", name, err)
	}
	return &readerAt{s: s, ctx: ctx, name: name, object: o, kept: map[int64]*list.Element{}, order: list.New()}, nil
}

type readerAt struct {
	s      *Store
	ctx    context.Context //nolint:containedctx // the view belongs to the ReadAt that was given it
	name   string
	object minio.ObjectInfo

	mu    sync.Mutex
	kept  map[int64]*list.Element
	order *list.List // of *cached, the latest used first
}

type cached struct {
	index int64
	bytes []byte
}

func (r *readerAt) Size() int64  { return r.object.Size }
func (r *readerAt) Close() error { return nil }

func (r *readerAt) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read %s at %d: the offset is negative", r.s.URL(r.name), off)
	}
	if off >= r.object.Size {
		return 0, io.EOF
	}
	want := p[:min(int64(len(p)), r.object.Size-off)]
	var err error
	if len(want) >= block {
		err = r.fetch(want, off)
	} else {
		err = r.small(want, off)
	}
	if err != nil {
		return 0, err
	}
	if len(want) < len(p) {
		return len(want), io.EOF
	}
	return len(want), nil
}

func (r *readerAt) small(p []byte, off int64) error {
	for len(p) > 0 {
		b, err := r.block(off / block)
		if err != nil {
			return err
		}
		n := copy(p, b[off%block:])
		p, off = p[n:], off+int64(n)
	}
	return nil
}

func (r *readerAt) block(index int64) ([]byte, error) {
	r.mu.Lock()
	if e := r.kept[index]; e != nil {
		r.order.MoveToFront(e)
		r.mu.Unlock()
		return e.Value.(*cached).bytes, nil
	}
	r.mu.Unlock()
	b := make([]byte, min(block, r.object.Size-index*block))
	if err := r.fetch(b, index*block); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kept[index] == nil {
		r.kept[index] = r.order.PushFront(&cached{index, b})
		if r.order.Len() > blocks {
			old := r.order.Remove(r.order.Back()).(*cached)
			delete(r.kept, old.index)
		}
	}
	return b, nil
}

// fetch fills p from off, all of which lies inside the object.
func (r *readerAt) fetch(p []byte, off int64) error {
	if len(p) == 0 {
		return nil
	}
	_, err := r.s.try(r.ctx, longCall, func(ctx context.Context) error {
		opts := minio.GetObjectOptions{}
		if err := errors.Join(opts.SetRange(off, off+int64(len(p))-1), opts.SetMatchETag(r.object.ETag)); err != nil {
			return err
		}
		body, _, _, err := r.s.client.GetObject(ctx, r.s.at.Bucket, r.s.key(r.name), opts)
		if err != nil {
			return err
		}
		_, err = io.ReadFull(body, p)
		return errors.Join(err, body.Close())
	})
	if errors.Is(err, errPrecondition) {
		err = fmt.Errorf("%w while it was read", artifact.ErrChanged)
	}
	if err != nil {
		return r.s.fail("read", r.name, err)
	}
	return nil
}
