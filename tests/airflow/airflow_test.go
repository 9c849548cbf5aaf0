package airflow

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"salescast/tests/servers"
)

// TestAirflow takes one Airflow through what happens to it: runs that succeed, that fail, and that are killed. Each law has a name; they
// share the runs, which take minutes.
func TestAirflow(t *testing.T) {
	s := startStack(t)
	bakery := servers.Root("examples", "bakery", "salescast.yaml")
	s.Call(t, http.MethodPatch, "/api/v2/dags/"+inference, map[string]any{"is_paused": false}, nil)
	first := s.trigger(t, 0, training, map[string]any{"config": bakery}, "--wait", "--timeout", "15m")

	t.Run("the provider is listed", func(t *testing.T) {
		if list := s.Command(t, "providers", "list"); !strings.Contains(list, "salescast") {
			t.Errorf("airflow providers list does not have salescast:\n%s", list)
		}
	})
	t.Run("every task of a training succeeds at its first try", func(t *testing.T) { s.succeeded(t, first) })
	t.Run("what tasks push is small", func(t *testing.T) { s.small(t, first) })
	t.Run("logs have their levels, the phase and no secret", func(t *testing.T) { s.logged(t, first) })
	t.Run("rendered fields have no secret", func(t *testing.T) { s.rendered(t, first) })
	t.Run("links lead somewhere", func(t *testing.T) { s.links(t, first) })
	t.Run("the models are in the registry", s.registered)
	t.Run("MLflow has every run once", func(t *testing.T) { s.recorded(t, first) })
	t.Run("the champion's event starts the inference DAG", func(t *testing.T) { s.inferred(t, first) })
	t.Run("a cleared task answers from what is there", func(t *testing.T) { s.cleared(t, first) })
	t.Run("bad data fails at the first try, with the finding in the log", s.badData)
	t.Run("tasks are killed", func(t *testing.T) { s.killed(t, bakery) })
	t.Run("MLflow goes away, and the candidate is no better", func(t *testing.T) { s.withoutMLflow(t, bakery) })
}

var steps = []string{"validate", "train", "ensemble", "evaluate", "register", "forecast", "report", "prune"}

// ran calls f for every task instance of ours that ran.
func (r run) ran(f func(task string, index int)) {
	for _, task := range r.Tasks {
		if slices.Contains(steps, task.ID) {
			f(task.ID, task.Index)
		}
	}
}

// members are the models that a run trained: those that validate named, and without a word of the form's more than two.
func (s stack) members(t *testing.T, r run) []string {
	t.Helper()
	models := s.result(t, training, r.ID, "validate", -1).Models
	if len(models) < 3 {
		t.Errorf("validate names the models %v, want what suits the data", models)
	}
	return models
}

func (s stack) succeeded(t *testing.T, r run) {
	if r.State != "success" {
		t.Errorf("%+v", r)
	}
	if is, _ := r.state("generate", -1); is != "skipped" {
		t.Errorf("generate is %q: the run has data of its own", is)
	}
	ran := 0
	r.ran(func(task string, index int) {
		ran++
		if is, try := r.state(task, index); is != "success" || try != 1 {
			t.Errorf("%s[%d] is %s at try %d", task, index, is, try)
		}
	})
	if want := len(steps) - 1 + len(s.members(t, r)); ran != want {
		t.Errorf("%d tasks ran, want %d: %+v", ran, want, r.Tasks)
	}
	if is, _ := r.state("featurize", -1); is != "skipped" {
		t.Errorf("featurize is %q: nobody asked for features", is)
	}
}

func (s stack) logged(t *testing.T, r run) {
	r.ran(func(task string, index int) {
		log := s.log(t, training, r.ID, task, index)
		if !said(log, "info", "Running [") {
			t.Errorf("the log of %s lacks its command line: %+v", task, log)
		}
		for _, l := range log {
			if l.Level == "error" || l.Level == "critical" || strings.Contains(l.Event, servers.SecretKey) {
				t.Errorf("the log of %s, which went well, has: %+v", task, l)
			}
		}
	})
	for task, level := range map[string]string{"train": "info", "evaluate": "warning"} {
		text := map[string]string{"train": "phase=", "evaluate": "MAPE"}[task]
		if log := s.log(t, training, r.ID, task, map[string]int{"train": 0, "evaluate": -1}[task]); !said(log, level, text) {
			t.Errorf("no %q at level %s is in the log of %s: %+v", text, level, task, log)
		}
	}
}

func (s stack) rendered(t *testing.T, r run) {
	var fields map[string]any
	s.Call(t, http.MethodGet, instance(training, r.ID, "validate"), nil, &fields)
	if text := asJSON(t, fields); strings.Contains(text, servers.SecretKey) || !strings.Contains(text, "bakery") {
		t.Errorf("rendered fields: %s", text)
	}
}

func (s stack) registered(t *testing.T) {
	_, out, _ := s.salescast(t, "models", "list", "--output", "json")
	for _, model := range []string{"sales_forecast_ensemble", "sales_forecast_xgboost", "sales_forecast_lightgbm", "champion"} {
		if !strings.Contains(out, model) {
			t.Errorf("%s is not in the registry: %s", model, out)
		}
	}
}

// recorded checks that MLflow has one run of each step and model, and one of the DAG's run above them.
func (s stack) recorded(t *testing.T, r run) {
	want := map[string]int{training + " " + r.ID + " FINISHED": 1}
	for _, m := range s.members(t, r) {
		want["train/"+m+" FINISHED"] = 1
	}
	for _, step := range steps {
		if step != "train" && step != "prune" {
			want[step+" FINISHED"] = 1
		}
	}
	if got := s.mlflowRuns(t, r.ID); !equal(got, want) {
		t.Errorf("MLflow has the runs %v, want %v", got, want)
	}
}

func equal(a, b map[string]int) bool { return fmt.Sprint(a) == fmt.Sprint(b) }

// small checks that all that tasks pushed is small, and each result what the program answers.
func (s stack) small(t *testing.T, run run) {
	run.ran(func(task string, index int) {
		var keys struct {
			Entries []struct {
				Key   string `json:"key"`
				Index int    `json:"map_index"`
			} `json:"xcom_entries"`
		}
		s.Call(t, http.MethodGet, instance(training, run.ID, task)+"/xcomEntries?limit=100", nil, &keys)
		for _, e := range keys.Entries {
			if e.Index != index {
				continue
			}
			if v := s.xcom(t, training, run.ID, task, index, e.Key); len(v) >= 16<<10 {
				t.Errorf("%s pushed %d bytes under %s", task, len(v), e.Key)
			}
		}
		if task == "prune" { // it has no result
			return
		}
		if r := s.result(t, training, run.ID, task, index); r.Schema != "salescast.result/v1" || r.Status != "done" || !strings.HasPrefix(r.Workspace, "s3://salescast/runs/"+training+"/") {
			t.Errorf("the result of %s: %+v", task, r)
		}
	})
}

// links checks that the buttons of tasks lead somewhere.
func (s stack) links(t *testing.T, r run) {
	for _, task := range []string{"validate", "ensemble", "register"} {
		var links struct {
			Links map[string]*string `json:"extra_links"`
		}
		s.Call(t, http.MethodGet, instance(training, r.ID, task)+"/links", nil, &links)
		for _, name := range []string{"MLflow run", "Files"} {
			if links.Links[name] == nil {
				t.Errorf("%s has no link %q: %v", task, name, links.Links)
				continue
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, *links.Links[name], http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Error(err)
				continue
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("%s answers %d", *links.Links[name], resp.StatusCode)
			}
		}
	}
}

func (s stack) inferred(t *testing.T, trained run) {
	events := s.events(t, "sales_forecast_model")
	if len(events) != 1 || events[0].RunID != trained.ID || events[0].Task != "register" {
		t.Fatalf("events of the champion: %+v", events)
	}
	workspace := s.result(t, training, trained.ID, "register", -1).Workspace
	if e := events[0].Extra; e["workspace"] != workspace || e["mlflow_run_id"] == "" || e["mlflow_run_id"] == nil {
		t.Errorf("the event says %v", e)
	}
	var runs struct {
		Runs []struct {
			ID   string `json:"dag_run_id"`
			Type string `json:"run_type"`
		} `json:"dag_runs"`
	}
	servers.Until(t, 2*time.Minute, "the inference DAG is started by the event", func() bool {
		s.Call(t, http.MethodGet, "/api/v2/dags/"+inference+"/dagRuns", nil, &runs)
		return len(runs.Runs) > 0
	})
	if len(runs.Runs) != 1 || runs.Runs[0].Type != "asset_triggered" {
		t.Fatalf("%+v", runs.Runs)
	}
	r := s.wait(t, 0, inference, runs.Runs[0].ID)
	res := s.result(t, inference, r.ID, "forecast", -1)
	if res.Rows["forecast"] != 60*28 {
		t.Errorf("the forecast has %d rows, want 60 series by 28 days: %+v", res.Rows["forecast"], res)
	}
	code, out, errs := s.salescast(t, "get", "-w", res.Workspace, "forecast/forecast.csv")
	if code != 0 || strings.Count(out, "\n") != 1+60*28 {
		t.Errorf("exit %d, %d lines: %s", code, strings.Count(out, "\n"), errs)
	}
	events = s.events(t, "sales_forecast")
	if len(events) != 2 || events[0].RunID != r.ID || events[0].Extra["workspace"] != res.Workspace {
		t.Errorf("events of the forecast: %+v", events)
	}
}

func (s stack) cleared(t *testing.T, r run) {
	s.clear(t, training, r.ID, "evaluate")
	now := s.wait(t, 0, training, r.ID)
	if is, try := now.state("evaluate", -1); is != "success" || try != 2 {
		t.Errorf("evaluate is %s at try %d", is, try)
	}
	if res := s.result(t, training, r.ID, "evaluate", -1); res.Status != "cached" {
		t.Errorf("the status is %q", res.Status)
	}
}

// clear makes tasks of a run anew, and nothing after them.
func (s stack) clear(t *testing.T, dag, id string, taskIDs ...any) {
	t.Helper()
	s.Call(t, http.MethodPost, "/api/v2/dags/"+dag+"/clearTaskInstances", map[string]any{
		"dry_run": false, "dag_run_id": id, "task_ids": taskIDs, "only_failed": false, "reset_dag_runs": true,
	}, nil)
}

func (s stack) badData(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "sales.csv")
	var rows strings.Builder
	rows.WriteString("date,store,sales\n")
	for day := range 200 {
		fmt.Fprintf(&rows, "%s,a,%s\n", time.Date(2026, 1, 1+day, 0, 0, 0, 0, time.UTC).Format(time.DateOnly), []string{"7", "many"}[day%2])
	}
	if err := os.WriteFile(bad, []byte(rows.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(filepath.Dir(bad), "salescast.yaml")
	if err := os.WriteFile(config, []byte("data: {source: sales.csv, keys: [store], time: date, target: sales}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := s.trigger(t, 1, hasty, map[string]any{"config": config}, "--wait", "--timeout", "5m")
	if is, try := r.state("validate", -1); is != "failed" || try != 1 {
		t.Errorf("validate is %s at try %d", is, try)
	}
	if is, _ := r.state("ensemble", -1); is != "upstream_failed" {
		t.Errorf("ensemble is %s", is)
	}
	if log := s.log(t, hasty, r.ID, "validate", -1); !said(log, "error", "many") {
		t.Errorf("the log does not name the finding: %+v", log)
	}
}

// binaries are the processes of the program in a run, by the model that they train.
func binaries(id string) map[string]servers.Process {
	found := map[string]servers.Process{}
	for _, p := range servers.Processes("AIRFLOW_CTX_DAG_RUN_ID=" + id) {
		if i := slices.Index(p.Args, "--model"); i > 0 && slices.Contains(p.Args, "train") {
			found[p.Args[i+1]] = p
		}
	}
	return found
}

func (s stack) killed(t *testing.T, bakery string) {
	r := s.trigger(t, 0, hasty, map[string]any{"config": bakery, "models": []string{"seasonal_naive", "xgboost", "lightgbm"}})
	var running map[string]servers.Process
	servers.Until(t, 5*time.Minute, "both engines train", func() bool {
		running = binaries(r.ID)
		return running["xgboost"].PID != 0 && running["lightgbm"].PID != 0
	})
	t.Run("nothing is left 3 s after a task's process was killed", func(t *testing.T) {
		// As the kernel does when memory is short.
		if err := syscall.Kill(running["xgboost"].Parent, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		servers.Until(t, 3*time.Second, "the program ends", func() bool { return binaries(r.ID)["xgboost"].PID != running["xgboost"].PID })
		t.Logf("%.1f s", time.Since(began).Seconds())
	})
	t.Run("nothing is left 6 s after a task was marked failed", func(t *testing.T) {
		s.Call(t, http.MethodPatch, instance(hasty, r.ID, "train")+"/2", map[string]any{"new_state": "failed"}, nil)
		began := time.Now()
		servers.Until(t, 6*time.Second, "the program ends", func() bool { return binaries(r.ID)["lightgbm"].PID == 0 })
		t.Logf("%.1f s", time.Since(began).Seconds())
	})
	failed := s.wait(t, 1, hasty, r.ID)
	t.Run("the task that was killed is retried, the one that was marked is not", func(t *testing.T) {
		if is, try := failed.state("train", 1); is != "success" || try != 2 {
			t.Errorf("the task whose process was killed is %s at try %d", is, try)
		}
		if is, try := failed.state("train", 2); is != "failed" || try != 1 {
			t.Errorf("the task that was marked failed is %s at try %d", is, try)
		}
	})
	t.Run("a mapped task that failed is made anew alone", func(t *testing.T) {
		s.clear(t, hasty, r.ID, []any{"train", 2}, "ensemble", "evaluate", "register", "forecast", "report", "prune")
		mended := s.wait(t, 0, hasty, r.ID)
		for index, tries := range []int{1, 2, 2} {
			if is, try := mended.state("train", index); is != "success" || try != tries {
				t.Errorf("train[%d] is %s at try %d, want try %d", index, is, try, tries)
			}
		}
	})
}

func (s stack) withoutMLflow(t *testing.T, bakery string) {
	champions := len(s.events(t, "sales_forecast_model"))
	r := s.trigger(t, 0, training, map[string]any{"config": bakery})
	s.until(t, training, r.ID, "ensemble", "success") // each step waits a while for MLflow
	s.mlflow.Stop(t)
	s.until(t, training, r.ID, "register", "up_for_retry")
	s.mlflow.Start(t, "/health")
	done := s.wait(t, 0, training, r.ID)
	res := s.result(t, training, r.ID, "register", -1)

	t.Run("steps go on and warn", func(t *testing.T) {
		if log := s.log(t, training, r.ID, "evaluate", -1); !said(log, "warning", "MLflow") {
			t.Errorf("the log of evaluate does not warn: %+v", log)
		}
	})
	t.Run("register, which cannot do without, is retried", func(t *testing.T) {
		if is, try := done.state("register", -1); is != "success" || try != 2 {
			t.Errorf("register is %s at try %d", is, try)
		}
	})
	t.Run("a refused candidate succeeds without an event", func(t *testing.T) {
		if res.Status != "refused" || res.Error == nil || res.Error.Code != "refused" {
			t.Errorf("the same models as the champion's: %+v", res)
		}
		if n := len(s.events(t, "sales_forecast_model")); n != champions {
			t.Errorf("there are %d events more", n-champions)
		}
	})
	t.Run("what waited is in MLflow once, after two more syncs too", func(t *testing.T) {
		for range 2 {
			if code, out, errs := s.salescast(t, "sync", "-w", res.Workspace); code != 0 {
				t.Fatalf("sync exits %d: %s\n%s", code, out, errs)
			}
		}
		s.recorded(t, r)
	})
}
