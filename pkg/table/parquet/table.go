package parquet

import (
	"fmt"
	"io"
	"math"

	pq "github.com/parquet-go/parquet-go"

	"salescast/pkg/calendar"
)

// Column is one column of a plain table.
type Column struct {
	Name string
	Type Type
	// Nullable integers and floats are null where they are NullInt or NaN; other types are never null.
	Nullable bool
}

// Type is the type of a table's column.
type Type uint8

// The types of a column, and what TableWriter.Write takes for each.
const (
	Date  Type = iota + 1 // []calendar.Day, written as DATE
	Text                  // Coded, written as strings through a dictionary
	Int                   // []int32
	Float                 // []float64
	Bool                  // []bool
)

// NullInt stands for null in a nullable column of integers.
const NullInt = math.MinInt32

// Coded are strings as indices into the few there are.
type Coded struct {
	Levels []string
	Codes  []int32
}

// TableWriter writes a Parquet file of plain columns from blocks of rows in bounded memory. The same blocks give the same bytes.
type TableWriter struct {
	w       *Writer
	columns []Column
	rows    int64
}

// NewTableWriter begins a file on w, which is not closed.
func NewTableWriter(w io.Writer, columns []Column) (*TableWriter, error) {
	leaves := make([]Leaf, len(columns))
	for i, c := range columns {
		node := c.node()
		if node == nil || c.Nullable && c.Type != Int && c.Type != Float {
			return nil, fmt.Errorf("writing Parquet: column %s cannot have type %d, nullable %v", c.Name, c.Type, c.Nullable)
		}
		if c.Nullable {
			node = pq.Optional(node)
		}
		leaves[i] = Leaf{c.Name, node}
	}
	t, err := NewWriter(w, leaves)
	if err != nil {
		return nil, err
	}
	return &TableWriter{w: t, columns: columns}, nil
}

func (c Column) node() pq.Node {
	switch c.Type {
	case Date:
		return DateLeaf(c.Name).node
	case Text:
		return TextLeaf(c.Name).node
	case Int:
		return pq.Encoded(pq.Int(32), &pq.DeltaBinaryPacked)
	case Float:
		return DoubleLeaf(c.Name).node
	case Bool:
		return BoolLeaf(c.Name).node
	}
	return nil
}

// Write appends a block: for each column, in order, what its type takes, all of one length. Nothing of it is kept. A block that does not
// fit the table is refused whole; after any other error the file is lost.
func (t *TableWriter) Write(values ...any) error {
	rows, err := t.check(values)
	if err != nil {
		return fmt.Errorf("writing Parquet: %w", err)
	}
	for from := 0; from < rows; {
		to := min(rows, from+RowGroupRows-t.w.rows)
		for c, v := range values {
			t.write(c, v, from, to)
		}
		t.w.rows, t.rows, from = t.w.rows+to-from, t.rows+int64(to-from), to
		if t.w.rows == RowGroupRows {
			if err := t.w.EndRowGroup(); err != nil {
				return err
			}
		}
	}
	return t.w.err
}

// Rows returns the number of rows written so far.
func (t *TableWriter) Rows() int64 { return t.rows }

// Close writes what is left, and the footer.
func (t *TableWriter) Close() error { return t.w.Close() }

// check returns the rows of a block whose columns are all of their type and of one length.
func (t *TableWriter) check(values []any) (rows int, err error) {
	if len(values) != len(t.columns) {
		return 0, fmt.Errorf("%d columns given for a table of %d", len(values), len(t.columns))
	}
	for c, column := range t.columns {
		var n int
		var given Type
		switch v := values[c].(type) {
		case []calendar.Day:
			n, given = len(v), Date
		case Coded:
			n, given = len(v.Codes), Text
			for _, code := range v.Codes {
				if code < 0 || int(code) >= len(v.Levels) {
					return 0, fmt.Errorf("column %s has the code %d of %d levels", column.Name, code, len(v.Levels))
				}
			}
		case []int32:
			n, given = len(v), Int
		case []float64:
			n, given = len(v), Float
		case []bool:
			n, given = len(v), Bool
		}
		if given != column.Type {
			return 0, fmt.Errorf("column %s does not take a %T", column.Name, values[c])
		}
		if c > 0 && n != rows {
			return 0, fmt.Errorf("column %s has %d rows, those before it %d", column.Name, n, rows)
		}
		rows = n
	}
	return rows, nil
}

func (t *TableWriter) write(c int, values any, from, to int) {
	switch v := values.(type) {
	case []calendar.Day:
		t.w.Days(c, v[from:to])
	case Coded:
		t.w.Codes(c, v.Levels, v.Codes[from:to])
	case []int32:
		if t.columns[c].Nullable {
			null := pq.NullValue().Level(0, 0, c)
			writeColumn(t.w, c, v[from:to], func(x int32) pq.Value {
				if x == NullInt {
					return null
				}
				return pq.Int32Value(x).Level(0, 1, c)
			})
		} else {
			t.w.Ints(c, v[from:to])
		}
	case []float64:
		if t.columns[c].Nullable {
			t.w.NullableDoubles(c, v[from:to])
		} else {
			t.w.Doubles(c, v[from:to])
		}
	case []bool:
		t.w.Bools(c, v[from:to])
	}
}
