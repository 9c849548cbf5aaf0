# The page over the forecasting server. Included by the Makefile.

PYTHON ?= python3
NPM    ?= npm

PAGE := .build/venvs/page
PAGE_TOOLS := pytest==9.2.0 ruff==0.17.6 mypy==2.4.1

.PHONY: page test-page

page: $(PAGE)/bin/pytest ## Show the page on port 8501; it asks SALESCAST_SERVER, 127.0.0.1:8080 unless set
	cd astro/ui && $(CURDIR)/$(PAGE)/bin/streamlit run app.py

test-page: $(PAGE)/bin/pytest ## Test the page
	cd astro/ui && $(CURDIR)/$(PAGE)/bin/ruff check . && $(CURDIR)/$(PAGE)/bin/ruff format --check . && $(CURDIR)/$(PAGE)/bin/mypy --ignore-missing-imports *.py
	$(PAGE)/bin/pytest astro/ui

$(PAGE)/bin/pytest: astro/ui/requirements.txt
	$(PYTHON) -m venv $(PAGE)
	$(PAGE)/bin/pip install --quiet -r astro/ui/requirements.txt $(PAGE_TOOLS)
	touch $@
