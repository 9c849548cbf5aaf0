package tunetest

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"salescast/pkg/tune"
	"salescast/pkg/tune/rdb"
	"salescast/tests/servers"
)

// worker is the environment variable by which this test's binary is a process that searches; it holds the storage.
const worker = "SALESCAST_TEST_TUNE_WORKER"

const studyName = "salescast tune/test"

func TestMain(m *testing.M) {
	if at := os.Getenv(worker); at != "" {
		if err := work(at); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func open(ctx context.Context, at string) (*rdb.Storage, error) {
	if strings.HasPrefix(at, "postgresql://") {
		return rdb.Postgres(ctx, at, time.Now)
	}
	return rdb.SQLite(ctx, at, time.Now)
}

// work searches, saying each trial that it begins and ends. In the trial of ordinal HANG it waits for its end.
func work(at string) error {
	ctx := context.Background()
	st, err := open(ctx, at)
	if err != nil {
		return err
	}
	hang, err := strconv.Atoi(os.Getenv("HANG"))
	if err != nil {
		hang = -1
	}
	o := options()
	o.Done = func(_ context.Context, t tune.Trial) { fmt.Println("done", t.Ordinal) }
	_, err = tune.Search(ctx, st, studyName, o, func(ctx context.Context, t tune.Trial, report tune.Report) (float64, error) {
		fmt.Println("begin", t.Ordinal)
		if t.Ordinal == hang {
			if err := report(1, 1); err != nil {
				return 0, err
			}
			fmt.Println("hanging")
			time.Sleep(time.Hour)
		}
		return objective(ctx, t, report)
	})
	return errors.Join(err, st.Close())
}

const trials = 14

func options() tune.Options {
	return tune.Options{Trials: trials, Seed: 11, Now: time.Now, Space: tune.Space{
		{Name: "n", Low: 10, High: 90, Int: true},
		{Name: "rate", Low: 0.001, High: 1, Log: true},
		{Name: "share", Low: 0, High: 1},
		{Name: "loss", Choices: []string{"a", "b"}},
	}}
}

func objective(_ context.Context, t tune.Trial, report tune.Report) (float64, error) {
	score := 1.0
	if t.Params != nil {
		n, err := strconv.ParseFloat(t.Params["n"], 64)
		if err != nil {
			return 0, err
		}
		score = math.Abs(n-50) / 10
	}
	switch t.Ordinal {
	case 3:
		return 0, errors.New("it is broken")
	case 4: // what has no number
		if err := errors.Join(report(1, math.NaN()), report(2, math.Inf(1))); err != nil {
			return 0, err
		}
		return score, nil
	}
	for step := 1; step <= 6; step++ {
		time.Sleep(5 * time.Millisecond)
		if err := report(step, score+1/float64(step)); err != nil {
			return 0, err
		}
	}
	return score, nil
}

// seen is what Optuna says of a study.
type seen struct {
	Direction string
	Best      int
	Trials    []struct {
		Number        int
		State         string
		Value         *float64
		Params        map[string]any
		Steps         map[string]float64
		Attrs         map[string]string
		Distributions map[string]string
		Timed         bool
	}
}

func python(t *testing.T, script string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), servers.Tool(t, "venvs/optuna-5.0/bin/python"), append([]string{filepath.Join("testdata", script)}, args...)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, errs.String())
	}
	return out
}

func optuna(t *testing.T, at string, args ...string) seen {
	t.Helper()
	out := python(t, "optuna_reads.py", append([]string{at, studyName}, args...)...)
	// Python writes NaN and Infinity, which JSON does not have.
	out = regexp.MustCompile(`: (NaN|-?Infinity)`).ReplaceAll(out, []byte(": -1"))
	var v seen
	if err := json.Unmarshal(out, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// places are storages: how salescast and Optuna are told where they are.
func places(t *testing.T) map[string][2]string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "studies of ours.db")
	address := postgres(t)
	return map[string][2]string{
		"sqlite":   {file, "sqlite:///" + file},
		"postgres": {address, strings.Replace(address, "postgresql:", "postgresql+psycopg2:", 1)},
	}
}

// postgres starts a server of its own and answers its address.
func postgres(t *testing.T) string {
	t.Helper()
	return strings.Replace(servers.Postgres(t).URL, "postgresql+psycopg2:", "postgresql:", 1)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// begun starts a process that searches; lines are what it says.
func begun(t *testing.T, at string, hang int) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), worker+"="+at, "HANG="+strconv.Itoa(hang))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	return cmd, bufio.NewScanner(out)
}

func search(t *testing.T, at string) []tune.Trial {
	t.Helper()
	st, err := open(t.Context(), at)
	must(t, err)
	all, err := tune.Search(t.Context(), st, studyName, options(), objective)
	must(t, errors.Join(err, st.Close()))
	for i := range all {
		all[i].Start, all[i].End = time.Time{}, time.Time{}
	}
	return all
}

// legible are trials in which what is not a number is a word, which is equal to itself.
func legible(trials []tune.Trial) []string {
	out := make([]string, len(trials))
	for i, tr := range trials {
		out[i] = fmt.Sprintf("%+v", tr) // maps in order of their keys
	}
	return out
}

// A process is killed in the middle of a trial. The next one ends that trial, does its work again, and the study is what it would have
// been; Optuna reads all of it, goes on with it, and what it adds does not disturb us.
func TestKilledAndReadByOptuna(t *testing.T) {
	t.Parallel()
	want := search(t, filepath.Join(t.TempDir(), "whole.db"))
	for name, at := range places(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd, lines := begun(t, at[0], 6)
			for line := ""; line != "hanging" && lines.Scan(); {
				line = lines.Text()
			}
			must(t, cmd.Process.Kill())
			_ = cmd.Wait()
			got := search(t, at[0])
			if !slices.Equal(legible(got), legible(want)) {
				t.Errorf("after a kill the trials are\n%+v\nand not\n%+v", got, want)
			}

			v := optuna(t, at[1])
			if v.Direction != "MINIMIZE" || len(v.Trials) != trials+1 {
				t.Fatalf("Optuna sees %d trials to %s; want %d and one that was cut off", len(v.Trials), v.Direction, trials)
			}
			states := map[string]int{}
			for _, tr := range v.Trials {
				states[tr.State]++
				if !tr.Timed {
					t.Errorf("trial %d took an impossible time", tr.Number)
				}
			}
			cut := v.Trials[6]
			if cut.State != "FAIL" || cut.Attrs[tune.CutOffAttr] != "true" || !reflect.DeepEqual(cut.Params, v.Trials[7].Params) {
				t.Errorf("the trial that was cut off is %+v, and was done again as %+v", cut, v.Trials[7])
			}
			if v.Trials[3].State != "FAIL" || v.Trials[3].Attrs["error"] != "it is broken" {
				t.Errorf("the trial that failed is %+v", v.Trials[3])
			}
			if states["RUNNING"] != 0 || states["FAIL"] != 2 || states["COMPLETE"] == 0 || states["PRUNED"] == 0 {
				t.Errorf("states are %v", states)
			}
			best, _ := tune.Best(got)
			mine := v.Trials[v.Best]
			if mine.Value == nil || *mine.Value != best.Score {
				t.Errorf("Optuna's best is %+v and ours %+v", mine, best)
			}
			d := v.Trials[1].Distributions
			for k, part := range map[string]string{"n": "IntDistribution(high=90, log=False, low=10, step=1)", "rate": "log=True", "share": "FloatDistribution(high=1.0, log=False, low=0.0, step=None)", "loss": "CategoricalDistribution(choices=('a', 'b'))"} {
				if !strings.Contains(d[k], part) {
					t.Errorf("Optuna sees %s as %s, want %s", k, d[k], part)
				}
			}

			if v = optuna(t, at[1], "2"); len(v.Trials) != trials+3 {
				t.Errorf("Optuna added 2 trials and has %d", len(v.Trials))
			}
			if again := search(t, at[0]); len(again) != trials {
				t.Errorf("after Optuna's own there are %d of ours", len(again))
			}
		})
	}
}

// Two processes share a study: every trial is done once.
func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	for name, at := range places(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, one := begun(t, at[0], -1)
			b, two := begun(t, at[0], -1)
			count := map[string]int{}
			for _, lines := range []*bufio.Scanner{one, two} {
				mine := 0
				for lines.Scan() {
					count[lines.Text()]++
					mine++
				}
				if mine < 4 {
					t.Errorf("one of the processes did %d things of %d", mine, 2*trials)
				}
			}
			must(t, errors.Join(a.Wait(), b.Wait()))
			for n := range trials {
				if count[fmt.Sprint("done ", n)] != 1 || count[fmt.Sprint("begin ", n)] != 1 {
					t.Errorf("trial %d was begun and done %d and %d times", n, count[fmt.Sprint("begin ", n)], count[fmt.Sprint("done ", n)])
				}
			}
			if v := optuna(t, at[1]); len(v.Trials) != trials {
				t.Errorf("Optuna sees %d trials, want %d", len(v.Trials), trials)
			}
		})
	}
}

// The tables are Optuna's own: in SQLite, word for word.
func TestTables(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ours, theirs := filepath.Join(dir, "ours.db"), filepath.Join(dir, "theirs.db")
	st, err := rdb.SQLite(t.Context(), ours, time.Now)
	must(t, errors.Join(err, st.Close()))
	python(t, "optuna_makes.py", "sqlite:///"+theirs)
	schema := func(file string) map[string]string {
		db, err := sql.Open("sqlite", file)
		must(t, err)
		defer db.Close()
		rows, err := db.QueryContext(t.Context(), `SELECT name, coalesce(sql, '') FROM sqlite_master UNION ALL SELECT 'revision', version_num FROM alembic_version
			UNION ALL SELECT 'version', schema_version FROM version_info`)
		must(t, err)
		defer rows.Close()
		out := map[string]string{}
		for rows.Next() {
			var name, text string
			must(t, rows.Scan(&name, &text))
			text = strings.Join(strings.Fields(strings.ReplaceAll(text, `"`, "")), " ")
			out[name] = strings.NewReplacer("( ", "(", " )", ")").Replace(text)
		}
		must(t, rows.Err())
		return out
	}
	a, b := schema(ours), schema(theirs)
	for name := range b {
		if a[name] != b[name] {
			t.Errorf("%s is %q, and Optuna's %q", name, a[name], b[name])
		}
	}
	if len(a) != len(b) {
		t.Errorf("there are %d tables and indices, and Optuna has %d", len(a), len(b))
	}
	st, err = rdb.SQLite(t.Context(), theirs, time.Now)
	must(t, err)
	must(t, st.Close())

	db, err := sql.Open("sqlite", theirs)
	must(t, err)
	defer db.Close()
	_, err = db.ExecContext(t.Context(), `UPDATE alembic_version SET version_num = 'v9.0.0.a'`)
	must(t, err)
	if _, err := rdb.SQLite(t.Context(), theirs, time.Now); err == nil || !strings.Contains(err.Error(), "v9.0.0.a") {
		t.Errorf("tables of another revision: %v", err)
	}
}

// A password in an address is refused, and not repeated.
func TestNoPasswordInAddress(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"postgresql://me:sesame@127.0.0.1:1/db", "postgresql://me@127.0.0.1:1/db?password=sesame", "postgresql://me:sesame@127.0.0.1:bad/db"} {
		_, err := rdb.Postgres(t.Context(), at, time.Now)
		if err == nil || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%v", err)
		}
	}
}
