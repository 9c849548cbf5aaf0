package table

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Dialect says how the texts of a source are written. It is found once, from the source or from who knows it, and every cell is held
// against it. The zero value leaves all to be found; a builder reads with it as with a decimal point and dates of the form YYYY-MM-DD.
type Dialect struct {
	// Encoding and Separator are of CSV: utf-8, utf-16 or windows-1252, and one character.
	Encoding  string `json:"encoding,omitempty"`
	Separator string `json:"separator,omitempty"`
	// Sheet is that of a workbook, or the file of an archive.
	Sheet string `json:"sheet,omitempty"`
	// Decimal is "." or ",". Thousands is what may stand between groups of three digits: ".", ",", "'", " " for spaces of any kind, or
	// "none".
	Decimal   string `json:"decimal,omitempty"`
	Thousands string `json:"thousands,omitempty"`
	// Times is the form of dates.
	Times TimeForm `json:"time_format,omitempty"`
	// Timezone is the IANA name of the zone in which a day begins, for times that name an instant; empty takes a time as it is written.
	Timezone string `json:"timezone,omitempty"`
}

// NoThousands says that no character stands between groups of digits.
const NoThousands = "none"

// separators are those that are looked for, the most usual first.
var separators = []string{",", ";", "\t", "|"}

// Check finds words that no dialect has.
func (d Dialect) Check() error {
	among := func(name, v string, words ...string) error {
		if v == "" || slices.Contains(words, v) {
			return nil
		}
		return fmt.Errorf("%s: %q is not one of %q", name, v, words)
	}
	for _, err := range []error{
		among("encoding", d.Encoding, UTF8, UTF16, Windows1252), among("separator", d.Separator, separators...),
		among("decimal", d.Decimal, ".", ","), among("thousands", d.Thousands, ".", ",", "'", " ", NoThousands),
	} {
		if err != nil {
			return err
		}
	}
	if d.Decimal != "" && d.Decimal == d.Thousands {
		return fmt.Errorf("decimal and thousands are both %q", d.Decimal)
	}
	if err := d.Times.Check(); err != nil {
		return err
	}
	if _, err := d.Location(); err != nil {
		return fmt.Errorf("timezone: %w", err)
	}
	return nil
}

// The encodings of CSV.
const (
	UTF8        = "utf-8"
	UTF16       = "utf-16"
	Windows1252 = "windows-1252"
)

// Location is that of Timezone, nil where there is none.
func (d Dialect) Location() (*time.Location, error) {
	if d.Timezone == "" {
		return nil, nil //nolint:nilnil // no zone is a zone that was not named
	}
	if strings.EqualFold(d.Timezone, "local") {
		return nil, fmt.Errorf("%q is no name of a zone that means the same on every machine", d.Timezone)
	}
	return time.LoadLocation(d.Timezone)
}

// Question is a choice that nothing in a source decides, and that only its owner can make.
type Question struct {
	File   string
	Line   int64
	Column string
	// Msg says what can be read in more than one way, Hint which setting decides it.
	Msg, Hint string
}

func (q *Question) Error() string {
	return (&SyntaxError{File: q.File, Line: q.Line, Column: q.Column, Msg: q.Msg}).Error()
}
