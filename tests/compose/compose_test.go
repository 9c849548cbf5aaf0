package compose

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

const root = "../.."

// base has the services of an Astronomer project on Airflow 3, as far as merging is concerned: what the Astro CLI mounts, where it
// listens, and which of its settings ours could collide with. PROJECT is the folder of the project.
const base = `
x-airflow: &airflow
  image: salescast/airflow:latest
  restart: unless-stopped
  user: astro
  networks: [airflow]
  depends_on: [db-migration]
  environment: &environment
    AIRFLOW__CORE__EXECUTOR: LocalExecutor
    AIRFLOW__CORE__EXECUTION_API_SERVER_URL: http://api-server:8080/execution/
  volumes: &volumes
    - PROJECT/dags:/usr/local/airflow/dags:z
    - PROJECT/plugins:/usr/local/airflow/plugins:z
    - PROJECT/include:/usr/local/airflow/include:z
    - PROJECT/tests:/usr/local/airflow/tests:z
    - airflow_logs:/usr/local/airflow/logs
networks: {airflow: {driver: bridge}}
volumes: {airflow_logs: {driver: local}, postgres_data: {driver: local}}
services:
  postgres: {image: "postgres:17", networks: [airflow], ports: ["127.0.0.1:5432:5432"], volumes: ["postgres_data:/var/lib/postgresql/data"]}
  db-migration: {image: "salescast/airflow:latest", networks: [airflow], depends_on: [postgres], environment: *environment}
  scheduler: *airflow
  dag-processor: *airflow
  api-server: {<<: *airflow, ports: ["127.0.0.1:8080:8080"]}
  triggerer: *airflow
`

var astronomers = []string{"api-server", "dag-processor", "db-migration", "postgres", "scheduler", "triggerer"}

func load(t *testing.T, env ...string) (*types.Project, error) {
	t.Helper()
	dir, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "base.yml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(base, "PROJECT", dir)), 0o600); err != nil {
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
	plugins, err := filepath.Abs(root + "/plugins")
	if err != nil {
		t.Fatal(err)
	}
	if device := p.Volumes["airflow-plugins"].DriverOpts["device"]; device != plugins {
		t.Errorf("the volume of plugins shows %s, want %s: those of the project would be hidden", device, plugins)
	}
	for _, name := range []string{"api-server", "dag-processor", "scheduler", "triggerer"} {
		s := p.Services[name]
		if got, want := mounts(s), []string{"airflow-logs:logs", "airflow-plugins:plugins", "dags:dags", "include:include", "tests:tests"}; !slices.Equal(got, want) {
			t.Errorf("%s has mounts %v, want %v", name, got, want)
		}
		if s.Image == "" || s.User != "astro" {
			t.Errorf("%s is not Astro's: image %q, user %q", name, s.Image, s.User)
		}
	}
}

// mounts are a service's, as SOURCE:TARGET, without Airflow's home and the project's folder.
func mounts(s types.ServiceConfig) []string {
	var found []string
	for _, v := range s.Volumes {
		source := v.Source
		if v.Type == types.VolumeTypeBind {
			source = filepath.Base(source)
			if _, err := os.Stat(v.Source); err != nil {
				source += " (absent)"
			}
		}
		found = append(found, source+":"+strings.TrimPrefix(v.Target, "/usr/local/airflow/"))
	}
	slices.Sort(found)
	return found
}

// Every variable of .env.example that stands for a port or a credential is one of the compose file, and the other way round.
func TestEnvExample(t *testing.T) {
	t.Parallel()
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	used, documented := map[string]bool{}, map[string]bool{}
	for _, found := range regexp.MustCompile(`\$\{([A-Z_]+)`).FindAllStringSubmatch(read("docker-compose.override.yml"), -1) {
		used[found[1]] = true
	}
	for _, found := range regexp.MustCompile(`(?m)^(?:# )?([A-Z_]+)=`).FindAllStringSubmatch(read(".env.example"), -1) {
		documented[found[1]] = true
	}
	for name := range used {
		if !documented[name] {
			t.Errorf("%s is not in .env.example", name)
		}
	}
	for name := range documented {
		if (strings.HasSuffix(name, "_PORT") && name != "AIRFLOW_PORT" || strings.HasSuffix(name, "_TOKEN")) && !used[name] {
			t.Errorf("%s of .env.example is read by nothing", name)
		}
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

// What a Dockerfile copies from the build's context is there, and .dockerignore does not leave it out.
func TestCopiedFilesExist(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(root + "/astro/*/Dockerfile")
	if err != nil || len(files) < 4 {
		t.Fatalf("found %v, %v", files, err)
	}
	for _, file := range append(files, root+"/Dockerfile") {
		context := filepath.Dir(file)
		if strings.Contains(file, "/serve/") {
			context = root
		}
		stages, _ := dockerfile(t, file)
		for _, stage := range stages {
			if strings.Contains(stage.Platform, "/") {
				t.Errorf("%s: a stage is pinned to %s", file, stage.Platform)
			}
			for _, command := range stage.Commands {
				c, ok := command.(*instructions.CopyCommand)
				if !ok || c.From != "" {
					continue
				}
				for _, source := range c.SourcePaths {
					if len(sources(t, context, source)) == 0 {
						t.Errorf("%s: %v: %s is not there, or .dockerignore leaves it out", file, c, source)
					}
				}
			}
		}
	}
}

// The Astro CLI takes the first FROM as the runtime image; the runtime's own instructions copy these files.
func TestAstroConventions(t *testing.T) {
	t.Parallel()
	stages, args := dockerfile(t, root+"/Dockerfile")
	if len(args) != 1 || args[0].Args[0].Key != "RUNTIME" || !regexp.MustCompile(`^\d+\.\d+-\d+$`).MatchString(args[0].Args[0].ValueString()) {
		t.Errorf("the runtime is not pinned to a build: %v", args)
	}
	if first := stages[0].BaseName; first != "astrocrpublic.azurecr.io/runtime:${RUNTIME}" {
		t.Errorf("the first FROM is %s", first)
	}
	last := stages[len(stages)-1]
	if last.BaseName != stages[0].Name {
		t.Errorf("the last stage is from %s", last.BaseName)
	}
	user := ""
	for _, command := range last.Commands {
		if c, ok := command.(*instructions.UserCommand); ok {
			user = c.User
		}
	}
	if user != "astro" {
		t.Errorf("the image ends as user %q", user)
	}
	for _, name := range []string{"packages.txt", "requirements.txt", "dags", "plugins", "include"} {
		if len(sources(t, root, name)) == 0 {
			t.Errorf("%s is not there, or .dockerignore leaves it out", name)
		}
	}
	for _, name := range []string{".env", ".git", ".build", ".stack", "airflow_settings.yaml", "runs"} {
		if given(t, root)(name) {
			t.Errorf("%s would be in the image", name)
		}
	}
	for _, name := range []string{".astro/config.yaml", "airflow_settings.yaml", ".env.example", "dags/.airflowignore", "tests/dags"} {
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			t.Error(err)
		}
	}
}
