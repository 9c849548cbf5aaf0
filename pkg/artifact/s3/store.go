package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"salescast/pkg/artifact"
	"salescast/pkg/internal/outage"
)

const (
	// shortCall bounds one call without a body, longCall one that carries a part.
	shortCall = time.Minute
	longCall  = 5 * time.Minute
)

// Store is a bucket and a key prefix. It is made with New.
type Store struct {
	client   *minio.Core
	at       artifact.Location
	endpoint string
	partSize int
	outage   outage.Outage
}

var _ artifact.Store = (*Store)(nil)

// URL returns s3://bucket/prefix/name.
func (s *Store) URL(name string) string { return s.at.Join(name).String() }

func (s *Store) key(name string) string { return path.Join(s.at.Path, name) }

// check refuses unclean names and cancelled contexts.
func (s *Store) check(ctx context.Context, name string) error {
	return cmp.Or(ctx.Err(), artifact.CheckName(name))
}

func (s *Store) fail(op, name string, err error) error {
	return fmt.Errorf("%s %s: %w", op, s.URL(name), err)
}

// Stat asks for the object's head.
func (s *Store) Stat(ctx context.Context, name string) (artifact.Info, error) {
	o, err := s.head(ctx, name)
	if err != nil {
		return artifact.Info{}, s.fail("stat", name, err)
	}
	return info(name, o), nil
}

func (s *Store) head(ctx context.Context, name string) (o minio.ObjectInfo, err error) {
	if err := s.check(ctx, name); err != nil {
		return o, err
	}
	_, err = s.try(ctx, shortCall, func(ctx context.Context) error {
		o, err = s.client.StatObject(ctx, s.at.Bucket, s.key(name), minio.StatObjectOptions{})
		return err
	})
	return o, err
}

func info(name string, o minio.ObjectInfo) artifact.Info {
	return artifact.Info{Name: name, Size: o.Size, Modified: o.LastModified, ETag: o.ETag}
}

// Delete removes the object.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := s.check(ctx, name); err != nil {
		return s.fail("delete", name, err)
	}
	_, err := s.try(ctx, shortCall, func(ctx context.Context) error {
		return s.client.RemoveObject(ctx, s.at.Bucket, s.key(name), minio.RemoveObjectOptions{})
	})
	var r minio.ErrorResponse
	if errors.Is(err, fs.ErrNotExist) && !strings.Contains(err.Error(), "NoSuchBucket") || errors.As(err, &r) && r.Code == "NoSuchKey" {
		return nil
	}
	if err != nil {
		return s.fail("delete", name, err)
	}
	return nil
}

// List yields the objects in the order of their keys. Keys that are no clean names, as the folder marks of other programs, are left out.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[artifact.Info, error] {
	return func(yield func(artifact.Info, error) bool) {
		if err := cmp.Or(ctx.Err(), artifact.CheckPrefix(prefix)); err != nil {
			yield(artifact.Info{}, s.fail("list", prefix, err))
			return
		}
		root := ""
		if s.at.Path != "" {
			root = s.at.Path + "/"
		}
		after := ""
		for {
			page, more, err := s.page(ctx, root+prefix, after)
			if err != nil {
				yield(artifact.Info{}, s.fail("list", prefix, err))
				return
			}
			for _, o := range page {
				name, ours := strings.CutPrefix(o.Key, root)
				after = o.Key
				if ours && artifact.CheckName(name) == nil && !yield(info(name, o), nil) {
					return
				}
			}
			if !more {
				return
			}
		}
	}
}

const pageSize = 1000

// page lists up to pageSize objects after a key.
func (s *Store) page(ctx context.Context, prefix, after string) (page []minio.ObjectInfo, more bool, err error) {
	_, err = s.try(ctx, shortCall, func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		page, more = page[:0], false
		for o := range s.client.ListObjectsIter(ctx, s.at.Bucket, minio.ListObjectsOptions{
			Prefix: prefix, Recursive: true, StartAfter: after, MaxKeys: pageSize,
		}) {
			if o.Err != nil {
				return o.Err
			}
			if len(page) == pageSize {
				more = true
				return nil
			}
			page = append(page, o)
		}
		return ctx.Err()
	})
	return page, more, err
}

// Get opens the object as a stream. A connection that breaks is taken up again where it was, on the same version of the object; at
// the end the bytes are compared with the checksum that the server keeps.
func (s *Store) Get(ctx context.Context, name string) (io.ReadCloser, artifact.Info, error) {
	if err := s.check(ctx, name); err != nil {
		return nil, artifact.Info{}, s.fail("read", name, err)
	}
	r := &reader{s: s, ctx: ctx, name: name}
	if err := r.open(); err != nil {
		return nil, artifact.Info{}, s.fail("read", name, err)
	}
	return r, info(name, r.object), nil
}
