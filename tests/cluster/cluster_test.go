//go:build cluster

package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"golang.org/x/sys/unix"

	"salescast/pkg/airflow"
	"salescast/tests/alone"
	"salescast/tests/servers"
)

func TestMain(m *testing.M) { alone.Main(m) }

// The hub is this test's own network namespace, with everything but the workers in it.
const (
	hub    = "10.99.0.1"
	apiURL = "http://" + hub + ":8080"
	bucket = "salescast"
	source = "incoming/bakery.csv.gz"
	dag    = "sales_forecast_training"
)

// project is what images of the workers would hold beside Airflow: the DAG files and a configuration.
const config = `data:
  keys: [store, item]
  time: date
  target: sales
  frequency: D
  known_future: [promo, holiday, holiday_next2, school_holiday]
  past_only: [rain, temperature]
  missing: zero
preset: fast
`

type cluster struct {
	airflow string // its program
	env     []string
	project string
	client  airflow.Client
	workers map[string]*exec.Cmd // by host name; each is the first process of its namespaces
	logs    string
	ended   chan string // the names of parts that ended by themselves
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func output(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// start runs a part of the cluster until the end of the test. Its output goes to a file that a failing test prints the end of.
func (c *cluster) start(t *testing.T, name string, cmd *exec.Cmd) {
	t.Helper()
	log, err := os.Create(filepath.Join(c.logs, name+".log"))
	must(t, err)
	cmd.Stdout, cmd.Stderr = log, log
	must(t, cmd.Start())
	gone := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		c.ended <- name
		close(gone)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-gone
		_ = log.Close()
		if b, err := os.ReadFile(log.Name()); t.Failed() && err == nil {
			t.Logf("the end of the log of %s:\n%s", name, b[max(0, len(b)-3000):])
		}
	})
}

// eventually waits until f says that it is done, while every part lives.
func (c *cluster) eventually(t *testing.T, what string, limit time.Duration, f func() bool) {
	t.Helper()
	deadline := time.After(limit)
	for !f() {
		select {
		case name := <-c.ended:
			t.Fatalf("%s ended, while waiting for: %s", name, what)
		case <-deadline:
			t.Fatalf("not within %v: %s", limit, what)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// startPostgres starts a database af of a user af, which needs no password, and returns its address.
func (c *cluster) startPostgres(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(found) == 0 {
		t.Fatal("no Postgres in /usr/lib/postgresql: run make test-cluster, which installs it")
	}
	bin := found[len(found)-1]
	owner, err := user.Lookup("postgres")
	must(t, err)
	uid, err := strconv.ParseUint(owner.Uid, 10, 32)
	must(t, err)
	gid, err := strconv.ParseUint(owner.Gid, 10, 32)
	must(t, err)
	dir, err := os.MkdirTemp("", "salescast-postgres-") //nolint:usetesting // one that its own user may enter
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	must(t, os.Chown(dir, int(uid), int(gid)))
	as := func(program string, args ...string) *exec.Cmd { // Postgres refuses to be root
		cmd := exec.CommandContext(context.Background(), filepath.Join(bin, program), args...)
		cmd.Dir = dir
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		return cmd
	}
	if out, err := as("initdb", "-D", dir+"/data", "-A", "trust", "-N", "-U", "af", "-E", "UTF8", "--locale=C.UTF-8").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	access, err := os.OpenFile(dir+"/data/pg_hba.conf", os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = access.WriteString("host all af 10.99.0.0/24 trust\n")
	must(t, err)
	must(t, access.Close())
	c.start(t, "postgres", as("postgres", "-D", dir+"/data", "-h", hub, "-k", dir, "-c", "fsync=off"))
	c.eventually(t, "Postgres accepts connections", time.Minute, func() bool {
		return as("pg_isready", "-q", "-h", hub).Run() == nil
	})
	if out, err := as("createdb", "-h", hub, "-U", "af", "af").CombinedOutput(); err != nil {
		t.Fatalf("createdb: %v\n%s", err, out)
	}
	return "postgresql+psycopg2://af@" + hub + ":5432/af"
}

// startStore starts an object store with the sales in a private bucket.
func startStore(t *testing.T) *servers.Server {
	t.Helper()
	store := servers.MinIOAt(t, hub)
	client, err := minio.New(strings.TrimPrefix(store.URL, "http://"), &minio.Options{Creds: credentials.NewStaticV4(servers.AccessKey, servers.SecretKey, "")})
	must(t, err)
	must(t, client.MakeBucket(t.Context(), bucket, minio.MakeBucketOptions{}))
	_, err = client.FPutObject(t.Context(), bucket, source, "../../examples/bakery/bakery_daily.csv.gz", minio.PutObjectOptions{})
	must(t, err)
	return store
}

// startCluster starts all of it and waits until it is healthy.
func startCluster(t *testing.T) *cluster {
	t.Helper()
	output(t, "ip", "link", "add", "br0", "type", "bridge")
	output(t, "ip", "address", "add", hub+"/24", "dev", "br0")
	output(t, "ip", "link", "set", "br0", "up")
	venv := servers.Tool(t, "venvs/airflow-celery")
	c := &cluster{airflow: filepath.Join(venv, "bin", "airflow"), project: t.TempDir(), logs: t.TempDir(), workers: map[string]*exec.Cmd{}, ended: make(chan string, 16)}
	must(t, os.CopyFS(filepath.Join(c.project, "dags"), os.DirFS("../../dags")))
	must(t, os.WriteFile(filepath.Join(c.project, "salescast.yaml"), []byte(config), 0o600))

	database := c.startPostgres(t)
	redis, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal("no redis-server: run make test-cluster, which installs it")
	}
	c.start(t, "redis", exec.CommandContext(t.Context(), redis, "--bind", hub, "--protected-mode", "no", "--dir", t.TempDir(), "--save", "", "--appendonly", "yes"))
	store, mlflow := startStore(t), servers.MLflowAt(t, hub)

	const secret = "not-a-secret-only-for-tests-not-a-secret-only-for-tests-0123456789"
	c.env = []string{
		"PATH=" + filepath.Join(venv, "bin") + ":/usr/local/bin:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE=1",
		"AIRFLOW__CORE__EXECUTOR=CeleryExecutor", "AIRFLOW__CORE__LOAD_EXAMPLES=False", "AIRFLOW__CORE__DAGS_FOLDER=" + c.project + "/dags",
		"AIRFLOW__CORE__EXECUTION_API_SERVER_URL=" + apiURL + "/execution/", "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS=True",
		"AIRFLOW__CORE__HOSTNAME_CALLABLE=socket.gethostname", "AIRFLOW__API__BASE_URL=" + apiURL, "AIRFLOW__API__HOST=" + hub, "AIRFLOW__API__WORKERS=1",
		"AIRFLOW__API_AUTH__JWT_SECRET=" + secret, "AIRFLOW__API__SECRET_KEY=" + secret,
		"AIRFLOW__CELERY__BROKER_URL=redis://" + hub + ":6379/0", "AIRFLOW__CELERY__RESULT_BACKEND=db+" + database,
		"AIRFLOW__CELERY__WORKER_CONCURRENCY=1",      // two tasks at once are on two workers
		"AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE=False", // runs are those that are triggered here
		// A worker is given up after 45 s instead of 300 s.
		"AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC=2", "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT=45",
		"AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL=2", "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL=1",
		"AIRFLOW_CONN_SALESCAST_S3=" + fmt.Sprintf(`{"conn_type":"aws","login":%q,"password":%q,"extra":{"endpoint_url":%q,"region_name":"us-east-1"}}`, servers.AccessKey, servers.SecretKey, store.URL),
		"AIRFLOW_CONN_SALESCAST_MLFLOW=" + mlflow.URL,
	}
	home := t.TempDir()
	central := append([]string{"AIRFLOW_HOME=" + home, "HOME=" + home, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=" + database}, c.env...)
	run := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(context.Background(), c.airflow, args...)
		cmd.Env, cmd.Dir = central, home
		return cmd
	}
	if out, err := run("db", "migrate").CombinedOutput(); err != nil {
		t.Fatalf("airflow db migrate: %v\n%s", err, out)
	}
	for _, part := range []string{"api-server", "scheduler", "dag-processor"} {
		c.start(t, part, run(part))
	}
	c.startWorker(t, "worker-a", "10.99.0.2")
	c.startWorker(t, "worker-b", "10.99.0.3")

	c.eventually(t, "Airflow is healthy", 15*time.Minute, func() bool {
		if c.client == nil {
			c.client, _ = airflow.Open(t.Context(), airflow.Options{URL: apiURL, Username: "test", Password: "test", Now: time.Now})
			return false
		}
		h, err := c.client.Health(t.Context())
		return err == nil && h.Healthy()
	})
	c.eventually(t, "the DAG is known", 15*time.Minute, func() bool { return c.client.Unpause(t.Context(), dag) == nil })
	return c
}

// startWorker starts worker.sh in namespaces of its own and plugs it into the bridge.
func (c *cluster) startWorker(t *testing.T, name, address string) {
	t.Helper()
	venv := filepath.Dir(filepath.Dir(c.airflow))
	python := output(t, filepath.Join(venv, "bin", "python"), "-c", "import sys; print(sys.base_prefix)")
	place, err := filepath.EvalSymlinks(venv)
	must(t, err)
	script, err := filepath.Abs("worker.sh")
	must(t, err)
	c.airflow = filepath.Join(place, "bin", "airflow")
	cmd := exec.CommandContext(context.Background(), "/bin/sh", script, name, address, c.airflow, place, python, c.project)
	// A worker of Airflow 3 needs no metadata database: it could not open this one.
	cmd.Env = append([]string{"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=sqlite:////nowhere/none.db"}, c.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWUTS}
	c.start(t, name, cmd)
	c.workers[name] = cmd
	end := "v-" + name
	output(t, "ip", "link", "add", end, "type", "veth", "peer", "name", "eth0", "netns", strconv.Itoa(cmd.Process.Pid))
	output(t, "ip", "link", "set", end, "master", "br0", "up")
}

// instance is what Airflow says of a task instance, and of the host that it ran on.
type instance struct {
	ID       string `json:"task_id"`
	MapIndex int    `json:"map_index"`
	State    string `json:"state"`
	Try      int    `json:"try_number"`
	Host     string `json:"hostname"`
	// Started is when the last try did.
	Started time.Time `json:"start_date"`
}

// get decodes an answer of the REST API.
func get(t *testing.T, path string, into any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, apiURL+"/auth/token", strings.NewReader(`{"username":"test","password":"test"}`))
	must(t, err)
	req.Header.Set("Content-Type", "application/json")
	ask := func(into any) {
		t.Helper()
		resp, err := http.DefaultClient.Do(req)
		must(t, err)
		defer resp.Body.Close()
		b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		must(t, err)
		if resp.StatusCode >= 300 {
			t.Fatalf("%s %s: %s\n%s", req.Method, req.URL, resp.Status, b)
		}
		must(t, json.Unmarshal(b, into))
	}
	var token struct {
		Token string `json:"access_token"`
	}
	ask(&token)
	req, err = http.NewRequestWithContext(t.Context(), http.MethodGet, apiURL+"/api/v2"+path, nil)
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+token.Token)
	ask(into)
}

func instances(t *testing.T, run string) []instance {
	t.Helper()
	var page struct {
		Instances []instance `json:"task_instances"`
	}
	get(t, "/dags/"+dag+"/dagRuns/"+run+"/taskInstances?limit=100", &page)
	return page.Instances
}

func (c *cluster) trigger(t *testing.T, run string, models ...string) {
	t.Helper()
	_, err := c.client.Trigger(t.Context(), dag, run, map[string]any{
		"source": "s3://" + bucket + "/" + source, "config": filepath.Join(c.project, "salescast.yaml"), "models": models,
	})
	must(t, err)
}

// wait returns the task instances of a run that succeeded.
func (c *cluster) wait(t *testing.T, run string, limit time.Duration) []instance {
	t.Helper()
	var r airflow.Run
	c.eventually(t, "the end of the run", limit, func() bool {
		var err error
		r, err = c.client.Run(t.Context(), dag, run)
		return err == nil && r.Done()
	})
	all := instances(t, run)
	if r.State != "success" {
		for _, i := range all {
			c.logFailure(t, run, i)
		}
		t.Fatalf("the run ended as %s: %+v", r.State, all)
	}
	return all
}

func (c *cluster) logFailure(t *testing.T, run string, i instance) {
	t.Helper()
	if i.State != "failed" {
		return
	}
	lines, err := c.client.Log(t.Context(), airflow.Task{DAG: dag, RunID: run, ID: i.ID, MapIndex: i.MapIndex}, i.Try)
	t.Logf("%s[%d] failed on %s (%v):", i.ID, i.MapIndex, i.Host, err)
	for _, l := range lines {
		t.Log("  ", l.Level, l.Text)
	}
}

// training returns the processes that run `salescast train` on a worker. They are seen here, in the outer process namespace.
func (c *cluster) training(t *testing.T, worker string) []string {
	t.Helper()
	namespace := func(pid string) string {
		link, err := os.Readlink("/proc/" + pid + "/ns/pid")
		if err != nil {
			return "" // it has ended
		}
		return link
	}
	own := namespace(strconv.Itoa(c.workers[worker].Process.Pid))
	var found []string
	for _, p := range alone.Processes(t) {
		pid, line, _ := strings.Cut(p, " ")
		if strings.Contains(line, "salescast train") && namespace(pid) == own {
			found = append(found, pid)
		}
	}
	return found
}

// Everything goes through the network: two workers that see no file of each other finish a run together.
func TestTraining(t *testing.T) {
	c := startCluster(t)
	t.Run("two workers", func(t *testing.T) { c.testTwoWorkers(t) })
	t.Run("a worker dies", func(t *testing.T) { c.testWorkerDies(t) })
}

func (c *cluster) testTwoWorkers(t *testing.T) {
	c.trigger(t, "together", "lightgbm", "smoothing")
	hosts := map[string]int{}
	for _, i := range c.wait(t, "together", 10*time.Minute) {
		unasked := i.ID == "generate" || i.ID == "featurize"
		if i.State != "success" && (!unasked || i.State != "skipped") {
			t.Errorf("%s[%d] is %s", i.ID, i.MapIndex, i.State)
		}
		hosts[i.Host]++
		if unasked || i.ID == "models" || i.ID == "prune" { // skipped, Airflow's own, without a result
			continue
		}
		var entry struct {
			Value json.RawMessage `json:"value"`
		}
		get(t, fmt.Sprintf("/dags/%s/dagRuns/together/taskInstances/%s/xcomEntries/return_value?map_index=%d", dag, i.ID, i.MapIndex), &entry)
		if !bytes.Contains(entry.Value, []byte("s3://"+bucket+"/runs/")) || bytes.Contains(entry.Value, []byte("/tmp/")) || bytes.Contains(entry.Value, []byte("/home/")) {
			t.Errorf("%s[%d] hands on %s", i.ID, i.MapIndex, entry.Value)
		}
	}
	if hosts["worker-a"] == 0 || hosts["worker-b"] == 0 {
		t.Errorf("tasks per host: %v", hosts)
	}
	t.Logf("tasks per host: %v", hosts)
	// Who trained trees has unpacked the engines in a home of its own, and none of that is seen here.
	caches := 0
	for _, cmd := range c.workers {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d/root/home/airflow/.cache/salescast", cmd.Process.Pid)); err == nil {
			caches++
		}
	}
	if caches == 0 {
		t.Error("no worker has engines in a home of its own")
	}
	if _, err := os.Stat("/home/airflow/.cache/salescast"); err == nil {
		t.Error("the home of the workers is that of this machine")
	}
}

func (c *cluster) testWorkerDies(t *testing.T) {
	c.trigger(t, "bereaved", "lightgbm", "xgboost")
	var victim string
	var train []string
	c.eventually(t, "a worker trains", 8*time.Minute, func() bool {
		for name := range c.workers {
			if train = c.training(t, name); len(train) > 0 {
				victim = name
				return true
			}
		}
		return false
	})
	time.Sleep(500 * time.Millisecond)
	if len(c.training(t, victim)) == 0 {
		t.Fatal("the training ended before its worker could be killed")
	}
	t.Logf("killing %s, which trains as process %v", victim, train)
	// The end of the first process is that of all others in its namespace, as when a machine fails.
	must(t, c.workers[victim].Process.Kill())
	if name := <-c.ended; name != victim {
		t.Fatalf("%s ended before %s was killed", name, victim)
	}
	killed := time.Now()
	c.eventually(t, "nothing of the worker is left", 10*time.Second, func() bool { return len(c.training(t, victim)) == 0 })

	retried := 0
	for _, i := range c.wait(t, "bereaved", 12*time.Minute) {
		if i.Host == victim && i.Started.After(killed) {
			t.Errorf("%s[%d] started on the worker that is dead", i.ID, i.MapIndex)
		}
		// Other tasks may be retried too, where a supervisor gets no processor for 45 s.
		if i.ID == "train" && i.Try > 1 && i.Started.After(killed) {
			retried++
		}
	}
	if retried == 0 {
		t.Error("the training that was at work was not retried")
	}
}
