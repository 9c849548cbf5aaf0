package track

import (
	"context"
	"io"
	"time"
)

// Tracker starts runs. A Tracker may be used from several goroutines.
//
// Recording is idempotent: what is recorded twice, with the same names, values, steps and times, is there once. So a step that is
// retried and a spool that is replayed add nothing new. Times are kept to the millisecond.
//
// Errors: what the contract forbids wraps ErrInvalid; a parameter that changes its value wraps ErrConflict; wrong or missing
// credentials wrap fs.ErrPermission; a place that is away, slow or full after the tracker's own retries wraps ErrUnavailable.
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
	// Key identifies the run across retries and replays: [A-Za-z0-9._-]{1,64}, not "." or "..".
	Key string
	// Parent is the Key of the enclosing run; empty for a top-level one. The parent may be started later than its children.
	Parent string
	Start  time.Time
	Tags   map[string]string
	// Leaf says that the run encloses no others and has a parent: a tracker may record many of them with fewer calls.
	Leaf bool
}

// Run is the record of one step. Its methods may buffer until End; an error is of the record, never of the work that is recorded.
// Metric and parameter names match [A-Za-z0-9_.\-/ ]{1,250} and are clean relative paths. A Run may be used from several goroutines.
type Run interface {
	// ID is the tracker's own id of the run; URL where a person can see it, or "".
	ID() string
	URL() string
	// Params records settings, each of at most 6000 bytes; a parameter keeps its first value for ever.
	Params(ctx context.Context, p map[string]string) error
	// Metrics records points; a NaN is kept as NaN, an infinity is an error.
	Metrics(ctx context.Context, m []Metric) error
	// Tags records labels, each of at most 5000 bytes; the last value of a tag stands.
	Tags(ctx context.Context, t map[string]string) error
	// Dataset links an input. Its digest is at most 36 bytes: the head of a SHA-256 in hex will do.
	Dataset(ctx context.Context, d Dataset) error
	// Artifact records a file under a slash-separated name without \ % and #, replacing what was there; exactly size bytes are read from r, and a
	// reader that ends before them is an error.
	Artifact(ctx context.Context, name string, r io.Reader, size int64) error
	// Model says that the artifacts under a folder are a model directory with an MLmodel file.
	Model(ctx context.Context, m LoggedModel) error
	// Flush brings what is buffered to where it lasts.
	Flush(ctx context.Context) error
	// End flushes the run and closes it with Finished, Failed or Killed. A run that is started again after its End is open again.
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
