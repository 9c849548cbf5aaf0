package serve

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// scanner reads JSON where it lies: rows are most of a request, and their cells are substrings of it. It accepts what encoding/json
// accepts, and leaves texts with escapes to it.
type scanner struct {
	s  string
	at int
}

var errShort = errors.New("unexpected end of JSON input")

// space skips white space and returns the next byte, 0 at the end.
func (p *scanner) space() byte {
	for ; p.at < len(p.s); p.at++ {
		switch c := p.s[p.at]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

func (p *scanner) unexpected() error {
	if p.at >= len(p.s) {
		return errShort
	}
	r, _ := utf8.DecodeRuneInString(p.s[p.at:])
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
	c := p.space()
	switch {
	case c == end:
		p.at++
		return false, nil
	case before:
		return true, nil
	case c != ',':
		return false, p.unexpected()
	}
	p.at++
	if p.space() == end {
		return false, p.unexpected()
	}
	return true, nil
}

// text reads a string.
func (p *scanner) text() (string, error) {
	if err := p.take('"'); err != nil {
		return "", err
	}
	start, escaped, wide := p.at, false, false
	for ; p.at < len(p.s); p.at++ {
		switch c := p.s[p.at]; {
		case c == '"':
			p.at++
			if s := p.s[start : p.at-1]; !escaped && (!wide || utf8.ValidString(s)) {
				return s, nil
			}
			if s, ok := unescape(p.s[start : p.at-1]); ok && (!wide || utf8.ValidString(s)) {
				return s, nil
			}
			var out string
			err := json.Unmarshal([]byte(p.s[start-1:p.at]), &out)
			return out, err
		case c == '\\':
			p.at++
			escaped = true
		case c < ' ':
			return "", p.unexpected()
		case c >= utf8.RuneSelf:
			wide = true
		}
	}
	return "", errShort
}

// unescape replaces the escapes of one letter, which are all that CSV text needs.
func unescape(s string) (string, bool) {
	out := make([]byte, 0, len(s))
	for {
		i := strings.IndexByte(s, '\\')
		if i < 0 {
			return string(append(out, s...)), true
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
			return "", false
		}
		s = s[i+2:]
	}
}

// name reads the name of an object's field and the colon.
func (p *scanner) name() (string, error) {
	name, err := p.text()
	if err != nil {
		return "", err
	}
	return name, p.take(':')
}

// cell reads a value of a row: text, or a number as it is written.
func (p *scanner) cell() (string, error) {
	c := p.space()
	switch {
	case c == '"':
		return p.text()
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	case c == '{' || c == '[':
		return "", errNoCell
	}
	for _, w := range literals {
		if strings.HasPrefix(p.s[p.at:], w.name) {
			p.at += len(w.name)
			return w.cell, nil
		}
	}
	return "", p.unexpected()
}

var errNoCell = errors.New("the value is neither text nor a number")

var literals = [...]struct{ name, cell string }{{"null", ""}, {"true", "1"}, {"false", "0"}}

func (p *scanner) number() (string, error) {
	start := p.at
	p.one('-', '-')
	if !p.one('0', '0') && !p.digits() {
		return "", p.unexpected()
	}
	if p.one('.', '.') && !p.digits() {
		return "", p.unexpected()
	}
	if p.one('e', 'E') {
		p.one('+', '-')
		if !p.digits() {
			return "", p.unexpected()
		}
	}
	return p.s[start:p.at], nil
}

// one skips a or b.
func (p *scanner) one(a, b byte) bool {
	if p.at < len(p.s) && (p.s[p.at] == a || p.s[p.at] == b) {
		p.at++
		return true
	}
	return false
}

func (p *scanner) digits() bool {
	from := p.at
	for p.at < len(p.s) && p.s[p.at] >= '0' && p.s[p.at] <= '9' {
		p.at++
	}
	return p.at > from
}

// skip passes over any value, looking for its end only: whoever reads the value finds what is wrong in it.
func (p *scanner) skip() error {
	p.space()
	start, depth := p.at, 0
	for ; p.at < len(p.s); p.at++ {
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
		i := strings.IndexByte(p.s[p.at:], '"')
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

// cut takes the rows out of an object: for the named fields it returns the text of their values, and for the rest the object with null
// in their place.
func cut(body []byte, names ...string) (rest []byte, values []json.RawMessage, err error) {
	p := &scanner{s: string(body)}
	values = make([]json.RawMessage, len(names))
	kept := 0
	if p.space() != '{' {
		return body, values, nil
	}
	p.at++
	for first := true; ; first = false {
		more, err := p.next(first, '}')
		if err != nil {
			return nil, nil, err
		}
		if !more {
			return append(rest, body[kept:]...), values, nil
		}
		name, err := p.name()
		if err != nil {
			return nil, nil, err
		}
		p.space()
		from := p.at
		if err := p.skip(); err != nil {
			return nil, nil, err
		}
		for i, n := range names {
			if n != name {
				continue
			}
			if values[i] != nil {
				return nil, nil, fmt.Errorf("field %q is there twice", name)
			}
			values[i] = body[from:p.at:p.at]
			rest = append(append(rest, body[kept:from]...), "null"...)
			kept = p.at
		}
	}
}
