package csv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"

	"salescast/pkg/table"
)

// Source is an open CSV file, its header read.
type Source struct {
	scanner
	io.Closer
	// names are those of all fields; the first is empty where it is an index.
	names   []string
	dialect table.Dialect
}

// maxColumns bounds a header.
const maxColumns = 10_000

// Columns implements [table.Source].
func (t *Source) Columns() []string {
	if t.Index() {
		return t.names[1:]
	}
	return t.names
}

// Index says whether the first column, which has no name and counts the rows, is passed over.
func (t *Source) Index() bool { return t.names[0] == "" }

// Typed implements [table.Source].
func (t *Source) Typed(string, table.Kind) bool { return false }

// Dialect is that of the file: what was given, and what was told from the file where nothing was.
func (t *Source) Dialect() table.Dialect { return t.dialect }

// Open reads the header of a stream of CSV, which it closes with the source, and otherwise leaves to its caller where it returns an
// error. The encoding, line ends and separator that d does not say are told from the first 64 KiB.
func Open(name string, in io.ReadCloser, d table.Dialect) (*Source, error) {
	text, encoding, err := decoded(in, d.Encoding)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	t := &Source{scanner: scanner{name: name, in: text, next: 1}, Closer: in, dialect: d}
	t.dialect.Encoding = encoding
	sample, _ := text.Peek(sampled)
	said, ok := sepLine(sample)
	if ok {
		line, _ := text.ReadSlice('\n')
		sample = sample[len(line):]
		t.next++
	}
	switch {
	case d.Separator != "":
		t.sep = d.Separator[0]
	case ok:
		t.sep = said
	default:
		t.sep = separatorOf(sample)
	}
	t.dialect.Separator = string(t.sep)
	return t, t.header(sample)
}

// header reads the names of the columns.
func (t *Source) header(sample []byte) error {
	if err := t.scan(); errors.Is(err, io.EOF) {
		return &table.SyntaxError{File: t.name, Msg: "the file is empty", Hint: "a source needs a header line and rows"}
	} else if err != nil {
		return err
	}
	if bytes.IndexByte(t.raw, 0) >= 0 {
		return &table.SyntaxError{File: t.name, Line: t.line, Msg: "this is not a text file", Hint: "a source is CSV or Parquet, also packed"}
	}
	if len(t.fields) > maxColumns {
		return &table.SyntaxError{File: t.name, Line: t.line, Msg: fmt.Sprintf("the header has more than %d columns", maxColumns), Hint: "keep the columns that say something of sales"}
	}
	seen := make(map[string]bool, len(t.fields))
	for i, f := range t.fields {
		n := strings.TrimSpace(string(f))
		switch {
		case i == 0 && len(t.fields) > 1 && (n == "" || n == "Unnamed: 0") && countsRows(sample, t.sep):
			n = ""
		case n == "":
			return &table.SyntaxError{File: t.name, Line: t.line, Column: strconv.Itoa(i + 1), Msg: "the column has no name", Hint: "name every column in the header (pandas: to_csv(index=False))"}
		case seen[n]:
			return &table.SyntaxError{File: t.name, Line: t.line, Column: clipped(n), Msg: "two columns have this name", Hint: "rename one of them"}
		}
		seen[n] = true
		t.names = append(t.names, n)
	}
	return nil
}

func clipped(name string) string {
	if len(name) > 80 {
		return strings.ToValidUTF8(name[:80], "") + "…"
	}
	return name
}

// Blocks implements [table.Source].
func (t *Source) Blocks(ctx context.Context, want []table.Column) iter.Seq2[*table.Block, error] {
	return func(yield func(*table.Block, error) bool) {
		at, fixed, err := table.Locate(t.name, t.Columns(), want)
		if err != nil {
			yield(nil, err)
			return
		}
		for i := range at {
			if at[i] >= 0 && t.Index() {
				at[i]++
			}
		}
		b := table.NewBuilder(t.name, want, t.dialect)
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
