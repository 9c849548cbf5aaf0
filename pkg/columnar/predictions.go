package columnar

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"

	"salescast/pkg/backtest"
	"salescast/pkg/calendar"
	"salescast/pkg/panel"
	"salescast/pkg/table"
	"salescast/pkg/table/parquet"
)

const predictionsKey = "salescast.predictions"

// predictionsMeta keeps what the rows alone do not say: the series that the codes of Series mean, and the order of the models.
type predictionsMeta struct {
	Version int                  `json:"version"`
	Time    string               `json:"time,omitempty"`
	Keys    []predictionsKeyMeta `json:"keys"`
	Models  []string             `json:"models"`
	Levels  []float64            `json:"levels"`
}

type predictionsKeyMeta struct {
	Name   string   `json:"name"`
	Levels []string `json:"levels"`
	Codes  []int32  `json:"codes"`
}

// QuantileName is the column of a quantile level: 0.025 is q025, 0.5 is q50.
func QuantileName(level float64) string {
	s := strings.TrimPrefix(strconv.FormatFloat(level, 'f', -1, 64), "0.")
	if len(s) == 1 {
		s += "0"
	}
	return "q" + s
}

// predictionColumns are the columns of a file. The user's names stand as they are; ours make room for them.
func predictionColumns(p *backtest.Predictions) []string {
	var names []string
	for _, k := range p.Keys {
		names = append(names, k.Name)
	}
	ours := []string{"cutoff", "horizon", "model", "actual", "forecast"}
	for _, l := range p.Levels {
		ours = append(ours, QuantileName(l))
	}
	time := p.Time
	if time == "" {
		time = free(dateColumn, names)
	}
	names = append(names, time)
	for _, n := range ours {
		names = append(names, free(n, names))
	}
	return names
}

func checkPredictions(p *backtest.Predictions) error {
	n := p.Rows()
	for name, have := range map[string]int{
		"model": len(p.Model), "cutoff": len(p.Cutoff), "date": len(p.Date), "horizon": len(p.Horizon),
		"actual": len(p.Actual), "forecast": len(p.Forecast),
	} {
		if have != n {
			return fmt.Errorf("writing predictions: column %s has %d of %d rows", name, have, n)
		}
	}
	if len(p.Quantiles) != n*len(p.Levels) {
		return fmt.Errorf("writing predictions: %d quantiles for %d rows of %d levels", len(p.Quantiles), n, len(p.Levels))
	}
	return nil
}

// WritePredictions writes predictions as Parquet: the keys, date, cutoff, horizon, model, actual (null where none was observed),
// forecast, then a column per quantile level.
func WritePredictions(w io.Writer, p *backtest.Predictions) error {
	pw, err := NewPredictionsWriter(w, p)
	if err != nil {
		return err
	}
	if err := pw.Write(p); err != nil {
		return err
	}
	return pw.Close()
}

// PredictionsWriter writes a file as [WritePredictions] does, part by part.
type PredictionsWriter struct {
	t      *parquet.Writer
	head   *backtest.Predictions
	rows   int64
	codes  []int32
	column []float64
}

// NewPredictionsWriter starts a file on w with the keys, models and levels of head, whose rows it does not look at.
func NewPredictionsWriter(w io.Writer, head *backtest.Predictions) (*PredictionsWriter, error) {
	names := predictionColumns(head)
	k := len(head.Keys)
	var leaves []parquet.Leaf
	for i, n := range names {
		switch {
		case i < k || i == k+3:
			leaves = append(leaves, parquet.TextLeaf(n))
		case i < k+2:
			leaves = append(leaves, parquet.DateLeaf(n))
		case i == k+2:
			leaves = append(leaves, parquet.IntLeaf(n, 32))
		case i == k+4:
			leaves = append(leaves, parquet.NullableDoubleLeaf(n))
		default:
			leaves = append(leaves, parquet.DoubleLeaf(n))
		}
	}
	t, err := parquet.NewWriter(w, leaves)
	if err != nil {
		return nil, fmt.Errorf("writing predictions: %w", err)
	}
	meta := predictionsMeta{Version: 1, Time: head.Time, Models: head.Models, Levels: head.Levels}
	for _, key := range head.Keys {
		meta.Keys = append(meta.Keys, predictionsKeyMeta(key))
	}
	text, err := json.Marshal(meta)
	if err != nil {
		return nil, fmt.Errorf("writing predictions: %w", err)
	}
	t.SetMetadata(predictionsKey, string(text))
	return &PredictionsWriter{t: t, head: head}, nil
}

// Rows returns the number of rows written.
func (w *PredictionsWriter) Rows() int64 { return w.rows }

// Write appends rows, which must follow those already written in the order of models, cutoffs, series and dates. Series and Model index
// the head's keys and models; p's levels must be the head's.
func (w *PredictionsWriter) Write(p *backtest.Predictions) error {
	if err := checkPredictions(p); err != nil {
		return err
	}
	if !slices.Equal(p.Levels, w.head.Levels) {
		return fmt.Errorf("writing predictions: the levels are %v, those of the file %v", p.Levels, w.head.Levels)
	}
	for lo := 0; lo < p.Rows(); {
		hi := min(lo+w.t.Room(), p.Rows())
		w.write(p, lo, hi)
		if w.t.Err() != nil {
			return w.t.Err()
		}
		if w.t.Room() == 0 {
			if err := w.t.EndRowGroup(); err != nil {
				return err
			}
		}
		lo = hi
	}
	return nil
}

// write puts rows lo to hi-1 into the open row group.
func (w *PredictionsWriter) write(p *backtest.Predictions, lo, hi int) {
	t, k := w.t, len(w.head.Keys)
	for i, key := range w.head.Keys {
		w.codes = w.codes[:0]
		for _, s := range p.Series[lo:hi] {
			w.codes = append(w.codes, key.Codes[s])
		}
		t.Codes(i, key.Levels, w.codes)
	}
	t.Days(k, p.Date[lo:hi])
	t.Days(k+1, p.Cutoff[lo:hi])
	t.Ints(k+2, p.Horizon[lo:hi])
	t.Codes(k+3, w.head.Models, p.Model[lo:hi])
	t.NullableDoubles(k+4, p.Actual[lo:hi])
	t.Doubles(k+5, p.Forecast[lo:hi])
	for q := range p.Levels {
		w.column = w.column[:0]
		for i := lo; i < hi; i++ {
			w.column = append(w.column, p.Quantiles[i*len(p.Levels)+q])
		}
		t.Doubles(k+6+q, w.column)
	}
	t.Added(hi - lo)
	w.rows += int64(hi - lo)
}

// Close writes what is buffered and the file's end; it does not close the underlying writer.
func (w *PredictionsWriter) Close() error { return w.t.Close() }

// PredictionsFile is an open file of predictions.
type PredictionsFile struct {
	f    *parquet.File
	head *backtest.Predictions
	rows *predictionsReader
}

// OpenPredictions reads what a file says of its rows: keys, models and levels.
func OpenPredictions(r parquet.ReaderAt) (p *PredictionsFile, err error) {
	f, err := parquet.OpenFile(r)
	if err != nil {
		return nil, fmt.Errorf("opening predictions: %w", err)
	}
	text, ok := f.Metadata(predictionsKey)
	if !ok {
		return nil, &table.SyntaxError{Msg: "this Parquet file does not hold predictions: it has no metadata " + predictionsKey}
	}
	var meta predictionsMeta
	if err := json.Unmarshal([]byte(text), &meta); err != nil {
		return nil, &table.SyntaxError{Msg: "the predictions' metadata cannot be read", Err: err}
	}
	if meta.Version != 1 {
		return nil, &table.SyntaxError{Msg: fmt.Sprintf("the predictions' layout has version %d and this program reads 1", meta.Version)}
	}
	head := &backtest.Predictions{Time: meta.Time, Models: meta.Models, Levels: meta.Levels}
	for _, k := range meta.Keys {
		head.Keys = append(head.Keys, panel.Key(k))
	}
	d, err := newPredictionsReader(f, head)
	if err != nil {
		return nil, err
	}
	return &PredictionsFile{f: f, head: head, rows: d}, nil
}

// Head returns the keys, models and levels of the file, without rows.
func (f *PredictionsFile) Head() *backtest.Predictions { return f.head }

// NumRows returns the number of rows.
func (f *PredictionsFile) NumRows() int64 { return f.f.Rows() }

// Blocks streams the rows in order, a row group at a time. A block is valid until the next one is asked for.
func (f *PredictionsFile) Blocks(ctx context.Context) iter.Seq2[*backtest.Predictions, error] {
	return func(yield func(*backtest.Predictions, error) bool) {
		block := *f.head
		for _, rg := range f.f.Groups() {
			err := ctx.Err()
			if err == nil {
				block.Model, block.Series, block.Cutoff, block.Date = block.Model[:0], block.Series[:0], block.Cutoff[:0], block.Date[:0]
				block.Horizon, block.Actual = block.Horizon[:0], block.Actual[:0]
				block.Forecast, block.Quantiles = block.Forecast[:0], block.Quantiles[:0]
				err = f.rows.read(rg, &block)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(&block, nil) {
				return
			}
		}
	}
}

// Span reads where the rows lie in time: their distinct cutoffs, increasing, and the largest horizon.
func (f *PredictionsFile) Span(ctx context.Context) (cutoffs []calendar.Day, horizons int, err error) {
	seen := map[int32]struct{}{}
	var days, ahead []int32
	for _, rg := range f.f.Groups() {
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		k := len(f.head.Keys)
		if days, err = rg.Ints(f.rows.column[k+1], days[:0]); err != nil {
			return nil, 0, fmt.Errorf("reading predictions: %w", err)
		}
		if ahead, err = rg.Ints(f.rows.column[k+2], ahead[:0]); err != nil {
			return nil, 0, fmt.Errorf("reading predictions: %w", err)
		}
		for _, d := range days {
			seen[d] = struct{}{}
		}
		for _, h := range ahead {
			horizons = max(horizons, int(h))
		}
	}
	for d := range seen {
		cutoffs = append(cutoffs, calendar.Day(d))
	}
	slices.Sort(cutoffs)
	return cutoffs, horizons, nil
}

// ReadPredictions reads what WritePredictions wrote.
func ReadPredictions(ctx context.Context, r parquet.ReaderAt) (*backtest.Predictions, error) {
	f, err := OpenPredictions(r)
	if err != nil {
		return nil, err
	}
	for _, rg := range f.f.Groups() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := f.rows.read(rg, f.head); err != nil {
			return nil, err
		}
	}
	return f.head, nil
}

type predictionsReader struct {
	column []int
	levels []map[string]int32
	series map[string]int32
	models map[string]int32
}

func newPredictionsReader(f *parquet.File, p *backtest.Predictions) (*predictionsReader, error) {
	d := &predictionsReader{series: map[string]int32{}, models: map[string]int32{}}
	for _, n := range predictionColumns(p) {
		i, err := f.Column(n)
		if err != nil {
			return nil, fmt.Errorf("opening predictions: %w", err)
		}
		d.column = append(d.column, i)
	}
	for i, m := range p.Models {
		d.models[m] = int32(i)
	}
	for _, k := range p.Keys {
		m := map[string]int32{}
		for i, l := range k.Levels {
			m[l] = int32(i)
		}
		d.levels = append(d.levels, m)
		if len(k.Codes) != len(p.Keys[0].Codes) {
			return nil, &table.SyntaxError{Column: k.Name, Msg: "the keys have different numbers of series"}
		}
		for _, c := range k.Codes {
			if c < 0 || int(c) >= len(k.Levels) {
				return nil, &table.SyntaxError{Column: k.Name, Msg: "a key's code is out of range"}
			}
		}
	}
	if len(p.Keys) == 0 { // the only series, which has no name
		d.series[""] = 0
	} else {
		for s := range p.Keys[0].Codes {
			var id []byte
			for _, k := range p.Keys {
				id = appendCode(id, k.Codes[s])
			}
			d.series[string(id)] = int32(s)
		}
	}
	return d, nil
}

func appendCode(b []byte, c int32) []byte {
	return append(b, byte(c), byte(c>>8), byte(c>>16), byte(c>>24))
}

func lookup(m map[string]int32) func([]byte) (int32, error) {
	return func(b []byte) (int32, error) {
		c, ok := m[string(b)]
		if !ok {
			return 0, &table.SyntaxError{Msg: fmt.Sprintf("%q is not among the file's levels", b)}
		}
		return c, nil
	}
}

// read appends the rows of a row group to p.
func (d *predictionsReader) read(rg parquet.Group, p *backtest.Predictions) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("reading predictions: %w", err)
		}
	}()
	k := len(p.Keys)
	from := p.Rows()
	codes := make([][]int32, k)
	for i := range codes {
		if codes[i], err = rg.Codes(d.column[i], nil, lookup(d.levels[i])); err != nil {
			return err
		}
	}
	dates, err := rg.Ints(d.column[k], nil)
	if err != nil {
		return err
	}
	cutoffs, err := rg.Ints(d.column[k+1], nil)
	if err != nil {
		return err
	}
	if p.Horizon, err = rg.Ints(d.column[k+2], p.Horizon); err != nil {
		return err
	}
	if p.Model, err = rg.Codes(d.column[k+3], p.Model, lookup(d.models)); err != nil {
		return err
	}
	if p.Actual, err = rg.Doubles(d.column[k+4], p.Actual); err != nil {
		return err
	}
	if p.Forecast, err = rg.Doubles(d.column[k+5], p.Forecast); err != nil {
		return err
	}
	n := len(dates)
	quantiles := make([][]float64, len(p.Levels))
	for q := range quantiles {
		if quantiles[q], err = rg.Doubles(d.column[k+6+q], nil); err != nil {
			return err
		}
		if len(quantiles[q]) != n {
			return shortColumn(n, len(quantiles[q]))
		}
	}
	for _, have := range []int{len(cutoffs), len(p.Horizon) - from, len(p.Model) - from, len(p.Actual) - from, len(p.Forecast) - from} {
		if have != n {
			return shortColumn(n, have)
		}
	}
	var id []byte
	for i := range n {
		id = id[:0]
		for c := range codes {
			if len(codes[c]) != n {
				return shortColumn(n, len(codes[c]))
			}
			id = appendCode(id, codes[c][i])
		}
		s, ok := d.series[string(id)]
		if !ok {
			return &table.SyntaxError{Line: int64(from + i + 1), Msg: "the row's series is not in the file's list of series"}
		}
		p.Series = append(p.Series, s)
		p.Date = append(p.Date, calendar.Day(dates[i]))
		p.Cutoff = append(p.Cutoff, calendar.Day(cutoffs[i]))
		for q := range quantiles {
			p.Quantiles = append(p.Quantiles, quantiles[q][i])
		}
	}
	return nil
}

// WritePredictionsCSV writes predictions as CSV with a header, in the columns of WritePredictions. Numbers have the precision of a
// float32; an unobserved actual is empty.
func WritePredictionsCSV(w io.Writer, p *backtest.Predictions) error {
	if err := checkPredictions(p); err != nil {
		return err
	}
	c := NewPredictionsCSV(w, p)
	for i := range p.Rows() {
		c.Row(p, i)
	}
	return c.Close()
}

// PredictionsCSV writes a table as [WritePredictionsCSV] does, row by row. The first error sticks, and Close tells it.
type PredictionsCSV struct {
	b    *bufio.Writer
	line []byte
	rows int64
}

// NewPredictionsCSV starts a table on w in the columns that the keys and levels of head give.
func NewPredictionsCSV(w io.Writer, head *backtest.Predictions) *PredictionsCSV {
	c := &PredictionsCSV{b: bufio.NewWriterSize(w, 1<<16)}
	for i, n := range predictionColumns(head) {
		if i > 0 {
			c.line = append(c.line, ',')
		}
		c.line = table.AppendField(c.line, n)
	}
	c.end()
	return c
}

func (c *PredictionsCSV) end() {
	c.line = append(c.line, '\n')
	_, _ = c.b.Write(c.line) // Flush tells the error
	c.line = c.line[:0]
}

// Row appends row i of p.
func (c *PredictionsCSV) Row(p *backtest.Predictions, i int) {
	line := c.line
	for _, k := range p.Keys {
		line = append(table.AppendField(line, k.Levels[k.Codes[p.Series[i]]]), ',')
	}
	line = append(append(line, p.Date[i].String()...), ',')
	line = append(append(line, p.Cutoff[i].String()...), ',')
	line = append(strconv.AppendInt(line, int64(p.Horizon[i]), 10), ',')
	line = append(table.AppendField(line, p.Models[p.Model[i]]), ',')
	line = append(table.AppendNumber(line, p.Actual[i]), ',')
	line = table.AppendNumber(line, p.Forecast[i])
	for q := range p.Levels {
		line = table.AppendNumber(append(line, ','), p.Quantiles[i*len(p.Levels)+q])
	}
	c.line = line
	c.rows++
	c.end()
}

// Rows returns the number of rows written, without the header.
func (c *PredictionsCSV) Rows() int64 { return c.rows }

// Close writes what is buffered; it does not close the underlying writer.
func (c *PredictionsCSV) Close() error {
	if err := c.b.Flush(); err != nil {
		return fmt.Errorf("writing predictions: %w", err)
	}
	return nil
}
