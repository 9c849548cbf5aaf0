package rdb

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/c-bata/goptuna"

	"salescast/pkg/tune"
)

// statementTime bounds one statement or transaction: goptuna's contract hands down no context.
const statementTime = 30 * time.Second

// Storage is a [tune.Storage] on a database. It may be used from several goroutines.
type Storage struct {
	db      *sql.DB
	dialect dialect
	claims  claims
	now     func() time.Time

	mu sync.Mutex
	// over keeps trials that are finished and will not change: samplers and pruners ask for all of them again and again.
	over map[int]goptuna.FrozenTrial
	// mine are the trials that this Storage has claimed.
	mine map[int]bool
}

var _ tune.Storage = (*Storage)(nil)

// claims says which trials are at work: a claim ends with the process that made it.
type claims interface {
	// claim takes a trial and answers false where a process that lives has it.
	claim(ctx context.Context, tx *sql.Tx, trial int) (bool, error)
	release(ctx context.Context, trial int) error
	close() error
}

func open(ctx context.Context, db *sql.DB, d dialect, c claims, now func() time.Time) (*Storage, error) {
	// One connection: PostgreSQL's claims belong to it, and SQLite writes one after the other anyway.
	db.SetMaxOpenConns(1)
	s := &Storage{db: db, dialect: d, claims: c, now: now, over: map[int]goptuna.FrozenTrial{}, mine: map[int]bool{}}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// prepare makes the tables where there are none.
func (s *Storage) prepare(ctx context.Context) error {
	return s.within(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if s.dialect.lockTables != "" {
			if _, err := tx.ExecContext(ctx, s.dialect.lockTables); err != nil {
				return err
			}
		}
		there := `SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'`
		if s.dialect.numbered {
			there = `SELECT count(*) FROM information_schema.tables WHERE table_schema = current_schema() AND table_name = 'alembic_version'`
		}
		n := 0
		if err := tx.QueryRowContext(ctx, there).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			found := ""
			if err := tx.QueryRowContext(ctx, `SELECT version_num FROM alembic_version`).Scan(&found); err != nil {
				return fmt.Errorf("look up the revision of Optuna's tables: %w", err)
			}
			if found != revision {
				return fmt.Errorf("the database has revision %q of Optuna's tables, and salescast knows %s: give it a database of its own, or run \"optuna storage upgrade\" on it", found, revision)
			}
			return nil
		}
		for _, q := range append(s.dialect.statements(), `INSERT INTO alembic_version (version_num) VALUES ('`+revision+`')`,
			`INSERT INTO version_info (version_info_id, schema_version, library_version) VALUES (1, `+strconv.Itoa(schemaVersion)+`, 'salescast')`) {
			if _, err := tx.ExecContext(ctx, q); err != nil {
				return fmt.Errorf("make Optuna's tables: %w", err)
			}
		}
		return nil
	})
}

// Close ends the claims of this process too.
func (s *Storage) Close() error { return errors.Join(s.claims.close(), s.db.Close()) }

// within runs a transaction.
func (s *Storage) within(ctx context.Context, do func(ctx context.Context, tx *sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after Commit it does nothing
	if err := do(ctx, tx); err != nil {
		return err
	}
	return tx.Commit()
}

// transact is within for goptuna, which hands down no context.
func (s *Storage) transact(what string, do func(ctx context.Context, tx *sql.Tx) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), statementTime)
	defer cancel()
	if err := s.within(ctx, do); err != nil {
		return fmt.Errorf("%s in the %s storage of studies: %w", what, s.dialect.name, err)
	}
	return nil
}

// q puts a statement's parameters in the database's form.
func (s *Storage) q(query string) string {
	if !s.dialect.numbered {
		return query
	}
	var b strings.Builder
	n := 0
	for _, c := range query {
		if c == '?' {
			n++
			fmt.Fprintf(&b, "$%d", n)
			continue
		}
		b.WriteRune(c)
	}
	return b.String()
}

func (s *Storage) exec(ctx context.Context, tx *sql.Tx, query string, args ...any) error {
	_, err := tx.ExecContext(ctx, s.q(query), args...)
	return err
}

func (s *Storage) row(ctx context.Context, tx *sql.Tx, query string, args ...any) *sql.Row {
	return tx.QueryRowContext(ctx, s.q(query), args...)
}

// each scans every row of a query.
func (s *Storage) each(ctx context.Context, tx *sql.Tx, scan func(*sql.Rows) error, query string, args ...any) error {
	rows, err := tx.QueryContext(ctx, s.q(query), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// stamp is a time as Optuna keeps it: UTC, without a zone.
func (s *Storage) stamp(t time.Time) any {
	if s.dialect.numbered {
		return t.UTC()
	}
	return t.UTC().Format("2006-01-02 15:04:05.000000")
}

// Begin implements [tune.Storage].
func (s *Storage) Begin(study, limit int) (trial, ordinal int, err error) {
	full, cut := false, []int(nil)
	err = s.transact("begin a trial", func(ctx context.Context, tx *sql.Tx) error {
		if s.dialect.lockStudy != "" {
			if err := s.exec(ctx, tx, s.dialect.lockStudy, study); err != nil {
				return err
			}
		}
		taken, running, err := s.taken(ctx, tx, study)
		if err != nil {
			return err
		}
		for _, id := range running {
			if s.has(id) {
				continue
			}
			if free, err := s.claims.claim(ctx, tx, id); err != nil {
				return err
			} else if !free {
				continue
			}
			if err := s.abandon(ctx, tx, id); err != nil {
				return err
			}
			cut = append(cut, id)
			delete(taken, id)
		}
		have := map[int]bool{}
		for _, o := range taken {
			have[o] = true
		}
		for have[ordinal] {
			ordinal++
		}
		if full = ordinal >= limit; full {
			return nil
		}
		if trial, err = s.insert(ctx, tx, study); err != nil {
			return err
		}
		if err := s.setAttr(ctx, tx, "trial_system_attributes", "trial_id", trial, tune.OrdinalAttr, strconv.Itoa(ordinal)); err != nil {
			return err
		}
		// Before it can be seen it is claimed.
		if ok, err := s.claims.claim(ctx, tx, trial); err != nil || !ok {
			return errors.Join(err, fmt.Errorf("claim trial %d: somebody else has it", trial))
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.mine[trial] = true
		return nil
	})
	for _, id := range cut {
		err = errors.Join(err, s.release(id))
	}
	if err == nil && full {
		err = tune.ErrFull
	}
	return trial, ordinal, err
}

func (s *Storage) has(trial int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mine[trial]
}

// taken returns the ordinals of a study's trials by id, and those that run.
func (s *Storage) taken(ctx context.Context, tx *sql.Tx, study int) (ordinals map[int]int, running []int, err error) {
	ordinals = map[int]int{}
	err = s.each(ctx, tx, func(r *sql.Rows) error {
		var id int
		var state, ordinal string
		if err := r.Scan(&id, &state, &ordinal); err != nil {
			return err
		}
		n, err := strconv.Atoi(textOf(ordinal))
		if err != nil {
			return fmt.Errorf("attribute %s of trial %d: %w", tune.OrdinalAttr, id, err)
		}
		ordinals[id] = n
		if state == states[goptuna.TrialStateRunning] {
			running = append(running, id)
		}
		return nil
	}, `SELECT t.trial_id, t.state, a.value_json FROM trials t JOIN trial_system_attributes a ON a.trial_id = t.trial_id AND a.key = ?
		WHERE t.study_id = ? AND NOT EXISTS (SELECT 1 FROM trial_user_attributes u WHERE u.trial_id = t.trial_id AND u.key = ?)
		ORDER BY t.trial_id`, tune.OrdinalAttr, study, tune.CutOffAttr)
	return ordinals, running, err
}

func (s *Storage) insert(ctx context.Context, tx *sql.Tx, study int) (id int, err error) {
	err = s.row(ctx, tx, `INSERT INTO trials (number, study_id, state, datetime_start) VALUES ((SELECT count(*) FROM trials WHERE study_id = ?), ?, 'RUNNING', ?)
		RETURNING trial_id`, study, study, s.stamp(s.now())).Scan(&id)
	return id, err
}

func (s *Storage) abandon(ctx context.Context, tx *sql.Tx, trial int) error {
	if err := s.setAttr(ctx, tx, "trial_user_attributes", "trial_id", trial, tune.CutOffAttr, "true"); err != nil {
		return err
	}
	return s.setState(ctx, tx, trial, goptuna.TrialStateFail)
}

// Abandon implements [tune.Storage].
func (s *Storage) Abandon(trial int) error {
	err := s.transact("abandon a trial", func(ctx context.Context, tx *sql.Tx) error { return s.abandon(ctx, tx, trial) })
	return errors.Join(err, s.release(trial))
}

func (s *Storage) release(trial int) error {
	s.mu.Lock()
	delete(s.mine, trial)
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), statementTime)
	defer cancel()
	return s.claims.release(ctx, trial)
}

// states are Optuna's names.
var states = map[goptuna.TrialState]string{
	goptuna.TrialStateRunning: "RUNNING", goptuna.TrialStateComplete: "COMPLETE", goptuna.TrialStatePruned: "PRUNED",
	goptuna.TrialStateFail: "FAIL", goptuna.TrialStateWaiting: "WAITING",
}

func stateOf(name string) (goptuna.TrialState, error) {
	for s, n := range states {
		if n == name {
			return s, nil
		}
	}
	return 0, fmt.Errorf("there is no state %q", name)
}

func (s *Storage) setState(ctx context.Context, tx *sql.Tx, trial int, state goptuna.TrialState) error {
	if err := s.open(ctx, tx, trial); err != nil {
		return err
	}
	if state.IsFinished() {
		return s.exec(ctx, tx, `UPDATE trials SET state = ?, datetime_complete = ? WHERE trial_id = ?`, states[state], s.stamp(s.now()), trial)
	}
	return s.exec(ctx, tx, `UPDATE trials SET state = ? WHERE trial_id = ?`, states[state], trial)
}

// open returns an error where a trial is over: what it was must not change.
func (s *Storage) open(ctx context.Context, tx *sql.Tx, trial int) error {
	state := ""
	err := s.row(ctx, tx, `SELECT state FROM trials WHERE trial_id = ?`, trial).Scan(&state)
	if errors.Is(err, sql.ErrNoRows) {
		return goptuna.ErrInvalidTrialID
	}
	if err != nil {
		return err
	}
	if n, err := stateOf(state); err != nil || n.IsFinished() {
		return errors.Join(err, goptuna.ErrTrialCannotBeUpdated)
	}
	return nil
}

// setAttr keeps a text as JSON, under a key of a study or a trial.
func (s *Storage) setAttr(ctx context.Context, tx *sql.Tx, table, owner string, id int, key, value string) error {
	b, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return s.exec(ctx, tx, `INSERT INTO `+table+` (`+owner+`, key, value_json) VALUES (?, ?, ?)
		ON CONFLICT (`+owner+`, key) DO UPDATE SET value_json = excluded.value_json`, id, key, string(b))
}

// textOf is an attribute's text; what others kept as another kind of JSON stays as it is.
func textOf(value string) string {
	var text string
	if json.Unmarshal([]byte(value), &text) == nil {
		return text
	}
	return value
}

func (s *Storage) attrs(table, owner string, id int) (map[string]string, error) {
	out := map[string]string{}
	err := s.transact("read "+table, func(ctx context.Context, tx *sql.Tx) error {
		return s.each(ctx, tx, func(r *sql.Rows) error {
			var k, v string
			if err := r.Scan(&k, &v); err != nil {
				return err
			}
			out[k] = textOf(v)
			return nil
		}, `SELECT key, value_json FROM `+table+` WHERE `+owner+` = ?`, id)
	})
	return out, err
}

// number is a float as Optuna keeps it: what is not finite has a type instead of a value.
func number(v float64) (value any, kind string) {
	switch {
	case math.IsNaN(v):
		return nil, "NAN"
	case math.IsInf(v, 1):
		return nil, "INF_POS"
	case math.IsInf(v, -1):
		return nil, "INF_NEG"
	}
	return v, "FINITE"
}

func numberOf(value sql.NullFloat64, kind string) float64 {
	switch kind {
	case "INF_POS":
		return math.Inf(1)
	case "INF_NEG":
		return math.Inf(-1)
	case "FINITE":
		return value.Float64
	}
	return math.NaN()
}

// distribution is one in the JSON of Optuna since its version 3.
type distribution struct {
	Name       string `json:"name"`
	Attributes struct {
		Step    *float64 `json:"step,omitempty"`
		Low     *float64 `json:"low,omitempty"`
		High    *float64 `json:"high,omitempty"`
		Log     *bool    `json:"log,omitempty"`
		Choices []string `json:"choices,omitempty"`
	} `json:"attributes"`
}

func encode(d any) (string, error) {
	var out distribution
	a := &out.Attributes
	set := func(name string, low, high float64, log bool) {
		out.Name, a.Low, a.High, a.Log = name, &low, &high, &log
	}
	switch d := d.(type) {
	case goptuna.UniformDistribution:
		set("FloatDistribution", d.Low, d.High, false)
	case goptuna.LogUniformDistribution:
		set("FloatDistribution", d.Low, d.High, true)
	case goptuna.DiscreteUniformDistribution:
		set("FloatDistribution", d.Low, d.High, false)
		a.Step = &d.Q
	case goptuna.IntUniformDistribution, goptuna.StepIntUniformDistribution:
		step := 1.0
		if s, ok := d.(goptuna.StepIntUniformDistribution); ok {
			step = float64(s.Step)
			set("IntDistribution", float64(s.Low), float64(s.High), false)
		} else if i, ok := d.(goptuna.IntUniformDistribution); ok {
			set("IntDistribution", float64(i.Low), float64(i.High), false)
		}
		a.Step = &step
	case goptuna.CategoricalDistribution:
		out.Name, a.Choices = "CategoricalDistribution", d.Choices
	default:
		return "", goptuna.ErrUnknownDistribution
	}
	b, err := json.Marshal(out)
	return string(b), err
}

func decode(text string) (any, error) {
	var in distribution
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		return nil, fmt.Errorf("distribution %q: %w", text, err)
	}
	a := in.Attributes
	if in.Name == "CategoricalDistribution" {
		return goptuna.CategoricalDistribution{Choices: a.Choices}, nil
	}
	if a.Low == nil || a.High == nil {
		return nil, fmt.Errorf("distribution %q: %w", text, goptuna.ErrUnknownDistribution)
	}
	switch in.Name {
	case "IntDistribution":
		if a.Step != nil && *a.Step != 1 {
			return goptuna.StepIntUniformDistribution{Low: int(*a.Low), High: int(*a.High), Step: int(*a.Step)}, nil
		}
		return goptuna.IntUniformDistribution{Low: int(*a.Low), High: int(*a.High)}, nil
	case "FloatDistribution":
		switch {
		case a.Step != nil:
			return goptuna.DiscreteUniformDistribution{Low: *a.Low, High: *a.High, Q: *a.Step}, nil
		case a.Log != nil && *a.Log:
			return goptuna.LogUniformDistribution{Low: *a.Low, High: *a.High}, nil
		}
		return goptuna.UniformDistribution{Low: *a.Low, High: *a.High}, nil
	}
	return nil, fmt.Errorf("distribution %q: %w", text, goptuna.ErrUnknownDistribution)
}

// load reads a study's trials, in the order of their numbers; a trial other than 0 alone.
func (s *Storage) load(study, trial int) (out []goptuna.FrozenTrial, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err = s.transact("read trials", func(ctx context.Context, tx *sql.Tx) error {
		where, id := "study_id", study
		if trial != 0 {
			where, id = "trial_id", trial
		}
		if out, err = s.heads(ctx, tx, where, id); err != nil {
			return err
		}
		for i, t := range out {
			if known, ok := s.over[t.ID]; ok {
				out[i] = known
				continue
			}
			if err := s.fill(ctx, tx, &out[i]); err != nil {
				return err
			}
			if t.State.IsFinished() {
				s.over[t.ID] = out[i]
			}
		}
		return nil
	})
	return out, err
}

// heads reads what a trial has one of.
func (s *Storage) heads(ctx context.Context, tx *sql.Tx, where string, id int) (out []goptuna.FrozenTrial, err error) {
	err = s.each(ctx, tx, func(r *sql.Rows) error {
		t := goptuna.FrozenTrial{
			InternalParams: map[string]float64{}, Params: map[string]any{}, Distributions: map[string]any{},
			UserAttrs: map[string]string{}, SystemAttrs: map[string]string{}, IntermediateValues: map[int]float64{},
		}
		state, kind := "", sql.NullString{}
		var start, end stamp
		var value sql.NullFloat64
		if err := r.Scan(&t.ID, &t.Number, &t.StudyID, &state, &start, &end, &value, &kind); err != nil {
			return err
		}
		var err error
		t.State, err = stateOf(state)
		t.DatetimeStart, t.DatetimeComplete = start.Time, end.Time
		if kind.Valid {
			t.Value = numberOf(value, kind.String)
		}
		out = append(out, t)
		return err
	}, `SELECT t.trial_id, t.number, t.study_id, t.state, t.datetime_start, t.datetime_complete, v.value, v.value_type FROM trials t
		LEFT JOIN trial_values v ON v.trial_id = t.trial_id AND v.objective = 0 WHERE t.`+where+` = ? ORDER BY t.number`, id)
	return out, err
}

// stamp scans a time of either database.
type stamp struct{ time.Time }

func (t *stamp) Scan(v any) (err error) {
	switch v := v.(type) {
	case nil:
		t.Time = time.Time{}
	case time.Time:
		t.Time = time.Date(v.Year(), v.Month(), v.Day(), v.Hour(), v.Minute(), v.Second(), v.Nanosecond(), time.UTC)
	case string:
		t.Time, err = time.Parse("2006-01-02 15:04:05.999999", v)
	default:
		err = fmt.Errorf("a time is stored as %T", v)
	}
	return err
}

// fill reads what a trial has many of.
func (s *Storage) fill(ctx context.Context, tx *sql.Tx, t *goptuna.FrozenTrial) error {
	err := s.each(ctx, tx, func(r *sql.Rows) error {
		var name, text string
		var v float64
		if err := r.Scan(&name, &v, &text); err != nil {
			return err
		}
		d, err := decode(text)
		if err != nil {
			return err
		}
		t.InternalParams[name], t.Distributions[name] = v, d
		t.Params[name], err = goptuna.ToExternalRepresentation(d, v)
		return err
	}, `SELECT param_name, param_value, distribution_json FROM trial_params WHERE trial_id = ? ORDER BY param_id`, t.ID)
	if err != nil {
		return err
	}
	err = s.each(ctx, tx, func(r *sql.Rows) error {
		step, kind, v := 0, "", sql.NullFloat64{}
		if err := r.Scan(&step, &v, &kind); err != nil {
			return err
		}
		t.IntermediateValues[step] = numberOf(v, kind)
		return nil
	}, `SELECT step, intermediate_value, intermediate_value_type FROM trial_intermediate_values WHERE trial_id = ?`, t.ID)
	if err != nil {
		return err
	}
	return s.each(ctx, tx, func(r *sql.Rows) error {
		var of, k, v string
		if err := r.Scan(&of, &k, &v); err != nil {
			return err
		}
		if of == "user" {
			t.UserAttrs[k] = textOf(v)
		} else {
			t.SystemAttrs[k] = textOf(v)
		}
		return nil
	}, `SELECT 'user', key, value_json FROM trial_user_attributes WHERE trial_id = ?
		UNION ALL SELECT 'system', key, value_json FROM trial_system_attributes WHERE trial_id = ?`, t.ID, t.ID)
}

// GetAllTrials implements [goptuna.Storage].
func (s *Storage) GetAllTrials(study int) ([]goptuna.FrozenTrial, error) { return s.load(study, 0) }

// GetTrial implements [goptuna.Storage].
func (s *Storage) GetTrial(trial int) (goptuna.FrozenTrial, error) {
	t, err := s.load(0, trial)
	if err == nil && len(t) == 0 {
		err = goptuna.ErrInvalidTrialID
	}
	if err != nil {
		return goptuna.FrozenTrial{}, err
	}
	return t[0], nil
}

// change runs a transaction on a trial that is not over.
func (s *Storage) change(what string, trial int, do func(ctx context.Context, tx *sql.Tx) error) error {
	return s.transact(what, func(ctx context.Context, tx *sql.Tx) error {
		if err := s.open(ctx, tx, trial); err != nil {
			return err
		}
		return do(ctx, tx)
	})
}

// SetTrialParam implements [goptuna.Storage].
func (s *Storage) SetTrialParam(trial int, name string, value float64, d any) error {
	text, err := encode(d)
	if err != nil {
		return err
	}
	return s.change("keep a parameter", trial, func(ctx context.Context, tx *sql.Tx) error {
		return s.exec(ctx, tx, `INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) VALUES (?, ?, ?, ?)
			ON CONFLICT (trial_id, param_name) DO UPDATE SET param_value = excluded.param_value, distribution_json = excluded.distribution_json`, trial, name, value, text)
	})
}

// SetTrialValue implements [goptuna.Storage].
func (s *Storage) SetTrialValue(trial int, v float64) error {
	value, kind := number(v)
	if kind == "NAN" {
		return errors.New("keep a score: Optuna's tables have no place for what is not a number")
	}
	return s.change("keep a score", trial, func(ctx context.Context, tx *sql.Tx) error {
		return s.exec(ctx, tx, `INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES (?, 0, ?, ?)
			ON CONFLICT (trial_id, objective) DO UPDATE SET value = excluded.value, value_type = excluded.value_type`, trial, value, kind)
	})
}

// SetTrialIntermediateValue implements [goptuna.Storage].
func (s *Storage) SetTrialIntermediateValue(trial, step int, v float64) error {
	value, kind := number(v)
	return s.change("keep a step's score", trial, func(ctx context.Context, tx *sql.Tx) error {
		return s.exec(ctx, tx, `INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type) VALUES (?, ?, ?, ?)
			ON CONFLICT (trial_id, step) DO UPDATE SET intermediate_value = excluded.intermediate_value, intermediate_value_type = excluded.intermediate_value_type`,
			trial, step, value, kind)
	})
}

// SetTrialState implements [goptuna.Storage]. A trial that is over is no longer this process's.
func (s *Storage) SetTrialState(trial int, state goptuna.TrialState) error {
	err := s.transact("end a trial", func(ctx context.Context, tx *sql.Tx) error { return s.setState(ctx, tx, trial, state) })
	if err == nil && state.IsFinished() {
		err = s.release(trial)
	}
	return err
}

// SetTrialUserAttr implements [goptuna.Storage].
func (s *Storage) SetTrialUserAttr(trial int, key, value string) error {
	return s.change("keep an attribute", trial, func(ctx context.Context, tx *sql.Tx) error {
		return s.setAttr(ctx, tx, "trial_user_attributes", "trial_id", trial, key, value)
	})
}

// SetTrialSystemAttr implements [goptuna.Storage].
func (s *Storage) SetTrialSystemAttr(trial int, key, value string) error {
	return s.change("keep an attribute", trial, func(ctx context.Context, tx *sql.Tx) error {
		return s.setAttr(ctx, tx, "trial_system_attributes", "trial_id", trial, key, value)
	})
}

// CreateNewTrial implements [goptuna.Storage]; the trial has no ordinal, so a search takes no notice of it.
func (s *Storage) CreateNewTrial(study int) (id int, err error) {
	err = s.transact("begin a trial", func(ctx context.Context, tx *sql.Tx) error {
		if s.dialect.lockStudy != "" {
			if err := s.exec(ctx, tx, s.dialect.lockStudy, study); err != nil {
				return err
			}
		}
		id, err = s.insert(ctx, tx, study)
		return err
	})
	return id, err
}

// CloneTrial implements [goptuna.Storage].
func (s *Storage) CloneTrial(study int, base goptuna.FrozenTrial) (int, error) {
	id, err := s.CreateNewTrial(study)
	if err != nil {
		return 0, err
	}
	for name, v := range base.InternalParams {
		err = errors.Join(err, s.SetTrialParam(id, name, v, base.Distributions[name]))
	}
	for step, v := range base.IntermediateValues {
		err = errors.Join(err, s.SetTrialIntermediateValue(id, step, v))
	}
	for k, v := range base.UserAttrs {
		err = errors.Join(err, s.SetTrialUserAttr(id, k, v))
	}
	for k, v := range base.SystemAttrs {
		err = errors.Join(err, s.SetTrialSystemAttr(id, k, v))
	}
	if base.State == goptuna.TrialStateComplete || base.State == goptuna.TrialStatePruned {
		err = errors.Join(err, s.SetTrialValue(id, base.Value))
	}
	return id, errors.Join(err, s.SetTrialState(id, base.State))
}

// CreateNewStudy implements [goptuna.Storage]. A study of the name that another process made meanwhile is the same.
func (s *Storage) CreateNewStudy(name string) (id int, err error) {
	err = s.transact("make a study", func(ctx context.Context, tx *sql.Tx) error {
		if err := s.exec(ctx, tx, `INSERT INTO studies (study_name) VALUES (?) ON CONFLICT (study_name) DO NOTHING`, name); err != nil {
			return err
		}
		return s.row(ctx, tx, `SELECT study_id FROM studies WHERE study_name = ?`, name).Scan(&id)
	})
	return id, err
}

// DeleteStudy implements [goptuna.Storage].
func (s *Storage) DeleteStudy(study int) error {
	s.mu.Lock()
	clear(s.over)
	s.mu.Unlock()
	return s.transact("delete a study", func(ctx context.Context, tx *sql.Tx) error {
		for _, table := range []string{
			"trial_params", "trial_values", "trial_intermediate_values", "trial_heartbeats", "trial_user_attributes", "trial_system_attributes",
		} {
			if err := s.exec(ctx, tx, `DELETE FROM `+table+` WHERE trial_id IN (SELECT trial_id FROM trials WHERE study_id = ?)`, study); err != nil {
				return err
			}
		}
		for _, table := range []string{"trials", "study_directions", "study_user_attributes", "study_system_attributes", "studies"} {
			if err := s.exec(ctx, tx, `DELETE FROM `+table+` WHERE study_id = ?`, study); err != nil {
				return err
			}
		}
		return nil
	})
}

// directions are Optuna's names.
var directions = map[goptuna.StudyDirection]string{goptuna.StudyDirectionMinimize: "MINIMIZE", goptuna.StudyDirectionMaximize: "MAXIMIZE"}

// SetStudyDirection implements [goptuna.Storage].
func (s *Storage) SetStudyDirection(study int, d goptuna.StudyDirection) error {
	return s.transact("keep a direction", func(ctx context.Context, tx *sql.Tx) error {
		return s.exec(ctx, tx, `INSERT INTO study_directions (study_id, objective, direction) VALUES (?, 0, ?)
			ON CONFLICT (study_id, objective) DO UPDATE SET direction = excluded.direction`, study, directions[d])
	})
}

// GetStudyDirection implements [goptuna.Storage].
func (s *Storage) GetStudyDirection(study int) (goptuna.StudyDirection, error) {
	name := ""
	err := s.transact("read a direction", func(ctx context.Context, tx *sql.Tx) error {
		return s.row(ctx, tx, `SELECT direction FROM study_directions WHERE study_id = ? AND objective = 0`, study).Scan(&name)
	})
	for d, n := range directions {
		if n == name {
			return d, err
		}
	}
	return goptuna.StudyDirectionMinimize, err
}

// SetStudyUserAttr implements [goptuna.Storage].
func (s *Storage) SetStudyUserAttr(study int, key, value string) error {
	return s.transact("keep an attribute", func(ctx context.Context, tx *sql.Tx) error {
		return s.setAttr(ctx, tx, "study_user_attributes", "study_id", study, key, value)
	})
}

// SetStudySystemAttr implements [goptuna.Storage].
func (s *Storage) SetStudySystemAttr(study int, key, value string) error {
	return s.transact("keep an attribute", func(ctx context.Context, tx *sql.Tx) error {
		return s.setAttr(ctx, tx, "study_system_attributes", "study_id", study, key, value)
	})
}

// GetStudyUserAttrs implements [goptuna.Storage].
func (s *Storage) GetStudyUserAttrs(study int) (map[string]string, error) {
	return s.attrs("study_user_attributes", "study_id", study)
}

// GetStudySystemAttrs implements [goptuna.Storage].
func (s *Storage) GetStudySystemAttrs(study int) (map[string]string, error) {
	return s.attrs("study_system_attributes", "study_id", study)
}

// GetTrialUserAttrs implements [goptuna.Storage].
func (s *Storage) GetTrialUserAttrs(trial int) (map[string]string, error) {
	return s.attrs("trial_user_attributes", "trial_id", trial)
}

// GetTrialSystemAttrs implements [goptuna.Storage].
func (s *Storage) GetTrialSystemAttrs(trial int) (map[string]string, error) {
	return s.attrs("trial_system_attributes", "trial_id", trial)
}

// one reads one value.
func (s *Storage) one(to any, query string, arg any) error {
	return s.transact("read", func(ctx context.Context, tx *sql.Tx) error { return s.row(ctx, tx, query, arg).Scan(to) })
}

// GetStudyIDFromName implements [goptuna.Storage].
func (s *Storage) GetStudyIDFromName(name string) (id int, err error) {
	return id, s.one(&id, `SELECT study_id FROM studies WHERE study_name = ?`, name)
}

// GetStudyIDFromTrialID implements [goptuna.Storage].
func (s *Storage) GetStudyIDFromTrialID(trial int) (id int, err error) {
	return id, s.one(&id, `SELECT study_id FROM trials WHERE trial_id = ?`, trial)
}

// GetStudyNameFromID implements [goptuna.Storage].
func (s *Storage) GetStudyNameFromID(study int) (name string, err error) {
	return name, s.one(&name, `SELECT study_name FROM studies WHERE study_id = ?`, study)
}

// GetTrialNumberFromID implements [goptuna.Storage].
func (s *Storage) GetTrialNumberFromID(trial int) (n int, err error) {
	return n, s.one(&n, `SELECT number FROM trials WHERE trial_id = ?`, trial)
}

// GetTrialParam implements [goptuna.Storage].
func (s *Storage) GetTrialParam(trial int, name string) (float64, error) {
	t, err := s.GetTrial(trial)
	if err != nil {
		return 0, err
	}
	v, ok := t.InternalParams[name]
	if !ok {
		return 0, fmt.Errorf("trial %d has no parameter %q", trial, name)
	}
	return v, nil
}

// GetTrialParams implements [goptuna.Storage].
func (s *Storage) GetTrialParams(trial int) (map[string]any, error) {
	t, err := s.GetTrial(trial)
	return t.Params, err
}

// GetBestTrial implements [goptuna.Storage].
func (s *Storage) GetBestTrial(study int) (best goptuna.FrozenTrial, err error) {
	d, err := s.GetStudyDirection(study)
	if err != nil {
		return best, err
	}
	trials, err := s.GetAllTrials(study)
	if err != nil {
		return best, err
	}
	trials = slices.DeleteFunc(trials, func(t goptuna.FrozenTrial) bool { return t.State != goptuna.TrialStateComplete })
	if len(trials) == 0 {
		return best, goptuna.ErrNoCompletedTrials
	}
	best = trials[0]
	for _, t := range trials[1:] {
		if d == goptuna.StudyDirectionMinimize && t.Value < best.Value || d == goptuna.StudyDirectionMaximize && t.Value > best.Value {
			best = t
		}
	}
	return best, nil
}

// GetAllStudySummaries implements [goptuna.Storage].
func (s *Storage) GetAllStudySummaries() (out []goptuna.StudySummary, err error) {
	err = s.transact("read studies", func(ctx context.Context, tx *sql.Tx) error {
		return s.each(ctx, tx, func(r *sql.Rows) error {
			var v goptuna.StudySummary
			err := r.Scan(&v.ID, &v.Name)
			out = append(out, v)
			return err
		}, `SELECT study_id, study_name FROM studies ORDER BY study_id`)
	})
	for i := range out {
		v := &out[i]
		var derr, uerr, serr, berr error
		v.Direction, derr = s.GetStudyDirection(v.ID)
		v.UserAttrs, uerr = s.GetStudyUserAttrs(v.ID)
		v.SystemAttrs, serr = s.GetStudySystemAttrs(v.ID)
		if v.BestTrial, berr = s.GetBestTrial(v.ID); errors.Is(berr, goptuna.ErrNoCompletedTrials) {
			berr = nil
		}
		err = errors.Join(err, derr, uerr, serr, berr)
	}
	return out, err
}
