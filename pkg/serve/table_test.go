package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
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
		p := newScanner(slices.Clone(raw))
		got := used()
		err := p.whole(p.records(got, limits{rows: 1000, columns: 1000}))
		if !json.Valid(raw) && err == nil {
			t.Fatalf("%q is no JSON", raw)
		}
		var want []map[string]any
		d := decoder(raw)
		if d.Decode(&want) != nil || want == nil || len(want) > 1000 || slices.ContainsFunc(want, func(m map[string]any) bool { return m == nil || len(m) > 30 }) {
			return
		}
		if _, after := d.Token(); !errors.Is(after, io.EOF) {
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
			if _, nested := nestedTwice(raw); nested {
				return
			}
			t.Fatalf("%q: %v", raw, err)
		}
		for r, row := range want {
			for name, v := range row {
				cell, _ := cellOf(v)
				if have := string(got.at(got.column(name), r)); have != cell {
					t.Errorf("%q row %d %q: %q, want %q", raw, r, name, have, cell)
				}
			}
		}
	})
}

// nestedTwice says whether a value that is overwritten later in its row is a list or an object, which encoding/json forgets.
func nestedTwice(raw []byte) (json.Delim, bool) {
	d := decoder(raw)
	depth := 0
	for {
		tok, err := d.Token()
		if err != nil {
			return 0, false
		}
		switch c, ok := tok.(json.Delim); {
		case !ok:
		case c == '{' || c == '[':
			if depth++; depth > 2 {
				return c, true
			}
		default:
			depth--
		}
	}
}

// used is an empty table whose memory another request has used.
func used() *table {
	junk := []cell{{3, 5}, {1, 2}, {7, 9}}
	t := &table{columns: []string{"x"}, text: []byte("left over"), cells: [][]cell{junk, slices.Clone(junk)}, rows: 3}
	t.reset()
	return t
}

// Text without quotes is read as encoding/csv reads it.
func FuzzPlainCSV(f *testing.F) {
	for _, seed := range []string{"a,b\n1,2\n", "a,b\r\n\r\n1,2\r", "a\n\n\n1", "a,b\n1\n", ",\n,", "", "\n", "a,b\n 1 , 2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, `"`) {
			return
		}
		l := limits{rows: 1000, columns: 100}
		plain, quoted := used(), &table{}
		err, want := plainCSV(plain, []byte(text), l), quotedCSV(quoted, []byte(text), l)
		if fmt.Sprint(err) != fmt.Sprint(want) {
			t.Fatalf("%q: %v, want %v", text, err, want)
		}
		if err != nil {
			return
		}
		if !slices.Equal(plain.columns, quoted.columns) || plain.rows != quoted.rows {
			t.Fatalf("%q: %d rows of %q, want %d of %q", text, plain.rows, plain.columns, quoted.rows, quoted.columns)
		}
		for c := range plain.columns {
			for row := range plain.rows {
				if have, want := plain.at(c, row), quoted.at(c, row); !bytes.Equal(have, want) {
					t.Errorf("%q row %d column %d: %q, want %q", text, row, c, have, want)
				}
			}
		}
	})
}

// Fields are read out of a body, and the rest stays as it was.
func TestObject(t *testing.T) {
	t.Parallel()
	values := map[string]string{}
	var p *scanner
	read := func(name string) (bool, error) {
		if name != "history" && name != "plan" {
			return false, nil
		}
		from := p.at
		err := p.skip()
		values[name] = string(p.s[from:p.at])
		return true, err
	}
	p = newScanner([]byte(` {"model":"a\"}","history": [{"x":"]"}] ,"horizon":3,"plan":"a,b"} x`))
	rest, err := p.object(read)
	if err != nil || values["history"] != `[{"x":"]"}]` || values["plan"] != `"a,b"` || string(rest) != `{"model":"a\"}","horizon":3} x` {
		t.Errorf("%s %s %v", rest, values, err)
	}
	for _, wrong := range []string{`{"history":[`, `{"history"`, `{`, `{"a":}`, `{"a":,}`} {
		p = newScanner([]byte(wrong))
		if _, err := p.object(read); err == nil {
			t.Errorf("%s is read", wrong)
		}
	}
}

// A decimal is read as strconv reads it, or left to it.
func FuzzDecimal(f *testing.F) {
	for _, s := range []string{"", "0", "12.5", "0.1", "999999999999999", "9999999999999999", "1.", ".5", "1e3", "-1", "-0", "-", "-12.5", "0.000000000000001", "00012.50"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := decimal([]byte(s))
		if want, err := strconv.ParseFloat(s, 64); ok && (err != nil || math.Float64bits(got) != math.Float64bits(want)) {
			t.Errorf("%q is read as %v, want %v, %v", s, got, want, err)
		}
	})
}

// A text with escapes is read as encoding/json reads it.
func FuzzText(f *testing.F) {
	for _, s := range []string{`"a\nb"`, `"\\"`, `"\""`, `"\u00e4\n"`, `"\q"`, `"ä\n"`, "\"\xff\\n\"", `"a`, `"\`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p := newScanner([]byte(s))
		place, err := p.text()
		if err != nil || p.at != len(s) || s[0] != '"' {
			return
		}
		got := string(p.of(place))
		var want string
		if werr := json.Unmarshal([]byte(s), &want); werr != nil || got != want {
			t.Errorf("%q is read as %q, want %q, %v", s, got, want, werr)
		}
	})
}
