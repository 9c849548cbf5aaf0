package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "write the golden files anew")

func testApp(out, errs *bytes.Buffer) *app {
	return &app{
		out: out, err: errs, getenv: noEnv, environ: func() []string { return nil },
		now: func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) },
	}
}

// The help of every command is kept whole, so that no flag or promise changes by accident.
func TestHelp(t *testing.T) {
	t.Parallel()
	var walk func(path []string, c *cobra.Command)
	walk = func(path []string, c *cobra.Command) {
		if c.Name() == "completion" || c.Hidden {
			return
		}
		var out, errs bytes.Buffer
		if err := testApp(&out, &errs).run(t.Context(), append(append([]string{}, path...), "--help")); err != nil {
			t.Errorf("%v --help: %v", path, err)
		}
		name := filepath.Join("testdata", "help", strings.Join(append([]string{"salescast"}, path...), "_")+".golden")
		if *update {
			if err := os.WriteFile(name, out.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(name)
		if err != nil || out.String() != string(want) {
			t.Errorf("%v --help differs from %s (%v); if that is meant, run go test -update:\n%s", path, name, err, out.String())
		}
		if c.Runnable() && (c.Short == "" || c.Long == "" || len(path) > 0 && !c.HasSubCommands() && c.Example == "") {
			t.Errorf("%v has no sentence, description or example", path)
		}
		for _, sub := range c.Commands() {
			walk(append(append([]string{}, path...), sub.Name()), sub)
		}
	}
	var out, errs bytes.Buffer
	walk(nil, testApp(&out, &errs).rootCommand())
}
