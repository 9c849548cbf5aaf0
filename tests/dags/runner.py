"""Run DAGs without a scheduler, one for each line of JSON on standard input, and print how each ended. Airflow is loaded once."""

import json
import os
import sys
import traceback

try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:
    from airflow.models import DagBag


def read():
    bag = DagBag()
    for dag in bag.dags.values():
        for task in dag.tasks:
            task.retries = 0
    return bag


def main():
    bag = read()
    if hasattr(bag, "sync_to_db"):  # Airflow 2 looks up assets and their aliases, which a scheduler would have written down
        bag.sync_to_db()
    before = dict(os.environ)
    for line in sys.stdin:
        asked = json.loads(line)
        os.environ.update(asked["env"])
        try:
            # Read anew: Airflow 2 keeps the parameters of a run in the DAG.
            answer = ended(read().dags[asked["dag"]].test(run_conf=asked["conf"]))
        except Exception:
            answer = {"error": traceback.format_exc()}
        os.environ.clear()
        os.environ.update(before)
        print("\nENDED", json.dumps(answer), flush=True)


def ended(run):
    states = {}
    for ti in run.get_task_instances():
        states[ti.task_id + ("" if ti.map_index < 0 else f"[{ti.map_index}]")] = word(ti.state)
    return {"state": word(run.state), "run_id": run.run_id, "states": states}


def word(state):
    return str(getattr(state, "value", state))


if __name__ == "__main__":
    main()
