// Package compose tests the files of the local services, with the library that docker compose reads them with. It is a module of
// its own, so that the library is no dependency of salescast.
package compose
