package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"salescast/pkg/airflow"
	"salescast/tasks"
)

// playedRun is a server on which one run goes through the states it is given, one for each time it is looked at.
type playedRun struct {
	airflow.Client

	states []string
	looks  int
}

func (p *playedRun) Run(_ context.Context, dag, id string) (airflow.Run, error) {
	state := p.states[min(p.looks, len(p.states)-1)]
	p.looks++
	began := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	return airflow.Run{DAG: dag, ID: id, State: state, Started: began}, nil
}

func (p *playedRun) Tasks(_ context.Context, dag, id string) ([]airflow.Task, error) {
	t := airflow.Task{DAG: dag, RunID: id, ID: "train", MapIndex: 1, State: p.states[min(p.looks, len(p.states))-1], Try: 2, Started: time.Date(2026, 1, 2, 3, 4, 1, 0, time.UTC)}
	return []airflow.Task{{ID: "later", MapIndex: -1}, t}, nil
}

func waited(t *testing.T, terminal bool, output string, timeout time.Duration, states ...string) (string, string, error) {
	t.Helper()
	var out, errs bytes.Buffer
	a := testApp(&out, &errs)
	a.errTerminal, a.global.output, a.log = terminal, output, zerolog.New(&errs)
	err := a.waitForRun(t.Context(), &playedRun{states: states}, airflow.Run{DAG: "d", ID: "r"}, &airflowOptions{every: time.Millisecond, timeout: timeout})
	return out.String(), errs.String(), err
}

func TestWaitForRun(t *testing.T) {
	t.Parallel()
	out, log, err := waited(t, false, outputJSON, 0, "queued", "running", "running", "success")
	var got airflowRun
	if jerr := json.Unmarshal([]byte(out), &got); err != nil || jerr != nil || got.State != "success" || len(got.Tasks) != 2 || got.Tasks[0].ID != "train" {
		t.Errorf("%v, %v: %s", err, jerr, out)
	}
	if n := strings.Count(log, `"state":"running"`); n != 1 {
		t.Errorf("a change is said %d times:\n%s", n, log)
	}

	out, screen, err := waited(t, true, outputText, 0, "running", "running", "failed")
	if exitCode(err) != 1 || !strings.Contains(err.Error(), "train[1]") || !strings.Contains(tasks.HintOf(err), "airflow logs d train --run r") {
		t.Errorf("failed run: %v, %s", err, tasks.HintOf(err))
	}
	if !strings.Contains(out, "d  r  failed") || !strings.Contains(out, "train[1]  failed  try 2") {
		t.Errorf("table:\n%s", out)
	}
	if n := strings.Count(screen, "\x1b[3A\x1b[J"); n != 2 {
		t.Errorf("three lines were cleared %d times, want once for each of two pictures: %q", n, screen)
	}

	if _, _, err = waited(t, false, outputText, 20*time.Millisecond, "running"); exitCode(err) != 75 || !strings.Contains(tasks.HintOf(err), "airflow wait d --run r") {
		t.Errorf("timeout: %v", err)
	}
}

func TestTriggerConf(t *testing.T) {
	t.Parallel()
	conf, err := triggerConf(`{"horizon": 7, "source": "a"}`, []string{"horizon=14", "source=s3://x/y=z", `models=["lightgbm"]`, "config=null"})
	b, _ := json.Marshal(conf)
	if want := `{"config":null,"horizon":14,"models":["lightgbm"],"source":"s3://x/y=z"}`; err != nil || string(b) != want {
		t.Errorf("%s, %v", b, err)
	}
	for _, bad := range []struct {
		conf  string
		param []string
	}{{"[1]", nil}, {"null", nil}, {"{", nil}, {"", []string{"horizon"}}, {"", []string{"=1"}}} {
		if _, err := triggerConf(bad.conf, bad.param); exitCode(err) != 64 {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func TestAirflowErrors(t *testing.T) {
	t.Parallel()
	for status, code := range map[int]int{0: 75, 400: 64, 401: 77, 403: 77, 404: 66, 409: 64, 422: 64, 429: 75, 500: 75, 503: 75} {
		if got := exitCode(airflowError(&airflow.Error{Op: "x", Status: status, Err: errors.New("y")})); got != code {
			t.Errorf("status %d is exit code %d, want %d", status, got, code)
		}
	}
	if airflowError(nil) != nil {
		t.Error("no error became one")
	}
}
