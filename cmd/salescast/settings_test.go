package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"salescast/pkg/table/roles"
)

// settingsPage is docs/settings.md.
func settingsPage() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Settings

What %[1]s can say, with the default of each key. A flag or --set KEY=VALUE wins over the environment, that over the file, that over the
default; %[2]ssalescast config show --origin%[2]s says where each value came from. The variable of a key is its name in capitals after
SALESCAST_, with _ for a point: SALESCAST_FORECAST_HORIZON. This page is made from the table that the program reads.

| Key | Default | |
|---|---|---|
`, configName, "`")
	for _, s := range settings() {
		def := s.def
		if def == `""` {
			def = ""
		} else {
			def = "`" + def + "`"
		}
		about := strings.ToUpper(s.doc[:1]) + s.doc[1:]
		if s.min != 0 || s.max != 0 {
			about += fmt.Sprintf("; from %v to %v", s.min, s.max)
		}
		var allowed []string
		for _, w := range s.allowed {
			if w != "" {
				allowed = append(allowed, "`"+w+"`")
			}
		}
		if len(allowed) > 0 {
			about += ". One of " + strings.Join(allowed, ", ")
			if _, list := s.at(&config{}).(*[]string); list {
				about = strings.Replace(about, ". One of ", ". Of ", 1)
			}
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", s.key, def, strings.ReplaceAll(about, "|", `\|`))
	}
	return b.String()
}

func TestSettingsPage(t *testing.T) {
	t.Parallel()
	const name = "../../docs/settings.md"
	if *update {
		if err := os.WriteFile(name, []byte(settingsPage()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := os.ReadFile(name); err != nil || string(b) != settingsPage() {
		t.Errorf("%s is not that of the settings (%v); run go test -update", name, err)
	}
}

// shown is a value as "config show" prints it.
func shown(t *testing.T, s setting, c *config) string {
	t.Helper()
	b, err := json.Marshal(s.value(c))
	must(t, err)
	return string(b)
}

// What README and the starter file show is read by the program, and where they name a default it is the default.
func TestShownConfigurations(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(b), -1)
	if len(blocks) == 0 {
		t.Error("README shows no configuration")
	}
	for _, m := range blocks {
		c, err := loadText(t, m[1])
		if err != nil {
			t.Errorf("README: %v in\n%s", err, m[1])
			continue
		}
		d, err := loadText(t, "")
		must(t, err)
		for _, s := range settings() {
			if strings.HasPrefix(s.key, "data.") || strings.HasPrefix(c.origins[s.key], "default") {
				continue
			}
			if got, want := shown(t, s, c), shown(t, s, d); got != want {
				t.Errorf("README shows %s: %s, the default is %s", s.key, got, want)
			}
		}
	}
	said := regexp.MustCompile("`((?:data|validate|features|forecast|backtest|ensemble|tuning|register|monitor|report|tracking)\\.[a-z_]+)`")
	docs, err := filepath.Glob("../../docs/*.md")
	must(t, err)
	for _, doc := range append(docs, "../../README.md") {
		b, err := os.ReadFile(doc)
		must(t, err)
		for _, m := range said.FindAllStringSubmatch(string(b), -1) {
			if _, err := settingOf(m[1]); err != nil && !strings.HasSuffix(m[1], ".csv") {
				t.Errorf("%s names a setting: %v", doc, err)
			}
		}
	}
	text := starter("sales.csv", &roles.Guess{})
	c, err := loadText(t, text)
	must(t, err)
	d, err := loadText(t, "")
	must(t, err)
	for _, s := range settings() {
		if got, want := shown(t, s, c), shown(t, s, d); got != want && !strings.HasPrefix(s.key, "data.") {
			t.Errorf("the starter file says %s: %s, the default is %s", s.key, got, want)
		}
	}
}

// The schema that editors check with takes every value that the reader takes.
func TestSchemaTakesWhatIsAllowed(t *testing.T) {
	t.Parallel()
	for _, s := range settings() {
		if _, text := s.at(&config{}).(*string); !text || s.allowed == nil {
			continue
		}
		n, err := s.schema()
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range s.allowed {
			if n.Pattern != "" && !regexp.MustCompile(n.Pattern).MatchString(v) || n.Enum != nil && !slices.Contains(n.Enum, v) {
				t.Errorf("%s: %q is allowed, and the schema refuses it", s.key, v)
			}
		}
	}
}
