package roles

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"salescast/pkg/calendar"
	"salescast/pkg/table"
)

const (
	// maxKeys is how many columns may name a series, and maxCandidates from how many they are chosen.
	maxKeys, maxCandidates = 5, 14
	// slips is the share of rows, in thousandths, that may repeat a series and date before they are taken for parts of a sale.
	slips = 2
)

// findKeys takes the smallest set of columns that beside the time makes rows unique, of those the one with the fewest series.
func (l *lookout) findKeys() error {
	var able []int
	for i := range l.columns {
		c := &l.columns[i]
		switch {
		case l.taken(i):
		case l.counts(i) || c.levels() == l.rows && l.rows > 20 && (!l.numeric[i] || l.whole[i]):
			l.set(i, Ignored, "it is another in every row")
		case !l.numeric[i] || identifies(c.name) && (!l.numeric[i] || l.whole[i]) || l.whole[i] && c.levels()*3 <= l.rows && !slices.Contains(c.texts.Values(), ""):
			able = append(able, i)
		}
	}
	if len(l.given.Keys) > 0 {
		for _, name := range l.given.Keys {
			i, err := l.place(name, "key")
			if err != nil {
				return err
			}
			l.keys = append(l.keys, i)
			l.set(i, Key, "as you say")
		}
		l.guess.Receipts = l.repeats(l.keys) > 0 && (l.clocks || l.given.Receipts)
		l.describe()
		return nil
	}
	// What custom calls a key, and text, come before numbers, and those before flags.
	slices.SortStableFunc(able, func(a, b int) int { return l.liking(a) - l.liking(b) })
	able = able[:min(len(able), maxCandidates)]
	for liked := 1; liked <= 3 && !l.clocks; liked++ {
		n := slices.IndexFunc(able, func(i int) bool { return l.liking(i) > liked })
		if n < 0 {
			n = len(able)
		}
		if l.search(able[:n]) {
			l.describe()
			return nil
		}
	}
	l.receipts(able)
	l.describe()
	if l.clocks && l.quarters && !l.given.Receipts && l.guess.Receipts && l.distinct() {
		c := &l.columns[l.time]
		return &table.Question{
			File: l.file, Line: l.lines[0], Column: c.name,
			Msg:  fmt.Sprintf("%q and those after it are parts of a day, each there once for a series, and steps of a forecast are days or longer", c.texts.Value(c.codes[0])),
			Hint: "say --receipts to have the rows of a day summed",
		}
	}
	return nil
}

func (l *lookout) liking(i int) int {
	switch {
	case identifies(l.columns[i].name):
		return 0
	case l.flags[i]:
		return 3
	case l.numeric[i]:
		return 2
	}
	return 1
}

// search tries sets of columns, small ones first.
func (l *lookout) search(able []int) bool {
	for size := range maxKeys + 1 {
		best, fewest, liked := []int(nil), 0, 0
		var try func(from int, set []int)
		try = func(from int, set []int) {
			if len(set) == size {
				if !l.unique(set) {
					return
				}
				n, like := l.series(set), 0
				for _, i := range set {
					like += l.liking(i)
				}
				if best == nil || like < liked || like == liked && n < fewest {
					best, fewest, liked = slices.Clone(set), n, like
				}
				return
			}
			for j := from; j < len(able); j++ {
				try(j+1, append(set, able[j]))
			}
		}
		try(0, make([]int, 0, maxKeys))
		if best != nil || size == 0 && l.unique(nil) {
			l.keys = best
			for _, i := range able { // it has but one item today
				if l.columns[i].levels() == 1 && identifies(l.columns[i].name) && len(l.keys) < maxKeys {
					l.keys = append(l.keys, i)
				}
			}
			slices.Sort(l.keys)
			for _, i := range l.keys {
				why := "with the time it makes rows unique"
				if len(l.keys) > 1 {
					why = "with the time and the other keys it makes rows unique"
				}
				l.set(i, Key, "%s", why)
			}
			return true
		}
		if size >= len(able) {
			return false
		}
	}
	return false
}

// unique says whether a set of columns beside the time names a row: first of few rows, then of all, but for some slips.
func (l *lookout) unique(set []int) bool {
	for _, rows := range []int{min(2000, l.rows), l.rows} {
		if l.repeatsIn(set, rows)*1000 > slips*rows {
			return false
		}
	}
	// Series of a row or two are no series.
	return l.series(set)*3 <= l.rows || l.rows < 30
}

func (l *lookout) repeats(set []int) int { return l.repeatsIn(set, l.rows) }

// repeatsIn counts the rows, of the first, that repeat a set's levels and time.
func (l *lookout) repeatsIn(set []int, rows int) int {
	seen := make(map[[maxKeys + 1]int32]struct{}, rows)
	for row := range rows {
		if l.days[row] == 0 {
			continue
		}
		at := l.levelsOf(set, row)
		at[maxKeys] = l.columns[l.time].codes[row]
		if l.clocks {
			at[maxKeys] = int32(l.days[row])
		}
		seen[at] = struct{}{}
	}
	return rows - len(seen)
}

func (l *lookout) levelsOf(set []int, row int) (at [maxKeys + 1]int32) {
	for j, i := range set[:min(len(set), maxKeys)] {
		at[j] = l.columns[i].codes[row]
	}
	return at
}

func (l *lookout) series(set []int) int {
	seen := map[[maxKeys + 1]int32]struct{}{}
	for row := range l.rows {
		seen[l.levelsOf(set, row)] = struct{}{}
	}
	return len(seen)
}

// receipts takes as keys what is called so and text with few levels, where rows are parts of what was sold.
func (l *lookout) receipts(able []int) {
	for _, i := range able {
		c := &l.columns[i]
		if len(l.keys) == maxKeys || c.levels() < 2 || c.levels()*10 > l.rows || l.functionOf(i, l.keys) {
			continue
		}
		if identifies(c.name) || !l.numeric[i] && !l.flags[i] && rank(c.name, []string{"customer", "payment", "cashier", "receipt", "invoice"}) < 0 {
			l.keys = append(l.keys, i)
			l.set(i, Key, "it names what is sold, or where")
		}
	}
	slices.Sort(l.keys)
	l.guess.Receipts = l.repeats(l.keys)*1000 > slips*l.rows
}

// distinct says whether no series has two rows with one time.
func (l *lookout) distinct() bool {
	l.clocks = false
	defer func() { l.clocks = true }()
	return l.repeats(l.keys)*1000 <= slips*l.rows
}

// functionOf says whether the levels of a set decide that of column i in all rows.
func (l *lookout) functionOf(i int, set []int) bool {
	of := map[[maxKeys + 1]int32]int32{}
	for row, code := range l.columns[i].codes {
		at := l.levelsOf(set, row)
		if was, ok := of[at]; ok && was != code {
			return false
		}
		of[at] = code
	}
	return true
}

// describe counts series and finds the days of the longest.
func (l *lookout) describe() {
	l.guess.Series = l.series(l.keys)
	count, longest := map[[maxKeys + 1]int32]int{}, [maxKeys + 1]int32{}
	for row := range l.rows {
		at := l.levelsOf(l.keys, row)
		if count[at]++; count[at] > count[longest] {
			longest = at
		}
	}
	for row := range l.rows {
		if l.levelsOf(l.keys, row) == longest && l.days[row] != 0 {
			l.guess.Days = append(l.guess.Days, l.days[row])
		}
	}
	slices.Sort(l.guess.Days)
	l.guess.Days = slices.Compact(l.guess.Days)
}

// rest says what all other columns are.
func (l *lookout) rest(ctx context.Context, files []table.File) error {
	var covariates []int
	for i := range l.columns {
		switch {
		case l.taken(i):
		case l.columns[i].levels() == 1:
			l.set(i, Ignored, "it is the same in all rows")
		case len(l.keys) > 0 && l.functionOf(i, l.keys) && !l.flags[i] && l.columns[i].levels() == l.guess.Series && l.guess.Series > 1:
			l.set(i, Ignored, "it is another name of what %s says", l.keyNames())
		case len(l.keys) > 0 && !l.numeric[i] && l.functionOf(i, l.keys):
			l.set(i, Static, "it is the same in all rows of a series")
		case l.guess.Receipts:
			l.set(i, Ignored, "it is of parts of a sale, and not of a day")
		case len(l.guess.Named(Stockout)) == 0 && l.columns[i].levels() == 2 && (l.flags[i] || l.whole[i]) && rank(l.columns[i].name, []string{"stockout", "sold_out", "soldout", "out_of_stock", "oos"}) >= 0:
			l.set(i, Stockout, "it is called so: where it is 1 the shelf was empty, and what would have been sold is unknown")
		case !l.numeric[i] && !l.flags[i]:
			l.set(i, Ignored, "it is text that changes within a series; give it as numbers, or a column of yes and no for each word, to have it read")
		default:
			covariates = append(covariates, i)
		}
	}
	if err := l.settle(covariates); err != nil {
		return err
	}
	want := make([]table.Column, len(covariates))
	for j, i := range covariates {
		want[j] = table.Column{Name: l.columns[i].name, Kind: table.Number, Flag: true}
	}
	planned := make([]bool, len(covariates))
	if len(covariates) > 0 {
		var err error
		if planned, err = ahead(ctx, files, l.guess.Dialect, l.columns[l.time].name, l.columns[l.target].name, want); err != nil {
			return err
		}
	}
	for j, i := range covariates {
		switch {
		case planned[j]:
			l.set(i, KnownFuture, "the table has it past the last sale")
		case l.calendric(i):
			l.set(i, KnownFuture, "the date alone decides it")
		default:
			l.set(i, PastOnly, "the table does not have it past the last sale")
		}
	}
	return nil
}

func (l *lookout) keyNames() string {
	out := make([]string, len(l.keys))
	for j, i := range l.keys {
		out[j] = l.columns[i].name
	}
	return strings.Join(out, ", ")
}

// settle finds how the numbers of the target and the covariates are written.
func (l *lookout) settle(covariates []int) error {
	var want []table.Column
	numbers := append([]int{l.target}, covariates...)
	for _, i := range numbers {
		want = append(want, table.Column{Name: l.columns[i].name, Kind: table.Number})
	}
	e := table.NewEvidence(l.guess.Dialect, want)
	for _, i := range numbers {
		if !l.flags[i] {
			l.show(e, i)
		}
	}
	d, err := e.Settle()
	if err != nil {
		return err
	}
	d.Times = l.guess.Dialect.Times
	l.guess.Dialect = d
	return nil
}

// calendric says whether something that repeats in the calendar decides a column, the same for all series: the weekday, the day of the
// month, the month, or the day of the year, each seen at least twice.
func (l *lookout) calendric(i int) bool {
	c := &l.columns[i]
	for _, of := range []func(calendar.Day) int{
		func(d calendar.Day) int { return d.Weekday() },
		func(d calendar.Day) int { _, _, day := d.Date(); return day },
		func(d calendar.Day) int { _, m, _ := d.Date(); return int(m) },
		func(d calendar.Day) int { _, m, day := d.Date(); return 100*int(m) + day },
	} {
		type seen struct {
			code  int32
			first calendar.Day
		}
		by, again, fits := map[int]seen{}, 0, true
		for row, code := range c.codes {
			d := l.days[row]
			if d == 0 {
				continue
			}
			was, ok := by[of(d)]
			if !ok {
				by[of(d)] = seen{code, d}
				continue
			}
			if was.code != code {
				fits = false
				break
			}
			if d != was.first {
				again++
			}
		}
		if fits && again >= 2*len(by) {
			return true
		}
	}
	return false
}
