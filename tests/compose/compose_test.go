package compose

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

const root = "../.."

// base has the services of an Astronomer project on Airflow 3, as far as merging is concerned.
const base = `
x-airflow: &airflow
  image: project/airflow:latest
  networks: [airflow]
  volumes: ["airflow_logs:/usr/local/airflow/logs"]
networks: {airflow: {driver: bridge}}
volumes: {airflow_logs: {}, postgres_data: {}}
services:
  postgres: {image: "postgres:17", networks: [airflow], volumes: ["postgres_data:/var/lib/postgresql/data"]}
  db-migration: *airflow
  scheduler: {<<: *airflow, environment: {AIRFLOW__CORE__EXECUTOR: LocalExecutor}}
  dag-processor: *airflow
  api-server: {<<: *airflow, ports: ["127.0.0.1:8080:8080"]}
  triggerer: *airflow
`

var astronomers = []string{"api-server", "dag-processor", "db-migration", "postgres", "scheduler", "triggerer"}

func load(t *testing.T, env ...string) (*types.Project, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "base.yml")
	if err := os.WriteFile(file, []byte(base), 0o600); err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	o, err := cli.NewProjectOptions([]string{file, filepath.Join(dir, "docker-compose.override.yml")}, cli.WithName("salescast"), cli.WithWorkingDirectory(dir), cli.WithEnv(env))
	if err != nil {
		t.Fatal(err)
	}
	return o.LoadProject(t.Context())
}

var secrets = []string{"MINIO_ROOT_USER=ada", "MINIO_ROOT_PASSWORD=lovelace-1815", "SALESCAST_SERVE_TOKEN=token-1815"}

func TestServices(t *testing.T) {
	t.Parallel()
	p, err := load(t, append([]string{"MLFLOW_PORT=15001"}, secrets...)...)
	if err != nil {
		t.Fatal(err)
	}
	published := map[string]string{}
	for name, s := range p.Services {
		if slices.Contains(astronomers, name) {
			continue
		}
		if s.Build == nil || s.Image != "" {
			t.Errorf("%s is not built from here", name)
		} else if _, err := os.Stat(filepath.Join(s.Build.Context, s.Build.Dockerfile)); err != nil && !filepath.IsAbs(s.Build.Dockerfile) {
			t.Errorf("%s: %v", name, err)
		}
		if s.Platform != "" || s.Build != nil && len(s.Build.Platforms) > 0 {
			t.Errorf("%s is pinned to a platform", name)
		}
		if _, ok := s.Networks["airflow"]; !ok {
			t.Errorf("%s is not in Astro's network", name)
		}
		if s.HealthCheck == nil && s.Restart != "no" {
			t.Errorf("%s has no health check", name)
		}
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s listens on %q", name, port.HostIP)
			}
			published[name+":"+port.Published] = port.Published
		}
	}
	want := []string{"minio:9000", "minio:9001", "mlflow:15001", "page:8501", "serve:8000"}
	if got := slices.Sorted(maps.Keys(published)); !slices.Equal(got, want) {
		t.Errorf("ports %v, want %v", got, want)
	}
	for _, v := range []string{"airflow-logs", "airflow-plugins", "minio-data", "mlflow-artifacts", "streamlit-cache"} {
		if _, ok := p.Volumes[v]; !ok {
			t.Errorf("no volume %s", v)
		}
	}
	scheduler := p.Services["scheduler"]
	if scheduler.Image == "" || *scheduler.Environment["AIRFLOW__CORE__EXECUTOR"] != "LocalExecutor" || !strings.Contains(*scheduler.Environment["AIRFLOW_CONN_SALESCAST_S3"], `"password": "lovelace-1815"`) {
		t.Errorf("scheduler is not Astro's with the connections: %+v", scheduler.Environment)
	}
	if len(scheduler.Volumes) != 2 || scheduler.Volumes[0].Source != "airflow-logs" {
		t.Errorf("the scheduler's volumes: %+v", scheduler.Volumes)
	}
}

// The tree has no password: without one in the environment nothing starts.
func TestNoDefaultCredentials(t *testing.T) {
	t.Parallel()
	for i, missing := range secrets {
		name, _, _ := strings.Cut(missing, "=")
		_, err := load(t, slices.Delete(slices.Clone(secrets), i, i+1)...)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

// What a Dockerfile copies from the build's context is there, and not ignored.
func TestCopiedFilesExist(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(root + "/astro/*/Dockerfile")
	if err != nil || len(files) < 4 {
		t.Fatalf("found %v, %v", files, err)
	}
	for _, file := range append(files, root+"/Dockerfile") {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		context := filepath.Dir(file)
		if strings.Contains(file, "/serve/") {
			context = root
		}
		for line := range strings.Lines(strings.ReplaceAll(string(b), "\\\n", " ")) {
			words := strings.Fields(line)
			if len(words) < 3 || words[0] != "COPY" && words[0] != "ADD" || strings.HasPrefix(words[1], "--from") {
				continue
			}
			for _, source := range words[1 : len(words)-1] {
				found, err := filepath.Glob(filepath.Join(context, source))
				if err != nil || len(found) == 0 {
					t.Errorf("%s: COPY %s: nothing is there (%v)", file, source, err)
				}
			}
		}
	}
}
