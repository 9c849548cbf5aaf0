package airflow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// Client is an Airflow server. Its errors are *Error, or those of the context.
type Client interface {
	// Health asks for the state of the server's parts; it needs no credentials.
	Health(ctx context.Context) (Health, error)
	// Unpause lets the scheduler take runs of a DAG.
	Unpause(ctx context.Context, dag string) error
	// Trigger starts a run; without a runID the server names it. It is never sent twice.
	Trigger(ctx context.Context, dag, runID string, conf map[string]any) (Run, error)
	// Run returns the run, or the newest of its DAG where runID is "".
	Run(ctx context.Context, dag, runID string) (Run, error)
	// Tasks returns the task instances of a run, one for each index of a mapped task, in no order.
	Tasks(ctx context.Context, dag, runID string) ([]Task, error)
	// Log returns what a try of a task logged. On Airflow 2 only the texts of lines are known.
	Log(ctx context.Context, t Task, try int) ([]LogLine, error)
}

// Health is the state of a server's parts.
type Health struct {
	// API is the version of the REST API, v1 or v2.
	API string `json:"api"`
	// Parts are "healthy", "unhealthy", or "" where the server has no such part running.
	Parts map[string]string `json:"parts"`
}

// Healthy tells whether every part that answers for itself is well, the database and the scheduler at least.
func (h Health) Healthy() bool {
	for name, status := range h.Parts {
		if status != "healthy" && (status != "" || name == "metadatabase" || name == "scheduler") {
			return false
		}
	}
	return len(h.Parts) > 0
}

// Run is one run of a DAG.
type Run struct {
	DAG   string `json:"dag_id"`
	ID    string `json:"run_id"`
	State string `json:"state"`
	// Started and Ended are zero before the run started or ended.
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
}

// Done tells whether the run will change no more.
func (r Run) Done() bool { return r.State == "success" || r.State == "failed" }

// Task is one task instance.
type Task struct {
	DAG   string `json:"dag_id"`
	RunID string `json:"run_id"`
	ID    string `json:"task_id"`
	// MapIndex is -1 for a task that is not mapped.
	MapIndex int `json:"map_index"`
	// Label is what the DAG calls this index of a mapped task, "" if nothing.
	Label string `json:"label,omitempty"`
	// State is "" before the scheduler looked at the task.
	State   string    `json:"state"`
	Try     int       `json:"try"`
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
}

// Name is the task's id, with its index if it is mapped.
func (t Task) Name() string {
	switch {
	case t.MapIndex < 0:
		return t.ID
	case t.Label != "":
		return t.ID + "[" + t.Label + "]"
	default:
		return fmt.Sprintf("%s[%d]", t.ID, t.MapIndex)
	}
}

// LogLine is one record of a task's log; Time is zero and Level "" where the server does not tell them apart.
type LogLine struct {
	Time  time.Time `json:"time,omitzero"`
	Level string    `json:"level,omitempty"`
	Text  string    `json:"text"`
}

// Error is a request that failed.
type Error struct {
	// Op is what was attempted.
	Op string
	// Status is the HTTP status, 0 if no answer came.
	Status int
	Err    error
}

func (e *Error) Error() string {
	if e.Status == 0 {
		return fmt.Sprintf("airflow: %s: %v", e.Op, e.Err)
	}
	return fmt.Sprintf("airflow: %s: status %d: %v", e.Op, e.Status, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// Options are how to reach a server.
type Options struct {
	// URL is the address of its API server, or of its web server in Airflow 2, with the path that it is mounted at.
	URL string
	// Token is sent as it is. Without one, Username and Password are exchanged for a token on Airflow 3, and sent on Airflow 2.
	Token, Username, Password string
	// Now is the clock by which tokens are renewed.
	Now func() time.Time
	// Transport carries the requests; nil is the default one.
	Transport http.RoundTripper
}

const (
	// maxBody bounds an answer, in bytes. Logs are the longest.
	maxBody = 64 << 20
	// maxTasks bounds the task instances of a run.
	maxTasks = 100_000
	pageSize = 100
	timeout  = 30 * time.Second
)

// Open asks the server which API it speaks and returns its client.
func Open(ctx context.Context, o Options) (Client, error) {
	base, err := url.Parse(strings.TrimSuffix(o.URL, "/"))
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.User != nil {
		return nil, &Error{Op: "open", Status: http.StatusBadRequest, Err: errors.New("the address is not an http or https URL without credentials")}
	}
	hc := &http.Client{Transport: newTransport(o.Transport)}
	for _, wire := range []struct {
		health string
		client func(base string, hc *http.Client, o Options) Client
	}{{"/api/v2/monitor/health", newV2}, {"/api/v1/health", newV1}} {
		ok, err := speaks(ctx, hc, base.String()+wire.health)
		if err != nil {
			return nil, err
		}
		if ok {
			return wire.client(base.String(), hc, o), nil
		}
	}
	return nil, &Error{Op: "open " + base.String(), Status: http.StatusNotFound, Err: errors.New("no Airflow REST API is there")}
}

// speaks tells whether Airflow's health is at the address; a login page is not.
func speaks(ctx context.Context, hc *http.Client, address string) (bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false, err
	}
	resp, err := hc.Do(req)
	if err != nil {
		return false, failure(ctx, "ask for the API's version", nil, nil, err)
	}
	defer resp.Body.Close()
	var health struct {
		Metadatabase *struct{} `json:"metadatabase"`
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return false, failure(ctx, "ask for the API's version", nil, nil, err)
	}
	if resp.StatusCode >= http.StatusInternalServerError {
		return false, failure(ctx, "ask for the API's version", resp, body, nil)
	}
	return resp.StatusCode == http.StatusOK && json.Unmarshal(body, &health) == nil && health.Metadatabase != nil, nil
}

// failure is the error of a request: of the context, of the way there, or of the server with what it said.
func failure(ctx context.Context, op string, resp *http.Response, body []byte, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("airflow: %s: %w", op, ctx.Err())
	}
	if resp == nil {
		return &Error{Op: op, Err: err}
	}
	if resp.StatusCode < http.StatusMultipleChoices && err != nil {
		return &Error{Op: op, Status: resp.StatusCode, Err: fmt.Errorf("the answer is not as the API describes it: %w", err)}
	}
	var said struct {
		Detail any    `json:"detail"`
		Title  string `json:"title"`
	}
	text := http.StatusText(resp.StatusCode)
	if json.Unmarshal(body, &said) == nil {
		switch d := said.Detail.(type) {
		case nil:
			text = or(said.Title, text)
		case string:
			text = or(d, or(said.Title, text))
		default:
			b, err := json.Marshal(d)
			if err == nil {
				text = string(b[:min(len(b), 500)])
			}
		}
	}
	return &Error{Op: op, Status: resp.StatusCode, Err: errors.New(text)}
}

func or(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// transport bounds answers and time, and asks again what can be asked twice.
type transport struct{ once, again http.RoundTripper }

func newTransport(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	c := retryablehttp.NewClient()
	c.HTTPClient = &http.Client{Transport: base, Timeout: timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	c.Logger, c.RetryMax, c.RetryWaitMin, c.RetryWaitMax = nil, 3, 200*time.Millisecond, 2*time.Second
	c.ErrorHandler = retryablehttp.PassthroughErrorHandler
	return &transport{once: base, again: &retryablehttp.RoundTripper{Client: c}}
}

func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	next := t.once
	if req.Method == http.MethodGet {
		next = t.again
	}
	resp, err := next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = http.MaxBytesReader(nil, resp.Body, maxBody)
	return resp, nil
}
