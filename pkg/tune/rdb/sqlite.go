package rdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// SQLite opens the studies in a file, which it makes. Processes of one machine may share it.
func SQLite(ctx context.Context, file string, now func() time.Time) (*Storage, error) {
	s, err := openSQLite(ctx, file, now)
	if err != nil {
		return nil, fmt.Errorf("open the studies in %s: %w", file, err)
	}
	return s, nil
}

func openSQLite(ctx context.Context, file string, now func() time.Time) (*Storage, error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return nil, err
	}
	// Transactions take the write lock when they begin, and wait for it, so that none fails halfway.
	at := url.URL{Scheme: "file", Opaque: (&url.URL{Path: file}).EscapedPath(), RawQuery: "_txlock=immediate&_pragma=busy_timeout(20000)&_pragma=synchronous(normal)&_time_format=sqlite"}
	db, err := sql.Open("sqlite", at.String())
	if err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(file+".running", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return open(ctx, db, sqliteDialect(), &bytes{lock}, now)
}

// bytes are claims on one machine: byte n of a file beside the database is locked by the process that has trial n. The kernel unlocks it
// when the process ends, however it does.
type bytes struct{ file *os.File }

func (b *bytes) lock(kind int16, trial int) error {
	return unix.FcntlFlock(b.file.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: kind, Start: int64(trial), Len: 1})
}

func (b *bytes) claim(_ context.Context, _ *sql.Tx, trial int) (bool, error) {
	err := b.lock(unix.F_WRLCK, trial)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return false, nil
	}
	return err == nil, os.NewSyscallError("fcntl", err)
}

func (b *bytes) release(_ context.Context, trial int) error {
	return os.NewSyscallError("fcntl", b.lock(unix.F_UNLCK, trial))
}

func (b *bytes) close() error { return b.file.Close() }
