"""An Airflow of its own for the tests of the DAG files: a fresh home, a fresh database, the provider from the tree."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="session")
def airflow(tmp_path_factory):
    """Return the environment of a process that sees the DAG files."""
    home = tmp_path_factory.mktemp("airflow")
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "SALESCAST", "MLFLOW", "AWS"))}
    env |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "http://127.0.0.1:1/execution/",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "PYTHONPATH": str(ROOT / "astro" / "provider"),
    }
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], env=env, check=True, capture_output=True)
    return env


@pytest.fixture
def python(airflow):
    """Return a function that runs Python source in that Airflow and returns what it prints."""

    def run(source, **env):
        done = subprocess.run([sys.executable, "-c", source], env=airflow | env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def runner(airflow):
    """Return a function that runs a DAG with parameters and more environment, and returns its state, its id and the states by task."""
    log = []
    with subprocess.Popen(
        [sys.executable, ROOT / "tests" / "dags" / "runner.py"],
        env=airflow,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        bufsize=1,
    ) as process:

        def run(dag, conf, **env):
            process.stdin.write(json.dumps({"dag": dag, "conf": conf, "env": env}) + "\n")
            log.clear()
            for line in process.stdout:
                if line.startswith("ENDED "):
                    answer = json.loads(line.removeprefix("ENDED "))
                    assert "error" not in answer, answer["error"] + "".join(log)
                    return answer["state"], answer["run_id"], answer["states"]
                log.append(line)
            raise AssertionError("the runner has ended:\n" + "".join(log))

        yield run
        process.stdin.close()
