package main

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"salescast/tasks"
)

func noEnv(string) string { return "" }

func loadText(t *testing.T, text string) (*config, error) {
	t.Helper()
	p := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return loadConfig(layers{file: p, getenv: noEnv})
}

// Whatever is wrong with a file is said with its line and column, and with the nearest word where there is one.
func TestConfigErrorsSayWhere(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"unknown at the top":       {"seeds: 1\n", `c.yaml:1:1: unknown key "seeds" in the file, did you mean "seed"?`},
		"unknown section":          {"seed: 1\nbakctest:\n  origins: 3\n", `c.yaml:2:1: unknown key "bakctest" in the file, did you mean "backtest"?`},
		"unknown in a section":     {"data:\n  known_futrue: []\n", `c.yaml:2:3: unknown key "known_futrue" in data, did you mean "known_future"?`},
		"unknown, nothing near":    {"data:\n  xyzzy: 1\n", `c.yaml:2:3: unknown key "xyzzy" in data`},
		"twice":                    {"seed: 1\nseed: 2\n", `c.yaml:2:1:`},
		"text for a number":        {"forecast:\n  horizon: soon\n", `c.yaml:2:12: forecast.horizon must be a whole number, not "soon"`},
		"quoted number":            {"forecast:\n  horizon: \"28\"\n", `c.yaml:2:12: forecast.horizon must be a whole number`},
		"fraction for a number":    {"forecast:\n  horizon: 2.5\n", `c.yaml:2:12: forecast.horizon must be a whole number`},
		"too large":                {"forecast:\n  horizon: 1000\n", `c.yaml:2:12: forecast.horizon is 1000; it must be between 1 and 730`},
		"zero":                     {"forecast:\n  horizon: 0\n", `c.yaml:2:12: forecast.horizon is 0`},
		"negative seed":            {"seed: -1\n", `c.yaml:1:7: seed must be a whole number`},
		"share over one":           {"validate: {max_quarantined: 1.5}\n", `c.yaml:1:29: validate.max_quarantined is 1.5; it must be between 0 and 1`},
		"not a number":             {"validate: {max_quarantined: .nan}\n", `c.yaml:1:29: validate.max_quarantined`},
		"word for true or false":   {"forecast:\n  non_negative: perhaps\n", `c.yaml:2:17: forecast.non_negative must be true or false`},
		"one for a list":           {"data:\n  keys: store\n", `c.yaml:2:9: data.keys must be a list such as [a, b], not "store"`},
		"list in a list":           {"data:\n  keys: [[store]]\n", `c.yaml:2:9: data.keys must be a list`},
		"mapping for text":         {"data:\n  source: {a: 1}\n", `c.yaml:2:12: data.source must be text`},
		"no value":                 {"data:\n  source:\n", `data.source has no value`},
		"unknown choice":           {"data:\n  missing: zeros\n", `c.yaml:2:12: data.missing: unknown value "zeros", did you mean "zero"?; allowed are zero, carry, leave`},
		"unknown frequency":        {"data:\n  frequency: H\n", `c.yaml:2:14: data.frequency: unknown value "H"`},
		"unknown model":            {"models: [xgbost]\n", `c.yaml:1:9: models: unknown value "xgbost", did you mean "xgboost"?`},
		"no model":                 {"models: []\n", `c.yaml:1:9: models: there must be at least one model`},
		"auto is not alone":        {"models: [auto, xgboost]\n", `c.yaml:1:9: models: auto stands alone`},
		"model twice":              {"models: [xgboost, xgboost]\n", `c.yaml:1:9: models: a model is named twice`},
		"level outside":            {"forecast:\n  quantiles: [0.5, 1]\n", `c.yaml:2:14: forecast.quantiles: level 1 is not between 0 and 1`},
		"levels that fall":         {"forecast:\n  quantiles: [0.5, 0.1]\n", `forecast.quantiles: level 0.1 does not increase`},
		"no level":                 {"forecast:\n  quantiles: []\n", `forecast.quantiles: there must be at least one level`},
		"split of two":             {"backtest:\n  split: [0.7, 0.3]\n", `c.yaml:2:10: backtest.split: give three shares`},
		"split over one":           {"backtest:\n  split: [0.7, 0.2, 0.2]\n", `backtest.split: give three shares`},
		"parameters of a stranger": {"params:\n  catboost: {depth: 3}\n", `params: unknown model "catboost"`},
		"parameters as text":       {"params: fast\n", `c.yaml:1:9: params must be a mapping`},
		"country in small letters": {"data:\n  country: de\n", `c.yaml:2:12: data.country: "de" is not a country code`},
		"section as a value":       {"data: 5\n", `c.yaml:1:7: data must be a mapping`},
		"section as a list":        {"forecast:\n  - horizon: 5\n", `forecast must be a mapping`},
		"list at the top":          {"- a\n", `must be a mapping`},
		"syntax":                   {"data:\n  keys: [a, b\n", `c.yaml:`},
		"tab":                      {"data:\n\tsource: x\n", `c.yaml:2:1`},
		"two documents":            {"seed: 1\n---\nseed: 2\n", `c.yaml:3:1: only one document is allowed`},
		"alias":                    {"data:\n  keys: &k [a]\n  static: *k\n", `c.yaml:2:9: anchors, aliases and tags are not supported`},
		"tag":                      {"seed: !!int \"4\"\n", `c.yaml:1:7: anchors, aliases and tags are not supported`},
	} {
		_, err := loadText(t, c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) || exitCode(err) != 78 {
			t.Errorf("%s: error %v (exit %d), want %q (exit 78)", name, err, exitCode(err), c.want)
		}
	}
}

func TestConfigReads(t *testing.T) {
	t.Parallel()
	c, err := loadText(t, `
# what the documentation shows
data:
  source: bakery_daily.csv          # csv, csv.gz, parquet, a folder of them
  keys: [store, 1, true, 007]
  frequency: W
  past_only:
    - rain
    - "temp, outside"
  static: []
forecast:
  quantiles: [0.1, 0.5, 9.0e-1]
  non_negative: false
backtest:
  split: [0.70, 0.15, 0.15]
models: [golearn]
params:
  xgboost: {max_depth: 8, eta: 0.05, tree_method: hist}
  lightgbm:
    num_leaves: 31
report:
seed: 18446744073709551615
`)
	if err != nil {
		t.Fatal(err)
	}
	if c.Data.Source != filepath.Join(c.folder, "bakery_daily.csv") || !slices.Equal(c.Data.Keys, []string{"store", "1", "true", "007"}) ||
		!slices.Equal(c.Data.PastOnly, []string{"rain", "temp, outside"}) || c.Data.Frequency != "W" || c.Data.Static == nil {
		t.Errorf("data %+v", c.Data)
	}
	if !slices.Equal(c.Forecast.Quantiles, []float64{0.1, 0.5, 0.9}) || c.Forecast.NonNegative || c.Forecast.Horizon != 28 {
		t.Errorf("forecast %+v", c.Forecast)
	}
	if !maps.Equal(c.Params["xgboost"], map[string]string{"max_depth": "8", "eta": "0.05", "tree_method": "hist"}) || c.Params["lightgbm"]["num_leaves"] != "31" {
		t.Errorf("params %v", c.Params)
	}
	if c.Seed != 18446744073709551615 || !slices.Equal(c.Models, []string{"golearn"}) || !slices.Equal(c.Backtest.Split, []float64{0.70, 0.15, 0.15}) {
		t.Errorf("%+v", c)
	}
}

func TestEmptyConfigIsTheDefaults(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "# nothing\n", "---\n", "data:\n  # source: x\n"} {
		c, err := loadText(t, text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if c.models() != nil || c.Preset != "best" || c.Seed != 42 || c.Forecast.Horizon != 28 || c.Backtest.Origins != 3 || !c.Forecast.NonNegative ||
			!slices.Equal(c.Forecast.Quantiles, []float64{0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975}) {
			t.Errorf("%q: %+v", text, c)
		}
	}
}

func TestExampleConfigs(t *testing.T) {
	t.Parallel()
	found, err := filepath.Glob("../../examples/*/salescast.yaml")
	if err != nil || len(found) == 0 {
		t.Fatalf("examples: %v, %v", found, err)
	}
	for _, p := range found {
		c, err := loadConfig(layers{file: p, getenv: noEnv})
		if err != nil {
			t.Errorf("%s: %v", p, err)
			continue
		}
		if files, err := filepath.Glob(c.Data.Source); err != nil || len(files) == 0 {
			t.Errorf("%s: its source %s has %d files (%v)", p, c.Data.Source, len(files), err)
		}
	}
}

// Every key is in the schema with its default, has a distinct variable, and can be set alone from the environment.
func TestEverySettingIsWhole(t *testing.T) {
	t.Parallel()
	schema, err := configSchema()
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(schema)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, s := range settings() {
		if seen[s.key] || seen[s.env()] || s.doc == "" || strings.HasSuffix(s.doc, ".") {
			t.Errorf("setting %s: not distinct, or its line of documentation is not one", s.key)
		}
		seen[s.key], seen[s.env()] = true, true
		words := strings.Split(s.key, ".")
		if !strings.Contains(string(b), `"`+words[len(words)-1]+`":{"description"`) && !strings.Contains(string(b), `"`+words[len(words)-1]+`":`) {
			t.Errorf("setting %s is not in the schema", s.key)
		}
		text := s.def
		c, err := loadConfig(layers{file: filepath.Join(t.TempDir()), getenv: noEnv})
		if err == nil {
			t.Fatalf("an empty folder was taken for a configuration: %+v", c)
		}
		if text == `""` || text == "[]" {
			continue
		}
		c, err = loadConfig(layers{getenv: func(k string) string {
			if k == s.env() {
				return text
			}
			return ""
		}})
		if err != nil || c.origins[s.key] != "environment "+s.env() {
			t.Errorf("%s=%s: %v, origin %q", s.env(), text, err, c.origins[s.key])
		}
	}
}

func TestDistance(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"horizn", "horizon", 1}, {"futrue", "future", 1}, {"kitten", "sitting", 3}, {"ä", "a", 1}} {
		if got := distance(c.a, c.b); got != c.want || distance(c.b, c.a) != got {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

// FuzzConfig: any text is a configuration or an error that names its file.
func FuzzConfig(f *testing.F) {
	for _, s := range []string{"", "data:\n  keys: [a]\n", "models: [xgboost]\nseed: 3", "a: &x {b: *x}", "[", "? - x", "data: {source: !!binary x}", "\t", "params: {xgboost: {a: [1]}}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c := &config{origins: map[string]string{}}
		if err := c.decode("c.yaml", []byte(text)); err != nil && !strings.HasPrefix(err.Error(), "c.yaml") {
			t.Errorf("error %q does not begin with the file", err)
		}
	})
}

func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	group := func(text string) fs.FS {
		if text == "" {
			return fstest.MapFS{}
		}
		return fstest.MapFS{"sys/fs/cgroup/memory.max": {Data: []byte(text)}}
	}
	for _, c := range []struct {
		flag, group string
		want        int64
	}{
		{"", "", 0},
		{"", "max\n", 0},
		{"", "1000000000\n", 900000000},
		{"500MiB", "1000000000\n", 500 << 20},
		{"2GiB", "", 2 << 30},
		{"123", "", 123},
		{"123B", "", 123},
	} {
		if got, err := memoryLimit(c.flag, group(c.group)); err != nil || got != c.want {
			t.Errorf("memoryLimit(%q, group %q) = %d, %v, want %d", c.flag, c.group, got, err, c.want)
		}
	}
	for _, bad := range []string{"x", "-1", "0", "1.5GiB", "99999999999TiB", "5GB"} {
		if got, err := memoryLimit(bad, group("")); err == nil {
			t.Errorf("memoryLimit(%q) = %d, want an error", bad, got)
		}
	}
}

func TestResultFitsALine(t *testing.T) {
	t.Parallel()
	r := &tasks.Result{Schema: tasks.ResultSchema, Step: "x", Status: tasks.Done, Metrics: map[string]float64{"wape": 0.2}, Error: &tasks.ResultError{Message: strings.Repeat("m", 40_000)}}
	for range 500 {
		r.Warnings = append(r.Warnings, strings.Repeat("w", 300))
	}
	b, err := resultJSON(r)
	if err != nil || len(b) > maxResult || strings.Count(string(b), "\n") != 1 || !json.Valid(b) {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	if len(r.Warnings) != 500 {
		t.Error("the result itself was changed")
	}
	r.Error = nil
	if b, err = resultJSON(r); err != nil || !strings.Contains(string(b), "more warnings are in the manifest") || !strings.Contains(string(b), `"wape":0.2`) {
		t.Errorf("%s, %v", b, err)
	}
}

// Text that would take gigabytes to parse is refused before it is parsed.
func TestConfigurationsAreBounded(t *testing.T) { //nolint:paralleltest // it measures what it allocates
	for name, text := range map[string]string{
		"brackets": strings.Repeat("[", 50_000), "braces": strings.Repeat("{a: ", 50_000), "dashes": strings.Repeat("- ", 50_000), "questions": strings.Repeat("? ", 50_000),
		"closed": strings.Repeat("]", 50_000), "keys": strings.Repeat("a: ", 100_000), "lines": strings.Repeat("a\n", 500_000), "stairs": stairs(1000), "long list": "models: [" + strings.Repeat("a, ", 100_000),
		"anchors": strings.Repeat("&a ", 100_000), "quotes": strings.Repeat(`"a" `, 100_000), "pipes": strings.Repeat("- |\n ", 100_000),
	} {
		t.Run(name, func(t *testing.T) { //nolint:paralleltest // as above
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			c := &config{origins: map[string]string{}}
			if err := c.decode("c.yaml", []byte(text)); err == nil || !strings.HasPrefix(err.Error(), "c.yaml") {
				t.Errorf("the error is %v", err)
			}
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > 300<<20 {
				t.Errorf("%d bytes took %d MiB", len(text), took>>20)
			}
		})
	}
}

// stairs is a mapping in a mapping, and so on.
func stairs(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}
