package table

import (
	"bytes"
	"math"
	"strconv"

	"salescast/pkg/calendar"
)

var pow10 = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// parseNumber reads a number with a decimal point; empty and the usual words for missing are NaN, true and false are 1 and 0.
func parseNumber(text []byte) (float32, FaultKind) {
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
		case c == '.' && point < 0:
			point = i
		default:
			digits = 99
		}
		if digits > 15 {
			return slowNumber(text)
		}
	}
	if digits == 0 {
		return slowNumber(text)
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

func slowNumber(text []byte) (float32, FaultKind) {
	switch string(text) {
	case "", "NA", "N/A", "NaN", "nan", "NULL", "null", "None":
		return float32(math.NaN()), 0
	case "true", "True", "TRUE":
		return 1, 0
	case "false", "False", "FALSE":
		return 0, 0
	}
	v, err := strconv.ParseFloat(string(text), 64)
	if err == nil {
		return float32(v), 0
	}
	if math.IsInf(v, 0) { // out of range: the rule against non-finite values tells it
		return float32(v), 0
	}
	if isDecimalComma(text) {
		return float32(math.NaN()), DecimalComma
	}
	return float32(math.NaN()), BadNumber
}

// isDecimalComma says whether the text is a number as continental Europe writes it: 12,5 or 1.234,5.
func isDecimalComma(text []byte) bool {
	whole, fraction, ok := bytes.Cut(bytes.TrimPrefix(text, []byte("-")), []byte(","))
	return ok && isDigits(bytes.ReplaceAll(whole, []byte("."), nil)) && isDigits(fraction)
}

// Sales before or after these years are taken for slips of the pen: one such date would stretch a series over centuries.
const minYear, maxYear = 1900, 2200

// parseDate reads YYYY-MM-DD, or a timestamp of that form at midnight.
func parseDate(text []byte) (calendar.Day, FaultKind) {
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return 0, NoDate
	}
	if len(text) > 10 {
		rest := bytes.TrimSuffix(text[11:], []byte("Z"))
		rest = bytes.TrimSuffix(rest, []byte("+00:00"))
		if (text[10] != 'T' && text[10] != ' ') || len(rest) < 5 || len(bytes.Trim(rest, "0:.")) > 0 {
			return 0, BadDate
		}
		text = text[:10]
	}
	d, err := calendar.ParseDay(string(text))
	if err == nil {
		return d, plausible(d)
	}
	if len(text) == 10 && text[4] == '-' && text[7] == '-' && isDigits(text[:4]) && isDigits(text[5:7]) && isDigits(text[8:]) {
		return 0, NoSuchDate
	}
	return 0, BadDate
}

func plausible(d calendar.Day) FaultKind {
	if d < calendar.DateOf(minYear, 1, 1) || d > calendar.DateOf(maxYear, 12, 31) {
		return NoSuchDate
	}
	return 0
}
