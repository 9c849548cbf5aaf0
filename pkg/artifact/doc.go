// Package artifact is the contract of a place that keeps named bytes, and the manifests that make a set of them a finished step.
package artifact
