package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"salescast/pkg/artifact"
	"salescast/pkg/artifact/dir"
	"salescast/pkg/artifact/s3"
	"salescast/pkg/regress/engines"
	"salescast/tasks"
)

// openStore opens the store at an address. This file is the only one that knows which implementations there are.
func (a *app) openStore(url string) (artifact.Store, artifact.Location, error) {
	return a.openStoreFor(url, 0)
}

// bucketForm is that of the names of buckets; some stores still have upper-case ones.
var bucketForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]$`)

// openStoreFor opens a store that waits only so long for a service that is away, or as long as is usual where patience is 0.
func (a *app) openStoreFor(url string, patience time.Duration) (artifact.Store, artifact.Location, error) {
	at, err := artifact.ParseLocation(url)
	if err != nil {
		return nil, at, &tasks.Error{Kind: tasks.KindUsage, Op: "open workspace", Err: err}
	}
	switch at.Scheme {
	case artifact.SchemeFile:
		s, err := dir.New(at.Path)
		if err != nil {
			return nil, at, &tasks.Error{Kind: tasks.KindUsage, Op: "open workspace", Err: err}
		}
		return s, at, nil
	default:
		if !bucketForm.MatchString(at.Bucket) {
			return nil, at, &tasks.Error{
				Kind: tasks.KindUsage, Op: "open " + at.String(), Err: fmt.Errorf("no bucket can be called %q", at.Bucket),
				Hint: "names of buckets have 3 to 63 letters, digits, points and hyphens",
			}
		}
		conf := a.s3Config()
		conf.Patience = patience
		s, err := s3.New(conf, at)
		if err != nil {
			kind := tasks.KindConfig
			if errors.Is(err, fs.ErrPermission) {
				kind = tasks.KindPermission
			}
			return nil, at, &tasks.Error{Kind: kind, Op: "open " + at.String(), Err: err, Hint: "credentials and endpoint come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL_S3"}
		}
		return s, at, nil
	}
}

// s3Config has the names that the AWS command line and MLflow use.
func (a *app) s3Config() s3.Config {
	first := func(names ...string) string {
		for _, n := range names {
			if v := a.getenv(n); v != "" {
				return v
			}
		}
		return ""
	}
	c := s3.Config{
		Endpoint:  first("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "MLFLOW_S3_ENDPOINT_URL"),
		Region:    first("AWS_REGION", "AWS_DEFAULT_REGION"),
		AccessKey: a.getenv("AWS_ACCESS_KEY_ID"), SecretKey: a.getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: a.getenv("AWS_SESSION_TOKEN"),
		CredentialsFile: a.getenv("AWS_SHARED_CREDENTIALS_FILE"), Profile: a.getenv("AWS_PROFILE"), CABundle: a.getenv("AWS_CA_BUNDLE"),
	}
	if home := a.getenv("HOME"); c.CredentialsFile == "" && home != "" {
		c.CredentialsFile = filepath.Join(home, ".aws", "credentials")
	}
	return c
}

// openEnv opens all that a step may touch. The function that it returns must be called at the end; its error is data lost to tracking.
func (a *app) openEnv(workspace string, c *config) (tasks.Env, func(context.Context) error, error) {
	env := tasks.Env{
		Log: a.log, Progress: a.bars, Now: a.now, Version: version().Version, Threads: a.global.threads,
		Experiment: or(a.getenv("MLFLOW_EXPERIMENT_NAME"), c.Tracking.Experiment), Tags: airflowTags(a.environ()),
	}
	if workspace == "" {
		return env, nil, &tasks.Error{
			Kind: tasks.KindUsage, Op: "open workspace", Err: errors.New("no workspace is given"),
			Hint: "say where the step works, such as -w runs/today, or set SALESCAST_WORKSPACE",
		}
	}
	store, at, err := a.openStore(workspace)
	if err != nil {
		return env, nil, err
	}
	env.Store, env.Sources = store, a.sourceFiles
	env.Open = func(url string) (artifact.Store, error) {
		s, _, err := a.openStore(url)
		return s, err
	}
	maps.Copy(env.Tags, a.sourceTags())
	tracker, registry, err := a.openTracker(at, c)
	if err != nil {
		return env, nil, err
	}
	learners := a.engines()
	env.Tracker, env.Registry, env.Learners = tracker, registry, learners
	env.Studies = a.studies(c, at)
	return env, func(ctx context.Context) error {
		learners.Close()
		return errors.Join(tracker.Close(ctx), a.shipSpool(ctx, store, at))
	}, nil
}

// engines are opened when they are first asked for.
func (a *app) engines() *engines.Engines {
	return engines.New(engines.Config{
		EngineDir: a.getenv("SALESCAST_ENGINE_DIR"), CacheDir: engineCache(), Threads: max(a.global.threads, 1),
		Log: func(engine, message string) { a.log.Debug().Str("engine", engine).Msg(message) },
	})
}

// engineCache is where embedded libraries are unpacked; without a home, "", they live in memory.
func engineCache() string {
	d, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(d, "salescast", "engines")
}

func (a *app) stateDir() (string, error) {
	if d := a.getenv("SALESCAST_STATE_DIR"); d != "" {
		return d, nil
	}
	if d := a.getenv("XDG_STATE_HOME"); d != "" {
		return filepath.Join(d, "salescast"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", &tasks.Error{Kind: tasks.KindConfig, Op: "find the state folder", Err: err, Hint: "set SALESCAST_STATE_DIR"}
	}
	return filepath.Join(home, ".local", "state", "salescast"), nil
}

// airflowTags are what Airflow says of the task that runs this process.
func airflowTags(environ []string) map[string]string {
	tags := map[string]string{}
	for _, kv := range environ {
		k, v, _ := strings.Cut(kv, "=")
		if name, ok := strings.CutPrefix(k, "AIRFLOW_CTX_"); ok && v != "" {
			tags["airflow."+strings.ToLower(name)] = v
		}
	}
	return tags
}
