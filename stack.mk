# All services on this machine without Docker. Included by the Makefile.

STACK_DIR  ?= .stack
FREE_PORTS ?=

STACK_NEEDS := build .build/bin/minio .build/venvs/mlflow-3.17/bin/mlflow .build/venvs/airflow3/bin/pytest .build/venvs/page/bin/pytest

.PHONY: stack test-stack

stack: $(STACK_NEEDS) ## Run MinIO, MLflow, Airflow, the server and the page on 127.0.0.1 until Ctrl-C (FREE_PORTS=1: where ports are taken, on others)
	@$(GO) build -o .build/bin/stack ./astro/stack
	@exec .build/bin/stack -dir $(STACK_DIR) $(if $(FREE_PORTS),-free-ports)

test-stack: $(STACK_NEEDS) ## Test make stack, with the training DAG (needs root, for a network of its own)
	$(GO) test -count=1 -timeout 30m -tags stack ./tests/stack
