package tasks

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"salescast/pkg/calendar"
	"salescast/pkg/table"
)

// DataOptions say what the columns of a source are. They are the data section of salescast.yaml.
type DataOptions struct {
	// Source is a file, a folder, a glob or an s3:// URL of CSV (also .gz) or Parquet.
	Source string   `json:"source"`
	Keys   []string `json:"keys"`
	Time   string   `json:"time"`
	Target string   `json:"target"`
	// Frequency is as [calendar.ParseFrequency] reads it; empty is inferred.
	Frequency   string   `json:"frequency"`
	KnownFuture []string `json:"known_future"`
	PastOnly    []string `json:"past_only"`
	Static      []string `json:"static"`
	Ignore      []string `json:"ignore"`
	// Missing says what stands for an absent row inside a series: zero, carry or leave, which is unknown to models in any case, or
	// none_sold, which is a sale of 0.
	Missing string `json:"missing"`
	// Aggregate says what rows of one series and period make together: sum, mean or last; empty refuses all but the first.
	Aggregate string `json:"aggregate,omitempty"`
	// Stockout is the column that says, with a value other than 0, that the shelf was empty; empty for none. Such sales are less than what
	// was asked for: they are taken to be unknown.
	Stockout string `json:"stockout,omitempty"`
	// EndedAfter is the number of steps without a sale after which a series has ended and is forecast no more; 0 looks at the series' own
	// past, and below 0 none ever ends.
	EndedAfter int `json:"ended_after,omitempty"`
	// CSV says how the texts of the source are written, where it does not say so itself: encoding, separator, decimal and thousands, as
	// table.Dialect has them.
	CSV map[string]string `json:"csv,omitempty"`
	// TimeFormat is the form of dates, one of table.TimeForms; empty is told from the column.
	TimeFormat string `json:"time_format,omitempty"`
	// Timezone is the zone in which a day begins, for times that name an instant; empty takes them as they are written.
	Timezone string `json:"timezone,omitempty"`
	// Country is the ISO 3166 code whose public holidays become features; empty for none.
	Country string `json:"country"`
}

// CSVWords are the names under data.csv, and what each may be; one without words may be any text.
func CSVWords() map[string][]string {
	return map[string][]string{
		"encoding": {table.UTF8, table.UTF16, table.Windows1252}, "separator": {",", ";", "tab", "|"},
		"decimal": {".", ","}, "thousands": {".", ",", "'", " ", table.NoThousands}, "sheet": {},
	}
}

// Dialect is what the options say of how the source is written. An error is of a word that there is not.
func (d DataOptions) Dialect() (table.Dialect, error) {
	words := CSVWords()
	for _, name := range slices.Sorted(maps.Keys(d.CSV)) {
		if words[name] == nil {
			return table.Dialect{}, fmt.Errorf("data.csv has no %q; it has %s", name, strings.Join(slices.Sorted(maps.Keys(words)), ", "))
		}
	}
	separator := d.CSV["separator"]
	if separator == "tab" || separator == `\t` {
		separator = "\t"
	}
	c := table.Dialect{
		Sheet: d.CSV["sheet"], Encoding: strings.ToLower(d.CSV["encoding"]), Separator: separator, Decimal: d.CSV["decimal"], Thousands: d.CSV["thousands"],
		Times: table.TimeForm(d.TimeFormat), Timezone: d.Timezone,
	}
	return c, c.Check()
}

// GenerateOptions ask for synthetic sales.
type GenerateOptions struct {
	Stores int          `json:"stores"`
	Items  int          `json:"items"`
	Start  calendar.Day `json:"start"`
	End    calendar.Day `json:"end"`
	Seed   uint64       `json:"seed"`
	Force  bool         `json:"-"`
}

// ValidateOptions hold the data contract.
type ValidateOptions struct {
	Data DataOptions `json:"data"`
	// MaxQuarantined is the share of rows that may be set aside before the step fails; 0 lets none pass.
	MaxQuarantined float64 `json:"max_quarantined"`
	// Expected lists the allowed values of key and static columns; a column that is not named may hold anything.
	Expected map[string][]string `json:"expected,omitempty"`
	// Severity changes what rules mean, by name: info, warning or error. Errors fail the step.
	Severity map[string]string `json:"severity,omitempty"`
	Horizon  int               `json:"horizon"`
	Seed     uint64            `json:"seed"`
	Force    bool              `json:"-"`
}

// FeaturizeOptions say which features are materialised.
type FeaturizeOptions struct {
	Horizon  int      `json:"horizon"`
	Country  string   `json:"country"`
	Families []string `json:"families"`
	// Shard of Shards: series whose id hashes to Shard (1-based); 0 of 0 is all of them.
	Shard  int  `json:"shard"`
	Shards int  `json:"shards"`
	Force  bool `json:"-"`
}

// BacktestOptions say where the test origins lie.
type BacktestOptions struct {
	// Origins is the number of test origins: the last blocks of Horizon steps at the end of the data.
	Origins int `json:"origins"`
	// Split is [train, validation, test] by date; when set, Origins follow from the test share.
	Split []float64 `json:"split,omitempty"`
	// Plan is PlanReach, which empty is too, or PlanKnown.
	Plan string `json:"plan,omitempty"`
}

// TuneOptions search the parameters of one member.
type TuneOptions struct {
	Model       string          `json:"model"`
	Horizon     int             `json:"horizon"`
	Backtest    BacktestOptions `json:"backtest"`
	Country     string          `json:"country"`
	NonNegative bool            `json:"non_negative"`
	Seed        uint64          `json:"seed"`
	// Params are not searched: they are what train is given too.
	Params map[string]string `json:"params,omitempty"`
	// Trials is their number in all, the defaults' one among them. After Minutes no further one begins; 0 is no limit.
	Trials  int     `json:"trials"`
	Minutes float64 `json:"minutes"`
	Force   bool    `json:"-"`
}

// TrainOptions fit one member.
type TrainOptions struct {
	Model       string          `json:"model"`
	Horizon     int             `json:"horizon"`
	Backtest    BacktestOptions `json:"backtest"`
	Country     string          `json:"country"`
	NonNegative bool            `json:"non_negative"`
	Seed        uint64          `json:"seed"`
	// Params override the engine's parameters, in its own names.
	Params map[string]string `json:"params,omitempty"`
	// Tuned takes what tune found, where Params say nothing else.
	Tuned bool `json:"tuned,omitempty"`
	Force bool `json:"-"`
}

// EnsembleOptions weigh the members and calibrate intervals.
type EnsembleOptions struct {
	// Models are the trained members; empty are those of [DefaultModels] under Preset.
	Models []string `json:"models"`
	Preset string   `json:"-"`
	// Method says how weights are found: loss or stacking; empty is loss.
	Method      string          `json:"method,omitempty"`
	Horizon     int             `json:"horizon"`
	Backtest    BacktestOptions `json:"backtest"`
	Quantiles   []float64       `json:"quantiles"`
	NonNegative bool            `json:"non_negative"`
	Seed        uint64          `json:"seed"`
	Force       bool            `json:"-"`
}

// EvaluateOptions score test origins.
type EvaluateOptions struct {
	// Models are the members whose features are charted; empty are those of the ensemble.
	Models  []string `json:"models"`
	Horizon int      `json:"horizon"`
	Charts  bool     `json:"charts"`
	Force   bool     `json:"-"`
}

// ForecastOptions ask for the steps after the end of the data.
type ForecastOptions struct {
	// Model is the address of a model, as OpenModel takes it; empty is the workspace's own ensemble.
	Model     string    `json:"model,omitempty"`
	Horizon   int       `json:"horizon"`
	Quantiles []float64 `json:"quantiles"`
	Force     bool      `json:"-"`
}

// ReportOptions render everything into one page.
type ReportOptions struct {
	Title string `json:"title"`
	Force bool   `json:"-"`
}
