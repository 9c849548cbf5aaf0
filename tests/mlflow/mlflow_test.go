package mlflowtest

import (
	"context"
	"strings"
	"testing"
	"time"

	"salescast/pkg/track"
	"salescast/pkg/track/mlflow"
	"salescast/pkg/track/tracktest"
	"salescast/tests/servers"
)

// has3 says whether the server has what MLflow 3 brought: logged models, and the check of the host name.
var has3 = strings.HasPrefix(servers.MLflowVersion(), "3.")

func config(s *servers.Server) mlflow.Config {
	return mlflow.Config{URI: s.URL, Patience: 30 * time.Second, Confirm: 2 * time.Second}
}

func tracker(t *testing.T, c mlflow.Config) *mlflow.Tracker {
	t.Helper()
	tr, err := mlflow.New(c)
	must(t, err)
	return tr
}

func TestMLflow(t *testing.T) {
	t.Parallel()
	server := servers.MLflow(t)
	t.Run("tracker", func(t *testing.T) {
		t.Parallel()
		tracktest.Tracker(t, tracktest.Harness{
			Open: func(t *testing.T) track.Tracker { return tracker(t, config(server)) },
			Observe: func(t *testing.T, experiment, key string) []tracktest.Observed {
				return observe(t, server.URL, experiment, key)
			},
			Models: has3,
		})
	})
	t.Run("registry", func(t *testing.T) {
		t.Parallel()
		tracktest.Registry(t, tracktest.RegistryHarness{
			Open:   func(t *testing.T) track.Registry { return mlflow.NewRegistry(tracker(t, config(server))) },
			Source: func(t *testing.T, unit string) (string, string) { return modelRun(t, config(server), unit) },
		})
	})
}

var epoch = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

// modelRun records a run with a model.
func modelRun(t *testing.T, c mlflow.Config, key string) (source, id string) {
	t.Helper()
	tr := tracker(t, c)
	ctx := context.WithoutCancel(t.Context())
	r, err := tr.Start(ctx, track.Spec{Experiment: "models", Name: "train", Key: key, Start: epoch})
	must(t, err)
	const text = "flavors:\n  python_function:\n    loader_module: mlflow.xgboost\n"
	must(t, r.Artifact(ctx, "model/MLmodel", strings.NewReader(text), int64(len(text))),
		r.Artifact(ctx, "model/data/model.ubj", strings.NewReader("trees"), 5),
		r.Model(ctx, track.LoggedModel{Name: "xgboost", Path: "model", Flavors: []string{"python_function"}}),
		r.End(ctx, track.Finished, epoch))
	return "runs:/" + r.ID() + "/model", r.ID()
}
