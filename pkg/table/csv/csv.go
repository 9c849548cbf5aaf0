package csv

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"

	"salescast/pkg/table"
)

// source is an open CSV file, its header read.
type source struct {
	scanner
	io.Closer
	names []string
}

// Columns implements [table.Source].
func (t *source) Columns() []string { return t.names }

// Open reads the header of a stream of CSV, which it closes with the source, and otherwise leaves to its caller where it returns an error.
func Open(name string, in io.ReadCloser) (table.Source, error) {
	t := &source{scanner: scanner{name: name, in: bufio.NewReaderSize(in, 1<<16), next: 1}, Closer: in}
	if b, _ := t.in.Peek(3); bytes.Equal(b, []byte("\xef\xbb\xbf")) {
		_, _ = t.in.Discard(3)
	}
	if err := t.scan(); errors.Is(err, io.EOF) {
		return nil, &table.SyntaxError{File: name, Msg: "the file is empty", Hint: "a source needs a header line and rows"}
	} else if err != nil {
		return nil, err
	}
	if bytes.IndexByte(t.raw, 0) >= 0 {
		return nil, &table.SyntaxError{File: name, Line: t.line, Msg: "this is not a text file", Hint: "a source is CSV (also .gz) or Parquet"}
	}
	for i, f := range t.fields {
		n := strings.TrimSpace(string(f))
		switch {
		case n == "":
			return nil, &table.SyntaxError{File: name, Line: t.line, Column: strconv.Itoa(i + 1), Msg: "the column has no name", Hint: "name every column in the header (pandas: to_csv(index=False))"}
		case slices.Contains(t.names, n):
			return nil, &table.SyntaxError{File: name, Line: t.line, Column: n, Msg: "two columns have this name", Hint: "rename one of them"}
		}
		t.names = append(t.names, n)
	}
	if len(t.names) == 1 {
		for _, d := range []string{";", "\t", "|"} {
			if n := strings.Count(t.names[0], d); n > 0 {
				return nil, &table.SyntaxError{
					File: name, Line: t.line, Msg: fmt.Sprintf("the header is one column with %d %q in it, so the file seems to be separated by %q and not by commas", n, d, d),
					Hint: "save the file with commas between the columns (and points in numbers)",
				}
			}
		}
	}
	return t, nil
}

// Blocks implements [table.Source].
func (t *source) Blocks(ctx context.Context, want []table.Column) iter.Seq2[*table.Block, error] {
	return func(yield func(*table.Block, error) bool) {
		at, fixed, err := table.Locate(t.name, t.names, want)
		if err != nil {
			yield(nil, err)
			return
		}
		b := table.NewBuilder(t.name, want)
		texts := make([][]byte, len(want))
		for i, v := range fixed {
			texts[i] = []byte(v)
		}
		found := false
		for {
			err := t.scan()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				if b.Rows > 0 && !yield(&b.Block, nil) {
					return
				}
				yield(nil, err)
				return
			}
			found = true
			b.Begin(t.line, t.raw)
			if len(t.fields) != len(t.names) {
				b.Ragged(t.fields, at, len(t.names))
			} else {
				for i, a := range at {
					if a >= 0 {
						texts[i] = t.fields[a]
					}
				}
				b.Row(texts)
			}
			if b.Rows == table.BlockRows {
				if err := ctx.Err(); err != nil {
					yield(nil, err)
					return
				}
				if !yield(&b.Block, nil) {
					return
				}
				b.Reset()
			}
		}
		if !found {
			yield(nil, &table.SyntaxError{File: t.name, Msg: "the file has a header and no rows", Err: table.ErrNoRows, Hint: "a source needs rows below its header"})
			return
		}
		if b.Rows > 0 {
			yield(&b.Block, nil)
		}
	}
}
