# Optuna, which reads the studies of tuning in its tests; PostgreSQL is where several machines share them.

OPTUNA_VERSION   := 5.0.0
PSYCOPG2_VERSION := 2.9.13

.PHONY: optuna test-tune
optuna: .build/venvs/optuna-5.0/bin/optuna postgres ## develop: Install what the tests of tuning read studies with

servers: optuna

test-tune: optuna ## test: Test that Optuna reads what tuning keeps, in SQLite and PostgreSQL
	$(GO) test -count=1 ./tests/tune

.build/venvs/optuna-5.0/bin/optuna:
	$(call installing,Optuna $(OPTUNA_VERSION) (0.15 GB))
	$(PYTHON) -m venv .build/venvs/optuna-5.0
	.build/venvs/optuna-5.0/bin/pip install --quiet optuna==$(OPTUNA_VERSION) psycopg2-binary==$(PSYCOPG2_VERSION)
