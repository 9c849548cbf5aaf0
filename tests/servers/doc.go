// Package servers starts the real servers that tests talk to, each on a free port of the loopback and in a folder of its own.
package servers
