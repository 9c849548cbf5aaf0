package table

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
)

// Evidence is what the cells of a source say of its dialect. Show it blocks until it is decided, then Settle.
type Evidence struct {
	dialect Dialect
	want    []Column
	kinds   []Kind
	// commas says that all files so far, of which there are as many, separate their fields by commas.
	commas  bool
	files   int
	numbers numberEvidence
	times   timeEvidence
}

// NewEvidence begins to look at the number and date columns of want for what d leaves open.
func NewEvidence(d Dialect, want []Column) *Evidence {
	e := &Evidence{dialect: d, commas: d.Separator == ","}
	for _, w := range want {
		if w.Kind == Number || w.Kind == Date {
			e.kinds = append(e.kinds, w.Kind)
			e.want = append(e.want, Column{Name: w.Name, Kind: Text, Dictionary: &panel.Dictionary{}})
		}
	}
	return e
}

// Columns are what a block to be shown has, as text: those of s whose cells have no type of their own. There may be none.
func (e *Evidence) Columns(s Source) []Column {
	var out []Column
	for i, w := range e.want {
		if slices.Contains(s.Columns(), w.Name) && !s.Typed(w.Name, e.kinds[i]) {
			out = append(out, w)
		}
	}
	return out
}

// Separated says what separates the fields of the file that is shown next.
func (e *Evidence) Separated(by string) {
	e.commas = by == "," && (e.files == 0 || e.commas)
	e.files++
}

// See takes a block of Columns. It drops their dictionaries, so that memory is that of a block.
func (e *Evidence) See(b *Block) {
	for _, c := range b.Columns {
		i := slices.IndexFunc(e.want, func(w Column) bool { return w.Name == c.Name })
		for row, code := range c.Codes {
			text := c.Dictionary.Value(code)
			at := func() place { return place{b.File, c.Name, text, b.Lines[row]} }
			if e.kinds[i] == Number {
				e.numbers.see([]byte(text), at)
			} else {
				e.times.see([]byte(text), at)
			}
		}
		*c.Dictionary = panel.Dictionary{}
	}
}

// Undecided says whether further rows may decide what those so far do not.
func (e *Evidence) Undecided() bool {
	return e.numbers.undecided(e.dialect) || e.times.undecided(e.dialect)
}

// Settle returns the dialect; what nothing decides is a *Question.
func (e *Evidence) Settle() (Dialect, error) {
	d := e.dialect
	if err := e.numbers.settle(&d, e.commas); err != nil {
		return d, err
	}
	err := e.times.settle(&d)
	return d, err
}

// timeEvidence counts the shapes of dates.
type timeEvidence struct {
	shapes [shapeEpoch + 1]int
	// over has the dates whose first or second number is no month.
	over   [2]int
	dotted int
	first  place
	parts  parts // of the first
}

func (e *timeEvidence) see(text []byte, at func() place) {
	p, ok := partsOf(text)
	if !ok {
		return
	}
	e.shapes[p.shape]++
	if p.shape != shapeDays {
		return
	}
	if e.shapes[shapeDays] == 1 {
		e.first, e.parts = at(), p
	}
	if p.dotted {
		e.dotted++
	}
	if p.day > 12 {
		e.over[0]++
	}
	if p.month > 12 {
		e.over[1]++
	}
}

// most is the shape of most dates, 0 where there is none.
func (e *timeEvidence) most() shape {
	best := shape(0)
	for s := shapeYMD; s <= shapeEpoch; s++ {
		if e.shapes[s] > e.shapes[best] {
			best = s
		}
	}
	return best
}

func (e *timeEvidence) undecided(d Dialect) bool {
	return d.Times == "" && e.most() == shapeDays && e.over[0] == e.over[1] && 2*e.dotted < e.shapes[shapeDays]
}

func (e *timeEvidence) settle(d *Dialect) error {
	if d.Times != "" {
		return nil
	}
	if e.undecided(*d) {
		return e.question()
	}
	switch e.most() {
	case shapeDays:
		d.Times = DMY // so are those with points, where nothing else is said
		if e.over[1] > e.over[0] {
			d.Times = MDY
		}
	case shapeNamed:
		d.Times = DMY
		if e.over[1] > e.over[0] {
			d.Times = MDY
		}
	case shapeMonth:
		d.Times = Months
	case shapeWeek:
		d.Times = Weeks
	case shapeQuarter:
		d.Times = Quarters
	case shapeYear:
		d.Times = Years
	case shapeExcel:
		d.Times = Excel
	case shapeEpoch:
		d.Times = Epoch
	default:
		d.Times = YMD
	}
	return nil
}

func (e *timeEvidence) question() error {
	say := func(day, month int) string {
		d := calendar.DateOf(e.parts.year, time.Month(month), day)
		return fmt.Sprintf("%d %s", day, d.Time().Format("January 2006"))
	}
	a, b := e.parts.day, e.parts.month
	return &Question{
		File: e.first.file, Line: e.first.line, Column: e.first.column,
		Msg:  fmt.Sprintf("%q is %s if the day comes first, or %s if the month does, and no date of the column decides which: the order is ambiguous", e.first.text, say(a, b), say(cmp.Or(b, 1), a)),
		Hint: "set data.time_format to dmy for the first, or to mdy for the second",
	}
}
