package prophettest

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"salescast/pkg/bundle"
	"salescast/pkg/forecast"
	"salescast/pkg/panel"
	"salescast/pkg/regress"
	"salescast/tests/servers"
)

// folder reads the files of a bundle.
type folder string

func (f folder) ReadFile(_ context.Context, name string, limit int64) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(string(f), name))
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes", name, limit)
	}
	return b, err
}

// noTrees opens no engine's model: the ensemble of the test has none.
func noTrees(format string) (regress.Open, error) { return nil, fmt.Errorf("%s: not expected", format) }

// salescast runs the program and returns its exit code.
func salescast(t *testing.T, args ...string) (code int, errs string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), servers.Binary(t), args...)
	cmd.Env = append(os.Environ(), "MLFLOW_TRACKING_URI=", "SALESCAST_STATE_DIR="+t.TempDir())
	var text strings.Builder
	cmd.Stderr = &text
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), text.String()
}

// bakery is an ensemble of Prophet alone on the example, and what its member forecasts.
func bakery(t *testing.T) (workspace string, p *panel.Panel, f *forecast.Prediction) {
	t.Helper()
	workspace = t.TempDir()
	if code, errs := salescast(t, "run", servers.Root("examples", "bakery"), "-w", workspace, "--set", "models=[prophet]", "--set", "backtest.origins=1", "--set", "tracking.mode=off"); code != 0 {
		t.Fatalf("run: exit %d: %s", code, errs)
	}
	b, err := bundle.Open(t.Context(), folder(filepath.Join(workspace, "ensemble")), noTrees)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if p, err = b.History(t.Context()); err != nil {
		t.Fatal(err)
	}
	origin, _ := p.End()
	if len(b.Members()) != 1 || b.Members()[0].Member != "prophet" {
		t.Fatalf("the members are %v", b.Members())
	}
	if f, err = b.Members()[0].Model.Forecast(t.Context(), forecast.Request{Panel: p, Origin: origin, Horizon: b.Manifest.Horizon}); err != nil {
		t.Fatal(err)
	}
	return workspace, p, f
}

// TestMLflowOpensExports exports models of the bakery example, has mlflow.prophet open them, and compares what they predict with what
// the member forecasts, which differs by the clipping at 0 alone, and with forecast.csv, where days that are closed are 0 besides.
func TestMLflowOpensExports(t *testing.T) {
	t.Parallel()
	workspace, p, f := bakery(t)
	published := readForecast(t, filepath.Join(workspace, "forecast", "forecast.csv"))
	out := t.TempDir()
	folders := map[string]int{}
	for _, s := range []int{0, 1, p.Series() / 2, p.Series() - 1} {
		id := p.ID(s)
		at := filepath.Join(out, strings.Join(id, "-"))
		if code, errs := salescast(t, "models", "export", "-w", workspace, "--series", "store="+id[0]+",item="+id[1], "--out", at); code != 0 {
			t.Fatalf("export %v: exit %d: %s", id, code, errs)
		}
		folders[at] = s
	}
	args := []string{"open.py"}
	for at := range folders {
		args = append(args, at)
	}
	cmd := exec.CommandContext(t.Context(), servers.Tool(t, "venvs/prophet-mlflow/bin/python"), args...)
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("open.py: %v", err)
	}
	var got map[string]struct {
		Dates, Regressors []string
		Holidays          int
		Yhat, Generic     []float64
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatalf("open.py printed %q: %v", text, err)
	}
	same := func(a, b float64) bool { return math.Abs(a-b) <= 1e-6*(1+math.Abs(b)) }
	for at, s := range folders {
		g, id := got[at], p.ID(s)
		if len(g.Yhat) != f.Horizon || len(g.Generic) != f.Horizon || g.Holidays == 0 || !slices.Contains(g.Regressors, "promo") {
			t.Fatalf("%v: %d days, %d holidays, regressors %v", id, len(g.Yhat), g.Holidays, g.Regressors)
		}
		open := 0
		for h, y := range g.Yhat {
			if want := f.Point[f.At(s, h+1)]; !same(max(y, 0), want) || g.Generic[h] != y {
				t.Errorf("%v %s: Python predicts %v and %v, the member %v", id, g.Dates[h], y, g.Generic[h], want)
			}
			final, ok := published[id[0]+"/"+id[1]+"/"+g.Dates[h]]
			if !ok || final != 0 && !same(y, final) {
				t.Errorf("%v %s: Python predicts %v, forecast.csv says %v (%v)", id, g.Dates[h], y, final, ok)
			}
			if final != 0 {
				open++
			}
		}
		if open == 0 {
			t.Errorf("%v: no day has a forecast to compare with", id)
		}
	}
	refusals(t, workspace, out)
}

// refusals are exports that cannot be, with the cure that is offered.
func refusals(t *testing.T, workspace, full string) {
	t.Helper()
	for _, c := range []struct {
		series, member, out string
		code                int
		says                string
	}{
		{"store=B002,item=P999", "prophet", "new", 66, "the nearest are store=B002,item=P109"},
		{"store=B002", "prophet", "new", 64, "write --series store=...,item=..."},
		{"store=B002,item=P101", "ets", "new", 64, "salescast register"},
		{"store=B002,item=P101", "prophet", full, 64, "name a new folder"},
	} {
		out := c.out
		if out == "new" {
			out = filepath.Join(t.TempDir(), out)
		}
		code, errs := salescast(t, "models", "export", "--model", workspace, "--member", c.member, "--series", c.series, "--out", out)
		if code != c.code || !strings.Contains(errs, c.says) {
			t.Errorf("%s of %s: exit %d, not %d with %q: %s", c.member, c.series, code, c.code, c.says, errs)
		}
	}
}

// readForecast returns the forecasts of a forecast.csv by store/item/date.
func readForecast(t *testing.T, name string) map[string]float64 {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := func(n string) int { return slices.Index(rows[0], n) }
	out := map[string]float64{}
	for _, r := range rows[1:] {
		y, err := strconv.ParseFloat(r[column("forecast")], 64)
		if err != nil {
			t.Fatal(err)
		}
		out[r[column("store")]+"/"+r[column("item")]+"/"+r[column("date")]] = y
	}
	return out
}
