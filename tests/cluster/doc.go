// Package cluster tests the DAGs on Celery workers that share nothing but a network: see make/cluster.mk.
package cluster
