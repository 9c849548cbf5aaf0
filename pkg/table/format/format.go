// Package format tells which format a file of a source has, and opens it: it names every implementation of [table.Source].
package format

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"salescast/pkg/table"
	"salescast/pkg/table/csv"
	"salescast/pkg/table/parquet"
	"salescast/pkg/table/xlsx"
)

// Open opens a file, told apart by content: CSV, plain, gzip, Zstandard, or the one of a ZIP archive; Parquet; an Excel workbook. A file that is none of them is a [*table.SyntaxError].
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
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, &table.SyntaxError{File: f.Name, Msg: "the Zstandard stream cannot be read", Err: err}
		}
		return openCSV(f.Name, stream{z, closers{r, z.IOReadCloser()}}, d)
	case bytes.HasPrefix(magic, []byte("PK\x03\x04")), bytes.HasPrefix(magic, []byte("PK\x05\x06")): // the latter is empty
		return openArchive(f, r, d)
	}
	return openCSV(f.Name, stream{in, r}, d)
}

const (
	// maxWindow is the most memory that a Zstandard stream may ask for.
	maxWindow = 128 << 20
	// maxEntries is how many files an archive may have for one of them to be looked for.
	maxEntries = 10_000
)

// openArchive opens the workbook, or the only table of the archive, that a ZIP file is. A table streams out of it: what it claims to be
// takes no memory.
func openArchive(f table.File, r table.Reader, d table.Dialect) (table.Source, error) {
	z, err := zip.NewReader(r, f.Size)
	if err != nil {
		return nil, &table.SyntaxError{File: f.Name, Msg: "the ZIP archive cannot be read", Err: err, Hint: "a file that was cut off on its way has no end: bring it again"}
	}
	if len(z.File) > maxEntries {
		return nil, &table.SyntaxError{File: f.Name, Msg: fmt.Sprintf("the archive has %d files, and at most %d are looked at", len(z.File), maxEntries), Hint: "unpack the one with the sales"}
	}
	var tables []*zip.File
	var names []string
	for _, e := range z.File {
		base := path.Base(e.Name)
		switch {
		case e.Name == "xl/workbook.xml":
			s, err := xlsx.Open(f.Name, f.Size, r, d)
			if err != nil {
				return nil, err
			}
			return s, nil
		case e.FileInfo().IsDir(), strings.HasPrefix(base, "."), strings.HasPrefix(e.Name, "__MACOSX/"), d.Sheet != "" && e.Name != d.Sheet:
		default:
			tables, names = append(tables, e), append(names, e.Name)
		}
	}
	switch {
	case len(tables) == 0:
		return nil, &table.SyntaxError{File: f.Name, Msg: "the archive has no file to be read", Hint: "put one CSV file into it"}
	case len(tables) > 1:
		return nil, &table.Question{File: f.Name, Msg: fmt.Sprintf("the archive has %d files: %s", len(names), strings.Join(names[:min(5, len(names))], ", ")), Hint: fmt.Sprintf("set data.csv to {sheet: %q}, or another", names[0])}
	}
	e, err := tables[0].Open()
	if err != nil {
		return nil, &table.SyntaxError{File: f.Name, Msg: tables[0].Name + " in the archive cannot be read", Err: err, Hint: "unpack it; an archive with a password is not read"}
	}
	in := bufio.NewReaderSize(e, 1<<16)
	if magic, _ := in.Peek(4); bytes.Equal(magic, []byte("PAR1")) || bytes.HasPrefix(magic, []byte("PK\x03\x04")) {
		e.Close()
		return nil, &table.SyntaxError{File: f.Name, Msg: tables[0].Name + " in the archive is no text", Hint: "unpack it: Parquet and workbooks are read as they are"}
	}
	return openCSV(f.Name, stream{in, closers{r, e}}, d)
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
