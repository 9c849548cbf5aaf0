package mlflowtest

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"salescast/pkg/track"
	"salescast/pkg/track/mlflow"
	"salescast/tests/servers"
)

const (
	loaderModule = `class Model:
    def __init__(self, factor):
        self.factor = factor

    def predict(self, rows, params=None):
        return rows["x"] * self.factor


def _load_pyfunc(path):
    with open(path + "/factor.txt") as f:
        return Model(float(f.read()))
`
	mlmodelText = `flavors:
  python_function:
    code: code
    data: data
    loader_module: salescast_loader_test
signature:
  inputs: '[{"type":"double","name":"x"}]'
`
	script = `
import mlflow, pandas
m = mlflow.pyfunc.load_model("models:/python@champion")
print(m.predict(pandas.DataFrame({"x": [1.5, -2.0]})).tolist())
info = mlflow.MlflowClient().get_model_version_by_alias("python", "champion")
model = info.source.removeprefix("models:/")
run = mlflow.get_run(info.run_id)
print(run.info.status, run.data.params, run.data.metrics)
print([(d.dataset.name, d.dataset.digest) for d in run.inputs.dataset_inputs], mlflow.artifacts.load_text(run.info.artifact_uri + "/notes.txt"))
`
	wantPython = `[4.5, -6.0]
FINISHED {'depth': '6'} {'valid/wape': 0.25, 'test/wape': 0.5}
[('bakery', '0123456789abcdef')] größe
`
	// script3 asks for what MLflow 3 has besides.
	script3 = `
print([o.model_id == model for o in run.outputs.model_outputs], [(m.key, m.value, m.model_id == model) for m in mlflow.get_logged_model(model).metrics])
`
)

// A run, its model and its version, written here, are what Python's own client reads, loads by alias and predicts with.
func TestPython(t *testing.T) {
	t.Parallel()
	server := servers.MLflow(t)
	tr := tracker(t, config(server))
	ctx := t.Context()
	r, err := tr.Start(ctx, track.Spec{Experiment: "python", Name: "train", Key: "python", Start: epoch})
	must(t, err)
	for name, text := range map[string]string{
		"model/MLmodel": mlmodelText, "model/code/salescast_loader_test.py": loaderModule, "model/data/factor.txt": "3", "notes.txt": "größe",
	} {
		must(t, r.Artifact(ctx, name, strings.NewReader(text), int64(len(text))))
	}
	must(t, r.Params(ctx, map[string]string{"depth": "6"}),
		r.Metrics(ctx, []track.Metric{{Name: "valid/wape", Value: 0.25, Step: 3, At: epoch}}),
		r.Dataset(ctx, track.Dataset{Name: "bakery", Digest: "0123456789abcdef", URI: "s3://b/panel.parquet", Context: "training"}),
		r.Model(ctx, track.LoggedModel{Name: "factor", Path: "model", Metrics: []track.Metric{{Name: "test/wape", Value: 0.5, At: epoch}}}),
		r.End(ctx, track.Finished, epoch))
	registry := mlflow.NewRegistry(tr)
	v, err := registry.Create(ctx, track.NewVersion{Model: "python", Key: "python", Source: "runs:/" + r.ID() + "/model", RunID: r.ID()})
	must(t, err, registry.SetAlias(ctx, "python", "champion", v.Version))

	program, want := script, wantPython
	if has3 {
		program, want = script+script3, want+"[True] [('test/wape', 0.5, True)]\n"
	}
	cmd := exec.CommandContext(ctx, servers.Tool(t, "venvs/mlflow-"+servers.MLflowVersion()+"/bin/python"), "-W", "ignore", "-c", program)
	cmd.Env = []string{"MLFLOW_TRACKING_URI=" + server.URL, "HOME=" + t.TempDir(), "TMPDIR=" + t.TempDir(), "PATH=/usr/bin:/bin", "MLFLOW_DISABLE_TELEMETRY=true", "PYTHONIOENCODING=utf-8"}
	out, err := cmd.Output()
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		t.Fatalf("%v\n%s", err, e.Stderr)
	}
	must(t, err)
	if string(out) != want {
		t.Errorf("Python says\n%swant\n%s", out, want)
	}
}
