package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"strings"
	"syscall"
	"testing"

	"salescast/pkg/artifact"
	"salescast/pkg/regress"
	"salescast/pkg/track"
	"salescast/tasks"
)

// The codes are an API: they are spelled out here so that none changes by accident.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	kind := func(k tasks.Kind) error {
		return fmt.Errorf("wrapped: %w", &tasks.Error{Kind: k, Op: "op", Err: errors.New("cause")})
	}
	for _, c := range []struct {
		name string
		err  error
		want int
	}{
		{"no error", nil, 0},
		{"anything else", errors.New("x"), 1},
		{"refused", kind(tasks.KindRefused), 10},
		{"drift", kind(tasks.KindDrift), 11},
		{"usage", kind(tasks.KindUsage), 64},
		{"data", kind(tasks.KindData), 65},
		{"input missing", kind(tasks.KindInputMissing), 66},
		{"missing file", fmt.Errorf("x: %w", fs.ErrNotExist), 66},
		{"unavailable", kind(tasks.KindUnavailable), 69},
		{"missing engine", fmt.Errorf("x: %w", &regress.UnavailableError{Engine: "xgboost", Err: errors.New("no library")}), 69},
		{"try again", kind(tasks.KindTryAgain), 75},
		{"store away", fmt.Errorf("x: %w", artifact.ErrUnavailable), 75},
		{"disk full", fmt.Errorf("x: %w: %w", artifact.ErrUnavailable, syscall.ENOSPC), 75},
		{"lost a race", fmt.Errorf("x: %w", artifact.ErrChanged), 75},
		{"tracker away", fmt.Errorf("x: %w", track.ErrUnavailable), 75},
		{"too slow", fmt.Errorf("x: %w", context.DeadlineExceeded), 75},
		{"store not trusted", fmt.Errorf("x: %w", artifact.ErrMisconfigured), 78},
		{"permission", kind(tasks.KindPermission), 77},
		{"no permission", fmt.Errorf("x: %w", fs.ErrPermission), 77},
		{"config", kind(tasks.KindConfig), 78},
		{"nothing", kind(tasks.KindNothing), 99},
		{"interrupted", fmt.Errorf("x: %w", context.Canceled), 130},
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("%s: exit code %d, want %d", c.name, got, c.want)
		}
	}
}

func TestExitCodesAreInTheReadme(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range exits() {
		if row := fmt.Sprintf("| %d | %s |", e.code, e.means); !strings.Contains(string(b), row) {
			t.Errorf("README.md lacks the row %q", row)
		}
	}
}

func TestFigure(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{0.18269: "0.1827", 9999: "9999", 139199.4: "139,199", -12345.6: "-12,346", 1e300: "1e+300"} {
		if got := figure(v); got != want {
			t.Errorf("%v is written %s, want %s", v, got, want)
		}
	}
	if got := figure(math.NaN()); got != "NaN" {
		t.Errorf("no number is written %s", got)
	}
}
