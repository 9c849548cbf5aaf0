"""Has Optuna make its own tables in a storage: optuna_makes.py STORAGE."""

import sys

import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)
optuna.storages.RDBStorage(sys.argv[1])
