package mlflowtest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"salescast/pkg/track"
	"salescast/pkg/track/mlflow"
	"salescast/tests/servers"
)

// counted is a server in front of another that counts calls.
func counted(t *testing.T, base string) (at string, calls *atomic.Int64) {
	t.Helper()
	to, err := url.Parse(base)
	must(t, err)
	calls = new(atomic.Int64)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, calls
}

// Trials are runs inside the step's, with their parameters, curves and statuses, for four calls each; recording them again adds nothing.
func TestTrials(t *testing.T) {
	t.Parallel()
	server := servers.MLflow(t)
	const trials = 25
	states := []track.Status{track.Finished, track.Killed, track.Failed}
	record := func() int64 {
		address, calls := counted(t, server.URL)
		c := config(server)
		c.URI = address
		tr, err := mlflow.New(c)
		must(t, err)
		parent, err := tr.Start(t.Context(), track.Spec{Experiment: "trials", Name: "tune/lightgbm", Key: "step", Start: epoch})
		must(t, err)
		before := calls.Load()
		for n := range trials {
			r, err := tr.Start(t.Context(), track.Spec{
				Experiment: "trials", Name: fmt.Sprintf("trial %d", n), Key: fmt.Sprintf("trial-%d", n), Parent: "step", Start: epoch, Leaf: true,
				Tags: map[string]string{"salescast.trial": strconv.Itoa(n)},
			})
			must(t, err)
			params := map[string]string{}
			for i := range 11 {
				params[fmt.Sprintf("p%d", i)] = strconv.Itoa(n * i)
			}
			must(t, r.Params(t.Context(), params))
			var points []track.Metric
			for step := range 10 {
				points = append(points, track.Metric{Name: "validation_wape", Value: 1 / float64(step+1), Step: int64(step), At: epoch.Add(time.Minute)})
			}
			must(t, r.Metrics(t.Context(), points), r.End(t.Context(), states[n%3], epoch.Add(time.Minute)))
		}
		made := calls.Load() - before
		must(t, parent.End(t.Context(), track.Finished, epoch.Add(time.Hour)), tr.Close(t.Context()))
		return made
	}
	if calls := record(); calls > 4*trials+2 {
		t.Errorf("%d trials took %d calls, want at most 4 each and 2", trials, calls)
	}
	record()
	runs := list(t, server.URL)
	parent := ""
	for _, r := range runs {
		if at(r, "info", "run_name") == "tune/lightgbm" {
			parent, _ = at(r, "info", "run_id").(string)
		}
	}
	if len(runs) != trials+1 || parent == "" {
		t.Fatalf("there are %d runs after recording twice, want %d", len(runs), trials+1)
	}
	for _, r := range runs {
		id, _ := at(r, "info", "run_id").(string)
		if id == parent {
			continue
		}
		tags := map[string]string{}
		for _, kv := range at(r, "data", "tags").([]any) {
			tags[fmt.Sprint(at(kv, "key"))] = fmt.Sprint(at(kv, "value"))
		}
		n := 0
		_, err := fmt.Sscan(tags["salescast.trial"], &n)
		must(t, err)
		if tags["mlflow.parentRunId"] != parent || at(r, "info", "status") != string(states[n%3]) || len(at(r, "data", "params").([]any)) != 11 {
			t.Errorf("trial %d is %v", n, r)
		}
		curve := ask(t, server.URL, http.MethodGet, "/api/2.0/mlflow/metrics/get-history?metric_key=validation_wape&run_id="+id, nil)
		if points, _ := at(curve, "metrics").([]any); len(points) != 10 {
			t.Errorf("the curve of trial %d has %d points, want 10", n, len(points))
		}
	}
}

// list returns all runs of the experiment "trials".
func list(t *testing.T, base string) []any {
	t.Helper()
	e := ask(t, base, http.MethodGet, "/api/2.0/mlflow/experiments/get-by-name?experiment_name=trials", nil)
	found := ask(t, base, http.MethodPost, "/api/2.0/mlflow/runs/search", map[string]any{
		"experiment_ids": []any{at(e, "experiment", "experiment_id")}, "max_results": 1000,
	})
	runs, _ := at(found, "runs").([]any)
	return runs
}

// An answer that says 200 and keeps nothing is noticed when the tracker closes.
func TestTrialsThatAreLost(t *testing.T) {
	t.Parallel()
	server := servers.MLflow(t)
	to, err := url.Parse(server.URL)
	must(t, err)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}
	lossy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/runs/log-batch") {
			_, _ = w.Write([]byte("{}"))
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(lossy.Close)
	c := config(server)
	c.URI = lossy.URL
	tr, err := mlflow.New(c)
	must(t, err)
	r, err := tr.Start(t.Context(), track.Spec{Experiment: "lost", Name: "trial", Key: "trial", Parent: "step", Start: epoch, Leaf: true})
	must(t, err)
	must(t, r.Params(t.Context(), map[string]string{"a": "1"}), r.End(t.Context(), track.Finished, epoch))
	if err := tr.Close(t.Context()); err == nil || !strings.Contains(err.Error(), `parameter "a"`) {
		t.Errorf("a parameter was lost, and Close answers %v", err)
	}
}
