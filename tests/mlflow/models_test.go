package mlflowtest

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"salescast/pkg/feature"
	"salescast/pkg/panel"
	"salescast/pkg/regress/engines"
	"salescast/pkg/regress/regresstest"
	"salescast/tests/servers"
)

const shopConfig = `data:
  source: sales.csv
  keys: [shop, item]
  known_future: [promo]
forecast:
  horizon: 14
backtest:
  origins: 2
models: [xgboost, lightgbm, smoothing]
params:
  xgboost: {rounds: 20}
  lightgbm: {rounds: 20}
register:
  enabled: true
  stages: true
`

// shopSales writes a year of eight series whose weekdays and promotions matter; the plan goes on for the horizon.
func shopSales(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	must(t, err)
	w := csv.NewWriter(f)
	must(t, w.Write([]string{"shop", "item", "date", "sales", "promo"}))
	r := rand.New(rand.NewPCG(3, 5))
	for s := range 8 {
		for d := range 414 {
			promo := r.IntN(8) / 7
			sales := strconv.Itoa(int(math.Exp(3+0.1*float64(s)+0.4*float64(promo)+0.2*r.NormFloat64()) * (1 + 0.1*float64(d%7))))
			if d >= 400 {
				sales = ""
			}
			day := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, d).Format(time.DateOnly)
			must(t, w.Write([]string{fmt.Sprint("s", s%2), fmt.Sprint("i", s/2), day, sales, strconv.Itoa(promo)}))
		}
	}
	w.Flush()
	must(t, w.Error(), f.Close())
}

// rowsOfFeatures writes random rows for a member's features, and what its trees say to them here: of the first seed, and the mean of all.
func rowsOfFeatures(t *testing.T, member, to string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(member, "plan.json"))
	must(t, err)
	plan, err := feature.ParsePlan(b)
	must(t, err)
	models, err := filepath.Glob(filepath.Join(member, "model-*"))
	must(t, err)
	if len(models) < 2 {
		t.Fatalf("the member has the models %v, want several seeds", models)
	}
	e := engines.New(engines.Config{EngineDir: regresstest.EngineDir(t), CacheDir: t.TempDir(), Threads: 1})
	defer e.Close()

	const rows = 200
	names := plan.Names()
	x := &panel.Frame{Names: names}
	x.Resize(rows)
	r := rand.New(rand.NewPCG(1, 2))
	for c := range names {
		for i := range rows {
			x.Column(c)[i] = float32(r.NormFloat64() * 10)
			if r.IntN(20) == 0 {
				x.Column(c)[i] = float32(math.NaN())
			}
		}
	}
	var first []float32
	mean := make([]float64, rows)
	for _, name := range models {
		open, err := e.Open(map[string]string{".ubj": "xgboost.ubj", ".txt": "lightgbm.txt"}[filepath.Ext(name)])
		must(t, err)
		f, err := os.Open(name)
		must(t, err)
		m, err := open(f)
		must(t, err, f.Close())
		y := make([]float32, rows)
		must(t, m.Predict(t.Context(), x, y), m.Close())
		if first == nil {
			first = y
		}
		for i := range y {
			mean[i] += math.Max(float64(y[i]), 0) / float64(len(models))
		}
	}
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	must(t, w.Write(append(append([]string{}, names...), "first", "mean")))
	text := func(v float64) string {
		if v != v {
			return ""
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	for i := range rows {
		var row []string
		for c := range names {
			row = append(row, text(float64(x.Column(c)[i])))
		}
		must(t, w.Write(append(row, text(float64(first[i])), text(mean[i]))))
	}
	w.Flush()
	must(t, w.Error(), os.WriteFile(to, out.Bytes(), 0o600))
}

const loadModels = `
import json, sys
import mlflow, numpy, pandas, xgboost
shop = sys.argv[1]
said = {}
for engine, predict in (
    ("xgboost", lambda m, x: m.predict(xgboost.DMatrix(x))),
    ("lightgbm", lambda m, x: m.predict(x)),
):
    rows = pandas.read_csv(f"{shop}/{engine}.csv", float_precision="round_trip")
    x = rows.drop(columns=["first", "mean"]).astype("float64")
    uri = f"models:/sales_forecast_{engine}@champion"
    native = predict(getattr(mlflow, engine).load_model(uri), x)
    model = mlflow.pyfunc.load_model(uri)
    said[engine] = [
        float(abs(numpy.float32(native) - rows["first"].to_numpy("float32")).max()),
        float(abs(model.predict(x) - rows["mean"].to_numpy()).max()),
        float((rows["first"] == rows["mean"]).all()),
    ]
    assert len(set(rows["first"])) > 20, "the trees say the same of everything"
    assert model.metadata.metadata["salescast_seeds"] == 3, model.metadata.metadata
history = pandas.read_csv(f"{shop}/sales.csv", parse_dates=["date"])
model = mlflow.pyfunc.load_model("models:/sales_forecast_ensemble@champion")
said["inputs"], said["values"] = model.metadata.signature.inputs.input_names(), model.metadata.signature.outputs.input_names()
example = model.input_example
said["example"] = [len(example), len(model.predict(example))]
got = model.predict(history)
want = pandas.read_csv(f"{shop}/w/forecast/forecast.csv", parse_dates=["date", "cutoff"])
assert (got[["shop", "item", "date"]] == want[["shop", "item", "date"]]).all(axis=None)
values = ["forecast", "q025", "q10", "q25", "q50", "q75", "q90", "q975"]
said["ensemble"] = float(abs(got[values] - want[values]).max(axis=None))
alone = mlflow.pyfunc.load_model("models:/sales_forecast_smoothing@champion").predict(history)
want = pandas.read_csv(f"{shop}/smoothing.csv", parse_dates=["date", "cutoff"])
said["smoothing"] = float(abs(alone["forecast"] - want["forecast"]).max())
try:
    mlflow.pyfunc.load_model("models:/sales_forecast_ensemble@champion").predict(history.drop(columns="promo"))
except ValueError as e:
    said["missing"] = str(e)
v = mlflow.MlflowClient().get_model_version_by_alias("sales_forecast_ensemble", "champion")
said["stage"], said["decision"] = v.current_stage, v.tags["salescast.decision"]
outputs = mlflow.get_run(v.run_id).outputs
said["source"], said["outputs"] = v.source, [f"models:/{o.model_id}" for o in outputs.model_outputs] if outputs else []
said["run"] = v.run_id
print(json.dumps(said))
`

// Python's own clients load from the registry what a run registered, and predict with it what salescast does.
func TestRegisteredModels(t *testing.T) {
	t.Parallel()
	server := servers.MLflow(t)
	shop := t.TempDir()
	binary := filepath.Join(t.TempDir(), "salescast")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "salescast/cmd/salescast").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	must(t, os.WriteFile(filepath.Join(shop, "salescast.yaml"), []byte(shopConfig), 0o600))
	shopSales(t, filepath.Join(shop, "sales.csv"))
	env := []string{
		"MLFLOW_TRACKING_URI=" + server.URL, "HOME=" + t.TempDir(), "TMPDIR=" + t.TempDir(), "PATH=/usr/bin:/bin", "SALESCAST_ENGINE_DIR=" + regresstest.EngineDir(t),
		"SALESCAST_BIN=" + binary, "MLFLOW_DISABLE_TELEMETRY=true",
	}
	run := func(program string, args ...string) []byte {
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Env, cmd.Dir = env, shop
		out, err := cmd.Output()
		if e, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("%s %v: %v\n%s%s", program, args, err, out, e.Stderr)
		}
		must(t, err)
		return out
	}
	run(binary, "run", "-w", "w")
	for _, engine := range []string{"xgboost", "lightgbm"} {
		rowsOfFeatures(t, filepath.Join(shop, "w", "train", engine), filepath.Join(shop, engine+".csv"))
	}
	must(t, os.WriteFile(filepath.Join(shop, "smoothing.csv"), run(binary, "forecast", "--model", filepath.Join("w", "train", "smoothing"), "--input", "sales.csv"), 0o600))
	var said struct {
		XGBoost, LightGBM        [3]float64
		Ensemble, Smoothing      float64
		Inputs, Values           []string
		Example                  [2]int
		Missing, Stage, Decision string
		Source, Run              string
		Outputs                  []string
	}
	must(t, json.Unmarshal(run(servers.Tool(t, "venvs/mlflow-3.17/bin/python"), "-W", "ignore", "-c", loadModels, shop), &said))
	t.Logf("%+v", said)
	if said.XGBoost != [3]float64{} || said.LightGBM != [3]float64{} {
		t.Errorf("trees differ by %v and %v, want not at all, and seeds that differ", said.XGBoost, said.LightGBM)
	}
	if !(said.Ensemble <= 1e-6) || said.Smoothing != 0 {
		t.Errorf("the forecasts of the ensemble differ by %v, of smoothing by %v", said.Ensemble, said.Smoothing)
	}
	if want := []string{"shop", "item", "date", "sales", "promo"}; !slices.Equal(said.Inputs, want) {
		t.Errorf("the ensemble's signature has the inputs %v, want %v", said.Inputs, want)
	}
	if want := []string{"shop", "item", "date", "cutoff", "horizon", "forecast", "q025", "q10", "q25", "q50", "q75", "q90", "q975"}; !slices.Equal(said.Values, want) {
		t.Errorf("the ensemble's signature has the outputs %v, want %v", said.Values, want)
	}
	if said.Example[0] < 100 || said.Example[1] != 14 {
		t.Errorf("the input example has %d rows and is forecast %d steps, want 14", said.Example[0], said.Example[1])
	}
	if said.Stage != "Production" || said.Decision != "promoted" {
		t.Errorf("the champion: %+v", said)
	}
	// MLflow 3 knows the model by itself and names it among its run's outputs; before, a version points into its run's artifacts.
	if has3 && !slices.Equal(said.Outputs, []string{said.Source}) || !isModelOf(said.Source, said.Run) {
		t.Errorf("the champion of run %s is registered from %q, the run's outputs are %q", said.Run, said.Source, said.Outputs)
	}
	if want := "the columns ['promo'] are missing"; !bytes.HasPrefix([]byte(said.Missing), []byte(want)) {
		t.Errorf("a table without a column: %q, want %q", said.Missing, want)
	}

	// The registered model forecasts without a workspace, and into another one.
	forecast, err := os.ReadFile(filepath.Join(shop, "w", "forecast", "forecast.csv"))
	must(t, err)
	if got := run(binary, "forecast", "--model", "models:/sales_forecast_ensemble@champion", "--input", "sales.csv"); !bytes.Equal(got, forecast) {
		t.Error("a forecast with the champion differs from that of the workspace")
	}
	// Nor does it need the workspace that made it: the server has its files. A candidate is compared with it all the same.
	must(t, os.Rename(filepath.Join(shop, "w"), filepath.Join(shop, "gone")))
	for _, model := range []string{"models:/sales_forecast_ensemble@champion", "models:/sales_forecast_ensemble/1"} {
		if got := run(binary, "forecast", "--model", model, "--input", "sales.csv"); !bytes.Equal(got, forecast) {
			t.Errorf("without the workspace a forecast with %s differs", model)
		}
	}
	run(binary, "forecast", "-w", "v", "--model", "models:/sales_forecast_ensemble/1")
	if got, err := os.ReadFile(filepath.Join(shop, "v", "forecast", "forecast.csv")); err != nil || !bytes.Equal(got, forecast) {
		t.Errorf("a forecast with version 1 in another workspace differs (%v)", err)
	}
	candidate := exec.CommandContext(t.Context(), binary, "run", "-w", "c", "-o", "json", "--set", "seed=7")
	candidate.Env, candidate.Dir = env, shop
	if out, err := candidate.CombinedOutput(); candidate.ProcessState.ExitCode() != 0 && candidate.ProcessState.ExitCode() != 10 {
		t.Errorf("a candidate, without the champion's workspace: %v\n%s", err, out)
	}
	b, err := os.ReadFile(filepath.Join(shop, "c", "register", "decisions.json"))
	must(t, err)
	var decided struct {
		Models []struct{ Model, Against string }
	}
	must(t, json.Unmarshal(b, &decided))
	for _, d := range decided.Models {
		if d.Against != "champion version 1" {
			t.Errorf("%s was compared with %s", d.Model, d.Against)
		}
	}
	if len(decided.Models) != 4 {
		t.Errorf("decisions of %d models, want those of three members and the ensemble", len(decided.Models))
	}

	// A run that was kept in its workspace is brought to MLflow when it is registered there.
	env = append(env, "MLFLOW_TRACKING_URI=")
	run(binary, "run", "-w", "u", "--set", "register.enabled=false", "--set", "models=[xgboost]")
	env = append(env, "MLFLOW_TRACKING_URI="+server.URL)
	run(binary, "register", "-w", "u", "--models", "xgboost", "--prefix", "late")
	var late struct {
		Source string
		RunID  string `json:"run_id"`
	}
	must(t, json.Unmarshal(run(binary, "models", "show", "late_ensemble", "-o", "json"), &late))
	if !isModelOf(late.Source, late.RunID) {
		t.Errorf("a run that was brought to MLflow later is registered from %q", late.Source)
	}
}

// isModelOf says whether source is a model that run recorded: a model by itself since MLflow 3, a folder of its artifacts before.
func isModelOf(source, run string) bool {
	if has3 {
		return strings.HasPrefix(source, "models:/m-")
	}
	return run != "" && strings.Contains(source, "/"+run+"/artifacts/")
}
