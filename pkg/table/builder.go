package table

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"salescast/pkg/calendar"
)

// Builder makes a Block of cells as text, which it reads as the kinds of its columns say: one grammar for all formats.
type Builder struct {
	Block
	raw     []byte
	ends    []int
	lastDay []byte
	day     calendar.Day
}

// NewBuilder returns a builder without rows of the wanted columns. Its Raw returns what Begin is told.
func NewBuilder(file string, want []Column) *Builder {
	b := &Builder{}
	b.File = file
	for _, w := range want {
		b.Columns = append(b.Columns, Values{Name: w.Name, Kind: w.Kind, Dictionary: w.Dictionary})
	}
	b.Raw = func(row int) string { return string(b.raw[b.start(row):b.ends[row]]) }
	return b
}

// Reset drops all rows and keeps their memory.
func (b *Builder) Reset() {
	b.Rows, b.Lines, b.Faults, b.raw, b.ends = 0, b.Lines[:0], b.Faults[:0], b.raw[:0], b.ends[:0]
	for i := range b.Columns {
		c := &b.Columns[i]
		c.Codes, c.Numbers, c.Days = c.Codes[:0], c.Numbers[:0], c.Days[:0]
	}
}

// Begin starts a row at a line, with its whole text. Row or Ragged give its cells.
func (b *Builder) Begin(line int64, raw []byte) {
	b.Rows++
	b.Lines = append(b.Lines, line)
	b.raw = append(b.raw, raw...)
	b.ends = append(b.ends, len(b.raw))
}

// start is where the text of a row begins.
func (b *Builder) start(row int) int {
	if row == 0 {
		return 0
	}
	return b.ends[row-1]
}

// Row reads the texts of the row that was begun, one per column.
func (b *Builder) Row(texts [][]byte) {
	for i := range b.Columns {
		b.Cell(i, texts[i])
	}
}

// Cell reads a text into column i. Its row is the last: a source that fills column by column counts Rows up itself, and sorts Faults after
// the last column.
func (b *Builder) Cell(i int, text []byte) {
	c := &b.Columns[i]
	switch c.Kind {
	case Number:
		v, kind := parseNumber(text)
		if kind != 0 {
			b.fault(i, kind, text)
		}
		c.Numbers = append(c.Numbers, v)
	case Date:
		c.Days = append(c.Days, b.date(i, text))
	case Text:
		if !utf8.Valid(text) {
			b.fault(i, BadText, text)
			text = nil
		}
		c.Codes = append(c.Codes, c.Dictionary.Code(text))
	}
}

func (b *Builder) date(column int, text []byte) calendar.Day {
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

func (b *Builder) fault(column int, kind FaultKind, text []byte) {
	b.Faults = append(b.Faults, Fault{Row: b.Rows - 1, Column: column, Kind: kind, Text: clip(text)})
}

// clip bounds what a message quotes.
func clip(b []byte) string {
	const most = 80
	if len(b) > most {
		return strings.ToValidUTF8(string(b[:most]), "�") + "…"
	}
	return strings.ToValidUTF8(string(b), "�")
}

// Ragged takes the row that was begun, whose number of fields is not that of the names; at is as from Locate. One field too many, where
// a number stands in two fields, is a decimal comma without quotes.
func (b *Builder) Ragged(fields [][]byte, at []int, names int) {
	column, kind, text := -1, WrongFields, b.raw[b.start(b.Rows-1):]
	if len(fields) == names+1 {
		for i, a := range at {
			if a >= 0 && b.Columns[i].Kind == Number && isDigits(bytes.TrimPrefix(fields[a], []byte("-"))) && isDigits(fields[a+1]) {
				column, kind, text = i, DecimalComma, bytes.Join(fields[a:a+2], []byte(","))
				break
			}
		}
	}
	b.fault(column, kind, text)
	for i := range b.Columns {
		c := &b.Columns[i]
		switch c.Kind {
		case Number:
			c.Numbers = append(c.Numbers, float32(math.NaN()))
		case Date:
			c.Days = append(c.Days, 0)
		case Text:
			c.Codes = append(c.Codes, c.Dictionary.Code(nil))
		}
	}
}

func isDigits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}

// SortFaults puts the faults of several columns in the order of rows.
func (b *Builder) SortFaults() {
	slices.SortStableFunc(b.Faults, func(a, b Fault) int { return a.Row - b.Row })
}

// Render writes the wanted cells of a row as CSV: the Raw of formats that have no text of their own.
func (b *Builder) Render(row int) string {
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
			line = AppendField(line, text)
		case c.Kind == Number:
			line = AppendNumber(line, float64(c.Numbers[row]))
		case c.Kind == Date:
			line = append(line, c.Days[row].String()...)
		case c.Kind == Text:
			line = AppendField(line, c.Dictionary.Value(c.Codes[row]))
		}
	}
	return string(line)
}

// AppendNumber writes a number for CSV with the precision of a float32; NaN is empty.
func AppendNumber(b []byte, x float64) []byte {
	if math.IsNaN(x) {
		return b
	}
	return strconv.AppendFloat(b, x, 'f', -1, 32)
}

// AppendField writes a field of CSV, quoted where it must be (RFC 4180).
func AppendField(b []byte, s string) []byte {
	if !strings.ContainsAny(s, ",\"\r\n") && s == strings.TrimSpace(s) {
		return append(b, s...)
	}
	b = append(b, '"')
	b = append(b, strings.ReplaceAll(s, `"`, `""`)...)
	return append(b, '"')
}
