package columnar

import (
	"fmt"
	"io"

	"salescast/pkg/table/parquet"
)

// Reject is a source row that was set aside.
type Reject struct {
	File string
	Line int64
	// Rule is the name of the rule that it breaks, Reason says how, Raw is its text.
	Rule, Reason, Raw string
}

// RejectsWriter writes rows that were set aside: the columns file, line, rule, reason and raw.
type RejectsWriter struct {
	t    *parquet.Writer
	held []Reject
	size int
	rows int64
}

// NewRejectsWriter starts a file on w.
func NewRejectsWriter(w io.Writer) (*RejectsWriter, error) {
	t, err := parquet.NewWriter(w, []parquet.Leaf{parquet.TextLeaf("file"), parquet.LongLeaf("line"), parquet.TextLeaf("rule"), parquet.TextLeaf("reason"), parquet.TextLeaf("raw")})
	if err != nil {
		return nil, fmt.Errorf("starting a quarantine file: %w", err)
	}
	return &RejectsWriter{t: t}, nil
}

// Rows returns the number of rows written.
func (w *RejectsWriter) Rows() int64 { return w.rows }

// Write appends one row.
func (w *RejectsWriter) Write(r Reject) error {
	w.held = append(w.held, r)
	w.size += len(r.Raw) + len(r.Reason)
	w.rows++
	if len(w.held) >= 4096 || w.size > 4<<20 {
		return w.flush()
	}
	return nil
}

func (w *RejectsWriter) flush() error {
	column := func(c int, get func(*Reject) string) {
		texts := make([]string, len(w.held))
		for i := range w.held {
			texts[i] = get(&w.held[i])
		}
		w.t.Texts(c, texts)
	}
	lines := make([]int64, len(w.held))
	for i := range w.held {
		lines[i] = w.held[i].Line
	}
	column(0, func(r *Reject) string { return r.File })
	w.t.Longs(1, lines)
	column(2, func(r *Reject) string { return r.Rule })
	column(3, func(r *Reject) string { return r.Reason })
	column(4, func(r *Reject) string { return r.Raw })
	w.t.Added(len(w.held))
	w.held, w.size = w.held[:0], 0
	if w.t.Room() == 0 {
		return w.t.EndRowGroup()
	}
	return w.t.Err()
}

// Close writes what is buffered and the file's end; it does not close the underlying writer.
func (w *RejectsWriter) Close() error {
	if err := w.flush(); err != nil {
		return err
	}
	return w.t.Close()
}
