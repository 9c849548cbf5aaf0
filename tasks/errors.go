package tasks

import "fmt"

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
