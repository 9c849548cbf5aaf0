# Airflow in the versions that the provider and the DAG files are tested with. Included by the Makefile.

PYTHON           ?= python3
AIRFLOW3_VERSION := 3.3.2
AIRFLOW2_VERSION := 2.11.2
PYTEST_VERSION   := 9.2.0

.PHONY: test-airflow

test-airflow: build .build/venvs/airflow3/bin/pytest .build/venvs/airflow2/bin/pytest ## Test the provider and the DAG files on Airflow 3 and 2
	.build/venvs/airflow3/bin/pytest -q astro/provider/tests tests/dags
	.build/venvs/airflow2/bin/pytest -q astro/provider/tests tests/dags

.build/venvs/airflow3/bin/pytest:
	$(PYTHON) -m venv .build/venvs/airflow3
	.build/venvs/airflow3/bin/pip install --quiet apache-airflow==$(AIRFLOW3_VERSION) pytest==$(PYTEST_VERSION)

.build/venvs/airflow2/bin/pytest:
	$(PYTHON) -m venv .build/venvs/airflow2
	.build/venvs/airflow2/bin/pip install --quiet apache-airflow==$(AIRFLOW2_VERSION) pytest==$(PYTEST_VERSION)
