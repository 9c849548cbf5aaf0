// Package tunetest has real Optuna and real PostgreSQL look at the studies of tuning.
package tunetest
