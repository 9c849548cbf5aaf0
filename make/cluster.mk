# The DAGs on Celery workers that share nothing but a network, with Redis and Postgres.

CELERY_VENV    := .build/venvs/airflow-celery
# The provider does not start with celery 5.7.
CELERY_VERSION := 3.26.0
CELERY_PINS    := "celery[redis]==5.6.3"

.PHONY: test-cluster celery

test-cluster: celery .build/bin/minio .build/venvs/mlflow-3.17/bin/mlflow ## test: Test the training DAG on two Celery workers in namespaces of their own (needs root)
	go test -count=1 -timeout 45m -tags cluster ./tests/cluster

# The workers run the wheel as it is shipped.
celery: $(CELERY_VENV)/ready wheel-$(shell go env GOARCH) redis postgres iproute
	$(CELERY_VENV)/bin/pip install --quiet --no-index --no-deps --force-reinstall "$$(ls -t dist/salescast-*_$(shell uname -m).whl | head -1)"

$(CELERY_VENV)/ready:
	$(call installing,Airflow $(AIRFLOW3_VERSION) with Celery (0.45 GB))
	$(PYTHON) -m venv $(CELERY_VENV)
	$(CELERY_VENV)/bin/pip install --quiet apache-airflow==$(AIRFLOW3_VERSION) apache-airflow-providers-celery==$(CELERY_VERSION) $(CELERY_PINS) apache-airflow-providers-postgres psycopg2-binary
	touch $@
