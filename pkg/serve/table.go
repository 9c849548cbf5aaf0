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
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, bad("rows are no valid JSON string")
		}
		return parseCSV(strings.NewReader(s), l)
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
	d := decoder(raw)
	if _, err := d.Token(); err != nil {
		return nil, bad("rows: %v", err)
	}
	t := &table{}
	index := map[string]int{}
	for d.More() {
		tok, err := d.Token()
		if err != nil {
			return nil, bad("row %d: %v", t.rows+1, err)
		}
		if tok != json.Delim('{') {
			return nil, bad("row %d is not an object of columns", t.rows+1)
		}
		t.rows++
		if err := t.tooLong(l); err != nil {
			return nil, err
		}
		for c := range t.cells {
			t.cells[c] = append(t.cells[c], "")
		}
		for d.More() {
			if err := t.field(d, index, l); err != nil {
				return nil, err
			}
		}
		if _, err := d.Token(); err != nil {
			return nil, bad("row %d: %v", t.rows, err)
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, bad("rows: %v", err)
	}
	return t, nil
}

// field reads one name and value of the last row.
func (t *table) field(d *json.Decoder, index map[string]int, l limits) error {
	tok, err := d.Token()
	if err != nil {
		return bad("row %d: %v", t.rows, err)
	}
	name, _ := tok.(string)
	if tok, err = d.Token(); err != nil {
		return bad("row %d, column %q: %v", t.rows, name, err)
	}
	c, ok := index[name]
	if !ok {
		if c, err = t.add(name, l); err != nil {
			return err
		}
		index[name] = c
	}
	cell, err := cellOf(tok)
	if err != nil {
		return bad("row %d, column %q: %v", t.rows, name, err)
	}
	t.cells[c][t.rows-1] = cell
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
	return "", errors.New("the value is neither text nor a number")
}

func parseColumns(raw []byte, l limits) (*table, error) {
	d := decoder(raw)
	if _, err := d.Token(); err != nil {
		return nil, bad("columns: %v", err)
	}
	t := &table{}
	first := true
	for d.More() {
		tok, err := d.Token()
		if err != nil {
			return nil, bad("columns: %v", err)
		}
		name, _ := tok.(string)
		if t.column(name) >= 0 {
			return nil, bad("column %q is there twice", name)
		}
		var values []any
		if err := d.Decode(&values); err != nil {
			return nil, bad("column %q is not a list: %v", name, err)
		}
		if first {
			t.rows, first = len(values), false
			if err := t.tooLong(l); err != nil {
				return nil, err
			}
		}
		if len(values) != t.rows {
			return nil, bad("column %q has %d values, the first column has %d", name, len(values), t.rows)
		}
		c, err := t.add(name, l)
		if err != nil {
			return nil, err
		}
		for r, v := range values {
			if t.cells[c][r], err = cellOf(v); err != nil {
				return nil, bad("column %q, row %d: %v", name, r+1, err)
			}
		}
	}
	return t, nil
}

func parseCSV(in io.Reader, l limits) (*table, error) {
	r := csv.NewReader(in)
	r.ReuseRecord = true
	head, err := r.Read()
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
			return nil, bad("column %q is there twice", name)
		}
		if _, err := t.add(name, l); err != nil {
			return nil, err
		}
	}
	for {
		rec, err := r.Read()
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
			t.cells[c] = append(t.cells[c], strings.Clone(v))
		}
	}
}

func csvProblem(err error) error {
	if p, ok := errors.AsType[*csv.ParseError](err); ok {
		return bad("CSV line %d: %v", p.Line, p.Err)
	}
	return err
}

const maxNumber = 1e15

// number reads a cell; "" is NaN. Sales and covariates beyond 1e15 are mistakes that would drown all others.
func number(s string) (float32, error) {
	s = strings.TrimSpace(s)
	switch strings.ToLower(s) {
	case "", "nan", "null":
		return float32(math.NaN()), nil
	case "true":
		return 1, nil
	case "false":
		return 0, nil
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.Abs(v) > maxNumber || math.IsNaN(v) {
		return 0, fmt.Errorf("%q is not a number between -1e15 and 1e15", clip(s))
	}
	return float32(v), nil
}

// clip keeps a client's text short in a message.
func clip(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "..."
	}
	return s
}
