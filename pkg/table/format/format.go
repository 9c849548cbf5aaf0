// Package format tells which format a file of a source has, and opens it: it names every implementation of [table.Source].
package format

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"

	"salescast/pkg/table"
	"salescast/pkg/table/csv"
	"salescast/pkg/table/parquet"
)

// Open opens a file, CSV or Parquet, plain or gzip, told apart by content. A file that is none of them is a [*table.SyntaxError].
func Open(ctx context.Context, f table.File, d table.Dialect) (table.Source, error) {
	r, err := f.Open(ctx)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", f.Name, err)
	}
	s, err := open(f, r, d)
	if err != nil {
		r.Close()
		return nil, err
	}
	return s, nil
}

func open(f table.File, r table.Reader, d table.Dialect) (table.Source, error) {
	in := bufio.NewReaderSize(r, 1<<16)
	magic, err := in.Peek(4)
	if len(magic) == 0 {
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("reading %s: %w", f.Name, err)
		}
		return nil, &table.SyntaxError{File: f.Name, Msg: "the file is empty", Hint: "a source needs a header line and rows"}
	}
	ext := strings.ToLower(filepath.Ext(f.Name))
	switch {
	case bytes.Equal(magic, []byte("PAR1")) || ext == ".parquet" || ext == ".pq":
		return parquet.Open(f.Name, f.Size, r, d)
	case len(magic) >= 2 && magic[0] == 0x1f && magic[1] == 0x8b:
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, &table.SyntaxError{File: f.Name, Msg: "the gzip stream cannot be read", Err: err}
		}
		return openCSV(f.Name, stream{z, closers{r, z}}, d)
	case bytes.HasPrefix(magic, []byte("PK\x03\x04")):
		return nil, &table.SyntaxError{File: f.Name, Msg: "this is a ZIP archive or an Excel workbook", Hint: "save the sheet as CSV UTF-8"}
	}
	return openCSV(f.Name, stream{in, r}, d)
}

// stream is what is read of a file, and what is closed after it.
type stream struct {
	io.Reader
	io.Closer
}

type closers []io.Closer

// Close closes all, the last first, and returns the first error.
func (c closers) Close() error {
	var first error
	for i := range slices.Backward(c) {
		if err := c[i].Close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func openCSV(name string, in io.ReadCloser, d table.Dialect) (table.Source, error) {
	s, err := csv.Open(name, in, d)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Blocks opens a file, reads the wanted columns as [table.Source] does, and closes it.
func Blocks(ctx context.Context, f table.File, d table.Dialect, want []table.Column) iter.Seq2[*table.Block, error] {
	return func(yield func(*table.Block, error) bool) {
		s, err := Open(ctx, f, d)
		if err != nil {
			yield(nil, err)
			return
		}
		defer s.Close()
		for b, err := range s.Blocks(ctx, want) {
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}
