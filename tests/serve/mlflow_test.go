package servetest

import (
	"encoding/json"
	"errors"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"salescast/tests/servers"
)

// scoring asks the model that Python's MLflow loads from the registry, and its own scoring server, and ours, the same.
const scoring = `
import json, socket, sys, threading, time, urllib.error, urllib.request
import mlflow, pandas, uvicorn
from mlflow.pyfunc import scoring_server

url, source = sys.argv[1:]
model = mlflow.pyfunc.load_model("models:/sales_forecast_ensemble@champion")
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
server = uvicorn.Server(uvicorn.Config(scoring_server.init(model), log_level="critical"))
threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True).start()
while not server.started:
    time.sleep(0.05)
other_url = f"http://127.0.0.1:{listener.getsockname()[1]}"

def ours(method, path, body=None, kind="application/json", of=url):
    r = urllib.request.Request(of + path, body, {"Content-Type": kind} if body is not None else {}, method=method)
    try:
        with urllib.request.urlopen(r) as a:
            return a.status, a.headers["Content-Type"], a.read()
    except urllib.error.HTTPError as e:
        return e.code, e.headers["Content-Type"], e.read()

rows = pandas.read_csv(source, dtype={"store": str, "item": str}, float_precision="round_trip")
rows["date"] = rows["date"].astype(str)
split = json.loads(rows.to_json(orient="split"))
records = json.loads(rows.to_json(orient="records"))
bodies = {
    "split": ({"dataframe_split": split}, None),
    "split without an index": ({"dataframe_split": {k: split[k] for k in ("columns", "data")}}, None),
    "records": ({"dataframe_records": records}, None),
    "inputs": ({"inputs": json.loads(json.dumps(rows.astype(object).where(rows.notna(), None).to_dict(orient="list")))}, None),
    "instances": ({"instances": records}, None),
    "csv": (rows.to_csv(index=False), "text/csv"),
    "csv of a named charset": (rows.to_csv(index=False), "text/csv; charset=utf-8"),
    "two forms": ({"dataframe_records": records[:1], "dataframe_split": split}, None),
    "no form": ({}, None),
    "a list": (records[:1], None),
    "no JSON": ("{", "application/json"),
    "another type": ("x", "image/png"),
    "a parameter of the type": (json.dumps({"dataframe_records": records[:1]}), "application/json; version=1"),
    "a column missing": ({"dataframe_records": json.loads(rows.drop(columns="promo").to_json(orient="records"))}, None),
}
want = model.predict(rows.assign(date=pandas.to_datetime(rows["date"])))
values = [c for c in want.columns if c == "forecast" or c.startswith("q")]
said = {"largest": 0.0, "status": {}, "columns": []}
for name, (body, kind) in bodies.items():
    raw = (body if isinstance(body, str) else json.dumps(body)).encode()
    mine = ours("POST", "/invocations", raw, kind or "application/json")
    if name in ("split", "records", "two forms", "no form", "a list", "no JSON", "another type", "a parameter of the type"):
        other = ours("POST", "/invocations", raw, kind or "application/json", other_url)
        said["status"][name] = [mine[0], other[0]]
        shapes = [sorted(json.loads(mine[2]))]
        if other[0] != 415:
            shapes.append(sorted(k for k in json.loads(other[2]) if k != "stack_trace"))
            assert set(shapes[0]) <= set(shapes[1]), (name, shapes)
        if other[0] == 200:
            a, b = json.loads(mine[2])["predictions"], json.loads(other[2])["predictions"]
            assert [sorted(r) for r in a] == [sorted(r) for r in b], (a[0], b[0])
            assert [[r[k] for k in ("store", "item", "date", "cutoff", "horizon")] for r in a] == [[r[k] for k in ("store", "item", "date", "cutoff", "horizon")] for r in b], (a[0], b[0])
    else:
        said["status"][name] = [mine[0], mine[0]]
    if mine[0] == 200:
        got = pandas.DataFrame(json.loads(mine[2])["predictions"])
        said["largest"] = max(said["largest"], float((abs(got[values] - want[values]) / (1 + abs(want[values]))).max(axis=None)))
        said["columns"].append(len(got))
for path in ("/ping", "/health", "/version"):
    said["status"][path] = [ours("GET", path)[0], ours("GET", path, of=other_url)[0]]
said["status"]["GET"] = [ours("GET", "/invocations")[0], ours("GET", "/invocations", of=other_url)[0]]
print(json.dumps(said))
`

// move sets the alias to a version, of which one is made where its source is given.
const move = `
import sys, mlflow
client = mlflow.MlflowClient()
name, version = "sales_forecast_ensemble", sys.argv[1]
if len(sys.argv) > 2:
    version = client.create_model_version(name, sys.argv[2]).version
client.set_registered_model_alias(name, "champion", version)
print(version)
`

// The champion of a real MLflow whose artifacts and workspaces lie on a real object store is served: what Python's MLflow predicts with it is
// what the server answers, in every form of the scoring protocol. Where the alias moves the server follows, a version that cannot be loaded
// leaves the one before at work, and so do a registry and a store that are away, until they are back.
func TestChampionOfMLflow(t *testing.T) {
	t.Parallel()
	b := open(t)
	store, tracker := servers.MinIO(t), servers.MLflow(t)
	client, err := minio.New(strings.TrimPrefix(store.URL, "http://"), &minio.Options{Creds: credentials.NewStaticV4(servers.AccessKey, servers.SecretKey, "")})
	must(t, err, client.MakeBucket(t.Context(), "sales", minio.MakeBucketOptions{}))
	env := []string{
		"MLFLOW_TRACKING_URI=" + tracker.URL, "AWS_ENDPOINT_URL=" + store.URL, "AWS_ACCESS_KEY_ID=" + servers.AccessKey, "AWS_SECRET_ACCESS_KEY=" + servers.SecretKey,
		"MLFLOW_DISABLE_TELEMETRY=true", "SALESCAST_BIN=" + b.binary, "HOME=" + t.TempDir(),
	}
	few := slices.DeleteFunc(b.upTo(b.end), func(r []string) bool {
		return r[0] != "store" && (r[0] != "B002" && r[0] != "B003" && r[0] != "B004" || r[2] < "2017-06-01")
	})
	begun := time.Now()
	must(t, b.run("registered.csv", "s3://sales/runs/1", "params:\n  xgboost: {rounds: 20}\n  lightgbm: {rounds: 20}\nregister:\n  enabled: true\n", few, env...))
	python := func(script string, args ...string) []byte {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), servers.Tool(t, "venvs/mlflow-3.17/bin/python"), append([]string{"-W", "ignore", "-c", script}, args...)...)
		cmd.Dir, cmd.Env = b.folder, append(append(b.env(), env...), "TMPDIR="+t.TempDir())
		out, err := cmd.Output()
		if e, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("%v\n%s", err, e.Stderr)
		}
		must(t, err)
		return out
	}
	s := b.serve(t, env, "--model", "models:/sales_forecast_ensemble@champion", "--poll", "200ms")

	var said struct {
		Largest float64
		Status  map[string][2]int
		Columns []int
	}
	must(t, json.Unmarshal(python(scoring, s.url, filepath.Join(b.folder, "registered.csv")), &said))
	t.Logf("%+v", said)
	if said.Largest > 1e-6 || len(said.Columns) != 7 {
		t.Errorf("the answers differ from pyfunc's by %v in %d forms", said.Largest, len(said.Columns))
	}
	if got := said.Status["a column missing"][0]; got != http.StatusBadRequest {
		t.Errorf("a table without a column: %d", got)
	}
	for name, codes := range said.Status {
		if codes[0] != codes[1] {
			t.Errorf("%s: ours is %d, MLflow's scoring server answers %d", name, codes[0], codes[1])
		}
	}

	served := func(version, failure string) {
		t.Helper()
		var out []byte
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			out = s.get(t, "/v1/models")
			var a struct {
				Models   []struct{ Version string }
				Failures []struct{ Message string }
			}
			must(t, json.Unmarshal(out, &a))
			if a.Models[0].Version == version && (len(a.Failures) > 0) == (failure != "") && (failure == "" || strings.Contains(a.Failures[0].Message, failure)) {
				return
			}
			var f answer
			s.ask(t, map[string]any{"horizon": 1}, &f)
		}
		t.Fatalf("no version %s with the failure %q: %s", version, failure, out)
	}
	served("1", "")
	second := strings.TrimSpace(string(python(move, "", "s3://sales/runs/1/ensemble")))
	served(second, "")
	broken := strings.TrimSpace(string(python(move, "", "s3://sales/nothing")))
	served(second, "nothing")
	if broken == second {
		t.Fatal("no version is broken")
	}
	python(move, "1")
	served("1", "")
	tracker.Stop(t)
	away := time.Now()
	served("1", "the registry cannot be asked") // which asks for forecasts meanwhile
	if took := time.Since(away); took > 20*time.Second {
		t.Errorf("it took %v to say that the registry is away", took)
	}
	var list struct {
		Models   []struct{ Created time.Time }
		Failures []struct{ Since time.Time }
	}
	must(t, json.Unmarshal(s.get(t, "/v1/models"), &list))
	if since := list.Failures[0].Since; since.Before(away.Add(-time.Minute)) || since.After(time.Now()) || !strings.Contains(s.log.String(), "the registry cannot be asked") {
		t.Errorf("the registry is away since %v, said is %v, and the log has\n%s", away, since, s.log)
	}
	if created := list.Models[0].Created; created.Before(begun.Add(-time.Second)) || created.After(away) {
		t.Errorf("the version was registered after %v, said is %v", begun, created)
	}
	tracker.Start(t, "/health")
	served("1", "")

	python(move, second)
	served(second, "")
	store.Stop(t)
	away = time.Now()
	python(move, "1")
	served(second, "s3://sales/runs/1/ensemble")
	if took := time.Since(away); took > 30*time.Second {
		t.Errorf("it took %v to say that the store is away", took)
	}
	store.Start(t, "/minio/health/live")
	served("1", "")
}
