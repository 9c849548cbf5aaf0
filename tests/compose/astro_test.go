package compose

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/interpolation"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/distribution/reference"
	"github.com/moby/buildkit/frontend/dockerfile/command"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// This file has the few rules of the Astro CLI that our files live by, as read in astronomer/astro-cli at
// ed93cc59e54def23d0c404c0a491583179177143 (1.45, August 2026). The CLI itself cannot be had as a module.

// bases are what airflow/include/airflow{3,2}/composeyml.go.tmpl give a project, as far as merging is concerned: services, what is mounted,
// where they listen, and which settings ours could collide with. HOME is the folder of the project.
var bases = map[int]string{
	3: `
x-common-env-vars: &environment
  AIRFLOW__CORE__EXECUTOR: LocalExecutor
  AIRFLOW__CORE__EXECUTION_API_SERVER_URL: http://api-server:8080/execution/
  AIRFLOW__CORE__LOAD_EXAMPLES: "False"
  ASTRONOMER_ENVIRONMENT: local
x-airflow: &airflow
  image: salescast/airflow:latest
  restart: unless-stopped
  user: astro
  networks: [airflow]
  depends_on: [db-migration]
  environment: *environment
  volumes:
    - HOME/dags:/usr/local/airflow/dags:z
    - HOME/plugins:/usr/local/airflow/plugins:z
    - HOME/include:/usr/local/airflow/include:z
    - HOME/tests:/usr/local/airflow/tests:z
    - airflow_logs:/usr/local/airflow/logs
  ENV_FILE
networks: {airflow: {driver: bridge}}
volumes: {airflow_logs: {driver: local}, postgres_data: {driver: local}}
services:
  postgres: {image: "docker.io/postgres:17", restart: unless-stopped, networks: [airflow], ports: ["127.0.0.1:5432:5432"], volumes: ["postgres_data:/var/lib/postgresql/data"]}
  db-migration: {image: "salescast/airflow:latest", command: [airflow, db, migrate], networks: [airflow], depends_on: [postgres], environment: *environment}
  scheduler: {<<: *airflow, command: [airflow, scheduler]}
  dag-processor: {<<: *airflow, command: [airflow, dag-processor]}
  api-server: {<<: *airflow, command: [airflow, api-server], ports: ["127.0.0.1:8080:8080"]}
  triggerer: {<<: *airflow, command: [airflow, triggerer]}
`,
	2: `
x-common-env-vars: &environment
  AIRFLOW__CORE__EXECUTOR: LocalExecutor
  AIRFLOW__CORE__LOAD_EXAMPLES: "False"
  ASTRONOMER_ENVIRONMENT: local
x-airflow: &airflow
  image: salescast/airflow:latest
  restart: unless-stopped
  user: astro
  networks: [airflow]
  depends_on: [postgres]
  environment: *environment
  volumes:
    - HOME/dags:/usr/local/airflow/dags:z
    - HOME/plugins:/usr/local/airflow/plugins:z
    - HOME/include:/usr/local/airflow/include:z
    - HOME/tests:/usr/local/airflow/tests:z
    - airflow_logs:/usr/local/airflow/logs
  ENV_FILE
networks: {airflow: {driver: bridge}}
volumes: {airflow_logs: {driver: local}, postgres_data: {driver: local}}
services:
  postgres: {image: "docker.io/postgres:17", restart: unless-stopped, networks: [airflow], ports: ["127.0.0.1:5432:5432"], volumes: ["postgres_data:/var/lib/postgresql/data"]}
  scheduler: {<<: *airflow, command: bash -c "airflow db upgrade && airflow scheduler"}
  webserver: {<<: *airflow, command: bash -c "airflow webserver", ports: ["127.0.0.1:8080:8080"]}
  triggerer: {<<: *airflow, command: bash -c "airflow db upgrade && airflow triggerer"}
`,
}

// astros are the services of those, sorted.
var astros = map[int][]string{
	3: {"api-server", "dag-processor", "db-migration", "postgres", "scheduler", "triggerer"},
	2: {"postgres", "scheduler", "triggerer", "webserver"},
}

// astroProject loads a project as createDockerProject of airflow/docker.go does: the CLI's own file, then the override, interpolated from
// the environment of the process alone. The CLI names .env as the env_file of Airflow's services where there is one
// (airflow/container.go); nothing reads it for interpolation.
func astroProject(t *testing.T, airflow int, home string, environ []string) (*types.Project, error) {
	t.Helper()
	envFile := ""
	if _, err := os.Stat(filepath.Join(home, ".env")); err == nil {
		envFile = "env_file: " + filepath.Join(home, ".env")
	}
	base := strings.NewReplacer("HOME", home, "ENV_FILE", envFile).Replace(bases[airflow])
	files := []types.ConfigFile{{Filename: "compose.yaml", Content: []byte(base)}}
	override, err := os.ReadFile(filepath.Join(home, "docker-compose.override.yml"))
	if err == nil {
		files = append(files, types.ConfigFile{Filename: "docker-compose.override.yml", Content: override})
	} else if !os.IsNotExist(err) {
		return nil, err
	}
	env := types.NewMapping(environ)
	return loader.LoadWithContext(t.Context(), types.ConfigDetails{ConfigFiles: files, WorkingDir: home, Environment: env}, func(o *loader.Options) {
		o.SetProjectName("salescast", true)
		o.Interpolate = &interpolation.Options{LookupValue: func(name string) (string, bool) { v, ok := env[name]; return v, ok }}
	})
}

// imageOfBuild is how docker/parse.go finds the runtime, for its version and for the switch between Airflow 2 and 3: the text of the first
// FROM, parsed as a reference. Neither is known where that is none.
func imageOfBuild(t *testing.T, dockerfile []byte) (image, tag string) {
	t.Helper()
	parsed, err := parser.Parse(bytes.NewReader(dockerfile))
	must(t, err)
	i := slices.IndexFunc(parsed.AST.Children, func(n *parser.Node) bool { return strings.EqualFold(n.Value, command.From) })
	if i < 0 {
		return "", ""
	}
	ref, err := reference.Parse(parsed.AST.Children[i].Next.Value)
	if err != nil {
		return "", ""
	}
	if named, ok := ref.(reference.Named); ok {
		image = named.Name()
	}
	tag = "latest"
	if tagged, ok := ref.(reference.Tagged); ok {
		tag = tagged.Tag()
	}
	return image, tag
}

// imageOfStandalone is how pkg/airflowrt/dockerfile.go finds it, for "astro dev start --standalone": what follows the first line that
// begins with FROM, cut at " AS " and at the first colon.
func imageOfStandalone(_ *testing.T, dockerfile []byte) (image, tag string) {
	for line := range strings.Lines(string(dockerfile)) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(strings.ToUpper(line), "FROM ") {
			continue
		}
		ref := strings.TrimSpace(line[len("FROM "):])
		if i := strings.Index(strings.ToUpper(ref), " AS "); i >= 0 {
			ref = ref[:i]
		}
		image, tag, found := strings.Cut(ref, ":")
		if !found {
			tag = "latest"
		}
		return image, tag
	}
	return "", ""
}
