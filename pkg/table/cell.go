package table

import "salescast/pkg/calendar"

// Cells reads single texts as the rows of a source in its dialect are read.
type Cells struct {
	numbers numbers
	times   times
}

// Cells returns what reads texts in this dialect.
func (d Dialect) Cells() *Cells { return &Cells{newNumbers(d), newTimes(d)} }

// Number reads a number; it is NaN where the text is one of the words for what is missing.
func (c *Cells) Number(text string) (x float32, ok bool) {
	x, fault := c.numbers.parse([]byte(text))
	return x, fault == 0
}

// Time reads a date, and the second of its day.
func (c *Cells) Time(text string) (d calendar.Day, clock int32, ok bool) {
	d, clock, fault := c.times.parse([]byte(text))
	return d, clock, fault == 0
}

// Missing says whether a text is empty or one of the words for what is missing.
func Missing(text string) bool { return isMissing([]byte(text)) }

// Flag reads a word that stands for yes or no in a flag column; ok is false of any other text.
func Flag(text string) (yes, ok bool) {
	v, ok := flag([]byte(text), true)
	return v != 0, ok
}
