// Package cluster tests the DAGs on Celery workers that share nothing but a network: see cluster.mk.
package cluster
