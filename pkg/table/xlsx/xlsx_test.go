package xlsx_test

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/xuri/excelize/v2"

	"salescast/pkg/table"
	"salescast/pkg/table/tabletest"
	"salescast/pkg/table/xlsx"
)

// workbook writes sheets of rows.
func workbook(tb testing.TB, sheets map[string][][]any) []byte {
	tb.Helper()
	f := excelize.NewFile()
	defer f.Close()
	for name, rows := range sheets {
		if name != "Sheet1" {
			if _, err := f.NewSheet(name); err != nil {
				tb.Fatal(err)
			}
		}
		w, err := f.NewStreamWriter(name)
		if err != nil {
			tb.Fatal(err)
		}
		for i, r := range rows {
			at, err := excelize.CoordinatesToCellName(1, i+1)
			if err != nil {
				tb.Fatal(err)
			}
			if err := w.SetRow(at, r); err != nil {
				tb.Fatal(err)
			}
		}
		if err := w.Flush(); err != nil {
			tb.Fatal(err)
		}
	}
	var b bytes.Buffer
	if err := f.Write(&b); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func open(tb testing.TB, name string, b []byte, d table.Dialect) (table.Source, error) {
	tb.Helper()
	s, err := xlsx.Open(name, int64(len(b)), tabletest.NewReader(b), d)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func TestConformance(t *testing.T) {
	t.Parallel()
	tabletest.RunHeld(t, func(tb testing.TB, name string, rows []tabletest.Row) table.Source {
		cells := [][]any{{"shop", "day", "sold", "note"}}
		for _, r := range rows {
			var sold any
			if !math.IsNaN(r.Sold) {
				sold = r.Sold
			}
			cells = append(cells, []any{r.Shop, r.Day.String(), sold, r.Note})
		}
		s, err := open(tb, name, workbook(tb, map[string][][]any{"Sheet1": cells}), table.Dialect{})
		if err != nil {
			tb.Fatal(err)
		}
		return s
	})
}

func TestSheets(t *testing.T) {
	t.Parallel()
	sales := [][]any{{}, {"shop", "day", "sold"}, {"a", 45292, 3.5}, {}, {"b", 45293}}
	b := workbook(t, map[string][][]any{"Sheet1": {}, "Sales": sales})
	s, err := open(t, "book.xlsx", b, table.Dialect{Times: table.Excel})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got, err := tabletest.Dump(s.Blocks(t.Context(), []table.Column{{Name: "day", Kind: table.Date}, {Name: "sold", Kind: table.Number}}))
	if want := "3: 2024-01-01 3.5\n5: 2024-01-02 NaN\n"; got != want || err != nil {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	two := workbook(t, map[string][][]any{"Sheet1": sales, "Costs": sales})
	_, err = open(t, "book.xlsx", two, table.Dialect{})
	if q, ok := errors.AsType[*table.Question](err); !ok || !strings.Contains(q.Msg, "Costs") || !strings.Contains(q.Hint, "sheet") {
		t.Errorf("two sheets: %v", err)
	}
	if s, err = open(t, "book.xlsx", two, table.Dialect{Sheet: "Costs"}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err = open(t, "book.xlsx", two, table.Dialect{Sheet: "cost"}); err == nil || !strings.Contains(err.Error(), `"cost"`) {
		t.Errorf("a sheet that is not there: %v", err)
	}
	for name, b := range map[string][]byte{"torn": b[:len(b)/2], "nothing": nil, "text": []byte("PK\x03\x04 and no more")} {
		if _, err := open(t, "book.xlsx", b, table.Dialect{}); err == nil {
			t.Errorf("%s: no error", name)
		} else if _, ok := errors.AsType[*table.SyntaxError](err); !ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
