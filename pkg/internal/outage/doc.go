// Package outage bounds how long the calls to one service wait, all together, while the service is away.
package outage
