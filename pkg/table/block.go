package table

import (
	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

// Kind is what a column is read as.
type Kind uint8

// The kinds of columns.
const (
	Text Kind = iota + 1
	Number
	Date
)

// FaultKind says why a cell, or a whole row, could not be read.
type FaultKind uint8

// The faults of rows and cells.
const (
	// WrongFields: the row has another number of fields than the header.
	WrongFields FaultKind = iota + 1
	// BadNumber: the text is no number.
	BadNumber
	// DecimalComma: the text is a number with a comma for its decimal point.
	DecimalComma
	// BadDate: the text is no date.
	BadDate
	// NoSuchDate: the text has the form of a date that does not exist or is not plausible for sales.
	NoSuchDate
	// NoDate: the date is empty.
	NoDate
	// BadText: the text is not UTF-8.
	BadText
)

// Fault is a cell or row that could not be read.
type Fault struct {
	Row int
	// Column is the place in Block.Columns; -1 for the whole row.
	Column int
	Kind   FaultKind
	Text   string
}

// Values is one column of a Block; the slice of its kind has one value per row.
type Values struct {
	Name string
	Kind Kind
	// Codes index Dictionary.
	Codes      []int32
	Dictionary *panel.Dictionary
	// Numbers are NaN where the cell is empty or faulty.
	Numbers []float32
	// Days are 0 where the cell is faulty. Clock has the second of the day, from 0 to 86,399, for each of them, or is empty where all
	// are at midnight.
	Days  []calendar.Day
	Clock []int32
}

// Block is consecutive rows of a source, column by column, as its reader found them. It is valid until the reader's next step.
type Block struct {
	File string
	Rows int
	// Lines has the line (in Parquet the row), from 1, of each row.
	Lines   []int64
	Columns []Values
	// Faults are in the order of rows.
	Faults []Fault
	// Raw returns the text of a row.
	Raw func(row int) string
}
