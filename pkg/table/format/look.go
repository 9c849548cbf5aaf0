package format

import (
	"context"
	"slices"

	"salescast/pkg/table"
	"salescast/pkg/table/csv"
	"salescast/pkg/table/xlsx"
)

// Look is what the headers and first rows of a source say.
type Look struct {
	// Columns are those of the first file, in order. A name may come from a folder such as "year=2025" as well, but those are not listed:
	// they are found when they are asked for.
	Columns []string
	// Dialect has what was given and, where nothing was, what was told from the source: the encoding and separator of the first file that
	// is CSV.
	Dialect table.Dialect
	// Index says that the first column has no name, counts the rows, and is passed over.
	Index bool
}

// Header opens a file and closes it again.
func Header(ctx context.Context, f table.File, d table.Dialect) (Look, error) {
	s, err := Open(ctx, f, d)
	if err != nil {
		return Look{}, err
	}
	defer s.Close()
	l := Look{Columns: slices.Clone(s.Columns()), Dialect: d}
	if c, ok := s.(*csv.Source); ok {
		l.Dialect, l.Index = c.Dialect(), c.Index()
	}
	if x, ok := s.(*xlsx.Source); ok {
		l.Dialect, l.Index = x.Dialect(), x.Index()
	}
	return l, nil
}

// sampled is how many rows of a source its dialect is told from, where they decide it.
const sampled = 20_000

// Tell finds what d leaves open of the dialect in which the number and date columns of want are written: from the first rows, and where
// they do not decide, from all that follow. What none decides is a [*table.Question].
func Tell(ctx context.Context, files []table.File, d table.Dialect, want []table.Column) (table.Dialect, error) {
	e := table.NewEvidence(d, want)
	rows := 0
	for _, f := range files {
		n, err := show(ctx, f, d, e, rows)
		if err != nil {
			return d, err
		}
		if rows += n; rows >= sampled && !e.Undecided() {
			break
		}
	}
	return e.Settle()
}

// show shows a file to e, until all is decided; seen are the rows that were shown before.
func show(ctx context.Context, f table.File, d table.Dialect, e *table.Evidence, seen int) (rows int, err error) {
	s, err := Open(ctx, f, d)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	if c, ok := s.(*csv.Source); ok {
		e.Separated(c.Dialect().Separator)
	}
	want := e.Columns(s)
	if len(want) == 0 {
		return 0, nil
	}
	for b, err := range s.Blocks(ctx, want) {
		if err != nil {
			return rows, err
		}
		e.See(b)
		if rows += b.Rows; seen+rows >= sampled && !e.Undecided() {
			break
		}
	}
	return rows, nil
}
