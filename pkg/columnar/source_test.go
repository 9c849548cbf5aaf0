package columnar_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"salescast/pkg/columnar"
	"salescast/pkg/panel"
)

type memory struct{ *bytes.Reader }

func (memory) Close() error { return nil }

func memoryFile(name string, b []byte) columnar.File {
	return columnar.File{Name: name, Size: int64(len(b)), Open: func(context.Context) (columnar.SourceReader, error) { return memory{bytes.NewReader(b)}, nil }}
}

func columns() []columnar.Column {
	return []columnar.Column{
		{Name: "store", Kind: panel.TextColumn, Dictionary: &panel.Dictionary{}},
		{Name: "date", Kind: panel.DateColumn},
		{Name: "sales", Kind: panel.NumberColumn},
	}
}

// readAll renders rows and faults as text.
func readAll(ctx context.Context, f columnar.File, want []columnar.Column) (string, error) {
	var b strings.Builder
	for r, err := range columnar.Rows(ctx, f, want) {
		if err != nil {
			return b.String(), err
		}
		for i := range r.Rows {
			fmt.Fprintf(&b, "%d:", r.Lines[i])
			for _, c := range r.Columns {
				switch c.Kind {
				case panel.TextColumn:
					fmt.Fprintf(&b, " %q", c.Dictionary.Value(c.Codes[i]))
				case panel.NumberColumn:
					fmt.Fprint(&b, " ", c.Numbers[i])
				case panel.DateColumn:
					fmt.Fprint(&b, " ", c.Days[i])
				}
			}
			b.WriteByte('\n')
		}
		for _, f := range r.Faults {
			fmt.Fprintf(&b, "fault line %d column %d kind %d %q raw %q\n", r.Lines[f.Row], f.Column, f.Kind, f.Text, r.Raw(f.Row))
		}
	}
	return b.String(), nil
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
			"faults", "store,date,sales\na,2026-02-30,x\na,01.03.2026,\"12,5\"\na,2026-03-01,1,2\na,2026-03-01\na,,1\na,9999-12-31,1\n\xff,2026-03-01,1\n",
			"2: \"a\" 1970-01-01 NaN\n3: \"a\" 1970-01-01 NaN\n4: \"\" 1970-01-01 NaN\n5: \"\" 1970-01-01 NaN\n6: \"a\" 1970-01-01 1\n7: \"a\" 1970-01-01 1\n8: \"\" 2026-03-01 1\n" +
				"fault line 2 column 1 kind 5 \"2026-02-30\" raw \"a,2026-02-30,x\"\nfault line 2 column 2 kind 2 \"x\" raw \"a,2026-02-30,x\"\n" +
				"fault line 3 column 1 kind 4 \"01.03.2026\" raw \"a,01.03.2026,\\\"12,5\\\"\"\nfault line 3 column 2 kind 3 \"12,5\" raw \"a,01.03.2026,\\\"12,5\\\"\"\n" +
				"fault line 4 column 2 kind 3 \"1,2\" raw \"a,2026-03-01,1,2\"\nfault line 5 column -1 kind 1 \"a,2026-03-01\" raw \"a,2026-03-01\"\n" +
				"fault line 6 column 1 kind 6 \"\" raw \"a,,1\"\nfault line 7 column 1 kind 5 \"9999-12-31\" raw \"a,9999-12-31,1\"\nfault line 8 column 0 kind 7 \"�\" raw \"\\xff,2026-03-01,1\"\n", "",
		},
		{"empty", "", "", "f.csv: the file is empty"},
		{"blank", "\n\n", "", "f.csv: the file is empty"},
		{"header only", "store,date,sales\n", "", "f.csv: the file has a header and no rows"},
		{"semicolons", "store;date;sales\na;2026-03-01;1\n", "", `f.csv:1: the header is one column with 2 ";" in it`},
		{"tabs", "store\tdate\tsales\n", "", `seems to be separated by "\t"`},
		{"twice", "store,store\n", "", "f.csv:1: column store: two columns have this name"},
		{"no name", ",store,date\n", "", "f.csv:1: column 1: the column has no name"},
		{"absent", "store,date\na,2026-03-01\n", "", "f.csv: column sales: the file has no such column"},
		{"open quote", "store,date,sales\n\"a,2026-03-01,1\n", "", "f.csv:2: a quote is opened and never closed"},
		{"long line", "store,date,sales\na,2026-03-01,1\n" + strings.Repeat("x", 10<<20) + "\n", "2: \"a\" 2026-03-01 1\n", "f.csv:3: the line is longer than 1048576 bytes"},
		{"long quoted", "store,date,sales\n\"" + strings.Repeat("x\n", 1<<20), "", "f.csv:2: the line is longer than 1048576 bytes"},
		{"utf-16", "\xff\xfes\x00", "", "f.csv:1: the text is UTF-16"},
		{"workbook", "PK\x03\x04", "", "Excel workbook"},
		{"binary", "a\x00b,c\n", "", "this is not a text file"},
		{"not parquet", "PAR1xxxxPAR1", "", "this is not a whole Parquet file"},
	} {
		got, err := readAll(t.Context(), memoryFile("f.csv", []byte(c.text)), columns())
		if got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, got, c.want)
		}
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.err)
		}
		if _, ok := errors.AsType[*columnar.SyntaxError](err); err != nil && !ok {
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
	got, err := readAll(t.Context(), memoryFile("f.csv.gz", buf.Bytes()), columns())
	if err != nil || strings.Count(got, "\n") != 50_000 {
		t.Fatalf("%d rows, %v", strings.Count(got, "\n"), err)
	}
	_, err = readAll(t.Context(), memoryFile("f.csv.gz", buf.Bytes()[:buf.Len()-20]), columns())
	if err == nil || !strings.Contains(err.Error(), "ends early or is damaged") {
		t.Fatalf("truncated: %v", err)
	}
}

type parquetRow struct {
	Store  string   `parquet:"store,dict"`
	Date   int32    `parquet:"date,date"`
	Sales  *float64 `parquet:"sales,optional"`
	Int    int64    `parquet:"int"`
	Stamp  int64    `parquet:"stamp,timestamp(microsecond)"`
	Price  int64    `parquet:"price,decimal(2:12)"`
	Flag   bool     `parquet:"flag"`
	Text   string   `parquet:"text"`
	Small  int8     `parquet:"small"`
	Uint   uint32   `parquet:"uint"`
	Nested struct {
		A int32 `parquet:"a"`
	} `parquet:"nested"`
}

func TestParquetTypes(t *testing.T) {
	t.Parallel()
	var buf bytes.Buffer
	w := parquet.NewGenericWriter[parquetRow](&buf, parquet.MaxRowsPerRowGroup(7000))
	const rows = 20_000
	for i := range rows {
		y := float64(i) / 2
		r := parquetRow{Store: "a", Date: int32(20000 + i%100), Sales: &y, Int: int64(i), Stamp: int64(20000+i%100) * 86_400_000_000, Price: 1299, Flag: i%2 == 0, Text: "2026-03-01", Small: -3, Uint: 4_000_000_000}
		if i%10 == 3 {
			r.Sales = nil
		}
		if i == 9 {
			r.Stamp += 3600e6
		}
		if _, err := w.Write([]parquetRow{r}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f := memoryFile("x/year=2025/f.parquet", buf.Bytes())
	header, err := columnar.Header(t.Context(), f)
	if err != nil || len(header) != 11 {
		t.Fatalf("header %v, %v", header, err)
	}
	want := []columnar.Column{
		{Name: "store", Kind: panel.TextColumn, Dictionary: &panel.Dictionary{}},
		{Name: "date", Kind: panel.DateColumn},
		{Name: "sales", Kind: panel.NumberColumn},
		{Name: "int", Kind: panel.TextColumn, Dictionary: &panel.Dictionary{}},
		{Name: "stamp", Kind: panel.DateColumn},
		{Name: "price", Kind: panel.NumberColumn},
		{Name: "flag", Kind: panel.NumberColumn},
		{Name: "text", Kind: panel.DateColumn},
		{Name: "small", Kind: panel.NumberColumn},
		{Name: "uint", Kind: panel.NumberColumn},
		{Name: "year", Kind: panel.TextColumn, Dictionary: &panel.Dictionary{}},
	}
	got, err := readAll(t.Context(), f, want)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(got, "\n")
	for _, want := range []string{
		`1: "a" 2024-10-04 0 "0" 2024-10-04 12.99 1 2026-03-01 -3 4e+09 "2025"`,
		`4: "a" 2024-10-07 NaN "3" 2024-10-07 12.99 0 2026-03-01 -3 4e+09 "2025"`,
		`20000: "a" 2025-01-11 9999.5 "19999" 2025-01-11 12.99 0 2026-03-01 -3 4e+09 "2025"`,
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no row %s", want)
		}
	}
	if !strings.Contains(got, "fault line 10 column 4 kind 4 \"2024-10-13T01:00:00\"") || strings.Count(got, "fault") != 1 {
		t.Errorf("faults wrong")
	}
	_, err = readAll(t.Context(), f, []columnar.Column{{Name: "nested", Kind: panel.NumberColumn}})
	if err == nil || !strings.Contains(err.Error(), "column nested: the column is nested") {
		t.Errorf("nested: %v", err)
	}
	for _, cut := range []int{5, 1000, buf.Len() / 2, buf.Len() - 1} {
		_, err = readAll(t.Context(), memoryFile("f.parquet", buf.Bytes()[:cut]), want[:3])
		if err == nil || !strings.Contains(err.Error(), "f.parquet: ") {
			t.Errorf("cut at %d: %v", cut, err)
		}
	}
}

func TestLocalFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, n := range []string{"b.csv", "a/year=2025/x.parquet", "a/_tmp.csv", ".hidden/x.csv", "notes.txt", "c.csv.gz"} {
		p := filepath.Join(dir, n)
		_ = os.MkdirAll(filepath.Dir(p), 0o755)
		if err := os.WriteFile(p, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	names := func(source string) []string {
		fs, err := columnar.LocalFiles(t.Context(), filepath.Join(dir, source))
		var out []string
		for _, f := range fs {
			rel, _ := filepath.Rel(dir, f.Name)
			out = append(out, filepath.ToSlash(rel))
		}
		if err != nil {
			out = append(out, "error")
		}
		return out
	}
	for source, want := range map[string][]string{
		"": {"a/year=2025/x.parquet", "b.csv", "c.csv.gz"}, "*.csv": {"b.csv"}, "b.csv": {"b.csv"}, "none.csv": {"error"}, "*.none": {"error"}, "notes.txt": {"notes.txt"},
	} {
		if got := names(source); !slices.Equal(got, want) {
			t.Errorf("%q: got %v, want %v", source, got, want)
		}
	}
}

// The standard library's reader is the oracle: where it reads a text without error, so do we, to the same cells.
func FuzzCSV(f *testing.F) {
	for _, s := range []string{"a,b\n1,2\n", "a,b\n\"x,\"\"y\"\"\nz\",2\r\n", "a\n\"\"\n", "a,b\n,\n", "a,b\n\"1\"x,2\n", "\"a\nb\",c\n1,2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file := memoryFile("f.csv", []byte(text))
		header, err := columnar.Header(t.Context(), file)
		if err != nil {
			return
		}
		var want []columnar.Column
		for _, h := range header {
			want = append(want, columnar.Column{Name: h, Kind: panel.TextColumn, Dictionary: &panel.Dictionary{}})
		}
		var got [][]string
		faulty := false
		for r, err := range columnar.Rows(t.Context(), file, want) {
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

func FuzzParquetSource(f *testing.F) {
	var buf bytes.Buffer
	w := parquet.NewGenericWriter[parquetRow](&buf)
	_, _ = w.Write([]parquetRow{{Store: "a"}, {Store: "b"}})
	_ = w.Close()
	f.Add(buf.Bytes())
	for _, codec := range boundCodecs {
		b := boundFile(f, 1, codec)
		f.Add(b)
		f.Add(withoutChecksums(f, b))
		f.Add(b[len(b)/2:])
		f.Add(append([]byte("PAR1"), b[len(b)-200:]...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = readAll(t.Context(), memoryFile("f.parquet", data), columns())
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
	want = append(want, columnar.Column{Name: "item", Kind: panel.TextColumn, Dictionary: &panel.Dictionary{}}, columnar.Column{Name: "promo", Kind: panel.NumberColumn}, columnar.Column{Name: "price", Kind: panel.NumberColumn})
	for b.Loop() {
		sum := 0.0
		for r, err := range columnar.Rows(b.Context(), memoryFile("f.csv", text.Bytes()), want) {
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
