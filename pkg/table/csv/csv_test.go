package csv_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"salescast/pkg/panel"
	"salescast/pkg/table"
	"salescast/pkg/table/csv"
	"salescast/pkg/table/format"
	"salescast/pkg/table/tabletest"
)

func text(rows []tabletest.Row) []byte {
	b := []byte("shop,day,sold,note\n")
	for _, r := range rows {
		b = append(table.AppendField(b, r.Shop), ',')
		b = append(append(b, r.Day.String()...), ',')
		b = append(table.AppendNumber(b, r.Sold), ',')
		b = append(table.AppendField(b, r.Note), '\n')
	}
	return b
}

func TestSource(t *testing.T) { //nolint:paralleltest // it measures memory
	tabletest.Run(t, func(tb testing.TB, name string, rows []tabletest.Row) table.Source {
		tb.Helper()
		s, err := csv.Open(name, tabletest.Reader{Reader: bytes.NewReader(text(rows))}, table.Dialect{})
		if err != nil {
			tb.Fatal(err)
		}
		return s
	})
}

// A table of shops and days, as programs write it, is told and read as the one that is plain.
func TestDialects(t *testing.T) {
	t.Parallel()
	const plain = "shop,day,sold\nKöln,2026-03-01,1.5\nZürich,2026-03-02,2\n"
	encode := func(e encoding.Encoding, s string) string {
		b, err := e.NewEncoder().String(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	semicolon := strings.ReplaceAll(plain, ",", ";")
	tabs := strings.ReplaceAll(plain, ",", "\t")
	little := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)
	for name, c := range map[string]struct{ text, encoding, separator string }{
		"plain":                {plain, "utf-8", ","},
		"semicolons":           {semicolon, "utf-8", ";"},
		"tabs":                 {tabs, "utf-8", "\t"},
		"bars":                 {strings.ReplaceAll(plain, ",", "|"), "utf-8", "|"},
		"a sep line":           {"sep=;\r\n" + strings.ReplaceAll(semicolon, "\n", "\r\n"), "utf-8", ";"},
		"a quoted sep line":    {"\"sep=\t\"\n" + tabs, "utf-8", "\t"},
		"a byte-order mark":    {"\ufeff" + semicolon, "utf-8", ";"},
		"CR":                   {strings.ReplaceAll(plain, "\n", "\r"), "utf-8", ","},
		"CRLF":                 {strings.ReplaceAll(plain, "\n", "\r\n"), "utf-8", ","},
		"windows-1252":         {encode(charmap.Windows1252, semicolon), "windows-1252", ";"},
		"utf-16":               {encode(little, tabs), "utf-16", "\t"},
		"utf-16, big end":      {encode(unicode.UTF16(unicode.BigEndian, unicode.UseBOM), tabs), "utf-16", "\t"},
		"utf-16 without mark":  {encode(unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), plain), "utf-16", ","},
		"utf-16 of Excel":      {encode(little, strings.ReplaceAll(tabs, "\n", "\r\n")), "utf-16", "\t"},
		"quotes":               {"\"shop\";\"day\";\"sold\"\n\"Köln\";\"2026-03-01\";\"1.5\"\n\"Zürich\";\"2026-03-02\";\"2\"", "utf-8", ";"},
		"an index":             {",shop,day,sold\n0,Köln,2026-03-01,1.5\n1,Zürich,2026-03-02,2\n", "utf-8", ","},
		"an index with a name": {"Unnamed: 0;shop;day;sold\n7;Köln;2026-03-01;1.5\n8;Zürich;2026-03-02;2\n", "utf-8", ";"},
	} {
		s, err := csv.Open("f.csv", tabletest.NewReader([]byte(c.text)), table.Dialect{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := s.Dialect(); d.Encoding != c.encoding || d.Separator != c.separator || s.Index() != strings.HasPrefix(name, "an index") {
			t.Errorf("%s: told as %+v, index %v", name, d, s.Index())
		}
		want := []table.Column{{Name: "shop", Kind: table.Text, Dictionary: &panel.Dictionary{}}, {Name: "day", Kind: table.Date}, {Name: "sold", Kind: table.Number}}
		got, err := tabletest.Dump(s.Blocks(t.Context(), want))
		for _, cells := range []string{`: "Köln" 2026-03-01 1.5`, `: "Zürich" 2026-03-02 2`} {
			if err != nil || strings.Count(got, "\n") != 2 || !strings.Contains(got, cells) {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
		if !slices.Equal(s.Columns(), []string{"shop", "day", "sold"}) {
			t.Errorf("%s: columns %q", name, s.Columns())
		}
	}
}

// What is set is believed over what seems so; a first column without a name that counts nothing is asked to have one.
func TestSetDialect(t *testing.T) {
	t.Parallel()
	s, err := csv.Open("f.csv", tabletest.NewReader([]byte("a;b,c\n1;2,3\n")), table.Dialect{Separator: ","})
	if err != nil || !slices.Equal(s.Columns(), []string{"a;b", "c"}) {
		t.Errorf("%v", err)
	}
	for text, want := range map[string]string{
		",a\nx,1\ny,2\n": "f.csv:1: column 1: the column has no name", ",a\n1,1\n1,2\n": "no name", "a,,b\n1,2,3\n": "column 2", "sep=;\na,a;a,a\n": "two columns have this name",
		strings.Repeat("x,", 100_000) + "\n": "f.csv:1: the header has more than 10000 columns",
	} {
		if _, err := csv.Open("f.csv", tabletest.NewReader([]byte(text)), table.Dialect{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", text, err, want)
		}
	}
}

// Any bytes are a table, or a clean error; what is told of them is a dialect that can be set, with the same rows.
func FuzzOpen(f *testing.F) {
	for _, s := range []string{"a;b\n1,5;2\n", "sep=|\na|b\n", "\xff\xfea\x00\n\x001\x00", ",x\n0,1\n1,2\n", "a\tb\rc\td\r", "k\xf6ln;b\n\xfc;1\n", "\"a\nb\";c\n1;2"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		dump := func(d table.Dialect) (string, table.Dialect, error) {
			s, err := csv.Open("f.csv", tabletest.NewReader(b), d)
			if err != nil {
				return "", d, err
			}
			var want []table.Column
			for _, n := range s.Columns() {
				want = append(want, table.Column{Name: n, Kind: table.Text, Dictionary: &panel.Dictionary{}})
			}
			text, err := tabletest.Dump(s.Blocks(t.Context(), want))
			return text, s.Dialect(), err
		}
		text, d, err := dump(table.Dialect{})
		if _, ok := errors.AsType[*table.SyntaxError](err); err != nil && !ok {
			t.Fatalf("%q: %v", b, err)
		}
		if err != nil || d.Check() != nil {
			return
		}
		if again, _, err := dump(d); again != text || err != nil {
			t.Errorf("%q: with %+v set %q, %v, without %q", b, d, again, err, text)
		}
	})
}

// strict is rows as the plainest program writes them; european the same as others do.
func strict(rows int) []byte {
	b := []byte("store,item,date,sales,promo,price\n")
	for i := range rows {
		b = fmt.Appendf(b, "store_%d,item_%d,2024-%02d-%02d,%d,%d,%.2f\n", i/50_000, i/1000, i/28%12+1, i%28+1, i%97, i%2, float64(i%500)/100)
	}
	return b
}

func european(rows int) []byte {
	b := []byte("store;item;date;sales;promo;price\n")
	for i := range rows {
		b = fmt.Appendf(b, "store_%d;item_%d;%02d.%02d.2024;1.%03d;%d;%s €\n", i/50_000, i/1000, i%28+1, i/28%12+1, i%97, i%2, strings.ReplaceAll(fmt.Sprintf("%.2f", float64(i%500)/100), ".", ","))
	}
	return b
}

// BenchmarkRows reads a million rows: what is set is the price of decoding alone, what is told has the look at the file before it.
func BenchmarkRows(b *testing.B) {
	const rows = 1_000_000
	for name, text := range map[string][]byte{"strict": strict(rows), "european": european(rows)} {
		file := tabletest.File("f.csv", text)
		for _, set := range []bool{true, false} {
			b.Run(fmt.Sprintf("%s, set %v", name, set), func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					want := []table.Column{
						{Name: "store", Kind: table.Text, Dictionary: &panel.Dictionary{}},
						{Name: "item", Kind: table.Text, Dictionary: &panel.Dictionary{}},
						{Name: "date", Kind: table.Date},
						{Name: "sales", Kind: table.Number},
						{Name: "promo", Kind: table.Number, Flag: true},
						{Name: "price", Kind: table.Number, Flag: true},
					}
					d := table.Dialect{Encoding: "utf-8", Separator: ",", Decimal: ".", Thousands: "none", Times: table.YMD}
					if name == "european" {
						d = table.Dialect{Encoding: "utf-8", Separator: ";", Decimal: ",", Thousands: ".", Times: table.DMY}
					}
					if !set {
						var err error
						if d, err = format.Tell(b.Context(), []table.File{file}, table.Dialect{}, want); err != nil {
							b.Fatal(err)
						}
					}
					n := 0
					for r, err := range format.Blocks(b.Context(), file, d, want) {
						if err != nil || len(r.Faults) > 0 {
							b.Fatal(err, r.Faults)
						}
						n += r.Rows
					}
					if n != rows {
						b.Fatal(n)
					}
				}
			})
		}
	}
}
