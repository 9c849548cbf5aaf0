package serve

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"testing"
)

// Records are read as encoding/json reads them: what it refuses is refused, and what it reads is read alike.
func FuzzRecords(f *testing.F) {
	for _, seed := range []string{
		`[]`, ` [ {"a":1,"b":"x"} , {"b":null,"a":true} ] `, `[{"a":-0.5e+7},{}]`, `[{"a":"\u00e9\n\ud83d\ude00"},{"a":"ü"}]`, "[{\"a\":\"\xff\"}]",
		`[{"a":01}]`, `[{"a":1,}]`, `[{"a":1},]`, `[{"a":.5}]`, `[{"a":1.}]`, `[{"a":nul}]`, `[{"a" 1}]`, `[{"a":"x}]`, `[1]`, `[{"a":[1]}]`, `[{"a":1}]x`, `[{"a":1e}]`, `[{"a":-}]`, "[{\"a\":\"\t\"}]", `[`, `[{`, `[{"a":1,"a":2}]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := parseRecords(raw, limits{rows: 1000, columns: 1000})
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
				if have := got.cells[got.column(name)][r]; have != cell {
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

// Text without quotes is read as encoding/csv reads it.
func FuzzPlainCSV(f *testing.F) {
	for _, seed := range []string{"a,b\n1,2\n", "a,b\r\n\r\n1,2\r", "a\n\n\n1", "a,b\n1\n", ",\n,", "", "\n", "a,b\n 1 , 2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, c := range text {
			if c == '"' {
				return
			}
		}
		plain, quoted := plainCSV(text), quotedCSV(text)
		for {
			a, errA := plain()
			b, errB := quoted()
			if (errA == nil) != (errB == nil) || errA == nil && !slices.Equal(a, b) {
				t.Fatalf("%q: %q %v, want %q %v", text, a, errA, b, errB)
			}
			if errA != nil {
				return
			}
		}
	})
}

// Rows are cut out of a body without a change, and the rest stays as it was.
func TestCut(t *testing.T) {
	t.Parallel()
	rest, values, err := cut([]byte(` {"model":"a\"}","history": [{"x":"]"}] ,"horizon":3,"plan":"a,b"}`), "history", "plan")
	if err != nil || string(values[0]) != `[{"x":"]"}]` || string(values[1]) != `"a,b"` || string(rest) != ` {"model":"a\"}","history": null ,"horizon":3,"plan":null}` {
		t.Errorf("%s %s %v", rest, values, err)
	}
	for _, wrong := range []string{`{"history":1,"history":2}`, `{"history":[`, `{"history"`, `{`, `{"a":}`, `{"a":,}`} {
		if _, _, err := cut([]byte(wrong), "history"); err == nil {
			t.Errorf("%s is cut", wrong)
		}
	}
}

// A decimal is read as strconv reads it, or left to it.
func FuzzDecimal(f *testing.F) {
	for _, s := range []string{"", "0", "12.5", "0.1", "999999999999999", "9999999999999999", "1.", ".5", "1e3", "-1", "0.000000000000001", "00012.50"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := decimal(s)
		if want, err := strconv.ParseFloat(s, 64); ok && (err != nil || got != want) {
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
		p := &scanner{s: s}
		got, err := p.text()
		if err != nil || p.at != len(s) || s[0] != '"' {
			return
		}
		var want string
		if werr := json.Unmarshal([]byte(s), &want); werr != nil || got != want {
			t.Errorf("%q is read as %q, want %q, %v", s, got, want, werr)
		}
	})
}
