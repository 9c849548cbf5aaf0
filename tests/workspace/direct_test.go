package workspacetest

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/minio/minio-go/v7"

	"salescast/tests/servers"
)

// Where an experiment's artifacts lie in object storage that clients write to themselves, files and models go there and not through the
// server, and a registered model is read from there, on a machine that has nothing but the names.
func TestDirectArtifacts(t *testing.T) {
	t.Parallel()
	store := servers.MinIO(t)
	b := makeBucket(t, store.URL, nil)
	server := servers.MLflow(t, "--no-serve-artifacts", "--default-artifact-root", "s3://sales/mlflow",
		"MLFLOW_S3_ENDPOINT_URL="+store.URL, "AWS_ACCESS_KEY_ID="+servers.AccessKey, "AWS_SECRET_ACCESS_KEY="+servers.SecretKey, "AWS_DEFAULT_REGION=us-east-1")
	var passed atomic.Int64
	proxy := before(t, server.URL, func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/mlflow-artifacts/") {
			passed.Add(1)
		}
		return false
	})
	c := program(t, store.URL).with("MLFLOW_TRACKING_URI=" + proxy)
	folder := filepath.Join(t.TempDir(), "w")
	c.want(t, 0, "generate", "--stores", "2", "--items", "2", "--start", "2023-01-01", "--end", "2024-06-30", "-w", folder)
	c.want(t, 0, "run", "--models", "smoothing", "--horizon", "7", "--set", "register.enabled=true", "-w", folder)
	if n := passed.Load(); n != 0 {
		t.Errorf("%d files went through the server", n)
	}
	models := 0
	for o := range b.ListObjectsIter(t.Context(), "sales", minio.ListObjectsOptions{Prefix: "mlflow/", Recursive: true}) {
		must(t, o.Err)
		if strings.Contains(o.Key, "/models/m-") && strings.HasSuffix(o.Key, "/MLmodel") {
			models++
		}
	}
	if models != 2 {
		t.Errorf("the store has %d models, want those of the member and of the ensemble", models)
	}
	c.want(t, 0, "doctor")
	wrong := c.with("AWS_SECRET_ACCESS_KEY=wrong")
	if code, out, said := wrong.run(t, "doctor", "-o", "json"); code != 69 || !strings.Contains(out, "AWS_SECRET_ACCESS_KEY") {
		t.Errorf("the doctor with wrong keys: exit %d %s%s", code, out, said)
	}
	want, err := os.ReadFile(filepath.Join(folder, "forecast", "forecast.csv"))
	must(t, err)
	must(t, os.RemoveAll(filepath.Join(folder, "ensemble")))
	if got := c.want(t, 0, "forecast", "--model", "models:/sales_forecast_ensemble@champion", "--input", filepath.Join(folder, "data", "sales")); got != string(want) {
		t.Errorf("a forecast with the champion differs from that of the workspace:\n%.500s", got)
	}
}
