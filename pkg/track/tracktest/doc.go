// Package tracktest is the conformance suite that every tracker and registry passes, and a tracker in memory to compare with.
package tracktest
