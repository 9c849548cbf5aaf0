# Generated sales, of which the truth is known.

SYNTHETIC := $(BUILD)/synthetic

.PHONY: demo-synthetic
demo-synthetic: build ## use: Forecast generated sales and hold the forecast against the truth they were drawn from
	SALESCAST_ENGINE_DIR= bin/salescast generate -w $(SYNTHETIC) --stores 5 --items 10
	SALESCAST_ENGINE_DIR= bin/salescast run -w $(SYNTHETIC)
	@bin/salescast get evaluate/metrics.json -w $(SYNTHETIC) | $(PYTHON) -c 'import json, sys; \
	  t = json.load(sys.stdin)["truth"]; \
	  print("truth against sales {truth_against_sales:.1%}, forecast against truth {model_against_truth:.1%}: {ratio:.2f} of it".format(**t)); \
	  sys.exit(t["ratio"] > 1.5)'
	@echo the report: $(SYNTHETIC)/report/index.html

.PHONY: test-30000
test-30000: build ## test: Run the pipeline on 30,000 series and watch its memory
	$(GO) test -count 1 -timeout 90m -v -run TestManySeriesTakeLittle ./tests/cases -args -stores=300 -items=100 -models=auto
