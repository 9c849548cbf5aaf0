"""Where the binary is, and the environment it gets: Airflow's connections become the variables that S3 and MLflow clients know."""

import os
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from typing import Any

from salescast_airflow.sdk import AirflowException, AirflowNotFoundException, BaseHook, mask_secret

BINARY = "salescast"

# Airflow's own settings, connections and keys are none of a child's business.
_PRIVATE = ("AIRFLOW__", "AIRFLOW_CONN_", "AIRFLOW_VAR_", "_AIRFLOW")


def find_binary() -> str:
    """Return the path of the binary: SALESCAST_BIN, else the scripts of this Python, else PATH."""
    named = os.environ.get("SALESCAST_BIN")
    if named:
        if not os.access(named, os.X_OK):
            raise AirflowException(f"SALESCAST_BIN names {named}, which is not an executable file")
        return named
    for folder in (sysconfig.get_path("scripts"), os.path.dirname(sys.executable)):
        path = os.path.join(folder, BINARY)
        if os.access(path, os.X_OK):
            return path
    found = shutil.which(BINARY)
    if found is None:
        raise AirflowException("no salescast binary: install the salescast wheel on the workers, or set SALESCAST_BIN to its path")
    return found


def inherited() -> dict[str, str]:
    """Return the part of this process's environment that the binary gets."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_PRIVATE)}


def find_connection(conn_id: str | None) -> Any:  # Airflow 2 and 3 have a class each
    """Return a connection, or None if there is no such id or the id is empty."""
    if not conn_id:
        return None
    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        return None


def s3_variables(connection: Any) -> dict[str, str]:
    """Return the variables for a connection of type aws."""
    extra = connection.extra_dejson
    return _secret(
        {
            "AWS_ACCESS_KEY_ID": connection.login or extra.get("aws_access_key_id"),
            "AWS_SECRET_ACCESS_KEY": connection.password or extra.get("aws_secret_access_key"),
            "AWS_SESSION_TOKEN": extra.get("aws_session_token"),
            "AWS_REGION": extra.get("region_name"),
            "AWS_ENDPOINT_URL_S3": extra.get("endpoint_url"),
        },
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
    )


def mlflow_variables(connection: Any) -> dict[str, str]:
    """Return the variables for a connection of type http, whose host may be a whole URL."""
    address = connection.host or ""
    if address and "://" not in address:
        address = f"{connection.schema or 'http'}://{address}"
    if address and connection.port:
        address += f":{connection.port}"
    return _secret(
        {
            "MLFLOW_TRACKING_URI": address,
            "MLFLOW_TRACKING_USERNAME": connection.login,
            "MLFLOW_TRACKING_PASSWORD": connection.password,
            "MLFLOW_TRACKING_TOKEN": connection.extra_dejson.get("token"),
        },
        "MLFLOW_TRACKING_PASSWORD",
        "MLFLOW_TRACKING_TOKEN",
    )


def _secret(variables: Mapping[str, str | None], *secrets: str) -> dict[str, str]:
    for name in secrets:
        if variables[name]:
            mask_secret(variables[name])
    return {name: value for name, value in variables.items() if value}
