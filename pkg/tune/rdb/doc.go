// Package rdb keeps studies in the tables of Optuna, on SQLite for one machine and on PostgreSQL for several.
//
// The storage of goptuna itself has Optuna's tables of 2021, which today's Optuna refuses to open, and needs cgo for SQLite.
package rdb
