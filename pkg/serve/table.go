package serve

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// table is rows of text cells by column. A cell that was absent or null is "".
type table struct {
	columns []string
	// cells are by column.
	cells [][]string
	rows  int
}

// limits bound what a request may hold.
type limits struct {
	rows    int
	columns int
}

func (t *table) column(name string) int {
	for i, c := range t.columns {
		if c == name {
			return i
		}
	}
	return -1
}

func (t *table) add(name string, l limits) (int, error) {
	if len(t.columns) >= l.columns {
		return 0, bad("there are more than %d columns", l.columns)
	}
	t.columns = append(t.columns, name)
	t.cells = append(t.cells, make([]string, t.rows))
	return len(t.columns) - 1, nil
}

func (t *table) tooLong(l limits) error {
	if t.rows > l.rows {
		return &problem{413, codeTooLarge, fmt.Sprintf("there are more than %d rows", l.rows), "send fewer series at once"}
	}
	return nil
}

// parseTable reads rows as JSON records, as a JSON object of columns, or as CSV in a JSON string.
func parseTable(raw json.RawMessage, l limits) (*table, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil //nolint:nilnil // no rows are no table
	}
	switch raw[0] {
	case '[':
		return parseRecords(raw, l)
	case '{':
		return parseColumns(raw, l)
	case '"':
		p := &scanner{s: string(raw)}
		s, err := p.text()
		if err == nil {
			err = p.end()
		}
		if err != nil {
			return nil, bad("rows are no valid JSON string")
		}
		return parseCSV(s, l)
	}
	return nil, bad("rows are neither a list of records, nor an object of columns, nor CSV text").hint(`send [{"date":"2026-01-31",...}], {"date":[...],...} or "date,...\n..."`)
}

// decoder reads numbers as they are written.
func decoder(raw []byte) *json.Decoder {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return d
}

func parseRecords(raw []byte, l limits) (*table, error) {
	p := &scanner{s: string(raw)}
	if err := p.take('['); err != nil {
		return nil, bad("rows: %v", err)
	}
	t := &table{}
	index := map[string]int{}
	for first := true; ; first = false {
		more, err := p.next(first, ']')
		if err != nil {
			return nil, bad("row %d: %v", t.rows+1, err)
		}
		if !more {
			return t, p.end()
		}
		if p.space() != '{' {
			return nil, bad("row %d is not an object of columns", t.rows+1)
		}
		p.at++
		t.rows++
		if err := t.tooLong(l); err != nil {
			return nil, err
		}
		for c := range t.cells {
			t.cells[c] = append(t.cells[c], "")
		}
		if err := t.record(p, index, l); err != nil {
			return nil, err
		}
	}
}

// record reads the names and values of the last row. Rows name their columns in the same order, most of the time.
func (t *table) record(p *scanner, index map[string]int, l limits) error {
	for guess := 0; ; guess++ {
		more, err := p.next(guess == 0, '}')
		if err != nil {
			return bad("row %d: %v", t.rows, err)
		}
		if !more {
			return nil
		}
		name, err := p.name()
		if err != nil {
			return bad("row %d: %v", t.rows, err)
		}
		c := guess
		if c >= len(t.columns) || t.columns[c] != name {
			var ok bool
			if c, ok = index[name]; !ok {
				if c, err = t.add(name, l); err != nil {
					return err
				}
				index[name] = c
			}
		}
		if t.cells[c][t.rows-1], err = p.cell(); err != nil {
			return bad("row %d, column %q: %v", t.rows, clip(name), err)
		}
	}
}

// end wants nothing more.
func (p *scanner) end() error {
	if p.space(); p.at < len(p.s) {
		return bad("something follows the rows")
	}
	return nil
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

func parseColumns(raw []byte, l limits) (*table, error) {
	p := &scanner{s: string(raw)}
	if err := p.take('{'); err != nil {
		return nil, bad("columns: %v", err)
	}
	t := &table{}
	for first := true; ; first = false {
		more, err := p.next(first, '}')
		if err != nil {
			return nil, bad("columns: %v", err)
		}
		if !more {
			return t, p.end()
		}
		name, err := p.name()
		if err != nil {
			return nil, bad("columns: %v", err)
		}
		if t.column(name) >= 0 {
			return nil, bad("column %q is there twice", clip(name))
		}
		values, err := p.column(name, t.rows, l)
		if err != nil {
			return nil, err
		}
		if first {
			t.rows = len(values)
		}
		if len(values) != t.rows {
			return nil, bad("column %q has %d values, the first column has %d", clip(name), len(values), t.rows)
		}
		c, err := t.add(name, l)
		if err != nil {
			return nil, err
		}
		t.cells[c] = values
	}
}

// column reads a list of cells, about n of them; null is an empty list.
func (p *scanner) column(name string, n int, l limits) ([]string, error) {
	switch p.space() {
	case '[':
		p.at++
	case 'n':
		if _, err := p.cell(); err != nil {
			return nil, bad("column %q is not a list: %v", clip(name), err)
		}
		return nil, nil
	default:
		return nil, bad("column %q is not a list", clip(name))
	}
	out := make([]string, 0, n)
	for {
		more, err := p.next(len(out) == 0, ']')
		if err == nil && !more {
			return out, nil
		}
		var cell string
		if err == nil {
			cell, err = p.cell()
		}
		if err != nil {
			return nil, bad("column %q, row %d: %v", clip(name), len(out)+1, err)
		}
		out = append(out, cell)
		if len(out) > l.rows {
			return nil, (&table{rows: len(out)}).tooLong(l)
		}
	}
}

// parseCSV reads text whose first line names the columns; cells are substrings of it.
func parseCSV(text string, l limits) (*table, error) {
	next := quotedCSV(text)
	if !strings.Contains(text, `"`) {
		next = plainCSV(text)
	}
	head, err := next()
	if errors.Is(err, io.EOF) {
		return nil, bad("the CSV is empty").hint("its first line names the columns")
	}
	if err != nil {
		return nil, csvProblem(err)
	}
	t := &table{}
	for i, name := range head {
		if i == 0 {
			name = strings.TrimPrefix(name, "\ufeff")
		}
		name = strings.TrimSpace(name)
		if t.column(name) >= 0 {
			return nil, bad("column %q is there twice", clip(name))
		}
		c, err := t.add(name, l)
		if err != nil {
			return nil, err
		}
		t.cells[c] = make([]string, 0, min(strings.Count(text, "\n"), len(text)/len(head)))
	}
	for {
		rec, err := next()
		if errors.Is(err, io.EOF) {
			return t, nil
		}
		if err != nil {
			return nil, csvProblem(err)
		}
		t.rows++
		if err := t.tooLong(l); err != nil {
			return nil, err
		}
		for c, v := range rec {
			t.cells[c] = append(t.cells[c], v)
		}
	}
}

// quotedCSV returns the records of any CSV, one after another.
func quotedCSV(text string) func() ([]string, error) {
	r := csv.NewReader(strings.NewReader(text))
	r.ReuseRecord = true
	return r.Read
}

// plainCSV is quotedCSV for text without a quote.
func plainCSV(text string) func() ([]string, error) {
	var rec []string
	line, columns := 0, 0
	return func() ([]string, error) {
		for text != "" {
			var one string
			one, text, _ = strings.Cut(text, "\n")
			line++
			if one = strings.TrimSuffix(one, "\r"); one == "" {
				continue
			}
			rec = rec[:0]
			for more := true; more; {
				var cell string
				cell, one, more = strings.Cut(one, ",")
				rec = append(rec, cell)
			}
			if columns == 0 {
				columns = len(rec)
			}
			if len(rec) != columns {
				return nil, &csv.ParseError{StartLine: line, Line: line, Column: 1, Err: csv.ErrFieldCount}
			}
			return rec, nil
		}
		return nil, io.EOF
	}
}

func csvProblem(err error) error {
	if p, ok := errors.AsType[*csv.ParseError](err); ok {
		return bad("CSV line %d: %v", p.Line, p.Err)
	}
	return err
}

const maxNumber = 1e15

// tens are exact, so that a whole number below 2^53 over one of them is the number nearest to the decimal, as strconv has it.
var tens = [...]float64{1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// decimal reads up to 15 digits with at most one point among them, which is how most cells are written.
func decimal(s string) (float64, bool) {
	if len(s) == 0 || len(s) > 16 {
		return 0, false
	}
	whole, digits, after := int64(0), 0, -1
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			whole = whole*10 + int64(c-'0')
			digits++
		case c == '.' && after < 0 && digits > 0:
			after = digits
		default:
			return 0, false
		}
	}
	switch {
	case digits > 15 || after == digits:
		return 0, false
	case after < 0:
		return float64(whole), true
	}
	return float64(whole) / tens[digits-after], true
}

// number reads a cell; "" is NaN. Sales and covariates beyond 1e15 are mistakes that would drown all others.
func number(s string) (float32, error) {
	if v, ok := decimal(s); ok {
		return float32(v), nil
	}
	s = strings.TrimSpace(s)
	if v, err := strconv.ParseFloat(s, 64); err == nil && math.Abs(v) <= maxNumber {
		return float32(v), nil
	}
	switch strings.ToLower(s) {
	case "", "nan", "null":
		return float32(math.NaN()), nil
	case "true":
		return 1, nil
	case "false":
		return 0, nil
	}
	return 0, fmt.Errorf("%q is not a number between -1e15 and 1e15", clip(s))
}

// clip keeps a client's text short in a message.
func clip(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "..."
	}
	return s
}
