"""
From sales to a published forecast: every step is the `salescast` binary's, this file has their order.

Without parameters it makes synthetic sales first. With a *source*, or a *configuration* that names one, it reads yours. Each run has a
workspace of its own, in the bucket `salescast` where the connection `salescast_s3` exists and in a folder otherwise; a task that is
cleared or retried answers from what it finished there.

Runs that nobody starts by hand have no parameters: for them the environment of Airflow may hold SALESCAST_CONFIG, the path of a
salescast.yaml, and SALESCAST_DATA_SOURCE.
"""

import os
from datetime import timedelta
from typing import Any

from salescast_airflow.operator import SalescastOperator
from salescast_airflow.sdk import DAG, START_DATE, Asset, Param, task

MODELS = [
    "auto",
    "lightgbm",
    "xgboost",
    "lightgbm_recursive",
    "xgboost_recursive",
    "lightgbm_log",
    "golearn",
    "prophet",
    "theta",
    "ets",
    "smoothing",
    "smoothing_yearly",
    "seasonal_naive",
]

with DAG(
    dag_id="sales_forecast_training",
    description="Train, measure and publish a sales forecast",
    doc_md=__doc__,
    start_date=START_DATE,
    schedule="@weekly",
    catchup=False,
    max_active_runs=1,
    tags=["sales", "training", "ml"],
    params={
        "source": Param(
            os.environ.get("SALESCAST_DATA_SOURCE") or None,
            type=["null", "string"],
            title="Data source",
            description="Sales as a file, folder or glob of CSV or Parquet, or an s3:// URL, with the columns of the configuration. "
            "Empty: what that says.",
        ),
        "config": Param(
            os.environ.get("SALESCAST_CONFIG") or None,
            type=["null", "string"],
            format="multiline",
            title="Configuration",
            description="The path of a salescast.yaml on the workers, or its text. "
            "With neither this nor a source, synthetic sales are made.",
        ),
        "horizon": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            maximum=730,
            title="Horizon",
            description="Steps to forecast. Empty: what the configuration says, or 28.",
        ),
        "models": Param(
            ["auto"],
            type="array",
            items={"type": "string", "enum": MODELS},
            examples=MODELS,
            minItems=1,
            uniqueItems=True,
            title="Models",
            description="The members of the ensemble. auto: what the configuration names, or else what suits the data.",
        ),
        "promote": Param(
            "better",
            type="string",
            enum=["better", "always", "never"],
            values_display={"better": "if it is better", "always": "in any case", "never": "never, and register nothing"},
            title="Promote",
            description="Whether the ensemble becomes champion. In any case: also over a champion that is as good, or of other sales.",
        ),
        "features": Param(
            False,
            type="boolean",
            title="Features",
            description="Write the models' features as Parquet too, to look at: no step reads them.",
        ),
    },
    default_args={
        "owner": "data-team",
        "retries": 2,
        "retry_delay": timedelta(minutes=1),
        "execution_timeout": timedelta(hours=2),
        "config": "{{ params.config or '' }}",
        "settings": {
            "data.source": "{{ params.source or '' }}",
            "forecast.horizon": "{{ params.horizon or '' }}",
            "models": "{{ '' if 'auto' in params.models else params.models | tojson }}",
        },
    },
) as dag:
    generate = SalescastOperator(
        task_id="generate", command="generate", config="", settings={}, run_if="{{ not params.source and not params.config }}"
    )
    validate = SalescastOperator(task_id="validate", command="validate", trigger_rule="none_failed")
    # No later step reads these files: they are for people.
    featurize = SalescastOperator(task_id="featurize", command="featurize", run_if="{{ params.features }}")

    @task
    def models(validated: dict[str, Any]) -> list[list[str]]:
        """Name a training task for each model that suits the data; data that suit none are for the first to refuse."""
        return [["--model", model] for model in validated.get("models", ["lightgbm"])]

    train = SalescastOperator.partial(task_id="train", command="train", map_index_template="{{ task.args[1] }}").expand(
        args=models(validate.output)
    )
    ensemble = SalescastOperator(task_id="ensemble", command="ensemble")
    evaluate = SalescastOperator(task_id="evaluate", command="evaluate")
    register = SalescastOperator(
        task_id="register",
        command="register",
        args=["--promote", "{{ params.promote }}"],
        run_if="{{ params.promote != 'never' }}",
        publishes=Asset("sales_forecast_model"),
    )
    forecast = SalescastOperator(task_id="forecast", command="forecast", trigger_rule="none_failed", outlets=[Asset("sales_forecast")])
    report = SalescastOperator(task_id="report", command="report")
    prune = SalescastOperator(task_id="prune", command="prune")

    generate >> validate >> featurize
    validate >> train >> ensemble >> evaluate >> register >> forecast >> report >> prune
