package quality

import (
	"fmt"
	"slices"
)

// rule is an entry of the catalogue.
type rule struct {
	name     string
	severity Severity
	// rejects says that rows that the rule finds are set aside.
	rejects bool
	// one is the sentence about one case, many that about more, with %d for their count. What is found once for a source has many alone,
	// without a count.
	one, many string
	cure      string
}

// sentence is about so many cases.
func (r rule) sentence(n int64) string {
	switch {
	case r.one != "" && n == 1:
		return r.one
	case r.one != "":
		return fmt.Sprintf(r.many, n)
	}
	return r.many
}

// The catalogue, in the order of reports.
var catalogue = []rule{
	{
		name: "unreadable", severity: Error,
		many: "the source cannot be read",
		cure: "mend the file and validate again",
	},
	{
		name: "unknown_column", severity: Error,
		one:  "1 column has no role",
		many: "%d columns have no role",
		cure: "name each under data.known_future, data.past_only, data.static or data.ignore",
	},
	{
		name: "missing_column", severity: Error,
		many: "a column of the contract is not in the source",
		cure: "name the columns under data in salescast.yaml as they stand in the header",
	},
	{
		name: "file_columns", severity: Error,
		one:  "1 file has other columns than the first",
		many: "%d files have other columns than the first",
		cure: "give all files of a source the same header",
	},
	{
		name: "frequency", severity: Error,
		many: "the dates lie on no grid",
		cure: "set data.frequency to what the dates are, and keep one frequency in one source",
	},
	{
		name: "no_sales", severity: Error,
		many: "no row has a sale",
		cure: "check data.target and the rows of the source",
	},
	{
		name: "decimal_comma", severity: Error, rejects: true,
		one:  "1 row has a number with a decimal comma",
		many: "%d rows have numbers with a decimal comma",
		cure: "write numbers with a point, 12.5: export with an English number format",
	},
	{
		name: "duplicate", severity: Error, rejects: true,
		one:  "1 row repeats a series and date that an earlier row has",
		many: "%d rows repeat a series and date that an earlier row has",
		cure: "keep one row for each series and date; sum them first if they are parts of a day, or add the column that tells them apart to data.keys",
	},
	{
		name: "wrong_fields", severity: Warning, rejects: true,
		one:  "1 row has another number of fields than the header",
		many: "%d rows have another number of fields than the header",
		cure: "quote text that has commas, and look for cut lines",
	},
	{
		name: "bad_number", severity: Warning, rejects: true,
		one:  "1 row has text where a number belongs",
		many: "%d rows have text where a number belongs",
		cure: "mend the cells, or empty them where the value is unknown",
	},
	{
		name: "bad_date", severity: Warning, rejects: true,
		one:  "1 row has a date that cannot be read",
		many: "%d rows have a date that cannot be read",
		cure: "mend them, or set data.time_format if all are written so; YYYY-MM-DD is always read",
	},
	{
		name: "impossible_date", severity: Warning, rejects: true,
		one:  "1 row has a date that does not exist or lies before 1900 or more than ten years ahead",
		many: "%d rows have a date that does not exist or lies before 1900 or more than ten years ahead",
		cure: "mend the dates",
	},
	{
		name: "time_of_day", severity: Warning, rejects: true,
		one:  "1 row has a time of day",
		many: "%d rows have a time of day",
		cure: "set data.aggregate to sum if they are receipts of a day; else write dates alone",
	},
	{
		name: "missing_date", severity: Warning, rejects: true,
		one:  "1 row has no date",
		many: "%d rows have no date",
		cure: "fill the dates in",
	},
	{
		name: "bad_text", severity: Warning, rejects: true,
		one:  "1 row has text that is not UTF-8",
		many: "%d rows have text that is not UTF-8",
		cure: "save the file as UTF-8",
	},
	{
		name: "missing_key", severity: Warning, rejects: true,
		one:  "1 row has an empty key",
		many: "%d rows have an empty key",
		cure: "fill in the columns of data.keys",
	},
	{
		name: "negative", severity: Warning, rejects: true,
		one:  "1 row has a negative sale",
		many: "%d rows have negative sales",
		cure: "book returns apart from sales, or set them to zero",
	},
	{
		name: "not_finite", severity: Warning, rejects: true,
		one:  "1 row has an infinite number",
		many: "%d rows have an infinite number",
		cure: "mend the cells, or empty them where the value is unknown",
	},
	{
		name: "unknown_category", severity: Warning, rejects: true,
		one:  "1 row has a category that is not expected",
		many: "%d rows have a category that is not expected",
		cure: "correct the spelling, or add it to the list under validate.expected",
	},
	{
		name: "off_grid", severity: Error, rejects: true,
		one:  "1 row has a date on which no step of the frequency begins",
		many: "%d rows have a date on which no step of the frequency begins",
		cure: "move them to the first day of their week or month, or set data.frequency to D",
	},
	{
		name: "too_sparse", severity: Error,
		many: "the rows lie too far apart for a grid",
		cure: "mend the first and last dates, or set data.frequency to W or M",
	},
	{
		name: "future_sale", severity: Error, rejects: true,
		one:  "1 row has a sale on a day that is yet to come",
		many: "%d rows have a sale on a day that is yet to come",
		cure: "mend the dates; leave the sale empty in rows of a plan",
	},
	{
		name: "other_frequency", severity: Error,
		one:  "1 series has stretches of weekly or monthly rows among daily ones",
		many: "%d series have stretches of weekly or monthly rows among daily ones",
		cure: "keep one frequency in one source: sum the finer rows, or validate the coarser series apart",
	},
	{
		name: "too_short", severity: Error,
		many: "no series is long enough to learn from",
		cure: "bring more history: at least twice the horizon",
	},
	{
		name: "all_zero", severity: Error,
		many: "every sale is zero",
		cure: "check data.target: there is nothing to forecast",
	},
	{
		name: "zero_series", severity: Warning,
		one:  "1 series has never sold anything",
		many: "%d series have never sold anything",
		cure: "leave them out, or check them",
	},
	{
		name: "constant_series", severity: Warning,
		one:  "1 series has the same sale in every row",
		many: "%d series have the same sale in every row",
		cure: "check whether they are placeholders",
	},
	{
		name: "short_series", severity: Warning,
		one:  "1 series has fewer rows than two horizons",
		many: "%d series have fewer rows than two horizons",
		cure: "expect rough forecasts for them",
	},
	{
		name: "stale_series", severity: Warning,
		one:  "1 series has not sold for longer than two horizons before the end of the data",
		many: "%d series have not sold for longer than two horizons before the end of the data",
		cure: "leave them out if they are discontinued",
	},
	{
		name: "no_sale_series", severity: Warning,
		one:  "1 series has rows and no sale at all; it is left out",
		many: "%d series have rows and no sale at all; they are left out",
		cure: "give them a first sale, or take them out of the plan",
	},
	{
		name: "new_series", severity: Info,
		one:  "1 series has a plan and was never sold; it is forecast like its kin",
		many: "%d series have a plan and were never sold; they are forecast like their kin",
		cure: "nothing, if they are new; their static attributes say what they are like",
	},
	{
		name: "ended_series", severity: Info,
		one:  "1 series has ended: it is forecast no more",
		many: "%d series have ended: they are forecast no more",
		cure: "nothing, if they are no longer sold; data.ended_after says after how many steps without a sale",
	},
	{
		name: "closed_weekdays", severity: Info,
		one:  "1 series is never sold on some weekday: it is taken to be shut, and the forecast is 0",
		many: "%d series are never sold on some weekday: they are taken to be shut, and the forecast is 0",
		cure: "nothing, if it is so; a column under data.known_future that is 1 where it is shut takes the place of this guess",
	},
	{
		name: "stockout", severity: Info,
		one:  "1 sale was cut short by an empty shelf: it is neither learned from nor scored",
		many: "%d sales were cut short by an empty shelf: they are neither learned from nor scored",
		cure: "nothing",
	},
	{
		name: "static_conflict", severity: Warning,
		one:  "1 series changes a static attribute; the first value is kept",
		many: "%d series change a static attribute; the first value is kept",
		cure: "make it constant, or put the column under data.ignore",
	},
	{
		name: "missing_plan", severity: Warning,
		one:  "1 series has known-future values that end before the horizon; a forecast will need them",
		many: "%d series have known-future values that end before the horizon; a forecast will need them",
		cure: "add rows with the plan, dates after the last sale and the sale empty",
	},
	{
		name: "sparse_series", severity: Warning,
		one:  "1 series has no known sale on a tenth or more of its steps, which are taken as unknown and not as zero",
		many: "%d series have no known sale on a tenth or more of their steps, which are taken as unknown and not as zero",
		cure: "where nothing was sold on these steps say so, with rows of 0: else the forecast is that of the other steps, and too high",
	},
	{
		name: "index_column", severity: Info,
		many: "the first column has no name and counts the rows: it is an index, and passed over",
		cure: "nothing, or write the table without it (pandas: index=False)",
	},
	{
		name: "gaps", severity: Info,
		one:  "1 absent or empty row inside a series is filled as data.missing says, for the eye: it is neither learned from nor scored",
		many: "%d absent or empty rows inside series are filled as data.missing says, for the eye: they are neither learned from nor scored",
		cure: "nothing, if these sales are unknown; where nothing was sold, add rows with 0",
	},
	{
		name: "before_first_sale", severity: Info,
		one:  "1 row precedes the first sale of its series and is left out",
		many: "%d rows precede the first sale of their series and are left out",
		cure: "nothing",
	},
	{
		name: "outlier", severity: Info,
		one:  "1 sale lies far from what is usual in its series",
		many: "%d sales lie far from what is usual in their series",
		cure: "look at the first of them; real peaks are best explained by a known-future column",
	},
	{
		name: "unusual_rows", severity: Info,
		one:  "1 row of a sample is unusual as a combination of sale and covariates",
		many: "%d rows of a sample are unusual as a combination of sale and covariates",
		cure: "look at the first of them",
	},
}

// Rules returns the names of all rules.
func Rules() []string {
	names := make([]string, len(catalogue))
	for i, r := range catalogue {
		names[i] = r.name
	}
	return names
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
