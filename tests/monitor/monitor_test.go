package monitortest

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"salescast/pkg/artifact"
	"salescast/pkg/artifact/dir"
	"salescast/pkg/calendar"
	"salescast/pkg/drift"
	"salescast/pkg/regress/engines"
	"salescast/pkg/regress/regresstest"
	"salescast/pkg/track"
	"salescast/tasks"
)

const (
	horizon = 28
	source  = "../../examples/bakery/bakery_daily.csv.gz"
)

// The model learns until the end of October 2018, and six months of sales follow.
var (
	learned = calendar.DateOf(2018, time.October, 31)
	end     = calendar.DateOf(2019, time.April, 30)
)

type quiet struct{}

func (quiet) Phase(string, int64) {}
func (quiet) Add(int64)           {}

// sales are the rows of the bakery and their days; the first row has the names.
type sales struct {
	rows   [][]string
	days   []calendar.Day
	target int
}

func readSales(t *testing.T) sales {
	t.Helper()
	f, err := os.Open(source)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var s sales
	if s.rows, err = csv.NewReader(io.LimitReader(z, 64<<20)).ReadAll(); err != nil {
		t.Fatal(err)
	}
	at := map[string]int{}
	for c, name := range s.rows[0] {
		at[name] = c
	}
	s.target = at["sales"]
	for _, r := range s.rows[1:] {
		d, err := calendar.ParseDay(r[at["date"]])
		if err != nil {
			t.Fatal(err)
		}
		s.days = append(s.days, d)
	}
	return s
}

// until writes the rows up to a day, those of the last horizon days with their sales multiplied.
func (s sales) until(t *testing.T, last calendar.Day, factor float64) string {
	t.Helper()
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	rows := [][]string{s.rows[0]}
	for i, r := range s.rows[1:] {
		if s.days[i] > last {
			continue
		}
		if s.days[i] > last-horizon && factor != 1 {
			v, err := strconv.ParseFloat(r[s.target], 64)
			if err != nil {
				t.Fatal(err)
			}
			r = append([]string(nil), r...)
			r[s.target] = strconv.FormatFloat(math.Round(v*factor), 'f', -1, 64)
		}
		rows = append(rows, r)
	}
	if err := w.WriteAll(rows); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "sales.csv")
	if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func newEnv(t *testing.T, learners tasks.Learners) tasks.Env {
	t.Helper()
	store, err := dir.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return tasks.Env{
		Store: store, Tracker: track.Off{}, Log: zerolog.Nop(), Progress: quiet{}, Now: time.Now, Version: "test", Scratch: t.TempDir(), Threads: 2, Learners: learners,
	}
}

func validate(t *testing.T, env tasks.Env, source string) {
	t.Helper()
	o := tasks.ValidateOptions{
		Data: tasks.DataOptions{
			Source: source, Keys: []string{"store", "item"}, Time: "date", Target: "sales", Frequency: "D",
			KnownFuture: []string{"promo", "holiday", "holiday_next2", "school_holiday"}, PastOnly: []string{"rain", "temperature"}, Missing: "zero", Country: "DE",
		},
		MaxQuarantined: 0.001, Horizon: horizon, Seed: 42,
	}
	if _, err := tasks.Validate(t.Context(), env, o); err != nil {
		t.Fatal(err)
	}
}

// train makes the default ensemble of sales up to the day that is learned.
func train(t *testing.T, env tasks.Env) {
	t.Helper()
	// The table ends with the last sale, and its promotions and holidays were planned all the same.
	back := tasks.BacktestOptions{Origins: 3, Plan: tasks.PlanKnown}
	models, err := tasks.DefaultModels(t.Context(), env, tasks.PresetBest, horizon, back)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range models {
		if _, err := tasks.Train(t.Context(), env, tasks.TrainOptions{Model: m, Horizon: horizon, Backtest: back, Country: "DE", NonNegative: true, Seed: 42}); err != nil {
			t.Fatal(err)
		}
	}
	o := tasks.EnsembleOptions{Models: models, Horizon: horizon, Backtest: back, Quantiles: []float64{0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975}, NonNegative: true, Seed: 42}
	if _, err := tasks.Ensemble(t.Context(), env, o); err != nil {
		t.Fatal(err)
	}
}

// Sales as they were are seldom called drift, and a change by a fifth or more nearly always. It prints the table that is in docs/monitor.md.
func TestHowOftenItIsDrift(t *testing.T) {
	t.Parallel()
	bakery := readSales(t)
	learners := engines.New(engines.Config{EngineDir: regresstest.EngineDir(t), CacheDir: t.TempDir(), Threads: 2})
	t.Cleanup(learners.Close)
	trained := newEnv(t, learners)
	validate(t, trained, bakery.until(t, learned, 1))
	train(t, trained)

	type change struct {
		factor      float64
		least, most int // of 22 windows
	}
	changes := []change{{1, 0, 2}, {0.7, 22, 22}, {0.8, 20, 22}, {1.2, 17, 22}, {1.3, 21, 22}}
	if os.Getenv("SALESCAST_TEST_ALL") != "" {
		changes = append(changes, change{0.9, 12, 22}, change{1.1, 1, 10})
	}
	for _, c := range changes {
		windows, found, checks, watched := 0, 0, map[string]int{}, map[string]int{}
		for last := learned + horizon; last <= end; last += 7 {
			env := newEnv(t, learners)
			env.Open = func(string) (artifact.Store, error) { return trained.Store, nil }
			m, err := tasks.OpenModel(t.Context(), env, "model")
			if err != nil {
				t.Fatal(err)
			}
			validate(t, env, bakery.until(t, last, c.factor))
			o := tasks.MonitorOptions{Model: "model", Horizon: horizon, Limits: drift.Limits{WAPE: 0.25, Bias: 0.1, Coverage: 0.1, KS: 0.1, PSI: 0.2}}
			if _, err := tasks.Monitor(t.Context(), env, m, o); err != nil {
				t.Fatal(err)
			}
			doc, err := tasks.ReadMonitoring(t.Context(), env)
			if err != nil {
				t.Fatal(err)
			}
			windows++
			if doc.Drift {
				found++
			}
			for _, f := range doc.Findings {
				if f.Severity == drift.Drift {
					checks[f.Check]++
				} else {
					watched[f.Column]++
				}
			}
		}
		t.Logf("sales x %.1f: drift in %d of %d windows %v; named %v", c.factor, found, windows, checks, watched)
		if windows != 22 || found < c.least || found > c.most {
			t.Errorf("sales x %.1f: drift in %d of %d windows, want %d to %d", c.factor, found, windows, c.least, c.most)
		}
	}
}
