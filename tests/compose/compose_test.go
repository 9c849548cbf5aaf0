package compose

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
)

const root = "../.."

// project is a folder that shows the tree, with an .env of the test's own; none where env is nil.
func project(t *testing.T, env []string) string {
	t.Helper()
	tree, err := filepath.Abs(root)
	must(t, err)
	entries, err := os.ReadDir(tree)
	must(t, err)
	dir := t.TempDir()
	for _, e := range entries {
		if e.Name() != ".env" {
			must(t, os.Symlink(filepath.Join(tree, e.Name()), filepath.Join(dir, e.Name())))
		}
	}
	if env != nil {
		must(t, os.WriteFile(filepath.Join(dir, ".env"), []byte(strings.Join(env, "\n")+"\n"), 0o600))
	}
	return dir
}

// load reads the services as "astro dev start" does for that Airflow, in a folder with that .env, started in that environment.
func load(t *testing.T, airflow int, env, environ []string) (*types.Project, error) {
	t.Helper()
	return astroProject(t, airflow, project(t, env), environ)
}

var secrets = []string{"MINIO_ROOT_USER=ada", "MINIO_ROOT_PASSWORD=lovelace-1815", "SALESCAST_SERVE_TOKEN=token-1815"}

func TestServices(t *testing.T) {
	t.Parallel()
	for _, airflow := range []int{2, 3} {
		p, err := load(t, airflow, secrets, nil)
		if err != nil {
			t.Fatalf("Airflow %d, with nothing in the environment: %v", airflow, err)
		}
		published := map[string]string{}
		for name, s := range p.Services {
			if slices.Contains(astros[airflow], name) {
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
		want := []string{"minio:9000", "minio:9001", "mlflow:5001", "page:8501", "serve:8000"}
		if got := slices.Sorted(maps.Keys(published)); !slices.Equal(got, want) {
			t.Errorf("ports %v, want %v", got, want)
		}
		for _, v := range []string{"minio-data", "mlflow-artifacts", "streamlit-cache"} {
			if _, ok := p.Volumes[v]; !ok {
				t.Errorf("no volume %s", v)
			}
		}
	}
}

// Astro's services are as without the override, but for the connections of the scheduler.
func TestAstrosServicesStayAstros(t *testing.T) {
	t.Parallel()
	for _, airflow := range []int{2, 3} {
		with, err := load(t, airflow, secrets, nil)
		must(t, err)
		dir := project(t, secrets)
		must(t, os.Remove(filepath.Join(dir, "docker-compose.override.yml")))
		without, err := astroProject(t, airflow, dir, nil)
		must(t, err)
		if got := slices.Sorted(maps.Keys(without.Services)); !slices.Equal(got, astros[airflow]) {
			t.Fatalf("Airflow %d has services %v, want %v", airflow, got, astros[airflow])
		}
		for name, plain := range without.Services {
			ours := with.Services[name]
			if got, want := mounts(ours), mounts(plain); !slices.Equal(got, want) {
				t.Errorf("Airflow %d: %s has mounts %v, Astro's are %v", airflow, name, got, want)
			}
			if ours.Image != plain.Image || ours.User != plain.User || !slices.Equal(ours.Command, plain.Command) {
				t.Errorf("Airflow %d: %s is not Astro's: %+v", airflow, name, ours)
			}
			for key, value := range ours.Environment {
				was, ok := plain.Environment[key]
				added := name == "scheduler" && strings.HasPrefix(key, "AIRFLOW_CONN_SALESCAST_")
				if added == ok || ok && *was != *value {
					t.Errorf("Airflow %d: %s has %s, of which Astro says %v", airflow, name, key, was)
				}
			}
		}
		var s3 struct {
			Login, Password string
			Extra           map[string]string
		}
		connection := *with.Services["scheduler"].Environment["AIRFLOW_CONN_SALESCAST_S3"]
		if err := json.Unmarshal([]byte(connection), &s3); err != nil || s3.Login != "ada" || s3.Password != "lovelace-1815" || s3.Extra["endpoint_url"] != "http://minio:9000" {
			t.Errorf("the connection to the store is %s, %v", connection, err)
		}
		var mlflow struct{ Host string }
		if err := json.Unmarshal([]byte(*with.Services["scheduler"].Environment["AIRFLOW_CONN_SALESCAST_MLFLOW"]), &mlflow); err != nil || mlflow.Host != "mlflow" {
			t.Errorf("the connection to MLflow: %+v, %v", mlflow, err)
		}
	}
}

// Services know the credentials by the names that their programs read.
func TestServicesAreGivenTheCredentials(t *testing.T) {
	t.Parallel()
	p, err := load(t, 3, secrets, nil)
	must(t, err)
	for service, want := range map[string]map[string]string{
		"minio":        {"MINIO_ROOT_USER": "ada", "MINIO_ROOT_PASSWORD": "lovelace-1815"},
		"minio-bucket": {"AWS_ACCESS_KEY_ID": "ada", "AWS_SECRET_ACCESS_KEY": "lovelace-1815"},
		"serve":        {"AWS_ACCESS_KEY_ID": "ada", "AWS_SECRET_ACCESS_KEY": "lovelace-1815", "AWS_ENDPOINT_URL_S3": "http://minio:9000", "SALESCAST_SERVE_TOKEN": "token-1815"},
		"page":         {"SALESCAST_SERVE_TOKEN": "token-1815"},
	} {
		for name, value := range want {
			if got := p.Services[service].Environment[name]; got == nil || *got != value {
				t.Errorf("%s: %s is not %s", service, name, value)
			}
		}
	}
}

// Ports are those of the environment that the CLI is started in.
func TestPortsComeFromTheEnvironment(t *testing.T) {
	t.Parallel()
	p, err := load(t, 3, secrets, []string{"MLFLOW_PORT=15001"})
	must(t, err)
	if got := p.Services["mlflow"].Ports[0].Published; got != "15001" {
		t.Errorf("MLflow is published on %s", got)
	}
	if conn := *p.Services["scheduler"].Environment["AIRFLOW_CONN_SALESCAST_MLFLOW"]; !strings.Contains(conn, ":15001") {
		t.Errorf("the connection's link is not to that port: %s", conn)
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
	for _, name := range []string{"docker-compose.override.yml", "astro/env/connections.env", "astro/env/store.env", "astro/env/token.env"} {
		for _, found := range regexp.MustCompile(`\$\{([A-Z_]+)`).FindAllStringSubmatch(read(name), -1) {
			used[found[1]] = true
		}
	}
	if found := regexp.MustCompile(`\$\{\w*(USER|PASSWORD|TOKEN|KEY|SECRET)\w*`).FindString(read("docker-compose.override.yml")); found != "" {
		t.Errorf("the override interpolates a secret, which stands in no environment: %s", found)
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

// The tree has no password: where .env lacks one nothing starts, and the message says what to run.
func TestNoDefaultCredentials(t *testing.T) {
	t.Parallel()
	for i, missing := range secrets {
		name, _, _ := strings.Cut(missing, "=")
		for _, env := range [][]string{slices.Delete(slices.Clone(secrets), i, i+1), slices.Concat(secrets[:i], []string{name + "="}, secrets[i+1:])} {
			_, err := load(t, 3, env, nil)
			if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "make credentials") {
				t.Errorf("with %v: %v", env, err)
			}
		}
	}
	if _, err := load(t, 3, nil, nil); err == nil || !strings.Contains(err.Error(), ".env") {
		t.Errorf("without .env: %v", err)
	}
}

// "make credentials" fills in what is missing, for its owner alone, keeps what is there, and once is enough.
func TestMakeCredentials(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), ".env")
	must(t, os.WriteFile(file, []byte("MLFLOW_PORT=5002\nMINIO_ROOT_USER=\nMINIO_ROOT_PASSWORD=mine"), 0o644))
	run := func() string {
		if out, err := exec.CommandContext(t.Context(), filepath.Join(root, "astro", "credentials.sh"), file).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		b, err := os.ReadFile(file)
		must(t, err)
		return string(b)
	}
	first := run()
	if !regexp.MustCompile(`^MLFLOW_PORT=5002\nMINIO_ROOT_PASSWORD=mine\nMINIO_ROOT_USER=[0-9a-f]{40}\nSALESCAST_SERVE_TOKEN=[0-9a-f]{40}\n$`).MatchString(first) {
		t.Errorf("it wrote %q", first)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v, %v", info.Mode(), err)
	}
	if again := run(); again != first {
		t.Errorf("once more it wrote %q", again)
	}
	if _, err := load(t, 3, strings.Split(strings.TrimSpace(first), "\n"), nil); err != nil {
		t.Errorf("the services do not take it: %v", err)
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
	if len(args) != 0 {
		t.Errorf("a tag that is an argument is none to the Astro CLI: %v", args)
	}
	text, err := os.ReadFile(root + "/Dockerfile")
	must(t, err)
	for name, parse := range map[string]func(*testing.T, []byte) (string, string){"of builds": imageOfBuild, "of standalone": imageOfStandalone} {
		image, tag := parse(t, text)
		if image != "astrocrpublic.azurecr.io/runtime" || !regexp.MustCompile(`^3\.\d+-\d+$`).MatchString(tag) {
			t.Errorf("the parser %s reads the runtime as %s, tag %q, which is not one pinned to a build of Airflow 3", name, image, tag)
		}
		if image, tag := parse(t, []byte("ARG R=3.3-8\nFROM astrocrpublic.azurecr.io/runtime:${R} AS runtime\n")); image != "" && tag == "3.3-8" {
			t.Errorf("the parser %s reads arguments", name)
		}
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
