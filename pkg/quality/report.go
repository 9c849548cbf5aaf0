package quality

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
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

// rule is an entry of the catalogue. A %d in the message is the count.
type rule struct {
	name     string
	severity Severity
	rejects  bool
	message  string
	cure     string
}

// The catalogue, in the order of reports.
var catalogue = []rule{
	{"unreadable", Error, false, "the source cannot be read", "mend the file and validate again"},
	{"unknown_column", Error, false, "%d columns have no role", "name each under data.known_future, data.past_only, data.static or data.ignore"},
	{"missing_column", Error, false, "a column of the contract is not in the source", "name the columns under data in salescast.yaml as they stand in the header"},
	{"file_columns", Error, false, "%d files have other columns than the first", "give all files of a source the same header"},
	{"frequency", Error, false, "the dates lie on no grid", "set data.frequency to what the dates are, and keep one frequency in one source"},
	{"no_sales", Error, false, "no row has a sale", "check data.target and the rows of the source"},
	{"decimal_comma", Error, true, "%d rows have numbers with a decimal comma", "write numbers with a point, 12.5: export with an English number format"},
	{"duplicate", Error, true, "%d rows repeat a series and date that an earlier row has", "keep one row for each series and date; sum them first if they are parts of a day, or add the column that tells them apart to data.keys"},
	{"wrong_fields", Warning, true, "%d rows have another number of fields than the header", "quote text that has commas, and look for cut lines"},
	{"bad_number", Warning, true, "%d rows have text where a number belongs", "mend the cells, or empty them where the value is unknown"},
	{"bad_date", Warning, true, "%d rows have a date that cannot be read", "mend them, or set data.time_format if all are written so; YYYY-MM-DD is always read"},
	{"impossible_date", Warning, true, "%d rows have a date that does not exist or lies before 1900 or more than ten years ahead", "mend the dates"},
	{"time_of_day", Warning, true, "%d rows have a time of day", "set data.aggregate to sum if they are receipts of a day; else write dates alone"},
	{"missing_date", Warning, true, "%d rows have no date", "fill the dates in"},
	{"bad_text", Warning, true, "%d rows have text that is not UTF-8", "save the file as UTF-8"},
	{"missing_key", Warning, true, "%d rows have an empty key", "fill in the columns of data.keys"},
	{"negative", Warning, true, "%d rows have negative sales", "book returns apart from sales, or set them to zero"},
	{"not_finite", Warning, true, "%d rows have an infinite number", "mend the cells, or empty them where the value is unknown"},
	{"unknown_category", Warning, true, "%d rows have a category that is not expected", "correct the spelling, or add it to the list under validate.expected"},
	{"off_grid", Error, true, "%d rows have a date on which no step of the frequency begins", "move them to the first day of their week or month, or set data.frequency to D"},
	{"too_sparse", Error, false, "the rows lie too far apart for a grid", "mend the first and last dates, or set data.frequency to W or M"},
	{"future_sale", Error, true, "%d rows have a sale on a day that is yet to come", "mend the dates; leave the sale empty in rows of a plan"},
	{"other_frequency", Error, false, "%d series have stretches of weekly or monthly rows among daily ones", "keep one frequency in one source: sum the finer rows, or validate the coarser series apart"},
	{"too_short", Error, false, "no series is long enough to learn from", "bring more history: at least twice the horizon"},
	{"all_zero", Error, false, "every sale is zero", "check data.target: there is nothing to forecast"},
	{"zero_series", Warning, false, "%d series have never sold anything", "leave them out, or check them"},
	{"constant_series", Warning, false, "%d series have the same sale in every row", "check whether they are placeholders"},
	{"short_series", Warning, false, "%d series have fewer rows than two horizons", "expect rough forecasts for them"},
	{"stale_series", Warning, false, "%d series have not sold for longer than two horizons before the end of the data", "leave them out if they are discontinued"},
	{"no_sale_series", Warning, false, "%d series have rows and no sale at all; they are left out", "give them a first sale, or take them out of the plan"},
	{"new_series", Info, false, "%d series have a plan and were never sold; they are forecast like their kin", "nothing, if they are new; their static attributes say what they are like"},
	{"ended_series", Info, false, "%d series have ended: they are forecast no more", "nothing, if they are no longer sold; data.ended_after says after how many steps without a sale"},
	{"stockout", Info, false, "%d sales were cut short by an empty shelf: they are neither learned from nor scored", "nothing"},
	{"static_conflict", Warning, false, "%d series change a static attribute; the first value is kept", "make it constant, or put the column under data.ignore"},
	{"missing_plan", Warning, false, "%d series have known-future values that end before the horizon; a forecast will need them", "add rows with the plan, dates after the last sale and the sale empty"},
	{"sparse_series", Warning, false, "%d series have no known sale on a tenth or more of their steps, which are taken as unknown and not as zero", "where nothing was sold on these steps say so, with rows of 0: else the forecast is that of the other steps, and too high"},
	{"index_column", Info, false, "the first column has no name and counts the rows: it is an index, and passed over", "nothing, or write the table without it (pandas: index=False)"},
	{"gaps", Info, false, "%d absent or empty rows inside series are filled as data.missing says, for the eye: they are neither learned from nor scored", "nothing, if these sales are unknown; where nothing was sold, add rows with 0"},
	{"before_first_sale", Info, false, "%d rows precede the first sale of their series and are left out", "nothing"},
	{"outlier", Info, false, "%d sales lie far from what is usual in their series", "look at the first of them; real peaks are best explained by a known-future column"},
	{"unusual_rows", Info, false, "%d rows of a sample are unusual as a combination of sale and covariates", "look at the first of them"},
}

// Rules returns the names of all rules.
func Rules() []string {
	names := make([]string, len(catalogue))
	for i, r := range catalogue {
		names[i] = r.name
	}
	return names
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
		f = &Finding{Rule: name, Severity: c.severity[name], Message: r.message, Cure: r.cure, Rejects: r.rejects, First: []Place{}}
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

// Rejects says whether rows that a rule finds are set aside.
func Rejects(name string) bool { return find(name).rejects }

func find(name string) rule {
	i := slices.IndexFunc(catalogue, func(r rule) bool { return r.name == name })
	if i < 0 {
		panic("quality: there is no rule " + name)
	}
	return catalogue[i]
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
		if strings.Contains(g.Message, "%d") {
			g.Message = strings.Replace(counted(g.Message, g.Count), "%d", strconv.FormatInt(g.Count, 10), 1)
		}
		out = append(out, g)
	}
	slices.SortStableFunc(out, func(a, b Finding) int { return cmp.Compare(severityRank[a.Severity], severityRank[b.Severity]) })
	return out
}

// counted turns a sentence about many into one about one.
func counted(s string, n int64) string {
	if n != 1 {
		return s
	}
	for _, p := range [][2]string{
		{"%d rows repeat", "%d row repeats"},
		{"%d rows have", "%d row has"},
		{"%d rows precede the first sale of their", "%d row precedes the first sale of its"},
		{"%d series have", "%d series has"},
		{"%d series change", "%d series changes"},
		{"%d columns have", "%d column has"},
		{"%d files have", "%d file has"},
		{"%d sales lie far from what is usual in their", "%d sale lies far from what is usual in its"},
		{"rows inside series were", "row inside series was"},
		{"%d rows of a sample are", "%d row of a sample is"},
	} {
		s = strings.Replace(s, p[0], p[1], 1)
	}
	return s
}
