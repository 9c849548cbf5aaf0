// Package tabletest holds every [table.Source] against the contract, and renders what sources read.
package tabletest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
	"salescast/pkg/table"
)

// Reader is bytes as a [table.Reader].
type Reader struct{ *bytes.Reader }

// Close implements [table.Reader].
func (Reader) Close() error { return nil }

// NewReader returns a reader of b.
func NewReader(b []byte) Reader { return Reader{bytes.NewReader(b)} }

// File is a file in memory.
func File(name string, b []byte) table.File {
	return table.File{Name: name, Size: int64(len(b)), Open: func(context.Context) (table.Reader, error) { return NewReader(b), nil }}
}

// Dump renders rows and faults as text, a line for each.
func Dump(blocks iter.Seq2[*table.Block, error]) (string, error) {
	var b strings.Builder
	for r, err := range blocks {
		if err != nil {
			return b.String(), err
		}
		for i := range r.Rows {
			fmt.Fprintf(&b, "%d:", r.Lines[i])
			for _, c := range r.Columns {
				b.WriteByte(' ')
				b.WriteString(cell(c, i))
			}
			b.WriteByte('\n')
		}
		for _, f := range r.Faults {
			fmt.Fprintf(&b, "fault line %d column %d kind %d %q raw %q\n", r.Lines[f.Row], f.Column, f.Kind, f.Text, r.Raw(f.Row))
		}
	}
	return b.String(), nil
}

func cell(c table.Values, row int) string {
	switch c.Kind {
	case table.Text:
		return strconv.Quote(c.Dictionary.Value(c.Codes[row]))
	case table.Number:
		return fmt.Sprint(c.Numbers[row])
	case table.Date:
		text := c.Days[row].String()
		if len(c.Clock) > 0 && c.Clock[row] != 0 {
			at := c.Clock[row]
			text += fmt.Sprintf("T%02d:%02d:%02d", at/3600, at/60%60, at%60)
		}
		return text
	}
	return "?"
}

// Row is one row of the table that a suite reads: the columns shop (text), day (a date), sold (a number, NaN for none) and note (text).
type Row struct {
	Shop string
	Day  calendar.Day
	Sold float64
	Note string
}

// Names are the columns of a Row, in order.
var Names = []string{"shop", "day", "sold", "note"}

// Rows returns the suite's table of n rows: texts that need quotes and texts of many bytes, numbers with fractions, and cells without any.
func Rows(n int) []Row {
	rows := make([]Row, n)
	for i := range rows {
		rows[i] = Row{fmt.Sprintf("shop %d", i/1000), calendar.Day(18000 + i%1000), float64(i%97) / 4, []string{"", "a, b", `say "so"`, "größer", "x;y\tz"}[i%5]}
		if i%13 == 5 {
			rows[i].Sold = math.NaN()
		}
	}
	return rows
}

// Opener writes rows in a format and opens them as a file of that name.
type Opener func(tb testing.TB, name string, rows []Row) table.Source

// many is more than two blocks, and not a multiple of one.
const many = 2*table.BlockRows + 1234

func wanted(names ...string) []table.Column {
	var want []table.Column
	for _, n := range names {
		c := table.Column{Name: n, Kind: table.Text}
		switch n {
		case "day":
			c.Kind = table.Date
		case "sold":
			c.Kind = table.Number
		default:
			c.Dictionary = &panel.Dictionary{}
		}
		want = append(want, c)
	}
	return want
}

func (r Row) cell(name string) string {
	switch name {
	case "shop":
		return strconv.Quote(r.Shop)
	case "day":
		return r.Day.String()
	case "sold":
		return fmt.Sprint(float32(r.Sold))
	case "note":
		return strconv.Quote(r.Note)
	}
	return `"2025"`
}

// Run holds what open opens against the contract of a [table.Source].
func Run(t *testing.T, open Opener) {
	RunHeld(t, open)
	t.Run("memory", func(t *testing.T) { testMemory(t, open) })
}

// RunHeld is [Run] but for the law of memory: of formats that are held whole, in bounds of their own.
func RunHeld(t *testing.T, open Opener) {
	t.Run("columns", func(t *testing.T) {
		s := open(t, "f", Rows(3))
		defer s.Close()
		if !slices.Equal(s.Columns(), Names) {
			t.Errorf("the columns are %q, want %q", s.Columns(), Names)
		}
	})
	for _, names := range [][]string{Names, {"sold"}, {"note", "day"}, {"sold", "year", "shop"}} {
		t.Run("rows of "+strings.Join(names, " "), func(t *testing.T) { testRows(t, open, names) })
	}
	t.Run("faults", func(t *testing.T) { testFaults(t, open) })
	t.Run("absent column", func(t *testing.T) { testAbsent(t, open) })
	t.Run("early end", func(t *testing.T) { testEarlyEnd(t, open) })
	t.Run("cancelled", func(t *testing.T) { testCancelled(t, open) })
}

// testRows wants every cell, in blocks of at most BlockRows, with lines that increase and the text of each row.
func testRows(t *testing.T, open Opener, names []string) {
	rows := Rows(many)
	s := open(t, "x/year=2025/f", rows)
	defer s.Close()
	seen, line := 0, int64(0)
	for b, err := range s.Blocks(t.Context(), wanted(names...)) {
		if err != nil {
			t.Fatal(err)
		}
		if b.Rows == 0 || b.Rows > table.BlockRows || len(b.Lines) != b.Rows || len(b.Faults) > 0 || b.File != "x/year=2025/f" {
			t.Fatalf("a block of %s has %d rows, %d lines and faults %v", b.File, b.Rows, len(b.Lines), b.Faults)
		}
		for i := range b.Rows {
			if b.Lines[i] <= line {
				t.Fatalf("line %d follows line %d", b.Lines[i], line)
			}
			line = b.Lines[i]
			for c, n := range names {
				if got, want := cell(b.Columns[c], i), rows[seen+i].cell(n); got != want {
					t.Fatalf("row %d, column %s: got %s, want %s", seen+i, n, got, want)
				}
			}
		}
		if raw := b.Raw(b.Rows - 1); slices.Contains(names, "shop") && !strings.Contains(raw, rows[seen+b.Rows-1].Shop) {
			t.Errorf("the text of a row is %q", raw)
		}
		seen += b.Rows
	}
	if seen != many {
		t.Errorf("%d rows were read, want %d", seen, many)
	}
}

// testFaults reads texts as numbers: each cell is a fault of its row, and the rows are all there.
func testFaults(t *testing.T, open Opener) {
	s := open(t, "f", Rows(many))
	defer s.Close()
	seen := 0
	want := wanted("sold", "shop")
	want[1].Kind = table.Number
	for b, err := range s.Blocks(t.Context(), want) {
		if err != nil {
			t.Fatal(err)
		}
		if len(b.Faults) != b.Rows {
			t.Fatalf("%d faults in %d rows", len(b.Faults), b.Rows)
		}
		for i, f := range b.Faults {
			if f.Row != i || f.Column != 1 || f.Kind != table.BadNumber || f.Text != fmt.Sprintf("shop %d", (seen+i)/1000) || !math.IsNaN(float64(b.Columns[1].Numbers[i])) {
				t.Fatalf("row %d: %+v", i, f)
			}
		}
		seen += b.Rows
	}
	if seen != many {
		t.Errorf("%d rows were read, want %d", seen, many)
	}
}

func testAbsent(t *testing.T, open Opener) {
	s := open(t, "x/year=2025/f", Rows(3))
	defer s.Close()
	_, err := Dump(s.Blocks(t.Context(), wanted("shop", "month")))
	bad, ok := errors.AsType[*table.SyntaxError](err)
	if !ok || bad.Column != "month" || bad.File != "x/year=2025/f" || !strings.Contains(bad.Hint, "shop, day, sold, note") {
		t.Errorf("the error is %v", err)
	}
}

func testEarlyEnd(t *testing.T, open Opener) {
	s := open(t, "f", Rows(many))
	for b, err := range s.Blocks(t.Context(), wanted(Names...)) {
		if err != nil || b.Rows == 0 {
			t.Fatal(err)
		}
		break
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func testCancelled(t *testing.T, open Opener) {
	s := open(t, "f", Rows(many))
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	blocks := 0
	var last error
	for _, err := range s.Blocks(ctx, wanted(Names...)) {
		if last = err; err == nil {
			blocks++
			cancel()
		}
	}
	if cancel(); !errors.Is(last, context.Canceled) || blocks != 1 {
		t.Errorf("%d blocks, then %v", blocks, last)
	}
}

// testMemory reads ten times as many rows with about as much memory: it grows with a block, not with the table.
func testMemory(t *testing.T, open Opener) {
	asked := func(n int) uint64 {
		s := open(t, "f", Rows(n))
		defer s.Close()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for _, err := range s.Blocks(t.Context(), wanted(Names...)) {
			if err != nil {
				t.Fatal(err)
			}
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	few, lots := asked(many), asked(10*many)
	if lots > 3*few+16<<20 {
		t.Errorf("%d rows ask for %d kB, %d rows for %d kB", many, few>>10, 10*many, lots>>10)
	}
}
