package servers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// AirflowOptions are what an Airflow server is started with.
type AirflowOptions struct {
	// Python is an environment with Airflow 3, and the provider; see AirflowPython.
	Python string
	// DAGs are folders, whose Python files are copied.
	DAGs []string
	// Env is more environment for all of Airflow's processes, and so of the tasks.
	Env []string
}

// Airflow is a running Airflow 3: API server, scheduler with LocalExecutor, and DAG processor, over Postgres. Whoever asks is an administrator.
type Airflow struct {
	// URL is the address of the API server.
	URL string
	// Home is AIRFLOW_HOME: a folder of its own, with dags and logs below it.
	Home string
	// Python is the environment that it runs in.
	Python string
	// Env is the environment of its processes.
	Env []string

	token string
	parts []*Server
}

// Root returns a path in the repository.
func Root(elem ...string) string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(append([]string{filepath.Dir(file), "..", ".."}, elem...)...)
}

// Binary returns the path of bin/salescast, and fails the test where make build has not made it.
func Binary(t testing.TB) string {
	t.Helper()
	p := Root("bin", "salescast")
	if _, err := os.Stat(p); err != nil {
		t.Fatalf("there is no program to test: run make build (%v)", err)
	}
	return p
}

// Wheel builds the wheel of bin/salescast for this machine and returns its path.
func Wheel(t testing.TB) string {
	t.Helper()
	out := command(t, nil, "python3", Root("astro", "provider", "build_wheel.py"),
		"--binary", Binary(t), "--arch", runtime.GOARCH, "--version", "v0.0.1", "--out", t.TempDir())
	return strings.TrimSpace(out)
}

// AirflowPython makes a Python environment that has all of the installed one .build/venvs/NAME, and the wheel, which pip installs into it.
func AirflowPython(t testing.TB, name, wheel string) string {
	t.Helper()
	installed := Tool(t, filepath.Join("venvs", name))
	dir := filepath.Join(t.TempDir(), name)
	base := filepath.Join(installed, "bin", "python")
	command(t, nil, base, "-m", "venv", "--without-pip", dir)
	packages := func(python string) string {
		return strings.TrimSpace(command(t, nil, python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"))
	}
	python := filepath.Join(dir, "bin", "python")
	if err := os.WriteFile(filepath.Join(packages(python), "airflow.pth"), []byte(packages(base)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// Airflow 2 starts tasks by it.
	script := "#!/bin/sh\nexec " + python + " -m airflow \"$@\"\n"
	if err := os.WriteFile(filepath.Join(dir, "bin", "airflow"), []byte(script), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	command(t, nil, base, "-m", "pip", "--python", python, "install", "--quiet", "--disable-pip-version-check", "--no-index", wheel)
	return python
}

// command runs a command to its end and returns what it prints to standard output.
func command(t testing.TB, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...) //nolint:gosec // a tool of the tests
	var out, errs bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr = env, &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s\n%s", cmd, err, out.Bytes(), errs.Bytes())
	}
	return out.String()
}

// Postgres starts a database server, whose superuser is postgres and needs no password. Its URL is that of the database postgres, in
// SQLAlchemy's words.
func Postgres(t testing.TB) *Server {
	t.Helper()
	programs, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(programs) == 0 {
		t.Fatalf("there is no Postgres: run make servers (%v)", err)
	}
	who, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	// It does not run as root, and the folders of tests are closed to others.
	dir, err := os.MkdirTemp("/tmp", "postgres-of-tests-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	uid, _ := strconv.Atoi(who.Uid)
	gid, _ := strconv.Atoi(who.Gid)
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	program, data := programs[len(programs)-1], filepath.Join(dir, "data")
	as := []string{"setpriv", "--reuid=" + who.Uid, "--regid=" + who.Gid, "--clear-groups"}
	port := freePort(t)
	initdb := slices.Concat(as, []string{filepath.Join(filepath.Dir(program), "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-N", "--no-instructions"})
	command(t, nil, initdb[0], initdb[1:]...)
	s := &Server{
		URL: "postgresql+psycopg2://postgres@127.0.0.1:" + port + "/postgres", Dir: dir, log: filepath.Join(dir, "server.log"),
		args: slices.Concat(as, []string{program, "-D", data, "-p", port, "-h", "127.0.0.1", "-k", dir, "-F", "-c", "max_connections=200"}),
	}
	s.launch(t)
	t.Cleanup(func() { s.Stop(t) })
	Until(t, time.Minute, "Postgres listens", func() bool {
		c, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", "127.0.0.1:"+port)
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
	return s
}

// AirflowEnv is the environment that the parts of an Airflow at an address of the loopback share. What it lacks is where DAGs are
// (AIRFLOW__CORE__DAGS_FOLDER) and the database (AIRFLOW__DATABASE__SQL_ALCHEMY_CONN).
func AirflowEnv(home, port string) []string {
	url := "http://127.0.0.1:" + port
	return []string{
		"AIRFLOW_HOME=" + home,
		"AIRFLOW__CORE__LOAD_EXAMPLES=False",
		"AIRFLOW__CORE__EXECUTOR=LocalExecutor",
		"AIRFLOW__CORE__PARALLELISM=3",
		"AIRFLOW__CORE__EXECUTION_API_SERVER_URL=" + url + "/execution/",
		"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS=True",
		"AIRFLOW__CORE__FERNET_KEY=bm90LWEtc2VjcmV0LW9ubHktZm9yLXRlc3RzLTMyYnk=",
		"AIRFLOW__API__HOST=127.0.0.1",
		"AIRFLOW__API__PORT=" + port,
		"AIRFLOW__API__BASE_URL=" + url,
		"AIRFLOW__API__WORKERS=1",
		"AIRFLOW__API__SECRET_KEY=not-a-secret-only-for-tests",
		"AIRFLOW__API_AUTH__JWT_SECRET=" + strings.Repeat("not-a-secret-only-for-tests-", 3),
		"AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL=5",
		"AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL=600",
		"AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL=1", // a kill is noticed in about a second
		"AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT=60", // the machine may be busy: default 5
		"AIRFLOW__LOGGING__COLORED_CONSOLE_LOG=False",
	}
}

// StartAirflow starts an Airflow and waits until its parts are healthy and have read the DAGs. It ends with the test, and with it every
// process that its tasks may have left.
func StartAirflow(t testing.TB, o AirflowOptions) *Airflow {
	t.Helper()
	db, home, port := Postgres(t), t.TempDir(), freePort(t)
	folder, want := copyDAGs(t, home, o.DAGs)
	a := &Airflow{URL: "http://127.0.0.1:" + port, Home: home, Python: o.Python}
	a.Env = slices.Concat([]string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + home}, AirflowEnv(home, port), []string{
		"AIRFLOW__CORE__DAGS_FOLDER=" + folder, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=" + db.URL,
	}, o.Env)
	a.Command(t, "db", "migrate")
	a.start(t, "api-server", "scheduler", "dag-processor")
	a.ready(t, want)
	return a
}

// StartAirflow2 starts an Airflow 2, webserver and scheduler over SQLite, which does one task at a time, with the user admin, password
// admin. It ends with the test. Call does not speak to it: its REST API is another.
func StartAirflow2(t testing.TB, o AirflowOptions) *Airflow {
	t.Helper()
	home, port := t.TempDir(), freePort(t)
	folder, _ := copyDAGs(t, home, o.DAGs)
	a := &Airflow{URL: "http://127.0.0.1:" + port, Home: home, Python: o.Python}
	a.Env = slices.Concat([]string{
		"PATH=" + filepath.Dir(o.Python) + ":/usr/local/bin:/usr/bin:/bin", "HOME=" + home, "AIRFLOW_HOME=" + home,
		"AIRFLOW__CORE__DAGS_FOLDER=" + folder,
		"AIRFLOW__CORE__LOAD_EXAMPLES=False",
		"AIRFLOW__CORE__EXECUTOR=SequentialExecutor",
		"AIRFLOW__CORE__FERNET_KEY=bm90LWEtc2VjcmV0LW9ubHktZm9yLXRlc3RzLTMyYnk=",
		"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=sqlite:///" + filepath.Join(home, "airflow.db"),
		"AIRFLOW__API__AUTH_BACKENDS=airflow.api.auth.backend.basic_auth",
		"AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE=False",
		"AIRFLOW__WEBSERVER__WEB_SERVER_HOST=127.0.0.1",
		"AIRFLOW__WEBSERVER__WEB_SERVER_PORT=" + port,
		"AIRFLOW__WEBSERVER__BASE_URL=" + a.URL,
		"AIRFLOW__WEBSERVER__WORKERS=1",
		"AIRFLOW__WEBSERVER__SECRET_KEY=not-a-secret-only-for-tests",
	}, o.Env)
	a.Command(t, "db", "migrate")
	a.Command(t, "users", "create", "-u", "admin", "-p", "admin", "-r", "Admin", "-e", "admin@example.com", "-f", "A", "-l", "B")
	a.Command(t, "dags", "reserialize")
	a.start(t, "webserver", "scheduler")
	Until(t, 4*time.Minute, "Airflow 2 is ready", func() bool {
		a.alive(t)
		var health map[string]struct {
			Status string `json:"status"`
		}
		return a.ask(t.Context(), http.MethodGet, "/health", nil, &health) == nil && health["metadatabase"].Status == "healthy" && health["scheduler"].Status == "healthy"
	})
	return a
}

// copyDAGs copies the Python files of folders into one below a home, and says how many there are.
func copyDAGs(t testing.TB, home string, from []string) (folder string, files int) {
	t.Helper()
	folder = filepath.Join(home, "dags")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, dir := range from {
		names, err := filepath.Glob(filepath.Join(dir, "*.py"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range names {
			b, err := os.ReadFile(f)
			if err == nil {
				err = os.WriteFile(filepath.Join(folder, filepath.Base(f)), b, 0o600) //nolint:gosec // into the folder of the test
			}
			if err != nil {
				t.Fatal(err)
			}
			files++
		}
	}
	return folder, files
}

// start starts parts of an Airflow, each with a folder of its own for its log, until the end of the test.
func (a *Airflow) start(t testing.TB, parts ...string) {
	t.Helper()
	t.Cleanup(func() { a.stop(t) })
	for _, part := range parts {
		dir := filepath.Join(a.Home, part)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		s := &Server{URL: a.URL, Dir: dir, client: http.DefaultClient, args: []string{a.Python, "-m", "airflow", part}, env: a.Env, log: filepath.Join(dir, "server.log")}
		s.launch(t)
		a.parts = append(a.parts, s)
	}
}

// alive fails the test where a part has ended.
func (a *Airflow) alive(t testing.TB) {
	t.Helper()
	for _, s := range a.parts {
		select {
		case <-s.dead:
			t.Fatalf("%v ended while it started:\n%s", s.args, s.tail())
		default:
		}
	}
}

// Command runs an airflow command to its end in the server's environment, and returns what it prints.
func (a *Airflow) Command(t testing.TB, args ...string) string {
	t.Helper()
	return command(t, a.Env, a.Python, append([]string{"-m", "airflow"}, args...)...)
}

// ready waits until all parts are well and the server knows that many DAGs.
func (a *Airflow) ready(t testing.TB, dags int) {
	t.Helper()
	Until(t, 4*time.Minute, "Airflow is ready", func() bool {
		a.alive(t)
		var health map[string]struct {
			Status string `json:"status"`
		}
		if a.ask(t.Context(), http.MethodGet, "/api/v2/monitor/health", nil, &health) != nil {
			return false
		}
		for _, part := range []string{"metadatabase", "scheduler", "dag_processor"} {
			if health[part].Status != "healthy" {
				return false
			}
		}
		var known, errs struct {
			Total int `json:"total_entries"`
		}
		if a.token == "" {
			var made struct {
				Token string `json:"access_token"`
			}
			if a.ask(t.Context(), http.MethodPost, "/auth/token", map[string]string{"username": "admin", "password": "admin"}, &made) != nil {
				return false
			}
			a.token = made.Token
		}
		if a.ask(t.Context(), http.MethodGet, "/api/v2/importErrors", nil, &errs) == nil && errs.Total > 0 {
			t.Fatalf("DAG files cannot be read: %s", a.Command(t, "dags", "list-import-errors"))
		}
		return a.ask(t.Context(), http.MethodGet, "/api/v2/dags", nil, &known) == nil && known.Total >= dags
	})
}

// Until waits for a condition, and fails the test when it does not come about in time.
func Until(t testing.TB, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !condition(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in %s: %s", limit, what)
		}
	}
}

// Call sends a request to the REST API, whose path begins with /api/v2, and decodes the answer into out, if that is not nil.
func (a *Airflow) Call(t testing.TB, method, path string, body, out any) {
	t.Helper()
	if err := a.ask(t.Context(), method, path, body, out); err != nil {
		t.Fatal(err)
	}
}

func (a *Airflow) ask(ctx context.Context, method, path string, body, out any) error {
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		r = bytes.NewReader(b)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, a.URL+path, r)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 32<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s %s: status %d: %s", method, path, resp.StatusCode, b[:min(len(b), 2000)])
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(b, out)
}

// stop asks the parts to end, kills those that do not, and whatever of their tasks is left.
func (a *Airflow) stop(t testing.TB) {
	for _, s := range a.parts {
		_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGTERM)
	}
	patience := time.After(10 * time.Second)
	for _, s := range a.parts {
		select {
		case <-s.dead:
		case <-patience:
			patience = time.After(0)
		}
		if t.Failed() {
			t.Logf("the end of the log of %v:\n%s", s.args, s.tail())
		}
		s.Stop(t)
	}
	for _, p := range Processes("AIRFLOW_HOME=" + a.Home) {
		_ = syscall.Kill(p.PID, syscall.SIGKILL)
	}
}

// Process is a running process.
type Process struct {
	PID, Parent int
	Args        []string
}

// Processes are those whose environment has that variable, NAME=value; zombies are none.
func Processes(variable string) []Process {
	var found []Process
	environs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, name := range environs {
		env, err := os.ReadFile(name)
		if err != nil || !slices.Contains(strings.Split(string(env), "\x00"), variable) {
			continue
		}
		dir := filepath.Dir(name)
		args, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		stat, err := os.ReadFile(filepath.Join(dir, "stat"))
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		fields := strings.Fields(rest)
		if len(fields) < 2 || fields[0] == "Z" {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(dir))
		parent, _ := strconv.Atoi(fields[1])
		found = append(found, Process{PID: pid, Parent: parent, Args: strings.Split(strings.TrimRight(string(args), "\x00"), "\x00")})
	}
	return found
}
