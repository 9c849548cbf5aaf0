package quality

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"salescast/pkg/table"
)

// ReportSchema names the version of the report's format.
const ReportSchema = "salescast.quality/v1"

// Severity says what a finding means for the forecast.
type Severity string

// The severities. An error means that the data must be mended, or its meaning declared, before anything is forecast from it.
const (
	Info    Severity = "info"
	Warning Severity = "warning"
	Error   Severity = "error"
)

var severityRank = map[Severity]int{Error: 0, Warning: 1, Info: 2}

// Place is where something was found: a row of a source, or a series.
type Place struct {
	File string `json:"file,omitempty"`
	// Line counts from 1 with the header; in Parquet it is the row.
	Line   int64  `json:"line,omitempty"`
	Column string `json:"column,omitempty"`
	Text   string `json:"text,omitempty"`
}

func (p Place) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	if p.Column != "" {
		sep(&b, ", ")
		b.WriteString("column " + p.Column)
	}
	if p.Text != "" {
		sep(&b, ": ")
		b.WriteString(p.Text)
	}
	return b.String()
}

func sep(b *strings.Builder, s string) {
	if b.Len() > 0 {
		b.WriteString(s)
	}
}

// Finding is what one rule found.
type Finding struct {
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	// Count is of rows, or of series for rules about series.
	Count int64 `json:"count"`
	// Message is a sentence for the person who owns the data; Cure says what to do.
	Message string `json:"sentence"`
	Cure    string `json:"cure"`
	// First are the first places, at most MaxPlaces.
	First []Place `json:"examples"`
	// Rejects is true for a rule whose rows are set aside.
	Rejects bool `json:"rejects"`
}

// MaxPlaces bounds the places of a finding.
const MaxPlaces = 5

// Report is what validation found out about a source.
type Report struct {
	Schema string   `json:"schema"`
	Files  []string `json:"files"`
	// FileCount is the number of files, of which Files names the first.
	FileCount int   `json:"file_count"`
	Rows      int64 `json:"rows"`
	// Dialect is how the source is written, as it was set or told from it; encoding and separator are those of the first file that is CSV.
	Dialect table.Dialect `json:"dialect"`
	// Quarantined rows were set aside; LeftOut ones are not in the panel although nothing is wrong with them (before the first sale).
	Quarantined int64  `json:"quarantined"`
	LeftOut     int64  `json:"left_out"`
	Series      int64  `json:"series"`
	PanelRows   int64  `json:"panel_rows"`
	FilledRows  int64  `json:"filled_rows"`
	Frequency   string `json:"frequency,omitempty"`
	// Start, End and PlanEnd are ISO dates: the first and last sale, and the last day with known-future values.
	Start    string    `json:"start,omitempty"`
	End      string    `json:"end,omitempty"`
	PlanEnd  string    `json:"plan_end,omitempty"`
	Findings []Finding `json:"findings"`
	// Passed is false where the data must be mended.
	Passed bool `json:"passed"`
}

// Worst returns the findings of a severity.
func (r *Report) Worst(s Severity) []Finding {
	var out []Finding
	for _, f := range r.Findings {
		if f.Severity == s {
			out = append(out, f)
		}
	}
	return out
}

// Collector counts findings by rule.
type Collector struct {
	severity map[string]Severity
	found    map[string]*Finding
}

// NewCollector returns an empty collector. Overrides change the severity of rules by name.
func NewCollector(overrides map[string]string) (*Collector, error) {
	c := &Collector{severity: map[string]Severity{}, found: map[string]*Finding{}}
	for _, r := range catalogue {
		c.severity[r.name] = r.severity
	}
	for _, name := range slices.Sorted(maps.Keys(overrides)) {
		s := Severity(overrides[name])
		if _, ok := c.severity[name]; !ok {
			return nil, fmt.Errorf("there is no rule %q; the rules are %s", name, strings.Join(Rules(), ", "))
		}
		if _, ok := severityRank[s]; !ok {
			return nil, fmt.Errorf("rule %s: severity %q is not one of info, warning, error", name, s)
		}
		c.severity[name] = s
	}
	return c, nil
}

// Add counts one more case of a rule. It panics for a name that is not in the catalogue.
func (c *Collector) Add(name string, at Place) { c.AddN(name, 1, at) }

// AddN counts n more cases that share a place.
func (c *Collector) AddN(name string, n int64, at Place) {
	f := c.found[name]
	if f == nil {
		r := find(name)
		f = &Finding{Rule: name, Severity: c.severity[name], Cure: r.cure, Rejects: r.rejects, First: []Place{}}
		c.found[name] = f
	}
	f.Count += n
	if len(f.First) < MaxPlaces && at != (Place{}) {
		f.First = append(f.First, at)
	}
}

// Detail replaces the sentence of a rule that was found by one that says more, and its cure where that is not empty.
func (c *Collector) Detail(name, message, cure string) {
	if f := c.found[name]; f != nil {
		f.Message = message
		if cure != "" {
			f.Cure = cure
		}
	}
}

// Count returns how many cases of a rule there are so far.
func (c *Collector) Count(name string) int64 {
	if f := c.found[name]; f != nil {
		return f.Count
	}
	return 0
}

// Findings returns what was found, the worst first, then in the order of the catalogue.
func (c *Collector) Findings() []Finding {
	out := []Finding{}
	for _, r := range catalogue {
		f := c.found[r.name]
		if f == nil {
			continue
		}
		g := *f
		if g.Message == "" {
			g.Message = r.sentence(g.Count)
		}
		out = append(out, g)
	}
	slices.SortStableFunc(out, func(a, b Finding) int { return cmp.Compare(severityRank[a.Severity], severityRank[b.Severity]) })
	return out
}
