package servetest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// cpu is the processor time that a process has used.
func cpu(t *testing.T, pid int) time.Duration {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	must(t, err)
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+2:]))
	return time.Duration(number(t, fields[11])+number(t, fields[12])) * time.Second / 100 // ticks of 10 ms
}

// resident is the memory of a process in kB.
func resident(t *testing.T, pid int, name string) int {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must(t, err)
	for line := range strings.Lines(string(raw)) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			n, err := strconv.Atoi(strings.Fields(v)[0])
			must(t, err)
			return n
		}
	}
	t.Fatalf("no %s", name)
	return 0
}

// ofOne is the history of one series, with its plan.
func (b *bakery) ofOne() [][]string {
	var out [][]string
	for _, r := range b.upTo(b.end)[1:] {
		if r[0] == "B002" && r[1] == "P101" {
			out = append(out, r)
		}
	}
	return out
}

// One series, 28 days with quantiles: a millisecond of processor time for a member, three for the ensemble, whatever part of the history
// comes with the request. Processor time, because other tests share the machine; make bench-serve measures latency.
func TestCostOfRequest(t *testing.T) {
	t.Parallel()
	b := trained(t)
	s := b.serve(t, nil, "--model", b.workspace)
	own := b.ofOne()
	plan := own[len(own)-steps:]
	bodies := map[string]map[string]any{
		"stored history, changed plan": {"plan": columns(b.head, plan)},
		"a new week":                   {"history": columns(b.head, own[len(own)-steps-7:]), "append": true},
		"the whole history":            {"history": columns(b.head, own)},
	}
	// A kept parser of JSON is worth this much more than one of our own would take for the 1,215 rows of a history.
	const parsing = 1500 * time.Microsecond
	for model, most := range map[string]time.Duration{"lightgbm": 2 * time.Millisecond, "ensemble": 4 * time.Millisecond} {
		for name, body := range bodies {
			limit := most
			if name == "the whole history" {
				limit += parsing
			}
			body["model"] = model
			var a answer
			ask := func(n int) {
				for range n {
					s.ask(t, body, &a)
				}
			}
			ask(20)
			before := cpu(t, s.cmd.Process.Pid)
			const n = 200
			ask(n)
			if took := (cpu(t, s.cmd.Process.Pid) - before) / n; took > limit {
				t.Errorf("%s, %s: %v of processor time, want at most %v", model, name, took, limit)
			} else {
				t.Logf("%s, %s: %v of processor time", model, name, took)
			}
		}
	}
}

// Three different models at work stay below 150 MB, and are ready within a second of processor time.
func TestThreeModels(t *testing.T) {
	t.Parallel()
	b := trained(t)
	args := []string{}
	for k := range 3 {
		workspace := filepath.Join(t.TempDir(), fmt.Sprintf("bakery%d", k))
		must(t, os.CopyFS(workspace, os.DirFS(b.workspace)))
		args = append(args, "--model", workspace)
	}
	s := b.serve(t, nil, args...)
	if used := cpu(t, s.cmd.Process.Pid); used > 3*time.Second {
		t.Errorf("three models are ready after %v of processor time", used)
	} else {
		t.Logf("three models: ready after %v of processor time, %v in all", used, s.took)
	}
	history := columns(b.head, slices.DeleteFunc(b.upTo(b.end)[1:], func(r []string) bool { return r[0] != "B002" }))
	for range 20 {
		for k := range 3 {
			var a answer
			s.ask(t, map[string]any{"model": fmt.Sprintf("bakery%d", k), "history": history}, &a)
		}
	}
	now, most := resident(t, s.cmd.Process.Pid, "VmRSS"), resident(t, s.cmd.Process.Pid, "VmHWM")
	t.Logf("three models: %d kB resident, %d at most", now, most)
	if now > 150_000 {
		t.Errorf("three models take %d kB", now)
	}
}

// From a cached model the server is ready within a second, and it ends when it is told.
func TestReadySoon(t *testing.T) {
	t.Parallel()
	b := trained(t)
	s := b.serve(t, nil, "--model", b.workspace)
	if used := cpu(t, s.cmd.Process.Pid); used > time.Second {
		t.Errorf("ready after %v of processor time", used)
	} else {
		t.Logf("ready after %v, %v of processor time", s.took, used)
	}
	must(t, s.cmd.Process.Signal(syscall.SIGTERM))
}

// A thousand series with 28 days each in one request take about a second of processor time, known ones with a new plan and new ones.
func TestThousandSeries(t *testing.T) {
	t.Parallel()
	b := trained(t)
	s := b.serve(t, nil, "--model", b.workspace)
	own := b.ofOne()
	own = own[len(own)-steps-90:]
	var rows [][]string
	for k := range 1000 {
		for _, r := range own {
			r = slices.Clone(r)
			r[0] = fmt.Sprintf("N%03d", k)
			rows = append(rows, r)
		}
	}
	var a answer
	body := map[string]any{"history": columns(b.head, rows)}
	before := cpu(t, s.cmd.Process.Pid)
	s.ask(t, body, &a)
	used := cpu(t, s.cmd.Process.Pid) - before
	t.Logf("1,000 new series of 90 days: %v of processor time", used)
	if len(a.Series) != 1000 || used > 2*time.Second {
		t.Errorf("%d series in %v of processor time", len(a.Series), used)
	}
}
