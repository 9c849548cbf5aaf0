package main

import (
	"os/exec"
	"strings"
	"testing"
)

// deps are all packages that a package needs, by go list.
func deps(t *testing.T, pkg string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", pkg).CombinedOutput()
	if err != nil {
		t.Fatalf("go list %s: %v\n%s", pkg, err, out)
	}
	return strings.Fields(string(out))
}

// The lint rules see direct imports; this sees what comes along.
func TestArchitecture(t *testing.T) {
	t.Parallel()
	known := map[string][]string{}
	for _, rule := range []struct {
		pkg, without, because string
	}{
		{"salescast/pkg/panel", "github.com/apache/arrow-go", "tables are read by pkg/table alone"},
		{"salescast/pkg/panel", "github.com/parquet-go", "tables are read by pkg/table alone"},
		{"salescast/pkg/panel", "net", "the data model is pure"},
		{"salescast/pkg/table", "github.com/parquet-go", "each format is a package of its own"},
		{"salescast/pkg/table/csv", "github.com/parquet-go", "each format is a package of its own"},
		{"salescast/pkg/forecast/...", "net/http", "forecasting is pure"},
		{"salescast/pkg/forecast/...", "github.com/apache/arrow-go", "tables are read by pkg/table alone"},
		{"salescast/pkg/forecast/...", "github.com/parquet-go", "tables are read by pkg/table alone"},
		{"salescast/pkg/feature", "net/http", "features are pure"},
		{"salescast/pkg/metric", "net/http", "scores are pure"},
		{"salescast/tasks", "github.com/spf13", "the command line is cmd's"},
		{"salescast/tasks", "github.com/minio", "stores are wired by cmd"},
		{"salescast/tasks", "salescast/pkg/artifact/dir", "stores are wired by cmd"},
		{"salescast/tasks", "salescast/pkg/track/spool", "trackers are wired by cmd"},
		{"salescast/cmd/salescast", "testing", "test support stays out of the binary"},
		{"salescast/cmd/salescast", "net/http/httptest", "test support stays out of the binary"},
		{"salescast/cmd/salescast", "github.com/stretchr/testify", "test support stays out of the binary"},
		{"salescast/cmd/salescast", "github.com/rogpeppe/go-internal", "test support stays out of the binary"},
		{"salescast/cmd/salescast", "salescast/pkg/artifact/artifacttest", "test support stays out of the binary"},
		{"salescast/cmd/salescast", "salescast/pkg/track/tracktest", "test support stays out of the binary"},
		{"salescast/cmd/salescast", "salescast/pkg/table/tabletest", "test support stays out of the binary"},
		{"salescast/cmd/salescast", "salescast/pkg/forecast/forecasttest", "test support stays out of the binary"},
		{"salescast/cmd/salescast", "salescast/pkg/regress/regresstest", "test support stays out of the binary"},
	} {
		if known[rule.pkg] == nil {
			known[rule.pkg] = deps(t, rule.pkg)
		}
		for _, d := range known[rule.pkg] {
			if d == rule.without || strings.HasPrefix(d, rule.without+"/") {
				t.Errorf("%s depends on %s: %s", rule.pkg, d, rule.because)
			}
		}
	}
}
