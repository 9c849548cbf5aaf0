package airflow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	client "github.com/apache/airflow-client-go/airflow"
)

var (
	errType          = errors.New("another content type or status")
	errNoRun         = errors.New("the DAG has no run yet")
	errNoCredentials = errors.New("the server wants a name and a password, or a token")
)

// v1 is Airflow 2.
type v1 struct {
	api *client.APIClient
	o   Options
}

func newV1(base string, hc *http.Client, o Options) Client {
	cfg := client.NewConfiguration()
	cfg.Servers = client.ServerConfigurations{{URL: base + "/api/v1"}}
	cfg.UserAgent = "salescast"
	cfg.HTTPClient = &http.Client{Transport: plainLogs{hc.Transport}}
	return &v1{api: client.NewAPIClient(cfg), o: o}
}

// plainLogs asks for logs as text: as JSON they are the text of a list of Python's tuples.
type plainLogs struct{ next http.RoundTripper }

func (p plainLogs) RoundTrip(req *http.Request) (*http.Response, error) {
	if strings.Contains(req.URL.Path, "/logs/") {
		req = req.Clone(req.Context())
		req.Header.Set("Accept", "text/plain")
	}
	return p.next.RoundTrip(req)
}

func (c *v1) authorized(ctx context.Context) context.Context {
	switch {
	case c.o.Token != "":
		return context.WithValue(ctx, client.ContextAccessToken, c.o.Token)
	case c.o.Username != "":
		return context.WithValue(ctx, client.ContextBasicAuth, client.BasicAuth{UserName: c.o.Username, Password: c.o.Password})
	default:
		return ctx
	}
}

// answered is the error of a call: the client's errors hold the body of an answer, or stand for none.
func answered(ctx context.Context, op string, resp *http.Response, err error) error {
	if err == nil {
		return nil
	}
	var body []byte
	if e, ok := errors.AsType[client.GenericOpenAPIError](err); ok {
		body = e.Body()
	}
	return failure(ctx, op, resp, body, err)
}

func (c *v1) Health(ctx context.Context) (Health, error) {
	h, resp, err := c.api.MonitoringApi.GetHealth(ctx).Execute() //nolint:bodyclose // the client closes it
	if err != nil {
		return Health{}, answered(ctx, "health", resp, err)
	}
	m, s := h.GetMetadatabase(), h.GetScheduler()
	return Health{API: "v1", Parts: map[string]string{"metadatabase": string(m.GetStatus()), "scheduler": string(s.GetStatus())}}, nil
}

func (c *v1) Unpause(ctx context.Context, dag string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	body := client.NewDAG()
	body.SetIsPaused(false)
	_, resp, err := c.api.DAGApi.PatchDag(c.authorized(ctx), dag).DAG(*body).UpdateMask([]string{"is_paused"}).Execute() //nolint:bodyclose // the client closes it
	return answered(ctx, "unpause "+dag, resp, err)
}

func (c *v1) Trigger(ctx context.Context, dag, runID string, conf map[string]any) (Run, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	body := client.DAGRun{Conf: &conf}
	if runID != "" {
		body.SetDagRunId(runID)
	}
	r, resp, err := c.api.DAGRunApi.PostDagRun(c.authorized(ctx), dag).DAGRun(body).Execute() //nolint:bodyclose // the client closes it
	return runOfV1(r), answered(ctx, "trigger "+dag, resp, err)
}

func (c *v1) Run(ctx context.Context, dag, runID string) (Run, error) {
	if runID == "" {
		return c.newest(ctx, dag)
	}
	r, resp, err := c.api.DAGRunApi.GetDagRun(c.authorized(ctx), dag, runID).Execute() //nolint:bodyclose // the client closes it
	return runOfV1(r), answered(ctx, fmt.Sprintf("run %s of %s", runID, dag), resp, err)
}

func (c *v1) newest(ctx context.Context, dag string) (Run, error) {
	op := "newest run of " + dag
	r, resp, err := c.api.DAGRunApi.GetDagRuns(c.authorized(ctx), dag).Limit(1).OrderBy("-execution_date").Execute() //nolint:bodyclose // the client closes it
	if err != nil {
		return Run{}, answered(ctx, op, resp, err)
	}
	if len(r.GetDagRuns()) == 0 {
		return Run{}, &Error{Op: op, Status: http.StatusNotFound, Err: errNoRun}
	}
	return runOfV1(r.GetDagRuns()[0]), nil
}

func runOfV1(r client.DAGRun) Run {
	return Run{DAG: r.GetDagId(), ID: r.GetDagRunId(), State: string(r.GetState()), Started: r.GetStartDate(), Ended: r.GetEndDate()}
}

func (c *v1) Tasks(ctx context.Context, dag, runID string) ([]Task, error) {
	op := fmt.Sprintf("tasks of run %s of %s", runID, dag)
	var all []Task
	for len(all) < maxTasks {
		r, resp, err := c.api.TaskInstanceApi.GetTaskInstances(c.authorized(ctx), dag, runID).Limit(pageSize).Offset(int32(len(all))).Execute() //nolint:bodyclose // the client closes it
		if err != nil {
			return nil, answered(ctx, op, resp, err)
		}
		page := r.GetTaskInstances()
		for i := range page {
			t := &page[i]
			all = append(all, Task{
				DAG: t.GetDagId(), RunID: t.GetDagRunId(), ID: t.GetTaskId(), MapIndex: int(t.GetMapIndex()), State: string(t.GetState()),
				Try: int(t.GetTryNumber()), Started: timeOfV1(t.GetStartDate()), Ended: timeOfV1(t.GetEndDate()),
			})
		}
		if len(page) == 0 || len(all) >= int(r.GetTotalEntries()) {
			break
		}
	}
	return all, nil
}

// timeOfV1 reads a time that the client leaves as text; zero for none.
func timeOfV1(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}
	}
	return t
}

func (c *v1) Log(ctx context.Context, t Task, try int) ([]LogLine, error) {
	req := c.api.TaskInstanceApi.GetLog(c.authorized(ctx), t.DAG, t.RunID, t.ID, int32(try)).FullContent(true)
	if t.MapIndex >= 0 {
		req = req.MapIndex(int32(t.MapIndex))
	}
	_, resp, err := req.Execute() //nolint:bodyclose // the client closes it and leaves a copy in memory
	if resp == nil || resp.StatusCode != http.StatusOK {
		return nil, answered(ctx, fmt.Sprintf("log of try %d of %s", try, t.Name()), resp, err)
	}
	body, err := io.ReadAll(resp.Body) // the client has no type for text, and says so in err
	if err != nil {
		return nil, failure(ctx, "log of "+t.Name(), nil, nil, err)
	}
	var lines []LogLine
	for text := range strings.Lines(string(body)) {
		lines = append(lines, LogLine{Text: strings.TrimRight(text, "\r\n")})
	}
	return lines, nil
}
