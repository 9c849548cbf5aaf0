package dl

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// pythonTimeout bounds the question to an interpreter that hangs.
const pythonTimeout = 20 * time.Second

// inPython finds the library inside an installed Python package by asking the interpreter for its path.
func inPython(ctx context.Context, python, name string) (path, version string, err error) {
	ctx, cancel := context.WithTimeout(ctx, pythonTimeout)
	defer cancel()
	// The module's folder is found without importing it: an import would load numpy and the library.
	const script = `import importlib.util, importlib.metadata, sys
s = importlib.util.find_spec(sys.argv[1])
v = ""
for d in sys.argv[2:]:
    try: v = importlib.metadata.version(d); break
    except importlib.metadata.PackageNotFoundError: pass
print(list(s.submodule_search_locations)[0] if s and s.submodule_search_locations else ""); print(v)`
	file, packages := "libxgboost", []string{"xgboost-cpu", "xgboost"}
	if name == LightGBM {
		file, packages = "lib_lightgbm", []string{"lightgbm"}
	}
	out, err := exec.CommandContext(ctx, python, append([]string{"-c", script, name}, packages...)...).Output() // #nosec G204 -- the Python on PATH
	if err != nil {
		return "", "", fmt.Errorf("ask %s for package %s: %w", python, name, err)
	}
	dir, version, _ := strings.Cut(strings.TrimRight(string(out), "\n"), "\n")
	if dir == "" {
		return "", "", fmt.Errorf("%s has no package %s", python, name)
	}
	for _, ext := range []string{".so", ".dylib"} {
		path = filepath.Join(dir, "lib", file+ext)
		if _, err = os.Stat(path); err == nil {
			return path, version, nil
		}
	}
	return "", "", err
}
