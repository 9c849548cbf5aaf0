package bundle_test

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"strings"
	"testing"

	"salescast/pkg/bundle"
)

// Python keeps one module of a name in a process, so the name must change with the text.
func TestLoaderIsNamedAfterItsText(t *testing.T) {
	t.Parallel()
	w := files{}
	if err := bundle.WriteMLmodel(t.Context(), w, bundle.Table{Inputs: []string{"it's"}, Levels: []float64{0.1}}); err != nil {
		t.Fatal(err)
	}
	code := 0
	for name, text := range w {
		module, ok := strings.CutSuffix(path.Base(name), ".py")
		if path.Dir(name) != "code" || !ok {
			continue
		}
		code++
		sum := sha256.Sum256(text)
		if want := "salescast_model_" + hex.EncodeToString(sum[:4]); module != want {
			t.Errorf("the module is named %s, want %s", module, want)
		}
		if !strings.Contains(string(w[bundle.MLmodelName]), "loader_module: "+module+"\n") {
			t.Errorf("MLmodel does not name %s:\n%s", module, w[bundle.MLmodelName])
		}
	}
	if code != 1 {
		t.Errorf("%d files of code, want 1", code)
	}
	for name := range w {
		if ext := path.Ext(name); ext == ".pkl" || ext == ".pickle" {
			t.Errorf("%s is a pickle", name)
		}
	}
}
