package bundle

import (
	"context"
	"crypto/sha256"
	_ "embed" // loader.py
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"salescast/pkg/columnar"
	"salescast/pkg/forecast/member"
	"salescast/pkg/forecast/prophet"
)

// MLmodelName is the file that makes a folder a model of MLflow.
const MLmodelName = "MLmodel"

// The Python packages that open the trees, in the versions that their predictions are compared with.
const (
	pythonVersion  = "3.11"
	pythonXGBoost  = "xgboost-cpu==3.2.0"
	pythonLightGBM = "lightgbm==4.7.0"
	pythonPandas   = "pandas"
	pythonProphet  = "prophet==" + prophet.Version
	pythonMLflow   = "mlflow>=2.9"
	// pythonAnyType is the first release that knows columns of any type.
	pythonAnyType = "mlflow>=2.20"
)

//go:embed loader.py
var loader string

//go:embed trees.py
var treesLoader string

// module is the name of a Python file in a model. It carries the file's own hash, because Python keeps one module of a name in a
// process: two models of different versions would else run the code of the first.
func module(stem, text string) string {
	sum := sha256.Sum256([]byte(text))
	return stem + "_" + hex.EncodeToString(sum[:4])
}

// writeModule writes a Python file and returns its module's name.
func writeModule(ctx context.Context, w Writer, stem, text string) (string, error) {
	name := module(stem, text)
	return name, w.WriteFile(ctx, path.Join("code", name+".py"), []byte(text))
}

// Table is what a model reads and gives, as MLflow shows it.
type Table struct {
	// Inputs are the columns of history and plan, Levels the quantiles of the forecast beside its mean.
	Time   string
	Keys   []string
	Inputs []string
	Levels []float64
	// Example are a few series of history and plan, one row per value of Inputs; it may be empty.
	Example [][]any
}

// the name of the input example, and the column types of MLflow.
const (
	exampleName  = "input_example.json"
	typeAny      = "any"
	typeString   = "string"
	typeDouble   = "double"
	typeLong     = "long"
	typeDatetime = "datetime"
)

type column struct {
	Type string `json:"type"`
	Name string `json:"name"`
}

// columnsText is a list of columns as it stands in an MLmodel, in quotes of YAML. It says nothing of what is required: old readers stumble
// over that.
func columnsText(all []column) (string, error) {
	b, err := json.Marshal(all)
	if err != nil {
		return "", fmt.Errorf("encode signature: %w", err)
	}
	return "'" + strings.ReplaceAll(string(b), "'", "''") + "'", nil
}

// signature takes columns of any type: whole numbers, dates and keys come from Python in several, and the program reads them all.
func (t Table) signature() (string, error) {
	in := make([]column, len(t.Inputs))
	for i, name := range t.Inputs {
		in[i] = column{typeAny, name}
	}
	var out []column
	for _, name := range t.Keys {
		out = append(out, column{typeString, name})
	}
	out = append(out, column{typeDatetime, "date"}, column{typeDatetime, "cutoff"}, column{typeLong, "horizon"}, column{typeDouble, "forecast"})
	for _, q := range t.Levels {
		out = append(out, column{typeDouble, columnar.QuantileName(q)})
	}
	inputs, err := columnsText(in)
	if err != nil {
		return "", err
	}
	outputs, err := columnsText(out)
	return "signature:\n  inputs: " + inputs + "\n  outputs: " + outputs + "\n", err
}

// writeExample writes the input example and returns what an MLmodel says of it.
func (t Table) writeExample(ctx context.Context, w Writer) (string, error) {
	if len(t.Example) == 0 {
		return "", nil
	}
	b, err := json.Marshal(struct {
		Columns []string `json:"columns"`
		Data    [][]any  `json:"data"`
	}{t.Inputs, t.Example})
	if err != nil {
		return "", fmt.Errorf("encode %s: %w", exampleName, err)
	}
	return "saved_input_example_info: {artifact_path: " + exampleName + ", pandas_orient: split, type: dataframe}\n", w.WriteFile(ctx, exampleName, b)
}

// WriteMLmodel makes the folder of a bundle also a model of MLflow, which Python loads as a python_function. Its predict takes history
// and plan as a table, with the columns that input.json of the same folder names, and runs the salescast program. It needs no pickle.
func WriteMLmodel(ctx context.Context, w Writer, t Table) error {
	name, err := writeModule(ctx, w, "salescast_model", loader)
	if err != nil {
		return err
	}
	if err := writePython(ctx, w, pythonAnyType, pythonPandas); err != nil {
		return err
	}
	signature, err := t.signature()
	if err != nil {
		return err
	}
	example, err := t.writeExample(ctx, w)
	if err != nil {
		return err
	}
	return w.WriteFile(ctx, MLmodelName, fmt.Appendf(nil, `flavors:
  python_function:
    code: code
    env: {virtualenv: python_env.yaml}
    loader_module: %s
    python_version: %q
%s%s`, name, pythonVersion, example, signature))
}

// MLmodelVersion changes with what is written beside a model for MLflow.
func MLmodelVersion() string { return module("2", loader+treesLoader) }

// flavor is how Python opens the trees of an engine.
type flavor struct{ name, pip, settings string }

func flavorOf(engine string) (flavor, bool) {
	switch engine {
	case "xgboost":
		return flavor{"xgboost", pythonXGBoost, "model_class: xgboost.core.Booster\n    model_format: ubj"}, true
	case "lightgbm":
		return flavor{"lightgbm", pythonLightGBM, "model_class: lightgbm.basic.Booster"}, true
	}
	return flavor{}, false
}

// MemberFlavors are the names under which MLflow opens a member.
func MemberFlavors(m *member.Model) []string {
	if m.Kind == member.Trees {
		if f, ok := flavorOf(m.Trees.Spec().Engine); ok {
			return []string{f.name, "python_function"}
		}
	}
	return []string{"python_function"}
}

// WriteMemberMLmodel makes the folder of a member, written by WriteAlone, also a model of MLflow. Of trees that Python can open it
// predicts what they say of rows of features, on the scale that they were trained on: the engine's own flavor opens those of the first
// seed, python_function gives the mean of all. Any other member takes and gives what a bundle does.
func WriteMemberMLmodel(ctx context.Context, w Writer, m *member.Model, t Table) error {
	if m.Kind != member.Trees {
		return WriteMLmodel(ctx, w, t)
	}
	f, ok := flavorOf(m.Trees.Spec().Engine)
	if !ok {
		return WriteMLmodel(ctx, w, t)
	}
	var features []column
	for _, name := range m.Trees.Plan().Names() {
		features = append(features, column{typeDouble, name})
	}
	inputs, err := columnsText(features)
	if err != nil {
		return err
	}
	if err := writePython(ctx, w, pythonMLflow, f.pip, pythonPandas); err != nil {
		return err
	}
	seeds := len(m.Trees.Engines())
	file := "model-1" + path.Ext(m.Trees.Engines()[0].Format())
	generic, metadata := "data: "+file+"\n    loader_module: mlflow."+f.name, ""
	if seeds > 1 {
		name, err := writeModule(ctx, w, "salescast_trees", treesLoader)
		if err != nil {
			return err
		}
		generic = "code: code\n    loader_module: " + name
		metadata = fmt.Sprintf("metadata: {salescast_seeds: %d, salescast_note: 'the flavor %s opens %s, one of %d boosters; python_function gives their mean, which the member forecasts with'}\n",
			seeds, f.name, file, seeds)
	}
	return w.WriteFile(ctx, MLmodelName, fmt.Appendf(nil, `flavors:
  %s:
    data: %s
    %s
  python_function:
    %s
    env: {virtualenv: python_env.yaml}
    python_version: %q
%ssignature:
  inputs: %s
  outputs: '[{"type":"tensor","tensor-spec":{"dtype":"float64","shape":[-1]}}]'
`, f.name, file, f.settings, generic, pythonVersion, metadata, inputs))
}

// WriteProphet writes a Prophet model of one series as the model of MLflow that mlflow.prophet would write. Table t has the columns that
// it is asked with, ds and the regressors, and as its example the times that were planned.
func WriteProphet(ctx context.Context, w Writer, m *prophet.Model, t Table) error {
	const file = "model.pr"
	var text strings.Builder
	if err := m.Save(&text); err != nil {
		return err
	}
	// The file is a text of JSON inside a text of JSON.
	b, err := json.Marshal(text.String())
	if err != nil {
		return fmt.Errorf("encode %s: %w", file, err)
	}
	if err := w.WriteFile(ctx, file, b); err != nil {
		return err
	}
	if err := writePython(ctx, w, pythonMLflow, pythonProphet); err != nil {
		return err
	}
	example, err := t.writeExample(ctx, w)
	if err != nil {
		return err
	}
	return w.WriteFile(ctx, MLmodelName, fmt.Appendf(nil, `flavors:
  prophet:
    data: %s
    model_type: Prophet
    prophet_version: %s
  python_function:
    data: %s
    env: {virtualenv: python_env.yaml}
    loader_module: mlflow.prophet
    python_version: %q
%s`, file, prophet.Version, file, pythonVersion, example))
}

func writePython(ctx context.Context, w Writer, packages ...string) error {
	text := strings.Join(packages, "\n") + "\n"
	if err := w.WriteFile(ctx, "requirements.txt", []byte(text)); err != nil {
		return err
	}
	return w.WriteFile(ctx, "python_env.yaml", fmt.Appendf(nil, "python: %q\nbuild_dependencies: [pip]\ndependencies: [-r requirements.txt]\n", pythonVersion))
}
