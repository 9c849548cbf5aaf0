package serve

import (
	"errors"
	"fmt"
	"net/http"

	"salescast/pkg/forecast"
	"salescast/pkg/panel"
)

// problem is an error that a client may read: a stable code, what is wrong, and what to do.
type problem struct {
	Status  int    `json:"-"`
	Code    string `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

func (p *problem) Error() string { return p.Message }

// The codes of problems.
const (
	codeBadRequest   = "bad_request"
	codeUnauthorized = "unauthorized"
	codeNotFound     = "not_found"
	codeMethod       = "method_not_allowed"
	codeTooLarge     = "too_large"
	codeMediaType    = "unsupported_media_type"
	codeHorizon      = "horizon_not_trained"
	codeQuantile     = "quantile_not_calibrated"
	codePlan         = "plan_missing"
	codeHistory      = "history_missing"
	codeTotals       = "totals_not_calibrated"
	codeUnknownModel = "unknown_model"
	codeBusy         = "busy"
	codeTimeout      = "timeout"
	codeReload       = "reload_failed"
	codeInternal     = "internal"
)

func bad(format string, a ...any) *problem {
	return &problem{Status: http.StatusBadRequest, Code: codeBadRequest, Message: fmt.Sprintf(format, a...)}
}

func (p *problem) hint(format string, a ...any) *problem {
	p.Hint = fmt.Sprintf(format, a...)
	return p
}

// problemOf says to a client what an error means; anything unexpected is not told, only logged.
func problemOf(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if p, ok := errors.AsType[*forecast.MissingPlanError](err); ok {
		return &problem{http.StatusUnprocessableEntity, codePlan, p.Error(), "send plan rows with the columns of the plan for every date up to the horizon, or none for what is usual"}
	}
	if p, ok := errors.AsType[*panel.FrequencyError](err); ok {
		return &problem{http.StatusUnprocessableEntity, codeBadRequest, p.Error(), ""}
	}
	if p, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &problem{http.StatusRequestEntityTooLarge, codeTooLarge, fmt.Sprintf("the body is larger than %d bytes", p.Limit), "send fewer series at once"}
	}
	return &problem{http.StatusInternalServerError, codeInternal, "the forecast failed for a reason that the server's log tells", ""}
}
