package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync"

	"salescast/pkg/artifact"
	"salescast/pkg/table"
	"salescast/tasks"
)

// sourceFiles lists the files of data.source, on this machine or at s3://bucket/key.
func (a *app) sourceFiles(ctx context.Context, source string) ([]table.File, error) {
	scheme, rest, remote := strings.Cut(source, "://")
	switch {
	case !remote:
		return table.LocalFiles(ctx, source)
	case scheme == artifact.SchemeFile:
		at, err := artifact.ParseLocation(source)
		if err != nil {
			return nil, &tasks.Error{Kind: tasks.KindConfig, Op: "open data.source", Err: err}
		}
		return table.LocalFiles(ctx, at.Path)
	case scheme != artifact.SchemeS3:
		return nil, &tasks.Error{Kind: tasks.KindConfig, Op: "open data.source", Err: fmt.Errorf("unknown scheme %q", scheme), Hint: "write a path or s3://bucket/key"}
	}
	// A key is taken as it is written: it has no escapes and no query, so that globs may use a question mark.
	bucket, key, _ := strings.Cut(rest, "/")
	if bucket == "" || strings.ContainsAny(bucket, "@:?*") {
		return nil, &tasks.Error{
			Kind: tasks.KindConfig, Op: "open data.source", Err: errors.New("it does not name a bucket as s3://bucket/key does"),
			Hint: "credentials and endpoint come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL_S3",
		}
	}
	root, pattern := splitPattern(strings.TrimLeft(key, "/"))
	store, _, err := a.openStore(artifact.Location{Scheme: artifact.SchemeS3, Bucket: bucket, Path: root}.String())
	if err != nil {
		return nil, err
	}
	return storeFiles(ctx, store, pattern)
}

// splitPattern cuts a key into the folder that is listed and the name, glob or "" below it.
func splitPattern(key string) (root, pattern string) {
	if magic := strings.IndexAny(key, `*?[`); magic >= 0 {
		cut := strings.LastIndexByte(key[:magic], '/')
		return key[:max(cut, 0)], key[cut+1:]
	}
	if key == "" || strings.HasSuffix(key, "/") {
		return strings.TrimRight(key, "/"), ""
	}
	cut := strings.LastIndexByte(key, '/')
	return key[:max(cut, 0)], key[cut+1:]
}

// maxListed bounds a source: more files are a wrong prefix, or want to be compacted.
const maxListed = 100_000

// storeFiles is [table.LocalFiles] in a store: an object of that name, what a glob matches (a star stays within a folder), or all
// tables below a prefix but those with a part of their name that begins with "." or "_".
func storeFiles(ctx context.Context, store artifact.Store, pattern string) ([]table.File, error) {
	glob := strings.ContainsAny(pattern, `*?[`)
	if _, err := path.Match(pattern, ""); err != nil {
		return nil, &tasks.Error{Kind: tasks.KindConfig, Op: "open data.source", Err: fmt.Errorf("%s: %w", pattern, err)}
	}
	if pattern != "" && !glob {
		switch i, err := store.Stat(ctx, pattern); {
		case err == nil:
			return []table.File{storeFile(store, i)}, nil
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	prefix := pattern
	switch {
	case glob:
		prefix = pattern[:strings.IndexAny(pattern, `*?[`)]
	case pattern != "":
		prefix += "/"
	}
	var files []table.File
	for i, err := range store.List(ctx, prefix) {
		if err != nil {
			return nil, err
		}
		if glob {
			if ok, err := path.Match(pattern, i.Name); err != nil || !ok {
				continue
			}
		} else if below := strings.TrimPrefix(i.Name, prefix); hidden(below) || !table.IsTable(below) {
			continue
		}
		if len(files) == maxListed {
			return nil, &tasks.Error{Kind: tasks.KindConfig, Op: "open data.source", Err: fmt.Errorf("%s has more than %d files", store.URL(pattern), maxListed), Hint: "name a narrower prefix, or write fewer, larger files"}
		}
		files = append(files, storeFile(store, i))
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("source %s has no .csv, .csv.gz or .parquet file: %w", address(store, pattern), fs.ErrNotExist)
	}
	return files, nil
}

func hidden(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(part, ".") || strings.HasPrefix(part, "_") {
			return true
		}
	}
	return false
}

func address(store artifact.Store, pattern string) string {
	if pattern == "" {
		return store.URL("")
	}
	return strings.TrimSuffix(store.URL(""), "/") + "/" + pattern
}

func storeFile(store artifact.Store, i artifact.Info) table.File {
	return table.File{Name: store.URL(i.Name), Size: i.Size, Open: func(ctx context.Context) (table.Reader, error) {
		return &storeReader{ctx: ctx, store: store, info: i}, nil
	}}
}

// storeReader opens the stream and the random access of an object when they are first asked for. Both must be of the version that
// was listed, so that what was hashed is what is read.
type storeReader struct {
	ctx    context.Context //nolint:containedctx // the reader belongs to the Open that was given it
	store  artifact.Store
	info   artifact.Info
	stream io.ReadCloser

	mu     sync.Mutex // ReadAt may be called from several goroutines
	random artifact.ReaderAt
}

func (r *storeReader) unchanged(i artifact.Info) error {
	if i.ETag != r.info.ETag {
		return fmt.Errorf("%s: %w since it was listed", r.store.URL(r.info.Name), artifact.ErrChanged)
	}
	return nil
}

func (r *storeReader) Read(p []byte) (int, error) {
	if r.stream == nil {
		s, i, err := r.store.Get(r.ctx, r.info.Name)
		if err != nil {
			return 0, err
		}
		r.stream = s
		if err := r.unchanged(i); err != nil {
			return 0, err
		}
	}
	return r.stream.Read(p)
}

func (r *storeReader) ReadAt(p []byte, off int64) (int, error) {
	random, err := r.openRandom()
	if err != nil {
		return 0, err
	}
	return random.ReadAt(p, off)
}

func (r *storeReader) openRandom() (artifact.ReaderAt, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.random != nil {
		return r.random, nil
	}
	i, err := r.store.Stat(r.ctx, r.info.Name)
	if err == nil {
		err = r.unchanged(i)
	}
	if err == nil {
		r.random, err = r.store.ReadAt(r.ctx, r.info.Name)
	}
	return r.random, err
}

func (r *storeReader) Close() error {
	var errs []error
	if r.stream != nil {
		errs = append(errs, r.stream.Close())
	}
	if r.random != nil {
		errs = append(errs, r.random.Close())
	}
	return errors.Join(errs...)
}
