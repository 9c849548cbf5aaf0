// Package s3test runs the object store against real servers.
package s3test
