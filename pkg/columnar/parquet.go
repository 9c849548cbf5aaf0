package columnar

import (
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"salescast/pkg/calendar"
)

// ReaderAt is random access to one table; *bytes.Reader and artifact.ReaderAt are such.
type ReaderAt interface {
	io.ReaderAt
	Size() int64
}

// rowGroupRows bounds the rows of a row group that we write: large enough to compress, small enough to hold many times.
const rowGroupRows = 1 << 16

// chunkRows is how many values are converted at a time, so that the library's 24-byte values stay in the cache.
const chunkRows = 1024

// leaf is one column of a table that we write.
type leaf struct {
	name string
	node parquet.Node
}

func floatLeaf(name string) leaf {
	return leaf{name, parquet.Encoded(parquet.Leaf(parquet.FloatType), &parquet.Plain)}
}

func nullableFloatLeaf(name string) leaf {
	return leaf{name, parquet.Optional(parquet.Encoded(parquet.Leaf(parquet.FloatType), &parquet.Plain))}
}

func doubleLeaf(name string) leaf {
	return leaf{name, parquet.Encoded(parquet.Leaf(parquet.DoubleType), &parquet.Plain)}
}

func nullableDoubleLeaf(name string) leaf {
	return leaf{name, parquet.Optional(parquet.Encoded(parquet.Leaf(parquet.DoubleType), &parquet.Plain))}
}

func textLeaf(name string) leaf {
	return leaf{name, parquet.Encoded(parquet.String(), &parquet.RLEDictionary)}
}

func dateLeaf(name string) leaf {
	return leaf{name, parquet.Encoded(parquet.Date(), &parquet.DeltaBinaryPacked)}
}

func intLeaf(name string, bits int) leaf {
	return leaf{name, parquet.Encoded(parquet.Int(bits), &parquet.RLEDictionary)}
}

func longLeaf(name string) leaf {
	return leaf{name, parquet.Encoded(parquet.Int(64), &parquet.DeltaBinaryPacked)}
}

func boolLeaf(name string) leaf { return leaf{name, parquet.Leaf(parquet.BooleanType)} }

// orderedGroup is a parquet.Group that keeps the order of its columns and takes any name.
type orderedGroup struct {
	parquet.Group
	fields []parquet.Field
}

func (g orderedGroup) Fields() []parquet.Field { return g.fields }
func (g orderedGroup) GoType() reflect.Type    { return reflect.TypeFor[struct{}]() }

type orderedField struct {
	parquet.Node
	name string
}

func (f orderedField) Name() string                      { return f.name }
func (f orderedField) Value(reflect.Value) reflect.Value { return reflect.Value{} }

// tableWriter writes columns of row groups. The first error sticks.
type tableWriter struct {
	w    *parquet.GenericWriter[any]
	buf  []parquet.Value
	rows int // of the open row group
	err  error
}

func newTableWriter(w io.Writer, leaves []leaf) (*tableWriter, error) {
	g := orderedGroup{Group: parquet.Group{}}
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
	pw := parquet.NewGenericWriter[any](w, parquet.NewSchema("salescast", g),
		parquet.Compression(&zstd.Codec{Level: zstd.SpeedFastest}), parquet.CreatedBy("salescast", "1", ""))
	return &tableWriter{w: pw, buf: make([]parquet.Value, chunkRows)}, nil
}

func writeColumn[T any](t *tableWriter, c int, xs []T, value func(T) parquet.Value) {
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

// floats writes a required column; it is the hot path of the design matrix and spelled out.
func (t *tableWriter) floats(c int, xs []float32) {
	if t.err != nil {
		return
	}
	w := t.w.ColumnWriters()[c]
	for len(xs) > 0 {
		n := min(len(xs), len(t.buf))
		for i, x := range xs[:n] {
			t.buf[i] = parquet.FloatValue(x)
		}
		if _, err := w.WriteRowValues(t.buf[:n]); err != nil {
			t.err = fmt.Errorf("writing Parquet column %d: %w", c, err)
			return
		}
		xs = xs[n:]
	}
}

func (t *tableWriter) nullableFloats(c int, xs []float32) {
	null := parquet.NullValue().Level(0, 0, c)
	writeColumn(t, c, xs, func(x float32) parquet.Value {
		if x != x {
			return null
		}
		return parquet.FloatValue(x).Level(0, 1, c)
	})
}

func (t *tableWriter) doubles(c int, xs []float64) { writeColumn(t, c, xs, parquet.DoubleValue) }

func (t *tableWriter) nullableDoubles(c int, xs []float64) {
	null := parquet.NullValue().Level(0, 0, c)
	writeColumn(t, c, xs, func(x float64) parquet.Value {
		if x != x {
			return null
		}
		return parquet.DoubleValue(x).Level(0, 1, c)
	})
}

func (t *tableWriter) days(c int, xs []calendar.Day) {
	writeColumn(t, c, xs, func(d calendar.Day) parquet.Value { return parquet.Int32Value(int32(d)) })
}

func (t *tableWriter) ints(c int, xs []int32) { writeColumn(t, c, xs, parquet.Int32Value) }

func (t *tableWriter) longs(c int, xs []int64) { writeColumn(t, c, xs, parquet.Int64Value) }

func (t *tableWriter) bools(c int, xs []bool) { writeColumn(t, c, xs, parquet.BooleanValue) }

func (t *tableWriter) texts(c int, xs []string) {
	writeColumn(t, c, xs, func(s string) parquet.Value { return parquet.ByteArrayValue([]byte(s)) })
}

// codes writes a text column given as codes into levels.
func (t *tableWriter) codes(c int, levels []string, codes []int32) {
	values := make([]parquet.Value, len(levels))
	for i, l := range levels {
		values[i] = parquet.ByteArrayValue([]byte(l))
	}
	writeColumn(t, c, codes, func(k int32) parquet.Value { return values[k] })
}

// repeat writes one level n times.
func (t *tableWriter) repeat(c int, level string, n int) {
	if t.err != nil {
		return
	}
	v := parquet.ByteArrayValue([]byte(level))
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

// endRowGroup closes the open row group.
func (t *tableWriter) endRowGroup() error {
	if t.err == nil && t.rows > 0 {
		if err := t.w.Flush(); err != nil {
			t.err = fmt.Errorf("writing a Parquet row group: %w", err)
		}
	}
	t.rows = 0
	return t.err
}

func (t *tableWriter) close() error {
	if err := t.endRowGroup(); err != nil {
		return err
	}
	if err := t.w.Close(); err != nil {
		t.err = fmt.Errorf("finishing a Parquet file: %w", err)
		return t.err
	}
	t.err = errors.New("writing Parquet: the writer is closed")
	return nil
}

// SyntaxError is a file that cannot be read as what it is said to be.
type SyntaxError struct {
	File string
	// Line counts from 1, the header included; 0 where the format has no lines. In Parquet it is the row.
	Line int64
	// Column is the name or the place of the column; empty if it is not about one.
	Column string
	Msg    string
	// Hint says what to do.
	Hint string
	Err  error
}

func (e *SyntaxError) Error() string {
	s := e.File
	if e.Line > 0 {
		s += fmt.Sprintf(":%d", e.Line)
	}
	if s != "" {
		s += ": "
	}
	if e.Column != "" {
		s += "column " + e.Column + ": "
	}
	s += e.Msg
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *SyntaxError) Unwrap() error { return e.Err }

// guard turns a panic of the Parquet library on malformed input into an error.
func guard(file string, err *error) {
	if r := recover(); r != nil {
		*err = &SyntaxError{File: file, Msg: fmt.Sprintf("the Parquet file is malformed (%v)", r), Hint: "write the file again; it may have been cut off or overwritten"}
	}
}

func openParquet(r io.ReaderAt, size int64, name string) (f *parquet.File, err error) {
	defer guard(name, &err)
	if _, err = checkFooter(r, size); err == nil {
		f, err = parquet.OpenFile(r, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	}
	if err != nil {
		return nil, &SyntaxError{File: name, Msg: "this is not a whole Parquet file", Err: err, Hint: "write the file again; it may have been cut off while it was copied"}
	}
	return f, nil
}

// columnIndex finds a leaf column of a flat table by name.
func columnIndex(f *parquet.File, name string) (int, error) {
	for _, c := range f.Root().Columns() {
		if c.Name() == name && c.Leaf() {
			return c.Index(), nil
		}
	}
	return 0, &SyntaxError{Column: name, Msg: "the table has no such column"}
}

// eachPage calls fn with the pages of a column chunk.
func eachPage(chunk parquet.ColumnChunk, fn func(parquet.Page) error) error {
	pages := chunk.Pages()
	defer pages.Close()
	for {
		p, err := pages.ReadPage()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return &SyntaxError{Msg: "a page cannot be read", Err: err, Hint: "write the file again; it may have been cut off or overwritten"}
		}
		err = fn(p)
		parquet.Release(p)
		if err != nil {
			return err
		}
	}
}

// spread appends the values of a page to dst, null where its definition level is below the column's.
func spread[T any](dst []T, values []T, levels []byte, null T) []T {
	if len(levels) == 0 {
		return append(dst, values...)
	}
	i := 0
	for _, l := range levels {
		if l == 0 || i >= len(values) {
			dst = append(dst, null)
			continue
		}
		dst = append(dst, values[i])
		i++
	}
	return dst
}

func wrongType(want parquet.Kind, got parquet.Page) error {
	if got.Type().Kind() != want {
		return &SyntaxError{Msg: fmt.Sprintf("the column is %s, not %s", got.Type(), want)}
	}
	return nil
}

// plain returns the pages' own values where they are dictionary-coded too.
func readTyped[T any](chunk parquet.ColumnChunk, kind parquet.Kind, dst []T, null T, direct func(parquet.Page) []T, value func(parquet.Value) T) ([]T, error) {
	err := eachPage(chunk, func(p parquet.Page) error {
		if err := wrongType(kind, p); err != nil {
			return err
		}
		if p.Dictionary() == nil && direct != nil {
			dst = spread(dst, direct(p), p.DefinitionLevels(), null)
			return nil
		}
		return eachValue(p, func(v parquet.Value) {
			if v.IsNull() {
				dst = append(dst, null)
			} else {
				dst = append(dst, value(v))
			}
		})
	})
	return dst, err
}

func eachValue(p parquet.Page, fn func(parquet.Value)) error {
	var buf [256]parquet.Value
	vr := p.Values()
	for {
		n, err := vr.ReadValues(buf[:])
		for i := range buf[:n] {
			fn(buf[i])
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil && n == 0 {
			err = io.ErrNoProgress
		}
		if err != nil {
			return &SyntaxError{Msg: "a page cannot be decoded", Err: err}
		}
	}
}

func readFloats(chunk parquet.ColumnChunk, dst []float32) ([]float32, error) {
	return readTyped(chunk, parquet.Float, dst, float32(math.NaN()),
		func(p parquet.Page) []float32 { d := p.Data(); return d.Float() }, parquet.Value.Float)
}

func readDoubles(chunk parquet.ColumnChunk, dst []float64) ([]float64, error) {
	return readTyped(chunk, parquet.Double, dst, math.NaN(),
		func(p parquet.Page) []float64 { d := p.Data(); return d.Double() }, parquet.Value.Double)
}

func readInts(chunk parquet.ColumnChunk, dst []int32) ([]int32, error) {
	return readTyped(chunk, parquet.Int32, dst, 0,
		func(p parquet.Page) []int32 { d := p.Data(); return d.Int32() }, parquet.Value.Int32)
}

func readBools(chunk parquet.ColumnChunk, dst []bool) ([]bool, error) {
	return readTyped(chunk, parquet.Boolean, dst, false, nil, parquet.Value.Boolean)
}

// readCodes appends the codes of a text column, as code gives them.
func readCodes(chunk parquet.ColumnChunk, dst []int32, code func([]byte) (int32, error)) ([]int32, error) {
	var known []int32 // code by dictionary index
	err := eachPage(chunk, func(p parquet.Page) error {
		if err := wrongType(parquet.ByteArray, p); err != nil {
			return err
		}
		dict := p.Dictionary()
		if dict == nil || len(p.DefinitionLevels()) > 0 {
			var inner error
			err := eachValue(p, func(v parquet.Value) {
				k, err := code(v.ByteArray())
				if err != nil && inner == nil {
					inner = err
				}
				dst = append(dst, k)
			})
			return errors.Join(inner, err)
		}
		for len(known) < dict.Len() {
			k, err := code(dict.Index(int32(len(known))).ByteArray())
			if err != nil {
				return err
			}
			known = append(known, k)
		}
		d := p.Data()
		for _, i := range d.Int32() {
			if i < 0 || int(i) >= len(known) {
				return &SyntaxError{Msg: "a dictionary index is out of range"}
			}
			dst = append(dst, known[i])
		}
		return nil
	})
	return dst, err
}
