// Package workspacetest runs the command on a workspace in object storage with an MLflow server, both real.
package workspacetest
