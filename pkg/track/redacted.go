package track

import (
	"context"

	"salescast/pkg/redact"
)

// Redacted wraps a Tracker so that no parameter, tag or address of a dataset that it is given holds a secret.
func Redacted(t Tracker) Tracker { return redacted{t} }

type redacted struct{ Tracker }

func (r redacted) Start(ctx context.Context, s Spec) (Run, error) {
	s.Tags = redact.Map(s.Tags)
	run, err := r.Tracker.Start(ctx, s)
	if err != nil {
		return nil, err
	}
	return redactedRun{run}, nil
}

type redactedRun struct{ Run }

func (r redactedRun) Params(ctx context.Context, p map[string]string) error {
	return r.Run.Params(ctx, redact.Map(p))
}

func (r redactedRun) Tags(ctx context.Context, t map[string]string) error {
	return r.Run.Tags(ctx, redact.Map(t))
}

func (r redactedRun) Dataset(ctx context.Context, d Dataset) error {
	d.URI = redact.String(d.URI)
	return r.Run.Dataset(ctx, d)
}

func (r redactedRun) Model(ctx context.Context, m LoggedModel) error {
	m.Params = redact.Map(m.Params)
	return r.Run.Model(ctx, m)
}
