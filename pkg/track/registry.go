package track

import (
	"context"
	"strconv"
	"time"
)

// Registry names model versions and moves aliases. A missing model, version or alias wraps fs.ErrNotExist; other errors are those of
// Tracker. Models are sorted by name, versions from the newest to the oldest; deleting an alias that is not there is no error.
type Registry interface {
	// Create adds a version of a model, making the model where it is new. The same Key created twice is one version.
	Create(ctx context.Context, v NewVersion) (Version, error)
	Version(ctx context.Context, model, version string) (Version, error)
	ByAlias(ctx context.Context, model, alias string) (Version, error)
	Versions(ctx context.Context, model string) ([]Version, error)
	Models(ctx context.Context) ([]string, error)
	SetAlias(ctx context.Context, model, alias, version string) error
	DeleteAlias(ctx context.Context, model, alias string) error
	SetTags(ctx context.Context, model, version string, tags map[string]string) error
}

// NewVersion asks for a model version.
type NewVersion struct {
	// Model is the name: no / : . % " or '.
	Model string
	// Key identifies the version across retries.
	Key string
	// Source is the URL of the model's files: a bundle under a workspace, or a run's artifact folder.
	Source string
	// RunID is the tracker's id of the run that made the model, or the Key of a run of Experiment: what was kept in a spool had no other id.
	RunID       string
	Experiment  string
	Description string
	Tags        map[string]string
}

// Version is one registered version of a model.
type Version struct {
	Model   string
	Version string
	Source  string
	RunID   string
	Created time.Time
	Aliases []string
	Tags    map[string]string
}

// Earlier compares the numbers of two versions; what is no number is not earlier.
func Earlier(a, b string) bool {
	m, aerr := strconv.Atoi(a)
	n, berr := strconv.Atoi(b)
	return aerr == nil && berr == nil && m < n
}

// Files is a Registry that also keeps the files of its versions, as a server with artifacts does.
type Files interface {
	// ReadFile returns a file of a version's folder. A missing one wraps fs.ErrNotExist; one larger than limit bytes is an error.
	ReadFile(ctx context.Context, v Version, name string, limit int64) ([]byte, error)
}
