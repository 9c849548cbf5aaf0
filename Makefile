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

# Tests find the engines' libraries where "make engines" puts them.
export SALESCAST_ENGINE_DIR ?= $(CURDIR)/.engines/linux_$(shell $(GO) env GOARCH)

include $(wildcard *.mk)

# Tests below tests/ talk to real servers, which "make servers" installs.
OFFLINE = $(shell $(GO) list ./... | grep -v /tests/)

.PHONY: help
help: ## Print this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-zA-Z_-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: engines ## Build bin/salescast with its engines inside
	CGO_ENABLED=0 $(GO) build -trimpath -tags engines -ldflags '$(LDFLAGS)' -o bin/salescast ./cmd/salescast

.PHONY: demo
demo: build ## Forecast a bakery chain's real sales, from data to report, with no server
	SALESCAST_ENGINE_DIR= bin/salescast run examples/bakery

.PHONY: check
check: ## The quick loop: compile, vet and short tests, offline, under a minute
	$(GO) build ./...
	$(GO) vet ./...
	$(GO) test -short $(OFFLINE)

.PHONY: test
test: build servers ## Run every test, installing what they need
	$(GO) test -timeout 30m $(OFFLINE)
	$(GO) test -timeout 40m -p 1 ./tests/...
	$(MAKE) test-engines-python test-compose test-page test-airflow test-stack test-cluster test-images

.PHONY: test-all
test-all: test test-airflow-2.10 test-mlflow-older demo-synthetic test-30000 race fuzz bench bench-serve ## Everything, with older servers, 30,000 series, the race detector, fuzzing and benchmarks

.PHONY: race
race: engines ## Run the tests with the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -short -timeout 60m $(OFFLINE)

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Check the style, the layers and the formatting
	$(GOLANGCI_LINT) run ./...

.PHONY: fmt
fmt: $(GOLANGCI_LINT) ## Format the code
	$(GOLANGCI_LINT) fmt ./...

# Building the linter takes several minutes the first time.
$(GOLANGCI_LINT):
	GOBIN=$(CURDIR)/$(@D) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)

.PHONY: bench-accuracy
bench-accuracy: build ## Score forecasts of the past on every configuration of a folder: make bench-accuracy DATA=folder
	$(GO) run ./bench/accuracy bin/salescast "$(DATA)" "$$(mktemp -d)"

.PHONY: bench
bench: engines ## Run the benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./...
	bench/featurize/bench.sh

FUZZTIME ?= 20s
# Go spends a minute making each input that covers something new smaller, and runs none meanwhile; goroutines make that noise.
FUZZ = $(GO) test -run '^$$' -fuzztime $(FUZZTIME) -fuzzminimizetime 100x

.PHONY: fuzz
fuzz: ## Fuzz every decoder for FUZZTIME (20s) each
	@set -e; for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
	    echo "$$p $$f"; $(FUZZ) -fuzz "^$$f$$" $$p; \
	  done; \
	done

.PHONY: clean
clean: ## Remove what was built; runs and caches of the user stay
	rm -rf bin $(BUILD)
