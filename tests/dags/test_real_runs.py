"""The DAGs with the real binary and without MLflow: on a folder and nothing else, and on an S3 store with workers that share no disk."""

import json
import stat

import pytest

SMALL = ("--stores", "2", "--items", "2", "--start", "2023-01-01", "--end", "2024-06-30")
SERIES, HORIZON = 4, 14

# What generate makes, described as the sales of somebody.
CONFIG = """
data:
  keys: [store_id, product_id]
  time: date
  target: quantity_sold
  known_future: [unit_price, discount_percent, promo, closed, renovation]
  static: [category]
  ignore: [revenue, cost, profit]
  stockout: sold_out
forecast:
  horizon: 14
backtest:
  origins: 2
"""


def clean(name):
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in name)


def champion(binary, registry, **env):
    """Return the version of the ensemble that is champion."""
    shown = json.loads(binary("models", "show", "sales_forecast_ensemble", "--output", "json", SALESCAST_REGISTER_FOLDER=registry, **env))
    assert "champion" in shown["aliases"]
    return shown


def test_a_folder_and_nothing_else(runner, binary, tmp_path):
    """A run without any parameter, then one of own sales, whose model replaces the champion of synthetic ones, then a forecast."""
    runs = tmp_path / "runs"
    env = binary.env | {"SALESCAST_BIN": str(binary.path), "SALESCAST_WORKSPACE_ROOT": str(runs)}
    state, run_id, states = runner("sales_forecast_training", {}, **env)
    assert states.pop("featurize") == "skipped"
    assert (state, set(states.values())) == ("success", {"success"})
    assert len(list((runs / "sales_forecast_training" / clean(run_id) / "train").iterdir())) >= 4  # the members that auto has
    assert champion(binary, str(runs / "registry"))["version"] == "1"
    assert (runs / "sales_forecast_training" / clean(run_id) / "report" / "index.html").stat().st_size > 10_000

    binary("generate", "-w", tmp_path / "made", *SMALL)
    config = tmp_path / "salescast.yaml"
    config.write_text(CONFIG.replace("data:\n", f"data:\n  source: {tmp_path}/made/data/sales\n"))
    state, run_id, states = runner("sales_forecast_training", {"config": str(config), "models": ["lightgbm"]}, **env)
    assert (state, states["generate"]) == ("success", "skipped")
    now = champion(binary, str(runs / "registry"))
    assert (now["version"], now["tags"]["salescast.against"], now["tags"]["salescast.previous_champion"]) == ("2", "seasonal_naive", "1")

    state, run_id, states = runner("sales_forecast_inference", {}, **env)
    assert (state, states) == ("success", {"forecast": "success", "monitor": "skipped", "prune": "success"})
    forecast = (runs / "sales_forecast_inference" / clean(run_id) / "forecast" / "forecast.csv").read_text().splitlines()
    assert len(forecast) == 1 + SERIES * HORIZON

    # Four weeks later there is something to measure the champion on.
    binary("generate", "-w", tmp_path / "made", *SMALL[:-1], "2024-07-28")
    state, run_id, states = runner("sales_forecast_inference", {}, **env)
    assert (state, set(states.values())) == ("success", {"success"})
    monitoring = json.loads((runs / "sales_forecast_inference" / clean(run_id) / "monitor" / "monitor.json").read_text())
    assert (monitoring["learned"], monitoring["from"], monitoring["to"]) == ("2024-06-30", "2024-07-15", "2024-07-28")
    assert [block["cutoff"] for block in monitoring["blocks"]] == ["2024-06-30", "2024-07-14"]


@pytest.fixture
def workers(binary, tmp_path):
    """Return a program that runs the binary with a new home and a new temporary folder each time, as if on another machine."""
    path = tmp_path / "worker"
    path.write_text(
        f"""#!/bin/sh
d=$(mktemp -d {tmp_path}/worker-XXXXXX) && mkdir "$d/home" "$d/tmp" || exit
exec env HOME="$d/home" TMPDIR="$d/tmp" {binary.path} "$@"
"""
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_a_store_and_workers_that_share_no_disk(runner, binary, workers, store, tmp_path):
    """Everything that one task hands on to another is in the bucket: the models, their registry, and the record of the run."""
    binary("generate", "-w", "s3://salescast/made", *SMALL, **store)
    connection = {"conn_type": "aws", "login": store["AWS_ACCESS_KEY_ID"], "password": store["AWS_SECRET_ACCESS_KEY"]}
    connection["extra"] = {"endpoint_url": store["AWS_ENDPOINT_URL_S3"], "region_name": store["AWS_REGION"]}
    env = binary.env | {"SALESCAST_BIN": str(workers), "AIRFLOW_CONN_SALESCAST_S3": json.dumps(connection)}
    conf = {"source": "s3://salescast/made/data/attempts/*/sales/*/*/*.parquet", "config": CONFIG, "models": ["lightgbm", "theta"]}
    state, trained, states = runner("sales_forecast_training", conf, **env)
    assert state == "success", states
    first = champion(binary, "s3://salescast/runs/registry", **store)
    workspace = f"s3://salescast/runs/sales_forecast_training/{clean(trained)}"
    assert first["tags"]["salescast.workspace"].rstrip("/") == workspace

    # The same sales again: compared with the champion that another worker registered, and no better.
    state, _, states = runner("sales_forecast_training", conf, **env)
    assert (state, states["register"]) == ("success", "success")
    assert champion(binary, "s3://salescast/runs/registry", **store)["version"] == first["version"]

    state, run_id, states = runner("sales_forecast_inference", {}, **env)
    assert state == "success", states
    workspace = f"s3://salescast/runs/sales_forecast_inference/{clean(run_id)}"
    forecast = binary("get", "-w", workspace, "forecast/forecast.csv", **store).splitlines()
    assert len(forecast) == 1 + SERIES * HORIZON

    homes = list(tmp_path.glob("worker-*"))
    training = ["validate", "train", "train", "ensemble", "evaluate", "register", "forecast", "report", "prune"]
    assert len(homes) == 2 * len(training) + len(["forecast", "monitor", "prune"])
    left = [
        p
        for home in homes
        for p in home.rglob("*")
        if p.is_file() and ".cache" not in p.parts and p.name != "FORMAT" and p.parent.name != "locks"
    ]
    assert left == []
