# Airflow in the versions that the provider and the DAG files are tested with.

AIRFLOW3_VERSION := 3.3.2
AIRFLOW3_POSTGRES := 7.1.1
AIRFLOW2_VERSION := 2.11.2
AIRFLOW210_VERSION := 2.10.5
PYTEST_VERSION   := 9.2.0

.PHONY: test-airflow

# tests/airflow starts an Airflow 3 over Postgres, and installs the wheel beside an Airflow 2.
servers: .build/venvs/airflow3/bin/pytest .build/venvs/airflow2/bin/pytest postgres

test-airflow: build .build/bin/minio .build/venvs/airflow3/bin/pytest .build/venvs/airflow2/bin/pytest ## test: Test the provider and the DAG files on Airflow 3 and 2
	.build/venvs/airflow3/bin/pytest -q astro/provider/tests tests/dags
	.build/venvs/airflow2/bin/pytest -q astro/provider/tests tests/dags

.build/venvs/airflow3/bin/pytest:
	$(call installing,Airflow $(AIRFLOW3_VERSION) (0.35 GB))
	$(PYTHON) -m venv .build/venvs/airflow3
	.build/venvs/airflow3/bin/pip install --quiet apache-airflow==$(AIRFLOW3_VERSION) apache-airflow-providers-postgres==$(AIRFLOW3_POSTGRES) psycopg2-binary pytest==$(PYTEST_VERSION)

.build/venvs/airflow2/bin/pytest:
	$(call installing,Airflow $(AIRFLOW2_VERSION) (0.3 GB))
	$(PYTHON) -m venv .build/venvs/airflow2
	.build/venvs/airflow2/bin/pip install --quiet apache-airflow==$(AIRFLOW2_VERSION) pytest==$(PYTEST_VERSION)

.PHONY: test-airflow-2.10

test-airflow-2.10: build .build/bin/minio .build/venvs/airflow210/bin/pytest ## test: Test the wheel, the provider and the DAG files on Airflow 2.10
	$(GO) test -count=1 -run '^TestWheel$$' ./tests/airflow -airflow airflow210
	.build/venvs/airflow210/bin/pytest -q astro/provider/tests tests/dags

.build/venvs/airflow210/bin/pytest:
	$(call installing,Airflow $(AIRFLOW210_VERSION) (0.3 GB))
	$(PYTHON) -m venv .build/venvs/airflow210
	.build/venvs/airflow210/bin/pip install --quiet apache-airflow==$(AIRFLOW210_VERSION) pytest==$(PYTEST_VERSION)

OAPI_CODEGEN_VERSION := v2.8.2

.PHONY: airflow-api

airflow-api: .build/venvs/airflow3/bin/pytest ## develop: Generate the client of Airflow 3 from the OpenAPI document in its package
	.build/venvs/airflow3/bin/python pkg/airflow/api/trim.py .build/venvs/airflow3/lib/python3*/site-packages/airflow/api_fastapi/core_api/openapi/v2-rest-api-generated.yaml pkg/airflow/api/config.yaml > .build/v2.yaml
	mv .build/v2.yaml pkg/airflow/api/v2.yaml
	go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@$(OAPI_CODEGEN_VERSION) -config pkg/airflow/api/config.yaml pkg/airflow/api/v2.yaml
