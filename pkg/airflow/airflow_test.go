package airflow_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salescast/pkg/airflow"
)

const (
	run3  = `{"dag_id":"d","dag_run_id":"manual__2026-01-02T03:04:05+00:00","state":"running","run_type":"manual","run_after":"2026-01-02T03:04:05Z","start_date":"2026-01-02T03:04:06Z","end_date":null,"logical_date":null,"conf":{},"dag_versions":[],"dag_display_name":"d"}`
	run2  = `{"dag_id":"d","dag_run_id":"manual__2026-01-02T03:04:05+00:00","state":"running","run_type":"manual","start_date":"2026-01-02T03:04:06+00:00","end_date":null,"logical_date":"2026-01-02T03:04:05+00:00","conf":{}}`
	runID = "manual__2026-01-02T03:04:05+00:00"
)

// fake is a server of one of the two wires, which answers as the real ones were seen to.
type fake struct {
	*httptest.Server

	mu    sync.Mutex
	calls []string
	// fail answers this many requests with 503 first.
	fail atomic.Int32
}

func (f *fake) said() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.calls...)
}

func newFake(t *testing.T, answers map[string]string, authorized func(*http.Request) bool) *fake {
	t.Helper()
	f := &fake{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body map[string]any
		call := r.Method + " " + r.URL.Path
		if r.Method == http.MethodPost || r.Method == http.MethodPatch {
			if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
				t.Errorf("%s: body: %v", call, err)
			}
			b, _ := json.Marshal(body)
			call += " " + string(b)
		}
		f.mu.Lock()
		f.calls = append(f.calls, call)
		f.mu.Unlock()
		if f.fail.Add(-1) >= 0 {
			http.Error(w, "database is locked", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if !strings.HasSuffix(r.URL.Path, "/health") && r.URL.Path != "/auth/token" && !authorized(r) {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"detail":"Not authenticated"}`)
			return
		}
		answer, ok := answers[r.Method+" "+r.URL.Path]
		if strings.Contains(r.URL.Path, "/logs/") && strings.HasPrefix(r.URL.Path, "/api/v1") {
			if a := r.Header.Get("Accept"); a != "text/plain" {
				t.Errorf("log asked as %q", a)
			}
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		}
		if o := r.URL.Query().Get("offset"); o != "" && o != "0" {
			answer = answers[r.Method+" "+r.URL.Path+" "+o]
		}
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprintf(w, `{"detail":"nothing at %s"}`, r.URL.Path)
			return
		}
		if r.URL.Path == "/auth/token" {
			w.WriteHeader(http.StatusCreated)
		}
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(f.Close)
	return f
}

func airflow3(t *testing.T) *fake {
	t.Helper()
	ti := func(id, state string, index int, started string) string {
		return fmt.Sprintf(`{"id":"01890a5d-ac96-774b-bcce-b302099a8057","task_id":%q,"dag_id":"d","dag_run_id":%q,"map_index":%d,"state":%s,"start_date":%s,"end_date":null,"try_number":1,
			"max_tries":2,"run_after":"2026-01-02T03:04:05Z","dag_version":null,"task_display_name":%q,"dag_display_name":"d","executor_config":"{}","pool":"default_pool","pool_slots":1,"rendered_map_index":null,"duration":1.5}`,
			id, runID, index, state, started, id)
	}
	tasks := "/api/v2/dags/d/dagRuns/" + runID + "/taskInstances"
	return newFake(t, map[string]string{
		"POST /auth/token":            `{"access_token":"t0"}`,
		"GET /api/v2/monitor/health":  `{"metadatabase":{"status":"healthy"},"scheduler":{"status":"healthy","latest_scheduler_heartbeat":"2026-01-02T03:04:05Z"},"triggerer":{"status":null,"latest_triggerer_heartbeat":null},"dag_processor":{"status":"unhealthy","latest_dag_processor_heartbeat":null}}`,
		"POST /api/v2/dags/d/dagRuns": run3, "GET /api/v2/dags/d/dagRuns/" + runID: run3,
		"GET /api/v2/dags/d/dagRuns": `{"dag_runs":[` + run3 + `],"total_entries":7}`,
		"GET " + tasks:               `{"task_instances":[` + ti("a", `"success"`, -1, `"2026-01-02T03:04:06Z"`) + "," + ti("b", "null", -1, "null") + `],"total_entries":3}`,
		"GET " + tasks + " 2":        `{"task_instances":[` + ti("c", `"brand_new_state"`, 4, "null") + `],"total_entries":3}`,
		"GET " + tasks + "/c/logs/2": `{"content":[{"timestamp":"2026-01-02T03:04:07Z","level":"warning","event":"careful","logger":"x"},{"event":"plain"}],"continuation_token":null}`,
	}, func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer t0" })
}

func airflow2(t *testing.T) *fake {
	t.Helper()
	ti := func(id, state string, index int, started string) string {
		return fmt.Sprintf(`{"task_id":%q,"dag_id":"d","dag_run_id":%q,"map_index":%d,"state":%s,"start_date":%s,"end_date":null,"try_number":1,"rendered_map_index":null,"duration":null}`, id, runID, index, state, started)
	}
	tasks := "/api/v1/dags/d/dagRuns/" + runID + "/taskInstances"
	return newFake(t, map[string]string{
		"GET /api/v1/health":          `{"metadatabase":{"status":"healthy"},"scheduler":{"status":"unhealthy","latest_scheduler_heartbeat":null},"triggerer":{"status":null}}`,
		"POST /api/v1/dags/d/dagRuns": run2, "GET /api/v1/dags/d/dagRuns/" + runID: run2,
		"GET /api/v1/dags/d/dagRuns": `{"dag_runs":[` + run2 + `],"total_entries":7}`,
		"GET " + tasks:               `{"task_instances":[` + ti("a", `"success"`, -1, `"2026-01-02T03:04:06+00:00"`) + "," + ti("b", "null", -1, "null") + `],"total_entries":3}`,
		"GET " + tasks + " 2":        `{"task_instances":[` + ti("c", `"up_for_retry"`, 4, "null") + `],"total_entries":3}`,
		"GET " + tasks + "/c/logs/2": "worker\n[2026-01-02] WARNING - careful\n",
	}, func(r *http.Request) bool {
		name, password, _ := r.BasicAuth()
		return name == "ada" && password == "pw"
	})
}

func open(t *testing.T, f *fake, o airflow.Options) airflow.Client {
	t.Helper()
	o.URL, o.Now = f.URL+"/", time.Now
	c, err := airflow.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var ada = airflow.Options{Username: "ada", Password: "pw"}

// Both wires give the same answers, where the servers know the same.
func TestBothWires(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		server  func(*testing.T) *fake
		health  airflow.Health
		healthy bool
		third   string
		log     []airflow.LogLine
		trigger string
	}{
		"airflow 3": {
			server: airflow3,
			health: airflow.Health{API: "v2", Parts: map[string]string{"metadatabase": "healthy", "scheduler": "healthy", "triggerer": "", "dag_processor": "unhealthy"}},
			third:  "brand_new_state",
			log:    []airflow.LogLine{{Time: time.Date(2026, 1, 2, 3, 4, 7, 0, time.UTC), Level: "warning", Text: "careful"}, {Text: "plain"}},
			// The API wants a logical_date, and null says that there is none.
			trigger: `POST /api/v2/dags/d/dagRuns {"conf":{"horizon":14},"dag_run_id":"mine","logical_date":null}`,
		},
		"airflow 2": {
			server:  airflow2,
			health:  airflow.Health{API: "v1", Parts: map[string]string{"metadatabase": "healthy", "scheduler": "unhealthy"}},
			third:   "up_for_retry",
			log:     []airflow.LogLine{{Text: "worker"}, {Text: "[2026-01-02] WARNING - careful"}},
			trigger: `POST /api/v1/dags/d/dagRuns {"conf":{"horizon":14},"dag_run_id":"mine"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := test.server(t)
			c := open(t, f, ada)
			h, err := c.Health(t.Context())
			if err != nil || !cmp.Equal(h, test.health) || h.Healthy() {
				t.Errorf("health %+v, %v", h, err)
			}
			want := airflow.Run{DAG: "d", ID: runID, State: "running", Started: time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC)}
			check := func(what string, got airflow.Run, err error) {
				t.Helper()
				got.Started = got.Started.UTC()
				if err != nil || got != want {
					t.Errorf("%s: %+v, %v", what, got, err)
				}
			}
			got, err := c.Trigger(t.Context(), "d", "mine", map[string]any{"horizon": 14})
			check("trigger", got, err)
			if calls := f.said(); calls[len(calls)-1] != test.trigger {
				t.Errorf("sent %s\nwant %s", calls[len(calls)-1], test.trigger)
			}
			got, err = c.Run(t.Context(), "d", runID)
			check("run", got, err)
			got, err = c.Run(t.Context(), "d", "")
			check("newest run", got, err)
			tasks, err := c.Tasks(t.Context(), "d", runID)
			if err != nil || len(tasks) != 3 {
				t.Fatalf("tasks %+v, %v", tasks, err)
			}
			if tasks[0].State != "success" || tasks[0].Started.IsZero() || tasks[1].State != "" || !tasks[1].Started.IsZero() || tasks[2].State != test.third {
				t.Errorf("tasks %+v", tasks)
			}
			if tasks[0].Name() != "a" || tasks[2].Name() != "c[4]" {
				t.Errorf("names %s, %s", tasks[0].Name(), tasks[2].Name())
			}
			lines, err := c.Log(t.Context(), tasks[2], 2)
			if d := cmp.Diff(test.log, lines); err != nil || d != "" {
				t.Errorf("log: %v\n%s", err, d)
			}
		})
	}
}

func TestRefusalsKeepTheirStatus(t *testing.T) {
	t.Parallel()
	for name, server := range map[string]func(*testing.T) *fake{"airflow 3": airflow3, "airflow 2": airflow2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := server(t)
			for what, test := range map[string]struct {
				o      airflow.Options
				call   func(airflow.Client) error
				status int
				text   string
			}{
				"no such DAG": {ada, func(c airflow.Client) error { _, err := c.Run(t.Context(), "other", "x"); return err }, 404, "nothing at"},
				"wrong token": {airflow.Options{Token: "stale"}, func(c airflow.Client) error { _, err := c.Run(t.Context(), "d", runID); return err }, 401, "Not authenticated"},
			} {
				err := test.call(open(t, f, test.o))
				e, ok := errors.AsType[*airflow.Error](err)
				if !ok || e.Status != test.status || !strings.Contains(e.Error(), test.text) {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}

// A question may be asked again; a run is started once.
func TestOnlyQuestionsAreRepeated(t *testing.T) {
	t.Parallel()
	for name, server := range map[string]func(*testing.T) *fake{"airflow 3": airflow3, "airflow 2": airflow2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := server(t)
			c := open(t, f, ada)
			if _, err := c.Run(t.Context(), "d", runID); err != nil { // logs in
				t.Fatal(err)
			}
			f.fail.Store(2)
			if _, err := c.Run(t.Context(), "d", runID); err != nil {
				t.Errorf("after two failures: %v", err)
			}
			f.fail.Store(1)
			before := len(f.said())
			_, err := c.Trigger(t.Context(), "d", "", nil)
			if e, ok := errors.AsType[*airflow.Error](err); !ok || e.Status != http.StatusServiceUnavailable {
				t.Errorf("trigger: %v", err)
			}
			if n := len(f.said()) - before; n != 1 {
				t.Errorf("sent %d times", n)
			}
		})
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	login := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>log in</html>") }))
	t.Cleanup(login.Close)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for address, status := range map[string]int{
		login.URL: 404, gone.URL: 0, "ftp://x": 400, "http://ada:pw@localhost": 400, "": 400,
	} {
		_, err := airflow.Open(t.Context(), airflow.Options{URL: address, Now: time.Now})
		if e, ok := errors.AsType[*airflow.Error](err); !ok || e.Status != status {
			t.Errorf("%q: %v", address, err)
		} else if strings.Contains(err.Error(), "pw") {
			t.Errorf("the error has the password: %v", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := airflow.Open(ctx, airflow.Options{URL: login.URL, Now: time.Now}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// A token is taken once and renewed before it can end; health is asked without one.
func TestTokens(t *testing.T) {
	t.Parallel()
	f := airflow3(t)
	now := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	c, err := airflow.Open(t.Context(), airflow.Options{URL: f.URL, Username: "ada", Password: "pw", Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	logins := func() (n int) {
		for _, call := range f.said() {
			if call == `POST /auth/token {"password":"pw","username":"ada"}` {
				n++
			}
		}
		return n
	}
	if _, err := c.Health(t.Context()); err != nil || logins() != 0 {
		t.Errorf("health: %v, %d logins", err, logins())
	}
	for range 3 {
		if _, err := c.Run(t.Context(), "d", runID); err != nil {
			t.Fatal(err)
		}
	}
	if logins() != 1 {
		t.Errorf("%d logins", logins())
	}
	now = now.Add(time.Hour)
	if _, err := c.Run(t.Context(), "d", runID); err != nil || logins() != 2 {
		t.Errorf("an hour later: %v, %d logins", err, logins())
	}
}
