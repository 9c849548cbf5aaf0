package table

import (
	"bytes"
	"fmt"
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
	numbers numbers
	times   times
	flags   []bool // by column
	last    []byte // the text that was read last as a date
	day     calendar.Day
	clock   int32
}

// NewBuilder returns a builder without rows of the wanted columns. Its Raw returns what Begin is told.
func NewBuilder(file string, want []Column, d Dialect) *Builder {
	b := &Builder{numbers: newNumbers(d), times: newTimes(d)}
	b.File = file
	for _, w := range want {
		b.Columns = append(b.Columns, Values{Name: w.Name, Kind: w.Kind, Dictionary: w.Dictionary})
		b.flags = append(b.flags, w.Flag)
	}
	b.Raw = func(row int) string { return string(b.raw[b.start(row):b.ends[row]]) }
	return b
}

// Reset drops all rows and keeps their memory.
func (b *Builder) Reset() {
	b.Rows, b.Lines, b.Faults, b.raw, b.ends = 0, b.Lines[:0], b.Faults[:0], b.raw[:0], b.ends[:0]
	for i := range b.Columns {
		c := &b.Columns[i]
		c.Codes, c.Numbers, c.Days, c.Clock = c.Codes[:0], c.Numbers[:0], c.Days[:0], c.Clock[:0]
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
		c.Numbers = append(c.Numbers, b.number(i, text))
	case Date:
		d, clock := b.date(i, text)
		c.at(d, clock)
	case Text:
		if !utf8.Valid(text) {
			b.fault(i, BadText, text)
			text = nil
		}
		c.Codes = append(c.Codes, c.Dictionary.Code(text))
	}
}

func (b *Builder) number(i int, text []byte) float32 {
	v, kind := b.numbers.parse(text)
	if kind == 0 {
		return v
	}
	if w, ok := flag(bytes.TrimSpace(text), b.flags[i]); ok {
		return w
	}
	b.fault(i, kind, text)
	return v
}

func (b *Builder) date(column int, text []byte) (calendar.Day, int32) {
	if len(text) > 0 && bytes.Equal(text, b.last) {
		return b.day, b.clock
	}
	d, clock, kind := b.times.parse(text)
	if kind != 0 {
		b.fault(column, kind, text)
		return 0, 0
	}
	b.last, b.day, b.clock = append(b.last[:0], text...), d, clock
	return d, clock
}

// Time puts a time that the format itself has into column i, of kind Date, or the fault of one that is not plausible, as text says it.
func (b *Builder) Time(i int, d calendar.Day, clock int32) {
	if kind := plausible(d); kind != 0 {
		b.fault(i, kind, []byte(d.String()))
		d, clock = 0, 0
	}
	b.Columns[i].at(d, clock)
}

// at appends a time.
func (c *Values) at(d calendar.Day, clock int32) {
	if clock != 0 && len(c.Clock) == 0 {
		c.Clock = slices.Grow(c.Clock, BlockRows)[:len(c.Days)]
		clear(c.Clock)
	}
	c.Days = append(c.Days, d)
	if clock != 0 || len(c.Clock) > 0 {
		c.Clock = append(c.Clock, clock)
	}
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
			c.at(0, 0)
		case Text:
			c.Codes = append(c.Codes, c.Dictionary.Code(nil))
		}
	}
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
			if len(c.Clock) > 0 && c.Clock[row] != 0 {
				line = fmt.Appendf(line, "T%02d:%02d:%02d", c.Clock[row]/3600, c.Clock[row]/60%60, c.Clock[row]%60)
			}
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
