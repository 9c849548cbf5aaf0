// Package panel holds many sales series as contiguous columns grouped by series through offsets, and blocks of named columns.
package panel
