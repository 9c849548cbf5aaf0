package releasetest

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

const binary = "../../bin/salescast"

// run returns what the binary printed and the processor time that it took.
func run(t *testing.T, args ...string) (string, time.Duration) {
	t.Helper()
	path, err := filepath.Abs(binary)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env = []string{"HOME=" + t.TempDir()}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v; it is made by make build\n%s", binary, args, err, errs.String())
	}
	return string(out), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

// Everything that shells out to salescast pays for its start: no package may do work before main.
func TestVersionTakesLittle(t *testing.T) {
	const runs, limit = 11, 30 * time.Millisecond
	var took []time.Duration
	for range runs {
		_, d := run(t, "version")
		took = append(took, d)
	}
	slices.Sort(took)
	if took[runs/2] > limit {
		t.Errorf("version takes %v of processor time in the median, want at most %v: %v", took[runs/2], limit, took)
	}
	t.Logf("median %v of %v", took[runs/2], took)
}

// A release carries its engines: in an empty home, without any variable, it finds both.
func TestEnginesAreInside(t *testing.T) {
	t.Parallel()
	out, _ := run(t, "doctor")
	for _, engine := range []string{"xgboost: 3.2.0, embedded", "lightgbm: 4.7.0, embedded"} {
		if !bytes.Contains([]byte(out), []byte(engine)) {
			t.Errorf("doctor does not say %q:\n%s", engine, out)
		}
	}
}
