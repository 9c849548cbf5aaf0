// Package servetest asks the running server as its clients do: schemathesis, MLflow, the page's sample generator, a shop that sends each day.
package servetest
