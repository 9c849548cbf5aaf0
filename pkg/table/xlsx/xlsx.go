// Package xlsx reads a sheet of an Excel workbook as a table; it alone imports the library of workbooks.
package xlsx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/xuri/excelize/v2"

	"salescast/pkg/table"
)

// The bounds of a workbook. The library holds the texts of all cells that more than one cell has.
const (
	maxFile     = 256 << 20
	maxUnzipped = 2 << 30
	// inMemory is how much of a sheet is unpacked in memory; a larger one is in a temporary file while it is read.
	inMemory   = 16 << 20
	maxColumns = 20_000
)

// Source is a sheet. Its first row that is not empty names the columns; cells have their values, not how they are shown, so that dates are
// the serial numbers of days that [table.Excel] is.
type Source struct {
	name    string
	book    *excelize.File
	file    io.Closer
	sheet   string
	names   []string
	header  int // the row of the names, from 1
	dialect table.Dialect
}

// Open reads the workbook in r, which it closes with the source, and otherwise leaves to its caller where it returns an error. The sheet is
// d's, or the only one with cells; more are a [*table.Question].
func Open(name string, size int64, r table.Reader, d table.Dialect) (*Source, error) {
	bad := func(err error, msg, hint string) error {
		return &table.SyntaxError{File: name, Msg: msg, Hint: hint, Err: err}
	}
	if size > maxFile {
		return nil, bad(nil, fmt.Sprintf("the workbook has %d MB, and at most %d are read", size>>20, maxFile>>20), "save the sheet as CSV, which has no such bound")
	}
	book, err := excelize.OpenReader(io.NewSectionReader(r, 0, size), excelize.Options{RawCellValue: true, UnzipSizeLimit: maxUnzipped, UnzipXMLSizeLimit: inMemory})
	if err != nil {
		return nil, bad(err, "the workbook cannot be read", "save the sheet as CSV UTF-8; a workbook with a password is not read")
	}
	s := &Source{name: name, book: book, file: r, dialect: d}
	if err := s.choose(d.Sheet); err != nil {
		book.Close()
		return nil, err
	}
	if p, err := book.GetWorkbookProps(); err == nil && p.Date1904 != nil && *p.Date1904 {
		book.Close()
		return nil, bad(nil, "the workbook counts its days from 1904", "save the sheet as CSV UTF-8")
	}
	return s, nil
}

// choose finds the sheet and its header.
func (s *Source) choose(sheet string) error {
	all := s.book.GetSheetList()
	if sheet != "" {
		if !slices.Contains(all, sheet) {
			return &table.Question{File: s.name, Msg: fmt.Sprintf("there is no sheet %q", sheet), Hint: "it has " + strings.Join(all, ", ")}
		}
		all = []string{sheet}
	}
	var filled []string
	for _, one := range all {
		names, row, err := s.first(one)
		if err != nil {
			return err
		}
		if len(names) == 0 {
			continue
		}
		if filled = append(filled, one); len(filled) == 1 {
			s.sheet, s.names, s.header = one, names, row
		}
	}
	switch {
	case len(filled) == 0:
		return &table.SyntaxError{File: s.name, Msg: "no sheet has a cell", Hint: "a source needs a header line and rows"}
	case len(filled) > 1:
		return &table.Question{File: s.name, Msg: "more than one sheet has cells: " + strings.Join(filled, ", "), Hint: fmt.Sprintf("set data.csv to {sheet: %q}, or another", filled[0])}
	}
	for i, n := range s.names {
		switch {
		case n == "" && i > 0:
			return &table.SyntaxError{File: s.name, Line: int64(s.header), Msg: fmt.Sprintf("column %d has no name", i+1), Hint: "name it in the first row of the sheet, or delete it"}
		case n != "" && slices.Contains(s.names[:i], n):
			return &table.SyntaxError{File: s.name, Line: int64(s.header), Column: n, Msg: "two columns have this name", Hint: "rename one of them"}
		}
	}
	return nil
}

// first is the first row of a sheet that is not empty, and its number.
func (s *Source) first(sheet string) (names []string, at int, err error) {
	rows, err := s.book.Rows(sheet)
	if err != nil {
		return nil, 0, nil // a sheet of charts has no rows
	}
	defer rows.Close()
	for n := 1; rows.Next(); n++ {
		cells, err := rows.Columns()
		if err != nil {
			return nil, 0, s.broken(n, err)
		}
		for len(cells) > 0 && strings.TrimSpace(cells[len(cells)-1]) == "" {
			cells = cells[:len(cells)-1]
		}
		if len(cells) > maxColumns {
			return nil, 0, &table.SyntaxError{File: s.name, Line: int64(n), Msg: fmt.Sprintf("the header has more than %d columns", maxColumns), Hint: "keep the columns that say something of sales"}
		}
		if len(cells) > 0 {
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			return cells, n, nil
		}
	}
	return nil, 0, nil
}

func (s *Source) broken(row int, err error) error {
	return &table.SyntaxError{File: s.name, Line: int64(row), Msg: "the sheet cannot be read", Err: err, Hint: "save it as CSV UTF-8"}
}

// Index says whether the first column, which has no name and counts the rows, is passed over.
func (s *Source) Index() bool { return s.names[0] == "" }

// Dialect is what was given, and the sheet.
func (s *Source) Dialect() table.Dialect {
	d := s.dialect
	d.Sheet = s.sheet
	return d
}

// Columns implements [table.Source].
func (s *Source) Columns() []string {
	if s.Index() {
		return s.names[1:]
	}
	return s.names
}

// Typed implements [table.Source]: a number is written with a point whatever is shown.
func (s *Source) Typed(string, table.Kind) bool { return false }

// Close implements [table.Source].
func (s *Source) Close() error { return errors.Join(s.book.Close(), s.file.Close()) }

// Blocks implements [table.Source]. Rows without a cell are passed over.
func (s *Source) Blocks(ctx context.Context, want []table.Column) iter.Seq2[*table.Block, error] {
	return func(yield func(*table.Block, error) bool) {
		at, fixed, err := table.Locate(s.name, s.Columns(), want)
		if err != nil {
			yield(nil, err)
			return
		}
		for i := range at {
			if at[i] >= 0 && s.Index() {
				at[i]++
			}
		}
		rows, err := s.book.Rows(s.sheet)
		if err != nil {
			yield(nil, s.broken(0, err))
			return
		}
		defer rows.Close()
		b := table.NewBuilder(s.name, want, s.dialect)
		texts, found := make([][]byte, len(want)), false
		for n := 1; rows.Next(); n++ {
			cells, err := rows.Columns()
			if err != nil {
				if b.Rows > 0 && !yield(&b.Block, nil) {
					return
				}
				yield(nil, s.broken(n, err))
				return
			}
			if n <= s.header || !slices.ContainsFunc(cells, func(c string) bool { return c != "" }) {
				continue
			}
			found = true
			b.Begin(int64(n), raw(cells))
			for i, a := range at {
				switch {
				case a < 0:
					texts[i] = []byte(fixed[i])
				case a < len(cells): // a row ends with its last cell that is not empty
					texts[i] = []byte(cells[a])
				default:
					texts[i] = nil
				}
			}
			b.Row(texts)
			if b.Rows == table.BlockRows {
				if err := ctx.Err(); err != nil {
					yield(nil, err)
					return
				}
				if !yield(&b.Block, nil) {
					return
				}
				b.Reset()
			}
		}
		if err := rows.Error(); err != nil {
			yield(nil, s.broken(0, err))
			return
		}
		if !found {
			yield(nil, &table.SyntaxError{File: s.name, Msg: "the sheet has a header and no rows", Err: table.ErrNoRows, Hint: "a source needs rows below its header"})
			return
		}
		if b.Rows > 0 {
			yield(&b.Block, nil)
		}
	}
}

// raw is a row as a line of CSV.
func raw(cells []string) []byte {
	var line bytes.Buffer
	for i, c := range cells {
		if i > 0 {
			line.WriteByte(',')
		}
		line.Write(table.AppendField(nil, c))
	}
	return line.Bytes()
}
