"""The parts of Airflow that DAG files and the operator use, from where Airflow 3 has them or from where 2.10 and 2.11 have them."""

from datetime import datetime

try:
    from airflow.sdk import DAG, Asset, AssetAlias, BaseHook, BaseOperator, BaseOperatorLink, Param, task
    from airflow.sdk.execution_time.xcom import XCom

    START_DATE = None  # a DAG that is unpaused waits for its next time
except ImportError:  # Airflow 2
    from airflow.datasets import Dataset as Asset
    from airflow.datasets import DatasetAlias as AssetAlias
    from airflow.decorators import task
    from airflow.hooks.base import BaseHook
    from airflow.models import DAG, BaseOperator, XCom
    from airflow.models.baseoperatorlink import BaseOperatorLink
    from airflow.models.param import Param

    START_DATE = datetime(2026, 1, 5)  # it wants one

try:  # the exceptions moved later than the classes above
    from airflow.sdk.exceptions import (
        AirflowException,
        AirflowFailException,
        AirflowNotFoundException,
        AirflowSkipException,
    )
except ImportError:
    from airflow.exceptions import (
        AirflowException,
        AirflowFailException,
        AirflowNotFoundException,
        AirflowSkipException,
    )

try:
    from airflow.timetables.assets import AssetOrTimeSchedule
except ImportError:
    from airflow.timetables.datasets import DatasetOrTimeSchedule

    def AssetOrTimeSchedule(*, timetable: object, assets: object) -> object:
        return DatasetOrTimeSchedule(timetable=timetable, datasets=assets)


try:
    from airflow.sdk.log import mask_secret
except ImportError:
    from airflow.utils.log.secrets_masker import mask_secret

__all__ = [
    "DAG",
    "START_DATE",
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowSkipException",
    "Asset",
    "AssetAlias",
    "AssetOrTimeSchedule",
    "BaseHook",
    "BaseOperator",
    "BaseOperatorLink",
    "Param",
    "XCom",
    "mask_secret",
    "task",
]
