package engines

import (
	"errors"

	"salescast/pkg/internal/dl"
	"salescast/pkg/regress"
)

// unavailable wraps what kept an engine from being opened, with the cure.
func unavailable(engine string, err error) error {
	if err == nil {
		return nil
	}
	u := &regress.UnavailableError{Engine: engine, Err: err, Hint: "use a release of salescast with the engines inside"}
	if missing := (*dl.MissingError)(nil); errors.As(err, &missing) {
		u.Hint = missing.Hint
	}
	return u
}
