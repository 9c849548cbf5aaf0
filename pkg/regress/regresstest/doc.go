// Package regresstest is the conformance suite that every regression engine runs, and what tests of engines need.
package regresstest
