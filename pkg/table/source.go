package table

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"slices"
	"strings"

	"salescast/pkg/panel"
)

// BlockRows is the most rows that a Block has.
const BlockRows = 8192

// Column asks for one column of a source.
type Column struct {
	Name string
	Kind Kind
	// Dictionary codes a text column.
	Dictionary *panel.Dictionary
	// Flag says that yes, no, x and the like are 1 and 0 in a number column; true and false are in any.
	Flag bool
}

// Source is an open table. Its user closes it, and does not read it from two goroutines.
type Source interface {
	// Columns are the names of the columns, in order. No two are alike and none is empty.
	Columns() []string
	// Typed says whether the cells of a column have a type of their own that makes them of that kind, so that no dialect is asked.
	Typed(column string, kind Kind) bool
	// Blocks reads the wanted columns, which need not be in the order of the table, once from its first row to its last. A block has at
	// most BlockRows rows. A column that the table does not have is taken from its file's path, as [Locate] does. The last step may be an
	// error: of ctx, of the reader below, or a *SyntaxError with the line and column that cannot be read; what came before it stands.
	Blocks(ctx context.Context, want []Column) iter.Seq2[*Block, error]
	io.Closer
}

// Locate finds the wanted columns among a table's names: at[i] is the place of want[i], or -1 where its value is fixed[i] by a folder of
// the path such as "year=2025". One that is in neither is a *SyntaxError.
func Locate(path string, names []string, want []Column) (at []int, fixed []string, err error) {
	at, fixed = make([]int, len(want)), make([]string, len(want))
	for i, w := range want {
		at[i] = slices.Index(names, w.Name)
		if at[i] >= 0 {
			continue
		}
		v, ok := inPath(path, w.Name)
		if !ok {
			return nil, nil, &SyntaxError{File: path, Column: w.Name, Msg: "the file has no such column", Hint: "it has " + strings.Join(names, ", ")}
		}
		fixed[i] = v
	}
	return at, fixed, nil
}

// inPath returns the value of a folder name=value in a path.
func inPath(path, name string) (string, bool) {
	for part := range strings.SplitSeq(filepath.ToSlash(path), "/") {
		if v, ok := strings.CutPrefix(part, name+"="); ok {
			return v, true
		}
	}
	return "", false
}

// InPath says whether a file's path gives a value to a column, as in year=2025.
func InPath(path, column string) bool {
	_, ok := inPath(path, column)
	return ok
}

// ErrNoRows is wrapped by the *SyntaxError of a table that has columns and no rows.
var ErrNoRows = errors.New("there are no rows")

// SyntaxError is a file that cannot be read as what it is said to be.
type SyntaxError struct {
	File string
	// Line counts from 1, the header included; 0 where the format has no lines. In Parquet it is the row.
	Line int64
	// Column is the name or the place of the column; empty if it is not about one.
	Column string
	Msg    string
	// Hint says what to do.
	Hint string
	Err  error
}

func (e *SyntaxError) Error() string {
	s := e.File
	if e.Line > 0 {
		s += fmt.Sprintf(":%d", e.Line)
	}
	if s != "" {
		s += ": "
	}
	if e.Column != "" {
		s += "column " + e.Column + ": "
	}
	s += e.Msg
	if e.Err != nil && !errors.Is(e.Err, ErrNoRows) {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *SyntaxError) Unwrap() error { return e.Err }
