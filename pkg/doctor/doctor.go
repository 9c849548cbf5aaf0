// Package doctor examines the place where salescast runs: a check is a name and a function, and what it finds says what to do.
package doctor

import (
	"context"
	"fmt"
)

// Status is how a check ended.
type Status string

// The statuses of a Finding, from good to bad.
const (
	OK      Status = "ok"
	Warning Status = "warning" // it works, with a drawback
	Failed  Status = "failed"
)

// Finding is what a check saw.
type Finding struct {
	Check   string `json:"check"`
	Status  Status `json:"status"`
	Message string `json:"message"`
	// Hint says what to do; empty when nothing needs doing.
	Hint string `json:"hint,omitempty"`
	// Err is the cause of a failure.
	Err error `json:"-"`
}

// Check looks at one thing. Run must be quick, leave nothing behind and honour ctx.
type Check struct {
	Name string
	Run  func(ctx context.Context) Finding
}

// Run makes the checks in order. A check that panics has failed; checks left when ctx ends are not made.
func Run(ctx context.Context, checks []Check) []Finding {
	findings := make([]Finding, 0, len(checks))
	for _, c := range checks {
		if ctx.Err() != nil {
			break
		}
		f := c.guarded(ctx)
		f.Check = c.Name
		findings = append(findings, f)
	}
	return findings
}

func (c Check) guarded(ctx context.Context) (f Finding) {
	defer func() {
		if r := recover(); r != nil {
			err := fmt.Errorf("the check itself failed: %v", r)
			f = Finding{Status: Failed, Message: err.Error(), Err: err}
		}
	}()
	return c.Run(ctx)
}

// Worst returns the worst status, OK without findings.
func Worst(findings []Finding) Status {
	worst := OK
	for _, f := range findings {
		if f.Status == Failed || (f.Status == Warning && worst == OK) {
			worst = f.Status
		}
	}
	return worst
}
