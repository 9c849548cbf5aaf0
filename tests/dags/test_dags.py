import ast
import itertools
import json
import stat
import subprocess
import sys
import textwrap

import pytest

from conftest import ROOT

FILES = sorted(path.stem for path in (ROOT / "dags").glob("*.py"))


def test_every_file_is_a_dag_of_its_name(python):
    found = python(
        """
import json
try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:
    from airflow.models import DagBag
bag = DagBag()
print("FOUND", json.dumps([sorted(bag.dags), bag.import_errors]))
"""
    )
    dags, errors = json.loads(found.split("FOUND", 1)[1])
    assert errors == {}
    assert dags == FILES


def test_astro_dev_parse_passes(airflow):
    """The file that the Astro CLI runs for it, as it does: pytest, where the provider is installed."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", ".astro/test_dag_integrity_default.py"],
        cwd=ROOT,
        env=airflow,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", FILES)
def test_parsing_is_quick_and_imports_nothing_heavy(python, name):
    """Beyond what Airflow itself takes for a DAG of one empty task; in CPU time, because the machine may be busy."""
    source = f"""
import runpy, sys, time
from datetime import datetime
from salescast_airflow.sdk import DAG, Param, task
with DAG("baseline", start_date=datetime(2026, 1, 1), schedule="@weekly", params={{"a": Param(1, type="integer")}}):
    task(task_id="empty")(lambda: 1)()
had = set(sys.modules)
began = time.process_time()
runpy.run_path({str(ROOT / "dags" / (name + ".py"))!r})
print("PARSED", time.process_time() - began, *{{m.partition(".")[0] for m in set(sys.modules) - had}})
"""
    seconds, *modules = python(source).split("PARSED ", 1)[1].split()
    assert float(seconds) < 0.2
    assert not {"pandas", "numpy", "requests", "httpx", "boto3", "mlflow", "pyarrow"} & set(modules)


def fake_binary(folder):
    """A binary whose every step succeeds, unless FAIL names it; it writes down how it was called."""
    path = folder / "salescast"
    path.write_text(
        f"#!{sys.executable}\n"
        + textwrap.dedent(
            f"""
            import json, os, sys
            argv = sys.argv[1:]
            workspace = argv[argv.index("--workspace") + 1]
            with open({str(folder / "calls")!r}, "a") as calls:
                calls.write(json.dumps(argv) + "\\n")
            name, _, code = os.environ.get("FAIL", "").partition("=")
            models = [w.removeprefix("models=") for w in argv if w.startswith("models=")] or ['["lightgbm", "xgboost"]']
            result = {{"schema": "salescast.result/v1", "step": argv[0], "status": "done", "workspace": workspace}}
            result["metrics"] = {{"wape": 0.2}}
            if argv[0] == "validate":
                result["models"] = json.loads(models[0])
            with open(argv[argv.index("--result-file") + 1], "w") as file:
                json.dump(result, file)
            sys.exit(int(code) if name == argv[0] else 0)
            """
        )
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def run_dag(runner):
    """Return a function that runs a DAG and returns its state, its id, the states by task and the calls of the binary."""

    def run(folder, conf, dag="sales_forecast_training", **env):
        calls = folder / "calls"
        answer = runner(dag, conf, **env)
        return *answer, [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []

    return run


STEPS = ["generate", "validate", "train", "train", "ensemble", "evaluate", "register", "forecast", "report", "prune"]


def test_a_run_without_parameters(airflow, run_dag, tmp_path):
    state, run_id, states, calls = run_dag(tmp_path, {}, SALESCAST_BIN=str(fake_binary(tmp_path)))
    assert state == "success"
    assert [call[0] for call in calls] == STEPS
    clean = "".join(c if c.isalnum() or c in "._-" else "_" for c in run_id)
    workspaces = {call[call.index("--workspace") + 1] for call in calls}
    assert workspaces == {f"{airflow['AIRFLOW_HOME']}/salescast/runs/sales_forecast_training/{clean}"}
    assert sorted(call[1:3] for call in calls if call[0] == "train") == [["--model", "lightgbm"], ["--model", "xgboost"]]  # in any order
    assert not [word for call in calls for word in call if word.startswith("models=")]
    assert "--config" not in calls[1]
    assert states.pop("featurize") == "skipped"
    assert set(states.values()) == {"success"}


def test_features_are_written_for_who_asks(run_dag, tmp_path):
    state, _, states, calls = run_dag(tmp_path, {"features": True}, SALESCAST_BIN=str(fake_binary(tmp_path)))
    assert (state, states["featurize"]) == ("success", "success")
    assert sorted(call[0] for call in calls) == sorted([*STEPS, "featurize"])


def test_a_run_with_its_own_data(run_dag, tmp_path):
    conf = {"source": "s3://sales/in.csv; rm -rf /", "config": "/etc/salescast.yaml", "horizon": 14, "models": ["lightgbm"]}
    state, _, states, calls = run_dag(tmp_path, conf, SALESCAST_BIN=str(fake_binary(tmp_path)))
    assert state == "success"
    assert states["generate"] == "skipped"
    assert [call[0] for call in calls] == [step for i, step in enumerate(STEPS) if i not in (0, 2)]
    for call in calls:
        words = list(itertools.pairwise(call))
        assert ("--set", "data.source=s3://sales/in.csv; rm -rf /") in words
        assert ("--set", "forecast.horizon=14") in words
        assert ("--set", 'models=["lightgbm"]') in words
        assert ("--config", "/etc/salescast.yaml") in words


def test_bad_data_ends_the_run(run_dag, tmp_path):
    state, _, states, calls = run_dag(tmp_path, {}, SALESCAST_BIN=str(fake_binary(tmp_path)), FAIL="validate=65")
    assert state == "failed"
    assert [call[0] for call in calls] == ["generate", "validate"]
    assert states["train"] == "upstream_failed"


def test_a_refused_candidate_is_forecast_with_all_the_same(run_dag, tmp_path):
    state, _, states, calls = run_dag(tmp_path, {}, SALESCAST_BIN=str(fake_binary(tmp_path)), FAIL="register=10")
    assert state == "success"
    assert states["register"] == "success"
    assert [call[0] for call in calls] == STEPS


def test_a_step_with_nothing_to_do_is_skipped(run_dag, tmp_path):
    state, _, states, calls = run_dag(tmp_path, {}, SALESCAST_BIN=str(fake_binary(tmp_path)), FAIL="generate=99")
    assert state == "success"
    assert states["generate"] == "skipped"
    assert [call[0] for call in calls] == STEPS


def test_promotion_can_be_left_out(run_dag, tmp_path):
    state, _, states, calls = run_dag(tmp_path, {"promote": "never"}, SALESCAST_BIN=str(fake_binary(tmp_path)))
    assert state == "success"
    assert states["register"] == "skipped"
    assert [call[0] for call in calls] == [step for step in STEPS if step != "register"]


@pytest.mark.parametrize("promote", ["better", "always"])
def test_the_gate_is_told_what_it_is_for(run_dag, tmp_path, promote):
    state, _, _, calls = run_dag(tmp_path, {"promote": promote}, SALESCAST_BIN=str(fake_binary(tmp_path)))
    assert state == "success"
    assert [call[1:3] for call in calls if call[0] == "register"] == [["--promote", promote]]


def test_inference_with_the_champion(run_dag, tmp_path):
    conf = {"source": "s3://sales/today.csv", "horizon": 7}
    state, _, _, calls = run_dag(tmp_path, conf, dag="sales_forecast_inference", SALESCAST_BIN=str(fake_binary(tmp_path)))
    assert state == "success"
    assert [call[0] for call in calls] == ["forecast", "monitor", "prune"]
    champion, settings = (
        ["--model", "models:/sales_forecast_ensemble@champion"],
        ["--set", "data.source=s3://sales/today.csv", "--set", "forecast.horizon=7"],
    )
    assert calls[0][1:7] == [*champion, *settings]
    assert calls[1][1:8] == [*champion, "--fail-on-drift", *settings]


@pytest.mark.parametrize(("code", "state"), [(11, "success"), (99, "skipped")])
def test_drift_and_too_few_new_sales_are_no_failures(run_dag, tmp_path, code, state):
    answer, _, states, _ = run_dag(
        tmp_path, {}, dag="sales_forecast_inference", SALESCAST_BIN=str(fake_binary(tmp_path)), FAIL=f"monitor={code}"
    )
    assert (answer, states) == ("success", {"forecast": "success", "monitor": state, "prune": "success"})


def test_the_models_are_those_of_the_binary(binary):
    """The form offers what the binary knows, but for auto: the tasks of a mapped step are named before the data are seen."""
    schema = json.loads(binary("config", "schema"))
    source = (ROOT / "dags" / "sales_forecast_training.py").read_text()
    offered = next(
        ast.literal_eval(node.value) for node in ast.parse(source).body if isinstance(node, ast.Assign) and node.targets[0].id == "MODELS"
    )
    assert sorted(offered) == sorted(schema["properties"]["models"]["items"]["enum"])


def params_of(name):
    """The form of a DAG: the keywords of each Param, and its value, of those that are written out."""
    tree = ast.parse((ROOT / "dags" / f"{name}.py").read_text())
    form = next(k.value for node in ast.walk(tree) if isinstance(node, ast.Call) for k in node.keywords if k.arg == "params")
    found = {}
    for key, call in zip(form.keys, form.values, strict=True):
        found[key.value] = {
            k.arg: ast.literal_eval(k.value)
            for k in call.keywords
            if isinstance(k.value, ast.Constant | ast.List | ast.Dict) and k.arg != "items"
        }
        found[key.value]["value"] = ast.literal_eval(call.args[0]) if isinstance(call.args[0], ast.Constant | ast.List) else None
    return found


def test_the_forms_know_the_settings(binary):
    """Bounds, choices and defaults of the forms are those of the configuration."""
    schema = json.loads(binary("config", "schema"))["properties"]
    horizon, register = schema["forecast"]["properties"]["horizon"], schema["register"]["properties"]
    for name in FILES:
        form = params_of(name)
        assert (form["horizon"]["minimum"], form["horizon"]["maximum"]) == (horizon["minimum"], horizon["maximum"])
    training = params_of("sales_forecast_training")
    assert f"or {horizon['default']}." in training["horizon"]["description"]
    assert training["models"]["value"] == [schema["models"]["default"]]
    assert training["promote"]["enum"] == [*register["promote"]["enum"], "never"]
    assert training["promote"]["value"] == register["promote"]["default"]
    assert params_of("sales_forecast_inference")["model"]["value"] == f"models:/{register['prefix']['default']}_ensemble@champion"
