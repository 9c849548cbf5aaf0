package casestest

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"salescast/pkg/artifact/dir"
	"salescast/pkg/calendar"
	"salescast/pkg/metric"
	"salescast/pkg/regress/engines"
	"salescast/pkg/regress/regresstest"
	"salescast/pkg/track"
	"salescast/tasks"
)

const horizon = 14

var quantiles = []float64{0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975}

// monday is the first day of every shop.
var monday = calendar.DateOf(2023, time.January, 2)

// sale is one row; a NaN has no sale.
type sale struct {
	store, item string
	day         int
	sold        float64
	more        string // further columns, with a comma before each
}

// shop is a source of sales and what its columns are.
type shop struct {
	rows    []sale
	columns string // further columns, with a comma before each
	data    tasks.DataOptions
	models  []string
	origins int
}

// newShop is a shop with next to no noise: stores x items that sell more at weekends, for so many days.
func newShop(stores, items, days int) *shop {
	s := &shop{models: []string{"lightgbm", "smoothing"}, origins: 2}
	for k := range stores {
		for i := range items {
			for d := range days {
				s.add(fmt.Sprintf("S%d", k+1), fmt.Sprintf("I%d", i+1), d, usual(k, i, d))
			}
		}
	}
	return s
}

func (s *shop) add(store, item string, day int, sold float64) {
	s.rows = append(s.rows, sale{store: store, item: item, day: day, sold: sold})
}

// usual is what item i sells in store k on a day: 20 to 100 units, half as much again at weekends, and a ripple.
func usual(k, i, d int) float64 {
	y := 20 * float64(1+i) * (1 + 0.2*float64(k))
	if d%7 >= 5 {
		y *= 1.5
	}
	return math.Round(y * (1 + 0.1*math.Sin(float64(d*(3*k+2*i+1)))))
}

// row is a forecast for one day.
type row struct {
	date     string
	forecast float64
	q        []float64
}

// result is what became of a shop.
type result struct {
	env      tasks.Env
	warnings map[string]string
	// ahead are the forecasts after the end of the data by "store item", in order of days.
	ahead  map[string][]row
	scores *metric.Document
}

type quiet struct{}

func (quiet) Phase(string, int64) {}
func (quiet) Add(int64)           {}

func newEnv(t *testing.T) tasks.Env {
	t.Helper()
	store, err := dir.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	e := engines.New(engines.Config{EngineDir: regresstest.EngineDir(t), CacheDir: t.TempDir(), Threads: 1})
	t.Cleanup(e.Close)
	return tasks.Env{
		Store: store, Tracker: track.Off{}, Log: zerolog.Nop(), Progress: quiet{}, Now: time.Now, Version: "test", Scratch: t.TempDir(), Threads: 1, Learners: e,
	}
}

// run takes the shop from its rows to the report.
func (s *shop) run(t *testing.T) *result {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("date,store,item,sales" + s.columns + "\n")
	for _, r := range s.rows {
		sold := ""
		if !math.IsNaN(r.sold) {
			sold = strconv.FormatFloat(r.sold, 'f', -1, 64)
		}
		fmt.Fprintf(&b, "%s,%s,%s,%s%s\n", monday+calendar.Day(r.day), r.store, r.item, sold, r.more)
	}
	d := s.data
	d.Source = filepath.Join(t.TempDir(), "sales.csv")
	if err := os.WriteFile(d.Source, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if d.Keys == nil {
		d.Keys = []string{"store", "item"}
	}
	d.Time, d.Target, d.Frequency = "date", "sales", "D"
	if d.Missing == "" {
		d.Missing = "zero"
	}
	return pipeline(t, newEnv(t), d, s.models, s.origins)
}

// pipeline runs every step.
func pipeline(t *testing.T, env tasks.Env, d tasks.DataOptions, models []string, origins int) *result {
	t.Helper()
	out := &result{env: env, warnings: map[string]string{}, ahead: map[string][]row{}}
	back := tasks.BacktestOptions{Origins: origins}
	o := tasks.RunOptions{
		Validate: tasks.ValidateOptions{Data: d, MaxQuarantined: 0.01, Severity: map[string]string{"too_short": "warning", "all_zero": "warning"}, Horizon: horizon, Seed: 1},
		Models:   models,
		Train:    tasks.TrainOptions{Horizon: horizon, Backtest: back, Country: d.Country, NonNegative: true, Seed: 1},
		Ensemble: tasks.EnsembleOptions{Horizon: horizon, Backtest: back, Quantiles: quantiles, NonNegative: true, Seed: 1},
		Evaluate: tasks.EvaluateOptions{Horizon: horizon},
		Forecast: tasks.ForecastOptions{Horizon: horizon, Quantiles: quantiles},
	}
	if _, err := tasks.Run(t.Context(), env, o, func(r *tasks.Result, _, _ int) { out.warnings[r.Step] = strings.Join(r.Warnings, "\n") }); err != nil {
		t.Fatalf("%v\nhint: %s", err, tasks.HintOf(err))
	}
	if err := json.Unmarshal(out.file(t, "evaluate", "metrics.json"), &out.scores); err != nil {
		t.Fatal(err)
	}
	records, err := csv.NewReader(bytes.NewReader(out.file(t, "forecast", "forecast.csv"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]int{}
	for c, name := range records[0] {
		at[name] = c
	}
	for _, r := range records[1:] {
		var id []string
		for _, k := range d.Keys {
			id = append(id, r[at[k]])
		}
		v := row{date: r[at["date"]], forecast: number(t, r[at["forecast"]])}
		for c := at["forecast"] + 1; c < len(r); c++ {
			v.q = append(v.q, number(t, r[c]))
		}
		for k := 1; k < len(v.q); k++ {
			if v.q[k] < v.q[k-1] {
				t.Fatalf("quantiles of %v on %s are %v", id, v.date, v.q)
			}
		}
		out.ahead[strings.Join(id, " ")] = append(out.ahead[strings.Join(id, " ")], v)
	}
	return out
}

func (r *result) file(t *testing.T, step, name string) []byte {
	t.Helper()
	in, err := tasks.OpenStep(t.Context(), r.env.Store, step)
	if err != nil {
		t.Fatal(err)
	}
	b, err := in.ReadFile(t.Context(), name, 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func number(t *testing.T, s string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// near fails unless the forecasts of a series miss want, a function of the step ahead, by less than a share of it on the mean.
func (r *result) near(t *testing.T, id string, share float64, want func(h int) float64) {
	t.Helper()
	got := r.ahead[id]
	if len(got) != horizon {
		t.Fatalf("%s has %d forecasts, want %d", id, len(got), horizon)
	}
	miss, sum := 0.0, 0.0
	for i, v := range got {
		miss, sum = miss+math.Abs(v.forecast-want(i+1)), sum+want(i+1)
	}
	if !(miss <= share*sum) {
		t.Errorf("%s is missed by %.1f %%, want at most %.0f %%: %v", id, 100*miss/sum, 100*share, got)
	}
}

func (r *result) overall(model string) metric.Scores {
	for _, m := range r.scores.Models {
		if m.Model == model {
			return m.Overall
		}
	}
	return metric.Scores{}
}
