package tasks

import (
	"time"

	"github.com/rs/zerolog"

	"salescast/pkg/artifact"
	"salescast/pkg/regress"
	"salescast/pkg/track"
)

// Env is closed: it is all that a step may touch. Options hold settings and no dependencies.
type Env struct {
	// Store is rooted at the workspace.
	Store    artifact.Store
	Tracker  track.Tracker
	Registry track.Registry
	// Learners makes the regression engines by name, and opens what they saved.
	Learners Learners
	Log      zerolog.Logger
	Progress Progress
	Now      func() time.Time
	// Version is the version of the binary, for manifests.
	Version string
	// Scratch is a local folder for files that need random access while they are written; a step leaves it empty.
	Scratch string
	Threads int
}

// Learners is what the engines offer to a step; cmd wires the real ones.
type Learners interface {
	// Learner returns an engine, "xgboost", "lightgbm" or "golearn", set up with parameters in the engine's own names.
	Learner(engine string, params map[string]string) (regress.Learner, error)
	// Open loads a model from what its Format names.
	Open(format string) (regress.Open, error)
}

// Progress is told how far a step is. Implementations are quick and may be called from several goroutines.
type Progress interface {
	// Phase begins a named part of a step with a number of units, 0 if unknown.
	Phase(name string, total int64)
	Add(n int64)
}
