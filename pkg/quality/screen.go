package quality

import (
	"fmt"
	"math"

	"salescast/pkg/calendar"
	"salescast/pkg/panel"
	"salescast/pkg/table"
)

// Contract says what rows must be. The columns of Records come in this order: keys, static attributes, time, target, covariates.
type Contract struct {
	Keys, Static, Covariates int
	// TimeOfDay lets rows have one, which is dropped.
	TimeOfDay bool
	// Today is the last day on which a sale can have happened.
	Today calendar.Day
	// Expected lists the allowed values of key and static columns by name; a column that is not named may hold anything.
	Expected map[string][]string
}

// Rejected is a row that was set aside.
type Rejected struct {
	File   string
	Line   int64
	Rule   string
	Reason string
	Raw    string
}

// Screen looks at every row, hands the good ones on, and sets the others aside with a reason.
type Screen struct {
	contract Contract
	found    *Collector
	reject   func(Rejected) error
	expected []map[string]bool
	row      panel.Row
}

// NewScreen returns a screen that counts into found and gives each bad row to reject.
func NewScreen(c Contract, found *Collector, reject func(Rejected) error) *Screen {
	n := c.Keys + c.Static
	return &Screen{contract: c, found: found, reject: reject, expected: make([]map[string]bool, n), row: panel.Row{
		Keys: make([]int32, c.Keys), Static: make([]int32, c.Static), Covariates: make([]float32, c.Covariates),
	}}
}

var faultRules = map[table.FaultKind]string{
	table.WrongFields: "wrong_fields", table.BadNumber: "bad_number", table.DecimalComma: "decimal_comma", table.BadDate: "bad_date",
	table.NoSuchDate: "impossible_date", table.NoDate: "missing_date", table.BadText: "bad_text",
}

// Records screens rows: the good ones go to add with Origin origin(line). The row that add gets is valid during the call.
func (s *Screen) Records(r *table.Block, origin func(line int64) panel.Origin, add func(*panel.Row) error) error {
	faults := r.Faults
	for i := range r.Rows {
		rule, place := "", Place{}
		if len(faults) > 0 && faults[0].Row == i {
			rule, place = faultRules[faults[0].Kind], Place{Text: fmt.Sprintf("%q", faults[0].Text)}
			if c := faults[0].Column; c >= 0 {
				place.Column = r.Columns[c].Name
			}
			for len(faults) > 0 && faults[0].Row == i {
				faults = faults[1:]
			}
		} else {
			rule, place = s.check(r, i)
		}
		if rule == "" {
			s.row.Origin = origin(r.Lines[i])
			if err := add(&s.row); err != nil {
				return err
			}
			continue
		}
		place.File, place.Line = r.File, r.Lines[i]
		s.found.Add(rule, place)
		reason := rule
		if place.Column != "" {
			reason = "column " + place.Column + ": " + place.Text
		}
		if err := s.reject(Rejected{File: r.File, Line: r.Lines[i], Rule: rule, Reason: reason, Raw: r.Raw(i)}); err != nil {
			return err
		}
	}
	return nil
}

// daysPlanned is how far ahead of today, ten years, rows may lie: others are slips of the pen, and their series would be filled up to them.
const daysPlanned = 3653

// check fills s.row from row i and returns the rule that it breaks, "" if none.
func (s *Screen) check(r *table.Block, i int) (rule string, at Place) {
	c, cols := &s.contract, r.Columns
	for k := range c.Keys {
		s.row.Keys[k] = cols[k].Codes[i]
		if cols[k].Dictionary.Value(cols[k].Codes[i]) == "" {
			return "missing_key", Place{Column: cols[k].Name, Text: "empty"}
		}
	}
	for k := range c.Static {
		s.row.Static[k] = cols[c.Keys+k].Codes[i]
	}
	if len(c.Expected) > 0 {
		for k := range c.Keys + c.Static {
			if v := cols[k].Dictionary.Value(cols[k].Codes[i]); !s.isExpected(k, cols[k].Name, v) {
				return "unknown_category", Place{Column: cols[k].Name, Text: fmt.Sprintf("%q", v)}
			}
		}
	}
	n := c.Keys + c.Static
	s.row.Day, s.row.Target = cols[n].Days[i], cols[n+1].Numbers[i]
	if at := cols[n].Clock; len(at) > 0 && at[i] != 0 && !c.TimeOfDay {
		return "time_of_day", Place{Column: cols[n].Name, Text: fmt.Sprintf("%v %02d:%02d:%02d", s.row.Day, at[i]/3600, at[i]/60%60, at[i]%60)}
	}
	y := s.row.Target
	switch {
	case math.IsInf(float64(y), 0):
		return "not_finite", Place{Column: cols[n+1].Name, Text: fmt.Sprint(y)}
	case y < 0:
		return "negative", Place{Column: cols[n+1].Name, Text: fmt.Sprint(y)}
	case s.row.Day > c.Today+daysPlanned:
		return "impossible_date", Place{Column: cols[n].Name, Text: fmt.Sprintf("%v, and today is %v", s.row.Day, c.Today)}
	case y == y && s.row.Day > c.Today:
		return "future_sale", Place{Column: cols[n].Name, Text: fmt.Sprintf("%v, and today is %v", s.row.Day, c.Today)}
	}
	for k := range c.Covariates {
		col := &cols[n+2+k]
		v := col.Numbers[i]
		if math.IsInf(float64(v), 0) {
			return "not_finite", Place{Column: col.Name, Text: fmt.Sprint(v)}
		}
		s.row.Covariates[k] = v
	}
	return "", Place{}
}

func (s *Screen) isExpected(k int, name, value string) bool {
	list, ok := s.contract.Expected[name]
	if !ok {
		return true
	}
	if s.expected[k] == nil {
		s.expected[k] = map[string]bool{}
		for _, v := range list {
			s.expected[k][v] = true
		}
	}
	return s.expected[k][value]
}
