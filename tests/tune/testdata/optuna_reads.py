"""What Optuna sees of a study, as JSON: optuna_reads.py STORAGE STUDY [TRIALS]; with TRIALS it also adds so many of its own."""

import json
import sys

import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.load_study(study_name=sys.argv[2], storage=sys.argv[1])
if len(sys.argv) > 3:
    study.optimize(lambda t: t.suggest_int("n", 10, 90) / 1000, n_trials=int(sys.argv[3]))
json.dump(
    {
        "direction": study.direction.name,
        "best": study.best_trial.number,
        "trials": [
            {
                "number": t.number,
                "state": t.state.name,
                "value": t.value,
                "params": t.params,
                "steps": {str(k): v for k, v in t.intermediate_values.items()},
                "attrs": t.user_attrs,
                "distributions": {k: str(d) for k, d in t.distributions.items()},
                "timed": t.duration is None or 0 <= t.duration.total_seconds() < 60,
            }
            for t in study.trials
        ],
    },
    sys.stdout,
)
