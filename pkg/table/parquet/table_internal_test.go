package parquet

import (
	"bytes"
	"errors"
	"io"
	"math"
	"slices"
	"testing"

	pq "github.com/parquet-go/parquet-go"

	"salescast/pkg/calendar"
)

var tableLevels = []string{"a", "b", "ç"}

var tableColumns = []Column{
	{Name: "date", Type: Date},
	{Name: "store", Type: Text},
	{Name: "quantity", Type: Int, Nullable: true},
	{Name: "price", Type: Int},
	{Name: "revenue", Type: Float, Nullable: true},
	{Name: "cost", Type: Float},
	{Name: "promo", Type: Bool},
}

type tableRow struct {
	day             calendar.Day
	store           int32
	quantity, price int32
	revenue, cost   float64
	promo           bool
}

func tableRowAt(i int) tableRow {
	r := tableRow{calendar.Day(i / 7), int32(i % 3), int32(i % 50), int32(i), float64(i) / 3, float64(-i), i%5 == 0}
	if i%11 == 0 {
		r.quantity, r.revenue = NullInt, math.NaN()
	}
	return r
}

func writeTable(t *testing.T, rows, block int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewTableWriter(&out, tableColumns)
	if err != nil {
		t.Fatal(err)
	}
	for from := 0; from < rows; from += block {
		var (
			days            []calendar.Day
			stores          []int32
			quantity, price []int32
			revenue, cost   []float64
			promo           []bool
		)
		for i := from; i < min(rows, from+block); i++ {
			r := tableRowAt(i)
			days, stores, quantity, price = append(days, r.day), append(stores, r.store), append(quantity, r.quantity), append(price, r.price)
			revenue, cost, promo = append(revenue, r.revenue), append(cost, r.cost), append(promo, r.promo)
		}
		if err := w.Write(days, Coded{tableLevels, stores}, quantity, price, revenue, cost, promo); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if w.Rows() != int64(rows) {
		t.Errorf("%d rows counted, %d written", w.Rows(), rows)
	}
	return out.Bytes()
}

// What the library's own row reader finds is what was written, over several row groups and blocks that do not fit them.
func TestTableRoundTrip(t *testing.T) {
	t.Parallel()
	for _, rows := range []int{0, 1, 1000, 2*RowGroupRows + 77} {
		b := writeTable(t, rows, 30011)
		if !bytes.Equal(b, writeTable(t, rows, 30011)) {
			t.Errorf("%d rows: the same blocks give other bytes", rows)
		}
		f, err := pq.OpenFile(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range f.Root().Columns() {
			if c.Name() != tableColumns[i].Name || c.Optional() != tableColumns[i].Nullable {
				t.Errorf("column %d is %s, optional %v", i, c.Name(), c.Optional())
			}
		}
		at := 0
		for _, group := range f.RowGroups() {
			r := group.Rows()
			defer r.Close()
			for buf := make([]pq.Row, 100); ; {
				n, err := r.ReadRows(buf)
				for _, v := range buf[:n] {
					have, want := tableRowOf(v), tableRowAt(at)
					if math.IsNaN(have.revenue) && math.IsNaN(want.revenue) {
						have.revenue, want.revenue = 0, 0
					}
					if have != want {
						t.Fatalf("row %d is %+v, want %+v", at, have, want)
					}
					at++
				}
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		if at != rows {
			t.Errorf("%d rows seen, want %d", at, rows)
		}
	}
}

func tableRowOf(v pq.Row) tableRow {
	r := tableRow{
		day: calendar.Day(v[0].Int32()), store: int32(slices.Index(tableLevels, string(v[1].ByteArray()))), quantity: NullInt,
		price: v[3].Int32(), revenue: math.NaN(), cost: v[5].Double(), promo: v[6].Boolean(),
	}
	if !v[2].IsNull() {
		r.quantity = v[2].Int32()
	}
	if !v[4].IsNull() {
		r.revenue = v[4].Double()
	}
	return r
}

func TestTableRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []Column{{Name: "x"}, {Type: Int}, {Name: "x", Type: Date, Nullable: true}} {
		if _, err := NewTableWriter(&bytes.Buffer{}, []Column{c}); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
	w, err := NewTableWriter(&bytes.Buffer{}, []Column{{Name: "s", Type: Text}, {Name: "n", Type: Int}})
	if err != nil {
		t.Fatal(err)
	}
	one := Coded{[]string{"a"}, []int32{0}}
	tests := map[string][]any{
		"a column less":    {one},
		"another type":     {one, []float64{1}},
		"uneven columns":   {one, []int32{1, 2}},
		"a code too large": {Coded{[]string{"a"}, []int32{1}}, []int32{1}},
		"a negative code":  {Coded{[]string{"a"}, []int32{-1}}, []int32{1}},
	}
	for name, values := range tests {
		if err := w.Write(values...); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if w.Rows() != 0 {
		t.Errorf("%d rows were taken in from blocks that were refused", w.Rows())
	}
}
