package columnar

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

// row parses the texts of one row, one per wanted column.
func (b *recordsBuilder) row(texts [][]byte) {
	for i := range b.Columns {
		b.cell(i, texts[i])
	}
}

// cell parses the text of the last row's column i.
func (b *recordsBuilder) cell(i int, text []byte) {
	c := &b.Columns[i]
	switch c.Kind {
	case panel.NumberColumn:
		v, kind := parseNumber(text)
		if kind != 0 {
			b.fault(i, kind, text)
		}
		c.Numbers = append(c.Numbers, v)
	case panel.DateColumn:
		c.Days = append(c.Days, b.date(i, text))
	case panel.TextColumn:
		if !utf8.Valid(text) {
			b.fault(i, panel.BadText, text)
			text = nil
		}
		c.Codes = append(c.Codes, c.Dictionary.Code(text))
	}
}

func (b *recordsBuilder) date(column int, text []byte) calendar.Day {
	if len(text) > 0 && bytes.Equal(text, b.lastDay) {
		return b.day
	}
	d, kind := parseDate(text)
	if kind != 0 {
		b.fault(column, kind, text)
		return 0
	}
	b.lastDay, b.day = append(b.lastDay[:0], text...), d
	return d
}

// ragged takes a row whose number of fields is not the header's. One field too many, where a number stands in two fields, is a decimal
// comma without quotes.
func (b *recordsBuilder) ragged(fields [][]byte, at []int, names int) {
	column, kind, text := -1, panel.WrongFields, b.raw[b.start():]
	if len(fields) == names+1 {
		for i, a := range at {
			if a >= 0 && b.Columns[i].Kind == panel.NumberColumn && isDigits(bytes.TrimPrefix(fields[a], []byte("-"))) && isDigits(fields[a+1]) {
				whole := bytes.Join(fields[a:a+2], []byte(","))
				column, kind, text = i, panel.DecimalComma, whole
				break
			}
		}
	}
	b.fault(column, kind, text)
	for i := range b.Columns {
		c := &b.Columns[i]
		switch c.Kind {
		case panel.NumberColumn:
			c.Numbers = append(c.Numbers, float32(math.NaN()))
		case panel.DateColumn:
			c.Days = append(c.Days, 0)
		case panel.TextColumn:
			c.Codes = append(c.Codes, c.Dictionary.Code(nil))
		}
	}
}

func (b *recordsBuilder) start() int {
	if len(b.ends) < 2 {
		return 0
	}
	return b.ends[len(b.ends)-2]
}

func isDigits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}

var pow10 = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// parseNumber reads a number with a decimal point; empty and the usual words for missing are NaN, true and false are 1 and 0.
func parseNumber(text []byte) (float32, panel.FaultKind) {
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

func slowNumber(text []byte) (float32, panel.FaultKind) {
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
		return float32(math.NaN()), panel.DecimalComma
	}
	return float32(math.NaN()), panel.BadNumber
}

// isDecimalComma says whether the text is a number as continental Europe writes it: 12,5 or 1.234,5.
func isDecimalComma(text []byte) bool {
	whole, fraction, ok := bytes.Cut(bytes.TrimPrefix(text, []byte("-")), []byte(","))
	return ok && isDigits(bytes.ReplaceAll(whole, []byte("."), nil)) && isDigits(fraction)
}

// Sales before or after these years are taken for slips of the pen: one such date would stretch a series over centuries.
const minYear, maxYear = 1900, 2200

// parseDate reads YYYY-MM-DD, or a timestamp of that form at midnight.
func parseDate(text []byte) (calendar.Day, panel.FaultKind) {
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return 0, panel.NoDate
	}
	if len(text) > 10 {
		rest := bytes.TrimSuffix(text[11:], []byte("Z"))
		rest = bytes.TrimSuffix(rest, []byte("+00:00"))
		if (text[10] != 'T' && text[10] != ' ') || len(rest) < 5 || len(bytes.Trim(rest, "0:.")) > 0 {
			return 0, panel.BadDate
		}
		text = text[:10]
	}
	d, err := calendar.ParseDay(string(text))
	if err == nil {
		return d, plausible(d)
	}
	if len(text) == 10 && text[4] == '-' && text[7] == '-' && isDigits(text[:4]) && isDigits(text[5:7]) && isDigits(text[8:]) {
		return 0, panel.NoSuchDate
	}
	return 0, panel.BadDate
}

func plausible(d calendar.Day) panel.FaultKind {
	if d < calendar.DateOf(minYear, 1, 1) || d > calendar.DateOf(maxYear, 12, 31) {
		return panel.NoSuchDate
	}
	return 0
}

func sortFaults(f []panel.Fault) {
	slices.SortStableFunc(f, func(a, b panel.Fault) int { return a.Row - b.Row })
}

// render writes the wanted cells of a row as CSV, for formats that have no text of their own.
func (b *recordsBuilder) render(row int) string {
	var line []byte
	for i := range b.Columns {
		if i > 0 {
			line = append(line, ',')
		}
		c := &b.Columns[i]
		text := ""
		for _, f := range b.Faults {
			if f.Row == row && f.Column == i {
				text = f.Text
			}
		}
		switch {
		case text != "":
			line = appendField(line, text)
		case c.Kind == panel.NumberColumn:
			line = appendNumber(line, float64(c.Numbers[row]))
		case c.Kind == panel.DateColumn:
			line = append(line, c.Days[row].String()...)
		case c.Kind == panel.TextColumn:
			line = appendField(line, c.Dictionary.Value(c.Codes[row]))
		}
	}
	return string(line)
}
