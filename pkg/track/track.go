package track

import (
	"context"
	"io"
	"time"
)

// Tracker starts runs. A Tracker may be used from several goroutines.
type Tracker interface {
	// Start begins a run. The same Spec.Key started twice continues one run: a step that is retried does not make a second record.
	Start(ctx context.Context, s Spec) (Run, error)
	// Close flushes everything and returns the first failure that lost data.
	Close(ctx context.Context) error
}

// Spec names a run.
type Spec struct {
	Experiment string
	Name       string
	// Key identifies the run across retries and replays: [A-Za-z0-9._-]{1,64}.
	Key string
	// Parent is the Key of the enclosing run; empty for a top-level one.
	Parent string
	Start  time.Time
	Tags   map[string]string
}

// Run is the record of one step. Its methods buffer; an error is of the record, never of the work that is recorded.
// Metric and parameter names match [A-Za-z0-9_.\-/ ]{1,250}.
type Run interface {
	// ID is the tracker's own id of the run; URL where a person can see it, or "".
	ID() string
	URL() string
	Params(ctx context.Context, p map[string]string) error
	// Metrics records points; a NaN is kept as NaN, an infinity is an error.
	Metrics(ctx context.Context, m []Metric) error
	Tags(ctx context.Context, t map[string]string) error
	// Dataset links an input.
	Dataset(ctx context.Context, d Dataset) error
	// Artifact records a file under a slash-separated name; size bytes are read from r.
	Artifact(ctx context.Context, name string, r io.Reader, size int64) error
	// Model says that the artifacts under a folder are a model directory with an MLmodel file.
	Model(ctx context.Context, m LoggedModel) error
	// End closes the run.
	End(ctx context.Context, s Status, at time.Time) error
}

// Metric is one point of a curve.
type Metric struct {
	Name  string
	Value float64
	Step  int64
	At    time.Time
}

// Dataset describes an input of a run by name and digest.
type Dataset struct {
	Name    string
	Digest  string
	URI     string
	Context string // training, validation, test
	Rows    int64
	Columns []string
}

// LoggedModel is a model directory among the artifacts of a run.
type LoggedModel struct {
	Name string
	// Path is the folder among the run's artifacts.
	Path    string
	Flavors []string
	Params  map[string]string
	Metrics []Metric
}

// Status is how a run ended.
type Status string

// The statuses a run can have.
const (
	Running  Status = "RUNNING"
	Finished Status = "FINISHED"
	Failed   Status = "FAILED"
	Killed   Status = "KILLED"
)
