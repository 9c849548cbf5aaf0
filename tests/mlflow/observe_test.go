package mlflowtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"salescast/pkg/track"
	"salescast/pkg/track/mlflow"
	"salescast/pkg/track/tracktest"
)

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// ask speaks to the server without the client under test. Numbers stay as they are written.
func ask(t *testing.T, base, method, path string, in any) map[string]any {
	t.Helper()
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		must(t, err)
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, base+path, body)
	must(t, err)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(t, err)
	if resp.StatusCode == http.StatusNotFound {
		return nil
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %d %s", method, path, resp.StatusCode, b)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var out map[string]any
	must(t, d.Decode(&out))
	return out
}

// at walks into an answer; what is missing is nil.
func at(v any, path ...string) any {
	for _, p := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[p]
	}
	return v
}

func text(v any, path ...string) string {
	if v = at(v, path...); v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

func items(v any, path ...string) []any {
	l, ok := at(v, path...).([]any)
	if !ok {
		return nil
	}
	return l
}

func integer(t *testing.T, s string) int64 {
	t.Helper()
	if s == "" {
		return 0
	}
	n, err := json.Number(s).Int64()
	must(t, err)
	return n
}

func float(t *testing.T, s string) float64 {
	t.Helper()
	if s == "NaN" {
		return math.NaN()
	}
	f, err := json.Number(s).Float64()
	must(t, err)
	return f
}

func millis(t *testing.T, s string) time.Time {
	t.Helper()
	if n := integer(t, s); n > 0 {
		return time.UnixMilli(n)
	}
	return time.Time{}
}

const api = "/api/2.0/mlflow/"

// observe reads all runs of a key.
func observe(t *testing.T, base, experiment, key string) []tracktest.Observed {
	t.Helper()
	id := text(ask(t, base, "GET", api+"experiments/get-by-name?experiment_name="+url.QueryEscape(experiment), nil), "experiment", "experiment_id")
	if id == "" {
		return nil
	}
	found := ask(t, base, "POST", api+"runs/search", map[string]any{
		"experiment_ids": []string{id}, "filter": "tags.`" + mlflow.TagKey + "` = '" + key + "'", "max_results": 100, "run_view_type": "ACTIVE_ONLY",
	})
	var out []tracktest.Observed
	for _, r := range items(found, "runs") {
		out = append(out, observeRun(t, base, experiment, r))
	}
	return out
}

func observeRun(t *testing.T, base, experiment string, run any) tracktest.Observed {
	t.Helper()
	id := text(run, "info", "run_id")
	o := tracktest.Observed{
		Experiment: experiment, Name: text(run, "info", "run_name"), Status: track.Status(text(run, "info", "status")),
		Start: millis(t, text(run, "info", "start_time")), End: millis(t, text(run, "info", "end_time")),
		Params: map[string]string{}, Tags: map[string]string{}, Metrics: map[string][]track.Metric{}, Artifacts: map[string][]byte{},
	}
	if o.Status == track.Running {
		o.End = time.Time{} // the server keeps the end of the last try until the next one
	}
	for _, p := range items(run, "data", "params") {
		o.Params[text(p, "key")] = text(p, "value")
	}
	for _, tag := range items(run, "data", "tags") {
		k, v := text(tag, "key"), text(tag, "value")
		switch {
		case k == "mlflow.parentRunId":
			parent := ask(t, base, "GET", api+"runs/get?run_id="+v, nil)
			for _, tag := range items(parent, "run", "data", "tags") {
				if text(tag, "key") == mlflow.TagKey {
					o.Parent = text(tag, "value")
				}
			}
		case k == mlflow.TagKey, k == mlflow.TagParentKey, strings.HasPrefix(k, "mlflow."):
		default:
			o.Tags[k] = v
		}
	}
	for _, m := range items(run, "data", "metrics") {
		name := text(m, "key")
		history := ask(t, base, "GET", api+"metrics/get-history?run_id="+id+"&metric_key="+url.QueryEscape(name), nil)
		for _, p := range items(history, "metrics") {
			o.Metrics[name] = append(o.Metrics[name], track.Metric{
				Name: name, Value: float(t, text(p, "value")), Step: integer(t, text(p, "step")), At: millis(t, text(p, "timestamp")),
			})
		}
		slices.SortFunc(o.Metrics[name], tracktest.ComparePoints)
	}
	for _, d := range items(run, "inputs", "dataset_inputs") {
		set := track.Dataset{Name: text(d, "dataset", "name"), Digest: text(d, "dataset", "digest")}
		for _, tag := range items(d, "tags") {
			set.Context = text(tag, "value")
		}
		var profile struct {
			Rows int64 `json:"num_rows"`
		}
		if p := text(d, "dataset", "profile"); p != "" {
			must(t, json.Unmarshal([]byte(p), &profile))
		}
		set.Rows = profile.Rows
		o.Datasets = append(o.Datasets, set)
	}
	slices.SortFunc(o.Datasets, func(a, b track.Dataset) int { return strings.Compare(a.Name+a.Digest, b.Name+b.Digest) })
	for _, m := range items(run, "outputs", "model_outputs") {
		model := ask(t, base, "GET", api+"logged-models/"+text(m, "model_id"), nil)
		if s := text(model, "model", "info", "status"); s != "LOGGED_MODEL_READY" {
			t.Errorf("model %s is %s", text(m, "model_id"), s)
		}
		o.Models = append(o.Models, text(model, "model", "info", "name"))
	}
	slices.Sort(o.Models)
	observeFiles(t, base, id, text(run, "info", "artifact_uri"), "", o.Artifacts)
	return o
}

func observeFiles(t *testing.T, base, id, root, folder string, into map[string][]byte) {
	t.Helper()
	list := ask(t, base, "GET", api+"artifacts/list?run_id="+id+"&path="+url.QueryEscape(folder), nil)
	for _, f := range items(list, "files") {
		p := text(f, "path")
		if at(f, "is_dir") == true {
			observeFiles(t, base, id, root, p, into)
			continue
		}
		segments := strings.Split(strings.TrimPrefix(root, "mlflow-artifacts:/")+"/"+p, "/")
		for i, s := range segments {
			segments[i] = url.PathEscape(s)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/api/2.0/mlflow-artifacts/artifacts/"+strings.Join(segments, "/"), nil)
		must(t, err)
		resp, err := http.DefaultClient.Do(req)
		must(t, err)
		b, err := io.ReadAll(resp.Body)
		must(t, err, resp.Body.Close())
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("download %s: %d %s", p, resp.StatusCode, b)
		}
		into[p] = b
	}
}
