package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"salescast/pkg/airflow"
)

// bucket is where the DAGs keep workspaces.
const bucket = "salescast"

// service is one process that is kept running.
type service struct {
	name string
	args []string
	env  []string
	dir  string
	// needs is the service that must be healthy before this one starts, if any.
	needs string
	// healthy says whether it does its work; nil is a part that another one's health speaks for.
	healthy func(ctx context.Context) bool
	// prepare runs once before it starts, and after once when it is first healthy.
	prepare, after func(ctx context.Context) error
	// late is a service that ends until there is a champion, and is not waited for.
	late bool

	cmd     *exec.Cmd
	ready   bool
	done    bool // after ran
	gone    bool // it ended while all are ended
	crashes int
	startAt time.Time
}

// answers is a health check: the URL answers 200.
func answers(url string) func(context.Context) bool {
	return func(ctx context.Context) bool {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return false
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}
}

// services are those of docker-compose.override.yml and of Astro, with the programs that make installs.
func services(root, dir string, s *settings) ([]*service, error) {
	tool := func(path ...string) string { return filepath.Join(append([]string{root}, path...)...) }
	store := map[string]string{
		"AWS_ACCESS_KEY_ID": s.values["MINIO_ROOT_USER"], "AWS_SECRET_ACCESS_KEY": s.values["MINIO_ROOT_PASSWORD"],
		"AWS_ENDPOINT_URL_S3": s.url("MINIO_PORT"), "AWS_REGION": "us-east-1",
	}
	all := []*service{
		{
			name: "minio", healthy: answers(s.url("MINIO_PORT") + "/minio/health/ready"), after: func(ctx context.Context) error { return makeBucket(ctx, s) },
			args: []string{tool(".build/bin/minio"), "server", filepath.Join(dir, "minio"), "--address", "127.0.0.1:" + s.values["MINIO_PORT"], "--console-address", "127.0.0.1:" + s.values["MINIO_CONSOLE_PORT"]},
			env:  s.environment(map[string]string{"MINIO_ROOT_USER": s.values["MINIO_ROOT_USER"], "MINIO_ROOT_PASSWORD": s.values["MINIO_ROOT_PASSWORD"], "MINIO_UPDATE": "off"}),
		},
		{
			name: "mlflow", healthy: answers(s.url("MLFLOW_PORT") + "/health"), dir: filepath.Join(dir, "mlflow"),
			args: []string{
				tool(".build/venvs/mlflow-3.17/bin/mlflow"), "server", "--backend-store-uri", "sqlite:///" + filepath.Join(dir, "mlflow/mlflow.db"),
				"--serve-artifacts", "--artifacts-destination", filepath.Join(dir, "mlflow/artifacts"), "--host", "127.0.0.1", "--port", s.values["MLFLOW_PORT"], "--workers", "1",
			},
			env: s.environment(map[string]string{"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}),
		},
	}
	flow, err := airflowServices(root, dir, s)
	if err != nil {
		return nil, err
	}
	all = append(all, flow...)
	return append(all,
		&service{
			name: "serve", needs: "mlflow", late: true, healthy: answers(s.url("SERVE_PORT") + "/health"),
			args: []string{tool("bin/salescast"), "serve", "--model", "models:/sales_forecast_ensemble@champion", "--listen", "127.0.0.1:" + s.values["SERVE_PORT"]},
			env:  s.environment(store, map[string]string{"SALESCAST_SERVE_TOKEN": s.values["SALESCAST_SERVE_TOKEN"], "MLFLOW_TRACKING_URI": s.url("MLFLOW_PORT")}),
		},
		&service{
			name: "page", healthy: answers(s.url("PAGE_PORT") + "/_stcore/health"), dir: tool("astro/ui"),
			args: []string{
				tool(".build/venvs/page/bin/streamlit"), "run", "app.py", "--server.address", "127.0.0.1", "--server.port", s.values["PAGE_PORT"],
				"--server.headless", "true", "--browser.gatherUsageStats", "false",
			},
			env: s.environment(map[string]string{"SALESCAST_SERVER": s.url("SERVE_PORT"), "SALESCAST_SERVE_TOKEN": s.values["SALESCAST_SERVE_TOKEN"]}),
		}), nil
}

// airflowServices are the parts of Airflow 3 with the LocalExecutor. None of the DAGs defers, so there is no triggerer.
func airflowServices(root, dir string, s *settings) ([]*service, error) {
	home, bin := filepath.Join(dir, "airflow"), filepath.Join(root, ".build/venvs/airflow3/bin")
	passwords := filepath.Join(home, "passwords.json")
	b, err := json.Marshal(map[string]string{"admin": s.values["AIRFLOW_ADMIN_PASSWORD"]})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(passwords, b, 0o600); err != nil {
		return nil, err
	}
	connection := func(of map[string]any) string {
		b, _ := json.Marshal(of) // strings alone
		return string(b)
	}
	url := s.url("AIRFLOW_PORT")
	env := s.environment(s.file, map[string]string{
		"PATH":         bin + ":" + s.values["PATH"],
		"PYTHONPATH":   filepath.Join(root, "astro/provider"),
		"AIRFLOW_HOME": home, "SALESCAST_BIN": filepath.Join(root, "bin/salescast"),
		"AIRFLOW__CORE__DAGS_FOLDER": filepath.Join(root, "dags"), "AIRFLOW__CORE__PLUGINS_FOLDER": filepath.Join(root, "plugins"),
		"AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__CORE__EXECUTOR": "LocalExecutor", "AIRFLOW__CORE__PARALLELISM": "4",
		"AIRFLOW__CORE__EXECUTION_API_SERVER_URL": url + "/execution/", "AIRFLOW__CORE__FERNET_KEY": s.values["AIRFLOW_FERNET_KEY"],
		"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin", "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": passwords,
		"AIRFLOW__API__HOST": "127.0.0.1", "AIRFLOW__API__PORT": s.values["AIRFLOW_PORT"], "AIRFLOW__API__BASE_URL": url, "AIRFLOW__API__WORKERS": "1",
		"AIRFLOW__API_AUTH__JWT_SECRET": s.values["AIRFLOW_JWT_SECRET"], "AIRFLOW__API__SECRET_KEY": s.values["AIRFLOW_JWT_SECRET"],
		"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:///" + filepath.Join(home, "airflow.db"), "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "60",
		"AIRFLOW_CONN_SALESCAST_S3": connection(map[string]any{
			"conn_type": "aws", "login": s.values["MINIO_ROOT_USER"], "password": s.values["MINIO_ROOT_PASSWORD"],
			"extra": map[string]string{"endpoint_url": s.url("MINIO_PORT"), "region_name": "us-east-1", "console_url": s.url("MINIO_CONSOLE_PORT")},
		}),
		"AIRFLOW_CONN_SALESCAST_MLFLOW": connection(map[string]any{"conn_type": "http", "host": s.url("MLFLOW_PORT")}),
	})
	part := func(name string) *service {
		return &service{name: name, args: []string{filepath.Join(bin, "airflow"), name}, env: env, dir: home, needs: "api-server"}
	}
	api := part("api-server")
	api.needs = ""
	api.prepare = func(ctx context.Context) error {
		cmd := exec.CommandContext(ctx, filepath.Join(bin, "airflow"), "db", "migrate") //nolint:gosec // what make installed
		cmd.Env, cmd.Dir = env, home
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("airflow db migrate: %w\n%s", err, out[max(0, len(out)-2000):])
		}
		return nil
	}
	api.healthy = answers(url + "/api/v2/version")
	scheduler := part("scheduler")
	scheduler.healthy = func(ctx context.Context) bool {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		client, err := airflow.Open(ctx, airflow.Options{URL: url, Username: "admin", Password: s.values["AIRFLOW_ADMIN_PASSWORD"], Now: time.Now})
		if err != nil {
			return false
		}
		h, err := client.Health(ctx)
		return err == nil && h.Healthy()
	}
	return []*service{api, scheduler, part("dag-processor")}, nil
}

// environment is what every service inherits and variables of its own; the later ones win.
func (s *settings) environment(of ...map[string]string) []string {
	env := append([]string(nil), s.inherited...)
	for _, variables := range of {
		for name, value := range variables {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// makeBucket makes a private bucket, unless it is there.
func makeBucket(ctx context.Context, s *settings) error {
	client, err := minio.New(strings.TrimPrefix(s.url("MINIO_PORT"), "http://"), &minio.Options{
		Creds: credentials.NewStaticV4(s.values["MINIO_ROOT_USER"], s.values["MINIO_ROOT_PASSWORD"], ""), Region: "us-east-1",
	})
	if err != nil {
		return err
	}
	err = client.MakeBucket(ctx, bucket, minio.MakeBucketOptions{})
	if code := minio.ToErrorResponse(err).Code; err != nil && code != "BucketAlreadyOwnedByYou" && code != "BucketAlreadyExists" {
		return errors.Join(fmt.Errorf("make bucket %s", bucket), err)
	}
	return nil
}
