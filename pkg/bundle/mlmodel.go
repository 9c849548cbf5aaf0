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

	"salescast/pkg/forecast/global"
	"salescast/pkg/forecast/member"
)

// MLmodelName is the file that makes a folder a model of MLflow.
const MLmodelName = "MLmodel"

// The Python packages that open the trees, in the versions that their predictions are compared with.
const (
	pythonVersion  = "3.11"
	pythonXGBoost  = "xgboost-cpu==3.2.0"
	pythonLightGBM = "lightgbm==4.7.0"
	pythonPandas   = "pandas"
)

//go:embed loader.py
var loader string

// loaderModule is the name of loader.py in a model. It carries the file's own hash, because Python keeps one module of a name in a
// process: two models of different versions would else run the code of the first.
func loaderModule() string {
	sum := sha256.Sum256([]byte(loader))
	return "salescast_model_" + hex.EncodeToString(sum[:4])
}

// WriteMLmodel makes the folder of a bundle also a model of MLflow, which Python loads as a python_function. Its predict takes history
// and plan as a table, with the columns that input.json of the same folder names, and runs the salescast program. It needs no pickle.
func WriteMLmodel(ctx context.Context, w Writer) error {
	name := loaderModule()
	if err := w.WriteFile(ctx, path.Join("code", name+".py"), []byte(loader)); err != nil {
		return err
	}
	if err := writePython(ctx, w, pythonPandas); err != nil {
		return err
	}
	return w.WriteFile(ctx, MLmodelName, fmt.Appendf(nil, `flavors:
  python_function:
    code: code
    env: {virtualenv: python_env.yaml}
    loader_module: %s
    python_version: %q
`, name, pythonVersion))
}

// MLmodelVersion changes with what is written beside a model for MLflow.
func MLmodelVersion() string { return loaderModule() }

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

// MemberFlavors are the names under which MLflow opens a member; nil where Python has nothing to open it with.
func MemberFlavors(m *member.Model) []string {
	if m.Kind != member.Trees {
		return nil
	}
	f, ok := flavorOf(m.Trees.Spec().Engine)
	if !ok {
		return nil
	}
	return []string{f.name, "python_function"}
}

// WriteMemberMLmodel makes the folder of a member whose trees Python can open also a model of MLflow: of a member of several seeds, the
// trees of the first. It predicts what the trees do, on rows of features; sales come of it only in the ensemble.
func WriteMemberMLmodel(ctx context.Context, w Writer, m *member.Model) error {
	f, ok := flavorOf(m.Trees.Spec().Engine)
	if !ok {
		return fmt.Errorf("write %s: MLflow has no flavor of the engine %s", MLmodelName, m.Trees.Spec().Engine)
	}
	inputs, err := signature(m.Trees)
	if err != nil {
		return err
	}
	if err := writePython(ctx, w, f.pip, pythonPandas); err != nil {
		return err
	}
	file := "model-1" + path.Ext(m.Trees.Engines()[0].Format())
	return w.WriteFile(ctx, MLmodelName, fmt.Appendf(nil, `flavors:
  %s:
    data: %s
    %s
  python_function:
    data: %s
    env: {virtualenv: python_env.yaml}
    loader_module: mlflow.%s
    python_version: %q
signature:
  inputs: '%s'
  outputs: '[{"type":"tensor","tensor-spec":{"dtype":"float64","shape":[-1]}}]'
`, f.name, file, f.settings, file, f.name, pythonVersion, strings.ReplaceAll(inputs, "'", "''")))
}

// signature lists the features. It says nothing of what is required: old readers stumble over that.
func signature(m *global.Model) (string, error) {
	type column struct {
		Type string `json:"type"`
		Name string `json:"name"`
	}
	var all []column
	for _, name := range m.Plan().Names() {
		all = append(all, column{"double", name})
	}
	b, err := json.Marshal(all)
	if err != nil {
		return "", fmt.Errorf("encode signature: %w", err)
	}
	return string(b), nil
}

func writePython(ctx context.Context, w Writer, packages ...string) error {
	text := strings.Join(append([]string{"mlflow>=2.9"}, packages...), "\n") + "\n"
	if err := w.WriteFile(ctx, "requirements.txt", []byte(text)); err != nil {
		return err
	}
	return w.WriteFile(ctx, "python_env.yaml", fmt.Appendf(nil, "python: %q\nbuild_dependencies: [pip]\ndependencies: [-r requirements.txt]\n", pythonVersion))
}
