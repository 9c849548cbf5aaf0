package serve_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"salescast/pkg/serve"
)

// A model that another process could not open does not take over, one that it could does, and where another came meanwhile it is tried
// again. The first model, which replaces none, is not tried.
func TestAModelIsTriedBeforeItTakesOver(t *testing.T) {
	t.Parallel()
	s := open(t)
	run := filepath.Join(t.TempDir(), "run")
	if err := os.CopyFS(run, os.DirFS(filepath.Join(s.folder, "run"))); err != nil {
		t.Fatal(err)
	}
	manifest := filepath.Join(run, "ensemble", "manifest.json")
	b, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	attempt := func(name string) {
		t.Helper()
		if err := os.WriteFile(manifest, []byte(strings.Replace(string(b), `"binary": "`, `"binary": "`+name, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var answer atomic.Value
	answer.Store("crash")
	var tried atomic.Int64
	srv := s.start(t, func(o *serve.Options) {
		o.Models, o.Poll = []string{run}, 20*time.Millisecond
		plain := *o
		o.Probe = func(ctx context.Context, address string) (string, error) {
			tried.Add(1)
			switch answer.Load() {
			case "crash":
				return "", errors.New("signal: segmentation fault")
			case "moved":
				return "another", nil
			}
			return serve.ProbeModel(ctx, plain, address)
		}
	})
	if tried.Load() != 0 {
		t.Error("the first model was tried")
	}
	url := listen(t, srv)
	attempt("bad")
	await(t, url, "segmentation fault")
	s.compare(t, "the older model", over(t, url), 6)
	answer.Store("moved")
	attempt("worse")
	await(t, url, "another model came")
	before := tried.Load()
	answer.Store("well")
	for end := time.Now().Add(20 * time.Second); strings.Contains(string(fetch(t, http.MethodGet, url+"/v1/models", "")), "another model"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a model that was well at last is not served")
		}
	}
	if tried.Load() == before {
		t.Error("it was not tried again")
	}
	s.compare(t, "the newer model", over(t, url), 6)
}
