package csv_test

import (
	"bytes"
	"testing"

	"salescast/pkg/table"
	"salescast/pkg/table/csv"
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
		s, err := csv.Open(name, tabletest.Reader{Reader: bytes.NewReader(text(rows))})
		if err != nil {
			tb.Fatal(err)
		}
		return s
	})
}
