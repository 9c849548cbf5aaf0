"""An Airflow of its own for the tests of the DAG files: a fresh home, a fresh database, the provider from the tree."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.request

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


@pytest.fixture(scope="session")
def binary():
    """Return a function that runs the program that make build made, and returns what it prints."""
    path = ROOT / "bin" / "salescast"
    assert path.exists(), "make build makes it"

    def run(*args, **env):
        done = subprocess.run([path, *args], env=os.environ | env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run.path = path
    # A binary that was built without engines is told where they are.
    run.env = {name: value for name, value in os.environ.items() if name == "SALESCAST_ENGINE_DIR"}
    return run


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """Return the variables for an S3 store with an empty bucket salescast."""
    program = ROOT / ".build" / "bin" / "minio"
    assert program.exists(), "make servers installs it"
    folder = tmp_path_factory.mktemp("minio")
    (folder / "data" / "salescast").mkdir(parents=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    keys = {"AWS_ACCESS_KEY_ID": "salescast-tests", "AWS_SECRET_ACCESS_KEY": "not-a-secret-only-for-tests"}
    env = {
        "HOME": str(folder),
        "MINIO_ROOT_USER": keys["AWS_ACCESS_KEY_ID"],
        "MINIO_ROOT_PASSWORD": keys["AWS_SECRET_ACCESS_KEY"],
        "MINIO_UPDATE": "off",
    }
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [program, "server", folder / "data", "--address", address, "--quiet"],
            env=env | {"MINIO_BROWSER": "off"},
            stdout=log,
            stderr=log,
        )
    try:
        for _ in range(600):
            assert server.poll() is None, (folder / "log").read_text()
            try:
                urllib.request.urlopen(f"http://{address}/minio/health/ready", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        yield keys | {"AWS_ENDPOINT_URL_S3": f"http://{address}", "AWS_REGION": "us-east-1"}
    finally:
        server.kill()
        server.wait()
