package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"salescast": main, "salescast-held": heldMain})
}

// Each script is one story of the command line; scriptwords_test.go has the words they have beyond testscript's own.
func TestScripts(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			engines := os.Getenv("SALESCAST_ENGINE_DIR")
			if engines == "" {
				engines = filepath.Join(root, ".engines", runtime.GOOS+"_"+runtime.GOARCH)
			}
			e.Setenv("SALESCAST_ENGINE_DIR", engines)
			e.Setenv("EXAMPLES", filepath.Join(root, "examples"))
			e.Setenv("NO_COLOR", "1")
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":   cmdExits,
			"json":    cmdJSON,
			"repeat":  cmdRepeat,
			"content": cmdContent,
		},
	})
}
