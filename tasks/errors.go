package tasks

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"salescast/pkg/artifact"
	"salescast/pkg/bundle"
	"salescast/pkg/forecast/ensemble"
	"salescast/pkg/regress"
	"salescast/pkg/track"
)

// Kind is the class of a failure; cmd maps it to an exit code.
type Kind string

// The kinds of failure a step can report. Anything else is an unexpected error.
const (
	KindUsage        Kind = "usage"         // 64
	KindData         Kind = "data"          // 65: the data broke its contract
	KindInputMissing Kind = "input_missing" // 66
	KindUnavailable  Kind = "unavailable"   // 69: a library or an optional service is not there
	KindTryAgain     Kind = "try_again"     // 75
	KindPermission   Kind = "permission"    // 77
	KindConfig       Kind = "config"        // 78
	KindNothing      Kind = "nothing"       // 99
	KindRefused      Kind = "refused"       // 10: the gate refused the candidate
	KindDrift        Kind = "drift"         // 11
)

// Error is a failure whose cause a person can mend: what was attempted, on what, and the cure in Hint.
type Error struct {
	Kind Kind
	// Op is what was attempted, in a few words.
	Op   string
	Err  error
	Hint string
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %v", e.Op, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

// KindInterrupted is a step that was told to stop. Its outputs are whole or absent.
const KindInterrupted Kind = "interrupted" // 130, 143

// KindUnexpected is every failure that no other kind describes.
const KindUnexpected Kind = "unexpected" // 1

// KindOf is the class of any error that a step can return, "" for none.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	if errors.Is(err, context.Canceled) {
		return KindInterrupted
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	if _, ok := errors.AsType[*regress.UnavailableError](err); ok {
		return KindUnavailable
	}
	if _, ok := errors.AsType[*bundle.AlteredError](err); ok {
		return KindData
	}
	switch {
	case errors.Is(err, ensemble.ErrNotFinite):
		return KindData
	case errors.Is(err, artifact.ErrUnavailable), errors.Is(err, artifact.ErrChanged), errors.Is(err, track.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return KindTryAgain
	case errors.Is(err, artifact.ErrMisconfigured):
		return KindConfig
	case errors.Is(err, fs.ErrPermission):
		return KindPermission
	case errors.Is(err, fs.ErrNotExist):
		return KindInputMissing
	}
	return KindUnexpected
}

// HintOf is what a person can do about err, "" if nothing is known.
func HintOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok && e.Hint != "" {
		return e.Hint
	}
	if e, ok := errors.AsType[*regress.UnavailableError](err); ok {
		return e.Hint
	}
	switch KindOf(err) {
	case KindTryAgain:
		return "check that there is room and that the service answers, then run the same command again"
	case KindPermission:
		return "check the owner and mode of the workspace, or the credentials of the store"
	case KindInterrupted:
		return "run the same command again; finished steps are not repeated"
	default:
		return ""
	}
}
