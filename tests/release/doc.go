// Package releasetest tries the binary that make build made.
package releasetest
