package airflow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"salescast/tests/servers"
)

const (
	training  = "sales_forecast_training"
	inference = "sales_forecast_inference"
	// hasty is the training DAG under another name, which retries at once: the same file but for two words.
	hasty = "sales_forecast_hasty"
)

// stack is an Airflow with MinIO and MLflow, as the connections salescast_s3 and salescast_mlflow.
type stack struct {
	*servers.Airflow

	minio, mlflow *servers.Server
}

func startStack(t *testing.T) stack {
	t.Helper()
	store, console := servers.MinIOConsole(t)
	st := stack{minio: store, mlflow: servers.MLflow(t)}
	c, err := minio.New(strings.TrimPrefix(store.URL, "http://"), &minio.Options{Creds: credentials.NewStaticV4(servers.AccessKey, servers.SecretKey, "")})
	if err == nil {
		err = c.MakeBucket(t.Context(), "salescast", minio.MakeBucketOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(servers.Root("dags", training+".py"))
	if err != nil {
		t.Fatal(err)
	}
	dags := t.TempDir()
	source := strings.NewReplacer(training, hasty, "timedelta(minutes=1)", "timedelta(seconds=5)").Replace(string(file))
	if err := os.WriteFile(filepath.Join(dags, hasty+".py"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	st.Airflow = servers.StartAirflow(t, servers.AirflowOptions{
		Python: servers.AirflowPython(t, "airflow3", servers.Wheel(t)),
		DAGs:   []string{servers.Root("dags"), dags},
		Env:    []string{"AIRFLOW_CONN_SALESCAST_MLFLOW=" + asJSON(t, map[string]any{"conn_type": "http", "host": st.mlflow.URL})},
	})
	st.Call(t, http.MethodPost, "/api/v2/connections", map[string]any{
		"connection_id": "salescast_s3", "conn_type": "aws", "login": servers.AccessKey, "password": servers.SecretKey,
		"extra": asJSON(t, map[string]string{"endpoint_url": store.URL, "region_name": "us-east-1", "console_url": console}),
	}, nil)
	return st
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// salescast runs the program with the credentials of all servers, and returns its exit code and what it printed.
func (s stack) salescast(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), servers.Binary(t), args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Env = []string{
		"HOME=" + t.TempDir(), "AIRFLOW_URL=" + s.URL, "AIRFLOW_USERNAME=admin", "AIRFLOW_PASSWORD=admin", "MLFLOW_TRACKING_URI=" + s.mlflow.URL,
		"AWS_ENDPOINT_URL_S3=" + s.minio.URL, "AWS_REGION=us-east-1", "AWS_ACCESS_KEY_ID=" + servers.AccessKey, "AWS_SECRET_ACCESS_KEY=" + servers.SecretKey,
	}
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// run is the answer of salescast airflow trigger, wait and status.
type run struct {
	DAG   string `json:"dag_id"`
	ID    string `json:"run_id"`
	State string `json:"state"`
	Tasks []struct {
		ID    string `json:"task_id"`
		Index int    `json:"map_index"`
		State string `json:"state"`
		Try   int    `json:"try"`
	} `json:"tasks"`
}

// state is the state of a task, and how often it was tried.
func (r run) state(task string, index int) (string, int) {
	for _, t := range r.Tasks {
		if t.ID == task && t.Index == index {
			return t.State, t.Try
		}
	}
	return "", 0
}

// airflow runs a command below salescast airflow that answers with a run, and fails the test where its exit code is another.
func (s stack) airflow(t *testing.T, code int, args ...string) (r run) {
	t.Helper()
	got, out, errs := s.salescast(t, append([]string{"airflow", "--output", "json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("salescast airflow %v exits %d: %v: %s\n%s", args, got, err, out, errs)
	}
	if got == code {
		return r
	}
	t.Errorf("salescast airflow %v exits %d, want %d: the run is %s\n%s", args, got, code, r.State, errs)
	for _, task := range r.Tasks {
		t.Logf("%s[%d] is %s at try %d", task.ID, task.Index, task.State, task.Try)
		if task.State == "failed" {
			_, log, _ := s.salescast(t, "airflow", "logs", r.DAG, task.ID, "--run", r.ID)
			t.Log(log)
		}
	}
	t.FailNow()
	return r
}

// trigger starts a run with parameters.
func (s stack) trigger(t *testing.T, code int, dag string, params map[string]any, more ...string) run {
	t.Helper()
	return s.airflow(t, code, append([]string{"trigger", dag, "--unpause", "--poll", "1s", "--conf", asJSON(t, params)}, more...)...)
}

// wait waits for the end of a run.
func (s stack) wait(t *testing.T, code int, dag, id string) run {
	t.Helper()
	return s.airflow(t, code, "wait", dag, "--run", id, "--poll", "1s", "--timeout", "10m")
}

// until waits until a task of a run, which is not mapped, is in a state.
func (s stack) until(t *testing.T, dag, id, task, state string) {
	t.Helper()
	servers.Until(t, 10*time.Minute, fmt.Sprintf("%s of %s is %s", task, id, state), func() bool {
		var now struct {
			State *string `json:"state"`
		}
		s.Call(t, http.MethodGet, instance(dag, id, task), nil, &now)
		if now.State != nil && *now.State != state && (*now.State == "failed" || *now.State == "upstream_failed" || *now.State == "success") {
			t.Fatalf("%s has ended, %s", task, *now.State)
		}
		time.Sleep(400 * time.Millisecond)
		return now.State != nil && *now.State == state
	})
}

// instance is the path of a task of a run in the REST API.
func instance(dag, id, task string) string {
	return "/api/v2/dags/" + dag + "/dagRuns/" + url.PathEscape(id) + "/taskInstances/" + task
}

// xcom is what a task pushed under a key, as JSON.
func (s stack) xcom(t *testing.T, dag, id, task string, index int, key string) []byte {
	t.Helper()
	var entry struct {
		Value json.RawMessage `json:"value"`
	}
	s.Call(t, http.MethodGet, fmt.Sprintf("%s/xcomEntries/%s?map_index=%d", instance(dag, id, task), key, index), nil, &entry)
	return entry.Value
}

// result is what a task answered.
type result struct {
	Schema, Step, Status, Workspace string
	Error                           *struct{ Code, Message string }
	Rows                            map[string]int64
	Models                          []string
}

func (s stack) result(t *testing.T, dag, id, task string, index int) (r result) {
	t.Helper()
	if err := json.Unmarshal(s.xcom(t, dag, id, task, index, "return_value"), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// record is one record of the log of a task's first try.
type record struct{ Level, Event, Logger string }

func (s stack) log(t *testing.T, dag, id, task string, index int) []record {
	t.Helper()
	var log struct {
		Content []record `json:"content"`
	}
	s.Call(t, http.MethodGet, fmt.Sprintf("%s/logs/1?map_index=%d&full_content=true", instance(dag, id, task), index), nil, &log)
	return log.Content
}

func said(log []record, level, text string) bool {
	for _, r := range log {
		if r.Level == level && strings.Contains(r.Event, text) {
			return true
		}
	}
	return false
}

// events are the events of an Asset, the newest first.
func (s stack) events(t *testing.T, asset string) (events []struct {
	Extra map[string]any `json:"extra"`
	RunID string         `json:"source_run_id"`
	Task  string         `json:"source_task_id"`
},
) {
	t.Helper()
	var all struct {
		Events []struct {
			Name  string         `json:"name"`
			Extra map[string]any `json:"extra"`
			RunID string         `json:"source_run_id"`
			Task  string         `json:"source_task_id"`
		} `json:"asset_events"`
	}
	s.Call(t, http.MethodGet, "/api/v2/assets/events?order_by=-timestamp", nil, &all)
	for _, e := range all.Events {
		if e.Name == asset {
			events = append(events, struct {
				Extra map[string]any `json:"extra"`
				RunID string         `json:"source_run_id"`
				Task  string         `json:"source_task_id"`
			}{e.Extra, e.RunID, e.Task})
		}
	}
	return events
}

// mlflowRuns are the names of the MLflow runs of an Airflow run, and how many there are of each.
func (s stack) mlflowRuns(t *testing.T, id string) map[string]int {
	t.Helper()
	var found struct {
		Runs []struct {
			Info struct {
				Name   string `json:"run_name"`
				Status string `json:"status"`
			} `json:"info"`
		} `json:"runs"`
	}
	ask := func(path string, body, out any) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.mlflow.URL+"/api/2.0/mlflow/"+path, strings.NewReader(asJSON(t, body)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			defer resp.Body.Close()
			err = json.NewDecoder(resp.Body).Decode(out)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var experiments struct {
		Experiments []struct {
			ID string `json:"experiment_id"`
		} `json:"experiments"`
	}
	ask("experiments/search", map[string]any{"max_results": 100}, &experiments)
	ids := make([]string, 0, len(experiments.Experiments))
	for _, e := range experiments.Experiments {
		ids = append(ids, e.ID)
	}
	ask("runs/search", map[string]any{"experiment_ids": ids, "max_results": 1000, "filter": "tags.`airflow.dag_run_id` = '" + id + "'"}, &found)
	names := map[string]int{}
	for _, r := range found.Runs {
		names[r.Info.Name+" "+r.Info.Status]++
	}
	return names
}
