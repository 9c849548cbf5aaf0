"""The fake binary and the fake context that the operator is tested with; Airflow itself is real."""

import atexit
import logging
import os
import shutil
import stat
import sys
import tempfile
import textwrap

import pytest

# Airflow reads these when it is first imported.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-home-")
atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__UNIT_TEST_MODE"] = "True"
sys.path.insert(0, os.path.dirname(os.path.dirname(__file__)))


class Pushed(dict):
    """Stands for the task instance: remembers what was pushed."""

    def xcom_push(self, key, value):
        self[key] = value


class Events(dict):
    def __missing__(self, key):
        self[key] = added = Added()
        return added


class Added(list):
    def add(self, asset, extra=None):
        self.append((asset, extra))


@pytest.fixture
def context():
    return {"run_id": "manual__2026-11-23T09:00:00+00:00", "ti": Pushed(), "outlet_events": Events()}


@pytest.fixture
def lines(monkeypatch, caplog):
    """Return what the operator logs: Airflow 3 has its own loggers, which pytest does not see."""
    from salescast_airflow.operator import SalescastOperator

    log = logging.getLogger("salescast-test")
    log.setLevel(logging.DEBUG)
    log.propagate = False
    log.addHandler(caplog.handler)
    monkeypatch.setattr(SalescastOperator, "log", log)
    yield lambda: [(record.levelname, record.getMessage()) for record in caplog.records]
    log.removeHandler(caplog.handler)


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Return a function that makes a binary from Python source; `argv`, `result(**fields)` and `log(**fields)` are there for it."""
    monkeypatch.setenv("SALESCAST_WORKSPACE_ROOT", str(tmp_path / "runs"))

    def make(source):
        path = tmp_path / "salescast"
        path.write_text(
            f"#!{sys.executable}\n"
            + textwrap.dedent(
                """
                import json, os, signal, subprocess, sys, threading, time
                argv = sys.argv[1:]
                def result(**fields):
                    path = argv[argv.index("--result-file") + 1]
                    with open(path + ".part", "w") as file:
                        file.write(json.dumps({"schema": "salescast.result/v1", "status": "done", **fields}))
                    os.rename(path + ".part", path)
                def log(**fields):
                    print(json.dumps(fields), file=sys.stderr, flush=True)
                """
            )
            + textwrap.dedent(source)
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("SALESCAST_BIN", str(path))
        return path

    return make
