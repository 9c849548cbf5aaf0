package columnar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
	"salescast/pkg/table"
	"salescast/pkg/table/parquet"
)

const frameKey = "salescast.frame"

// FrameColumn is one column of a design matrix.
type FrameColumn struct {
	Name string `json:"name"`
	// Int16 columns hold whole numbers of 16 bits and no NaN, such as the day of the week; others are float32, NaN where missing.
	Int16 bool `json:"int16,omitempty"`
}

// FrameSchema says what the columns of a design matrix are.
type FrameSchema struct {
	Keys    []string      `json:"keys"`
	Columns []FrameColumn `json:"columns"`
}

// FrameBlock is some rows of a design matrix.
type FrameBlock struct {
	// Levels and Codes are per key column; Codes has one code per row.
	Levels [][]string
	Codes  [][]int32
	Dates  []calendar.Day
	Frame  *panel.Frame
}

// FrameWriter writes a design matrix: the keys, date, then the columns.
type FrameWriter struct {
	t      *parquet.Writer
	schema FrameSchema
	ints   []int32
	rows   int64
}

// NewFrameWriter starts a design matrix on w.
func NewFrameWriter(w io.Writer, s FrameSchema) (*FrameWriter, error) {
	var leaves []parquet.Leaf
	for _, k := range s.Keys {
		leaves = append(leaves, parquet.TextLeaf(k))
	}
	leaves = append(leaves, parquet.DateLeaf(free(dateColumn, s.Keys)))
	for _, c := range s.Columns {
		if c.Int16 {
			leaves = append(leaves, parquet.IntLeaf(c.Name, 16))
		} else {
			leaves = append(leaves, parquet.FloatLeaf(c.Name))
		}
	}
	t, err := parquet.NewWriter(w, leaves)
	if err != nil {
		return nil, fmt.Errorf("starting a design matrix: %w", err)
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("starting a design matrix: %w", err)
	}
	t.SetMetadata(frameKey, string(text))
	return &FrameWriter{t: t, schema: s}, nil
}

// Rows returns the number of rows written.
func (w *FrameWriter) Rows() int64 { return w.rows }

// Write appends the rows of a block, whose frame has the writer's columns in their order. Row groups are closed as they fill; a caller
// that writes blocks of about 64,000 rows gets one row group for each.
func (w *FrameWriter) Write(b *FrameBlock) error {
	n := b.Frame.Rows
	if len(b.Frame.Names) != len(w.schema.Columns) || len(b.Dates) != n || len(b.Codes) != len(w.schema.Keys) || len(b.Levels) != len(w.schema.Keys) {
		return errors.New("writing a design matrix: the block's columns are not those of the file")
	}
	for lo := 0; lo < n; {
		hi := min(n, lo+w.t.Room())
		if err := w.write(b, lo, hi); err != nil {
			return err
		}
		lo = hi
		if w.t.Room() == 0 {
			if err := w.t.EndRowGroup(); err != nil {
				return err
			}
		}
	}
	return w.t.Err()
}

func (w *FrameWriter) write(b *FrameBlock, lo, hi int) error {
	t, k := w.t, len(w.schema.Keys)
	for i := range k {
		if len(b.Codes[i]) != b.Frame.Rows {
			return fmt.Errorf("writing a design matrix: key %s has %d of %d rows", w.schema.Keys[i], len(b.Codes[i]), b.Frame.Rows)
		}
		for a := lo; a < hi; { // rows come series by series: long runs of one code
			e := a + 1
			for e < hi && b.Codes[i][e] == b.Codes[i][a] {
				e++
			}
			t.Repeat(i, b.Levels[i][b.Codes[i][a]], e-a)
			a = e
		}
	}
	t.Days(k, b.Dates[lo:hi])
	for c, col := range w.schema.Columns {
		x := b.Frame.Column(c)[lo:hi]
		if !col.Int16 {
			t.Floats(k+1+c, x)
			continue
		}
		w.ints = w.ints[:0]
		for _, v := range x {
			i := int32(v)
			if float32(i) != v || i < math.MinInt16 || i > math.MaxInt16 {
				return fmt.Errorf("writing a design matrix: column %s holds %v, which is no 16-bit whole number", col.Name, v)
			}
			w.ints = append(w.ints, i)
		}
		t.Ints(k+1+c, w.ints)
	}
	t.Added(hi - lo)
	w.rows += int64(hi - lo)
	return t.Err()
}

// Close writes what is buffered and the file's end; it does not close the underlying writer.
func (w *FrameWriter) Close() error { return w.t.Close() }

func openFrame(r parquet.ReaderAt) (f *parquet.File, s FrameSchema, err error) {
	if f, err = parquet.OpenFile(r); err != nil {
		return nil, s, fmt.Errorf("opening a design matrix: %w", err)
	}
	text, ok := f.Metadata(frameKey)
	if !ok {
		return nil, s, &table.SyntaxError{Msg: "this Parquet file is not a design matrix: it has no metadata " + frameKey, Hint: "make it with: salescast featurize"}
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return nil, s, &table.SyntaxError{Msg: "the design matrix's metadata cannot be read", Err: err}
	}
	return f, s, nil
}

// Frames streams a design matrix row group by row group: the named columns, or all where names is nil. A block is valid until the next.
func Frames(ctx context.Context, r parquet.ReaderAt, names []string) iter.Seq2[*FrameBlock, error] {
	return func(yield func(*FrameBlock, error) bool) {
		f, s, err := openFrame(r)
		if err != nil {
			yield(nil, err)
			return
		}
		if names == nil {
			for _, c := range s.Columns {
				names = append(names, c.Name)
			}
		}
		d := &frameReader{schema: s, block: FrameBlock{Frame: &panel.Frame{Names: names}, Levels: make([][]string, len(s.Keys)), Codes: make([][]int32, len(s.Keys))}, dict: make([]panel.Dictionary, len(s.Keys))}
		for _, n := range slices.Concat(s.Keys, []string{free(dateColumn, s.Keys)}, names) {
			i, err := f.Column(n)
			if err != nil {
				yield(nil, fmt.Errorf("opening a design matrix: %w", err))
				return
			}
			d.column = append(d.column, i)
		}
		for _, rg := range f.Groups() {
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return
			}
			if err := d.read(rg); err != nil {
				yield(nil, fmt.Errorf("reading a design matrix: %w", err))
				return
			}
			if !yield(&d.block, nil) {
				return
			}
		}
	}
}

type frameReader struct {
	schema FrameSchema
	column []int
	dict   []panel.Dictionary
	block  FrameBlock
	ints   []int32
}

func (d *frameReader) read(rg parquet.Group) (err error) {
	b, k := &d.block, len(d.schema.Keys)
	for i := range k {
		if b.Codes[i], err = rg.Codes(d.column[i], b.Codes[i][:0], func(text []byte) (int32, error) { return d.dict[i].Code(text), nil }); err != nil {
			return err
		}
		b.Levels[i] = d.dict[i].Values()
	}
	if d.ints, err = rg.Ints(d.column[k], d.ints[:0]); err != nil {
		return err
	}
	b.Dates = b.Dates[:0]
	for _, x := range d.ints {
		b.Dates = append(b.Dates, calendar.Day(x))
	}
	n := len(b.Dates)
	b.Frame.Resize(n)
	for c := range b.Frame.Names {
		column, dst := d.column[k+1+c], b.Frame.Column(c)
		if rg.IsInt(column) {
			if d.ints, err = rg.Ints(column, d.ints[:0]); err != nil {
				return err
			}
			if len(d.ints) != n {
				return shortColumn(n, len(d.ints))
			}
			for i, x := range d.ints {
				dst[i] = float32(x)
			}
			continue
		}
		got, err := rg.Floats(column, dst[:0:n])
		if err != nil {
			return err
		}
		if len(got) != n {
			return shortColumn(n, len(got))
		}
	}
	return nil
}
