package parquet

import (
	"errors"
	"fmt"
	"io"
	"math"

	pq "github.com/parquet-go/parquet-go"

	"salescast/pkg/table"
)

// guard turns a panic of the Parquet library on malformed input into an error.
func guard(file string, err *error) {
	if r := recover(); r != nil {
		*err = &table.SyntaxError{File: file, Msg: fmt.Sprintf("the Parquet file is malformed (%v)", r), Hint: "write the file again; it may have been cut off or overwritten"}
	}
}

func openParquet(r io.ReaderAt, size int64, name string) (f *pq.File, err error) {
	defer guard(name, &err)
	if _, err = checkFooter(r, size); err == nil {
		f, err = pq.OpenFile(r, size, pq.SkipPageIndex(true), pq.SkipBloomFilters(true))
	}
	if err != nil {
		return nil, &table.SyntaxError{File: name, Msg: "this is not a whole Parquet file", Err: err, Hint: "write the file again; it may have been cut off while it was copied"}
	}
	return f, nil
}

// ReaderAt is random access to one table; *bytes.Reader and artifact.ReaderAt are such.
type ReaderAt interface {
	io.ReaderAt
	Size() int64
}

// File is a whole file of flat columns, whose metadata and columns are read by name: the documents of a workspace.
type File struct {
	f *pq.File
}

// OpenFile reads the footer of a file.
func OpenFile(r ReaderAt) (*File, error) {
	f, err := openParquet(r, r.Size(), "")
	return &File{f}, err
}

// Metadata returns what the writer said under a name.
func (f *File) Metadata(name string) (text string, ok bool) { return f.f.Lookup(name) }

// Rows returns the number of rows.
func (f *File) Rows() int64 { return f.f.NumRows() }

// Column finds a column by name, as the methods of Group take it.
func (f *File) Column(name string) (column int, err error) {
	defer guard("", &err)
	for _, c := range f.f.Root().Columns() {
		if c.Name() == name && c.Leaf() {
			return c.Index(), nil
		}
	}
	return 0, &table.SyntaxError{Column: name, Msg: "the table has no such column"}
}

// Groups returns the row groups, in order.
func (f *File) Groups() []Group {
	var out []Group
	for _, g := range f.f.RowGroups() {
		out = append(out, Group{g})
	}
	return out
}

// Group is consecutive rows of a File. Its methods append the values of a column to dst; one of another type is a *table.SyntaxError.
type Group struct {
	g pq.RowGroup
}

// Rows returns the number of rows that the group claims.
func (g Group) Rows() int64 { return g.g.NumRows() }

// IsInt says whether a column holds 32-bit integers, as Ints reads them.
func (g Group) IsInt(column int) bool { return g.chunk(column).Type().Kind() == pq.Int32 }

func (g Group) chunk(column int) pq.ColumnChunk { return g.g.ColumnChunks()[column] }

// eachPage calls fn with the pages of a column chunk.
func eachPage(chunk pq.ColumnChunk, fn func(pq.Page) error) error {
	pages := chunk.Pages()
	defer pages.Close()
	for {
		p, err := pages.ReadPage()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return &table.SyntaxError{Msg: "a page cannot be read", Err: err, Hint: "write the file again; it may have been cut off or overwritten"}
		}
		err = fn(p)
		pq.Release(p)
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

func wrongType(want pq.Kind, got pq.Page) error {
	if got.Type().Kind() != want {
		return &table.SyntaxError{Msg: fmt.Sprintf("the column is %s, not %s", got.Type(), want)}
	}
	return nil
}

// plain returns the pages' own values where they are dictionary-coded too.
func readTyped[T any](chunk pq.ColumnChunk, kind pq.Kind, dst []T, null T, direct func(pq.Page) []T, value func(pq.Value) T) ([]T, error) {
	err := eachPage(chunk, func(p pq.Page) error {
		if err := wrongType(kind, p); err != nil {
			return err
		}
		if p.Dictionary() == nil && direct != nil {
			dst = spread(dst, direct(p), p.DefinitionLevels(), null)
			return nil
		}
		return eachValue(p, func(v pq.Value) {
			if v.IsNull() {
				dst = append(dst, null)
			} else {
				dst = append(dst, value(v))
			}
		})
	})
	return dst, err
}

func eachValue(p pq.Page, fn func(pq.Value)) error {
	var buf [256]pq.Value
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
			return &table.SyntaxError{Msg: "a page cannot be decoded", Err: err}
		}
	}
}

// Floats reads a column of float32, null as NaN.
func (g Group) Floats(column int, dst []float32) (values []float32, err error) {
	defer guard("", &err)
	return readTyped(g.chunk(column), pq.Float, dst, float32(math.NaN()),
		func(p pq.Page) []float32 { d := p.Data(); return d.Float() }, pq.Value.Float)
}

// Doubles reads a column of float64, null as NaN.
func (g Group) Doubles(column int, dst []float64) (values []float64, err error) {
	defer guard("", &err)
	return readTyped(g.chunk(column), pq.Double, dst, math.NaN(),
		func(p pq.Page) []float64 { d := p.Data(); return d.Double() }, pq.Value.Double)
}

// Ints reads a column of 32-bit integers or dates, null as 0.
func (g Group) Ints(column int, dst []int32) (values []int32, err error) {
	defer guard("", &err)
	return readTyped(g.chunk(column), pq.Int32, dst, 0,
		func(p pq.Page) []int32 { d := p.Data(); return d.Int32() }, pq.Value.Int32)
}

// Bools reads a column of booleans, null as false.
func (g Group) Bools(column int, dst []bool) (values []bool, err error) {
	defer guard("", &err)
	return readTyped(g.chunk(column), pq.Boolean, dst, false, nil, pq.Value.Boolean)
}

// Codes reads a text column, each text as the code that code gives for it.
func (g Group) Codes(column int, dst []int32, code func([]byte) (int32, error)) (codes []int32, err error) {
	defer guard("", &err)
	var known []int32 // code by dictionary index
	err = eachPage(g.chunk(column), func(p pq.Page) error {
		if err := wrongType(pq.ByteArray, p); err != nil {
			return err
		}
		dict := p.Dictionary()
		if dict == nil || len(p.DefinitionLevels()) > 0 {
			var inner error
			err := eachValue(p, func(v pq.Value) {
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
				return &table.SyntaxError{Msg: "a dictionary index is out of range"}
			}
			dst = append(dst, known[i])
		}
		return nil
	})
	return dst, err
}
