package parquet

import (
	"errors"
	"fmt"
	"io"
	"reflect"

	pq "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"salescast/pkg/calendar"
)

// RowGroupRows bounds the rows of a row group that we write: large enough to compress, small enough to hold many times.
const RowGroupRows = 1 << 16

// chunkRows is how many values are converted at a time, so that the library's 24-byte values stay in the cache.
const chunkRows = 1024

// Leaf is one column of a table that we write.
type Leaf struct {
	name string
	node pq.Node
}

// FloatLeaf is a column of 32-bit floats, NaN among them.
func FloatLeaf(name string) Leaf {
	return Leaf{name, pq.Encoded(pq.Leaf(pq.FloatType), &pq.Plain)}
}

// NullableFloatLeaf is one in which NaN is written as null.
func NullableFloatLeaf(name string) Leaf {
	return Leaf{name, pq.Optional(pq.Encoded(pq.Leaf(pq.FloatType), &pq.Plain))}
}

// DoubleLeaf is a column of 64-bit floats, NaN among them.
func DoubleLeaf(name string) Leaf {
	return Leaf{name, pq.Encoded(pq.Leaf(pq.DoubleType), &pq.Plain)}
}

// NullableDoubleLeaf is one in which NaN is written as null.
func NullableDoubleLeaf(name string) Leaf {
	return Leaf{name, pq.Optional(pq.Encoded(pq.Leaf(pq.DoubleType), &pq.Plain))}
}

// TextLeaf is a column of UTF-8 texts, with a dictionary.
func TextLeaf(name string) Leaf {
	return Leaf{name, pq.Encoded(pq.String(), &pq.RLEDictionary)}
}

// DateLeaf is a column of days.
func DateLeaf(name string) Leaf {
	return Leaf{name, pq.Encoded(pq.Date(), &pq.DeltaBinaryPacked)}
}

// IntLeaf is a column of signed integers of 8, 16 or 32 bits, with a dictionary.
func IntLeaf(name string, bits int) Leaf {
	return Leaf{name, pq.Encoded(pq.Int(bits), &pq.RLEDictionary)}
}

// LongLeaf is a column of 64-bit integers.
func LongLeaf(name string) Leaf {
	return Leaf{name, pq.Encoded(pq.Int(64), &pq.DeltaBinaryPacked)}
}

// BoolLeaf is a column of truth values.
func BoolLeaf(name string) Leaf { return Leaf{name, pq.Leaf(pq.BooleanType)} }

// orderedGroup is a pq.Group that keeps the order of its columns and takes any name.
type orderedGroup struct {
	pq.Group
	fields []pq.Field
}

func (g orderedGroup) Fields() []pq.Field   { return g.fields }
func (g orderedGroup) GoType() reflect.Type { return reflect.TypeFor[struct{}]() }

type orderedField struct {
	pq.Node
	name string
}

func (f orderedField) Name() string                      { return f.name }
func (f orderedField) Value(reflect.Value) reflect.Value { return reflect.Value{} }

// Writer writes columns of row groups: every column of the rows at hand by the method of its type, then Added with their number. The first
// error sticks. The same calls give the same bytes.
type Writer struct {
	w    *pq.GenericWriter[any]
	buf  []pq.Value
	rows int // of the open row group
	err  error
}

// Room is how many rows the open row group still takes; it is never negative.
func (t *Writer) Room() int { return max(0, RowGroupRows-t.rows) }

// Empty says whether the open row group has no rows yet.
func (t *Writer) Empty() bool { return t.rows == 0 }

// Added counts rows whose columns were all written.
func (t *Writer) Added(rows int) { t.rows += rows }

// Err is the first error.
func (t *Writer) Err() error { return t.err }

// SetMetadata puts a text under a name into the footer.
func (t *Writer) SetMetadata(name, text string) { t.w.SetKeyValueMetadata(name, text) }

// NewWriter writes to w a table with these columns, in their order; names are neither empty nor given twice.
func NewWriter(w io.Writer, leaves []Leaf) (*Writer, error) {
	g := orderedGroup{Group: pq.Group{}}
	for _, l := range leaves {
		if l.name == "" {
			return nil, errors.New("writing Parquet: a column has no name")
		}
		if _, twice := g.Group[l.name]; twice {
			return nil, fmt.Errorf("writing Parquet: two columns are named %q", l.name)
		}
		g.Group[l.name] = l.node
		g.fields = append(g.fields, orderedField{l.node, l.name})
	}
	pw := pq.NewGenericWriter[any](w, pq.NewSchema("salescast", g),
		pq.Compression(&zstd.Codec{Level: zstd.SpeedFastest}), pq.CreatedBy("salescast", "1", ""))
	return &Writer{w: pw, buf: make([]pq.Value, chunkRows)}, nil
}

func writeColumn[T any](t *Writer, c int, xs []T, value func(T) pq.Value) {
	if t.err != nil {
		return
	}
	w := t.w.ColumnWriters()[c]
	for len(xs) > 0 {
		n := min(len(xs), len(t.buf))
		for i, x := range xs[:n] {
			t.buf[i] = value(x)
		}
		if _, err := w.WriteRowValues(t.buf[:n]); err != nil {
			t.err = fmt.Errorf("writing Parquet column %d: %w", c, err)
			return
		}
		xs = xs[n:]
	}
}

// Floats writes a required column; it is the hot path of the design matrix and spelled out.
func (t *Writer) Floats(c int, xs []float32) {
	if t.err != nil {
		return
	}
	w := t.w.ColumnWriters()[c]
	for len(xs) > 0 {
		n := min(len(xs), len(t.buf))
		for i, x := range xs[:n] {
			t.buf[i] = pq.FloatValue(x)
		}
		if _, err := w.WriteRowValues(t.buf[:n]); err != nil {
			t.err = fmt.Errorf("writing Parquet column %d: %w", c, err)
			return
		}
		xs = xs[n:]
	}
}

// NullableFloats writes a column of [NullableFloatLeaf].
func (t *Writer) NullableFloats(c int, xs []float32) {
	null := pq.NullValue().Level(0, 0, c)
	writeColumn(t, c, xs, func(x float32) pq.Value {
		if x != x {
			return null
		}
		return pq.FloatValue(x).Level(0, 1, c)
	})
}

// Doubles writes a column of [DoubleLeaf].
func (t *Writer) Doubles(c int, xs []float64) { writeColumn(t, c, xs, pq.DoubleValue) }

// NullableDoubles writes a column of [NullableDoubleLeaf].
func (t *Writer) NullableDoubles(c int, xs []float64) {
	null := pq.NullValue().Level(0, 0, c)
	writeColumn(t, c, xs, func(x float64) pq.Value {
		if x != x {
			return null
		}
		return pq.DoubleValue(x).Level(0, 1, c)
	})
}

// Days writes a column of [DateLeaf].
func (t *Writer) Days(c int, xs []calendar.Day) {
	writeColumn(t, c, xs, func(d calendar.Day) pq.Value { return pq.Int32Value(int32(d)) })
}

// Ints writes a column of [IntLeaf].
func (t *Writer) Ints(c int, xs []int32) { writeColumn(t, c, xs, pq.Int32Value) }

// Longs writes a column of [LongLeaf].
func (t *Writer) Longs(c int, xs []int64) { writeColumn(t, c, xs, pq.Int64Value) }

// Bools writes a column of [BoolLeaf].
func (t *Writer) Bools(c int, xs []bool) { writeColumn(t, c, xs, pq.BooleanValue) }

// Texts writes a column of [TextLeaf].
func (t *Writer) Texts(c int, xs []string) {
	writeColumn(t, c, xs, func(s string) pq.Value { return pq.ByteArrayValue([]byte(s)) })
}

// Codes writes a text column given as codes into levels.
func (t *Writer) Codes(c int, levels []string, codes []int32) {
	values := make([]pq.Value, len(levels))
	for i, l := range levels {
		values[i] = pq.ByteArrayValue([]byte(l))
	}
	writeColumn(t, c, codes, func(k int32) pq.Value { return values[k] })
}

// Repeat writes one level n times.
func (t *Writer) Repeat(c int, level string, n int) {
	if t.err != nil {
		return
	}
	v := pq.ByteArrayValue([]byte(level))
	for i := range min(n, len(t.buf)) {
		t.buf[i] = v
	}
	w := t.w.ColumnWriters()[c]
	for n > 0 {
		k := min(n, len(t.buf))
		if _, err := w.WriteRowValues(t.buf[:k]); err != nil {
			t.err = fmt.Errorf("writing Parquet column %d: %w", c, err)
			return
		}
		n -= k
	}
}

// EndRowGroup closes the open row group.
func (t *Writer) EndRowGroup() error {
	if t.err == nil && t.rows > 0 {
		if err := t.w.Flush(); err != nil {
			t.err = fmt.Errorf("writing a Parquet row group: %w", err)
		}
	}
	t.rows = 0
	return t.err
}

// Close ends the file; the writer below stays open.
func (t *Writer) Close() error {
	if err := t.EndRowGroup(); err != nil {
		return err
	}
	if err := t.w.Close(); err != nil {
		t.err = fmt.Errorf("finishing a Parquet file: %w", err)
		return t.err
	}
	t.err = errors.New("writing Parquet: the writer is closed")
	return nil
}
