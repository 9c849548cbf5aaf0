package parquet_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	pq "github.com/parquet-go/parquet-go"

	"salescast/pkg/panel"
	"salescast/pkg/table"
	"salescast/pkg/table/format"
	"salescast/pkg/table/parquet/parquettest"
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
	w := pq.NewGenericWriter[parquetRow](&buf, pq.MaxRowsPerRowGroup(7000))
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
	f := tabletest.File("x/year=2025/f.parquet", buf.Bytes())
	look, err := format.Header(t.Context(), f, table.Dialect{})
	header := look.Columns
	if err != nil || len(header) != 11 {
		t.Fatalf("header %v, %v", header, err)
	}
	want := []table.Column{
		{Name: "store", Kind: table.Text, Dictionary: &panel.Dictionary{}},
		{Name: "date", Kind: table.Date},
		{Name: "sales", Kind: table.Number},
		{Name: "int", Kind: table.Text, Dictionary: &panel.Dictionary{}},
		{Name: "stamp", Kind: table.Date},
		{Name: "price", Kind: table.Number},
		{Name: "flag", Kind: table.Number},
		{Name: "text", Kind: table.Date},
		{Name: "small", Kind: table.Number},
		{Name: "uint", Kind: table.Number},
		{Name: "year", Kind: table.Text, Dictionary: &panel.Dictionary{}},
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
	if !slices.Contains(lines, `10: "a" 2024-10-13T01:00:00 4.5 "9" 2024-10-13T01:00:00 12.99 0 2026-03-01 -3 4e+09 "2025"`) && !strings.Contains(got, "2024-10-13T01:00:00") || strings.Contains(got, "fault") {
		t.Errorf("an hour after midnight is lost, or there are faults")
	}
	_, err = readAll(t.Context(), f, []table.Column{{Name: "nested", Kind: table.Number}})
	if err == nil || !strings.Contains(err.Error(), "column nested: the column is nested") {
		t.Errorf("nested: %v", err)
	}
	for _, cut := range []int{5, 1000, buf.Len() / 2, buf.Len() - 1} {
		_, err = readAll(t.Context(), tabletest.File("f.parquet", buf.Bytes()[:cut]), want[:3])
		if err == nil || !strings.Contains(err.Error(), "f.parquet: ") {
			t.Errorf("cut at %d: %v", cut, err)
		}
	}
}

func FuzzParquetSource(f *testing.F) {
	var buf bytes.Buffer
	w := pq.NewGenericWriter[parquetRow](&buf)
	_, _ = w.Write([]parquetRow{{Store: "a"}, {Store: "b"}})
	_ = w.Close()
	f.Add(buf.Bytes())
	for _, codec := range boundCodecs {
		b := boundFile(f, 1, codec)
		f.Add(b)
		f.Add(parquettest.WithoutChecksums(f, b))
		f.Add(b[len(b)/2:])
		f.Add(append([]byte("PAR1"), b[len(b)-200:]...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = readAll(t.Context(), tabletest.File("f.parquet", data), columns())
	})
}
