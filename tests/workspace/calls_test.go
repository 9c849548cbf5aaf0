package workspacetest

import (
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"salescast/pkg/regress/regresstest"
	"salescast/tests/servers"
)

// A step makes at most 60 calls to MLflow, besides one for each file that it keeps there.
func TestCallsPerStep(t *testing.T) {
	t.Parallel()
	const most = 60
	server := servers.MLflow(t)
	var calls, files atomic.Int64
	proxy := before(t, server.URL, func(_ http.ResponseWriter, r *http.Request) bool {
		calls.Add(1)
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/mlflow-artifacts/") {
			files.Add(1)
		}
		return false
	})
	folder := filepath.Join(t.TempDir(), "w")
	c := command{build(t), []string{"SALESCAST_ENGINE_DIR=" + regresstest.EngineDir(t), "HOME=" + t.TempDir(), "MLFLOW_TRACKING_URI=" + proxy}}
	for _, step := range []string{
		"generate --stores 2 --items 3 --start 2023-01-01 --end 2024-06-30", "validate", "featurize", "train --model xgboost", "train --model lightgbm",
		"train --model lightgbm_recursive", "train --model lightgbm_log", "train --model smoothing", "train --model smoothing_yearly",
		"ensemble --models xgboost,lightgbm,lightgbm_recursive,lightgbm_log,smoothing,smoothing_yearly", "evaluate", "register", "register --force", "forecast", "report",
	} {
		calls.Store(0)
		files.Store(0)
		c.want(t, 0, append(strings.Fields(step), "-w", folder)...)
		t.Logf("%s: %d calls, %d of them files", step, calls.Load(), files.Load())
		if n := calls.Load() - files.Load(); n > most {
			t.Errorf("%s: %d calls besides %d files, want at most %d", step, n, files.Load(), most)
		}
	}
}
