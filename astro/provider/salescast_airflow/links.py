"""The buttons of a task: its run in MLflow, and its files."""

from salescast_airflow.sdk import BaseOperatorLink, XCom

MLFLOW_URL = "salescast_mlflow_url"
WORKSPACE_URL = "salescast_workspace_url"


class _PushedLink(BaseOperatorLink):
    key: str

    def get_link(self, operator: object, *, ti_key: object) -> str:
        """Return what the task pushed, or nothing if it has not ended or has nothing to show."""
        return XCom.get_value(key=self.key, ti_key=ti_key) or ""


class MLflowRunLink(_PushedLink):
    name = "MLflow run"
    key = MLFLOW_URL


class WorkspaceLink(_PushedLink):
    name = "Files"
    key = WORKSPACE_URL
