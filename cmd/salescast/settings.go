package main

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"salescast/pkg/calendar"
	"salescast/pkg/drift"
	"salescast/pkg/quality"
	"salescast/pkg/redact"
	"salescast/pkg/table"
	"salescast/pkg/track"
	"salescast/tasks"
)

// config is everything that salescast.yaml can say.
type config struct {
	Data     tasks.DataOptions
	Validate struct {
		MaxQuarantined float64
		Expected       map[string][]string
		Severity       map[string]string
	}
	Features struct {
		Families []string
	}
	Forecast struct {
		Horizon     int
		Quantiles   []float64
		NonNegative bool
	}
	Backtest tasks.BacktestOptions
	Models   []string
	Preset   string
	Ensemble struct{ Method string }
	Params   map[string]map[string]string
	Tuning   struct {
		Trials  int
		Minutes float64
		Storage string
	}
	Register struct {
		Enabled bool
		Prefix  string
		Metric  string
		Margin  float64
		Promote string
		Stages  bool
		Folder  string
	}
	Monitor drift.Limits
	Report  struct {
		Title string
	}
	Tracking struct {
		Experiment string
		Mode       string
	}
	Seed uint64

	// origins says where each setting's value came from, by key.
	origins map[string]string
	// folder is that of the file, "" without one; file is its path.
	folder, file string
}

// setting is one leaf of the file. The table of them is all that loading, the JSON Schema, "config show" and the starter file know.
type setting struct {
	// key is the path in the file: "forecast.horizon".
	key string
	// doc is one line, without a full stop.
	doc string
	// at is the place of the value in a config.
	at func(*config) any
	// def is the default as YAML.
	def string
	// allowed values of a string or of every element of a list; nil allows all.
	allowed []string
	// word stands alone for a list; "" for none.
	word string
	// pattern describes what check enforces in JSON Schema's regular expressions, for strings.
	pattern string
	// min and max bound a number; both zero is no bound.
	min, max float64
	// check says what else is wrong with the value.
	check func(*config) error
}

func (s setting) env() string {
	return "SALESCAST_" + strings.ToUpper(strings.ReplaceAll(s.key, ".", "_"))
}

// modelNames are the models that a file can name.
func modelNames() []string { return tasks.ModelNames() }

// autoModels lets the data decide which models are used.
const autoModels = "auto"

// settings lists every key in the order of the starter file.
func settings() []setting {
	return []setting{
		{key: "data.source", doc: "the sales: a file, folder or glob of csv (also .gz, .zst, .zip), parquet or xlsx, relative to this file, or an s3:// URL", at: func(c *config) any { return &c.Data.Source }, def: `""`},
		{key: "data.keys", doc: "columns that together name a series", at: func(c *config) any { return &c.Data.Keys }, def: "[]"},
		{key: "data.time", doc: "the column of dates", at: func(c *config) any { return &c.Data.Time }, def: "date"},
		{key: "data.target", doc: "the column to forecast", at: func(c *config) any { return &c.Data.Target }, def: "sales"},
		{
			key: "data.frequency", doc: "D, W (any anchor day), W-MON to W-SUN, M, Q or Y (by their first or last day, as the data have them); checked against the data, and inferred when empty",
			at: func(c *config) any { return &c.Data.Frequency }, def: `""`,
			allowed: append([]string{""}, calendar.Frequencies()...),
		},
		{key: "data.known_future", doc: "columns whose future values are known, such as promotions; they may continue past the last sale", at: func(c *config) any { return &c.Data.KnownFuture }, def: "[]"},
		{key: "data.past_only", doc: "columns that are never read after the forecast origin, such as the weather", at: func(c *config) any { return &c.Data.PastOnly }, def: "[]"},
		{key: "data.static", doc: "columns that do not change within a series, such as a category", at: func(c *config) any { return &c.Data.Static }, def: "[]"},
		{key: "data.ignore", doc: "columns that are not used", at: func(c *config) any { return &c.Data.Ignore }, def: "[]"},
		{
			key: "data.missing", doc: "what stands for an absent row inside a series: zero, carry (as before) or leave (nothing), which models take as unknown, or none_sold, a sale of 0, as of receipts",
			at: func(c *config) any { return &c.Data.Missing }, def: "zero", allowed: []string{"zero", "carry", "leave", "none_sold"},
		},
		{
			key: "data.aggregate", doc: "what rows of one series and period, such as receipts, make together: sum, mean or last; covariates become their mean; empty refuses such rows",
			at: func(c *config) any { return &c.Data.Aggregate }, def: `""`, allowed: []string{"", "sum", "mean", "last"},
		},
		{key: "data.stockout", doc: "the column that says, with 1, that the shelf was empty: what would have been sold that day is then taken to be unknown; empty for none", at: func(c *config) any { return &c.Data.Stockout }, def: `""`},
		{
			key: "data.ended_after", doc: "how many steps without a sale end a series, which is then forecast no more; 0 looks at how long it was silent before, -1 ends none",
			at: func(c *config) any { return &c.Data.EndedAfter }, def: "0", min: -1, max: 100000,
		},
		{
			key: "data.csv", doc: "how the text of the source is written, where it does not say so itself: {separator: \";\", decimal: \",\", thousands: \".\", encoding: windows-1252, sheet: Sales}; what is not set is told from it",
			at: func(c *config) any { return &c.Data.CSV }, def: "{}", check: checkDialect,
		},
		{
			key: "data.time_format", doc: "the form of dates: ymd, dmy (03/02/2024 is 3 February), mdy, month, week, quarter, year, excel or epoch; told from the column when empty",
			at: func(c *config) any { return &c.Data.TimeFormat }, def: `""`, allowed: append([]string{""}, table.TimeForms()...),
		},
		{
			key: "data.timezone", doc: "the zone in which a day begins, such as Europe/Berlin, for times that name an instant; empty takes them as they are written",
			at: func(c *config) any { return &c.Data.Timezone }, def: `""`, check: checkDialect,
		},
		{
			key: "data.country", doc: "ISO 3166 code of the country whose public holidays become features; empty for none",
			at: func(c *config) any { return &c.Data.Country }, def: `""`, pattern: "^([A-Z]{2})?$",
			check: func(c *config) error {
				if v := c.Data.Country; v != "" && (len(v) != 2 || strings.ToUpper(v) != v) {
					return fmt.Errorf("%q is not a country code of two capital letters", v)
				}
				return nil
			},
		},
		{key: "validate.max_quarantined", doc: "the share of rows that may be set aside as bad before validation fails", at: func(c *config) any { return &c.Validate.MaxQuarantined }, def: "0.001", max: 1},
		{key: "validate.expected", doc: "allowed values of key and static columns, such as {store: [north, south]}; others are set aside", at: func(c *config) any { return &c.Validate.Expected }, def: "{}"},
		{
			key: "validate.severity", doc: "what rules mean, by name, such as {negative: error}: info, warning or error, which fails validation",
			at: func(c *config) any { return &c.Validate.Severity }, def: "{}", check: checkSeverity,
		},
		{key: "features.families", doc: "the families of features that featurize writes, to be looked at; empty for all", at: func(c *config) any { return &c.Features.Families }, def: "[]"},
		{key: "forecast.horizon", doc: "how many steps ahead to forecast", at: func(c *config) any { return &c.Forecast.Horizon }, def: "28", min: 1, max: 730},
		{
			key: "forecast.quantiles", doc: "the levels of the forecast's distribution, increasing, between 0 and 1",
			at: func(c *config) any { return &c.Forecast.Quantiles }, def: "[0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975]", check: checkQuantiles,
		},
		{key: "forecast.non_negative", doc: "whether a forecast below zero is raised to zero", at: func(c *config) any { return &c.Forecast.NonNegative }, def: "true"},
		{key: "backtest.origins", doc: "test origins: the last blocks of horizon steps at the end of the data, with training up to each", at: func(c *config) any { return &c.Backtest.Origins }, def: "3", min: 1, max: 52},
		{
			key: "backtest.split", doc: "instead of origins: the shares of training, validation and test by date, such as [0.70, 0.15, 0.15]",
			at: func(c *config) any { return &c.Backtest.Split }, def: "[]", check: checkSplit,
		},
		{
			key: "backtest.plan", doc: "what a backtest knows of known-future columns after its origins: reach, as much as the data know past the last sale, so that its figures are those of the forecast; or known, all of it, if the plan will be there in time",
			at: func(c *config) any { return &c.Backtest.Plan }, def: tasks.PlanReach, allowed: []string{tasks.PlanReach, tasks.PlanKnown},
		},
		{
			key: "models", doc: "the members of the ensemble; auto lets the data decide", at: func(c *config) any { return &c.Models },
			def: autoModels, word: autoModels, allowed: append([]string{autoModels}, modelNames()...),
			check: func(c *config) error {
				sorted := slices.Sorted(slices.Values(c.Models))
				if len(sorted) == 0 {
					return errors.New("there must be at least one model")
				}
				if len(slices.Compact(sorted)) < len(c.Models) {
					return errors.New("a model is named twice")
				}
				if len(sorted) > 1 && slices.Contains(sorted, autoModels) {
					return errors.New("auto stands alone")
				}
				return nil
			},
		},
		{
			key: "preset", doc: "what models: auto looks for: the best forecast, or a fast one", at: func(c *config) any { return &c.Preset },
			def: tasks.PresetBest, allowed: []string{tasks.PresetBest, tasks.PresetFast},
		},
		{
			key: "ensemble.method", doc: "how the members' weights are found: by the loss of each, or by stacking, a ridge on all together", at: func(c *config) any { return &c.Ensemble.Method },
			def: tasks.EnsembleMethods()[0], allowed: tasks.EnsembleMethods(),
		},
		{
			key: "params", doc: "parameters of the models, in their engines' own names", at: func(c *config) any { return &c.Params }, def: "{}",
			check: func(c *config) error {
				for m := range c.Params {
					if !slices.Contains(modelNames(), m) {
						return fmt.Errorf("unknown model %q%s", m, didYouMean(m, modelNames()))
					}
				}
				return nil
			},
		},
		{key: "tuning.trials", doc: "how many parameters of each model's trees to try; 0, the default, tunes nothing: it hardly pays", at: func(c *config) any { return &c.Tuning.Trials }, def: "0", max: 10000},
		{key: "tuning.minutes", doc: "how long to begin trials for each model; 0 is no limit", at: func(c *config) any { return &c.Tuning.Minutes }, def: "0", max: 100000},
		{
			key: "tuning.storage", doc: "where studies are kept, for Optuna to read too: a SQLite file, relative to this file, or postgresql://user@host/database for several machines, its password in PGPASSWORD; empty is a file in the workspace",
			at: func(c *config) any { return &c.Tuning.Storage }, def: `""`, check: checkStudies,
		},
		{key: "register.enabled", doc: "whether a run also registers its models; a candidate that is not better than the champion ends it with 10", at: func(c *config) any { return &c.Register.Enabled }, def: "false"},
		{
			key: "register.prefix", doc: "the begin of the names of registered models: PREFIX_ensemble, PREFIX_xgboost", at: func(c *config) any { return &c.Register.Prefix }, def: "sales_forecast",
			pattern: "^[A-Za-z0-9_-]+$", check: func(c *config) error {
				if err := track.ValidateModelName(c.Register.Prefix); err != nil {
					return err
				}
				return nil
			},
		},
		{key: "register.metric", doc: "the score by which a candidate must be better than the champion out of sample", at: func(c *config) any { return &c.Register.Metric }, def: "wape", allowed: tasks.GateMetrics()},
		{key: "register.margin", doc: "the share by which its score must be lower, such as 0.01", at: func(c *config) any { return &c.Register.Margin }, def: "0", max: 1},
		{
			key: "register.promote", doc: "when a candidate becomes champion: where it is better, or always, also where the two cannot be compared",
			at: func(c *config) any { return &c.Register.Promote }, def: tasks.PromoteBetter, allowed: tasks.Promotions(),
		},
		{key: "register.stages", doc: "whether MLflow's deprecated stages are moved along with the aliases", at: func(c *config) any { return &c.Register.Stages }, def: "false"},
		{key: "register.folder", doc: "without MLflow: the folder of the registry, relative to this file, or its s3:// URL, for workspaces that share one; empty is in the workspace", at: func(c *config) any { return &c.Register.Folder }, def: `""`},
		{key: "monitor.wape", doc: "the share by which the WAPE of a model may rise over its backtest's before it is drift", at: func(c *config) any { return &c.Monitor.WAPE }, def: "0.25", max: 100},
		{key: "monitor.bias", doc: "how far its bias may move, as a share of sales", at: func(c *config) any { return &c.Monitor.Bias }, def: "0.1", max: 100},
		{key: "monitor.coverage", doc: "how far the coverage of its 95 % interval may fall below 0.95", at: func(c *config) any { return &c.Monitor.Coverage }, def: "0.1", max: 1},
		{key: "monitor.ks", doc: "how far the distribution of a column may be from the history's (Kolmogorov-Smirnov) before it is named", at: func(c *config) any { return &c.Monitor.KS }, def: "0.1", max: 1},
		{key: "monitor.psi", doc: "the same as a population stability index", at: func(c *config) any { return &c.Monitor.PSI }, def: "0.2", max: 100},
		{key: "report.title", doc: "the title of the report", at: func(c *config) any { return &c.Report.Title }, def: `""`},
		{key: "tracking.experiment", doc: "the MLflow experiment that runs are recorded in", at: func(c *config) any { return &c.Tracking.Experiment }, def: "salescast"},
		{
			key: "tracking.mode", doc: "with MLFLOW_TRACKING_URI set: required (a step fails without the server), spool (it goes on, and sync follows), off (nothing is recorded)",
			at: func(c *config) any { return &c.Tracking.Mode }, def: trackSpool, allowed: []string{trackRequired, trackSpool, trackOff},
		},
		{key: "seed", doc: "the seed of everything random", at: func(c *config) any { return &c.Seed }, def: "42"},
	}
}

// words are the names that a map of texts may have, and the words that each takes; nil takes any.
func (s setting) words() map[string][]string {
	if s.key == "data.csv" {
		return tasks.CSVWords()
	}
	words := map[string][]string{}
	for _, r := range quality.Rules() {
		words[r] = []string{string(quality.Info), string(quality.Warning), string(quality.Error)}
	}
	return words
}

func checkDialect(c *config) error {
	_, err := c.Data.Dialect()
	return err
}

func checkSeverity(c *config) error {
	levels := []string{string(quality.Info), string(quality.Warning), string(quality.Error)}
	for _, rule := range slices.Sorted(maps.Keys(c.Validate.Severity)) {
		if !slices.Contains(quality.Rules(), rule) {
			return fmt.Errorf("unknown rule %q%s", rule, didYouMean(rule, quality.Rules()))
		}
		if v := c.Validate.Severity[rule]; !slices.Contains(levels, v) {
			return fmt.Errorf("%s: unknown severity %q%s; allowed are %s", rule, v, didYouMean(v, levels), strings.Join(levels, ", "))
		}
	}
	return nil
}

// isPostgres tells an address of PostgreSQL, also as SQLAlchemy writes it, from a file.
func isPostgres(storage string) bool {
	return strings.HasPrefix(storage, "postgresql://") || strings.HasPrefix(storage, "postgres://") || strings.HasPrefix(storage, "postgresql+")
}

func checkStudies(c *config) error {
	v := c.Tuning.Storage
	if !isPostgres(v) {
		if strings.Contains(v, "://") {
			return errors.New("it is neither a file nor a postgresql:// address")
		}
		return nil
	}
	u, err := url.Parse(v)
	if err != nil {
		return errors.New("it is no URL") // the error would repeat it
	}
	if _, has := u.User.Password(); has || u.Query().Has("password") {
		c.Tuning.Storage = ""
		return errors.New("it holds a password, which has no place in a file that is shown; set PGPASSWORD or a password file instead")
	}
	return nil
}

func checkQuantiles(c *config) error {
	q := c.Forecast.Quantiles
	if len(q) == 0 {
		return errors.New("there must be at least one level")
	}
	for i, v := range q {
		if !(v > 0 && v < 1) {
			return fmt.Errorf("level %v is not between 0 and 1", v)
		}
		if i > 0 && v <= q[i-1] {
			return fmt.Errorf("level %v does not increase", v)
		}
	}
	return nil
}

func checkSplit(c *config) error {
	s := c.Backtest.Split
	if len(s) == 0 {
		return nil
	}
	sum := 0.0
	for _, v := range s {
		if !(v > 0 && v < 1) {
			return fmt.Errorf("share %v is not between 0 and 1", v)
		}
		sum += v
	}
	if len(s) != 3 || math.Abs(sum-1) > 1e-6 {
		return errors.New("give three shares, of training, validation and test, whose sum is 1")
	}
	return nil
}

// decode sets the value in c from a YAML node, and checks it.
func (s setting) decode(c *config, n ast.Node) error {
	at := s.at(c)
	if n.Type() == ast.NullType {
		return fmt.Errorf("%s has no value", s.key)
	}
	if list, ok := at.(*[]string); ok && s.word != "" {
		if v, err := scalar(n); err == nil && v == s.word {
			*list = []string{v}
			return s.validate(c)
		}
	}
	if err := s.shape(at, n); err != nil {
		return err
	}
	var err error
	switch at := at.(type) {
	case *[]string, *[]float64, *map[string]string, *map[string][]string, *map[string]map[string]string:
		err = s.collect(at, n)
	case *string:
		*at, err = scalar(n)
	case *uint64:
		*at, err = strconv.ParseUint(n.GetToken().Value, 0, 64)
	default:
		err = yaml.NodeToValue(n, at)
	}
	if err != nil {
		return fmt.Errorf("%s must be %s, not %q", s.key, kindOf(at), n.String())
	}
	return s.validate(c)
}

// collect decodes a list or the map; what an earlier layer set does not shine through.
func (s setting) collect(at any, n ast.Node) error {
	switch at := at.(type) {
	case *[]string:
		var err error
		*at, err = words(n)
		return err
	case *map[string]string:
		var err error
		*at, err = pairs(n)
		return err
	case *map[string][]string:
		*at = map[string][]string{}
		for _, e := range entries(n) {
			list, err := words(e.Value)
			if err != nil {
				return err
			}
			(*at)[e.Key.GetToken().Value] = list
		}
	case *[]float64:
		*at = []float64{}
		return yaml.NodeToValue(n, at)
	case *map[string]map[string]string:
		*at = map[string]map[string]string{}
		for _, model := range entries(n) {
			params, err := pairs(model.Value)
			if err != nil {
				return err
			}
			(*at)[model.Key.GetToken().Value] = params
		}
	}
	return nil
}

// words are the elements of a list of single values.
func words(n ast.Node) ([]string, error) {
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		return nil, errors.New("not a list")
	}
	out := []string{}
	for _, v := range list.Values {
		e, err := scalar(v)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// pairs is a mapping of single values.
func pairs(n ast.Node) (map[string]string, error) {
	out := map[string]string{}
	for _, e := range entries(n) {
		v, err := scalar(e.Value)
		if err != nil {
			return nil, err
		}
		out[e.Key.GetToken().Value] = v
	}
	return out, nil
}

// scalar is the text of a single value as it was written: the column 1 and the item 007 are strings.
func scalar(n ast.Node) (string, error) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, nil
	}
	return "", errors.New("not a single value")
}

// value is what "config show" prints.
func (s setting) value(c *config) any {
	if list, ok := s.at(c).(*[]string); ok && s.word != "" && slices.Equal(*list, []string{s.word}) {
		return s.word
	}
	return s.at(c)
}

// shape refuses what NodeToValue would convert quietly, such as a number in quotes or a single value for a list.
func (s setting) shape(at any, n ast.Node) error {
	ok := false
	switch at.(type) {
	case *string:
		_, err := scalar(n)
		ok = err == nil
	case *int, *uint64:
		ok = n.Type() == ast.IntegerType
	case *float64:
		ok = n.Type() == ast.IntegerType || n.Type() == ast.FloatType
	case *bool:
		ok = n.Type() == ast.BoolType
	case *[]string, *[]float64:
		ok = n.Type() == ast.SequenceType
	case *map[string]string, *map[string][]string, *map[string]map[string]string:
		ok = n.Type() == ast.MappingType || n.Type() == ast.MappingValueType
	}
	if !ok {
		return fmt.Errorf("%s must be %s, not %q", s.key, kindOf(at), strings.TrimSpace(n.String()))
	}
	return nil
}

func kindOf(at any) string {
	switch at.(type) {
	case *int, *uint64:
		return "a whole number"
	case *float64:
		return "a number"
	case *bool:
		return "true or false"
	case *[]string:
		return "a list such as [a, b]"
	case *[]float64:
		return "a list of numbers such as [0.1, 0.9]"
	case *map[string]string:
		return "a mapping such as {negative: error}"
	case *map[string][]string:
		return "a mapping of columns to lists such as {store: [north, south]}"
	case *map[string]map[string]string:
		return "a mapping of models to parameters"
	}
	return "text"
}

// validate checks the range of the value in c.
func (s setting) validate(c *config) error {
	if s.holdsSecret(c) {
		return fmt.Errorf("%s holds a secret, which has no place in what is shown and recorded; credentials come from the environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", s.key)
	}
	outside := func(v float64) error {
		if (s.min != 0 || s.max != 0) && !(v >= s.min && v <= s.max) {
			return fmt.Errorf("%s is %v; it must be between %v and %v", s.key, v, s.min, s.max)
		}
		return nil
	}
	var words []string
	switch at := s.at(c).(type) {
	case *int:
		if err := outside(float64(*at)); err != nil {
			return err
		}
	case *float64:
		if err := outside(*at); err != nil {
			return err
		}
	case *string:
		words = []string{*at}
	case *[]string:
		words = *at
	}
	for _, w := range words {
		if s.allowed != nil && !slices.Contains(s.allowed, w) {
			return fmt.Errorf("%s: unknown value %q%s; allowed are %s", s.key, w, didYouMean(w, s.allowed), strings.TrimPrefix(strings.Join(s.allowed, ", "), ", "))
		}
	}
	if s.check != nil {
		if err := s.check(c); err != nil {
			return fmt.Errorf("%s: %w", s.key, err)
		}
	}
	return nil
}

// holdsSecret forgets a value that has a secret in it. An address of PostgreSQL has a check of its own, with its own advice.
func (s setting) holdsSecret(c *config) bool {
	switch at := s.at(c).(type) {
	case *string:
		if redact.Holds(*at) && (s.key != "tuning.storage" || !isPostgres(*at)) {
			*at = ""
			return true
		}
	case *[]string:
		if slices.ContainsFunc(*at, redact.Holds) {
			*at = nil
			return true
		}
	case *map[string][]string:
		for _, words := range *at {
			if slices.ContainsFunc(words, redact.Holds) {
				*at = nil
				return true
			}
		}
	case *map[string]map[string]string:
		for _, params := range *at {
			if !maps.Equal(redact.Map(params), params) {
				*at = nil
				return true
			}
		}
	}
	return false
}

// didYouMean offers the nearest of the known words when it is near enough to be meant.
func didYouMean(word string, known []string) string {
	best, at := "", len([]rune(word))/2+1
	for _, k := range known {
		if d := distance(strings.ToLower(word), strings.ToLower(k)); d < at {
			best, at = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %q?", best)
}

// distance is the number of insertions, deletions, substitutions and swaps of neighbours between two words (optimal string alignment).
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	d := make([][]int, len(x)+1)
	for i := range d {
		d[i] = make([]int, len(y)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(x); i++ {
		for j := 1; j <= len(y); j++ {
			change := 1
			if x[i-1] == y[j-1] {
				change = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+change)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(x)][len(y)]
}
