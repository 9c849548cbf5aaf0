# All services on this machine without Docker.

STACK_DIR  ?= .stack
FREE_PORTS ?=

# What is installed for it, and the megabytes that each takes.
STACK_SIZES := .build/bin/minio=110 .build/venvs/mlflow-3.17/bin/mlflow=920 .build/venvs/airflow3/bin/pytest=340 .build/venvs/page/bin/pytest=840

STACK_NEEDS := stack-room build .build/bin/minio .build/venvs/mlflow-3.17/bin/mlflow .build/venvs/airflow3/bin/pytest .build/venvs/page/bin/pytest

.PHONY: stack stack-room test-stack

# Says what is still to be installed, and stops where the disk has no room for it.
stack-room:
	@sum=0; for i in $(STACK_SIZES); do [ -e "$${i%=*}" ] || { sum=$$((sum + $${i#*=})); printf '  %5d MB  %s\n' "$${i#*=}" "$${i%=*}"; }; done; \
	  [ $$sum = 0 ] && exit 0; mkdir -p $(BUILD); free=$$(df -Pm $(BUILD)/ | awk 'NR == 2 {print $$4}'); \
	  echo "make stack first installs these $$sum MB below $(BUILD), once; $$free MB are free. make clean removes them."; \
	  [ "$$free" -ge "$$sum" ] || { echo "there is no room for them"; exit 1; }

stack: $(STACK_NEEDS) ## use: Run MinIO, MLflow, Airflow, the server and the page on 127.0.0.1 until Ctrl-C (FREE_PORTS=1: where ports are taken, on others)
	@$(GO) build -o .build/bin/stack ./astro/stack
	@exec .build/bin/stack -dir $(STACK_DIR) $(if $(FREE_PORTS),-free-ports)

test-stack: $(STACK_NEEDS) ## test: Test make stack, with the training DAG (needs root, for a network of its own)
	$(GO) test -count=1 -timeout 30m -tags stack ./tests/stack
