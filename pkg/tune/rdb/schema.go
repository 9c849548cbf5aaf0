package rdb

import "strings"

// revision is Optuna's own name of this schema: it stands since Optuna 3.2, and 5.0 is the latest that it was tried with.
const (
	revision      = "v3.2.0.a"
	schemaVersion = 12
)

// tables are Optuna's, as SQLAlchemy makes them. Words in braces differ between databases.
const tables = `
CREATE TABLE studies (study_id {id}, study_name VARCHAR(512) NOT NULL, PRIMARY KEY (study_id));
CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
CREATE TABLE version_info (version_info_id INTEGER NOT NULL, schema_version INTEGER, library_version VARCHAR(256),
	PRIMARY KEY (version_info_id), CHECK (version_info_id=1));
CREATE TABLE study_directions (study_direction_id {id}, direction {studydirection} NOT NULL, study_id INTEGER NOT NULL, objective INTEGER NOT NULL,
	PRIMARY KEY (study_direction_id), UNIQUE (study_id, objective), FOREIGN KEY(study_id) REFERENCES studies (study_id));
CREATE TABLE study_user_attributes (study_user_attribute_id {id}, study_id INTEGER, key VARCHAR(512), value_json TEXT,
	PRIMARY KEY (study_user_attribute_id), UNIQUE (study_id, key), FOREIGN KEY(study_id) REFERENCES studies (study_id));
CREATE TABLE study_system_attributes (study_system_attribute_id {id}, study_id INTEGER, key VARCHAR(512), value_json TEXT,
	PRIMARY KEY (study_system_attribute_id), UNIQUE (study_id, key), FOREIGN KEY(study_id) REFERENCES studies (study_id));
CREATE TABLE trials (trial_id {id}, number INTEGER, study_id INTEGER, state {trialstate} NOT NULL, datetime_start {time}, datetime_complete {time},
	PRIMARY KEY (trial_id), FOREIGN KEY(study_id) REFERENCES studies (study_id));
CREATE INDEX ix_trials_study_id ON trials (study_id);
CREATE TABLE trial_user_attributes (trial_user_attribute_id {id}, trial_id INTEGER, key VARCHAR(512), value_json TEXT,
	PRIMARY KEY (trial_user_attribute_id), UNIQUE (trial_id, key), FOREIGN KEY(trial_id) REFERENCES trials (trial_id));
CREATE TABLE trial_system_attributes (trial_system_attribute_id {id}, trial_id INTEGER, key VARCHAR(512), value_json TEXT,
	PRIMARY KEY (trial_system_attribute_id), UNIQUE (trial_id, key), FOREIGN KEY(trial_id) REFERENCES trials (trial_id));
CREATE TABLE trial_params (param_id {id}, trial_id INTEGER, param_name VARCHAR(512), param_value {float}, distribution_json TEXT,
	PRIMARY KEY (param_id), UNIQUE (trial_id, param_name), FOREIGN KEY(trial_id) REFERENCES trials (trial_id));
CREATE TABLE trial_values (trial_value_id {id}, trial_id INTEGER NOT NULL, objective INTEGER NOT NULL, value {float}, value_type {trialvaluetype} NOT NULL,
	PRIMARY KEY (trial_value_id), UNIQUE (trial_id, objective), FOREIGN KEY(trial_id) REFERENCES trials (trial_id));
CREATE TABLE trial_intermediate_values (trial_intermediate_value_id {id}, trial_id INTEGER NOT NULL, step INTEGER NOT NULL, intermediate_value {float},
	intermediate_value_type {trialintermediatevaluetype} NOT NULL,
	PRIMARY KEY (trial_intermediate_value_id), UNIQUE (trial_id, step), FOREIGN KEY(trial_id) REFERENCES trials (trial_id));
CREATE TABLE trial_heartbeats (trial_heartbeat_id {id}, trial_id INTEGER NOT NULL, heartbeat {time} NOT NULL,
	PRIMARY KEY (trial_heartbeat_id), UNIQUE (trial_id), FOREIGN KEY(trial_id) REFERENCES trials (trial_id));
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num));
`

// statements are what makes the tables of a database, one statement each.
func (d dialect) statements() []string {
	text := d.types.Replace(d.before + tables)
	var out []string
	for s := range strings.SplitSeq(text, ";\n") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// dialect is what databases differ in.
type dialect struct {
	name string
	// before is made before the tables.
	before string
	types  *strings.Replacer
	// lockTables and lockStudy let one transaction at a time make tables, or begin a trial; empty where every transaction is alone.
	lockTables, lockStudy string
	// numbered is true where parameters are $1 instead of ?.
	numbered bool
}

func sqliteDialect() dialect {
	return dialect{
		name: "sqlite",
		types: strings.NewReplacer("{id}", "INTEGER NOT NULL", "{time}", "DATETIME", "{float}", "FLOAT", "{studydirection}", "VARCHAR(8)",
			"{trialstate}", "VARCHAR(8)", "{trialvaluetype}", "VARCHAR(7)", "{trialintermediatevaluetype}", "VARCHAR(7)"),
	}
}

func postgresDialect() dialect {
	return dialect{
		name: "postgres", numbered: true,
		before: `
CREATE TYPE studydirection AS ENUM ('NOT_SET', 'MINIMIZE', 'MAXIMIZE');
CREATE TYPE trialstate AS ENUM ('RUNNING', 'COMPLETE', 'PRUNED', 'FAIL', 'WAITING');
CREATE TYPE trialvaluetype AS ENUM ('FINITE', 'INF_POS', 'INF_NEG');
CREATE TYPE trialintermediatevaluetype AS ENUM ('FINITE', 'INF_POS', 'INF_NEG', 'NAN');
`,
		types: strings.NewReplacer("{id}", "SERIAL NOT NULL", "{time}", "TIMESTAMP WITHOUT TIME ZONE", "{float}", "FLOAT(53)", "{studydirection}", "studydirection",
			"{trialstate}", "trialstate", "{trialvaluetype}", "trialvaluetype", "{trialintermediatevaluetype}", "trialintermediatevaluetype"),
		lockTables: `SELECT pg_advisory_xact_lock(7023, 1)`,
		lockStudy:  `SELECT study_id FROM studies WHERE study_id = ? FOR UPDATE`,
	}
}
