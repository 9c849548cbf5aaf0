package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// scanner reads JSON where it lies: rows are most of a request, and their cells are places in it. It accepts what encoding/json accepts,
// and leaves texts with rarer escapes to it. What is not in the JSON as it is meant is put behind it.
type scanner struct {
	// s[:end] is the JSON.
	s       []byte
	at, end int
}

func newScanner(raw []byte) *scanner { return &scanner{s: raw, end: len(raw)} }

// cell is a place in a text, 0 to 0 where there is nothing.
type cell struct{ from, to uint32 }

func (p *scanner) of(c cell) []byte { return p.s[c.from:c.to] }

// put writes a text behind the JSON.
func (p *scanner) put(text string) cell {
	from := len(p.s)
	p.s = append(p.s, text...)
	return cell{uint32(from), uint32(len(p.s))}
}

var errShort = errors.New("unexpected end of JSON input")

// space skips white space and returns the next byte, 0 at the end.
func (p *scanner) space() byte {
	if p.at < p.end && p.s[p.at] > ' ' {
		return p.s[p.at]
	}
	return p.skipSpace()
}

func (p *scanner) skipSpace() byte {
	for ; p.at < p.end; p.at++ {
		switch c := p.s[p.at]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

func (p *scanner) unexpected() error {
	if p.at >= p.end {
		return errShort
	}
	r, _ := utf8.DecodeRune(p.s[p.at:p.end])
	return fmt.Errorf("unexpected character %q", r)
}

// take skips white space and c.
func (p *scanner) take(c byte) error {
	if p.space() != c {
		return p.unexpected()
	}
	p.at++
	return nil
}

// next stands before the next element of a list or object; more is false after its end. before says that none was read yet.
func (p *scanner) next(before bool, end byte) (more bool, err error) {
	switch c := p.space(); {
	case c == ',' && !before:
		if p.at++; p.space() == end {
			return false, p.unexpected()
		}
		return true, nil
	case c == end:
		p.at++
		return false, nil
	case before:
		return true, nil
	}
	return false, p.unexpected()
}

// asIs has the bytes that stand for themselves in a string.
var asIs = func() (t [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// text reads a string.
func (p *scanner) text() (cell, error) {
	raw, plain, err := p.raw()
	if err != nil || plain {
		return raw, err
	}
	from := len(p.s)
	p.s, err = decoded(p.s, p.s[raw.from-1:raw.to+1])
	return cell{uint32(from), uint32(len(p.s))}, err
}

// raw reads a string as it is written between its quotes; plain says that it means what is written.
func (p *scanner) raw() (c cell, plain bool, err error) {
	if err := p.take('"'); err != nil {
		return c, false, err
	}
	s, from, plain := p.s[:p.end], p.at, true
	for i := from; i < len(s); i++ {
		if asIs[s[i]] {
			continue
		}
		switch {
		case s[i] == '"':
			p.at = i + 1
			return cell{uint32(from), uint32(i)}, plain, nil
		case s[i] < ' ':
			p.at = i
			return c, false, p.unexpected()
		case s[i] == '\\':
			i++
		}
		plain = false
	}
	return c, false, errShort
}

// decoded appends what a quoted string means.
func decoded(out, quoted []byte) ([]byte, error) {
	if raw := quoted[1 : len(quoted)-1]; utf8.Valid(raw) {
		if s, ok := unescape(out, raw); ok {
			return s, nil
		}
	}
	var text string
	err := json.Unmarshal(quoted, &text)
	return append(out, text...), err
}

// unescape appends s to out and replaces the escapes of one letter, which are all that CSV text needs.
func unescape(out, s []byte) ([]byte, bool) {
	for {
		i := bytes.IndexByte(s, '\\')
		if i < 0 {
			return append(out, s...), true
		}
		out = append(out, s[:i]...)
		switch s[i+1] { // text has seen what follows
		case '"', '\\', '/':
			out = append(out, s[i+1])
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		default:
			return nil, false
		}
		s = s[i+2:]
	}
}

// name reads the name of an object's field and the colon.
func (p *scanner) name() (cell, error) {
	name, err := p.text()
	if err != nil {
		return name, err
	}
	return name, p.take(':')
}

// cell reads a value of a row: text, or a number as it is written.
func (p *scanner) cell() (cell, error) {
	c := p.space()
	switch {
	case c == '"':
		return p.text()
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	case c == '{' || c == '[':
		return cell{}, errNoCell
	}
	for _, w := range literals {
		if bytes.HasPrefix(p.s[p.at:p.end], []byte(w.name)) {
			p.at += len(w.name)
			if w.cell == "" {
				return cell{}, nil
			}
			return p.put(w.cell), nil
		}
	}
	return cell{}, p.unexpected()
}

var errNoCell = errors.New("the value is neither text nor a number")

var literals = [...]struct{ name, cell string }{{"null", ""}, {"true", "1"}, {"false", "0"}}

func (p *scanner) number() (cell, error) {
	s, from := p.s[:p.end], p.at
	i := from
	if s[i] == '-' {
		i++
	}
	whole := i
	if i < len(s) && s[i] == '0' {
		i++ // and no digit after it
	} else {
		i = pastDigits(s, i)
	}
	good := i > whole
	if good && i < len(s) && s[i] == '.' {
		point := i
		i = pastDigits(s, i+1)
		good = i > point+1
	}
	if good && i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		exponent := i
		i = pastDigits(s, i)
		good = i > exponent
	}
	p.at = i
	if !good {
		return cell{}, p.unexpected()
	}
	return cell{uint32(from), uint32(i)}, nil
}

// pastDigits is the place after the digits that s has from i on.
func pastDigits(s []byte, i int) int {
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return i
}

// skip passes over any value, looking for its end only: whoever reads the value finds what is wrong in it.
func (p *scanner) skip() error {
	p.space()
	start, depth := p.at, 0
	for ; p.at < p.end; p.at++ {
		switch p.s[p.at] {
		case '"':
			if !p.quoted() {
				return errShort
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				p.at++
				return nil
			}
		case ',', ' ', '\t', '\r', '\n':
		default:
			continue
		}
		if depth <= 0 && p.s[p.at] != '"' {
			break
		}
	}
	if p.at == start || depth > 0 {
		return p.unexpected()
	}
	return nil
}

// quoted moves from the quote that begins a string to the one that ends it.
func (p *scanner) quoted() bool {
	for p.at++; ; p.at++ {
		i := bytes.IndexByte(p.s[p.at:p.end], '"')
		if i < 0 {
			return false
		}
		from := p.at
		p.at += i
		escapes := 0
		for j := p.at - 1; j >= from && p.s[j] == '\\'; j-- {
			escapes++
		}
		if escapes%2 == 0 {
			return true
		}
	}
}

// object reads the fields of an object: read takes those that it knows, whose value the scanner stands before, and the others are
// returned as an object. What is no object is returned as it is.
func (p *scanner) object(read func(name string) (taken bool, err error)) (rest []byte, err error) {
	if p.space() != '{' {
		return p.s[p.at:p.end], nil
	}
	p.at++
	rest = []byte{'{'}
	for first := true; ; first = false {
		more, err := p.next(first, '}')
		if err != nil {
			return nil, err
		}
		if !more {
			return append(append(rest, '}'), p.s[p.at:p.end]...), nil
		}
		from := p.at
		name, err := p.name()
		if err != nil {
			return nil, err
		}
		p.space()
		taken, err := read(string(p.of(name)))
		if err != nil {
			return nil, err
		}
		if taken {
			continue
		}
		if err := p.skip(); err != nil {
			return nil, err
		}
		if len(rest) > 1 {
			rest = append(rest, ',')
		}
		rest = append(rest, p.s[from:p.at]...)
	}
}
