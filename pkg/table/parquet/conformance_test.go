package parquet_test

import (
	"bytes"
	"testing"

	pq "github.com/parquet-go/parquet-go"

	"salescast/pkg/table"
	"salescast/pkg/table/parquet"
	"salescast/pkg/table/tabletest"
)

func TestSource(t *testing.T) { //nolint:paralleltest // it measures memory
	type row struct {
		Shop string   `parquet:"shop,dict"`
		Day  int32    `parquet:"day,date"`
		Sold *float64 `parquet:"sold,optional"`
		Note string   `parquet:"note,optional"`
	}
	tabletest.Run(t, func(tb testing.TB, name string, rows []tabletest.Row) table.Source {
		tb.Helper()
		var buf bytes.Buffer
		w := pq.NewGenericWriter[row](&buf, pq.MaxRowsPerRowGroup(10_000))
		for _, r := range rows {
			out := row{Shop: r.Shop, Day: int32(r.Day), Note: r.Note}
			if r.Sold == r.Sold {
				out.Sold = &r.Sold
			}
			if _, err := w.Write([]row{out}); err != nil {
				tb.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			tb.Fatal(err)
		}
		s, err := parquet.Open(name, int64(buf.Len()), tabletest.NewReader(buf.Bytes()), table.Dialect{})
		if err != nil {
			tb.Fatal(err)
		}
		return s
	})
}
