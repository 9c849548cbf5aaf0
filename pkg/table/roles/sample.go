package roles

import (
	"context"
	"math"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
	"salescast/pkg/table"
	"salescast/pkg/table/format"
)

// The bounds of a look.
const (
	// sampled is how many rows are held and compared with each other.
	sampled = 100_000
	// followed is how many rows are read for what is known past the last sale.
	followed = 20_000_000
	// maxColumns is how many columns a table may have: more are no table of sales.
	maxColumns = 2000
)

// sample is the first rows of a source, as text.
type sample struct {
	columns []sampleColumn
	rows    int
	lines   []int64
	whole   bool // there are no other rows
}

type sampleColumn struct {
	name   string
	codes  []int32
	texts  *panel.Dictionary
	counts []int // of rows, by code
}

func (c *sampleColumn) levels() int { return c.texts.Len() }

func read(ctx context.Context, files []table.File, look format.Look) (*sample, error) {
	s := &sample{columns: make([]sampleColumn, len(look.Columns)), whole: true}
	want := make([]table.Column, len(look.Columns))
	for i, name := range look.Columns {
		s.columns[i] = sampleColumn{name: name, texts: &panel.Dictionary{}}
		want[i] = table.Column{Name: name, Kind: table.Text, Dictionary: s.columns[i].texts}
	}
	for _, f := range files {
		for b, err := range format.Blocks(ctx, f, look.Dialect, want) {
			if err != nil {
				return nil, err
			}
			torn := make(map[int]bool, len(b.Faults))
			for _, f := range b.Faults {
				torn[f.Row] = true
			}
			for row := range b.Rows {
				if torn[row] {
					continue
				}
				for i := range s.columns {
					s.columns[i].codes = append(s.columns[i].codes, b.Columns[i].Codes[row])
				}
				s.lines = append(s.lines, b.Lines[row])
				s.rows++
			}
			if s.rows >= sampled {
				s.whole = false
				break
			}
		}
		if s.rows >= sampled {
			s.whole = false
			break
		}
	}
	for i := range s.columns {
		c := &s.columns[i]
		c.counts = make([]int, c.texts.Len())
		for _, code := range c.codes {
			c.counts[code]++
		}
	}
	return s, nil
}

// ahead says for each of the columns whether any row has a value of it on a day past the last sale of all. It reads the source once.
func ahead(ctx context.Context, files []table.File, d table.Dialect, time, target string, columns []table.Column) ([]bool, error) {
	want := append([]table.Column{{Name: time, Kind: table.Date}, {Name: target, Kind: table.Number}}, columns...)
	last := calendar.Day(math.MinInt32)
	known, rows := make([]calendar.Day, len(columns)), 0
	for _, f := range files {
		for b, err := range format.Blocks(ctx, f, d, want) {
			if err != nil {
				return nil, err
			}
			for row, day := range b.Columns[0].Days {
				if y := b.Columns[1].Numbers[row]; y == y {
					last = max(last, day)
				}
			}
			for c := range columns {
				values := &b.Columns[2+c]
				for row, day := range b.Columns[0].Days {
					if has(values, row) {
						known[c] = max(known[c], day)
					}
				}
				if values.Dictionary != nil {
					*values.Dictionary = panel.Dictionary{}
				}
			}
			if rows += b.Rows; rows >= followed {
				return reaching(known, last), nil
			}
		}
	}
	return reaching(known, last), nil
}

func has(v *table.Values, row int) bool {
	if v.Kind == table.Number {
		return v.Numbers[row] == v.Numbers[row]
	}
	return !table.Missing(v.Dictionary.Value(v.Codes[row]))
}

func reaching(known []calendar.Day, last calendar.Day) []bool {
	out := make([]bool, len(known))
	for c, day := range known {
		out[c] = day > last
	}
	return out
}
