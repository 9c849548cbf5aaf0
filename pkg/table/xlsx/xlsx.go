// Package xlsx reads a sheet of an Excel workbook as a table.
//
// It reads the XML of ECMA-376 itself, of which a table needs little: the libraries of workbooks do work before main, which every start of
// the program would pay for, or take a sheet that breaks off for its end.
package xlsx

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"iter"
	"path"
	"slices"
	"strconv"
	"strings"

	"salescast/pkg/table"
)

// The bounds of a workbook. The texts of its cells are held, each once.
const (
	maxFile     = 256 << 20
	maxUnzipped = 4 << 30 // of one part
	maxTexts    = 512 << 20
	maxText     = 1 << 20 // of one cell; Excel's own bound is 32,767 characters
	maxColumns  = 20_000
)

// Source is a sheet. Its first row that is not empty names the columns; cells have their values, not how they are shown, so that dates are
// the serial numbers of days that [table.Excel] is.
type Source struct {
	name    string
	file    io.Closer
	parts   map[string]*zip.File
	texts   []string
	sheet   string
	part    string
	names   []string
	header  int64 // the row of the names, from 1
	dialect table.Dialect
}

// Open reads the workbook in r, which it closes with the source, and otherwise leaves to its caller where it returns an error. The sheet is
// d's, or the only one with cells; more are a [*table.Question].
func Open(name string, size int64, r table.Reader, d table.Dialect) (*Source, error) {
	if size > maxFile {
		return nil, &table.SyntaxError{
			File: name, Msg: fmt.Sprintf("the workbook has %d MB, and at most %d are read", size>>20, maxFile>>20), Hint: "save the sheet as CSV, which has no such bound",
		}
	}
	s := &Source{name: name, file: r, dialect: d, parts: map[string]*zip.File{}}
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, s.broken(0, err)
	}
	for _, f := range z.File {
		s.parts[f.Name] = f
	}
	sheets, err := s.workbook()
	if err == nil {
		err = s.shared()
	}
	if err == nil {
		err = s.choose(sheets, d.Sheet)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Source) broken(row int64, err error) error {
	if _, ok := errors.AsType[*table.SyntaxError](err); ok {
		return err
	}
	return &table.SyntaxError{File: s.name, Line: row, Msg: "the workbook cannot be read", Err: err, Hint: "save the sheet as CSV UTF-8; a workbook with a password is not read"}
}

// open opens a part of the workbook.
func (s *Source) open(part string) (io.ReadCloser, error) {
	f := s.parts[part]
	if f == nil {
		return nil, fmt.Errorf("it has no %s", part)
	}
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{&bounded{r, maxUnzipped}, r}, nil
}

// bounded is an error once too much was read.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errors.New("it unpacks to more than can be read")
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// attribute is that of a local name; "" without one.
func attribute(e xml.StartElement, local string) string {
	for _, a := range e.Attr {
		if a.Name.Local == local {
			return a.Value
		}
	}
	return ""
}

// elements calls f for every element of a part that begins; f may read on.
func (s *Source) elements(part string, f func(d *xml.Decoder, e xml.StartElement) error) error {
	r, err := s.open(part)
	if err != nil {
		return err
	}
	defer r.Close()
	d := xml.NewDecoder(r)
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if e, ok := t.(xml.StartElement); ok {
			if err := f(d, e); err != nil {
				return err
			}
		}
	}
}

type sheet struct{ name, part string }

// workbook lists the sheets, in order.
func (s *Source) workbook() ([]sheet, error) {
	targets := map[string]string{}
	err := s.elements("xl/_rels/workbook.xml.rels", func(_ *xml.Decoder, e xml.StartElement) error {
		if target := attribute(e, "Target"); e.Name.Local == "Relationship" {
			if !strings.HasPrefix(target, "/") {
				target = path.Join("xl", target)
			}
			targets[attribute(e, "Id")] = strings.TrimPrefix(target, "/")
		}
		return nil
	})
	if err != nil {
		return nil, s.broken(0, err)
	}
	var out []sheet
	err = s.elements("xl/workbook.xml", func(_ *xml.Decoder, e xml.StartElement) error {
		switch e.Name.Local {
		case "workbookPr":
			if v := attribute(e, "date1904"); v == "1" || v == "true" {
				return &table.SyntaxError{File: s.name, Msg: "the workbook counts its days from 1904", Hint: "save the sheet as CSV UTF-8"}
			}
		case "sheet":
			out = append(out, sheet{attribute(e, "name"), targets[attribute(e, "id")]})
		}
		return nil
	})
	if err != nil {
		return nil, s.broken(0, err)
	}
	return out, nil
}

// shared reads the texts that cells refer to by number.
func (s *Source) shared() error {
	const part = "xl/sharedStrings.xml"
	if s.parts[part] == nil {
		return nil
	}
	held := 0
	err := s.elements(part, func(d *xml.Decoder, e xml.StartElement) error {
		if e.Name.Local != "si" {
			return nil
		}
		text, err := textOf(d)
		if held += len(text) + 16; held > maxTexts {
			return fmt.Errorf("its texts have more than %d MB", maxTexts>>20)
		}
		s.texts = append(s.texts, text)
		return err
	})
	if err != nil {
		return s.broken(0, err)
	}
	return nil
}

// textOf joins the texts of the element that has begun, but for how they are pronounced, and reads it to its end.
func textOf(d *xml.Decoder) (string, error) {
	var b strings.Builder
	depth, inText, spoken := 1, 0, 0
	for depth > 0 {
		t, err := d.Token()
		if err != nil {
			return "", early(err)
		}
		switch t := t.(type) {
		case xml.StartElement:
			depth++
			switch {
			case t.Name.Local == "rPh" && spoken == 0:
				spoken = depth
			case t.Name.Local == "t" && spoken == 0:
				inText = depth
			}
		case xml.EndElement:
			if depth == inText {
				inText = 0
			}
			if depth == spoken {
				spoken = 0
			}
			depth--
		case xml.CharData:
			if inText > 0 {
				if b.Len()+len(t) > maxText {
					return "", fmt.Errorf("a text has more than %d bytes", maxText)
				}
				b.Write(t)
			}
		}
	}
	return b.String(), nil
}

// early is the error of a part that ends amid an element.
func early(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// choose finds the sheet and its header.
func (s *Source) choose(all []sheet, want string) error {
	names := make([]string, len(all))
	for i, one := range all {
		names[i] = one.name
	}
	if want != "" {
		i := slices.Index(names, want)
		if i < 0 {
			return &table.Question{File: s.name, Msg: fmt.Sprintf("there is no sheet %q", want), Hint: "it has " + strings.Join(names, ", ")}
		}
		all = all[i : i+1]
	}
	var filled []string
	for _, one := range all {
		for r, err := range s.rows(one.part) {
			if err != nil {
				return err
			}
			if len(r.cells) > maxColumns {
				return &table.SyntaxError{File: s.name, Line: r.at, Msg: fmt.Sprintf("the header has more than %d columns", maxColumns), Hint: "keep the columns that say something of sales"}
			}
			if filled = append(filled, one.name); len(filled) == 1 {
				s.sheet, s.part, s.header = one.name, one.part, r.at
				for _, c := range r.cells {
					s.names = append(s.names, strings.TrimSpace(c))
				}
			}
			break
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
			return &table.SyntaxError{File: s.name, Line: s.header, Msg: fmt.Sprintf("column %d has no name", i+1), Hint: "name it in the first row of the sheet, or delete it"}
		case n != "" && slices.Contains(s.names[:i], n):
			return &table.SyntaxError{File: s.name, Line: s.header, Column: n, Msg: "two columns have this name", Hint: "rename one of them"}
		}
	}
	return nil
}

// row is one with cells that are not empty, up to the last of them. It is valid until the next.
type row struct {
	at    int64
	cells []string
}

// rows reads the rows of a sheet. A part that a sheet lacks, as of charts, has none.
func (s *Source) rows(part string) iter.Seq2[row, error] {
	return func(yield func(row, error) bool) {
		if s.parts[part] == nil {
			return
		}
		done := errors.New("that is enough")
		r, inside := row{}, false
		err := s.elements(part, func(d *xml.Decoder, e xml.StartElement) error {
			switch e.Name.Local {
			case "sheetData":
				inside = true
			case "row":
				if !inside {
					return nil
				}
				if r.at++; attribute(e, "r") != "" {
					n, err := strconv.ParseInt(attribute(e, "r"), 10, 32)
					if err != nil || n < r.at {
						return fmt.Errorf("row %q follows row %d", attribute(e, "r"), r.at-1)
					}
					r.at = n
				}
				if err := s.cells(d, &r); err != nil {
					return err
				}
				if len(r.cells) > 0 && !yield(r, nil) {
					return done
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, done) {
			yield(row{}, s.broken(r.at, err))
		}
	}
}

// cells reads the row that has begun to its end.
func (s *Source) cells(d *xml.Decoder, r *row) error {
	r.cells = r.cells[:0]
	column := -1
	for {
		t, err := d.Token()
		if err != nil {
			return early(err)
		}
		switch t := t.(type) {
		case xml.EndElement:
			for len(r.cells) > 0 && strings.TrimSpace(r.cells[len(r.cells)-1]) == "" {
				r.cells = r.cells[:len(r.cells)-1]
			}
			return nil
		case xml.StartElement:
			if t.Name.Local != "c" {
				if err := d.Skip(); err != nil {
					return early(err)
				}
				continue
			}
			if column++; attribute(t, "r") != "" {
				at, err := place(attribute(t, "r"))
				if err != nil || at < column {
					return fmt.Errorf("cell %q follows column %d", attribute(t, "r"), column)
				}
				column = at
			}
			text, err := s.cell(d, attribute(t, "t"))
			if err != nil {
				return err
			}
			for len(r.cells) < column {
				r.cells = append(r.cells, "")
			}
			r.cells = append(r.cells, text)
		}
	}
}

// place is the column of a reference such as AB12, from 0.
func place(reference string) (int, error) {
	n := 0
	for _, c := range []byte(strings.TrimRight(reference, "0123456789")) {
		if c < 'A' || c > 'Z' || n > maxColumns {
			return 0, fmt.Errorf("%q is no cell that can be read", reference)
		}
		n = 26*n + int(c-'A') + 1
	}
	if n == 0 || n > maxColumns+1 {
		return 0, fmt.Errorf("%q is no cell that can be read", reference)
	}
	return n - 1, nil
}

// cell reads the cell that has begun, of a type, to its end.
func (s *Source) cell(d *xml.Decoder, kind string) (text string, err error) {
	for {
		t, err := d.Token()
		if err != nil {
			return "", early(err)
		}
		switch t := t.(type) {
		case xml.EndElement:
			return text, nil
		case xml.StartElement:
			switch t.Name.Local {
			case "is":
				text, err = textOf(d)
			case "v":
				text, err = value(d)
				if err == nil && kind == "s" {
					var n int
					if n, err = strconv.Atoi(text); err == nil && (n < 0 || n >= len(s.texts)) {
						err = fmt.Errorf("text %d is not among %d", n, len(s.texts))
					}
					if err == nil {
						text = s.texts[n]
					}
				}
			default:
				err = d.Skip()
			}
			if err != nil {
				return "", early(err)
			}
		}
	}
}

// value is the text of the element that has begun.
func value(d *xml.Decoder) (string, error) {
	var b strings.Builder
	for {
		t, err := d.Token()
		if err != nil {
			return "", err
		}
		switch t := t.(type) {
		case xml.EndElement:
			return b.String(), nil
		case xml.CharData:
			if b.Len()+len(t) > maxText {
				return "", fmt.Errorf("a value has more than %d bytes", maxText)
			}
			b.Write(t)
		case xml.StartElement:
			return "", errors.New("a value has elements")
		}
	}
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

// Typed implements [table.Source]: all cells are texts, and a number is written with a point whatever is shown.
func (s *Source) Typed(string, table.Kind) bool { return false }

// Close implements [table.Source].
func (s *Source) Close() error { return s.file.Close() }

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
		b := table.NewBuilder(s.name, want, s.dialect)
		texts, found := make([][]byte, len(want)), false
		for r, err := range s.rows(s.part) {
			if err != nil {
				if b.Rows > 0 && !yield(&b.Block, nil) {
					return
				}
				yield(nil, err)
				return
			}
			if r.at <= s.header {
				continue
			}
			found = true
			b.Begin(r.at, raw(r.cells))
			for i, a := range at {
				switch {
				case a < 0:
					texts[i] = []byte(fixed[i])
				case a < len(r.cells):
					texts[i] = []byte(r.cells[a])
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
