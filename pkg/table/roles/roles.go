package roles

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
	"salescast/pkg/table"
	"salescast/pkg/table/format"
)

// Role is what a column is to a forecast.
type Role string

// The roles.
const (
	Time        Role = "time"
	Key         Role = "key"
	Target      Role = "target"
	KnownFuture Role = "known in future"
	PastOnly    Role = "past only"
	Static      Role = "attribute"
	Stockout    Role = "stockout"
	Ignored     Role = "ignored"
)

// Column is one column of a table, its role, and why it has it.
type Column struct {
	Name string
	Role Role
	Why  string
}

// Given are roles that the owner of a table names; what is empty is told from the rows.
type Given struct {
	Time, Target string
	Keys         []string
	// Receipts says that rows of one series and day are parts of its sales.
	Receipts bool
}

// Guess is what a look at a table says.
type Guess struct {
	// Columns are in the order of the table.
	Columns []Column
	// Dialect is how its texts are written.
	Dialect table.Dialect
	// Receipts says that rows repeat a series and period: they are parts of what was sold in it.
	Receipts bool
	// Series is the number of series in Rows rows, which are the first of the table; Days are the days of the longest of them, in order.
	Series, Rows int
	Days         []calendar.Day
}

// Named are the columns of a role, in the order of the table.
func (g *Guess) Named(r Role) []string {
	var out []string
	for _, c := range g.Columns {
		if c.Role == r {
			out = append(out, c.Name)
		}
	}
	return out
}

// Of looks at the files of a source, which have the same columns: at up to 100,000 rows for what names a series, and at all, up to 20
// million, for what is known past the last sale. Columns without a name that count rows are ignored. It answers a [*table.Question] where
// rows leave open what only their owner knows, and a [*table.SyntaxError] where a table has no time or nothing that may be a sale.
func Of(ctx context.Context, files []table.File, d table.Dialect, given Given) (*Guess, error) {
	look, err := format.Header(ctx, files[0], d)
	if err != nil {
		return nil, err
	}
	name := files[0].Name
	if n := len(look.Columns); n > maxColumns {
		return nil, &table.SyntaxError{File: name, Msg: fmt.Sprintf("the table has %d columns, and at most %d are looked at", n, maxColumns), Hint: "write data.keys, data.time and data.target by hand"}
	}
	s, err := read(ctx, files, look)
	if err != nil {
		return nil, err
	}
	if s.rows == 0 {
		return nil, &table.SyntaxError{File: name, Msg: "the file has a header and no rows", Hint: "a source needs rows to be looked at"}
	}
	l := &lookout{sample: s, file: name, given: given, guess: &Guess{Dialect: look.Dialect, Rows: s.rows, Columns: make([]Column, len(s.columns))}}
	for i := range s.columns {
		l.guess.Columns[i].Name = s.columns[i].name
	}
	for _, find := range []func() error{l.kinds, l.findTime, l.findTarget, l.findKeys} {
		if err := find(); err != nil {
			return nil, err
		}
	}
	return l.guess, l.rest(ctx, files)
}

// lookout is a look at work.
type lookout struct {
	*sample
	file  string
	given Given
	guess *Guess

	numeric, flags, whole []bool // by column: all texts are numbers, words of a flag, whole numbers
	time, target          int
	days                  []calendar.Day // of each row; 0 where there is none
	clocks                bool           // some time is not at midnight
	quarters              bool           // all times are at whole quarters of an hour
	keys                  []int
}

func (l *lookout) set(i int, r Role, why string, args ...any) {
	l.guess.Columns[i].Role, l.guess.Columns[i].Why = r, fmt.Sprintf(why, args...)
}

func (l *lookout) taken(i int) bool { return l.guess.Columns[i].Role != "" }

// place finds a column that the owner named; -1 of "".
func (l *lookout) place(name, role string) (int, error) {
	if name == "" {
		return -1, nil
	}
	i := slices.IndexFunc(l.columns, func(c sampleColumn) bool { return c.name == name })
	if i < 0 {
		return -1, &table.Question{File: l.file, Msg: fmt.Sprintf("there is no column %q to be the %s", name, role), Hint: "it has " + l.names()}
	}
	return i, nil
}

func (l *lookout) names() string {
	out := make([]string, len(l.columns))
	for i, c := range l.columns {
		out[i] = c.name
	}
	return strings.Join(out, ", ")
}

// kinds says of each column what its texts can be read as.
func (l *lookout) kinds() error {
	var dialects []*table.Cells
	for _, d := range []table.Dialect{{Decimal: ".", Thousands: ","}, {Decimal: ",", Thousands: "."}, {Decimal: ".", Thousands: " "}, {Decimal: ",", Thousands: " "}, {Decimal: ".", Thousands: "'"}} {
		dialects = append(dialects, d.Cells())
	}
	n := len(l.columns)
	l.numeric, l.flags, l.whole = make([]bool, n), make([]bool, n), make([]bool, n)
	for i := range l.columns {
		c := &l.columns[i]
		some, words := false, map[bool]string{}
		l.numeric[i], l.flags[i], l.whole[i] = true, true, true
		for _, text := range c.texts.Values() {
			if table.Missing(text) {
				continue
			}
			some = true
			l.numeric[i] = l.numeric[i] && slices.ContainsFunc(dialects, func(c *table.Cells) bool { _, ok := c.Number(text); return ok })
			yes, ok := table.Flag(text)
			if was, twice := words[yes]; twice && !strings.EqualFold(was, text) {
				ok = false // x and y are both a yes, and neither is a flag
			}
			words[yes] = text
			l.flags[i] = l.flags[i] && ok
			l.whole[i] = l.whole[i] && strings.Trim(text, "0123456789") == ""
		}
		if !some && c.levels() > 1 { // NA and null, as names
			l.numeric[i], l.flags[i], l.whole[i] = false, false, false
			continue
		}
		if !some {
			l.set(i, Ignored, "it is empty in %d rows", l.rows)
		}
	}
	return nil
}

// timeNames are what columns of times are called, the surest first.
var timeNames = []string{"date", "ds", "datum", "fecha", "data", "day", "datetime", "timestamp", "time", "week", "month", "quarter", "period", "year", "order_date", "invoicedate", "jour", "dia", "tag"}

// rank is the place of a name in a list of names, where the whole name counts more than a part of it; -1 where it is in none.
func rank(name string, names []string) int {
	n := strings.ToLower(strings.TrimSpace(name))
	if i := slices.Index(names, n); i >= 0 {
		return i
	}
	words := strings.FieldsFunc(n, func(r rune) bool { return r == '_' || r == ' ' || r == '-' || r == '.' })
	for i, w := range names {
		if len(w) > 2 && slices.Contains(words, w) || len(w) > 4 && strings.Contains(n, w) {
			return len(names) + i
		}
	}
	return -1
}

// findTime takes the column whose texts are dates: one that only dates are written like, or else one of numbers with the name of a time.
func (l *lookout) findTime() error {
	at, err := l.place(l.given.Time, "time")
	if err != nil {
		return err
	}
	why := "as you say"
	var questions error
	if at < 0 {
		best := 0
		for i := range l.columns {
			if l.taken(i) || l.numeric[i] && rank(l.columns[i].name, timeNames) < 0 {
				continue
			}
			d, err := l.dialectOf(i, table.Date)
			if err != nil {
				questions = cmp.Or(questions, err)
				if q, ok := errors.AsType[*table.Question](err); ok && !l.numeric[i] && rank(q.Column, timeNames) >= 0 {
					return err
				}
				continue
			}
			if !l.allTimes(i, d) {
				continue
			}
			score := 1000
			if l.numeric[i] {
				score = 500
			}
			if r := rank(l.columns[i].name, timeNames); r >= 0 {
				score += 400 - r
			}
			if score > best {
				best, at = score, i
			}
		}
		why = "every text in it is a date"
	}
	if at < 0 {
		if q, ok := errors.AsType[*table.Question](questions); ok {
			return q
		}
		return &table.SyntaxError{File: l.file, Msg: "no column has dates; the columns are " + l.names(), Hint: "a table of sales has a row for each series and date; name the column with --time"}
	}
	d, err := l.dialectOf(at, table.Date)
	if err != nil {
		return err
	}
	l.guess.Dialect.Times = d.Times
	cells := d.Cells()
	byCode := make([]calendar.Day, l.columns[at].levels())
	l.quarters = true
	for code, text := range l.columns[at].texts.Values() {
		day, clock, ok := cells.Time(text)
		if !ok {
			continue
		}
		byCode[code] = day
		l.clocks, l.quarters = l.clocks || clock != 0, l.quarters && clock%900 == 0
	}
	l.days = make([]calendar.Day, l.rows)
	for row, code := range l.columns[at].codes {
		l.days[row] = byCode[code]
	}
	l.time = at
	l.set(at, Time, "%s", why)
	for i := range l.columns {
		if l.taken(i) || l.numeric[i] {
			continue
		}
		if d, err := l.dialectOf(i, table.Date); err == nil && l.allTimes(i, d) {
			l.set(i, Ignored, "it has dates, and %s is the time", l.columns[at].name)
		}
	}
	return nil
}

// dialectOf settles what the texts of one column say of the dialect, read as a kind.
func (l *lookout) dialectOf(i int, k table.Kind) (table.Dialect, error) {
	e := table.NewEvidence(l.guess.Dialect, []table.Column{{Name: l.columns[i].name, Kind: k}})
	l.show(e, i)
	return e.Settle()
}

// show shows the texts of a column to e, each once.
func (l *lookout) show(e *table.Evidence, i int) {
	c := &l.columns[i]
	d := &panel.Dictionary{}
	b := &table.Block{File: l.file, Columns: []table.Values{{Name: c.name, Kind: table.Text, Dictionary: d}}}
	seen := make([]bool, c.levels())
	for row, code := range c.codes {
		if seen[code] {
			continue
		}
		seen[code] = true
		b.Rows++
		b.Lines = append(b.Lines, l.lines[row])
		b.Columns[0].Codes = append(b.Columns[0].Codes, d.CodeString(c.texts.Value(code)))
	}
	e.See(b)
}

// allTimes says whether the texts of a column are dates, but for one in twenty, which may be a slip.
func (l *lookout) allTimes(i int, d table.Dialect) bool {
	cells, good, all := d.Cells(), 0, 0
	for code, text := range l.columns[i].texts.Values() {
		if table.Missing(text) {
			continue
		}
		all += l.columns[i].counts[code]
		if _, _, ok := cells.Time(text); ok {
			good += l.columns[i].counts[code]
		}
	}
	return good > 0 && 20*good >= 19*all
}

// targetNames are what sales are called, the surest first.
var targetNames = []string{
	"sales", "demand", "quantity", "quantity_sold", "qty", "units", "units_sold", "num_sold", "target", "y", "sold", "weekly_sales", "unit_sales", "volume", "value", "revenue", "turnover", "orders",
	"menge", "absatz", "umsatz", "verkauf", "verkäufe", "stück", "anzahl", "ventes", "quantité", "ventas", "cantidad", "unidades", "vendite", "quantità", "vendas", "quantidade", "verkoop", "aantal",
	"försäljning", "antal", "sprzedaż", "ilość", "amount", "count", "total", "sale",
}

// findTarget takes the column of numbers that is called like sales, or the only one that can be sales.
func (l *lookout) findTarget() error {
	at, err := l.place(l.given.Target, "target")
	if err != nil {
		return err
	}
	why := "as you say"
	if at < 0 {
		var able []int
		best := -1
		for i := range l.columns {
			if l.taken(i) || !l.numeric[i] || l.flags[i] || l.counts(i) || identifies(l.columns[i].name) {
				continue
			}
			able = append(able, i)
			if r := rank(l.columns[i].name, targetNames); r >= 0 && (best < 0 || r < best) {
				best, at = r, i
			}
		}
		why = "it is called so, and has numbers"
		switch {
		case at >= 0:
		case len(able) == 1:
			at, why = able[0], "no other column has numbers that may be sales"
		case len(able) == 0:
			return &table.SyntaxError{File: l.file, Msg: "no column has numbers that may be sales; the columns are " + l.names(), Hint: "name the one that is to be forecast with --target"}
		default:
			names := make([]string, len(able))
			for j, i := range able {
				names[j] = l.columns[i].name
			}
			return &table.Question{File: l.file, Msg: "more than one column may be what is to be forecast: " + strings.Join(names, ", "), Hint: "name it with --target " + names[0] + ", or in data.target"}
		}
	}
	l.target = at
	l.set(at, Target, "%s", why)
	return nil
}

// identifies says whether a name is that of a key by custom.
func identifies(name string) bool {
	n := strings.ToLower(name)
	if slices.Contains([]string{"store", "shop", "item", "sku", "id", "product", "article", "dept", "family", "branch", "filiale", "artikel", "tienda", "magasin", "unique_id", "series", "code", "ean", "upc", "plu"}, n) {
		return true
	}
	return slices.ContainsFunc([]string{"_id", "_nbr", "_no", "_nr", "_code", "id_", "_key", "_sku"}, func(w string) bool { return strings.HasSuffix(n, w) || strings.HasPrefix(n, w) && w == "id_" })
}

// counts says whether a column numbers the rows.
func (l *lookout) counts(i int) bool {
	c := &l.columns[i]
	if !l.whole[i] || c.levels() < l.rows || l.rows < 20 {
		return false
	}
	cells := table.Dialect{}.Cells()
	before := float32(-1)
	for row, code := range c.codes[:min(1000, l.rows)] {
		x, _ := cells.Number(c.texts.Value(code))
		if row == 0 && x > 1 || row > 0 && x != before+1 {
			return false
		}
		before = x
	}
	return true
}
