package table

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Reader reads one file of a source: as a stream, and Parquet at random; *os.File is one.
type Reader interface {
	io.Reader
	io.ReaderAt
	io.Closer
}

// File is one file of a source. Where it lies is known to Open alone.
type File struct {
	// Name is what messages call it.
	Name string
	Size int64
	Open func(ctx context.Context) (Reader, error)
}

// LocalFiles lists the files of a source on this machine: a file, a glob, or a folder, of which all tables, by their extensions,
// are taken, at any depth, but for hidden ones and those beginning with "_". They come in the order of their names. A source
// without any file wraps fs.ErrNotExist.
func LocalFiles(_ context.Context, source string) ([]File, error) {
	paths := []string{source}
	info, err := os.Stat(source)
	if errors.Is(err, fs.ErrNotExist) && strings.ContainsAny(source, "*?[") {
		if paths, err = filepath.Glob(source); err != nil {
			return nil, fmt.Errorf("source %s: %w", source, err)
		}
	} else if err != nil {
		return nil, fmt.Errorf("source %s: %w", source, err)
	} else if info.IsDir() {
		paths = nil
		err = filepath.WalkDir(source, func(p string, d fs.DirEntry, err error) error {
			hidden := strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_")
			switch {
			case err != nil:
				return err
			case hidden && p != source && d.IsDir():
				return fs.SkipDir
			case !hidden && !d.IsDir() && IsTable(p):
				paths = append(paths, p)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("source %s: %w", source, err)
		}
	}
	slices.Sort(paths)
	var files []File
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return nil, fmt.Errorf("source %s: %w", source, err)
		}
		if info.IsDir() {
			continue
		}
		files = append(files, File{Name: p, Size: info.Size(), Open: func(context.Context) (Reader, error) { return os.Open(p) }})
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("source %s has no .csv, .csv.gz or .parquet file: %w", source, fs.ErrNotExist)
	}
	return files, nil
}

// IsTable says whether a file of a folder is taken for a table, by its extension.
func IsTable(p string) bool {
	p = strings.ToLower(p)
	for _, ext := range []string{".csv", ".csv.gz", ".csv.zst", ".tsv", ".tsv.gz", ".parquet", ".pq", ".xlsx", ".zip"} {
		if strings.HasSuffix(p, ext) {
			return true
		}
	}
	return false
}
