# What attacks and measures the forecasting server.

SCHEMATHESIS_VERSION := 4.32.5
VEGETA_VERSION       := v12.13.0

servers: .build/venvs/schemathesis/bin/schemathesis

.build/venvs/schemathesis/bin/schemathesis:
	$(PYTHON) -m venv .build/venvs/schemathesis
	.build/venvs/schemathesis/bin/pip install --quiet schemathesis==$(SCHEMATHESIS_VERSION)

.PHONY: test-serve
test-serve: engines servers ## test: Ask the running server as its clients do: schemathesis, MLflow, a shop's days
	go test -count=1 -timeout 20m ./tests/serve

.PHONY: bench-serve
bench-serve: build .build/bin/vegeta ## measure: Measure the server: latency at 100 requests a second, processor time, memory
	SALESCAST_ENGINE_DIR= go run ./tests/bench/serve -salescast bin/salescast -vegeta .build/bin/vegeta

.build/bin/vegeta:
	GOBIN=$(CURDIR)/.build/bin go install github.com/tsenart/vegeta/v12@$(VEGETA_VERSION)
