# Optuna, which reads the studies of tuning in its tests. Included by the Makefile. PostgreSQL 15 comes from Debian.

OPTUNA_VERSION := 5.0.0

.PHONY: optuna test-tune
optuna: .build/venvs/optuna-5.0/bin/optuna ## Install the Optuna that tests read studies with

test-tune: optuna ## Test that Optuna reads what tuning keeps, in SQLite and PostgreSQL
	$(GO) test -count=1 ./tests/tune

.build/venvs/optuna-5.0/bin/optuna:
	$(PYTHON) -m venv .build/venvs/optuna-5.0
	.build/venvs/optuna-5.0/bin/pip install --quiet optuna==$(OPTUNA_VERSION) psycopg2-binary==2.9.13
