package table_test

import (
	"context"
	"fmt"
	"io"
	"strings"

	"salescast/pkg/panel"
	"salescast/pkg/table"
	"salescast/pkg/table/csv"
)

// A source is read column by column; what cannot be read is a fault with its line, and no row is dropped in silence.
func ExampleSource() {
	in := io.NopCloser(strings.NewReader("store,day,sales\nnorth,2026-03-01,7\nnorth,2026-03-02,many\n"))
	var s table.Source
	s, err := csv.Open("sales.csv", in, table.Dialect{})
	if err != nil {
		panic(err)
	}
	defer s.Close()
	stores := &panel.Dictionary{}
	want := []table.Column{{Name: "sales", Kind: table.Number}, {Name: "store", Kind: table.Text, Dictionary: stores}}
	for b, err := range s.Blocks(context.Background(), want) {
		if err != nil {
			panic(err)
		}
		for r := range b.Rows {
			fmt.Println(b.File, b.Lines[r], stores.Value(b.Columns[1].Codes[r]), b.Columns[0].Numbers[r])
		}
		for _, f := range b.Faults {
			fmt.Println("fault in row", f.Row, "column", want[f.Column].Name, "text", f.Text)
		}
	}
	// Output:
	// sales.csv 2 north 7
	// sales.csv 3 north NaN
	// fault in row 1 column sales text many
}
