package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"

	"salescast/pkg/artifact"
	"salescast/pkg/tune"
	"salescast/pkg/tune/rdb"
	"salescast/tasks"
)

// studies opens the storage of tuning's studies: that of tuning.storage, or a file of the workspace, or for a workspace that is no folder
// one of this machine's state.
func (a *app) studies(c *config, at artifact.Location) func(context.Context) (tune.Storage, error) {
	return func(ctx context.Context) (tune.Storage, error) {
		where := c.Tuning.Storage
		if isPostgres(where) {
			return rdb.Postgres(ctx, where, a.now)
		}
		switch {
		case where != "" && !filepath.IsAbs(where):
			where = filepath.Join(c.folder, where)
		case where != "":
		case at.Scheme == artifact.SchemeFile:
			where = filepath.Join(at.Path, "tune", "studies.db")
		default:
			state, err := a.stateDir()
			if err != nil {
				return nil, err
			}
			id := sha256.Sum256([]byte(at.String()))
			where = filepath.Join(state, "studies", hex.EncodeToString(id[:8])+".db")
		}
		st, err := rdb.SQLite(ctx, where, a.now)
		if err != nil {
			return nil, &tasks.Error{Kind: tasks.KindConfig, Op: "open the storage of studies", Err: err, Hint: "check tuning.storage"}
		}
		return st, nil
	}
}
