package tasks

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"salescast/pkg/artifact"
	"salescast/pkg/regress"
	"salescast/pkg/table"
	"salescast/pkg/track"
	"salescast/pkg/tune"
)

// Env is closed: it is all that a step may touch. Options hold settings and no dependencies.
type Env struct {
	// Store is rooted at the workspace.
	Store artifact.Store
	// Tracker records runs; nil records nothing.
	Tracker  track.Tracker
	Registry track.Registry
	// Open opens a store elsewhere, by its address, to read models; nil knows none.
	Open func(url string) (artifact.Store, error)
	// Sources lists the files of a source outside the workspace; nil reads this machine's, [table.LocalFiles].
	Sources func(ctx context.Context, source string) ([]table.File, error)
	// Learners makes the regression engines by name, and opens what they saved.
	Learners Learners
	// Studies opens the storage of tuning's studies, which the step closes; nil has none.
	Studies func(ctx context.Context) (tune.Storage, error)
	Log     zerolog.Logger
	// Progress may be nil.
	Progress Progress
	Now      func() time.Time
	// Version is the version of the binary, for manifests.
	Version string
	// Scratch is a local folder for files that need random access while they are written; a step leaves it empty.
	Scratch string
	Threads int
	// Experiment and Parent place the steps' runs: the tracker's experiment, and the Key of the run that encloses them; both may be "".
	Experiment, Parent string
	// Tags go to every run, such as those that say which Airflow task it was.
	Tags map[string]string
}

// Learners is what the engines offer to a step; cmd wires the real ones.
type Learners interface {
	// Learner returns an engine, "xgboost", "lightgbm" or "golearn", set up with parameters in the engine's own names.
	Learner(engine string, params map[string]string) (regress.Learner, error)
	// Release answers the version of the engine that Learner would use, "" for one that cannot be opened or is part of the binary.
	Release(ctx context.Context, engine string) string
	// Open loads a model from what its Format names.
	Open(format string) (regress.Open, error)
}

// Progress is told how far a step is. Implementations are quick and may be called from several goroutines.
type Progress interface {
	// Phase begins a named part of a step with a number of units, 0 if unknown.
	Phase(name string, total int64)
	Add(n int64)
}
