package csv

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"salescast/pkg/table"
)

// sampled is how many bytes of a file its encoding, line ends and separator are told from.
const sampled = 1 << 16

// decoded returns the text of in as UTF-8 with lines that end in LF or CRLF, and what it was written in. A dialect that names the encoding is
// believed.
func decoded(in io.Reader, known string) (*bufio.Reader, string, error) {
	raw := bufio.NewReaderSize(in, sampled)
	sample, err := raw.Peek(sampled)
	if err != nil && !errors.Is(err, io.EOF) && len(sample) == 0 {
		return nil, "", err
	}
	name := cmpOr(known, encodingOf(sample))
	text := raw
	switch name {
	case table.UTF16:
		order := unicode.LittleEndian
		if bytes.HasPrefix(sample, []byte{0xfe, 0xff}) || len(sample) > 1 && sample[0] == 0 {
			order = unicode.BigEndian
		}
		text = through(raw, unicode.UTF16(order, unicode.UseBOM))
	case table.Windows1252:
		text = through(raw, charmap.Windows1252)
	}
	if b, _ := text.Peek(3); bytes.Equal(b, []byte("\xef\xbb\xbf")) {
		_, _ = text.Discard(3)
	}
	sample, _ = text.Peek(sampled)
	if bytes.IndexByte(sample, '\n') < 0 && bytes.IndexByte(sample, '\r') >= 0 {
		text = bufio.NewReaderSize(lineEnds{text}, sampled)
	}
	return text, name, nil
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func through(in io.Reader, e encoding.Encoding) *bufio.Reader {
	return bufio.NewReaderSize(e.NewDecoder().Reader(in), sampled)
}

// lineEnds turns CR into LF, in files whose lines end so.
type lineEnds struct{ in io.Reader }

func (l lineEnds) Read(p []byte) (int, error) {
	n, err := l.in.Read(p)
	for i, c := range p[:n] {
		if c == '\r' {
			p[i] = '\n'
		}
	}
	return n, err
}

// encodingOf tells the encoding of a file from its beginning.
func encodingOf(b []byte) string {
	if bytes.HasPrefix(b, []byte{0xff, 0xfe}) || bytes.HasPrefix(b, []byte{0xfe, 0xff}) {
		return table.UTF16
	}
	zeros := [2]int{}
	for i, c := range b[:min(len(b), 512)] {
		if c == 0 {
			zeros[i%2]++
		}
	}
	if n := min(len(b), 512); n >= 4 && (3*zeros[0] > n && zeros[1] == 0 || 3*zeros[1] > n && zeros[0] == 0) {
		return table.UTF16
	}
	whole := b
	for range utf8.UTFMax - 1 { // the sample may end within a character
		if r, size := utf8.DecodeLastRune(whole); len(b) < sampled || r != utf8.RuneError || size != 1 {
			break
		}
		whole = whole[:len(whole)-1]
	}
	if utf8.Valid(whole) || mostlyUTF8(whole) || !isWindows(b) {
		return table.UTF8
	}
	return table.Windows1252
}

// mostlyUTF8 says whether more characters beyond ASCII are UTF-8 than are not.
func mostlyUTF8(b []byte) bool {
	good, bad := 0, 0
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		switch {
		case size > 1:
			good++
		case r == utf8.RuneError:
			bad++
		}
		b = b[size:]
	}
	return good > bad
}

// isWindows says whether bytes beyond ASCII are, nearly all of them, letters and signs of Windows-1252 among text.
func isWindows(b []byte) bool {
	high, odd := 0, 0
	for _, c := range b {
		switch {
		case c < 0x20 && c != '\n' && c != '\r' && c != '\t':
			return false
		case c == 0x81 || c == 0x8d || c == 0x8f || c == 0x90 || c == 0x9d:
			odd++
		case c >= 0x80 && c < 0xc0 && c != 0x80 && c != 0xa0 && c != 0xb0 && c != 0xb4 && c != 0x92 && c != 0x91 && c != 0x96 && c != 0xdf && c != 0xa3 && c != 0xa7:
			odd++
		case c >= 0x80:
			high++
		}
	}
	return high > 0 && 8*odd < high
}

// lines is how many records of the sample are looked at for the separator.
const lines = 200

// separatorOf tells the separator from the first records: that which parts most of them into as many fields as the first, two at least.
func separatorOf(sample []byte) byte {
	best, share, fields := byte(','), 0.0, 1
	for _, sep := range []byte{',', ';', '\t', '|'} {
		s := scanner{in: bufio.NewReaderSize(bytes.NewReader(sample), sampled), sep: sep, next: 1}
		first, rows, same := 0, 0, 0
		for rows < lines {
			if err := s.scan(); err != nil {
				break
			}
			if _, err := s.in.Peek(1); err != nil && rows > 1 && len(sample) == sampled {
				break // the last record may be cut off
			}
			if rows == 0 {
				first = len(s.fields)
			}
			rows++
			if len(s.fields) == first {
				same++
			}
		}
		if first < 2 {
			continue
		}
		if got := float64(same) / float64(rows); got > share || got == share && first > fields {
			best, share, fields = sep, got, first
		}
	}
	return best
}

// sepLine returns the separator of a line "sep=;", as spreadsheets write and read it before the header.
func sepLine(sample []byte) (sep byte, ok bool) {
	line, _, _ := bytes.Cut(sample, []byte("\n"))
	line = bytes.Trim(bytes.TrimSuffix(line, []byte("\r")), `"`)
	if len(line) == len("sep=;") && strings.EqualFold(string(line[:4]), "sep=") {
		return line[4], true
	}
	return 0, false
}

// countsRows says whether the first field of the records is a number that grows by one: an index that was written with the table.
func countsRows(sample []byte, sep byte) bool {
	s := scanner{in: bufio.NewReaderSize(bytes.NewReader(sample), sampled), sep: sep, next: 1}
	rows, last := 0, 0
	for rows < lines {
		if err := s.scan(); err != nil {
			break
		}
		if s.line == 1 {
			continue // the header
		}
		if _, err := s.in.Peek(1); err != nil && len(sample) == sampled {
			break // the last record may be cut off
		}
		n, err := strconv.Atoi(string(s.fields[0]))
		if err != nil || rows > 0 && n != last+1 {
			return false
		}
		rows, last = rows+1, n
	}
	return rows > 0
}
