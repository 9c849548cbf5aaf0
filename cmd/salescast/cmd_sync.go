package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"salescast/pkg/artifact"
	"salescast/pkg/track/mlflow"
	"salescast/pkg/track/spool"
	"salescast/tasks"
)

func (a *app) syncCommand() *cobra.Command {
	var keep bool
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "Send recorded runs to MLflow",
		Long: `Send the runs that were recorded while there was no MLflow server, or while it was away, to the
server of MLFLOW_TRACKING_URI: those of the workspace of -w, or all that wait in the state folder. Then
the versions, aliases and tags of models that were registered meanwhile, there and in register.folder. A
champion that others made there stays: "salescast register" compares with it.

Running it twice, or again after it was interrupted anywhere, gives the same as running it once:
every run and version is there once, with the times at which things happened.

Reads spools. Writes to MLflow, and removes what has arrived and ended unless --keep.`,
		Example: "  MLFLOW_TRACKING_URI=http://127.0.0.1:5000 salescast sync -w runs/bakery\n  salescast sync",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.loadConfig(cmd)
			if err != nil {
				return err
			}
			res, err := a.sync(cmd.Context(), c, keep, 0)
			if err != nil {
				return err
			}
			return a.answer(res)
		},
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "keep what was sent, for another server")
	return cmd
}

// sync waits for a server that is away only so long, or as long as is usual where patience is 0.
func (a *app) sync(ctx context.Context, c *config, keep bool, patience time.Duration) (*tasks.Result, error) {
	uri := a.getenv("MLFLOW_TRACKING_URI")
	if uri == "" {
		return nil, &tasks.Error{Kind: tasks.KindConfig, Op: "sync", Err: errNoServer, Hint: "set it to the address of the server, such as http://127.0.0.1:5000"}
	}
	folders, err := a.spools()
	if err != nil {
		return nil, err
	}
	var store artifact.Store // of a workspace whose spools are objects
	if a.global.workspace != "" {
		s, at, err := a.openStore(a.global.workspace)
		if err != nil {
			return nil, err
		}
		if at.Scheme != artifact.SchemeFile {
			store = s
		}
	}
	server, err := a.openMLflow(uri, patience)
	if err != nil {
		return nil, err
	}
	res := &tasks.Result{Schema: tasks.ResultSchema, Step: "sync", Status: tasks.Done, Workspace: a.global.workspace, Rows: map[string]int64{}, Warnings: []string{}}
	errs := make([]error, 0, len(folders))
	for _, folder := range folders {
		err := a.syncFolder(ctx, folder, server, uri, keep, res)
		if ctx.Err() != nil {
			return nil, err
		}
		errs = append(errs, err)
	}
	if store != nil {
		errs = append(errs, a.syncObjects(ctx, store, server, uri, keep, res))
	}
	for _, folder := range folders { // versions last: their runs are there by now
		s, err := spool.Open(folder, 0)
		if err != nil {
			return res, errors.Join(append(errs, fmt.Errorf("open model registry: %w", err))...)
		}
		errs = append(errs, a.syncRegistry(ctx, spool.NewRegistry(s, a.now), server, uri, res))
	}
	if c.Register.Folder != "" {
		shared, err := a.localRegistry(nil, c)
		if err != nil {
			return res, errors.Join(append(errs, err)...)
		}
		errs = append(errs, a.syncRegistry(ctx, shared, server, uri, res))
	}
	return res, errors.Join(errs...)
}

// syncRegistry sends the versions of models that were registered without MLflow.
func (a *app) syncRegistry(ctx context.Context, from *spool.Registry, server *mlflow.Tracker, uri string, res *tasks.Result) error {
	done, err := spool.ReplayRegistry(ctx, from, mlflow.NewRegistry(server), spool.RegistryReplay{Target: uri, Guarded: tasks.GuardedAliases(), Numbered: tasks.NumberedTags()})
	res.Rows["versions"] += int64(done.Versions)
	for _, w := range done.Left {
		a.log.Warn().Msg(w)
	}
	res.Warnings = append(res.Warnings, done.Left...)
	return errors.Join(err, from.Close())
}

// sendEarlier brings to MLflow what earlier steps in the workspace recorded while the server was away: its registry wants their runs.
func (a *app) sendEarlier(ctx context.Context, c *config) error {
	if a.getenv("MLFLOW_TRACKING_URI") == "" || c.Tracking.Mode == trackOff {
		return nil
	}
	if _, err := a.sync(ctx, c, false, spoolPatience); err != nil && tasks.KindOf(err) != tasks.KindInputMissing {
		return err
	}
	return nil
}

// syncObjects sends the spools that steps on other machines left in the workspace, and removes them.
func (a *app) syncObjects(ctx context.Context, store artifact.Store, server *mlflow.Tracker, uri string, keep bool, res *tasks.Result) error {
	var names []string
	for i, err := range store.List(ctx, spoolObjects) {
		if err != nil {
			return err
		}
		names = append(names, i.Name)
	}
	errs := make([]error, 0, len(names))
	for _, name := range names { // their names begin with the time
		err := a.syncObject(ctx, store, name, server, uri, res)
		if err == nil && !keep {
			err = store.Delete(ctx, name)
		}
		if ctx.Err() != nil {
			return err
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (a *app) syncObject(ctx context.Context, store artifact.Store, name string, server *mlflow.Tracker, uri string, res *tasks.Result) (err error) {
	dir, err := os.MkdirTemp("", "salescast-sync-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r, _, err := store.Get(ctx, name)
	if err != nil {
		return err
	}
	s, err := spool.Unpack(ctx, r, dir, 0)
	if err := errors.Join(err, r.Close()); err != nil {
		return fmt.Errorf("read %s: %w", store.URL(name), err)
	}
	return a.syncSpool(ctx, s, server, uri, res)
}

func (a *app) syncFolder(ctx context.Context, folder string, server *mlflow.Tracker, uri string, keep bool, res *tasks.Result) error {
	s, err := spool.Open(folder, 0)
	if err != nil {
		return fmt.Errorf("open tracking spool: %w", err)
	}
	if err := a.syncSpool(ctx, s, server, uri, res); err != nil || keep {
		return err
	}
	if _, err := spool.Prune(ctx, s); err != nil {
		return fmt.Errorf("remove what was sent: %w", err)
	}
	return nil
}

func (a *app) syncSpool(ctx context.Context, s *spool.Spool, server *mlflow.Tracker, uri string, res *tasks.Result) error {
	done, err := spool.Replay(ctx, s, server, uri)
	res.Rows["runs"] += int64(len(done.Runs))
	res.Rows["unchanged"] += int64(done.Unchanged)
	for _, r := range done.Runs {
		a.log.Info().Str("run", r.Name).Str("run_id", r.RunID).Str("url", r.URL).Msg("sent")
		if r.Open {
			res.Warnings = append(res.Warnings, fmt.Sprintf("run %s (%s) has no end: its process is at work still, or was killed", r.Name, r.Key))
		}
	}
	return err
}

// spools are the folder of the workspace's spool, or all of the state folder's.
func (a *app) spools() ([]string, error) {
	if a.global.workspace != "" {
		_, at, err := a.openStore(a.global.workspace)
		if err != nil {
			return nil, err
		}
		folder, err := a.spoolFolder(at)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(folder); err != nil && at.Scheme != artifact.SchemeFile {
			return nil, nil // it may have objects
		} else if err != nil {
			return nil, &tasks.Error{Kind: tasks.KindInputMissing, Op: "sync", Err: err, Hint: "nothing was recorded for this workspace on this machine"}
		}
		return []string{folder}, nil
	}
	state, err := a.stateDir()
	if err != nil {
		return nil, err
	}
	found, err := filepath.Glob(filepath.Join(state, "spool", "*", "FORMAT"))
	if err != nil {
		return nil, err
	}
	for i, f := range found {
		found[i] = filepath.Dir(f)
	}
	return found, nil
}
