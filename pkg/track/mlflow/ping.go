package mlflow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"

	"salescast/pkg/track"
)

// Ping says whether runs of an experiment can be recorded: the server answers, knows us, and its artifacts can be written from here.
// It changes nothing. The version is "unknown" where the server does not tell.
func (t *Tracker) Ping(ctx context.Context, experiment string) (version string, err error) {
	version, err = t.version(ctx)
	if err == nil {
		err = t.reachArtifacts(ctx, experiment)
	}
	if err != nil {
		return "", fmt.Errorf("ask MLflow at %s: %w", t.client.base.Redacted(), err)
	}
	return version, nil
}

func (t *Tracker) version(ctx context.Context) (string, error) {
	const longest = 40
	text := ""
	err := t.client.do(ctx, request{method: http.MethodGet, path: "version", sink: func(r io.Reader) error {
		b, err := io.ReadAll(io.LimitReader(r, longest+1))
		text = strings.TrimSpace(string(b))
		return err
	}})
	if err != nil && isNetwork(err) {
		return "", err
	}
	if err != nil || text == "" || len(text) > longest || strings.ContainsAny(text, "<{\n") {
		return "unknown", nil //nolint:nilerr // a proxy may hide it; what follows tells more
	}
	return text, nil
}

// isNetwork says that the server could not be asked at all.
func isNetwork(err error) bool {
	_, answered := errors.AsType[*apiError](err)
	return !answered || errors.Is(err, track.ErrUnavailable)
}

// ErrReadOnly is a user who may look at an experiment and not record in it.
var ErrReadOnly = errors.New("this user may read the experiment and not record in it")

// mayWrite asks for a tag without a name. A server that would take tags from us refuses the name; one that would not refuses us.
func (t *Tracker) mayWrite(ctx context.Context, e experiment) error {
	err := t.client.post(ctx, "experiments/set-experiment-tag", struct {
		ID    string `json:"experiment_id"`
		Value string `json:"value"`
	}{e.ID, "salescast doctor"}, nil)
	switch {
	case isCode(err, codeInvalid, codeBad):
		return nil
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: experiment %q: %w", ErrReadOnly, e.Name, err)
	}
	return err
}

// reachArtifacts looks at where the files of an experiment lie, of the first one where it does not exist yet.
func (t *Tracker) reachArtifacts(ctx context.Context, name string) error {
	var all struct {
		Experiments []experiment `json:"experiments"`
	}
	e, err := t.lookExperiment(ctx, name)
	if isCode(err, codeMissing) {
		err = t.client.post(ctx, "experiments/search", struct {
			MaxResults int `json:"max_results"`
		}{1}, &all)
		if err == nil && len(all.Experiments) > 0 {
			e = all.Experiments[0]
		}
	}
	if err != nil || e.ID == "" {
		return err
	}
	if e.Name == name { // in one that is still to be made nobody has rights yet
		err = t.mayWrite(ctx, e)
	}
	if err != nil || e.ArtifactLocation == "" {
		return err
	}
	at, straight, err := direct(e.ArtifactLocation)
	if err != nil {
		return err
	}
	if !straight {
		if _, err := proxied(e.ArtifactLocation, "x"); err != nil {
			return err
		}
		return t.client.do(ctx, request{method: http.MethodGet, path: "api/2.0/mlflow-artifacts/artifacts", query: url.Values{"path": {""}}, out: &struct{}{}})
	}
	if t.conf.Artifacts == nil {
		return fmt.Errorf("the artifacts of experiment %q lie at %s: give the credentials of that storage, or start the server with --serve-artifacts", name, e.ArtifactLocation)
	}
	store, err := t.conf.Artifacts(ctx, at)
	if err != nil {
		return err
	}
	for _, err := range store.List(ctx, "") {
		return err
	}
	return nil
}
