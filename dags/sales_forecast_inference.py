"""
A forecast with the champion, of the sales that are there now: every day, and whenever there is a new champion.

Nothing is trained. Without parameters it reads what now lies where the data lay that the champion was made from, described as they were;
with a *source*, or a *configuration* that names one, that. A champion made from synthetic sales forecasts synthetic sales.

*monitor* measures the champion on the sales since it was made. It is skipped while these are too few, and where the champion has become
worse its result has the status *drift*.
"""

import os
from datetime import timedelta

from airflow.timetables.trigger import CronTriggerTimetable

from salescast_airflow.operator import SalescastOperator
from salescast_airflow.sdk import DAG, START_DATE, Asset, AssetOrTimeSchedule, Param

with DAG(
    dag_id="sales_forecast_inference",
    description="Forecast new sales data with the champion",
    doc_md=__doc__,
    start_date=START_DATE,
    schedule=AssetOrTimeSchedule(timetable=CronTriggerTimetable("0 5 * * *", timezone="UTC"), assets=[Asset("sales_forecast_model")]),
    catchup=False,
    max_active_runs=1,
    tags=["sales", "inference", "ml"],
    params={
        "source": Param(
            os.environ.get("SALESCAST_DATA_SOURCE") or None,
            type=["null", "string"],
            title="Data source",
            description="Sales as a file, folder or glob of CSV or Parquet, or an s3:// URL. "
            "Empty: what the configuration says, or the model.",
        ),
        "config": Param(
            os.environ.get("SALESCAST_CONFIG") or None,
            type=["null", "string"],
            format="multiline",
            title="Configuration",
            description="The path of a salescast.yaml on the workers, or its text. Empty: as it was for the model.",
        ),
        "model": Param(
            "models:/sales_forecast_ensemble@champion",
            type="string",
            minLength=1,
            title="Model",
            description="A model in the registry, models:/NAME@ALIAS or models:/NAME/VERSION, or the workspace that it was made in.",
        ),
        "horizon": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            maximum=730,
            title="Horizon",
            description="Steps to forecast. Empty: what the configuration says, or the model.",
        ),
    },
    default_args={
        "owner": "data-team",
        "retries": 2,
        "retry_delay": timedelta(minutes=1),
        "execution_timeout": timedelta(hours=1),
        "config": "{{ params.config or '' }}",
        "settings": {"data.source": "{{ params.source or '' }}", "forecast.horizon": "{{ params.horizon or '' }}"},
    },
) as dag:
    forecast = SalescastOperator(
        task_id="forecast",
        command="forecast",
        args=["--model", "{{ params.model }}"],
        outlets=[Asset("sales_forecast")],
    )
    monitor = SalescastOperator(task_id="monitor", command="monitor", args=["--model", "{{ params.model }}", "--fail-on-drift"])
    prune = SalescastOperator(task_id="prune", command="prune", trigger_rule="none_failed")

    forecast >> monitor >> prune
