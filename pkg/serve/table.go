package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"salescast/pkg/panel"
	source "salescast/pkg/table"
	"salescast/pkg/table/csv"
)

// table is the rows of a request: a block of texts, for what its columns are is known when they are held against a model. A cell that was
// absent or null is empty.
type table struct {
	source.Block
}

// limits bound what a request may hold.
type limits struct {
	rows    int
	columns int
}

func (t *table) column(name string) int {
	return slices.IndexFunc(t.Columns, func(c source.Values) bool { return c.Name == name })
}

// at is the text of a cell.
func (t *table) at(c, row int) string {
	return t.Columns[c].Dictionary.Value(t.Columns[c].Codes[row])
}

// set gives a cell its text.
func (t *table) set(c, row int, text []byte) {
	t.Columns[c].Codes[row] = t.Columns[c].Dictionary.Code(text)
}

// add begins a column whose cells are empty in the rows that are there.
func (t *table) add(name string, l limits) (int, error) {
	c := len(t.Columns)
	if c >= l.columns {
		return 0, bad("there are more than %d columns", l.columns)
	}
	v := source.Values{Name: name, Kind: source.Text, Dictionary: &panel.Dictionary{}, Codes: make([]int32, t.Rows)}
	v.Dictionary.CodeString("") // is code 0
	t.Columns = append(t.Columns, v)
	return c, nil
}

// empty is a table of the same columns without rows.
func (t *table) empty() *table {
	out := &table{source.Block{Columns: slices.Clone(t.Columns)}}
	for c := range out.Columns {
		out.Columns[c].Codes = nil
	}
	return out
}

// row begins a row of empty cells.
func (t *table) row(l limits) error {
	t.Rows++
	for c := range t.Columns {
		t.Columns[c].Codes = append(t.Columns[c].Codes, 0)
	}
	return t.tooLong(l)
}

func (t *table) tooLong(l limits) error {
	if t.Rows > l.rows {
		return &problem{413, codeTooLarge, fmt.Sprintf("there are more than %d rows", l.rows), "send fewer series at once"}
	}
	return nil
}

// read reads rows as JSON records, as a JSON object of columns, or as CSV in a JSON string; null is none.
func (t *table) read(ctx context.Context, d *jsontext.Decoder, l limits) error {
	switch d.PeekKind() { //nolint:exhaustive // all else is no table
	case '[':
		return t.records(d, l)
	case '{':
		return t.columns(d, l)
	case '"':
		text, err := d.ReadToken()
		if err != nil {
			return bad("rows are no valid JSON string")
		}
		return t.csv(ctx, text.String(), l)
	case 'n':
		return d.SkipValue()
	}
	return bad("rows are neither a list of records, nor an object of columns, nor CSV text").hint(`send [{"date":"2026-01-31",...}], {"date":[...],...} or "date,...\n..."`)
}

// whole wants nothing after the rows.
func whole(d *jsontext.Decoder, err error) error {
	if err != nil {
		return err
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return bad("something follows the rows")
	}
	return nil
}

// records reads a list of objects. Rows name their columns in the same order and alike, most of the time.
func (t *table) records(d *jsontext.Decoder, l limits) error {
	if _, err := d.ReadToken(); err != nil {
		return bad("rows: %v", plain(err))
	}
	var names names
	for d.PeekKind() != ']' {
		if err := t.row(l); err != nil {
			return err
		}
		if err := t.record(d, &names, l); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

// names are those of the columns of records, as they were first written.
type names struct {
	first [][]byte
	text  []byte
}

func (t *table) record(d *jsontext.Decoder, n *names, l limits) error {
	if k := d.PeekKind(); k != '{' && k != 0 {
		return bad("row %d is not an object of columns", t.Rows)
	}
	if _, err := d.ReadToken(); err != nil {
		return bad("row %d: %v", t.Rows, plain(err))
	}
	for guess := 0; d.PeekKind() != '}'; guess++ {
		name, err := d.ReadValue()
		if err != nil {
			return bad("row %d: %v", t.Rows, plain(err))
		}
		c := guess
		if guess >= len(n.first) || !bytes.Equal(n.first[guess], name) {
			if c, err = t.named(name, n, l); err != nil {
				return err
			}
		}
		if err := n.cell(t, d, c, t.Rows-1); err != nil {
			return bad("row %d, column %q: %v", t.Rows, clip(t.Columns[c].Name), plain(err))
		}
	}
	_, err := d.ReadToken()
	return err
}

// named finds the column of a quoted name, or begins it.
func (t *table) named(quoted []byte, n *names, l limits) (int, error) {
	name, err := jsontext.AppendUnquote(nil, quoted)
	if err != nil {
		return 0, bad("row %d: %v", t.Rows, plain(err))
	}
	c := t.column(string(name))
	if c < 0 {
		if c, err = t.add(string(name), l); err != nil {
			return 0, err
		}
		n.first = append(n.first, bytes.Clone(quoted))
	}
	return c, nil
}

var errNoCell = errors.New("the value is neither text nor a number")

// cell reads a value of a row: text, or a number as it is written.
func (n *names) cell(t *table, d *jsontext.Decoder, c, row int) error {
	if k := d.PeekKind(); k == '{' || k == '[' {
		return errNoCell
	}
	raw, err := d.ReadValue()
	if err != nil {
		return err
	}
	switch raw[0] {
	case '"':
		if bytes.IndexByte(raw, '\\') < 0 {
			raw = raw[1 : len(raw)-1]
		} else {
			if n.text, err = jsontext.AppendUnquote(n.text[:0], raw); err != nil {
				return err
			}
			raw = n.text
		}
	case 'n':
		raw = nil
	case 't':
		raw = []byte("1")
	case 'f':
		raw = []byte("0")
	}
	t.set(c, row, raw)
	return nil
}

// columns reads an object of lists.
func (t *table) columns(d *jsontext.Decoder, l limits) error {
	if _, err := d.ReadToken(); err != nil {
		return bad("columns: %v", plain(err))
	}
	var n names
	for first := true; d.PeekKind() != '}'; first = false {
		quoted, err := d.ReadToken()
		if err != nil {
			return bad("columns: %v", plain(err))
		}
		name := quoted.String()
		c, err := t.add(name, l)
		if err != nil {
			return err
		}
		switch d.PeekKind() {
		case 'n': // an empty list
			if err := d.SkipValue(); err != nil {
				return bad("column %q is not a list: %v", clip(name), plain(err))
			}
		case '[', 0:
			if err := n.list(t, d, c, first, l); err != nil {
				return err
			}
		default:
			return bad("column %q is not a list", clip(name))
		}
		if have := len(t.Columns[c].Codes); have != t.Rows {
			return bad("column %q has %d values, the first column has %d", clip(name), have, t.Rows)
		}
	}
	_, err := d.ReadToken()
	return err
}

// list reads the cells of a column; the first column says how many rows there are.
func (n *names) list(t *table, d *jsontext.Decoder, c int, first bool, l limits) error {
	if _, err := d.ReadToken(); err != nil {
		return bad("column %q: %v", clip(t.Columns[c].Name), plain(err))
	}
	row := 0
	for ; d.PeekKind() != ']'; row++ {
		if row == len(t.Columns[c].Codes) {
			t.Columns[c].Codes = append(t.Columns[c].Codes, 0)
		}
		if row >= l.rows {
			return (&table{source.Block{Rows: row + 1}}).tooLong(l)
		}
		if err := n.cell(t, d, c, row); err != nil {
			return bad("column %q, row %d: %v", clip(t.Columns[c].Name), row+1, plain(err))
		}
	}
	t.Columns[c].Codes = t.Columns[c].Codes[:row]
	if first {
		t.Rows = row
	}
	_, err := d.ReadToken()
	return err
}

// plain says what a decoder says, without the name of its package.
func plain(err error) error {
	if bad, ok := errors.AsType[*jsontext.SyntacticError](err); ok && bad.Err != nil {
		return fmt.Errorf("%w after %d bytes", bad.Err, bad.ByteOffset)
	}
	return err
}

// csv reads text whose first line names the columns.
func (t *table) csv(ctx context.Context, text string, l limits) error {
	in, err := csv.Open("", io.NopCloser(strings.NewReader(text)), source.Dialect{})
	if err != nil {
		return csvProblem(err)
	}
	defer in.Close()
	var want []source.Column
	for _, name := range in.Columns() {
		c, err := t.add(name, l)
		if err != nil {
			return err
		}
		want = append(want, source.Column{Name: name, Kind: source.Text, Dictionary: t.Columns[c].Dictionary})
	}
	for b, err := range in.Blocks(ctx, want) {
		if errors.Is(err, source.ErrNoRows) {
			return nil
		}
		if err != nil {
			return csvProblem(err)
		}
		if len(b.Faults) > 0 {
			f, why := b.Faults[0], "the text is not UTF-8"
			if f.Kind == source.WrongFields {
				why = "wrong number of fields"
			}
			return bad("CSV line %d: %s", b.Lines[f.Row], why)
		}
		t.Rows += b.Rows
		if err := t.tooLong(l); err != nil {
			return err
		}
		for c := range want {
			t.Columns[c].Codes = append(t.Columns[c].Codes, b.Columns[c].Codes...)
		}
	}
	return nil
}

func csvProblem(err error) error {
	if p, ok := errors.AsType[*source.SyntaxError](err); ok {
		if p.Line == 0 {
			return bad("the CSV: %s", p.Msg).hint("its first line names the columns")
		}
		return bad("CSV line %d: %s", p.Line, p.Msg).hint("%s", p.Hint)
	}
	return err
}

// decoder reads numbers as they are written.
func decoder(raw []byte) *json.Decoder {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return d
}

func cellOf(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	case bool:
		if v {
			return "1", nil
		}
		return "0", nil
	}
	return "", errNoCell
}

const maxNumber = 1e15

// number reads a cell; "" is NaN. Sales and covariates beyond 1e15 are mistakes that would drown all others.
func number(text string) (float32, error) {
	text = strings.TrimSpace(text)
	if v, err := strconv.ParseFloat(text, 64); err == nil && math.Abs(v) <= maxNumber {
		return float32(v), nil
	}
	switch strings.ToLower(text) {
	case "", "nan", "null":
		return float32(math.NaN()), nil
	case "true":
		return 1, nil
	case "false":
		return 0, nil
	}
	return 0, fmt.Errorf("%q is not a number between -1e15 and 1e15", clip(text))
}

// clip keeps a client's text short in a message.
func clip(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "..."
	}
	return s
}
