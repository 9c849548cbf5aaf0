package serve

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// table is rows of cells by column. A cell is text as it was written; one that was absent or null is empty.
type table struct {
	columns []string
	// text has what the cells, which are by column, are places in.
	text  []byte
	cells [][]cell
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

// at is a cell; it is valid as long as the body of the request is.
func (t *table) at(c, row int) []byte {
	one := t.cells[c][row]
	return t.text[one.from:one.to]
}

// add begins a column of the rows that are there, with room for more.
func (t *table) add(name string, more int, l limits) (int, error) {
	c := len(t.columns)
	if c >= l.columns {
		return 0, bad("there are more than %d columns", l.columns)
	}
	t.columns = append(t.columns, name)
	if c == len(t.cells) {
		t.cells = append(t.cells, nil)
	}
	t.cells[c] = slices.Grow(t.cells[c][:0], t.rows+more)[:t.rows]
	clear(t.cells[c])
	return c, nil
}

// reset makes a table empty, and keeps its memory for the next.
func (t *table) reset() {
	t.columns, t.text, t.rows = t.columns[:0], nil, 0
}

func (t *table) tooLong(l limits) error {
	if t.rows > l.rows {
		return &problem{413, codeTooLarge, fmt.Sprintf("there are more than %d rows", l.rows), "send fewer series at once"}
	}
	return nil
}

// table reads rows into t as JSON records, as a JSON object of columns, or as CSV in a JSON string; null is none.
func (p *scanner) table(t *table, l limits) error {
	switch p.space() {
	case '[':
		return p.records(t, l)
	case '{':
		return p.columns(t, l)
	case '"':
		return p.csv(t, l)
	case 'n':
		if c, err := p.cell(); err == nil && c.to == 0 {
			return nil
		}
	}
	return bad("rows are neither a list of records, nor an object of columns, nor CSV text").hint(`send [{"date":"2026-01-31",...}], {"date":[...],...} or "date,...\n..."`)
}

// whole wants nothing after the rows.
func (p *scanner) whole(err error) error {
	if p.space(); err == nil && p.at < p.end {
		return bad("something follows the rows")
	}
	return err
}

// decoder reads numbers as they are written.
func decoder(raw []byte) *json.Decoder {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return d
}

func (p *scanner) records(t *table, l limits) error {
	if err := p.take('['); err != nil {
		return bad("rows: %v", err)
	}
	n := names{index: map[string]int{}}
	for first := true; ; first = false {
		more, err := p.next(first, ']')
		if err != nil {
			return bad("row %d: %v", t.rows+1, err)
		}
		if !more {
			t.text = p.s
			return nil
		}
		if p.space() != '{' {
			return bad("row %d is not an object of columns", t.rows+1)
		}
		p.at++
		t.rows++
		if err := t.tooLong(l); err != nil {
			return err
		}
		for c := range t.columns {
			t.cells[c] = append(t.cells[c], cell{})
		}
		from := p.at
		if err := t.record(p, &n, l); err != nil {
			return err
		}
		if t.rows == 1 { // the others are about as long
			for c := range t.columns {
				t.cells[c] = slices.Grow(t.cells[c], min(l.rows, (p.end-p.at)/(p.at-from)+1))
			}
		}
	}
}

// names are those of the columns of records, and where each was first read, with its quotes and colon.
type names struct {
	index map[string]int
	first []cell
}

// record reads the names and values of the last row. Rows name their columns in the same order and alike, most of the time.
func (t *table) record(p *scanner, n *names, l limits) error {
	for guess := 0; ; guess++ {
		more, err := p.next(guess == 0, '}')
		if err != nil {
			return bad("row %d: %v", t.rows, err)
		}
		if !more {
			return nil
		}
		c := guess
		if guess < len(n.first) && bytes.HasPrefix(p.s[p.at:p.end], p.of(n.first[guess])) {
			p.at += int(n.first[guess].to - n.first[guess].from)
		} else if c, err = t.named(p, n, l); err != nil {
			return err
		}
		if t.cells[c][t.rows-1], err = p.cell(); err != nil {
			return bad("row %d, column %q: %v", t.rows, clip(t.columns[c]), err)
		}
	}
}

// named reads a name and finds its column, or begins it.
func (t *table) named(p *scanner, n *names, l limits) (int, error) {
	from := p.at
	name, err := p.name()
	if err != nil {
		return 0, bad("row %d: %v", t.rows, err)
	}
	c, ok := n.index[string(p.of(name))]
	if !ok {
		if c, err = t.add(string(p.of(name)), 0, l); err != nil {
			return 0, err
		}
		n.index[t.columns[c]] = c
		n.first = append(n.first, cell{uint32(from), uint32(p.at)})
	}
	return c, nil
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

func (p *scanner) columns(t *table, l limits) error {
	if err := p.take('{'); err != nil {
		return bad("columns: %v", err)
	}
	for first := true; ; first = false {
		more, err := p.next(first, '}')
		if err != nil {
			return bad("columns: %v", err)
		}
		if !more {
			t.text = p.s
			return nil
		}
		place, err := p.name()
		if err != nil {
			return bad("columns: %v", err)
		}
		name := string(p.of(place))
		if t.column(name) >= 0 {
			return bad("column %q is there twice", clip(name))
		}
		c, err := t.add(name, 0, l)
		if err != nil {
			return err
		}
		values, err := p.column(t.cells[c][:0], name, l)
		if err != nil {
			return err
		}
		if first {
			t.rows = len(values)
		}
		if len(values) != t.rows {
			return bad("column %q has %d values, the first column has %d", clip(name), len(values), t.rows)
		}
		t.cells[c] = values
	}
}

// column appends a list of cells to out, which is empty; null is an empty list.
func (p *scanner) column(out []cell, name string, l limits) ([]cell, error) {
	switch p.space() {
	case '[':
		p.at++
	case 'n':
		if _, err := p.cell(); err != nil {
			return nil, bad("column %q is not a list: %v", clip(name), err)
		}
		return out, nil
	default:
		return nil, bad("column %q is not a list", clip(name))
	}
	for {
		more, err := p.next(len(out) == 0, ']')
		if err == nil && !more {
			return out, nil
		}
		var one cell
		if err == nil {
			one, err = p.cell()
		}
		if err != nil {
			return nil, bad("column %q, row %d: %v", clip(name), len(out)+1, err)
		}
		out = append(out, one)
		if len(out) > l.rows {
			return nil, (&table{rows: len(out)}).tooLong(l)
		}
	}
}

// csv reads the CSV in a JSON string.
func (p *scanner) csv(t *table, l limits) error {
	raw, plain, err := p.raw()
	text := p.of(raw)
	if err == nil && !plain {
		text, err = decoded(make([]byte, 0, len(text)), p.s[raw.from-1:raw.to+1])
	}
	if err != nil {
		return bad("rows are no valid JSON string")
	}
	return parseCSV(t, text, l)
}

// parseCSV reads text whose first line names the columns into t, which keeps the text.
func parseCSV(t *table, text []byte, l limits) error {
	if bytes.IndexByte(text, '"') >= 0 {
		return quotedCSV(t, text, l)
	}
	return plainCSV(t, text, l)
}

// quotedCSV reads any CSV.
func quotedCSV(t *table, text []byte, l limits) error {
	r := csv.NewReader(bytes.NewReader(text))
	r.ReuseRecord = true
	out := newScanner(make([]byte, 0, len(text)))
	var row []cell
	return t.fromCSV(text, l, func() ([]byte, []cell, error) {
		rec, err := r.Read()
		row = row[:0]
		for _, v := range rec {
			row = append(row, out.put(v))
		}
		return out.s, row, err
	})
}

// plainCSV is quotedCSV for text without a quote.
func plainCSV(t *table, text []byte, l limits) error {
	var row []cell
	at, line, columns := 0, 0, 0
	return t.fromCSV(text, l, func() ([]byte, []cell, error) {
		for at < len(text) {
			from, to := at, len(text)
			if i := bytes.IndexByte(text[at:], '\n'); i >= 0 {
				to = at + i
			}
			at = to + 1
			line++
			if to > from && text[to-1] == '\r' {
				to--
			}
			if from == to {
				continue
			}
			row = row[:0]
			for i := from; i < to; i++ {
				if text[i] == ',' {
					row = append(row, cell{uint32(from), uint32(i)})
					from = i + 1
				}
			}
			row = append(row, cell{uint32(from), uint32(to)})
			if columns == 0 {
				columns = len(row)
			}
			if len(row) != columns {
				return nil, nil, &csv.ParseError{StartLine: line, Line: line, Column: 1, Err: csv.ErrFieldCount}
			}
			return text, row, nil
		}
		return text, nil, io.EOF
	})
}

// fromCSV takes records, whose cells are places in the text that comes with them.
func (t *table) fromCSV(text []byte, l limits, next func() ([]byte, []cell, error)) error {
	out, head, err := next()
	if errors.Is(err, io.EOF) {
		return bad("the CSV is empty").hint("its first line names the columns")
	}
	if err != nil {
		return csvProblem(err)
	}
	rows := min(bytes.Count(text, []byte{'\n'}), len(text)/len(head))
	for i, c := range head {
		name := string(out[c.from:c.to])
		if i == 0 {
			name = strings.TrimPrefix(name, "\ufeff")
		}
		name = strings.TrimSpace(name)
		if t.column(name) >= 0 {
			return bad("column %q is there twice", clip(name))
		}
		if _, err := t.add(name, rows, l); err != nil {
			return err
		}
	}
	for {
		all, row, err := next()
		if errors.Is(err, io.EOF) {
			t.text = all
			return nil
		}
		if err != nil {
			return csvProblem(err)
		}
		t.rows++
		if err := t.tooLong(l); err != nil {
			return err
		}
		for c, place := range row {
			t.cells[c] = append(t.cells[c], place)
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

// tens are exact, so that a whole number below 2^53 over one of them is the number nearest to the decimal, as strconv has it.
var tens = [...]float64{1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// decimal reads up to 15 digits with at most one point among them and perhaps a minus before, which is how most cells are written.
func decimal(s []byte) (float64, bool) {
	if len(s) == 1 && s[0] >= '0' && s[0] <= '9' { // as flags are
		return float64(s[0] - '0'), true
	}
	sign := 1.0
	if len(s) > 0 && s[0] == '-' {
		sign, s = -1, s[1:]
	}
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
		return sign * float64(whole), true
	}
	return sign * float64(whole) / tens[digits-after], true
}

// number reads a cell; "" is NaN. Sales and covariates beyond 1e15 are mistakes that would drown all others.
func number(text []byte) (float32, error) {
	if v, ok := decimal(text); ok {
		return float32(v), nil
	}
	s := strings.TrimSpace(string(text))
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
