package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"salescast/pkg/artifact"
	"salescast/pkg/artifact/s3"
	"salescast/pkg/track"
	"salescast/pkg/track/mlflow"
	"salescast/pkg/track/spool"
	"salescast/tasks"
)

// The values of tracking.mode.
const (
	trackRequired = "required"
	trackSpool    = "spool"
	trackOff      = "off"
)

// spoolPatience is how long a step in mode spool waits for an MLflow server that is away before it goes on without.
const spoolPatience = 20 * time.Second

// spoolFolder is beside the objects of a folder, or in the state folder for a workspace that is elsewhere.
func (a *app) spoolFolder(at artifact.Location) (string, error) {
	if at.Scheme == artifact.SchemeFile {
		return filepath.Join(at.Path, ".salescast", "spool"), nil
	}
	state, err := a.stateDir()
	return filepath.Join(state, "spool", strings.NewReplacer("://", "-", "/", "-").Replace(at.String())), err
}

// spoolObjects is where a workspace on object storage keeps what was recorded and is not in MLflow.
const spoolObjects = ".salescast/spool/"

// shipSpool moves what the spool of a remote workspace still holds into the workspace, as one object, where any machine can sync it.
// Where that fails it stays in the state folder, and the error says so.
func (a *app) shipSpool(ctx context.Context, store artifact.Store, at artifact.Location) error {
	if at.Scheme == artifact.SchemeFile {
		return nil // it is in the workspace
	}
	folder, err := a.spoolFolder(at)
	if err != nil {
		return err
	}
	s, err := spool.Open(folder, 0)
	if err != nil {
		return fmt.Errorf("open tracking spool: %w", err)
	}
	keys, err := s.Keys()
	if err != nil || len(keys) == 0 {
		return err
	}
	f, err := os.CreateTemp("", "salescast-spool-*")
	if err != nil {
		return err
	}
	defer func() { _, _ = f.Close(), os.Remove(f.Name()) }()
	packed, err := s.Pack(ctx, f)
	if err != nil {
		return err
	}
	defer packed.Close()
	if packed.Len() == 0 {
		return nil // another process has sent it
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	name := spoolObjects + a.now().UTC().Format("20060102T150405Z") + "-" + rand.Text() + ".tar"
	if _, err := store.Create(ctx, name, f); err != nil {
		return fmt.Errorf("the record of the run stays in %s until salescast sync: %w", folder, err)
	}
	return packed.Done(ctx, store.URL(name))
}

// openTracker opens the record of a workspace: its spool without an MLflow server, and with one what tracking.mode says.
func (a *app) openTracker(at artifact.Location, c *config) (track.Tracker, track.Registry, error) {
	folder, err := a.spoolFolder(at)
	if err != nil {
		return nil, nil, err
	}
	s, err := spool.Open(folder, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open tracking spool: %w", err)
	}
	local, err := a.localRegistry(s, c)
	if err != nil {
		return nil, nil, err
	}
	if c.Tracking.Mode == trackOff {
		return track.Off{}, local, nil
	}
	uri := a.getenv("MLFLOW_TRACKING_URI")
	if uri == "" {
		return track.Strict(track.Redacted(s)), local, nil
	}
	patience := time.Duration(0)
	if c.Tracking.Mode == trackSpool {
		patience = spoolPatience
	}
	server, err := a.openMLflow(uri, patience)
	if err != nil {
		return nil, nil, err
	}
	registry := mlflow.NewRegistry(server)
	if c.Tracking.Mode == trackRequired {
		return track.Strict(track.Redacted(server)), registry, nil
	}
	forward := spool.NewForward(s, server, uri, func(err error) { a.log.Warn().Err(err).Msg("MLflow") })
	return track.Strict(track.Redacted(forward)), registry, nil
}

// registryFolder is where workspaces share a registry.
func (c *config) registryFolder() string {
	if filepath.IsAbs(c.Register.Folder) {
		return c.Register.Folder
	}
	return filepath.Join(c.folder, c.Register.Folder)
}

// localRegistry is in the spool of the workspace, or in a folder or a place in a store that workspaces share.
func (a *app) localRegistry(workspace *spool.Spool, c *config) (*spool.Registry, error) {
	folder := c.Register.Folder
	if folder == "" {
		return spool.NewRegistry(workspace, a.now), nil
	}
	if strings.Contains(folder, "://") {
		store, _, err := a.openStore(folder)
		if err != nil {
			return nil, err
		}
		return spool.NewStoreRegistry(store, a.now), nil
	}
	s, err := spool.Open(c.registryFolder(), 0)
	if err != nil {
		return nil, fmt.Errorf("open model registry: %w", err)
	}
	return spool.NewRegistry(s, a.now), nil
}

// openRegistry opens the registry without a step: that of MLflow, of the shared folder, or of the workspace.
func (a *app) openRegistry(c *config) (track.Registry, error) {
	if uri := a.getenv("MLFLOW_TRACKING_URI"); uri != "" && c.Tracking.Mode != trackOff {
		server, err := a.openMLflow(uri, 0)
		if err != nil {
			return nil, err
		}
		return mlflow.NewRegistry(server), nil
	}
	if c.Register.Folder != "" {
		if !strings.Contains(c.Register.Folder, "://") {
			if err := present("open model registry", c.registryFolder()); err != nil {
				return nil, err
			}
		}
		return a.localRegistry(nil, c)
	}
	if a.global.workspace == "" {
		return nil, &tasks.Error{
			Kind: tasks.KindUsage, Op: "open model registry", Err: errors.New("no registry is named"),
			Hint: "set MLFLOW_TRACKING_URI, or register.folder in the configuration, or name the workspace with -w",
		}
	}
	at, err := artifact.ParseLocation(a.global.workspace)
	if err != nil {
		return nil, &tasks.Error{Kind: tasks.KindUsage, Op: "open model registry", Err: err}
	}
	if at.Scheme == artifact.SchemeFile {
		if err := present("open model registry", at.Path); err != nil {
			return nil, err
		}
	}
	folder, err := a.spoolFolder(at)
	if err != nil {
		return nil, err
	}
	s, err := spool.Open(folder, 0)
	if err != nil {
		return nil, fmt.Errorf("open model registry: %w", err)
	}
	return spool.NewRegistry(s, a.now), nil
}

// present refuses a folder that is not there, which opening it would make.
func present(op, folder string) error {
	_, err := os.Stat(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return &tasks.Error{Kind: tasks.KindInputMissing, Op: op, Err: err, Hint: `"salescast runs" lists the workspaces that there are`}
	}
	return err
}

// openMLflow opens a server with the names of MLflow's own client. patience 0 is the client's default.
func (a *app) openMLflow(uri string, patience time.Duration) (*mlflow.Tracker, error) {
	if a.getenv("MLFLOW_TRACKING_USERNAME") != "" && a.getenv("MLFLOW_TRACKING_TOKEN") != "" {
		a.log.Warn().Msg("MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_TOKEN are both set: the user name is used")
	}
	insecure := strings.ToLower(a.getenv("MLFLOW_TRACKING_INSECURE_TLS"))
	t, err := mlflow.New(mlflow.Config{
		URI: uri, Username: a.getenv("MLFLOW_TRACKING_USERNAME"), Password: a.getenv("MLFLOW_TRACKING_PASSWORD"), Token: a.getenv("MLFLOW_TRACKING_TOKEN"),
		InsecureTLS: insecure == "true" || insecure == "1",
		CACert:      a.getenv("MLFLOW_TRACKING_SERVER_CERT_PATH"), ClientCert: a.getenv("MLFLOW_TRACKING_CLIENT_CERT_PATH"),
		Patience: patience, Now: a.now,
		Artifacts: func(_ context.Context, at artifact.Location) (artifact.Store, error) { return s3.New(a.s3Config(), at) },
	})
	if err != nil {
		return nil, &tasks.Error{Kind: tasks.KindConfig, Op: "open MLflow", Err: err, Hint: "MLFLOW_TRACKING_URI is the address of a server, such as http://127.0.0.1:5000; without it runs are kept in the workspace"}
	}
	return t, nil
}

// sourceTags say to MLflow who ran what, and where it was started.
func (a *app) sourceTags() map[string]string {
	tags := map[string]string{"mlflow.source.name": "salescast", "mlflow.source.type": "LOCAL"}
	if a.getenv("AIRFLOW_CTX_DAG_ID") != "" {
		tags["mlflow.source.type"] = "JOB"
	}
	for _, name := range []string{"AIRFLOW_CTX_DAG_OWNER", "USER", "LOGNAME"} {
		if v := a.getenv(name); v != "" {
			tags["mlflow.user"] = v
			break
		}
	}
	if u, err := user.Current(); err == nil && tags["mlflow.user"] == "" {
		tags["mlflow.user"] = u.Username
	}
	maps.Copy(tags, gitTags("."))
	if v := a.getenv("GIT_COMMIT"); v != "" {
		tags["mlflow.source.git.commit"] = v
	}
	return tags
}

// startAirflowRun puts the runs of all tasks of one Airflow run under one parent, which each of them opens and closes again: between
// tasks it has the status of the last. Outside of Airflow it does nothing.
func (a *app) startAirflowRun(ctx context.Context, env *tasks.Env) (end func(context.Context, error), err error) {
	dag, id := a.getenv("AIRFLOW_CTX_DAG_ID"), a.getenv("AIRFLOW_CTX_DAG_RUN_ID")
	if dag == "" || id == "" {
		return func(context.Context, error) {}, nil
	}
	sum := sha256.Sum256([]byte(dag + "\n" + id))
	key := hex.EncodeToString(sum[:16])
	tags := map[string]string{"airflow.dag_id": dag, "airflow.dag_run_id": id}
	maps.Copy(tags, a.sourceTags())
	run, err := env.Tracker.Start(ctx, track.Spec{Experiment: env.Experiment, Name: dag + " " + id, Key: key, Start: a.now(), Tags: tags})
	if err != nil {
		return func(context.Context, error) {}, fmt.Errorf("start the run of %s: %w", dag, err)
	}
	env.Parent = key
	return func(ctx context.Context, err error) {
		status := track.Finished
		switch {
		case tasks.KindOf(err) == tasks.KindInterrupted:
			status = track.Killed
		case err != nil:
			status = track.Failed
		}
		if err := run.End(ctx, status, a.now()); err != nil {
			a.log.Warn().Err(err).Msg("not recorded: the end of the Airflow run")
		}
	}, nil
}

// errNoServer is a sync without a place to go to.
var errNoServer = errors.New("MLFLOW_TRACKING_URI is not set")

// serverRegistry is the model registry of an MLflow server.
func (a *app) serverRegistry(uri string) (track.Registry, error) {
	server, err := a.openMLflow(uri, 0)
	if err != nil {
		return nil, err
	}
	return mlflow.NewRegistry(server), nil
}
