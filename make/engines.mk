# The engines: XGBoost and LightGBM as their authors build them, ready to be embedded (build tag "engines") or found by tests.

ENGINES_ARCH ?= $(shell go env GOARCH)
ENGINES_DIR  ?= .engines
EMBEDDED_DIR := pkg/internal/dl/embedded

.PHONY: engines engines-all test-engines-python

engines: $(ENGINES_DIR)/linux_$(ENGINES_ARCH)/engines.json $(EMBEDDED_DIR)/linux_$(ENGINES_ARCH)/engines.json ## develop: Fetch the pinned XGBoost and LightGBM libraries

engines-all: ## ship: Fetch the engines for amd64 and arm64
	$(MAKE) engines ENGINES_ARCH=amd64
	$(MAKE) engines ENGINES_ARCH=arm64

# Only the pins and the way they are packed make the folder old.
$(ENGINES_DIR)/linux_%/engines.json: pkg/internal/dl/fetch/wheels.txt pkg/internal/dl/fetch/main.go pkg/internal/dl/fetch/elf.go
	CGO_ENABLED=0 go run ./pkg/internal/dl/fetch -python $(PYTHON) -arch $* -out $(@D)

$(EMBEDDED_DIR)/linux_%/engines.json: $(ENGINES_DIR)/linux_%/engines.json
	rm -rf $(@D) && mkdir -p $(@D) && cp $(<D)/* $(@D)/

# Python opens what salescast saves; the other direction, and equal training, are Go tests with fixtures.
ENGINES_VENV := .build/venv-engines
PARITY_DATA  := pkg/regress/regresstest/testdata/data.csv

test-engines-python: engines $(ENGINES_VENV)/ready ## test: Check that the Python packages open the models that salescast saves
	rm -rf .build/engine-models && mkdir -p .build/engine-models
	CGO_ENABLED=0 go run ./tests/engines/train -data $(PARITY_DATA) -engines $(ENGINES_DIR)/linux_$(ENGINES_ARCH) -out .build/engine-models
	$(ENGINES_VENV)/bin/python tests/engines/load_models.py $(PARITY_DATA) .build/engine-models

$(ENGINES_VENV)/ready: make/engines.mk
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet xgboost-cpu==3.2.0 lightgbm==4.7.0 numpy scipy
	touch $@
