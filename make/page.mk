# The page over the forecasting server.

PAGE := .build/venvs/page
PAGE_TOOLS := pytest==9.2.0 playwright==1.65.2 $(PYTHON_LINT)

.PHONY: page test-page

page: $(PAGE)/bin/pytest ## use: Show the page on port 8501; it asks SALESCAST_SERVER, 127.0.0.1:8080 unless set
	cd astro/ui && $(CURDIR)/$(PAGE)/bin/streamlit run app.py

test-page: build $(PAGE)/bin/pytest chromium ## test: Test the page, with Chromium over the real server
	cd astro/ui && $(CURDIR)/$(PAGE)/bin/ruff check . && $(CURDIR)/$(PAGE)/bin/ruff format --check . && $(CURDIR)/$(PAGE)/bin/mypy --ignore-missing-imports *.py
	SALESCAST_ENGINE_DIR= SALESCAST_BIN=$(CURDIR)/bin/salescast CHROMIUM=$(CHROMIUM) SALESCAST_PICTURES=$${SALESCAST_PICTURES:-$(CURDIR)/.build/pictures} \
	  $(PAGE)/bin/pytest astro/ui --durations=5

$(PAGE)/bin/pytest: astro/ui/requirements.txt
	$(call installing,the page and its tests (0.85 GB))
	$(PYTHON) -m venv $(PAGE)
	$(PAGE)/bin/pip install --quiet -r astro/ui/requirements.txt $(PAGE_TOOLS)
	touch $@
