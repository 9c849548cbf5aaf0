package regresstest

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// EngineDir returns the folder of the engines' libraries for tests: SALESCAST_ENGINE_DIR, or what make engines put into the source tree.
// Without either the test fails: nothing about engines can be proved without them.
func EngineDir(tb testing.TB) string {
	tb.Helper()
	if dir := os.Getenv("SALESCAST_ENGINE_DIR"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for ; filepath.Dir(dir) != dir; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
	}
	dir = filepath.Join(dir, ".engines", runtime.GOOS+"_"+runtime.GOARCH)
	if _, err := os.Stat(filepath.Join(dir, "engines.json")); err != nil {
		tb.Fatalf("the engines' libraries are not there: run make engines (%v)", err)
	}
	return dir
}
