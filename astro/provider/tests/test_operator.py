import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from salescast_airflow import get_provider_info
from salescast_airflow.operator import SalescastOperator
from salescast_airflow.sdk import AirflowException, AirflowFailException, AirflowSkipException, Asset


def operator(**kwargs):
    return SalescastOperator(**{"task_id": "step", "command": "train", **kwargs})


def gone(pid):
    """Whether the process has ended; one that nobody has reaped yet has."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def eventually(condition, seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_the_result_file_is_the_xcom(fake, context):
    fake("""result(step="train", metrics={"wape": 0.2}); print("not the result")""")
    assert operator().execute(context) == {"schema": "salescast.result/v1", "status": "done", "step": "train", "metrics": {"wape": 0.2}}


def test_arguments_pass_as_they_are(fake, context, tmp_path):
    fake("""result(argv=argv, cwd=os.getcwd())""")
    hostile = ["--model", "x; rm -rf /", "$(id)", "a b", '"']
    result = operator(
        args=hostile, settings={"forecast.horizon": "14", "data.source": "", "models": None}, config="/etc/salescast.yaml"
    ).execute(context)
    argv = result["argv"]
    assert argv[: 1 + len(hostile)] == ["train", *hostile]
    assert argv[1 + len(hostile) : -2] == [
        *("--set", "forecast.horizon=14", "--config", "/etc/salescast.yaml"),
        *("--workspace", f"{tmp_path}/runs/adhoc_airflow/manual__2026-11-23T09_00_00_00_00", "--log-format", "json"),
    ]
    assert not os.path.exists(result["cwd"])


@pytest.mark.parametrize("text", ["{data: {keys: [store]}}", "data:\n  keys: [store]\n", " {seed: 7}\n"])
def test_a_configuration_may_be_text(fake, context, text):
    """The program titles its report after the folder that its path names, which is a new one at each try: so it names none."""
    fake("""path = argv[argv.index("--config") + 1]; result(path=path, text=open(path).read())""")
    result = operator(config=text).execute(context)
    assert (result["path"], result["text"]) == ("salescast.yaml", text.strip() + "\n")


@pytest.mark.parametrize(
    ("root", "workspace", "want"),
    [
        ("s3://b/p/", None, "s3://b/p/manual__2026-11-23T09_00_00_00_00"),
        ("s3://b/p", "s3://other", "s3://other"),
    ],
)
def test_workspace(fake, context, root, workspace, want):
    fake("""result(workspace=argv[argv.index("--workspace") + 1])""")
    assert operator(root=root, workspace=workspace).execute(context)["workspace"] == want


def test_without_settings_the_workspace_is_local_or_in_the_bucket(fake, context, monkeypatch):
    fake("""result(workspace=argv[argv.index("--workspace") + 1])""")
    monkeypatch.delenv("SALESCAST_WORKSPACE_ROOT")
    home = os.environ["AIRFLOW_HOME"]
    assert operator().execute(context)["workspace"].startswith(f"{home}/salescast/runs/adhoc_airflow/manual__")
    monkeypatch.setenv("AIRFLOW_CONN_SALESCAST_S3", json.dumps({"conn_type": "aws", "login": "key", "password": "s3cret-s3"}))
    assert operator().execute(context)["workspace"].startswith("s3://salescast/runs/adhoc_airflow/manual__")


@pytest.mark.parametrize(
    ("kwargs", "want"),
    [
        ({}, "s3://salescast/runs/registry"),  # all DAGs share it
        ({"root": "s3://b/p/"}, "s3://b/p/registry"),
        ({"workspace": "s3://b/p/w"}, "s3://b/p/registry"),
        ({"env": {"SALESCAST_REGISTER_FOLDER": "/elsewhere"}}, "/elsewhere"),
    ],
)
def test_without_mlflow_the_registry_is_beside_the_workspaces(fake, context, monkeypatch, kwargs, want):
    """Where every worker reaches it: no disk of one of them has the champion."""
    fake("""result(registry=os.environ.get("SALESCAST_REGISTER_FOLDER"))""")
    monkeypatch.delenv("SALESCAST_WORKSPACE_ROOT")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("AIRFLOW_CONN_SALESCAST_S3", json.dumps({"conn_type": "aws", "login": "key", "password": "s3cret-s3"}))
    assert operator(**kwargs).execute(context)["registry"] == want
    monkeypatch.setenv("AIRFLOW_CONN_SALESCAST_MLFLOW", json.dumps({"conn_type": "http", "host": "ml"}))
    if "env" not in kwargs:
        assert operator(**kwargs).execute(context)["registry"] is None


@pytest.mark.parametrize(
    ("code", "raises"),
    [(0, None), (10, None), (11, None), (99, AirflowSkipException)]
    + [(code, AirflowFailException) for code in (64, 65, 66, 77, 78)]
    + [(code, AirflowException) for code in (1, 2, 69, 75, 130, 143)],
)
def test_exit_codes(fake, context, code, raises):
    fake(f"""
    result(status={{10: "refused", 11: "drift"}}.get({code}, "done"), error={{"message": "it went wrong", "hint": "mend it"}})
    sys.exit({code})
    """)
    if raises is None:
        assert operator().execute(context)["status"] == {0: "done", 10: "refused", 11: "drift"}[code]
        return
    with pytest.raises(raises, match=rf"exited {code}: it went wrong \(hint: mend it\)") as caught:
        operator().execute(context)
    assert type(caught.value) is raises


@pytest.mark.parametrize(
    ("workspace", "code", "said"),
    [("/var/runs/a", 66, True), ("s3://b/a", 66, False), ("/var/runs/a", 65, False)],
)
def test_an_input_that_may_be_on_another_machine(fake, context, lines, workspace, code, said):
    """Of two workers with folders of their own neither finds what the other has made."""
    fake(f"sys.exit({code})")
    with pytest.raises(AirflowFailException):
        operator(workspace=workspace).execute(context)
    assert any(level == "WARNING" and "salescast_s3" in text for level, text in lines()) == said


def test_a_death_by_signal_is_retried(fake, context):
    fake("""os.kill(os.getpid(), signal.SIGKILL)""")
    with pytest.raises(AirflowException, match="killed by signal 9, probably because memory ran out") as caught:
        operator().execute(context)
    assert type(caught.value) is AirflowException


@pytest.mark.parametrize(
    "source", ["open(argv[-1], 'w').write('[1]')", "open(argv[-1], 'w').write('{\"a\": NaN}')", "result(x='a' * 70000)"]
)
def test_a_result_that_is_none_is_an_error(fake, context, source):
    fake(source)
    with pytest.raises(ValueError, match="the result"):
        operator().execute(context)


def test_a_command_without_a_result_cannot_publish(fake, context):
    fake("pass")
    assert operator().execute(context) is None
    with pytest.raises(AirflowException, match="no result to publish"):
        operator(publishes=Asset("sales_forecast")).execute(context)


def test_log_lines_keep_their_level(fake, context, lines):
    fake("""
    log(level="debug", message="d"); log(level="info", message="i", rows=3, time="now")
    log(level="warn", message="w %s"); log(level="error", message="e")
    print("[1, 2]", file=sys.stderr)
    print("goroutine 1 [running]:", file=sys.stderr)
    print("printed")
    result()
    """)
    operator().execute(context)
    assert set(lines()) >= {
        *(("DEBUG", "d"), ("INFO", "i rows=3"), ("WARNING", "w %s"), ("ERROR", "e")),
        *(("WARNING", "[1, 2]"), ("WARNING", "goroutine 1 [running]:"), ("INFO", "printed")),
    }


def test_a_flood_and_a_long_line_do_not_block(fake, context, lines):
    fake("""
    print("x" * 1_000_000)
    for i in range(2000):
        log(level="info", message="line")
    result()
    """)
    operator().execute(context)
    assert len([text for _, text in lines() if text == "line"]) == 2000
    assert [len(text) for _, text in lines() if text.startswith("xxx")] == [8192]


def test_secrets_reach_only_the_child(fake, context, monkeypatch, lines):
    aws = {
        "conn_type": "aws",
        "login": "key",
        "password": "s3cret-s3",
        "extra": {"endpoint_url": "http://127.0.0.1:9000", "region_name": "eu-west-1"},
    }
    monkeypatch.setenv("AIRFLOW_CONN_SALESCAST_S3", json.dumps(aws))
    monkeypatch.setenv(
        "AIRFLOW_CONN_SALESCAST_MLFLOW",
        json.dumps({"conn_type": "http", "host": "mlflow", "port": 5001, "login": "me", "password": "s3cret-ml"}),
    )
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "s3cret-fernet")
    monkeypatch.setenv("AIRFLOW_CTX_DAG_ID", "the_dag")
    fake("""result(env=dict(os.environ))""")
    step = operator(env={"EXTRA": 1})
    env = step.execute(context)["env"]
    want = {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "s3cret-s3",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9000",
        "AWS_REGION": "eu-west-1",
        "MLFLOW_TRACKING_URI": "http://mlflow:5001",
        "MLFLOW_TRACKING_USERNAME": "me",
        "MLFLOW_TRACKING_PASSWORD": "s3cret-ml",
        "EXTRA": "1",
        "AIRFLOW_CTX_DAG_ID": "the_dag",
        "SALESCAST_STDIN_LIFELINE": "1",
    }
    assert {name: env.get(name) for name in want} == want
    assert not [name for name in env if name.startswith(("AIRFLOW__", "AIRFLOW_CONN_"))]
    assert "s3cret" not in str(lines())
    assert "s3cret" not in str({name: getattr(step, name) for name in step.template_fields})


@pytest.mark.parametrize(
    ("connection", "want"),
    [
        ({"host": "https://ml.example.com/x"}, "https://ml.example.com/x"),
        ({"host": "ml", "schema": "https", "port": 443}, "https://ml:443"),
        ({"host": "ml"}, "http://ml"),
    ],
)
def test_mlflow_addresses(fake, context, monkeypatch, connection, want):
    monkeypatch.setenv("AIRFLOW_CONN_SALESCAST_MLFLOW", json.dumps({"conn_type": "http", **connection}))
    fake("""result(uri=os.environ["MLFLOW_TRACKING_URI"])""")
    assert operator().execute(context)["uri"] == want


@pytest.mark.parametrize("answer", ["", "None", "False", "0", None])
def test_run_if_skips(fake, context, answer):
    fake("""result()""")
    with pytest.raises(AirflowSkipException):
        operator(run_if=answer).execute(context)


def test_on_kill_ends_the_child_and_what_it_started(fake, context, tmp_path):
    fake(
        """
    child = subprocess.Popen(["sleep", "300"])
    open("%s", "w").write(f"{os.getpid()} {child.pid}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    time.sleep(300)
    """
        % (tmp_path / "pids")
    )
    step = operator()
    killer = threading.Timer(1.0, step.on_kill)
    killer.start()
    began = time.monotonic()
    with pytest.raises(AirflowException, match="exited 143") as caught:
        step.execute(context)
    assert type(caught.value) is AirflowException  # so that a worker's shutdown is retried
    assert time.monotonic() - began < 3
    for pid in (tmp_path / "pids").read_text().split():
        assert eventually(lambda pid=pid: gone(pid), 1)


def test_a_child_that_will_not_go_is_killed_in_time(fake, context):
    fake("""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(300)
    """)
    step = operator()
    asked = []
    threading.Timer(1.0, lambda: (asked.append(time.monotonic()), step.on_kill(), step.on_kill())).start()
    with pytest.raises(AirflowException, match="signal 9"):
        step.execute(context)
    assert time.monotonic() - asked[0] < 4.5  # Airflow kills at 5 s


class Timeout(BaseException):
    """As Airflow's is, not an Exception."""


def test_an_interruption_inside_execute_ends_the_child(fake, context, tmp_path):
    fake(
        """
    open("%s", "w").write(str(os.getpid()))
    time.sleep(300)
    """
        % (tmp_path / "pid")
    )

    def interrupt(*_):
        raise Timeout

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 1.0)
    try:
        with pytest.raises(Timeout):
            operator().execute(context)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert eventually(lambda: gone((tmp_path / "pid").read_text()), 1)


def test_the_lifeline_ends_the_child_of_a_killed_parent(fake, tmp_path):
    fake(
        """
    open("%s", "w").write(str(os.getpid()))
    sys.stdin.read()  # as the binary does
    """
        % (tmp_path / "pid")
    )
    parent = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            "import logging, os; from salescast_airflow.child import Child; "
            "Child([os.environ['SALESCAST_BIN']], dict(os.environ), '/', logging.getLogger()).wait()",
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        assert eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), 30)
    finally:
        parent.kill()
        parent.wait()
    assert eventually(lambda: gone((tmp_path / "pid").read_text()), 3)


def test_memory_and_phase_are_said_while_it_grows(fake, context, lines, monkeypatch):
    monkeypatch.setattr("salescast_airflow.child.MEMORY_EVERY", 0.2)
    fake("""
    log(level="info", message="phase", phase="fit")
    hold = bytearray(100 << 20)
    time.sleep(1)
    result()
    """)
    operator().execute(context)
    assert [text for _, text in lines() if text.endswith("MiB, in phase fit")]


@pytest.mark.parametrize(("code", "events"), [(0, 1), (10, 0), (11, 0)])
def test_only_a_success_publishes(fake, context, code, events):
    fake(f"""
    result(workspace="s3://b/w", metrics={{"wape": 0.2}}, mlflow={{"run_id": "r1", "url": "http://ml/r1"}})
    sys.exit({code})
    """)
    asset = Asset("sales_forecast")
    step = operator(publishes=asset)
    step.execute(context)
    added = [event for alias in context["outlet_events"].values() for event in alias]
    assert len(added) == events
    if events:
        assert added == [(asset, {"workspace": "s3://b/w", "metric.wape": 0.2, "mlflow_run_id": "r1"})]


def test_an_outlet_says_what_was_published(fake, context):
    fake("""result(workspace="s3://b/w")""")
    asset = Asset("sales_forecast")
    operator(outlets=[asset]).execute(context)
    assert context["outlet_events"][asset].extra == {"workspace": "s3://b/w", "mlflow_run_id": None}


def test_links_are_pushed_also_by_a_failure(fake, context, monkeypatch):
    monkeypatch.setenv(
        "AIRFLOW_CONN_SALESCAST_S3",
        json.dumps({"conn_type": "aws", "login": "k", "password": "pw-of-s3", "extra": {"console_url": "http://minio:9001/"}}),
    )
    fake("""result(workspace="s3://salescast/runs/1", mlflow={"run_id": "r", "url": "http://ml/#/r"}); sys.exit(65)""")
    with pytest.raises(AirflowFailException):
        operator().execute(context)
    assert context["ti"] == {
        "salescast_mlflow_url": "http://ml/#/r",
        "salescast_workspace_url": "http://minio:9001/browser/salescast/runs/1",
    }


def test_a_link_leads_to_the_address_that_people_have(fake, context, monkeypatch):
    monkeypatch.setenv(
        "AIRFLOW_CONN_SALESCAST_MLFLOW",
        json.dumps({"conn_type": "http", "host": "mlflow", "port": 5000, "extra": {"console_url": "http://127.0.0.1:5001"}}),
    )
    fake("""result(workspace="/w", mlflow={"run_id": "r", "url": "http://mlflow:5000/#/experiments/1/runs/r"})""")
    operator().execute(context)
    assert context["ti"]["salescast_mlflow_url"] == "http://127.0.0.1:5001/#/experiments/1/runs/r"


def test_a_missing_binary_says_what_to_do(context, monkeypatch):
    monkeypatch.setenv("SALESCAST_BIN", "/nowhere/salescast")
    with pytest.raises(AirflowException, match="not an executable"):
        operator().execute(context)
    monkeypatch.delenv("SALESCAST_BIN")
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("sysconfig.get_path", lambda _: "/nowhere")
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with pytest.raises(AirflowException, match="install the salescast wheel"):
        operator().execute(context)


def test_the_overhead_is_small(fake, context, tmp_path):
    path = fake("""result()""")
    started = time.monotonic()
    subprocess.run([path, "--result-file", tmp_path / "result"], check=False, stderr=subprocess.DEVNULL)
    bare = time.monotonic() - started
    times = []
    for _ in range(5):
        started = time.monotonic()
        operator().execute(context)
        times.append(time.monotonic() - started)
    assert min(times) - bare < 0.15


def test_provider_info_names_links_that_exist():
    info = get_provider_info()
    assert info["package-name"] == "salescast"
    for path in info["extra-links"]:
        module, _, name = path.rpartition(".")
        assert hasattr(__import__(module, fromlist=[name]), name)
