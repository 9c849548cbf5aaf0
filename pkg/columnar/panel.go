package columnar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
	"salescast/pkg/table"
	"salescast/pkg/table/parquet"
)

const (
	panelKey  = "salescast.panel"
	levelsKey = "salescast.levels"
	// PanelVersion is the version of the panel file's layout. In the first the time column was called "date" whatever its name in the
	// source; such files are read.
	PanelVersion = 2

	dateColumn     = "date"
	observedColumn = "observed"
)

// PanelSchema says what the columns of a panel file are; it is the file's metadata "salescast.panel".
type PanelSchema struct {
	Version int      `json:"version"`
	Keys    []string `json:"keys"`
	Static  []string `json:"static"`
	// Time and Target are the source's names of those columns, and the file's.
	Time        string             `json:"time"`
	Target      string             `json:"target"`
	Frequency   calendar.Frequency `json:"frequency"`
	KnownFuture []string           `json:"known_future"`
	PastOnly    []string           `json:"past_only"`
	// EndedAfter is that of the panel.
	EndedAfter int `json:"ended_after,omitempty"`
}

// free is a name of ours that none of the user's is: it has as many underscores at its end as that takes.
func free(name string, taken []string) string {
	for slices.Contains(taken, name) {
		name += "_"
	}
	return name
}

// ours are the names of the columns of times and of what was observed.
func (s PanelSchema) ours() (time, observed string) {
	if time = s.Time; s.Version < 2 || time == "" {
		time = dateColumn
	}
	taken := slices.Concat(s.Keys, s.Static, s.KnownFuture, s.PastOnly, []string{time, s.Target})
	return time, free(observedColumn, taken)
}

// SchemaOf describes a panel whose time and target columns have these names.
func SchemaOf(p *panel.Panel, time, target string) PanelSchema {
	s := PanelSchema{
		Version: PanelVersion, Time: time, Target: target, Frequency: p.Frequency, EndedAfter: p.EndedAfter,
		Keys: []string{}, Static: []string{}, KnownFuture: []string{}, PastOnly: []string{},
	}
	for _, k := range p.Keys {
		s.Keys = append(s.Keys, k.Name)
	}
	for _, k := range p.Static {
		s.Static = append(s.Static, k.Name)
	}
	for _, c := range p.Covariates {
		if c.Role == panel.KnownFuture {
			s.KnownFuture = append(s.KnownFuture, c.Name)
		} else {
			s.PastOnly = append(s.PastOnly, c.Name)
		}
	}
	return s
}

// covariates returns the covariates in the order of the file: known-future ones first.
func (s PanelSchema) covariates() []panel.Covariate {
	var cs []panel.Covariate
	for _, n := range s.KnownFuture {
		cs = append(cs, panel.Covariate{Name: n, Role: panel.KnownFuture})
	}
	for _, n := range s.PastOnly {
		cs = append(cs, panel.Covariate{Name: n, Role: panel.PastOnly})
	}
	return cs
}

// PanelWriter writes a panel file chunk by chunk: the columns are the keys, the static attributes, date, the target, observed, then
// known-future and past-only covariates. A row group holds whole series.
type PanelWriter struct {
	t      *parquet.Writer
	schema PanelSchema
	levels []map[string]struct{} // keys, then static
	seen   [][]string            // the Levels slices taken in last
	dates  []calendar.Day
	last   []string
	rows   int64
}

// NewPanelWriter starts a panel file on w.
func NewPanelWriter(w io.Writer, s PanelSchema) (*PanelWriter, error) {
	s.Version = PanelVersion
	var leaves []parquet.Leaf
	for _, k := range slices.Concat(s.Keys, s.Static) {
		leaves = append(leaves, parquet.TextLeaf(k))
	}
	date, observed := s.ours()
	leaves = append(leaves, parquet.DateLeaf(date), parquet.NullableFloatLeaf(s.Target), parquet.BoolLeaf(observed))
	for _, c := range s.covariates() {
		leaves = append(leaves, parquet.NullableFloatLeaf(c.Name))
	}
	t, err := parquet.NewWriter(w, leaves)
	if err != nil {
		return nil, fmt.Errorf("starting a panel file: %w", err)
	}
	n := len(s.Keys) + len(s.Static)
	pw := &PanelWriter{t: t, schema: s, levels: make([]map[string]struct{}, n), seen: make([][]string, n)}
	for i := range pw.levels {
		pw.levels[i] = map[string]struct{}{}
	}
	return pw, nil
}

// Rows returns the number of rows written.
func (w *PanelWriter) Rows() int64 { return w.rows }

// Write appends series, which must follow those already written in the order of their keys.
func (w *PanelWriter) Write(p *panel.Panel) error {
	if err := w.check(p); err != nil {
		return err
	}
	for lo := 0; lo < p.Series(); {
		room := w.t.Room()
		hi := lo
		for hi < p.Series() && p.Offsets[hi+1]-p.Offsets[lo] <= room {
			hi++
		}
		if hi == lo {
			if !w.t.Empty() {
				if err := w.t.EndRowGroup(); err != nil {
					return err
				}
				continue
			}
			hi = lo + 1 // one series longer than a row group
		}
		w.write(p, lo, hi)
		if w.t.Err() != nil {
			return w.t.Err()
		}
		lo = hi
	}
	return nil
}

func (w *PanelWriter) check(p *panel.Panel) error {
	s := SchemaOf(p, w.schema.Time, w.schema.Target)
	if p.Frequency != w.schema.Frequency || !slices.Equal(s.Keys, w.schema.Keys) || !slices.Equal(s.Static, w.schema.Static) ||
		!slices.Equal(s.KnownFuture, w.schema.KnownFuture) || !slices.Equal(s.PastOnly, w.schema.PastOnly) {
		return errors.New("writing a panel: its columns or frequency are not those of the file")
	}
	for i, k := range slices.Concat(p.Keys, p.Static) {
		if len(k.Levels) > 0 && len(w.seen[i]) == len(k.Levels) && &w.seen[i][0] == &k.Levels[0] {
			continue
		}
		w.seen[i] = k.Levels
		for _, l := range k.Levels {
			w.levels[i][l] = struct{}{}
		}
	}
	for i := range p.Series() {
		id := p.ID(i)
		if w.last != nil && slices.Compare(w.last, id) >= 0 {
			return fmt.Errorf("writing a panel: series %q comes after %q; series must be unique and in order", id, w.last)
		}
		w.last = id
	}
	return nil
}

// write puts series lo to hi-1 into the open row group.
func (w *PanelWriter) write(p *panel.Panel, lo, hi int) {
	t, c := w.t, 0
	for _, k := range slices.Concat(p.Keys, p.Static) {
		for s := lo; s < hi; s++ {
			a, b := p.Span(s)
			t.Repeat(c, k.Levels[k.Codes[s]], b-a)
		}
		c++
	}
	a, b := p.Offsets[lo], p.Offsets[hi]
	w.dates = w.dates[:0]
	for s := lo; s < hi; s++ {
		for i := range p.Offsets[s+1] - p.Offsets[s] {
			w.dates = append(w.dates, p.Frequency.Day(p.Start[s]+calendar.Step(i)))
		}
	}
	t.Days(c, w.dates)
	t.NullableFloats(c+1, p.Target[a:b])
	t.Bools(c+2, p.Observed[a:b])
	c += 3
	for _, want := range w.schema.covariates() {
		i := slices.IndexFunc(p.Covariates, func(v panel.Covariate) bool { return v.Name == want.Name })
		t.NullableFloats(c, p.Covariates[i].Values[a:b])
		c++
	}
	t.Added(b - a)
	w.rows += int64(b - a)
}

// Close writes what is buffered and the file's end; it does not close the underlying writer.
func (w *PanelWriter) Close() error {
	meta, err := json.Marshal(w.schema)
	if err != nil {
		return err
	}
	levels := make([][]string, len(w.levels))
	for i, m := range w.levels {
		levels[i] = make([]string, 0, len(m))
		for l := range m {
			levels[i] = append(levels[i], l)
		}
		slices.Sort(levels[i])
	}
	text, err := json.Marshal(levels)
	if err != nil {
		return err
	}
	w.t.SetMetadata(panelKey, string(meta))
	w.t.SetMetadata(levelsKey, string(text))
	return w.t.Close()
}

// panelFile is an open panel file.
type panelFile struct {
	f      *parquet.File
	schema PanelSchema
	levels [][]string
	codes  []map[string]int32
	column []int // leaf index of keys, static, date, target, observed, covariates
}

func openPanel(r parquet.ReaderAt) (p *panelFile, err error) {
	f, err := parquet.OpenFile(r)
	if err != nil {
		return nil, fmt.Errorf("opening a panel: %w", err)
	}
	p = &panelFile{f: f}
	meta, ok := f.Metadata(panelKey)
	if !ok {
		return nil, &table.SyntaxError{Msg: "this Parquet file is not a panel: it has no metadata " + panelKey, Hint: "make it with: salescast validate"}
	}
	if err := json.Unmarshal([]byte(meta), &p.schema); err != nil {
		return nil, &table.SyntaxError{Msg: "the panel's metadata cannot be read", Err: err}
	}
	if v := p.schema.Version; v < 1 || v > PanelVersion {
		return nil, &table.SyntaxError{Msg: fmt.Sprintf("the panel's layout has version %d and this program reads up to %d", p.schema.Version, PanelVersion), Hint: "run salescast validate again"}
	}
	text, _ := f.Metadata(levelsKey)
	if err := json.Unmarshal([]byte(text), &p.levels); err != nil {
		return nil, &table.SyntaxError{Msg: "the panel's key levels cannot be read", Err: err}
	}
	names := slices.Concat(p.schema.Keys, p.schema.Static)
	if len(p.levels) != len(names) {
		return nil, &table.SyntaxError{Msg: "the panel's key levels do not fit its columns"}
	}
	for _, levels := range p.levels {
		m := make(map[string]int32, len(levels))
		for i, l := range levels {
			m[l] = int32(i)
		}
		p.codes = append(p.codes, m)
	}
	date, observed := p.schema.ours()
	names = append(names, date, p.schema.Target, observed)
	for _, c := range p.schema.covariates() {
		names = append(names, c.Name)
	}
	for _, n := range names {
		i, err := f.Column(n)
		if err != nil {
			return nil, fmt.Errorf("opening a panel: %w", err)
		}
		p.column = append(p.column, i)
	}
	return p, nil
}

func (f *panelFile) empty() *panel.Panel {
	p := &panel.Panel{Frequency: f.schema.Frequency, EndedAfter: f.schema.EndedAfter, Offsets: []int{0}, Covariates: f.schema.covariates()}
	for i, k := range f.schema.Keys {
		p.Keys = append(p.Keys, panel.Key{Name: k, Levels: f.levels[i]})
	}
	for i, k := range f.schema.Static {
		p.Static = append(p.Static, panel.Key{Name: k, Levels: f.levels[len(f.schema.Keys)+i]})
	}
	return p
}

// readRowGroup appends the series of a row group to p.
func (f *panelFile) readRowGroup(rg parquet.Group, p *panel.Panel) (err error) {
	if rg.Rows() < 0 || rg.Rows() > math.MaxInt32 {
		return &table.SyntaxError{Msg: fmt.Sprintf("a row group claims %d rows", rg.Rows())}
	}
	n, from := int(rg.Rows()), p.Rows()
	names := len(f.levels)
	codes := make([][]int32, names)
	for k := range codes {
		if codes[k], err = rg.Codes(f.column[k], nil, func(b []byte) (int32, error) {
			c, ok := f.codes[k][string(b)]
			if !ok {
				return 0, &table.SyntaxError{Msg: fmt.Sprintf("the key %q is not among the file's levels", b)}
			}
			return c, nil
		}); err != nil {
			return err
		}
		if len(codes[k]) != n {
			return shortColumn(n, len(codes[k]))
		}
	}
	days, err := rg.Ints(f.column[names], nil)
	if err != nil {
		return err
	}
	if p.Target, err = rg.Floats(f.column[names+1], p.Target); err != nil {
		return err
	}
	if p.Observed, err = rg.Bools(f.column[names+2], p.Observed); err != nil {
		return err
	}
	if len(days) != n || len(p.Target) != from+n || len(p.Observed) != from+n {
		return shortColumn(n, min(len(days), len(p.Target)-from, len(p.Observed)-from))
	}
	for c := range p.Covariates {
		v := &p.Covariates[c].Values
		if *v, err = rg.Floats(f.column[names+3+c], *v); err != nil {
			return err
		}
		if len(*v) != from+n {
			return shortColumn(n, len(*v)-from)
		}
	}
	return f.group(p, codes, days, from)
}

func shortColumn(want, have int) error {
	return &table.SyntaxError{Msg: fmt.Sprintf("a column has %d of %d rows", have, want), Hint: "write the file again; it may have been cut off"}
}

// group cuts rows into series where a key changes, and checks that each is on the grid without a hole.
func (f *panelFile) group(p *panel.Panel, codes [][]int32, days []int32, from int) error {
	var next calendar.Step
	for i, d := range days {
		step, ok := p.Frequency.Step(calendar.Day(d))
		isNew := i == 0
		for k := range codes {
			isNew = isNew || codes[k][i] != codes[k][i-1]
		}
		if isNew {
			if i > 0 {
				p.Offsets = append(p.Offsets, from+i)
			}
			for k := range p.Keys {
				p.Keys[k].Codes = append(p.Keys[k].Codes, codes[k][i])
			}
			for k := range p.Static {
				p.Static[k].Codes = append(p.Static[k].Codes, codes[len(p.Keys)+k][i])
			}
			p.Start = append(p.Start, step)
		} else if step != next {
			ok = false
		}
		if !ok {
			return &table.SyntaxError{Line: int64(from + i + 1), Column: dateColumn, Msg: fmt.Sprintf("%v does not follow on the %v grid", calendar.Day(d), p.Frequency)}
		}
		next = step + 1
	}
	if len(days) > 0 {
		p.Offsets = append(p.Offsets, from+len(days))
	}
	return nil
}

// ReadPanelSchema returns what a panel file says of its columns.
func ReadPanelSchema(r parquet.ReaderAt) (PanelSchema, error) {
	f, err := openPanel(r)
	if err != nil {
		return PanelSchema{}, err
	}
	return f.schema, nil
}

// ReadPanel reads a whole panel file. The covariates come known-future ones first.
func ReadPanel(ctx context.Context, r parquet.ReaderAt) (*panel.Panel, error) {
	f, err := openPanel(r)
	if err != nil {
		return nil, err
	}
	p := f.empty()
	for _, rg := range f.f.Groups() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := f.readRowGroup(rg, p); err != nil {
			return nil, fmt.Errorf("reading a panel: %w", err)
		}
	}
	return p, nil
}

// Panels streams a panel file in consecutive chunks of whole series: at least one row group, and further ones as long as the chunk
// stays within maxRows. Key levels are those of the whole file. The chunks are the consumer's to keep.
func Panels(ctx context.Context, r parquet.ReaderAt, maxRows int) iter.Seq2[*panel.Panel, error] {
	return func(yield func(*panel.Panel, error) bool) {
		f, err := openPanel(r)
		if err != nil {
			yield(nil, err)
			return
		}
		p := f.empty()
		for _, rg := range f.f.Groups() {
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return
			}
			if p.Rows() > 0 && int64(p.Rows())+rg.Rows() > int64(maxRows) {
				if !yield(p, nil) {
					return
				}
				p = f.empty()
			}
			if err := f.readRowGroup(rg, p); err != nil {
				yield(nil, fmt.Errorf("reading a panel: %w", err))
				return
			}
		}
		if p.Rows() > 0 {
			yield(p, nil)
		}
	}
}
