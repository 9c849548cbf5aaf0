//go:build stack

package stack

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"salescast/pkg/airflow"
	"salescast/tests/alone"
	"salescast/tests/servers"
)

// The test has a network of its own, so the ports are those that users know.
func TestMain(m *testing.M) { alone.Main(m) }

const (
	dag     = "sales_forecast_training"
	taken   = "127.0.0.1:8501" // the page's, which something else has
	invited = "Ctrl-C ends everything"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, limit time.Duration, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !f(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// program is a running stack, started as make does.
type program struct {
	cmd   *exec.Cmd
	dir   string
	ended chan struct{}
	err   error // after ended

	mu   sync.Mutex
	text strings.Builder
}

func (p *program) printed() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

func start(t *testing.T, args ...string) *program {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "program")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../../astro/stack").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	p := &program{dir: filepath.Join(dir, "data"), ended: make(chan struct{})}
	env := filepath.Join(dir, "env")
	must(t, os.WriteFile(env, []byte("# one port that is not the usual one\nAIRFLOW_PORT='8181'\n"), 0o600))
	args = append([]string{"-dir", p.dir, "-env", env}, args...)
	p.cmd = exec.CommandContext(context.Background(), binary, args...)
	p.cmd.Dir = servers.Root()
	// Variables of other places must not lead its services there.
	p.cmd.Env = append(os.Environ(), "MLFLOW_TRACKING_URI=http://192.0.2.1", "AWS_ACCESS_KEY_ID=nobody", "AIRFLOW_HOME=/nowhere", "SALESCAST_ENGINE_DIR=/nowhere")
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the group that a terminal interrupts
	pipe, err := p.cmd.StdoutPipe()
	must(t, err)
	p.cmd.Stderr = p.cmd.Stdout
	must(t, p.cmd.Start())
	go func() {
		lines := bufio.NewScanner(pipe)
		for lines.Scan() {
			p.mu.Lock()
			p.text.WriteString(lines.Text() + "\n")
			p.mu.Unlock()
		}
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
		if t.Failed() {
			t.Log(p.printed())
			logs, _ := filepath.Glob(p.dir + "/logs/*.log")
			for _, log := range logs {
				b, _ := os.ReadFile(log)
				t.Logf("the end of %s:\n%s", filepath.Base(log), b[max(0, len(b)-2000):])
			}
		}
	})
	return p
}

// address is what it printed for a service.
func (p *program) address(t *testing.T, service string) string {
	t.Helper()
	for line := range strings.Lines(p.printed()) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == service && strings.HasPrefix(f[1], "http://") {
			return f[1]
		}
	}
	t.Fatalf("no address of %s in:\n%s", service, p.printed())
	return ""
}

// credential is one that it made up.
func (p *program) credential(t *testing.T, name string) string {
	t.Helper()
	file := filepath.Join(p.dir, "credentials")
	info, err := os.Stat(file)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("%s has mode %v", file, info.Mode())
	}
	b, err := os.ReadFile(file)
	must(t, err)
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+"="); ok && len(value) > 20 {
			return value
		}
	}
	t.Fatalf("no %s in %s", name, file)
	return ""
}

// get returns the status and the body of an answer; no answer is status 0.
func get(t *testing.T, url, token string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	must(t, err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	must(t, err)
	return resp.StatusCode, b
}

// versions are those of the models that the forecasting server answers with.
func versions(t *testing.T, p *program) string {
	t.Helper()
	status, b := get(t, p.address(t, "serve")+"/v1/models", p.credential(t, "SALESCAST_SERVE_TOKEN"))
	if status != http.StatusOK {
		return ""
	}
	var list struct {
		Models []struct {
			Version string `json:"version"`
		} `json:"models"`
	}
	must(t, json.Unmarshal(b, &list))
	if len(list.Models) == 0 {
		t.Fatalf("no models in %s", b)
	}
	return list.Models[0].Version
}

// find returns the process whose command line has the words, and whether there is just one.
func find(t *testing.T, words string) (pid string, ok bool) {
	t.Helper()
	n := 0
	for _, line := range alone.Processes(t) {
		if strings.Contains(line, words) {
			pid, _, _ = strings.Cut(line, " ")
			n++
		}
	}
	return pid, n == 1
}

// The page's own client, with the environment of the running page, says which version it reaches and forecasts with it.
const asPage = `
import datetime as dt, os, sys
for entry in open(f"/proc/{sys.argv[1]}/environ", "rb").read().split(b"\0"):
    name, _, value = entry.decode().partition("=")
    if name:
        os.environ[name] = value
sys.path.insert(0, sys.argv[2])
import json, urllib.request
from client import Client
models, _ = Client.from_environment().models()
request = urllib.request.Request(os.environ["SALESCAST_SERVER"] + "/v1/forecast", json.dumps({"horizon": 7}).encode(),
    {"Content-Type": "application/json", "Authorization": "Bearer " + os.environ["SALESCAST_SERVE_TOKEN"]})
answer = json.load(urllib.request.urlopen(request, timeout=30))
assert len(answer["series"]) > 1 or answer["series"], answer
print(models[0].version)
`

func pageVersion(t *testing.T) string {
	t.Helper()
	pid, ok := find(t, "streamlit run app.py")
	if !ok {
		t.Fatalf("not one page: %v", alone.Processes(t))
	}
	out, err := exec.CommandContext(t.Context(), servers.Tool(t, "venvs/page/bin/python"), "-c", asPage, pid, servers.Root("astro", "ui")).CombinedOutput()
	if err != nil {
		t.Fatalf("as the page does: %v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

func train(t *testing.T, client airflow.Client, run string, model string) {
	t.Helper()
	_, err := client.Trigger(t.Context(), dag, run, map[string]any{"config": servers.Root("examples", "bakery", "salescast.yaml"), "models": []string{model}})
	must(t, err)
}

func succeed(t *testing.T, client airflow.Client, run string) {
	t.Helper()
	var r airflow.Run
	eventually(t, "the end of "+run, 15*time.Minute, func() bool {
		var err error
		r, err = client.Run(t.Context(), dag, run)
		return err == nil && r.Done()
	})
	if r.State == "success" {
		return
	}
	tasks, err := client.Tasks(t.Context(), dag, run)
	must(t, err)
	for _, task := range tasks {
		if task.State == "failed" {
			lines, _ := client.Log(t.Context(), task, task.Try)
			t.Log(task.Name(), lines)
		}
	}
	t.Fatalf("%s ended as %s", run, r.State)
}

func TestStack(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", taken)
	must(t, err)
	defer l.Close()
	p := start(t, "-free-ports")
	eventually(t, "everything is healthy", 10*time.Minute, func() bool {
		select {
		case <-p.ended:
			t.Fatalf("it ended: %v", p.err)
		default:
		}
		return strings.Contains(p.printed(), invited)
	})
	admin := p.credential(t, "AIRFLOW_ADMIN_PASSWORD")
	checkServices(t, p, admin)

	client, err := airflow.Open(t.Context(), airflow.Options{URL: p.address(t, "Airflow"), Username: "admin", Password: admin, Now: time.Now})
	must(t, err)
	eventually(t, "the DAG is known", 10*time.Minute, func() bool { return client.Unpause(t.Context(), dag) == nil })
	train(t, client, "first", "smoothing")
	succeed(t, client, "first")
	eventually(t, "the first champion is served", 2*time.Minute, func() bool { return versions(t, p) == "1" })
	if v := pageVersion(t); v != "1" {
		t.Errorf("the page has version %s, want 1", v)
	}
	server, ok := find(t, "salescast serve")
	if !ok {
		t.Fatalf("not one server: %v", alone.Processes(t))
	}
	train(t, client, "second", "lightgbm")
	succeed(t, client, "second")
	eventually(t, "the second champion is served", 2*time.Minute, func() bool { return versions(t, p) == "2" })
	if again, _ := find(t, "salescast serve"); again != server {
		t.Errorf("the server is process %s, was %s: it was started again", again, server)
	}
	if v := pageVersion(t); v != "2" {
		t.Errorf("the page has version %s, want 2", v)
	}

	// Ctrl-C in the midst of a training.
	train(t, client, "third", "xgboost")
	eventually(t, "a training is at work", 8*time.Minute, func() bool { _, ok := find(t, "salescast train"); return ok })
	interrupt(t, p)
}

func checkServices(t *testing.T, p *program, admin string) {
	t.Helper()
	if got := p.address(t, "Airflow"); got != "http://127.0.0.1:8181" {
		t.Errorf("Airflow is at %s, not where .env says", got)
	}
	if p.address(t, "page") == "http://"+taken {
		t.Error("the page has a port that was taken")
	}
	for url, want := range map[string]int{
		p.address(t, "page") + "/_stcore/health":                                   http.StatusOK,
		p.address(t, "MLflow") + "/health":                                         http.StatusOK,
		"http://127.0.0.1:9000/minio/health/ready":                                 http.StatusOK,
		"http://127.0.0.1:9000/salescast":                                          http.StatusForbidden, // the bucket is there, and private
		p.address(t, "MinIO"):                                                      http.StatusOK,
		p.address(t, "Airflow") + "/api/v2/dags":                                   http.StatusUnauthorized,
		p.address(t, "Airflow") + "/api/v2/monitor/health":                         http.StatusOK,
		p.address(t, "MLflow") + "/api/2.0/mlflow/experiments/get?experiment_id=0": http.StatusOK,
	} {
		if got, b := get(t, url, ""); got != want {
			t.Errorf("%s: status %d, want %d: %.200s", url, got, want, b)
		}
	}
	if strings.Contains(p.printed(), admin) {
		t.Error("a credential is printed")
	}
}

// interrupt sends what Ctrl-C does, and checks that nothing is left.
func interrupt(t *testing.T, p *program) {
	t.Helper()
	began := time.Now()
	must(t, syscall.Kill(-p.cmd.Process.Pid, syscall.SIGINT))
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		t.Fatal("it did not end within a minute of being interrupted")
	}
	t.Logf("ended %.1f s after Ctrl-C", time.Since(began).Seconds())
	if p.err != nil {
		t.Errorf("it ended with %v, want success", p.err)
	}
	if left := alone.Processes(t); len(left) > 0 {
		t.Errorf("processes are left: %q", left)
	}
	for _, port := range []string{"8181", "9000", "9001", "5001", "8000"} {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", "127.0.0.1:"+port)
		if err == nil {
			_ = conn.Close()
			t.Errorf("something listens on port %s", port)
		}
	}
}

// A port that is in use is named, with what to do; nothing is started.
func TestTakenPort(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", taken)
	must(t, err)
	defer l.Close()
	p := start(t)
	select {
	case <-p.ended:
	case <-time.After(30 * time.Second):
		t.Fatal("it goes on")
	}
	if _, ok := errors.AsType[*exec.ExitError](p.err); !ok || !strings.Contains(p.printed(), "PAGE_PORT=8501") || !strings.Contains(p.printed(), "FREE_PORTS=1") {
		t.Errorf("ended with %v:\n%s", p.err, p.printed())
	}
}
