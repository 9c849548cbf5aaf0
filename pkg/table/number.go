package table

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

var pow10 = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// numbers reads texts as numbers.
type numbers struct {
	decimal byte
	// thousands is 0 for none, ' ' for any space.
	thousands byte
	scratch   []byte
}

func newNumbers(d Dialect) numbers {
	n := numbers{decimal: '.'}
	if d.Decimal != "" {
		n.decimal = d.Decimal[0]
	}
	if d.Thousands != "" && d.Thousands != NoThousands {
		n.thousands = d.Thousands[0]
	}
	return n
}

// parse reads a number; empty and the usual words for missing are NaN.
func (n *numbers) parse(text []byte) (float32, FaultKind) {
	text = bytes.TrimSpace(text)
	digits, point, mantissa := 0, -1, int64(0)
	rest := text
	negative := len(rest) > 0 && rest[0] == '-'
	if negative {
		rest = rest[1:]
	}
	for i, c := range rest {
		switch {
		case c >= '0' && c <= '9':
			mantissa = mantissa*10 + int64(c-'0')
			digits++
		case c == n.decimal && point < 0:
			point = i
		default:
			digits = 99
		}
		if digits > 15 {
			return n.slow(text)
		}
	}
	if digits == 0 {
		return n.slow(text)
	}
	v := float64(mantissa)
	if point >= 0 {
		v /= pow10[len(rest)-1-point]
	}
	if negative {
		v = -v
	}
	return float32(v), 0
}

// slow reads what is not digits with one point.
func (n *numbers) slow(text []byte) (float32, FaultKind) {
	if isMissing(text) {
		return float32(math.NaN()), 0
	}
	b, negative := bare(text)
	plain, ok := n.plain(b)
	if !ok {
		if n.decimal == '.' && isDecimalComma(b) {
			return float32(math.NaN()), DecimalComma
		}
		return float32(math.NaN()), BadNumber
	}
	v, err := strconv.ParseFloat(string(plain), 64)
	if err != nil && !math.IsInf(v, 0) { // out of range: the rule against non-finite values tells it
		return float32(math.NaN()), BadNumber
	}
	if negative {
		v = -v
	}
	return float32(v), 0
}

// isMissing says whether a text is one of the usual words for what is not known. Case does not matter.
func isMissing(text []byte) bool {
	if len(text) > 6 {
		return false
	}
	switch strings.ToLower(string(text)) {
	case "", "na", "n/a", "#n/a", "nan", "-nan", "null", "none", "nil", "<na>", "-", "--", "–", "—", ".", "?", "#null!":
		return true
	}
	return false
}

// flag reads true and false, and the other words of flags where the column is one.
func flag(text []byte, words bool) (v float32, ok bool) {
	if len(text) > 5 {
		return 0, false
	}
	word := strings.ToLower(string(text))
	switch word {
	case "true":
		return 1, true
	case "false":
		return 0, true
	}
	switch {
	case !words:
		return 0, false
	case slices.Contains([]string{"yes", "y", "t", "x", "on", "ja", "j", "oui", "si", "sí", "✓", "✔"}, word):
		return 1, true
	}
	return 0, slices.Contains([]string{"no", "n", "f", "off", "nein", "non"}, word)
}

// bare takes off what stands around the digits of an amount: a currency, a percent sign, a plus or minus before or after, parentheses.
func bare(b []byte) (digits []byte, negative bool) {
	for range 4 {
		was := len(b)
		b = bytes.TrimSpace(b)
		switch {
		case len(b) > 2 && b[0] == '(' && b[len(b)-1] == ')':
			b, negative = b[1:len(b)-1], true
			continue
		case bytes.HasPrefix(b, []byte("-")), bytes.HasSuffix(b, []byte("-")):
			if negative {
				return b, negative
			}
			b, negative = bytes.TrimSuffix(bytes.TrimPrefix(b, []byte("-")), []byte("-")), true
			continue
		case bytes.HasPrefix(b, []byte("−")):
			b, negative = b[len("−"):], true
			continue
		case bytes.HasPrefix(b, []byte("+")):
			b = b[1:]
		case bytes.HasSuffix(b, []byte("%")):
			b = b[:len(b)-1]
		}
		if b = currency(b); len(b) == was {
			return b, negative
		}
	}
	return b, negative
}

// codes are the currencies that are written as letters beside an amount.
var codes = []string{"USD", "EUR", "GBP", "CHF", "JPY", "CNY", "INR", "PLN", "CZK", "SEK", "NOK", "DKK", "HUF", "CAD", "AUD", "NZD", "BRL", "MXN", "ZAR", "Fr.", "kr", "zł", "Kč", "Ft", "R$", "US$", "C$", "A$"}

// currency takes a sign or code of a currency off either end.
func currency(b []byte) []byte {
	if r, n := utf8.DecodeRune(b); unicode.Is(unicode.Sc, r) {
		return b[n:]
	}
	if r, n := utf8.DecodeLastRune(b); unicode.Is(unicode.Sc, r) {
		return b[:len(b)-n]
	}
	if len(b) == 0 || isDigit(b[0]) && isDigit(b[len(b)-1]) {
		return b
	}
	for _, c := range codes {
		if len(b) > len(c) && strings.EqualFold(string(b[:len(c)]), c) {
			return b[len(c):]
		}
		if len(b) > len(c) && strings.EqualFold(string(b[len(b)-len(c):]), c) {
			return b[:len(b)-len(c)]
		}
	}
	return b
}

// plain writes a number as strconv reads it, without its groups; ok is false where it is not of the dialect.
func (n *numbers) plain(b []byte) (plain []byte, ok bool) {
	out := n.scratch[:0]
	group, grouped, point := 0, false, false // digits since the last separator
	for i := 0; i < len(b); {
		c := b[i]
		size := 1
		if c >= utf8.RuneSelf || c == ' ' {
			var r rune
			if r, size = utf8.DecodeRune(b[i:]); isSpace(r) {
				c = ' '
			} else if r == '’' {
				c = '\''
			}
		}
		switch {
		case isDigit(c):
			out = append(out, c)
			group++
		case c == n.decimal && !point && (!grouped || group == 3):
			out = append(out, '.')
			point = true
		case c == n.thousands && !point && (grouped && group == 3 || !grouped && group >= 1 && group <= 3):
			grouped, group = true, 0
		case (c == 'e' || c == 'E') && len(out) > 0 && !grouped:
			n.scratch = append(out, b[i:]...)
			return n.scratch, true // strconv says whether it is an exponent
		default:
			return nil, false
		}
		i += size
	}
	n.scratch = out
	return out, len(out) > 0 && (!grouped || point || group == 3)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// isSpace says whether a character is one of those that typesetters put between groups of digits.
func isSpace(r rune) bool { return r == ' ' || r == '\u00a0' || r == '\u202f' || r == '\u2009' }

func isDigits(b []byte) bool {
	for _, c := range b {
		if !isDigit(c) {
			return false
		}
	}
	return len(b) > 0
}

// isDecimalComma says whether the text is a number as continental Europe writes it: 12,5 or 1.234,5.
func isDecimalComma(text []byte) bool {
	whole, fraction, ok := bytes.Cut(text, []byte(","))
	return ok && isDigits(bytes.ReplaceAll(whole, []byte("."), nil)) && isDigits(fraction)
}
