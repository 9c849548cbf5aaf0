package servetest

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"salescast/tests/servers"
)

// predictAll lets Python's MLflow predict from tables, one CSV file for each.
const predictAll = `
import sys
import mlflow, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
for path in sys.argv[2:]:
    rows = pandas.read_csv(path, dtype={"store": str, "item": str}, float_precision="round_trip")
    model.predict(rows).to_csv(path + ".pyfunc", index=False)
`

// table is a request: rows of history, and of the plan where it has one. It is stored where the model has all of it.
type table struct {
	name   string
	rows   [][]string
	stored bool
}

// Whatever part of the model's series a table has, and new ones, wherever it ends and with or without a plan, with days that nobody
// reported, empty shelves and a series that has ended: "salescast forecast --input",
// MLflow's pyfunc and the server forecast the same from it, and where it is what the model was fitted on, the same as from all series.
func TestOneAnswer(t *testing.T) {
	t.Parallel()
	b := open(t)
	workspace := filepath.Join(b.folder, "every-member")
	since := b.end.AddDate(-3, 0, 0).Format(time.DateOnly)
	few := slices.DeleteFunc(b.upTo(b.end.AddDate(0, 0, 60)), func(r []string) bool { return r[0] != "store" && (r[0] > "B004" || r[2] < since) })
	sold := slices.DeleteFunc(slices.Clone(few[1:]), func(r []string) bool { return r[3] == "" })
	holes := rand.New(rand.NewPCG(7, 7))
	unreported := map[string]bool{}
	over := b.end.AddDate(0, 0, -45).Format(time.DateOnly)
	for i, r := range sold {
		empty := "0"
		if holes.IntN(50) == 0 {
			empty = "1"
		}
		sold[i] = append(slices.Clone(r), empty)
		if holes.IntN(40) == 0 || r[0] == "B004" && r[1] == "P109" && r[2] > over { // it is sold no more
			unreported[strings.Join(r[:3], ",")] = true
		}
	}
	head := append(slices.Clone(b.head), "empty")
	at := func(origin time.Time, planned bool, keep func(store, item string) bool) [][]string {
		until := origin.AddDate(0, 0, steps).Format(time.DateOnly)
		var out [][]string
		for _, r := range sold {
			switch day := origin.Format(time.DateOnly); {
			case !keep(r[0], r[1]), r[2] <= day && unreported[strings.Join(r[:3], ",")]:
			case r[2] <= day:
				out = append(out, r)
			case planned && r[2] <= until:
				out = append(out, []string{r[0], r[1], r[2], "", r[4], r[5], r[6], r[7], "", "", "0"})
			}
		}
		return out
	}
	all := func(string, string) bool { return true }
	train := append([][]string{head}, at(b.end, true, all)...)
	must(t, b.runSet("every-member.csv", workspace, "params:\n  xgboost: {rounds: 20}\n  lightgbm: {rounds: 20}\n  lightgbm_recursive: {rounds: 20}\n",
		[]string{"models=xgboost,lightgbm_recursive,smoothing_yearly", "data.stockout=empty", "data.ended_after=30"}, train))
	s := b.serve(t, nil, "--model", workspace)

	ids := map[[2]string]bool{}
	for _, r := range sold {
		ids[[2]string{r[0], r[1]}] = true
	}
	names := make([][2]string, 0, len(ids))
	for id := range ids {
		names = append(names, id)
	}
	slices.SortFunc(names, func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	random := rand.New(rand.NewPCG(2026, 6))
	var cases []table
	for k, size := range []int{1, 1, 2, len(names) / 2, len(names) - 1, len(names)} {
		for _, days := range []int{-25, 0, 9} {
			some := map[[2]string]bool{}
			for _, i := range random.Perm(len(names))[:size] {
				some[names[i]] = true
			}
			rows := at(b.end.AddDate(0, 0, days), (k+days)%2 == 0, func(store, item string) bool { return some[[2]string{store, item}] })
			name := fmt.Sprintf("%d of %d series, %d days after the model", size, len(names), days)
			cases = append(cases, table{name, rows, days == 0})
			if k%2 == 0 {
				continue
			}
			like := names[random.IntN(len(names))]
			long, short := at(b.end.AddDate(0, 0, days), (k+days)%2 == 0, func(store, item string) bool { return like == [2]string{store, item} }), [][]string{}
			for _, r := range long {
				long := slices.Clone(r)
				long[0] = "new"
				rows = append(rows, long)
				if r[2] > b.end.AddDate(0, 0, days-12).Format(time.DateOnly) {
					young := slices.Clone(r)
					young[1] = "young"
					short = append(short, young)
				}
			}
			cases = append(cases, table{name + ", and new ones", append(rows, short...), false})
		}
	}
	paths := make([]string, len(cases))
	for i, c := range cases {
		paths[i] = filepath.Join(t.TempDir(), "table.csv")
		var text bytes.Buffer
		must(t, csv.NewWriter(&text).WriteAll(append([][]string{head}, c.rows...)), os.WriteFile(paths[i], text.Bytes(), 0o600))
	}
	python := exec.CommandContext(t.Context(), servers.Tool(t, "venvs/mlflow-3.17/bin/python"), append([]string{"-W", "ignore", "-c", predictAll, filepath.Join(workspace, "ensemble")}, paths...)...)
	python.Env = append(b.env(), "MLFLOW_DISABLE_TELEMETRY=true", "SALESCAST_BIN="+b.binary, "HOME="+t.TempDir(), "TMPDIR="+t.TempDir())
	if out, err := python.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var stored answer
	s.ask(t, map[string]any{}, &stored)
	if m := s.members(t); len(m) != 3 {
		t.Errorf("of the members only %v have weight", m)
	}
	largest := 0.0
	for i, c := range cases {
		raw, err := os.ReadFile(paths[i])
		must(t, err)
		code, out := s.post(t, "/v1/forecast", "text/csv", raw)
		if code != http.StatusOK {
			t.Fatalf("%s: %d %.500s", c.name, code, out)
		}
		var a answer
		must(t, json.Unmarshal(out, &a))
		if c.stored && a.Series[0].Origin == stored.Series[0].Origin {
			part := stored
			part.Series = slices.DeleteFunc(slices.Clone(stored.Series), func(one seriesAnswer) bool {
				return !slices.ContainsFunc(a.Series, func(two seriesAnswer) bool { return maps.Equal(one.ID, two.ID) })
			})
			same(t, part, a)
		}
		cmd := exec.CommandContext(t.Context(), b.binary, "forecast", "--model", workspace, "--input", paths[i])
		cmd.Env = b.env()
		printed, err := cmd.Output()
		if e, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("%s: %v\n%s", c.name, err, e.Stderr)
		}
		must(t, err)
		predicted, err := os.ReadFile(paths[i] + ".pyfunc")
		must(t, err)
		for way, text := range map[string][]byte{"forecast --input": printed, "pyfunc": predicted} {
			d := b.compare(t, c.name+", "+way, a, text)
			largest = max(largest, d)
		}
	}
	b.sameTotals(t, s, workspace, head, at(b.end, true, func(store, item string) bool { return store == names[0][0] || item == names[0][1] }))
	t.Logf("%d tables: the answers differ by %v at most", len(cases), largest)
}

// sameTotals wants the sums of a table from the server and from the forecast step: those that the table has whole, and no other.
func (b *bakery) sameTotals(t *testing.T, s *server, model string, head []string, rows [][]string) {
	t.Helper()
	var a struct {
		answer
		Totals []struct {
			Level, Value string
			Dates        []string
			Forecast     []float64
			Quantiles    map[string][]float64
		}
	}
	raw, err := json.Marshal(map[string]any{"history": columns(head, rows), "totals": true})
	must(t, err)
	code, out := s.post(t, "/v1/forecast", "application/json", raw)
	if code != http.StatusOK {
		t.Fatalf("%d %.500s", code, out)
	}
	must(t, json.Unmarshal(out, &a))
	source, workspace := filepath.Join(t.TempDir(), "part.csv"), t.TempDir()
	var text bytes.Buffer
	must(t, csv.NewWriter(&text).WriteAll(append([][]string{head}, rows...)), os.WriteFile(source, text.Bytes(), 0o600))
	cmd := exec.CommandContext(t.Context(), b.binary, "forecast", "-w", workspace, "--model", model, "--set", "data.source="+source)
	cmd.Env = b.env()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	printed, err := os.ReadFile(filepath.Join(workspace, "forecast", "forecast_totals.csv"))
	must(t, err)
	totals := answer{}
	for _, one := range a.Totals {
		totals.Series = append(totals.Series, seriesAnswer{ID: map[string]string{"store": one.Level, "item": one.Value}, Dates: one.Dates, Forecast: one.Forecast, Quantiles: one.Quantiles})
	}
	printed = bytes.Replace(printed, []byte("level,value"), []byte("store,item"), 1)
	if b.compare(t, "totals", totals, printed); len(a.Totals) != 3 {
		t.Errorf("%d totals, want those of the store, of the item, and of the item that the other store has no more", len(a.Totals))
	}
}

// members are the models of the server beside the ensemble.
func (s *server) members(t *testing.T) (names []string) {
	t.Helper()
	var list struct{ Models []struct{ Model string } }
	must(t, json.Unmarshal(s.get(t, "/v1/models"), &list))
	for _, m := range list.Models[1:] {
		names = append(names, m.Model)
	}
	return names
}

// compare wants the server's answer in a CSV of forecasts, and returns by how much they differ.
func (b *bakery) compare(t *testing.T, what string, a answer, text []byte) (largest float64) {
	t.Helper()
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	must(t, err)
	column := map[string]int{}
	for c, name := range rows[0] {
		column[name] = c
	}
	want := map[string][]string{}
	for _, r := range rows[1:] {
		want[r[column["store"]]+","+r[column["item"]]+","+r[column["date"]]] = r
	}
	points := 0
	for _, one := range a.Series {
		if want[one.ID["store"]+","+one.ID["item"]+","+one.Dates[0]] == nil && !slices.ContainsFunc(one.Forecast, func(y float64) bool { return y != 0 }) {
			continue // it has ended, and the others say nothing of it
		}
		for h, d := range one.Dates {
			r := want[one.ID["store"]+","+one.ID["item"]+","+d]
			if r == nil {
				t.Fatalf("%s: %v has no forecast for %s", what, one.ID, d)
			}
			points++
			check := func(name string, got float64) {
				y, err := strconv.ParseFloat(r[column[name]], 64)
				must(t, err)
				d := max(y-got, got-y) / (1 + max(y, -y))
				if largest = max(largest, d); !(d <= 1e-6) {
					t.Errorf("%s: %v, step %d, %s: %v, the server answers %v", what, one.ID, h+1, name, y, got)
				}
			}
			check("forecast", one.Forecast[h])
			for q, v := range one.Quantiles {
				check("q"+(q + "0")[2:max(4, len(q))], v[h])
			}
		}
	}
	if points != len(rows)-1 {
		t.Errorf("%s: %d rows, the server answers %d", what, len(rows)-1, points)
	}
	return largest
}
