package metric

import (
	"fmt"
	"strings"
)

// Foresight is what the models of an evaluation knew of the known-future columns after an origin.
type Foresight struct {
	// Promised is true where the whole plan counts as known because the user says so, whatever the source knows.
	Promised bool `json:"promised"`
	// Columns are the known-future columns, and Horizon the steps ahead that there is to know of each.
	Columns []ColumnKnown `json:"columns"`
	Horizon int           `json:"horizon"`
	// Planned are the scores of the primary model at the same origins, had everything been known up to the horizon. All other scores
	// of a [Document] are of what was known in truth. nil where that is all, or where no model reads a plan.
	Planned *Scores `json:"planned,omitempty"`
}

// ColumnKnown is a known-future column, and how many steps past the last sale the source knows of it: in the median over the series that
// are sold, and at the least.
type ColumnKnown struct {
	Name  string `json:"name"`
	Known int    `json:"known"`
	Least int    `json:"least"`
}

// Short are the columns of which the source does not know the whole horizon.
func (f *Foresight) Short() []ColumnKnown {
	var out []ColumnKnown
	for _, c := range f.Columns {
		if c.Least < f.Horizon {
			out = append(out, c)
		}
	}
	return out
}

// Knew says what the models knew beside past sales, as the end of a sentence that begins with "the models knew only the sales up to that
// day"; "" where there was nothing else to know. A nil Foresight knows of nothing.
func (f *Foresight) Knew() string {
	if f == nil || len(f.Columns) == 0 {
		return ""
	}
	short := f.Short()
	switch {
	case len(short) == 0:
		return " and the plan of " + names(f.Columns) + ", which the data have up to the horizon"
	case f.Promised:
		return " and the whole plan of " + names(f.Columns) + ", which the data do not have (" + reaches(short, f.Horizon) + ") and backtest.plan says will be there in time"
	}
	var whole []ColumnKnown
	for _, c := range f.Columns {
		if c.Least >= f.Horizon {
			whole = append(whole, c)
		}
	}
	said := " and as much of the plan as the data have past the last sale: " + reaches(short, f.Horizon)
	if len(whole) > 0 {
		said += "; " + names(whole) + " up to the horizon"
	}
	return said + "; beyond that what is usual is assumed, as it is in the forecast"
}

// MoreThan names the columns of which an evaluation knew more steps than has tells, as the end of a sentence that begins with "its backtest
// knew"; "" where it knew no more. What was promised counts as known. A nil Foresight knows of nothing.
func (f *Foresight) MoreThan(has func(column string) int) string {
	if f == nil {
		return ""
	}
	var out []string
	for _, c := range f.Columns {
		knew := c.Least
		if f.Promised {
			knew = f.Horizon
		}
		if n := has(c.Name); knew > n {
			out = append(out, fmt.Sprintf("%s for %d steps, these data know %d", c.Name, knew, n))
		}
	}
	return strings.Join(out, "; ")
}

// Worth says what the primary model would miss, were the plan known that the data lack; "" where nothing is to be said.
func (d *Document) Worth() string {
	for i := range d.Models {
		if d.Models[i].Model == d.Primary {
			return d.Foresight.Worth(d.Models[i].Overall)
		}
	}
	return ""
}

// Worth is [Document.Worth] where now are the scores of the primary model.
func (f *Foresight) Worth(now Scores) string {
	if f == nil || f.Planned == nil || !f.Planned.WAPE.Defined() || !now.WAPE.Defined() {
		return ""
	}
	return fmt.Sprintf("With %s planned %d steps ahead: %.1f %% missed instead of %.1f %%.", names(f.Short()), f.Horizon, 100*float64(f.Planned.WAPE), 100*float64(now.WAPE))
}

func names(cs []ColumnKnown) string {
	out := make([]string, len(cs))
	for i, c := range cs {
		out[i] = c.Name
	}
	return strings.Join(out, ", ")
}

func reaches(cs []ColumnKnown, horizon int) string {
	out := make([]string, len(cs))
	for i, c := range cs {
		out[i] = fmt.Sprintf("%s for %d of %d steps", c.Name, c.Known, horizon)
		switch {
		case c.Known == 0:
			out[i] = c.Name + " not at all"
		case c.Least < c.Known:
			out[i] += " and of some series less"
		}
	}
	return strings.Join(out, ", ")
}
