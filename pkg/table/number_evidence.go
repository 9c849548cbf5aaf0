package table

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// numberEvidence counts what the numbers of a source say of its decimal sign and its groups.
type numberEvidence struct {
	// point and comma are the cells that can be read with that decimal sign alone.
	point, comma int
	// grouped are the cells with groups, by what stands between them.
	grouped map[byte]int
	// open are the cells that are a number with a decimal sign, or a thousand times as much: 1.234. By what stands there.
	open map[byte]*openCell
}

// openCell is a cell that can be read in two ways, and how many there are like it.
type openCell struct {
	place
	count int
}

// place is a cell, for a question about it.
type place struct {
	file, column, text string
	line               int64
}

// see takes a cell of a column that is to be numbers.
func (e *numberEvidence) see(text []byte, at func() place) {
	b, _ := bare(text)
	if isDigits(b) {
		return
	}
	runs, seps, groups := [2]int{}, []byte(nil), true // digits before the first separator, and after the last; groups between have three
	for i := 0; i < len(b); {
		r, size := utf8.DecodeRune(b[i:])
		i += size
		if r >= '0' && r <= '9' {
			runs[min(len(seps), 1)]++
			continue
		}
		switch {
		case r == '.' || r == ',' || r == '\'':
			seps = append(seps, byte(r))
		case r == '’':
			seps = append(seps, '\'')
		case isSpace(r):
			seps = append(seps, ' ')
		default:
			return // no number
		}
		groups = groups && (len(seps) == 1 || runs[1] == 3)
		runs[1] = 0
	}
	groups = groups && (len(seps) < 2 || runs[0] <= 3 && (runs[1] == 3 || seps[0] != seps[len(seps)-1]))
	if len(seps) > 0 && runs[0] > 0 && runs[1] > 0 && groups {
		e.weigh(seps, runs, b[0] == '0', at)
	}
}

// weigh takes what stands between the digits of a number.
func (e *numberEvidence) weigh(seps []byte, runs [2]int, zero bool, at func() place) {
	last := seps[len(seps)-1]
	switch {
	case last != '.' && last != ',':
		if runs[1] == 3 {
			e.group(last)
		}
	case len(seps) > 1 && seps[0] == last:
		e.group(last)
		e.decide(opposite(last))
	case len(seps) > 1:
		e.group(seps[0])
		e.decide(last)
	case runs[1] == 3 && runs[0] <= 3 && !zero:
		o := e.open[last]
		if o == nil {
			o = &openCell{place: at()}
			if e.open == nil {
				e.open = map[byte]*openCell{}
			}
			e.open[last] = o
		}
		o.count++
	default:
		e.decide(last)
	}
}

func opposite(sign byte) byte {
	if sign == '.' {
		return ','
	}
	return '.'
}

func (e *numberEvidence) group(sep byte) {
	if e.grouped == nil {
		e.grouped = map[byte]int{}
	}
	e.grouped[sep]++
}

func (e *numberEvidence) decide(decimal byte) {
	if decimal == '.' {
		e.point++
	} else {
		e.comma++
	}
}

// undecided says whether a further cell may decide what those so far do not.
func (e *numberEvidence) undecided(d Dialect) bool {
	return d.Decimal == "" && d.Thousands == "" && e.point == e.comma && len(e.open) > 0
}

func (e *numberEvidence) opened(sep byte) int {
	if o := e.open[sep]; o != nil {
		return o.count
	}
	return 0
}

// settle completes a dialect.
func (e *numberEvidence) settle(d *Dialect, commas bool) error {
	if e.undecided(*d) {
		// Whoever separates fields by a comma does not write it into numbers for a point: then it stands between thousands.
		if !commas || e.opened('.') > 0 {
			return e.question()
		}
		d.Decimal = "."
	}
	if d.Decimal == "" {
		comma := e.comma > e.point && d.Thousands != ","
		if comma || d.Thousands == "." || d.Thousands == NoThousands && e.opened(',') > e.opened('.') {
			d.Decimal = ","
		} else {
			d.Decimal = "."
		}
	}
	if d.Thousands == "" {
		d.Thousands = NoThousands
		most := 0
		for _, sep := range []byte{opposite(d.Decimal[0]), '\'', ' '} {
			if n := e.grouped[sep] + e.opened(sep); n > most {
				d.Thousands, most = string(sep), n
			}
		}
	}
	return nil
}

func (e *numberEvidence) question() error {
	sep := "."
	if e.opened(',') > e.opened('.') {
		sep = ","
	}
	o := e.open[sep[0]]
	other := string(opposite(sep[0]))
	digits, _ := bare([]byte(o.text))
	whole, fraction, _ := strings.Cut(string(digits), sep)
	hint := fmt.Sprintf(`set data.csv to {decimal: %q} for the first, or {decimal: %q} for the second`, sep, other)
	return &Question{
		File: o.file, Line: o.line, Column: o.column, Hint: hint,
		Msg: fmt.Sprintf("%q is %s.%s if the %s is the decimal sign, or %s%s if it stands between thousands, and no number of the source decides which", o.text, whole, fraction, signName(sep), whole, fraction),
	}
}

func signName(sep string) string {
	if sep == "." {
		return "point"
	}
	return "comma"
}
