package format_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"salescast/pkg/panel"
	"salescast/pkg/table"
	"salescast/pkg/table/format"
	"salescast/pkg/table/tabletest"
)

func columns() []table.Column {
	return []table.Column{
		{Name: "store", Kind: table.Text, Dictionary: &panel.Dictionary{}},
		{Name: "date", Kind: table.Date},
		{Name: "sales", Kind: table.Number},
	}
}

func readAll(ctx context.Context, f table.File, want []table.Column) (string, error) {
	return tabletest.Dump(format.Blocks(ctx, f, table.Dialect{}, want))
}

func TestCSV(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want, err string }{
		{"plain", "store,date,sales\na,2026-03-01,12.5\nb,2026-03-02,\n", "2: \"a\" 2026-03-01 12.5\n3: \"b\" 2026-03-02 NaN\n", ""},
		{"bom, crlf, no last line end, other order", "\xef\xbb\xbfsales,extra,store,date\r\n1,x,a,2026-03-01\r\n\r\n-2e1,y,b,2026-03-02 00:00:00", "2: \"a\" 2026-03-01 1\n4: \"b\" 2026-03-02 -20\n", ""},
		{"quotes", "store,date,sales\n\"a, \"\"b\"\"\n\",2026-03-01,\"3\"\n\"\",2026-03-02,4\n", "2: \"a, \\\"b\\\"\\n\" 2026-03-01 3\n4: \"\" 2026-03-02 4\n", ""},
		{"quote inside a field", "store,date,sales\n5\" pipe,2026-03-01,3\n", "2: \"5\\\" pipe\" 2026-03-01 3\n", ""},
		{"missing words and booleans", "store,date,sales\na,2026-03-01,NA\na,2026-03-02,True\n", "2: \"a\" 2026-03-01 NaN\n3: \"a\" 2026-03-02 1\n", ""},
		{
			"faults", "store,date,sales\na,2026-02-30,x\na,01.03.2026,\"12,5\"\na,2026-03-01,1,2\na,2026-03-01\na,,1\na,9999-12-31,1\n\xff,2026-03-01,1\nü,2026-03-01,1\nß,2026-03-01,1\n",
			"2: \"a\" 1970-01-01 NaN\n3: \"a\" 1970-01-01 NaN\n4: \"\" 1970-01-01 NaN\n5: \"\" 1970-01-01 NaN\n6: \"a\" 1970-01-01 1\n7: \"a\" 1970-01-01 1\n8: \"\" 2026-03-01 1\n9: \"ü\" 2026-03-01 1\n10: \"ß\" 2026-03-01 1\n" +
				"fault line 2 column 1 kind 5 \"2026-02-30\" raw \"a,2026-02-30,x\"\nfault line 2 column 2 kind 2 \"x\" raw \"a,2026-02-30,x\"\n" +
				"fault line 3 column 1 kind 4 \"01.03.2026\" raw \"a,01.03.2026,\\\"12,5\\\"\"\nfault line 3 column 2 kind 3 \"12,5\" raw \"a,01.03.2026,\\\"12,5\\\"\"\n" +
				"fault line 4 column 2 kind 3 \"1,2\" raw \"a,2026-03-01,1,2\"\nfault line 5 column -1 kind 1 \"a,2026-03-01\" raw \"a,2026-03-01\"\n" +
				"fault line 6 column 1 kind 6 \"\" raw \"a,,1\"\nfault line 7 column 1 kind 5 \"9999-12-31\" raw \"a,9999-12-31,1\"\nfault line 8 column 0 kind 7 \"�\" raw \"\\xff,2026-03-01,1\"\n", "",
		},
		{"empty", "", "", "f.csv: the file is empty"},
		{"blank", "\n\n", "", "f.csv: the file is empty"},
		{"header only", "store,date,sales\n", "", "f.csv: the file has a header and no rows"},
		{"semicolons", "store;date;sales\na;2026-03-01;1\n", "2: \"a\" 2026-03-01 1\n", ""},
		{"tabs and the words of a spreadsheet", "sep=\t\r\nstore\tdate\tsales\r\na\t2026-03-01\t1\r\n", "3: \"a\" 2026-03-01 1\n", ""},
		{"twice", "store,store\n", "", "f.csv:1: column store: two columns have this name"},
		{"no name", ",store,date\n", "", "f.csv:1: column 1: the column has no name"},
		{"absent", "store,date\na,2026-03-01\n", "", "f.csv: column sales: the file has no such column"},
		{"open quote", "store,date,sales\n\"a,2026-03-01,1\n", "", "f.csv:2: a quote is opened and never closed"},
		{"long line", "store,date,sales\na,2026-03-01,1\n" + strings.Repeat("x", 10<<20) + "\n", "2: \"a\" 2026-03-01 1\n", "f.csv:3: the line is longer than 1048576 bytes"},
		{"long quoted", "store,date,sales\n\"" + strings.Repeat("x\n", 1<<20), "", "f.csv:2: the line is longer than 1048576 bytes"},
		{"utf-16", "\xff\xfes\x00", "", "f.csv: column store: the file has no such column"},
		{"workbook", "PK\x03\x04", "", "ZIP archive cannot be read"},
		{"binary", "a\x00b,c\n", "", "this is not a text file"},
		{"not parquet", "PAR1xxxxPAR1", "", "this is not a whole Parquet file"},
	} {
		got, err := readAll(t.Context(), tabletest.File("f.csv", []byte(c.text)), columns())
		if got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, got, c.want)
		}
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.err)
		}
		if _, ok := errors.AsType[*table.SyntaxError](err); err != nil && !ok {
			t.Errorf("%s: error is a %T", c.name, err)
		}
	}
}

func TestGzip(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	_, _ = z.Write([]byte("store,date,sales\n" + strings.Repeat("a,2026-03-01,1\n", 50_000)))
	_ = z.Close()
	got, err := readAll(t.Context(), tabletest.File("f.csv.gz", buf.Bytes()), columns())
	if err != nil || strings.Count(got, "\n") != 50_000 {
		t.Fatalf("%d rows, %v", strings.Count(got, "\n"), err)
	}
	_, err = readAll(t.Context(), tabletest.File("f.csv.gz", buf.Bytes()[:buf.Len()-20]), columns())
	if err == nil || !strings.Contains(err.Error(), "ends early or is damaged") {
		t.Fatalf("truncated: %v", err)
	}
}

// The standard library's reader is the oracle: where it reads a text without error, so do we, to the same cells.
func FuzzCSV(f *testing.F) {
	for _, s := range []string{"a,b\n1,2\n", "a,b\n\"x,\"\"y\"\"\nz\",2\r\n", "a\n\"\"\n", "a,b\n,\n", "a,b\n\"1\"x,2\n", "\"a\nb\",c\n1,2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file := tabletest.File("f.csv", []byte(text))
		look, err := format.Header(t.Context(), file, table.Dialect{})
		header := look.Columns
		if err != nil {
			return
		}
		var want []table.Column
		for _, h := range header {
			want = append(want, table.Column{Name: h, Kind: table.Text, Dictionary: &panel.Dictionary{}})
		}
		var got [][]string
		faulty := false
		for r, err := range format.Blocks(t.Context(), file, table.Dialect{}, want) {
			if err != nil {
				faulty = true
				break
			}
			faulty = faulty || len(r.Faults) > 0
			for i := range r.Rows {
				var row []string
				for _, c := range r.Columns {
					row = append(row, c.Dictionary.Value(c.Codes[i]))
				}
				got = append(got, row)
			}
		}
		oracle := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "\xef\xbb\xbf")))
		all, err := oracle.ReadAll()
		if err != nil || faulty || strings.Contains(text, "\r") { // encoding/csv also drops carriage returns inside quotes
			return
		}
		if fmt.Sprint(all[1:]) != fmt.Sprint(got) {
			t.Fatalf("got %q, encoding/csv reads %q", got, all[1:])
		}
	})
}

func BenchmarkCSV(b *testing.B) {
	var text bytes.Buffer
	text.WriteString("store,item,date,sales,promo,price\n")
	for i := range 100_000 {
		fmt.Fprintf(&text, "store_%d,item_%d,2024-%02d-%02d,%d,%d,%.2f\n", i/50_000, i/1000, i/28%12+1, i%28+1, i%97, i%2, float64(i%500)/100)
	}
	b.SetBytes(int64(text.Len()))
	want := columns()
	want = append(want, table.Column{Name: "item", Kind: table.Text, Dictionary: &panel.Dictionary{}}, table.Column{Name: "promo", Kind: table.Number}, table.Column{Name: "price", Kind: table.Number})
	for b.Loop() {
		sum := 0.0
		for r, err := range format.Blocks(b.Context(), tabletest.File("f.csv", text.Bytes()), table.Dialect{}, want) {
			if err != nil && !errors.Is(err, io.EOF) {
				b.Fatal(err)
			}
			for _, v := range r.Columns[2].Numbers {
				sum += float64(v)
			}
		}
		if math.IsNaN(sum) {
			b.Fatal("not read")
		}
	}
}

// zipped is an archive of files.
func zipped(tb testing.TB, files ...string) []byte {
	tb.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		w, err := z.Create(files[i])
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := io.WriteString(w, files[i+1]); err != nil {
			tb.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

const sold = "store,date,sales\na,2026-03-01,12.5\n"

func TestContainers(t *testing.T) {
	t.Parallel()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		file []byte
		d    table.Dialect
		err  string
	}{
		{"one file", zipped(t, "sales.csv", sold), table.Dialect{}, ""},
		{"with what a Mac adds", zipped(t, "a/sales.csv", sold, "__MACOSX/a/._sales.csv", "x", "a/.DS_Store", "x"), table.Dialect{}, ""},
		{"two files", zipped(t, "sales.csv", sold, "costs.csv", sold), table.Dialect{}, "2 files: sales.csv, costs.csv"},
		{"one of two", zipped(t, "sales.csv", sold, "costs.csv", "x"), table.Dialect{Sheet: "sales.csv"}, ""},
		{"none", zipped(t), table.Dialect{}, "no file"},
		{"Parquet inside", zipped(t, "sales.parquet", "PAR1"), table.Dialect{}, "no text"},
		{"cut off", zipped(t, "sales.csv", sold)[:60], table.Dialect{}, "cannot be read"},
		{"Zstandard", z.EncodeAll([]byte(sold), nil), table.Dialect{}, ""},
		{"Zstandard, cut off", z.EncodeAll([]byte(strings.Repeat(sold, 9)), nil)[:20], table.Dialect{}, "s.zip"},
	} {
		got, err := tabletest.Dump(format.Blocks(t.Context(), tabletest.File("s.zip", c.file), c.d, columns()))
		if c.err == "" && (err != nil || got != "2: \"a\" 2026-03-01 12.5\n") {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
		if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.err)
		}
	}
}

// A gigabyte without a line, of a megabyte of file, is refused in the memory of a line.
func TestABombIsNotUnpacked(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("sales.csv")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(w, "store,date,sales\n")
	zeros := make([]byte, 1<<20)
	for i := range zeros {
		zeros[i] = '0'
	}
	for range 1 << 10 {
		if _, err := w.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = readAll(t.Context(), tabletest.File("bomb.zip", b.Bytes()), columns())
	runtime.ReadMemStats(&after)
	if err == nil || !strings.Contains(err.Error(), "bomb.zip:2") {
		t.Errorf("a line of a gigabyte: %v", err)
	}
	if asked := after.TotalAlloc - before.TotalAlloc; asked > 64<<20 {
		t.Errorf("%d MB were asked for", asked>>20)
	}
}
