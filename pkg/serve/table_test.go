package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Records are read as encoding/json reads them: what it refuses is refused, and what it reads is read alike.
func FuzzRecords(f *testing.F) {
	for _, seed := range []string{
		`[{"a" : 1,"b":2},{"a" : 3,"b" :4},{"b":5,"a":6},{"a":7}]`, `[{"\u0061":1},{"a":2},{"\u0061":3}]`,
		`[]`, ` [ {"a":1,"b":"x"} , {"b":null,"a":true} ] `, `[{"a":-0.5e+7},{}]`, `[{"a":"\u00e9\n\ud83d\ude00"},{"a":"ü"}]`, "[{\"a\":\"\xff\"}]",
		`[{"a":01}]`, `[{"a":1,}]`, `[{"a":1},]`, `[{"a":.5}]`, `[{"a":1.}]`, `[{"a":nul}]`, `[{"a" 1}]`, `[{"a":"x}]`, `[1]`, `[{"a":[1]}]`, `[{"a":1}]x`, `[{"a":1e}]`, `[{"a":-}]`, "[{\"a\":\"\t\"}]", `[`, `[{`, `[{"a":1,"a":2}]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got := &table{}
		d := jsontext.NewDecoder(bytes.NewBuffer(slices.Clone(raw)))
		if d.PeekKind() != '[' {
			return // nobody asks for records of anything else
		}
		err := whole(d, got.records(d, limits{rows: 1000, columns: 1000}))
		if !json.Valid(raw) && err == nil {
			t.Fatalf("%q is no JSON", raw)
		}
		var want []map[string]any
		oracle := decoder(raw)
		if oracle.Decode(&want) != nil || want == nil || len(want) > 1000 || slices.ContainsFunc(want, func(m map[string]any) bool { return m == nil || len(m) > 30 }) {
			return
		}
		if _, after := oracle.Token(); !errors.Is(after, io.EOF) {
			return
		}
		for _, row := range want {
			for v := range maps.Values(row) {
				if _, e := cellOf(v); e != nil {
					return
				}
			}
		}
		if err != nil {
			if stricter(raw) {
				return
			}
			t.Fatalf("%q: %v", raw, err)
		}
		for r, row := range want {
			for name, v := range row {
				cell, _ := cellOf(v)
				if have := got.at(got.column(name), r); have != cell {
					t.Errorf("%q row %d %q: %q, want %q", raw, r, name, have, cell)
				}
			}
		}
	})
}

// stricter says whether rows have what encoding/json lets pass and the server refuses: a name twice in a record, or text that is not UTF-8.
func stricter(raw []byte) bool {
	d := jsontext.NewDecoder(bytes.NewReader(raw))
	for {
		if _, err := d.ReadToken(); err != nil {
			return !errors.Is(err, io.EOF)
		}
	}
}

// Rows come as records, as columns and as CSV, and are the same.
func TestForms(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`[{"date":"2026-01-31","sales":1.5,"x":null},{"sales":2,"date":"a\"b"}]`, `{"date":["2026-01-31","a\"b"],"sales":[1.5,2],"x":[null,""]}`,
		`"date,sales,x\n2026-01-31,1.5,\n\"a\"\"b\",2,\n"`,
	} {
		got := &table{}
		d := jsontext.NewDecoder(bytes.NewBufferString(text))
		if err := whole(d, got.read(t.Context(), d, limits{rows: 2, columns: 3})); err != nil || got.Rows != 2 {
			t.Fatalf("%s: %d rows, %v", text, got.Rows, err)
		}
		var cells []string
		for _, name := range []string{"date", "sales", "x"} {
			cells = append(cells, got.at(got.column(name), 0), got.at(got.column(name), 1))
		}
		if want := []string{"2026-01-31", `a"b`, "1.5", "2", "", ""}; !slices.Equal(cells, want) {
			t.Errorf("%s: %q, want %q", text, cells, want)
		}
		for _, l := range []limits{{rows: 1, columns: 3}, {rows: 2, columns: 2}} {
			d := jsontext.NewDecoder(bytes.NewBufferString(text))
			if err := new(table).read(t.Context(), d, l); err == nil {
				t.Errorf("%s: is read within %+v", text, l)
			}
		}
	}
}

// What is read of a body of the benchmark's size, without the forecast: 1,215 rows of five columns.
func BenchmarkRead(b *testing.B) {
	var records, text bytes.Buffer
	columns := make([]bytes.Buffer, 5)
	text.WriteString("store,item,date,sales,promo\n")
	for i := range 1215 {
		day := time.Date(2022, 1, 1+i, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
		fmt.Fprintf(&records, `,{"store":"S1","item":"I0","date":%q,"sales":%d.5,"promo":%d}`, day, i%97, i%2)
		fmt.Fprintf(&text, "S1,I0,%s,%d.5,%d\n", day, i%97, i%2)
		for c, v := range []string{`"S1"`, `"I0"`, strconv.Quote(day), fmt.Sprint(i%97, ".5"), strconv.Itoa(i % 2)} {
			columns[c].WriteString("," + strings.ReplaceAll(v, " ", ""))
		}
	}
	quoted, _ := json.Marshal(text.String())
	object := []byte("{")
	for c, name := range []string{"store", "item", "date", "sales", "promo"} {
		object = fmt.Appendf(object, "%q:[%s],", name, columns[c].Bytes()[1:])
	}
	object[len(object)-1] = '}'
	for name, raw := range map[string][]byte{"records": append(append([]byte("["), records.Bytes()[1:]...), ']'), "columns": object, "csv": quoted} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				d := jsontext.NewDecoder(bytes.NewBuffer(raw))
				var t table
				if err := t.read(b.Context(), d, limits{rows: 1e6, columns: 500}); err != nil || t.Rows != 1215 {
					b.Fatal(t.Rows, err)
				}
			}
		})
	}
}
