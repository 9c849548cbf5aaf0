package columnar

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"

	"salescast/pkg/panel"
)

// SourceReader reads one file of a source: as a stream, and Parquet at random; *os.File is one.
type SourceReader interface {
	io.Reader
	io.ReaderAt
	io.Closer
}

// File is one file of a source. Where it lies is known to Open alone.
type File struct {
	// Name is what messages call it.
	Name string
	Size int64
	Open func(ctx context.Context) (SourceReader, error)
}

// Column asks for one column of a source.
type Column struct {
	Name string
	Kind panel.ColumnKind
	// Dictionary codes a text column.
	Dictionary *panel.Dictionary
}

// batchRows is the number of rows of the Records that a source yields.
const batchRows = 8192

// table is an open file of either format.
type table interface {
	header() []string
	// read yields the rows of the wanted columns; at[i] is the place of want[i] in the header, -1 for one whose value is fixed[i].
	read(ctx context.Context, want []Column, at []int, fixed []string) iter.Seq2[*panel.Records, error]
	io.Closer
}

// Header returns the names of a file's columns, in order. A name may come from a folder such as "year=2025" as well, but those are not
// listed: they are found when they are asked for.
func Header(ctx context.Context, f File) ([]string, error) {
	t, err := openTable(ctx, f)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	return slices.Clone(t.header()), nil
}

// Rows reads the wanted columns of one file, CSV or Parquet, plain or gzip, told apart by content. Rows that cannot be read are among
// the Records with their Faults; a file that cannot be read is a *SyntaxError.
func Rows(ctx context.Context, f File, want []Column) iter.Seq2[*panel.Records, error] {
	return func(yield func(*panel.Records, error) bool) {
		t, err := openTable(ctx, f)
		if err != nil {
			yield(nil, err)
			return
		}
		defer t.Close()
		at, fixed := make([]int, len(want)), make([]string, len(want))
		for i, w := range want {
			at[i] = slices.Index(t.header(), w.Name)
			if at[i] >= 0 {
				continue
			}
			v, ok := partition(f.Name, w.Name)
			if !ok {
				yield(nil, &SyntaxError{File: f.Name, Column: w.Name, Msg: "the file has no such column", Hint: "it has " + strings.Join(t.header(), ", ")})
				return
			}
			fixed[i] = v
		}
		for r, err := range t.read(ctx, want, at, fixed) {
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// partition returns the value of a folder name=value in a path.
func partition(path, name string) (string, bool) {
	for part := range strings.SplitSeq(filepath.ToSlash(path), "/") {
		if v, ok := strings.CutPrefix(part, name+"="); ok {
			return v, true
		}
	}
	return "", false
}

type closers []io.Closer

func (c closers) Close() error {
	var first error
	for i := range slices.Backward(c) {
		if err := c[i].Close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func openTable(ctx context.Context, f File) (table, error) {
	r, err := f.Open(ctx)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", f.Name, err)
	}
	t, err := tableOf(f, r)
	if err != nil {
		r.Close()
		return nil, err
	}
	return t, nil
}

func tableOf(f File, r SourceReader) (table, error) {
	in := bufio.NewReaderSize(r, 1<<16)
	magic, err := in.Peek(4)
	if len(magic) == 0 {
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("reading %s: %w", f.Name, err)
		}
		return nil, &SyntaxError{File: f.Name, Msg: "the file is empty", Hint: "a source needs a header line and rows"}
	}
	ext := strings.ToLower(filepath.Ext(f.Name))
	switch {
	case bytes.Equal(magic, []byte("PAR1")) || ext == ".parquet" || ext == ".pq":
		return newParquetTable(f, r)
	case len(magic) >= 2 && magic[0] == 0x1f && magic[1] == 0x8b:
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, &SyntaxError{File: f.Name, Msg: "the gzip stream cannot be read", Err: err}
		}
		return newCSVTable(f.Name, bufio.NewReaderSize(z, 1<<16), closers{r, z})
	case bytes.HasPrefix(magic, []byte{0xff, 0xfe}) || bytes.HasPrefix(magic, []byte{0xfe, 0xff}):
		return nil, &SyntaxError{File: f.Name, Line: 1, Msg: "the text is UTF-16", Hint: "save the file as UTF-8"}
	case bytes.HasPrefix(magic, []byte("PK\x03\x04")):
		return nil, &SyntaxError{File: f.Name, Msg: "this is a ZIP archive or an Excel workbook", Hint: "save the sheet as CSV UTF-8"}
	}
	return newCSVTable(f.Name, in, closers{r})
}

// LocalFiles lists the files of a source on this machine: a file, a glob, or a folder, of which all .csv, .csv.gz, .parquet and .pq
// files are taken, at any depth, but for hidden ones and those beginning with "_". They come in the order of their names. A source
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
		files = append(files, File{Name: p, Size: info.Size(), Open: func(context.Context) (SourceReader, error) { return os.Open(p) }})
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("source %s has no .csv, .csv.gz or .parquet file: %w", source, fs.ErrNotExist)
	}
	return files, nil
}

// IsTable says whether a file of a folder is taken for a table, by its extension.
func IsTable(p string) bool {
	p = strings.ToLower(p)
	for _, ext := range []string{".csv", ".csv.gz", ".parquet", ".pq"} {
		if strings.HasSuffix(p, ext) {
			return true
		}
	}
	return false
}

// InPath says whether a file's path gives a value to a column, as in year=2025.
func InPath(path, column string) bool {
	_, ok := partition(path, column)
	return ok
}
