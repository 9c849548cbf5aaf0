// Package tasks has the steps of the pipeline: each loads its inputs by name from a workspace, calls pkg, saves files and a manifest, and records a run.
package tasks
