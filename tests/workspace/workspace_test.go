package workspacetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"salescast/pkg/artifact"
	"salescast/tests/servers"
)

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// command is the program in an environment of its own.
type command struct {
	binary string
	env    []string
}

func (c command) with(env ...string) command {
	return command{c.binary, append(append([]string{}, c.env...), env...)}
}

// run runs the command and returns its exit code and its outputs.
func (c command) run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), c.binary, args...)
	cmd.Env = c.env
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	rerr := cmd.Run()
	if e, ok := errors.AsType[*exec.ExitError](rerr); ok {
		return e.ExitCode(), out.String(), err.String()
	}
	must(t, rerr)
	return 0, out.String(), err.String()
}

func (c command) want(t *testing.T, code int, args ...string) string {
	t.Helper()
	got, out, err := c.run(t, args...)
	if got != code {
		t.Fatalf("%v: exit %d, want %d\n%s%s", args, got, code, out, err)
	}
	return out
}

var generate = []string{"generate", "--stores", "2", "--items", "2", "--start", "2024-01-01", "--end", "2024-03-31", "-o", "json", "-w"}

func runsOf(t *testing.T, server *servers.Server) int {
	t.Helper()
	body := `{"experiment_ids":["0","1"],"max_results":100}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/api/2.0/mlflow/runs/search", strings.NewReader(body))
	must(t, err)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	var a struct {
		Runs []struct {
			Info struct {
				Status string `json:"status"`
			} `json:"info"`
		} `json:"runs"`
	}
	must(t, json.NewDecoder(resp.Body).Decode(&a))
	for _, r := range a.Runs {
		if r.Info.Status != "FINISHED" {
			t.Errorf("a run is %s", r.Info.Status)
		}
	}
	return len(a.Runs)
}

// build makes the program.
func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "salescast")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "salescast/cmd/salescast").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return binary
}

func TestWorkspace(t *testing.T) {
	t.Parallel()
	binary := build(t)
	store, tracker := servers.MinIO(t), servers.MLflow(t)
	client, err := minio.New(strings.TrimPrefix(store.URL, "http://"), &minio.Options{Creds: credentials.NewStaticV4(servers.AccessKey, servers.SecretKey, "")})
	must(t, err, client.MakeBucket(t.Context(), "sales", minio.MakeBucketOptions{}))
	objects := func(prefix string) (names []string) {
		for o := range client.ListObjectsIter(t.Context(), "sales", minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
			must(t, o.Err)
			names = append(names, o.Key)
		}
		return names
	}
	state := t.TempDir()
	local := command{binary, []string{"HOME=" + t.TempDir(), "SALESCAST_STATE_DIR=" + state}}
	s3 := local.with("AWS_ENDPOINT_URL="+store.URL, "AWS_ACCESS_KEY_ID="+servers.AccessKey, "AWS_SECRET_ACCESS_KEY="+servers.SecretKey)
	mlflow := s3.with("MLFLOW_TRACKING_URI=" + tracker.URL)

	// The same step in a folder and in object storage.
	folder := t.TempDir()
	local.want(t, 0, append(generate, folder)...)
	s3.want(t, 0, append(generate, "s3://sales/runs/1")...)
	manifest := func(read io.ReadCloser) artifact.Manifest {
		m, err := artifact.ReadManifest(read)
		must(t, err, read.Close())
		return m
	}
	f, err := os.Open(filepath.Join(folder, "data", "manifest.json"))
	must(t, err)
	a := manifest(f)
	o, err := client.GetObject(t.Context(), "sales", "runs/1/data/manifest.json", minio.GetObjectOptions{})
	must(t, err)
	b := manifest(o)
	if da, db := a.ContentDigest(), b.ContentDigest(); da != db {
		t.Errorf("the step differs between a folder (%s) and object storage (%s)", da, db)
	}

	// Without a server its record waits in the workspace, and sync brings it, once.
	if names := objects("runs/1/.salescast/spool/"); len(names) != 1 {
		t.Errorf("spools in the workspace: %v, want 1", names)
	}
	for range 2 {
		mlflow.want(t, 0, "sync", "-w", "s3://sales/runs/1")
		if n := runsOf(t, tracker); n != 1 {
			t.Errorf("after sync there are %d runs, want 1", n)
		}
	}
	if names := objects("runs/1/.salescast/"); len(names) != 0 {
		t.Errorf("after sync the workspace keeps %v", names)
	}

	// With a server nothing waits.
	mlflow.want(t, 0, append(generate, "s3://sales/runs/2")...)
	if n, names := runsOf(t, tracker), objects("runs/2/.salescast/"); n != 2 || len(names) != 0 {
		t.Errorf("with a server there are %d runs and spools %v, want 2 and none", n, names)
	}

	// Two tasks of one Airflow run are under one parent.
	airflow := mlflow.with("AIRFLOW_CTX_DAG_ID=sales", "AIRFLOW_CTX_DAG_RUN_ID=manual__2026-11-23T09:00:00+00:00")
	for _, w := range []string{"s3://sales/airflow/1", "s3://sales/airflow/2"} {
		airflow.want(t, 0, append(generate, w)...)
	}
	if n := runsOf(t, tracker); n != 5 {
		t.Errorf("after two tasks of Airflow there are %d runs, want 3 more: the tasks and their parent", n)
	}

	// The server dies: the step goes on, and the next one brings both.
	tracker.Stop(t)
	if _, out, said := mlflow.run(t, append(generate, "s3://sales/runs/3")...); !strings.Contains(out, `"done"`) || !strings.Contains(said, "salescast sync") {
		t.Errorf("with a server that is away: %s%s", out, said)
	}
	tracker.Start(t, "/health")
	mlflow.want(t, 0, "sync", "-w", "s3://sales/runs/3")
	if n := runsOf(t, tracker); n != 6 {
		t.Errorf("after the server came back there are %d runs, want 6", n)
	}

	// What is wrong has its exit code.
	s3.with("AWS_SECRET_ACCESS_KEY=wrong").want(t, 77, append(generate, "s3://sales/runs/4")...)
	s3.want(t, 66, append(generate, "s3://no-such-bucket/runs/4")...)
	local.want(t, 77, append(generate, "s3://sales/runs/4")...)
	s3.want(t, 78, "sync", "-w", "s3://sales/runs/1")
}
