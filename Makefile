# salescast: "make" prints what can be made.

.DEFAULT_GOAL := help
SHELL := /bin/bash

GO      ?= go
# Python is used to fetch the engines' wheels and by tests that compare with other implementations.
PYTHON  ?= python3
BUILD   := .build
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS := -s -w -X main.release=$(VERSION)

GOLANGCI_LINT := $(BUILD)/bin/golangci-lint
GOLANGCI_LINT_VERSION := v2.15.0
DEADCODE_VERSION := v0.52.0
# Of Python.
PYTHON_LINT := ruff==0.17.6 mypy==2.4.1

# Tests find the engines' libraries where "make engines" puts them.
export SALESCAST_ENGINE_DIR ?= $(CURDIR)/.engines/linux_$(shell $(GO) env GOARCH)

# $(call installing,WHAT) says what a rule that takes long is about to fetch.
installing = @echo "installing $(1) below $(BUILD), once"

include $(sort $(wildcard make/*.mk))

# Tests below tests/ talk to real servers, which "make servers" installs.
OFFLINE = $(shell $(GO) list ./... | grep -v /tests/)

# A rule's comment is "## GROUP: what it does"; the groups are listed here.
.PHONY: help
help: ## develop: Print this help
	@awk 'BEGIN {FS = ":.*## "; n = split("use develop test measure ship", groups, " ")} \
	  /^[a-zA-Z0-9_.-]+:.*## / {split($$2, t, ": "); of[t[1]] = of[t[1]] sprintf("  %-20s %s\n", $$1, substr($$2, length(t[1]) + 3))} \
	  END {for (i = 1; i <= n; i++) printf "%s%s\n%s", (i > 1 ? "\n" : ""), groups[i], of[groups[i]]}' $(MAKEFILE_LIST)

.PHONY: build
build: engines ## use: Build bin/salescast with its engines inside
	CGO_ENABLED=0 $(GO) build -trimpath -tags engines -ldflags '$(LDFLAGS)' -o bin/salescast ./cmd/salescast

.PHONY: demo
demo: build ## use: Forecast a bakery chain's real sales, from data to report, with no server
	SALESCAST_ENGINE_DIR= bin/salescast run examples/bakery

.PHONY: check
check: engines ## develop: The quick loop: compile, vet and short tests; offline once the engines are there
	$(GO) build ./...
	$(GO) vet ./...
	$(GO) test -short $(OFFLINE)

.PHONY: test
test: build servers ## test: Run every test, installing what they need
	$(GO) test -timeout 30m $(OFFLINE)
	$(GO) test -timeout 40m -p 1 ./tests/...
	$(MAKE) test-engines-python test-compose test-page test-airflow test-stack test-cluster test-images

.PHONY: test-all
test-all: test test-airflow-2.10 test-mlflow-older demo-synthetic test-30000 race fuzz bench bench-serve ## test: Everything, with older servers, 30,000 series, the race detector, fuzzing and benchmarks

.PHONY: race
race: engines ## test: Run the tests with the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -short -timeout 60m $(OFFLINE)

.PHONY: lint
lint: $(GOLANGCI_LINT) lint-python lint-dead ## develop: Check the style, the layers and the formatting, of Go and of Python
	$(GOLANGCI_LINT) run ./...

# What no program reaches goes, but for support of tests, and for the reader in frame.go: tests hold the writer beside it to it.
.PHONY: lint-dead
lint-dead:
	@out=$$(GOFLAGS= $(GO) run golang.org/x/tools/cmd/deadcode@$(DEADCODE_VERSION) ./cmd/... ./pkg/... ./astro/... ./tests/...) || exit 1; \
	  if grep -Ev '^(tests/|pkg/.*test/|pkg/columnar/frame.go)' <<< "$$out"; then echo "this is reached by no program: remove it, or use it"; exit 1; fi

# What Airflow reads and what the page is. Airflow is not beside the checker, so its classes are of any type.
.PHONY: lint-python
lint-python: $(BUILD)/venvs/lint/bin/mypy
	$(BUILD)/venvs/lint/bin/ruff check --config astro/provider/ruff.toml astro/provider dags tests/dags
	$(BUILD)/venvs/lint/bin/ruff format --check --config astro/provider/ruff.toml astro/provider dags tests/dags
	cd astro/provider && $(CURDIR)/$(BUILD)/venvs/lint/bin/mypy $(MYPY) salescast_airflow build_wheel.py
	for dag in dags/*.py; do $(BUILD)/venvs/lint/bin/mypy $(MYPY) --allow-untyped-decorators $$dag || exit 1; done

MYPY := --strict --ignore-missing-imports --allow-subclassing-any

$(BUILD)/venvs/lint/bin/mypy:
	$(call installing,ruff and mypy (0.1 GB))
	$(PYTHON) -m venv $(BUILD)/venvs/lint
	$(BUILD)/venvs/lint/bin/pip install --quiet $(PYTHON_LINT)

.PHONY: fmt
fmt: $(GOLANGCI_LINT) ## develop: Format the code
	$(GOLANGCI_LINT) fmt ./...

# Building the linter takes several minutes the first time.
$(GOLANGCI_LINT):
	GOBIN=$(CURDIR)/$(@D) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)

.PHONY: bench-accuracy
bench-accuracy: build ## measure: Score forecasts of the past on every configuration of a folder: make bench-accuracy DATA=folder
	$(GO) run ./tests/bench/accuracy bin/salescast "$(DATA)" "$$(mktemp -d)"

.PHONY: bench
bench: engines ## measure: Run the benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./...
	tests/bench/featurize/bench.sh

FUZZTIME ?= 20s
# Go spends a minute making each input that covers something new smaller, and runs none meanwhile; goroutines make that noise.
FUZZ = $(GO) test -run '^$$' -fuzztime $(FUZZTIME) -fuzzminimizetime 100x

.PHONY: fuzz
fuzz: ## test: Fuzz every decoder for FUZZTIME (20s) each
	@set -e; for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
	    echo "$$p $$f"; $(FUZZ) -fuzz "^$$f$$" $$p; \
	  done; \
	done

.PHONY: clean
clean: ## develop: Remove what was built; runs and caches of the user stay
	rm -rf bin $(BUILD)
