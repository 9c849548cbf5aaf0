package columnar

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

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

// MaxLine bounds a record of a CSV file, in bytes.
const MaxLine = 1 << 20

// csvScanner reads records of comma-separated values (RFC 4180; lines may end in LF or CRLF, and blank ones are passed over).
type csvScanner struct {
	name string
	in   *bufio.Reader
	// line is that of the record at hand; next that of the one after it.
	line, next int64
	long       []byte // a line that does not fit in the reader's buffer
	joined     []byte // a record of several lines
	raw        []byte // the record, without its line end; valid until the next scan
	fields     [][]byte
	unquoted   []byte
}

// scan reads one record into raw and fields; io.EOF at the end.
func (s *csvScanner) scan() error {
	for {
		s.line = s.next
		if err := s.physical(); err != nil {
			return err
		}
		if len(s.raw) > 0 {
			break
		}
	}
	if bytes.IndexByte(s.raw, '"') < 0 {
		s.fields = s.fields[:0]
		rest := s.raw
		for {
			i := bytes.IndexByte(rest, ',')
			if i < 0 {
				s.fields = append(s.fields, rest)
				return nil
			}
			s.fields = append(s.fields, rest[:i])
			rest = rest[i+1:]
		}
	}
	return s.quoted()
}

func (s *csvScanner) tooLong() error {
	return &SyntaxError{
		File: s.name, Line: s.line, Msg: fmt.Sprintf("the line is longer than %d bytes", MaxLine),
		Hint: "look at that line: a quote that is never closed, or a file that is not CSV",
	}
}

// physical reads one line into raw.
func (s *csvScanner) physical() error {
	b, err := s.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		s.long = append(s.long[:0], b...)
		for errors.Is(err, bufio.ErrBufferFull) {
			if len(s.long) > MaxLine {
				return s.tooLong()
			}
			b, err = s.in.ReadSlice('\n')
			s.long = append(s.long, b...)
		}
		b = s.long
		if len(b) > MaxLine {
			return s.tooLong()
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return s.broken(err)
	}
	if len(b) == 0 {
		return io.EOF
	}
	s.next++
	s.raw = trimLineEnd(b)
	return nil
}

func (s *csvScanner) broken(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || strings.HasPrefix(err.Error(), "gzip:") || strings.HasPrefix(err.Error(), "flate:") {
		return &SyntaxError{File: s.name, Line: s.line, Msg: "the compressed file ends early or is damaged", Err: err, Hint: "compress or copy it again"}
	}
	return fmt.Errorf("reading %s: %w", s.name, err)
}

func trimLineEnd(b []byte) []byte {
	b = bytes.TrimSuffix(b, []byte("\n"))
	return bytes.TrimSuffix(b, []byte("\r"))
}

// quoted splits a record that has quotes, reading further lines while a quote is open.
func (s *csvScanner) quoted() error {
	if open := openQuote(s.raw, false); open {
		s.joined = append(s.joined[:0], s.raw...)
		for open {
			if err := s.physical(); errors.Is(err, io.EOF) {
				return &SyntaxError{File: s.name, Line: s.line, Msg: "a quote is opened and never closed", Hint: `close it, or double a quote that is part of the text: ""`}
			} else if err != nil {
				return err
			}
			s.joined = append(append(s.joined, '\n'), s.raw...)
			if len(s.joined) > MaxLine {
				return s.tooLong()
			}
			open = openQuote(s.raw, true)
		}
		s.raw = s.joined
	}
	s.fields, s.unquoted = s.fields[:0], slices.Grow(s.unquoted[:0], len(s.raw))
	rest := s.raw
	for {
		if len(rest) == 0 || rest[0] != '"' {
			i := bytes.IndexByte(rest, ',')
			if i < 0 {
				s.fields = append(s.fields, rest)
				return nil
			}
			s.fields = append(s.fields, rest[:i])
			rest = rest[i+1:]
			continue
		}
		from := len(s.unquoted)
		rest = rest[1:]
		for {
			i := bytes.IndexByte(rest, '"') // there is one: the quotes are balanced
			s.unquoted = append(s.unquoted, rest[:i]...)
			rest = rest[i+1:]
			if len(rest) == 0 || rest[0] != '"' {
				break
			}
			s.unquoted = append(s.unquoted, '"')
			rest = rest[1:]
		}
		i := bytes.IndexByte(rest, ',') // text after the closing quote is kept, as spreadsheets do
		if i < 0 {
			s.unquoted = append(s.unquoted, rest...)
			s.fields = append(s.fields, s.unquoted[from:])
			return nil
		}
		s.unquoted = append(s.unquoted, rest[:i]...)
		s.fields = append(s.fields, s.unquoted[from:len(s.unquoted):len(s.unquoted)])
		rest = rest[i+1:]
	}
}

// openQuote says whether a line ends inside a quoted field, given whether it begins in one. A quote opens a field only at the field's
// beginning.
func openQuote(b []byte, open bool) bool {
	start := true // of a field
	for i := 0; ; {
		if open {
			j := bytes.IndexByte(b[i:], '"')
			if j < 0 {
				return true
			}
			i += j + 1
			if i < len(b) && b[i] == '"' {
				i++
				continue
			}
			start = false
		}
		if i >= len(b) {
			return false
		}
		open = b[i] == '"' && start
		start = b[i] == ','
		i++
	}
}

type csvTable struct {
	csvScanner
	closers
	names []string
}

func (t *csvTable) header() []string { return t.names }

func newCSVTable(name string, in *bufio.Reader, c closers) (*csvTable, error) {
	if b, _ := in.Peek(3); bytes.Equal(b, []byte("\xef\xbb\xbf")) {
		_, _ = in.Discard(3)
	}
	t := &csvTable{csvScanner: csvScanner{name: name, in: in, next: 1}, closers: c}
	if err := t.scan(); errors.Is(err, io.EOF) {
		return nil, &SyntaxError{File: name, Msg: "the file is empty", Hint: "a source needs a header line and rows"}
	} else if err != nil {
		return nil, err
	}
	if bytes.IndexByte(t.raw, 0) >= 0 {
		return nil, &SyntaxError{File: name, Line: t.line, Msg: "this is not a text file", Hint: "a source is CSV (also .gz) or Parquet"}
	}
	for i, f := range t.fields {
		n := strings.TrimSpace(string(f))
		switch {
		case n == "":
			return nil, &SyntaxError{File: name, Line: t.line, Column: strconv.Itoa(i + 1), Msg: "the column has no name", Hint: "name every column in the header (pandas: to_csv(index=False))"}
		case slices.Contains(t.names, n):
			return nil, &SyntaxError{File: name, Line: t.line, Column: n, Msg: "two columns have this name", Hint: "rename one of them"}
		}
		t.names = append(t.names, n)
	}
	if len(t.names) == 1 {
		for _, d := range []string{";", "\t", "|"} {
			if n := strings.Count(t.names[0], d); n > 0 {
				return nil, &SyntaxError{
					File: name, Line: t.line, Msg: fmt.Sprintf("the header is one column with %d %q in it, so the file seems to be separated by %q and not by commas", n, d, d),
					Hint: "save the file with commas between the columns (and points in numbers)",
				}
			}
		}
	}
	return t, nil
}

// read implements table.
func (t *csvTable) read(ctx context.Context, want []Column, at []int, fixed []string) iter.Seq2[*panel.Records, error] {
	return func(yield func(*panel.Records, error) bool) {
		b := newRecordsBuilder(t.name, want)
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
				if b.Rows > 0 && !yield(&b.Records, nil) {
					return
				}
				yield(nil, err)
				return
			}
			found = true
			b.begin(t.line, t.raw)
			if len(t.fields) != len(t.names) {
				b.ragged(t.fields, at, len(t.names))
			} else {
				for i, a := range at {
					if a >= 0 {
						texts[i] = t.fields[a]
					}
				}
				b.row(texts)
			}
			if b.Rows == batchRows {
				if err := ctx.Err(); err != nil {
					yield(nil, err)
					return
				}
				if !yield(&b.Records, nil) {
					return
				}
				b.reset()
			}
		}
		if !found {
			yield(nil, &SyntaxError{File: t.name, Msg: "the file has a header and no rows", Hint: "a source needs rows below its header"})
			return
		}
		if b.Rows > 0 {
			yield(&b.Records, nil)
		}
	}
}

// recordsBuilder parses text rows into Records.
type recordsBuilder struct {
	panel.Records
	want    []Column
	raw     []byte
	ends    []int
	lastDay []byte
	day     calendar.Day
}

func newRecordsBuilder(file string, want []Column) *recordsBuilder {
	b := &recordsBuilder{want: want}
	b.File = file
	for _, w := range want {
		b.Columns = append(b.Columns, panel.RecordColumn{Name: w.Name, Kind: w.Kind, Dictionary: w.Dictionary})
	}
	b.Raw = func(row int) string {
		from := 0
		if row > 0 {
			from = b.ends[row-1]
		}
		return string(b.raw[from:b.ends[row]])
	}
	return b
}

func (b *recordsBuilder) reset() {
	b.Rows, b.Lines, b.Faults, b.raw, b.ends = 0, b.Lines[:0], b.Faults[:0], b.raw[:0], b.ends[:0]
	for i := range b.Columns {
		c := &b.Columns[i]
		c.Codes, c.Numbers, c.Days = c.Codes[:0], c.Numbers[:0], c.Days[:0]
	}
}

func (b *recordsBuilder) begin(line int64, raw []byte) {
	b.Rows++
	b.Lines = append(b.Lines, line)
	b.raw = append(b.raw, raw...)
	b.ends = append(b.ends, len(b.raw))
}

func (b *recordsBuilder) fault(column int, kind panel.FaultKind, text []byte) {
	b.Faults = append(b.Faults, panel.Fault{Row: b.Rows - 1, Column: column, Kind: kind, Text: clip(text)})
}

// clip bounds what a message quotes.
func clip(b []byte) string {
	const most = 80
	if len(b) > most {
		return strings.ToValidUTF8(string(b[:most]), "�") + "…"
	}
	return strings.ToValidUTF8(string(b), "�")
}
