package workspacetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"salescast/tests/servers"
)

// record is all of an experiment that does not differ from one run of the program to the next.
func record(t *testing.T, server, experiment string) string {
	t.Helper()
	ask := func(method, path string, in, out any) {
		t.Helper()
		b, err := json.Marshal(in)
		must(t, err)
		req, err := http.NewRequestWithContext(t.Context(), method, server+"/api/2.0/mlflow/"+path, bytes.NewReader(b))
		must(t, err)
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		must(t, err)
		defer resp.Body.Close()
		b, err = io.ReadAll(resp.Body)
		must(t, err)
		if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNotFound {
			t.Fatalf("%s: %d %s", path, resp.StatusCode, b)
		}
		must(t, json.Unmarshal(b, out))
	}
	var e struct {
		Experiment struct {
			ID string `json:"experiment_id"`
		}
	}
	ask(http.MethodGet, "experiments/get-by-name?experiment_name="+experiment, nil, &e)
	if e.Experiment.ID == "" {
		return "no experiment"
	}
	type pair struct{ Key, Value string }
	var found struct {
		Runs []struct {
			Info struct {
				ID     string `json:"run_id"`
				Status string
				Start  int64 `json:"start_time"`
				End    int64 `json:"end_time"`
			}
			Data struct {
				Params, Tags []pair
				Metrics      []struct{ Key string }
			}
			Inputs struct {
				Datasets []json.RawMessage `json:"dataset_inputs"`
			}
		}
	}
	ask(http.MethodPost, "runs/search", map[string]any{"experiment_ids": []string{e.Experiment.ID}, "max_results": 100}, &found)
	var lines []string
	for _, r := range found.Runs {
		line := []string{r.Info.Status, strconv.FormatBool(r.Info.End >= r.Info.Start)}
		for _, p := range r.Data.Params {
			line = append(line, p.Key+"="+p.Value)
		}
		for _, g := range r.Data.Tags {
			if !strings.Contains(g.Key, "workspace") && !strings.HasPrefix(g.Key, "pipeline.") && !strings.HasPrefix(g.Key, "mlflow.") {
				line = append(line, g.Key+"="+g.Value)
			}
		}
		for _, m := range r.Data.Metrics {
			if !strings.HasPrefix(m.Key, "system/") { // a quick step has none of some
				line = append(line, "metric "+m.Key)
			}
		}
		var files struct{ Files []struct{ Path string } }
		ask(http.MethodGet, "artifacts/list?run_id="+r.Info.ID, nil, &files)
		for _, f := range files.Files {
			line = append(line, "file "+f.Path)
		}
		slices.Sort(line)
		lines = append(lines, fmt.Sprint(strings.Join(line, ", "), ", datasets: ", len(r.Inputs.Datasets)))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// A fault of MLflow, whenever it comes: the step succeeds, or exits with the code of its fault and says what to do; and after a sync, or the
// same command again, MLflow has exactly what it has without the fault.
func TestMLflowFaults(t *testing.T) {
	t.Parallel()
	server := servers.MLflow(t)
	binary := build(t)
	type call struct {
		n      int64 // from 1
		w      http.ResponseWriter
		r      *http.Request
		create bool
	}
	refuse := func(status int, body string) func(call) bool {
		return func(c call) bool {
			c.w.WriteHeader(status)
			_, _ = io.WriteString(c.w, body)
			return true
		}
	}
	hangUp := func(call) bool { panic(http.ErrAbortHandler) }
	busy := `{"error_code":"TEMPORARILY_UNAVAILABLE","message":"the database is locked"}`
	cases := []struct {
		name, mode string
		fault      func(call) bool
		code       int
		says, cure string // cure is what completes it: sync, again, or nothing
	}{
		{"no fault", "spool", func(call) bool { return false }, 0, "", ""},
		{"no fault, required", "required", func(call) bool { return false }, 0, "", ""},
		{"down from the start", "spool", hangUp, 0, "salescast sync", "sync"},
		{"answers 503", "spool", refuse(503, busy), 0, "salescast sync", "sync"},
		{"answers 500", "spool", refuse(500, busy), 0, "salescast sync", "sync"},
		{"answers 500, required", "required", refuse(500, busy), 75, "run the same command again", "again"},
		{"answers after 20 s", "required", func(c call) bool {
			if c.create || strings.HasSuffix(c.r.URL.Path, "runs/update") {
				time.Sleep(20 * time.Second)
			}
			return false
		}, 0, "", ""},
		{"drops fields and answers 200", "spool", func(c call) bool {
			if strings.HasSuffix(c.r.URL.Path, "runs/log-batch") {
				var in map[string]json.RawMessage
				if err := json.NewDecoder(c.r.Body).Decode(&in); err != nil {
					t.Error(err)
				}
				delete(in, "params")
				b, err := json.Marshal(in)
				if err != nil {
					t.Error(err)
				}
				c.r.Body, c.r.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
				c.r.Header.Set("Content-Length", strconv.Itoa(len(b)))
			}
			return false
		}, 1, "did not keep everything", "sync"},
		{"refuses the name of the host", "spool", refuse(403, "Invalid Host header - possible DNS rebinding attack detected"), 77, "MLFLOW_SERVER_ALLOWED_HOSTS", "again"},
		{"refuses us", "required", refuse(401, "who?"), 77, "MLFLOW_TRACKING_USERNAME", "again"},
		{"refuses our writes", "spool", refuse(403, "Permission denied"), 77, "may not do this", "again"},
	}
	for _, n := range []int64{2, 5, 8, 11, 14, 17, 20} {
		cases = append(cases, cases[2])
		last := &cases[len(cases)-1]
		last.name = fmt.Sprintf("dies after %d calls", n)
		last.fault = func(c call) bool { return c.n > n && hangUp(c) }
		last.says, last.cure = "", "sync"
	}
	records := make([]string, len(cases))
	var done sync.WaitGroup
	for i, test := range cases {
		done.Go(func() { // they wait most of the time, so all at once
			experiment := fmt.Sprint("fault-", i)
			var calls atomic.Int64
			var healed atomic.Bool
			proxy := before(t, server.URL, func(w http.ResponseWriter, r *http.Request) bool {
				return !healed.Load() && test.fault(call{calls.Add(1), w, r, strings.HasSuffix(r.URL.Path, "runs/create")})
			})
			to, err := url.Parse(proxy)
			if err != nil {
				t.Error(err)
				return
			}
			folder := t.TempDir()
			c := command{binary, []string{
				"HOME=" + t.TempDir(), "USER=tests", "MLFLOW_TRACKING_URI=http://" + to.Host, "MLFLOW_EXPERIMENT_NAME=" + experiment,
			}}
			step := append(append([]string{}, generate...), folder, "--set", "tracking.mode="+test.mode)
			code, out, said := c.run(t, step...)
			if code != test.code || !strings.Contains(out+said, test.says) {
				t.Errorf("%s: exit %d, want %d that says %q\n%s%s", test.name, code, test.code, test.says, out, said)
			}
			healed.Store(true)
			switch test.cure {
			case "sync":
				for range 2 {
					if code, out, said := c.run(t, "sync", "-w", folder); code != 0 {
						t.Errorf("%s: sync: exit %d\n%s%s", test.name, code, out, said)
					}
				}
			case "again":
				if code, out, said := c.run(t, step...); code != 0 {
					t.Errorf("%s: again: exit %d\n%s%s", test.name, code, out, said)
				}
			}
		})
	}
	done.Wait()
	for i := range cases {
		records[i] = record(t, server.URL, fmt.Sprint("fault-", i))
	}
	t.Logf("without a fault: %s", records[0])
	if !strings.Contains(records[0], "FINISHED") || !strings.Contains(records[0], "file manifest.json") {
		t.Errorf("without a fault MLflow has %s", records[0])
	}
	for i, test := range cases {
		if records[i] != records[0] {
			t.Errorf("%s: MLflow has\n%s\nwant\n%s", test.name, records[i], records[0])
		}
	}
}
