package parquet

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"math/big"
	"slices"
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
	leaf    []int
	check   pageCheck
	dialect table.Dialect
	// zones are those of columns that another program kept in a zone, by name.
	zones map[string]*time.Location
}

// Open opens the Parquet file of size bytes in r, which it closes with the source, and otherwise leaves to its caller where it returns an error.
func Open(name string, size int64, r table.Reader, d table.Dialect) (s table.Source, err error) {
	defer guard(name, &err)
	pf, err := openParquet(r, size, name)
	if err != nil {
		return nil, err
	}
	end, err := checkFooter(r, size)
	if err != nil {
		return nil, err
	}
	t := &source{Reader: r, name: name, f: pf, check: pageCheck{r: r, end: end}, dialect: d, zones: pandasZones(pf)}
	columns := pf.Root().Columns()
	if len(columns) > maxColumns {
		return nil, &table.SyntaxError{File: name, Msg: fmt.Sprintf("the file has more than %d columns", maxColumns), Hint: "keep the columns that say something of sales"}
	}
	for _, c := range columns {
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

// maxColumns bounds a schema.
const maxColumns = 10_000

// Typed implements [table.Source].
func (t *source) Typed(column string, kind table.Kind) bool {
	i := slices.Index(t.names, column)
	if i < 0 || t.leaf[i] < 0 {
		return true // reading it says what is wrong
	}
	switch of := t.f.Root().Columns()[i].Type(); kind {
	case table.Number:
		return numberOf(of) != nil
	case table.Date:
		return instantOf(of, time.UTC) != nil
	case table.Text:
	}
	return true
}

// zoneOf is the zone in which the instants of a column are dates: what the dialect says, else that in which pandas kept them, else UTC.
func (t *source) zoneOf(column string) *time.Location {
	if zone, err := t.dialect.Location(); err == nil && zone != nil {
		return zone
	}
	if zone := t.zones[column]; zone != nil {
		return zone
	}
	return time.UTC
}

// pandasZones reads the zones of columns from what pandas writes beside a table. What cannot be read names none.
func pandasZones(f *pq.File) map[string]*time.Location {
	text, _ := f.Lookup("pandas")
	var said struct {
		Columns []struct {
			Name     string `json:"field_name"`
			Metadata struct {
				Timezone string `json:"timezone"`
			} `json:"metadata"`
		} `json:"columns"`
	}
	zones := map[string]*time.Location{}
	if err := json.Unmarshal([]byte(text), &said); err != nil {
		return zones
	}
	for _, c := range said.Columns {
		if zone, err := time.LoadLocation(c.Metadata.Timezone); err == nil && c.Metadata.Timezone != "" && zone != time.Local {
			zones[c.Name] = zone
		}
	}
	return zones
}

// cursor walks the values of one column of a row group.
type cursor struct {
	pages   pq.Pages
	page    pq.Page
	values  pq.ValueReader
	buf     []pq.Value
	text    func([]byte, pq.Value) []byte
	number  func(pq.Value) float64 // nil where the column is not numeric
	instant instant                // nil where it has no times
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
		b := table.NewBuilder(t.name, want, t.dialect)
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
	text, err := textOf(chunk.Type(), t.zoneOf(t.names[a]))
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
	return &cursor{pages: chunk.Pages(), buf: make([]pq.Value, 512), text: text, number: numberOf(chunk.Type()), instant: instantOf(chunk.Type(), t.zoneOf(t.names[a]))}, nil
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

// taker appends values to column i of b: numbers and times as they are, everything else as text.
func (c *cursor) taker(b *table.Builder, i int) func(pq.Value) {
	col := &b.Columns[i]
	var text []byte
	asText := func(v pq.Value) {
		text = text[:0]
		if !v.IsNull() {
			text = c.text(text, v)
		}
		b.Cell(i, text)
	}
	switch {
	case col.Kind == table.Number && c.number != nil:
		return func(v pq.Value) {
			x := float32(math.NaN())
			if !v.IsNull() {
				x = float32(c.number(v))
			}
			col.Numbers = append(col.Numbers, x)
		}
	case col.Kind == table.Date && c.instant != nil:
		return func(v pq.Value) {
			b.Rows++
			if d, clock, ok := c.instant(v); ok && !v.IsNull() {
				b.Time(i, d, clock)
			} else {
				asText(v)
			}
		}
	}
	return func(v pq.Value) {
		b.Rows++
		asText(v)
	}
}

// numberOf returns how numeric columns are read, nil for others.
func numberOf(t pq.Type) func(pq.Value) float64 {
	if l := t.LogicalType(); l != nil {
		switch l := l.Value.(type) {
		case *format.DecimalType:
			return decimal(t.Kind(), l)
		case *format.IntType:
			if !l.IsSigned && t.Kind() == pq.Int64 {
				return func(v pq.Value) float64 { return float64(v.Uint64()) }
			}
			if !l.IsSigned {
				return func(v pq.Value) float64 { return float64(v.Uint32()) }
			}
		case *format.DateType, *format.TimestampType, *format.TimeType, *format.StringType, *format.EnumType, *format.JsonType, *format.BsonType, *format.UUIDType:
			return nil
		}
	} else if c := t.ConvertedType(); c != nil { // files of older writers
		switch *c { //nolint:exhaustive // the others read like their physical type
		case deprecated.Date, deprecated.TimestampMillis, deprecated.TimestampMicros, deprecated.Decimal, deprecated.TimeMillis, deprecated.TimeMicros:
			return nil
		case deprecated.Uint8, deprecated.Uint16, deprecated.Uint32:
			return func(v pq.Value) float64 { return float64(v.Uint32()) }
		case deprecated.Uint64:
			return func(v pq.Value) float64 { return float64(v.Uint64()) }
		}
	}
	switch t.Kind() {
	case pq.Float:
		return func(v pq.Value) float64 { return float64(v.Float()) }
	case pq.Double:
		return pq.Value.Double
	case pq.Int32:
		return func(v pq.Value) float64 { return float64(v.Int32()) }
	case pq.Int64:
		return func(v pq.Value) float64 { return float64(v.Int64()) }
	case pq.Boolean:
		return func(v pq.Value) float64 {
			if v.Boolean() {
				return 1
			}
			return 0
		}
	case pq.Int96, pq.ByteArray, pq.FixedLenByteArray:
	}
	return nil
}

// instant is a civil date and the second of its day; ok is false where there is none that far.
type instant func(pq.Value) (d calendar.Day, clock int32, ok bool)

// instantOf returns how columns of dates and times are read, nil for others. Those that are instants in UTC are told as the clocks of zone.
func instantOf(t pq.Type, zone *time.Location) instant {
	if l := t.LogicalType(); l != nil {
		switch l := l.Value.(type) {
		case *format.DateType:
			return dateOf
		case *format.TimestampType:
			if !l.IsAdjustedToUTC {
				zone = time.UTC
			}
			switch l.Unit.Value.(type) {
			case *format.MilliSeconds:
				return instantIn(1e3, zone)
			case *format.MicroSeconds:
				return instantIn(1e6, zone)
			}
			return instantIn(1e9, zone)
		}
		return nil
	}
	if c := t.ConvertedType(); c != nil { // files of older writers
		switch *c { //nolint:exhaustive // the others are no times
		case deprecated.Date:
			return dateOf
		case deprecated.TimestampMillis:
			return instantIn(1e3, zone)
		case deprecated.TimestampMicros:
			return instantIn(1e6, zone)
		}
		return nil
	}
	if t.Kind() == pq.Int96 {
		return func(v pq.Value) (calendar.Day, int32, bool) {
			const unixEpoch = 2440588 // as a Julian day
			x := v.Int96()            // nanoseconds of the day, then the Julian day
			nanos, day := int64(uint64(x[0])|uint64(x[1])<<32), int64(x[2])-unixEpoch
			if nanos < 0 || nanos >= int64(24*time.Hour) || day > math.MaxInt32/2 {
				return 0, 0, false
			}
			return civil(day*86400+nanos/1e9, zone)
		}
	}
	return nil
}

func dateOf(v pq.Value) (calendar.Day, int32, bool) { return calendar.Day(v.Int32()), 0, true }

func instantIn(perSecond int64, zone *time.Location) instant {
	return func(v pq.Value) (calendar.Day, int32, bool) {
		n := v.Int64()
		seconds := n / perSecond
		if n%perSecond < 0 {
			seconds--
		}
		return civil(seconds, zone)
	}
}

// civil is the date and second of the day that a clock in zone shows at an instant.
func civil(seconds int64, zone *time.Location) (calendar.Day, int32, bool) {
	if seconds < -1<<40 || seconds > 1<<40 {
		return 0, 0, false
	}
	if zone != time.UTC {
		_, east := time.Unix(seconds, 0).In(zone).Zone()
		seconds += int64(east)
	}
	d, clock := seconds/86400, seconds%86400
	if clock < 0 {
		d, clock = d-1, clock+86400
	}
	return calendar.Day(d), int32(clock), true
}

// textOf returns how a column's values are written as text.
func textOf(t pq.Type, zone *time.Location) (func([]byte, pq.Value) []byte, error) {
	if at := instantOf(t, zone); at != nil {
		return func(b []byte, v pq.Value) []byte {
			d, clock, ok := at(v)
			if !ok {
				return append(b, "out of range"...)
			}
			b = append(b, d.String()...)
			if clock != 0 {
				b = fmt.Appendf(b, "T%02d:%02d:%02d", clock/3600, clock/60%60, clock%60)
			}
			return b
		}, nil
	}
	if c := t.ConvertedType(); t.LogicalType() == nil && c != nil && *c == deprecated.Decimal {
		return nil, errors.New("the column is a decimal of an older writer, which does not say its scale")
	}
	switch t.Kind() {
	case pq.Boolean:
		return func(b []byte, v pq.Value) []byte { return strconv.AppendBool(b, v.Boolean()) }, nil
	case pq.ByteArray, pq.FixedLenByteArray:
		if number := numberOf(t); number == nil {
			return func(b []byte, v pq.Value) []byte { return append(b, v.ByteArray()...) }, nil
		}
	case pq.Int32, pq.Int64, pq.Int96, pq.Float, pq.Double:
	}
	number := numberOf(t)
	if number == nil {
		return nil, fmt.Errorf("the column has the type %s, which is not read", t)
	}
	switch t.LogicalType() {
	case nil:
		if t.Kind() == pq.Int64 && t.ConvertedType() == nil {
			return func(b []byte, v pq.Value) []byte { return strconv.AppendInt(b, v.Int64(), 10) }, nil
		}
	default:
		if l, ok := t.LogicalType().Value.(*format.IntType); ok && t.Kind() == pq.Int64 {
			return integer(l.IsSigned), nil
		}
	}
	bits := 64
	if t.Kind() == pq.Float {
		bits = 32
	}
	return func(b []byte, v pq.Value) []byte {
		x := number(v)
		if x == math.Trunc(x) && math.Abs(x) < 1e15 {
			return strconv.AppendFloat(b, x, 'f', -1, bits)
		}
		return strconv.AppendFloat(b, x, 'g', -1, bits)
	}, nil
}

// integer writes integers of 64 bits, which a float64 need not hold.
func integer(signed bool) func([]byte, pq.Value) []byte {
	if signed {
		return func(b []byte, v pq.Value) []byte { return strconv.AppendInt(b, v.Int64(), 10) }
	}
	return func(b []byte, v pq.Value) []byte { return strconv.AppendUint(b, v.Uint64(), 10) }
}

// decimal reads numbers of a fixed scale, nil where it is none that is written.
func decimal(kind pq.Kind, d *format.DecimalType) func(pq.Value) float64 {
	if d.Scale < 0 || d.Scale > 38 {
		return nil
	}
	div := math.Pow10(int(d.Scale))
	switch kind {
	case pq.Int32:
		return func(v pq.Value) float64 { return float64(v.Int32()) / div }
	case pq.Int64:
		return func(v pq.Value) float64 { return float64(v.Int64()) / div }
	default:
		return func(v pq.Value) float64 { return bigEndian(v.ByteArray()) / div }
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
