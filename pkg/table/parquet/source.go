package parquet

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"math/big"
	"strconv"
	"time"

	pq "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/format"

	"salescast/pkg/calendar"
	"salescast/pkg/table"
)

type source struct {
	table.Reader
	name  string
	f     *pq.File
	names []string
	// leaf is the leaf column of each name, -1 for a nested one.
	leaf  []int
	check pageCheck
}

// Open opens the Parquet file of size bytes in r, which it closes with the source, and otherwise leaves to its caller where it returns an error.
func Open(name string, size int64, r table.Reader) (s table.Source, err error) {
	defer guard(name, &err)
	pf, err := openParquet(r, size, name)
	if err != nil {
		return nil, err
	}
	end, err := checkFooter(r, size)
	if err != nil {
		return nil, err
	}
	t := &source{Reader: r, name: name, f: pf, check: pageCheck{r: r, end: end}}
	for _, c := range pf.Root().Columns() {
		t.names = append(t.names, c.Name())
		if c.Leaf() && !c.Repeated() {
			t.leaf = append(t.leaf, c.Index())
		} else {
			t.leaf = append(t.leaf, -1)
		}
	}
	if pf.NumRows() == 0 {
		return nil, &table.SyntaxError{File: name, Msg: "the file has columns and no rows", Err: table.ErrNoRows, Hint: "a source needs rows"}
	}
	return t, nil
}

// Columns implements [table.Source].
func (t *source) Columns() []string { return t.names }

// Close implements [table.Source].
func (t *source) Close() error {
	t.check.close()
	return t.Reader.Close()
}

// cursor walks the values of one column of a row group.
type cursor struct {
	pages  pq.Pages
	page   pq.Page
	values pq.ValueReader
	buf    []pq.Value
	text   func([]byte, pq.Value) []byte
	number func(pq.Value) float32 // nil if the column is not plainly numeric
}

// next fills buf with up to n values; fewer only at the end of the column.
func (c *cursor) next(n int, each func(pq.Value)) (int, error) {
	got := 0
	for got < n {
		if c.values == nil {
			p, err := c.pages.ReadPage()
			if errors.Is(err, io.EOF) {
				return got, nil
			}
			if err != nil {
				return got, err
			}
			c.page, c.values = p, p.Values()
		}
		k, err := c.values.ReadValues(c.buf[:min(len(c.buf), n-got)])
		for i := range c.buf[:k] {
			each(c.buf[i])
		}
		got += k
		if errors.Is(err, io.EOF) {
			pq.Release(c.page)
			c.page, c.values = nil, nil
		} else if err != nil {
			return got, err
		} else if k == 0 {
			return got, io.ErrNoProgress
		}
	}
	return got, nil
}

func (c *cursor) close() {
	if c.page != nil {
		pq.Release(c.page)
	}
	c.pages.Close()
}

// Blocks implements [table.Source].
func (t *source) Blocks(ctx context.Context, want []table.Column) iter.Seq2[*table.Block, error] {
	return func(yield func(*table.Block, error) bool) {
		at, fixed, err := table.Locate(t.name, t.names, want)
		if err != nil {
			yield(nil, err)
			return
		}
		b := table.NewBuilder(t.name, want)
		b.Raw = func(row int) string { return b.Render(row) }
		var line int64
		for i := range t.f.RowGroups() {
			stop, err := t.rowGroup(ctx, i, b, at, fixed, &line, yield)
			if err != nil {
				yield(nil, err)
				return
			}
			if stop {
				return
			}
		}
	}
}

func (t *source) rowGroup(ctx context.Context, group int, b *table.Builder, at []int, fixed []string, line *int64, yield func(*table.Block, error) bool) (stop bool, err error) {
	left := t.f.RowGroups()[group].NumRows()
	if left < 0 || left > math.MaxInt32 {
		return false, &table.SyntaxError{File: t.name, Msg: fmt.Sprintf("a row group claims %d rows", left), Hint: "write the file again; it may have been overwritten"}
	}
	cursors := make([]*cursor, len(at))
	defer func() {
		for _, c := range cursors {
			if c != nil {
				c.close()
			}
		}
	}()
	for i, a := range at {
		if a < 0 {
			continue
		}
		if cursors[i], err = t.cursor(ctx, group, a); err != nil {
			return false, err
		}
	}
	for left > 0 {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		b.Reset()
		n := int(min(left, table.BlockRows))
		if err := t.fill(b, cursors, fixed, n, line); err != nil {
			return false, err
		}
		if !yield(&b.Block, nil) {
			return true, nil
		}
		left -= int64(n)
	}
	return false, nil
}

func (t *source) cursor(ctx context.Context, group, a int) (c *cursor, err error) {
	defer guard(t.name, &err)
	if t.leaf[a] < 0 {
		return nil, &table.SyntaxError{File: t.name, Column: t.names[a], Msg: "the column is nested", Hint: "write it as a flat column, or name it under data.ignore"}
	}
	rg := t.f.RowGroups()[group]
	chunk := rg.ColumnChunks()[t.leaf[a]]
	text, err := textOf(chunk.Type())
	if err != nil {
		return nil, &table.SyntaxError{File: t.name, Column: t.names[a], Msg: err.Error(), Hint: "write it as text, a number or a date"}
	}
	meta := &t.f.Metadata().RowGroups[group].Columns[t.leaf[a]].MetaData
	if err := t.check.chunk(ctx, meta, rg.NumRows(), t.f.Root().Columns()[a].Optional()); err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		hint := "write the file again; it may have been cut off or overwritten"
		if errors.Is(err, errCodec) {
			hint = "write the file with one of these compressions, or with none"
		}
		return nil, &table.SyntaxError{File: t.name, Column: t.names[a], Msg: "the column cannot be read", Err: err, Hint: hint}
	}
	return &cursor{pages: chunk.Pages(), buf: make([]pq.Value, 512), text: text, number: numberOf(chunk.Type())}, nil
}

// fill reads n rows column by column. Faults of several columns are put in the order of rows.
func (t *source) fill(b *table.Builder, cursors []*cursor, fixed []string, n int, line *int64) (err error) {
	defer guard(t.name, &err)
	for i := range b.Columns {
		b.Rows = 0
		if cursors[i] == nil {
			for range n {
				b.Rows++
				b.Cell(i, []byte(fixed[i]))
			}
			continue
		}
		got, err := cursors[i].next(n, cursors[i].taker(b, i))
		if err != nil {
			return &table.SyntaxError{File: t.name, Column: b.Columns[i].Name, Line: *line + int64(got) + 1, Msg: "the column cannot be read", Err: err, Hint: "write the file again; it may have been cut off or overwritten"}
		}
		if got != n {
			return &table.SyntaxError{File: t.name, Column: b.Columns[i].Name, Line: *line + int64(got) + 1, Msg: "the column ends before the row group does", Hint: "write the file again"}
		}
	}
	b.SortFaults()
	b.Rows = n
	for range n {
		*line++
		b.Lines = append(b.Lines, *line)
	}
	return nil
}

// taker appends values to column i of b: numbers as they are, everything else through the grammar of texts.
func (c *cursor) taker(b *table.Builder, i int) func(pq.Value) {
	if col := &b.Columns[i]; col.Kind == table.Number && c.number != nil {
		return func(v pq.Value) {
			x := float32(math.NaN())
			if !v.IsNull() {
				x = c.number(v)
			}
			col.Numbers = append(col.Numbers, x)
		}
	}
	var text []byte
	return func(v pq.Value) {
		b.Rows++
		text = text[:0]
		if !v.IsNull() {
			text = c.text(text, v)
		}
		b.Cell(i, text)
	}
}

// numberOf returns how plain numeric columns are read, nil for others.
func numberOf(t pq.Type) func(pq.Value) float32 {
	switch l := t.LogicalType(); {
	case t.Kind() == pq.Float:
		return pq.Value.Float
	case t.Kind() == pq.Double:
		return func(v pq.Value) float32 { return float32(v.Double()) }
	case l != nil && !signed(l) || l == nil && t.ConvertedType() != nil:
		return nil
	case t.Kind() == pq.Int32:
		return func(v pq.Value) float32 { return float32(v.Int32()) }
	case t.Kind() == pq.Int64:
		return func(v pq.Value) float32 { return float32(v.Int64()) }
	}
	return nil
}

func signed(l *format.LogicalType) bool {
	i, ok := l.Value.(*format.IntType)
	return ok && i.IsSigned
}

// textOf returns how a column's values are written as text, which the cells' parsers then read: one grammar for all formats.
func textOf(t pq.Type) (func([]byte, pq.Value) []byte, error) {
	if l := t.LogicalType(); l != nil {
		switch l := l.Value.(type) {
		case *format.DateType:
			return dateText, nil
		case *format.TimestampType:
			unit := time.Nanosecond
			switch l.Unit.Value.(type) {
			case *format.MilliSeconds:
				unit = time.Millisecond
			case *format.MicroSeconds:
				unit = time.Microsecond
			}
			return instantText(unit), nil
		case *format.DecimalType:
			return decimal(t.Kind(), l)
		case *format.IntType:
			if !l.IsSigned {
				return unsignedText(t.Kind()), nil
			}
		}
	} else if c := t.ConvertedType(); c != nil { // files of older writers
		switch *c { //nolint:exhaustive // the others read like their physical type
		case deprecated.Date:
			return dateText, nil
		case deprecated.TimestampMillis:
			return instantText(time.Millisecond), nil
		case deprecated.TimestampMicros:
			return instantText(time.Microsecond), nil
		case deprecated.Uint8, deprecated.Uint16, deprecated.Uint32, deprecated.Uint64:
			return unsignedText(t.Kind()), nil
		case deprecated.Decimal:
			return nil, errors.New("the column is a decimal of an older writer, which does not say its scale")
		}
	}
	switch t.Kind() {
	case pq.Boolean:
		return func(b []byte, v pq.Value) []byte { return strconv.AppendBool(b, v.Boolean()) }, nil
	case pq.Int32:
		return func(b []byte, v pq.Value) []byte { return strconv.AppendInt(b, int64(v.Int32()), 10) }, nil
	case pq.Int64:
		return func(b []byte, v pq.Value) []byte { return strconv.AppendInt(b, v.Int64(), 10) }, nil
	case pq.Int96:
		return func(b []byte, v pq.Value) []byte { return appendInt96(b, v.Int96()) }, nil
	case pq.Float:
		return func(b []byte, v pq.Value) []byte { return strconv.AppendFloat(b, float64(v.Float()), 'g', -1, 32) }, nil
	case pq.Double:
		return func(b []byte, v pq.Value) []byte { return strconv.AppendFloat(b, v.Double(), 'g', -1, 64) }, nil
	case pq.ByteArray, pq.FixedLenByteArray:
		return func(b []byte, v pq.Value) []byte { return append(b, v.ByteArray()...) }, nil
	}
	return nil, fmt.Errorf("the column has the type %s, which is not read", t)
}

func dateText(b []byte, v pq.Value) []byte {
	return append(b, calendar.Day(v.Int32()).String()...)
}

func instantText(unit time.Duration) func([]byte, pq.Value) []byte {
	perDay := int64(24 * time.Hour / unit)
	return func(b []byte, v pq.Value) []byte { return appendInstant(b, v.Int64(), perDay) }
}

func unsignedText(k pq.Kind) func([]byte, pq.Value) []byte {
	if k == pq.Int64 {
		return func(b []byte, v pq.Value) []byte { return strconv.AppendUint(b, v.Uint64(), 10) }
	}
	return func(b []byte, v pq.Value) []byte { return strconv.AppendUint(b, uint64(v.Uint32()), 10) }
}

// appendInstant writes midnight as a date, and any other time so that it is no date.
func appendInstant(b []byte, v, perDay int64) []byte {
	d, rest := v/perDay, v%perDay
	if rest < 0 {
		d, rest = d-1, rest+perDay
	}
	if d < math.MinInt32 || d > math.MaxInt32 {
		return append(b, "out of range"...)
	}
	b = append(b, calendar.Day(d).String()...)
	if rest != 0 {
		at := time.Duration(float64(rest) / float64(perDay) * float64(24*time.Hour)).Round(time.Second)
		b = append(b, time.Unix(0, 0).UTC().Add(at).Format("T15:04:05")...)
	}
	return b
}

// appendInt96 writes the timestamps of older writers: nanoseconds of the day, then the Julian day.
func appendInt96(b []byte, v deprecated.Int96) []byte {
	const unixEpoch = 2440588
	nanos := int64(uint64(v[0]) | uint64(v[1])<<32)
	d := int64(v[2]) - unixEpoch
	if nanos < 0 || nanos >= int64(24*time.Hour) || d > math.MaxInt32/2 {
		return append(b, "out of range"...)
	}
	return appendInstant(b, d*int64(24*time.Hour)/1000+nanos/1000, int64(24*time.Hour)/1000)
}

func decimal(kind pq.Kind, d *format.DecimalType) (func([]byte, pq.Value) []byte, error) {
	scale := int(d.Scale)
	if scale < 0 || scale > 38 {
		return nil, fmt.Errorf("the column is a decimal of scale %d", scale)
	}
	div := math.Pow10(scale)
	switch kind {
	case pq.Int32:
		return func(b []byte, v pq.Value) []byte {
			return strconv.AppendFloat(b, float64(v.Int32())/div, 'g', -1, 64)
		}, nil
	case pq.Int64:
		return func(b []byte, v pq.Value) []byte {
			return strconv.AppendFloat(b, float64(v.Int64())/div, 'g', -1, 64)
		}, nil
	default:
		return func(b []byte, v pq.Value) []byte {
			return strconv.AppendFloat(b, bigEndian(v.ByteArray())/div, 'g', -1, 64)
		}, nil
	}
}

// bigEndian reads a two's complement integer of any length.
func bigEndian(b []byte) float64 {
	if len(b) == 8 {
		return float64(int64(binary.BigEndian.Uint64(b)))
	}
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(len(b))*8))
	}
	f, _ := new(big.Float).SetInt(n).Float64()
	return f
}
