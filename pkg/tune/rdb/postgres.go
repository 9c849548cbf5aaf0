package rdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// Postgres opens the studies in a database of PostgreSQL, which several machines may share: postgresql://user@host/database. A password
// comes from PGPASSWORD or the password file, as for every client of PostgreSQL; an address that holds one is refused, since addresses
// are logged.
func Postgres(ctx context.Context, address string, now func() time.Time) (*Storage, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("open the studies in PostgreSQL: its address is no URL")
	}
	if _, has := u.User.Password(); has || u.Query().Has("password") {
		return nil, fmt.Errorf("open the studies in PostgreSQL at %s: the address holds a password; set PGPASSWORD or a password file instead", u.Host)
	}
	// As SQLAlchemy writes it, postgresql+psycopg2://, it works too.
	u.Scheme, _, _ = strings.Cut(u.Scheme, "+")
	conf, err := pgx.ParseConfig(u.String())
	if err != nil {
		return nil, fmt.Errorf("open the studies in PostgreSQL at %s: %w", u.Host, err)
	}
	if conf.ConnectTimeout == 0 {
		conf.ConnectTimeout = statementTime
	}
	db := stdlib.OpenDB(*conf)
	s, err := open(ctx, db, postgresDialect(), &advisory{db: db}, now)
	if err != nil {
		return nil, fmt.Errorf("open the studies in PostgreSQL at %s: %w", u.Host, err)
	}
	return s, nil
}

// claimClass tells the claims on trials from other advisory locks in the database.
const claimClass = 7024

// advisory are claims on several machines: locks that PostgreSQL drops when the connection of the process that has them ends.
type advisory struct{ db *sql.DB }

func (a *advisory) claim(ctx context.Context, tx *sql.Tx, trial int) (ok bool, err error) {
	return ok, tx.QueryRowContext(ctx, `SELECT pg_try_advisory_lock($1, $2)`, claimClass, trial).Scan(&ok)
}

func (a *advisory) release(ctx context.Context, trial int) error {
	_, err := a.db.ExecContext(ctx, `SELECT pg_advisory_unlock($1, $2)`, claimClass, trial)
	return err
}

func (a *advisory) close() error { return nil }
