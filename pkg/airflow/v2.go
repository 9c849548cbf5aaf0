package airflow

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"salescast/pkg/airflow/api"
)

// renewAfter is how long a token is used: shorter than the shortest life that servers are set to.
const renewAfter = 10 * time.Minute

// v2 is Airflow 3.
type v2 struct {
	base string
	http *http.Client
	api  *api.ClientWithResponses
	o    Options

	mu      sync.Mutex
	token   string
	renewed time.Time
}

func newV2(base string, hc *http.Client, o Options) Client {
	c := &v2{base: base, http: hc, o: o}
	c.api = &api.ClientWithResponses{ClientInterface: &api.Client{Server: base + "/", Client: hc}}
	return c
}

// authorize is for every request but those of health. A server that asks nobody for a name gives its tokens without one.
func (c *v2) authorize(ctx context.Context, req *http.Request) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	token := c.o.Token
	if token == "" {
		if c.token == "" || c.o.Now().Sub(c.renewed) > renewAfter {
			if err := c.login(ctx); err != nil {
				return err
			}
		}
		token = c.token
	}
	req.Header.Set("Authorization", "Bearer "+token)
	return nil
}

func (c *v2) login(ctx context.Context) error {
	const op = "log in"
	method, body := http.MethodGet, []byte(nil)
	if c.o.Username != "" {
		var err error
		if body, err = json.Marshal(map[string]string{"username": c.o.Username, "password": c.o.Password}); err != nil {
			return err
		}
		method = http.MethodPost
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.base+"/auth/token", bytes.NewReader(body))
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return failure(ctx, op, nil, nil, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return failure(ctx, op, nil, nil, err)
	}
	if resp.StatusCode == http.StatusMethodNotAllowed || resp.StatusCode == http.StatusBadRequest {
		return &Error{Op: op, Status: http.StatusUnauthorized, Err: errNoCredentials}
	}
	var t struct {
		Token string `json:"access_token"`
	}
	if resp.StatusCode != http.StatusCreated && resp.StatusCode != http.StatusOK {
		return failure(ctx, op, resp, answer, nil)
	}
	if err := json.Unmarshal(answer, &t); err != nil || t.Token == "" {
		return failure(ctx, op, resp, nil, fmt.Errorf("no access_token (%w)", err))
	}
	c.token, c.renewed = t.Token, c.o.Now()
	return nil
}

func (c *v2) Health(ctx context.Context) (Health, error) {
	r, err := c.api.GetHealthWithResponse(ctx)
	if err != nil {
		return Health{}, failure(ctx, "health", nil, nil, err)
	}
	if r.JSON200 == nil {
		return Health{}, failure(ctx, "health", r.HTTPResponse, r.Body, errType)
	}
	h := Health{API: "v2", Parts: map[string]string{
		"metadatabase": deref(r.JSON200.Metadatabase.Status), "scheduler": deref(r.JSON200.Scheduler.Status), "triggerer": deref(r.JSON200.Triggerer.Status),
	}}
	if p := r.JSON200.DagProcessor; p != nil {
		h.Parts["dag_processor"] = deref(p.Status)
	}
	return h, nil
}

func (c *v2) Unpause(ctx context.Context, dag string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	op := "unpause " + dag
	r, err := c.api.PatchDagWithResponse(ctx, dag, &api.PatchDagParams{}, api.DAGPatchBody{}, c.authorize)
	if err != nil {
		return failed(ctx, op, err)
	}
	if r.JSON200 == nil {
		return failure(ctx, op, r.HTTPResponse, r.Body, errType)
	}
	return nil
}

func (c *v2) Trigger(ctx context.Context, dag, runID string, conf map[string]any) (Run, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	op := "trigger " + dag
	body := api.TriggerDAGRunPostBody{Conf: &conf}
	if runID != "" {
		body.DagRunId = &runID
	}
	r, err := c.api.TriggerDagRunWithResponse(ctx, dag, body, c.authorize)
	if err != nil {
		return Run{}, failed(ctx, op, err)
	}
	if r.JSON200 == nil {
		return Run{}, failure(ctx, op, r.HTTPResponse, r.Body, errType)
	}
	return runOfV2(r.JSON200), nil
}

func (c *v2) Run(ctx context.Context, dag, runID string) (Run, error) {
	if runID == "" {
		return c.newest(ctx, dag)
	}
	op := fmt.Sprintf("run %s of %s", runID, dag)
	r, err := c.api.GetDagRunWithResponse(ctx, dag, runID, c.authorize)
	if err != nil {
		return Run{}, failed(ctx, op, err)
	}
	if r.JSON200 == nil {
		return Run{}, failure(ctx, op, r.HTTPResponse, r.Body, errType)
	}
	return runOfV2(r.JSON200), nil
}

func (c *v2) newest(ctx context.Context, dag string) (Run, error) {
	op, one := "newest run of "+dag, 1
	r, err := c.api.GetDagRunsWithResponse(ctx, dag, &api.GetDagRunsParams{Limit: &one, OrderBy: &[]string{"-run_after"}}, c.authorize)
	if err != nil {
		return Run{}, failed(ctx, op, err)
	}
	if r.JSON200 == nil {
		return Run{}, failure(ctx, op, r.HTTPResponse, r.Body, errType)
	}
	if len(r.JSON200.DagRuns) == 0 {
		return Run{}, &Error{Op: op, Status: http.StatusNotFound, Err: errNoRun}
	}
	return runOfV2(&r.JSON200.DagRuns[0]), nil
}

func runOfV2(r *api.DAGRunResponse) Run {
	return Run{DAG: r.DagId, ID: r.DagRunId, State: string(r.State), Started: deref(r.StartDate), Ended: deref(r.EndDate)}
}

func (c *v2) Tasks(ctx context.Context, dag, runID string) ([]Task, error) {
	op := fmt.Sprintf("tasks of run %s of %s", runID, dag)
	var all []Task
	for limit := pageSize; len(all) < maxTasks; {
		offset := len(all)
		r, err := c.api.GetTaskInstancesWithResponse(ctx, dag, runID, &api.GetTaskInstancesParams{Limit: &limit, Offset: &offset}, c.authorize)
		if err != nil {
			return nil, failed(ctx, op, err)
		}
		if r.JSON200 == nil {
			return nil, failure(ctx, op, r.HTTPResponse, r.Body, errType)
		}
		for i := range r.JSON200.TaskInstances {
			t := &r.JSON200.TaskInstances[i]
			all = append(all, Task{
				DAG: t.DagId, RunID: t.DagRunId, ID: t.TaskId, MapIndex: t.MapIndex, Label: deref(t.RenderedMapIndex),
				State: string(deref(t.State)), Try: t.TryNumber, Started: deref(t.StartDate), Ended: deref(t.EndDate),
			})
		}
		if len(r.JSON200.TaskInstances) == 0 || len(all) >= deref(r.JSON200.TotalEntries) {
			break
		}
	}
	return all, nil
}

func (c *v2) Log(ctx context.Context, t Task, try int) ([]LogLine, error) {
	op := fmt.Sprintf("log of try %d of %s", try, t.Name())
	full, accept := true, api.GetLogParamsAccept("application/json")
	r, err := c.api.GetLogWithResponse(ctx, t.DAG, t.RunID, t.ID, try, &api.GetLogParams{FullContent: &full, MapIndex: &t.MapIndex, Accept: &accept}, c.authorize)
	if err != nil {
		return nil, failed(ctx, op, err)
	}
	if r.JSON200 == nil {
		return nil, failure(ctx, op, r.HTTPResponse, r.Body, errType)
	}
	records, err := r.JSON200.Content.AsTaskInstancesLogResponseContent0()
	if err != nil { // the other form that the API allows
		texts, err := r.JSON200.Content.AsTaskInstancesLogResponseContent1()
		if err != nil {
			return nil, failure(ctx, op, r.HTTPResponse, r.Body, err)
		}
		lines := make([]LogLine, len(texts))
		for i, text := range texts {
			lines[i].Text = text
		}
		return lines, nil
	}
	lines := make([]LogLine, len(records))
	for i, rec := range records {
		level, _ := rec.AdditionalProperties["level"].(string)
		lines[i] = LogLine{Time: deref(rec.Timestamp), Level: level, Text: rec.Event}
	}
	return lines, nil
}

// failed is the error of a call that got no answer; that of logging in stands for itself.
func failed(ctx context.Context, op string, err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return failure(ctx, op, nil, nil, err)
}

// deref is what p points to, the zero value for nil.
func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
