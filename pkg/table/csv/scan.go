// Package csv reads and writes comma-separated values as a [table.Source].
package csv

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"salescast/pkg/table"
)

// MaxLine bounds a record of a CSV file, in bytes.
const MaxLine = 1 << 20

// scanner reads records of values separated by one character (RFC 4180; lines may end in LF or CRLF, and blank ones are passed over).
type scanner struct {
	name string
	in   *bufio.Reader
	sep  byte
	// line is that of the record at hand; next that of the one after it.
	line, next int64
	long       []byte // a line that does not fit in the reader's buffer
	joined     []byte // a record of several lines
	raw        []byte // the record, without its line end; valid until the next scan
	fields     [][]byte
	unquoted   []byte
}

// scan reads one record into raw and fields; io.EOF at the end.
func (s *scanner) scan() error {
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
			i := bytes.IndexByte(rest, s.sep)
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

func (s *scanner) tooLong() error {
	return &table.SyntaxError{
		File: s.name, Line: s.line, Msg: fmt.Sprintf("the line is longer than %d bytes", MaxLine),
		Hint: "look at that line: a quote that is never closed, or a file that is not CSV",
	}
}

// physical reads one line into raw.
func (s *scanner) physical() error {
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

func (s *scanner) broken(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || strings.HasPrefix(err.Error(), "gzip:") || strings.HasPrefix(err.Error(), "flate:") {
		return &table.SyntaxError{File: s.name, Line: s.line, Msg: "the compressed file ends early or is damaged", Err: err, Hint: "compress or copy it again"}
	}
	return fmt.Errorf("reading %s: %w", s.name, err)
}

func trimLineEnd(b []byte) []byte {
	b = bytes.TrimSuffix(b, []byte("\n"))
	return bytes.TrimSuffix(b, []byte("\r"))
}

// quoted splits a record that has quotes, reading further lines while a quote is open.
func (s *scanner) quoted() error {
	if open := openQuote(s.raw, s.sep, false); open {
		s.joined = append(s.joined[:0], s.raw...)
		for open {
			if err := s.physical(); errors.Is(err, io.EOF) {
				return &table.SyntaxError{File: s.name, Line: s.line, Msg: "a quote is opened and never closed", Hint: `close it, or double a quote that is part of the text: ""`}
			} else if err != nil {
				return err
			}
			s.joined = append(append(s.joined, '\n'), s.raw...)
			if len(s.joined) > MaxLine {
				return s.tooLong()
			}
			open = openQuote(s.raw, s.sep, true)
		}
		s.raw = s.joined
	}
	s.fields, s.unquoted = s.fields[:0], slices.Grow(s.unquoted[:0], len(s.raw))
	rest := s.raw
	for {
		if len(rest) == 0 || rest[0] != '"' {
			i := bytes.IndexByte(rest, s.sep)
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
		i := bytes.IndexByte(rest, s.sep) // text after the closing quote is kept, as spreadsheets do
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
func openQuote(b []byte, sep byte, open bool) bool {
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
		start = b[i] == sep
		i++
	}
}
