package table

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"salescast/pkg/calendar"
)

// TimeForm is how the dates of a column are written.
type TimeForm string

// The forms of dates. Months with a name and a day are read under the first three.
const (
	// YMD: 2024-02-03, 2024/2/3, 20240203.
	YMD TimeForm = "ymd"
	// DMY: 03/02/2024, 3.2.2024, 3-Feb-24.
	DMY TimeForm = "dmy"
	// MDY: 02/03/2024, Feb 3, 2024.
	MDY TimeForm = "mdy"
	// Months: 2024-02, 202402, 02/2024, Feb 2024.
	Months TimeForm = "month"
	// Weeks of ISO 8601: 2024-W05.
	Weeks TimeForm = "week"
	// Quarters: 2024-Q1, Q1 2024.
	Quarters TimeForm = "quarter"
	// Years: 2024.
	Years TimeForm = "year"
	// Excel: days since 1899-12-30, as spreadsheets keep dates: 45325.
	Excel TimeForm = "excel"
	// Epoch: seconds, or thousandths, millionths or thousand-millionths of them, since 1970 in UTC: 1706918400.
	Epoch TimeForm = "epoch"
)

// TimeForms are all forms.
func TimeForms() []string {
	return []string{string(YMD), string(DMY), string(MDY), string(Months), string(Weeks), string(Quarters), string(Years), string(Excel), string(Epoch)}
}

// Check finds a form that there is not.
func (f TimeForm) Check() error {
	for _, w := range TimeForms() {
		if f == "" || string(f) == w {
			return nil
		}
	}
	return fmt.Errorf("time_format: %q is not one of %s", string(f), strings.Join(TimeForms(), ", "))
}

// Sales before or after these years are taken for slips of the pen: one such date would stretch a series over centuries.
const minYear, maxYear = 1900, 2200

// times reads texts as dates with a time of day.
type times struct {
	form TimeForm
	zone *time.Location
}

func newTimes(d Dialect) times {
	t := times{form: d.Times}
	if t.form == "" {
		t.form = YMD
	}
	t.zone, _ = d.Location() // Check has told of a zone that there is not
	return t
}

const secondsOfDay = 24 * 60 * 60

// parse reads a text: the day, and the second of the day.
func (t *times) parse(text []byte) (d calendar.Day, clock int32, kind FaultKind) {
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return 0, 0, NoDate
	}
	if t.form == YMD && len(text) == 10 && text[4] == '-' && text[7] == '-' {
		if d, err := calendar.ParseDay(string(text)); err == nil {
			return d, 0, plausible(d)
		}
	}
	p, ok := partsOf(text)
	if !ok {
		return 0, 0, BadDate
	}
	if p.shape == shapeDays && t.form == MDY {
		p.month, p.day = p.day, p.month
	}
	if !p.shape.is(t.form) {
		return 0, 0, BadDate
	}
	switch p.shape {
	case shapeExcel:
		d, clock = calendar.Day(p.serial-25569), int32(p.fraction*secondsOfDay+0.5)
	case shapeEpoch:
		d, clock = civilOf(time.Unix(p.serial, 0).In(t.utc()))
	default:
		if d, ok = p.date(); !ok {
			return 0, 0, NoSuchDate
		}
		clock = p.clock
		if p.offset && t.zone != nil {
			d, clock = civilOf(time.Unix(int64(d)*secondsOfDay+int64(clock)-int64(p.east), 0).In(t.zone))
		}
	}
	if clock >= secondsOfDay { // 24:00, or a rounded fraction
		d, clock = d+1, clock-secondsOfDay
	}
	return d, clock, plausible(d)
}

func (t *times) utc() *time.Location {
	if t.zone != nil {
		return t.zone
	}
	return time.UTC
}

func civilOf(at time.Time) (calendar.Day, int32) {
	h, m, s := at.Clock()
	return calendar.FromTime(at), int32(h*3600 + m*60 + s)
}

func plausible(d calendar.Day) FaultKind {
	if d < calendar.DateOf(minYear, 1, 1) || d > calendar.DateOf(maxYear, 12, 31) {
		return NoSuchDate
	}
	return 0
}

// shape is what can be told of a date's form from one text.
type shape uint8

const (
	shapeYMD   shape = iota + 1
	shapeDays        // three numbers, the year last; parts has the first as the day
	shapeNamed       // a day, a month's name and a year
	shapeMonth
	shapeWeek
	shapeQuarter
	shapeYear
	shapeExcel
	shapeEpoch
)

// is says whether a text of the shape is of the form.
func (s shape) is(f TimeForm) bool {
	switch s {
	case shapeYMD:
		return f == YMD
	case shapeDays:
		return f == DMY || f == MDY
	case shapeNamed:
		return f == DMY || f == MDY || f == YMD
	case shapeMonth:
		return f == Months
	case shapeWeek:
		return f == Weeks
	case shapeQuarter:
		return f == Quarters
	case shapeYear:
		return f == Years
	case shapeExcel:
		return f == Excel
	case shapeEpoch:
		return f == Epoch
	}
	return false
}

// parts are what stands in a text.
type parts struct {
	shape shape
	// year, month and day are numbers as they stand; in a week or quarter month is that.
	year, month, day int
	dotted           bool // points stand between them
	clock            int32
	// offset says that the text has a zone, east seconds before UTC.
	offset   bool
	east     int32
	serial   int64 // days or seconds
	fraction float64
}

// date is the day of a shape that has one.
func (p *parts) date() (calendar.Day, bool) {
	y, m, d := p.year, p.month, p.day
	switch p.shape { //nolint:exhaustive // the others say their day
	case shapeMonth:
		d = 1
	case shapeQuarter:
		if m < 1 || m > 4 {
			return 0, false
		}
		m, d = 3*m-2, 1
	case shapeYear:
		m, d = 1, 1
	case shapeWeek:
		return isoWeek(y, m)
	}
	if m < 1 || m > 12 || d < 1 || d > 31 {
		return 0, false
	}
	day := calendar.DateOf(y, time.Month(m), d)
	if _, same, _ := day.Date(); int(same) != m {
		return 0, false
	}
	return day, true
}

// isoWeek is the Monday of a week.
func isoWeek(y, week int) (calendar.Day, bool) {
	fourth := calendar.DateOf(y, 1, 4) // is in week 1
	monday := fourth - calendar.Day((int(fourth)+3)%7)
	if week < 1 || week > 53 {
		return 0, false
	}
	d := monday + calendar.Day(7*(week-1))
	if got, of := d.Time().ISOWeek(); got != y || of != week {
		return 0, false
	}
	return d, true
}

var monthNames = map[string]int{
	"jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12,
	"mär": 3, "mrz": 3, "mai": 5, "okt": 10, "dez": 12,
}

// maxDate is more than any date has.
const maxDate = 48

// partsOf takes a text apart; ok is false where it is no date.
func partsOf(text []byte) (p parts, ok bool) {
	if len(text) > maxDate {
		return p, false
	}
	date := text
	if colon := bytes.IndexByte(text, ':'); colon > 0 {
		from := colon
		for from > 0 && isDigit(text[from-1]) && colon-from < 2 {
			from--
		}
		date = bytes.TrimRight(text[:from], " T,")
		if len(date) == 0 || from == colon || !p.clockOf(text[from:]) {
			return p, false
		}
	}
	var f [3]int64
	var width [3]int
	n, named, namedAt, letter := 0, 0, 0, byte(0)
	for i := 0; i < len(date); {
		from := i
		c := date[i]
		switch {
		case isDigit(c):
			if n == len(f) {
				return p, false
			}
			for i < len(date) && isDigit(date[i]) {
				if i-from > 18 {
					return p, false
				}
				f[n] = f[n]*10 + int64(date[i]-'0')
				i++
			}
			width[n] = i - from
			n++
		case c == '-' || c == '/' || c == '.' || c == ' ' || c == ',':
			p.dotted = p.dotted || c == '.'
			i++
		default:
			for i < len(date) && (date[i] >= 0x80 || date[i]|0x20 >= 'a' && date[i]|0x20 <= 'z') {
				i++
			}
			word := strings.ToLower(string(date[from:i]))
			switch r := []rune(word); {
			case i == from:
				return p, false
			case word == "w" || word == "kw" || word == "q":
				letter = word[len(word)-1]
			case len(r) >= 3 && monthNames[string(r[:3])] > 0 && named == 0:
				named, namedAt = monthNames[string(r[:3])], n
			default:
				return p, false
			}
		}
	}
	return p.arrange(f, width, n, named, namedAt, letter)
}

// arrange gives n numbers of these widths their meaning.
func (p *parts) arrange(f [3]int64, width [3]int, n, named, namedAt int, letter byte) (parts, bool) {
	year := func(i int) int {
		if width[i] > 2 {
			return int(f[i])
		}
		if f[i] < 70 {
			return 2000 + int(f[i])
		}
		return 1900 + int(f[i])
	}
	set := func(s shape, y, m, d int) (parts, bool) {
		p.shape, p.year, p.month, p.day = s, y, m, d
		return *p, true
	}
	isYear := func(i int) bool { return width[i] == 4 }
	short := func(i int) bool { return width[i] <= 2 }
	switch {
	case named > 0 && n == 2 && isYear(0) && short(1):
		return set(shapeNamed, int(f[0]), named, int(f[1]))
	case named > 0 && n == 2 && short(0) && (isYear(1) || width[1] == 2):
		return set(shapeNamed, year(1), named, int(f[0]))
	case named > 0 && n == 1 && (isYear(0) || width[0] == 2 && namedAt == 0):
		return set(shapeMonth, year(0), named, 1)
	case named > 0:
		return *p, false
	case letter != 0 && n == 2:
		s := shapeWeek
		if letter == 'q' {
			s = shapeQuarter
		}
		if isYear(0) && short(1) {
			return set(s, int(f[0]), int(f[1]), 0)
		}
		if isYear(1) && short(0) {
			return set(s, int(f[1]), int(f[0]), 0)
		}
		return *p, false
	case letter != 0:
		return *p, false
	case n == 3 && isYear(0) && short(1) && short(2):
		return set(shapeYMD, int(f[0]), int(f[1]), int(f[2]))
	case n == 3 && short(0) && short(1) && (isYear(2) || width[2] == 2):
		return set(shapeDays, year(2), int(f[1]), int(f[0]))
	case n == 2 && isYear(0) && short(1) && !p.dotted:
		return set(shapeMonth, int(f[0]), int(f[1]), 1)
	case n == 2 && short(0) && isYear(1):
		return set(shapeMonth, int(f[1]), int(f[0]), 1)
	case n == 2 && width[0] == 5 && p.dotted:
		p.fraction = float64(f[1])
		for range width[1] {
			p.fraction /= 10
		}
		p.serial = f[0]
		return set(shapeExcel, 0, 0, 0)
	case n == 1:
		return p.single(f[0], width[0], set)
	}
	return *p, false
}

// single tells what one number of a width is.
func (p *parts) single(v int64, width int, set func(s shape, y, m, d int) (parts, bool)) (parts, bool) {
	switch width {
	case 4:
		return set(shapeYear, int(v), 0, 0)
	case 5:
		p.serial = v
		return set(shapeExcel, 0, 0, 0)
	case 6:
		return set(shapeMonth, int(v/100), int(v%100), 1)
	case 8:
		return set(shapeYMD, int(v/10000), int(v/100%100), int(v%100))
	case 10, 13, 16, 19:
		for range width - 10 {
			v /= 10
		}
		p.serial = v
		return set(shapeEpoch, 0, 0, 0)
	}
	return *p, false
}

// clockOf reads 09:05, 09:05:30.25, with AM or PM and a zone after it.
func (p *parts) clockOf(b []byte) bool {
	field := func() (v int32, width int) {
		for width < len(b) && isDigit(b[width]) && width < 9 {
			v = v*10 + int32(b[width]-'0')
			width++
		}
		b = b[width:]
		return v, width
	}
	h, w := field()
	if w == 0 || w > 2 || len(b) == 0 || b[0] != ':' {
		return false
	}
	b = b[1:]
	m, w := field()
	s, ws := int32(0), 2
	if len(b) > 0 && b[0] == ':' {
		b = b[1:]
		if s, ws = field(); len(b) > 1 && (b[0] == '.' || b[0] == ',') && isDigit(b[1]) {
			b = b[1:]
			field()
		}
	}
	if w != 2 || ws != 2 || h > 24 || m > 59 || s > 59 {
		return false
	}
	b = bytes.TrimSpace(b)
	if len(b) >= 2 && (b[1]|0x20) == 'm' && h >= 1 && h <= 12 {
		switch b[0] | 0x20 {
		case 'a':
			h %= 12
			b = bytes.TrimSpace(b[2:])
		case 'p':
			h = h%12 + 12
			b = bytes.TrimSpace(b[2:])
		}
	}
	p.clock = h*3600 + m*60 + s
	return (h < 24 || p.clock == secondsOfDay) && p.zoneOf(b)
}

// zoneOf reads nothing, Z, UTC, +02:00, +0200 or +02, perhaps with a name in brackets after it.
func (p *parts) zoneOf(b []byte) bool {
	if i := bytes.IndexByte(b, '['); i > 0 && b[len(b)-1] == ']' {
		b = b[:i]
	}
	switch strings.ToUpper(string(b)) {
	case "":
		return true
	case "Z", "UTC", "GMT":
		p.offset = true
		return true
	}
	digits := bytes.ReplaceAll(b[1:], []byte(":"), nil)
	if b[0] != '+' && b[0] != '-' || !isDigits(digits) || len(digits) != 2 && len(digits) != 4 {
		return false
	}
	digits = append(bytes.Clone(digits), "00"...)
	p.east = (int32(digits[0]-'0')*10+int32(digits[1]-'0'))*3600 + (int32(digits[2]-'0')*10+int32(digits[3]-'0'))*60
	if b[0] == '-' {
		p.east = -p.east
	}
	p.offset = true
	return p.east > -secondsOfDay && p.east < secondsOfDay
}
