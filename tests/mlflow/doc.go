// Package mlflowtest runs the tracker and the registry against real MLflow servers.
package mlflowtest
