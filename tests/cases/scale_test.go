package casestest

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

var (
	stores = flag.Int("stores", 60, "stores of the many series")
	items  = flag.Int("items", 50, "items of the many series")
	models = flag.String("models", "[smoothing]", "members that forecast the many series")
)

// TestManySeriesTakeLittle runs the binary that "make build" makes on some thousand series and watches the memory of the steps that read
// predictions and panel part by part: that of 3,000 series would be over the bound if either read all of them at once.
func TestManySeriesTakeLittle(t *testing.T) {
	binary, err := filepath.Abs("../../bin/salescast")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	config := fmt.Sprintf("models: %s\npreset: fast\nforecast:\n  horizon: 28\nbacktest:\n  origins: 3\n", *models)
	if err := os.WriteFile(filepath.Join(folder, "salescast.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	series := *stores * *items
	// What a step may hold: the program itself, and some numbers for every series.
	bound := int64(160<<20) + int64(series)*8<<10
	step := func(args ...string) {
		cmd := exec.CommandContext(t.Context(), binary, append(args, "-w", "ws")...)
		cmd.Dir = folder
		cmd.Env = []string{"HOME=" + folder, "PATH=" + os.Getenv("PATH")}
		var errs bytes.Buffer
		cmd.Stderr = &errs
		if err := cmd.Run(); err != nil {
			t.Fatalf("%v: %v; the binary is made by make build\n%s", args, err, errs.String())
		}
		use := cmd.ProcessState.SysUsage().(*syscall.Rusage)
		peak := use.Maxrss << 10
		t.Logf("%s: %.1f s of processor time, %d MiB at most", strings.Join(args, " "), (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(), peak>>20)
		if (args[0] == "evaluate" || args[0] == "report") && peak > bound {
			t.Errorf("%s takes %d MiB for %d series, want at most %d", args[0], peak>>20, series, bound>>20)
		}
	}
	step("generate", "--stores", strconv.Itoa(*stores), "--items", strconv.Itoa(*items), "--start", "2023-12-01", "--end", "2024-10-31")
	step("validate")
	if *models == "[smoothing]" {
		step("train", "--model", "smoothing")
	} else {
		step("train", "--model", "lightgbm")
		step("train", "--model", "smoothing")
	}
	for _, s := range []string{"ensemble", "evaluate", "forecast", "report"} {
		step(s)
	}
	// The page stays a page, says that it shows a part, and the rest is in tables.
	page, err := os.Stat(filepath.Join(folder, "ws", "report", "index.html"))
	if err != nil || page.Size() > 6<<20 {
		t.Errorf("the report has %d bytes, %v", page.Size(), err)
	}
	table, err := os.ReadFile(filepath.Join(folder, "ws", "evaluate", "metrics_by_series.csv"))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Models []struct{ Model string } `json:"models"`
	}
	b, err := os.ReadFile(filepath.Join(folder, "ws", "evaluate", "metrics.json"))
	if err == nil {
		err = json.Unmarshal(b, &doc)
	}
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(table, []byte("\n")); n != 1+series*len(doc.Models) {
		t.Errorf("metrics_by_series.csv has %d lines", n)
	}
}
