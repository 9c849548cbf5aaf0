"""SalescastOperator runs one step of the salescast binary."""

import os
import re
import socket
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from salescast_airflow.child import Child
from salescast_airflow.environment import find_binary, find_connection, inherited, mlflow_variables, s3_variables
from salescast_airflow.links import MLFLOW_URL, WORKSPACE_URL, MLflowRunLink, WorkspaceLink
from salescast_airflow.outcome import INPUT_MISSING, judge, read_result
from salescast_airflow.sdk import AirflowException, AirflowSkipException, Asset, AssetAlias, BaseOperator

_CONFIG = "salescast.yaml"
_NOTHING = frozenset({"", "none", "null", "false", "0"})


class SalescastOperator(BaseOperator):
    """Run ``salescast COMMAND ARGS`` as a child process, without a shell. Its JSON result becomes the XCom, if the command has one.

    :param command: the step, such as ``train``. (templated)
    :param args: more arguments, each one passed as it is. (templated)
    :param settings: keys of the configuration, such as ``{"forecast.horizon": "28"}``; empty values are left out. (templated)
    :param config: the path of a ``salescast.yaml`` on the workers, or its text, which has several lines or begins with a brace; none if
        empty. (templated)
    :param workspace: the URL of the workspace. By default ``<root>/<run id>``, see ``root``. (templated)
    :param root: the URL under which workspaces lie. By default the variable SALESCAST_WORKSPACE_ROOT, else ``s3://salescast/runs`` where
        the connection ``s3_conn_id`` exists, else the folder ``salescast/runs`` in Airflow's home, each followed by the DAG's id. Without
        MLflow the registry of models is ``<root>/registry``, for all DAGs. (templated)
    :param env: more environment for the binary. It is stored with the rendered task: no secrets here. (templated)
    :param run_if: the task is skipped when this renders to nothing, ``none``, ``false`` or ``0``. (templated)
    :param publishes: an Asset that has a new event when the step exits 0. An Asset among ``outlets`` has one also after 10 and 11.
    :param s3_conn_id: a connection of type aws. It and the next are used if they exist, and reach the binary's environment only.
    :param mlflow_conn_id: a connection of type http.

    Exit codes: 0 succeeds; 10 (refused) and 11 (drift) succeed and the result's ``status`` says so; 99 skips; 64, 65, 66, 77 and 78 fail
    without a retry; all others fail and are retried.
    """

    template_fields: Sequence[str] = ("command", "args", "settings", "config", "workspace", "root", "env", "run_if")
    template_fields_renderers: ClassVar[dict[str, str]] = {"settings": "json", "env": "json"}
    operator_extra_links = (MLflowRunLink(), WorkspaceLink())
    ui_color = "#e8f0f7"

    def __init__(
        self,
        *,
        command: str,
        args: Sequence[str] = (),
        settings: Mapping[str, str] | None = None,
        config: str | None = None,
        workspace: str | None = None,
        root: str | None = None,
        env: Mapping[str, str] | None = None,
        run_if: str = "true",
        publishes: Asset | None = None,
        s3_conn_id: str = "salescast_s3",
        mlflow_conn_id: str = "salescast_mlflow",
        **kwargs: Any,
    ) -> None:
        if publishes is not None:
            # An outlet always has an event when its task succeeds; an alias has those that the task adds.
            kwargs["outlets"] = [*(kwargs.get("outlets") or []), AssetAlias(f"{publishes.uri}-published")]
        super().__init__(**kwargs)
        self.command = command
        self.args = args
        self.settings = settings
        self.config = config
        self.workspace = workspace
        self.root = root
        self.env = env
        self.run_if = run_if
        self.publishes = publishes
        self.s3_conn_id = s3_conn_id
        self.mlflow_conn_id = mlflow_conn_id
        self._child: Child | None = None

    def execute(self, context: Any) -> dict[str, Any] | None:
        if str(self.run_if).strip().lower() in _NOTHING:
            raise AirflowSkipException("this run does not ask for it")
        env = inherited()
        s3 = find_connection(self.s3_conn_id)
        if s3 is not None:
            env |= s3_variables(s3)
        mlflow = find_connection(self.mlflow_conn_id)
        if mlflow is not None:
            env |= mlflow_variables(mlflow)
        workspace, registry = self._places(context, s3 is not None)
        if "MLFLOW_TRACKING_URI" not in env:
            # Runs, each in its own workspace, share one registry, where every worker can reach it that reaches the workspace.
            env.setdefault("SALESCAST_REGISTER_FOLDER", registry)
        env |= {name: str(value) for name, value in (self.env or {}).items()}
        env["SALESCAST_STDIN_LIFELINE"] = "1"
        with tempfile.TemporaryDirectory(prefix="salescast-") as folder:
            result_file = os.path.join(folder, "result.json")
            argv = self._argv(workspace, result_file, folder)
            self.log.info("Running %s", argv)
            self._child = child = Child(argv, env, folder, self.log)
            code = child.wait()
            result = read_result(result_file)
        self._push_links(context, result, s3, mlflow)
        if code == INPUT_MISSING and "://" not in workspace:
            self.log.warning(
                "The workspace is a folder of this machine, %s: where tasks run on several, each has its own. "
                "The connection %s, of type aws, or SALESCAST_WORKSPACE_ROOT gives them a store that they share",
                socket.gethostname(),
                self.s3_conn_id or "salescast_s3",
            )
        judge(self.command, code, result)
        self._publish(context, code, result)
        return result

    def on_kill(self) -> None:
        # execute may go on after this: its wait ends the child within the grace that Airflow gives.
        if self._child is not None:
            self._child.stop()

    def _argv(self, workspace: str, result_file: str, folder: str) -> list[str]:
        argv = [find_binary(), self.command, *map(str, self.args or ())]
        for key, value in (self.settings or {}).items():
            if value not in (None, ""):
                argv += ["--set", f"{key}={value}"]
        config = (self.config or "").strip()
        if config.startswith("{") or "\n" in config:
            # Named relative to the child's folder, because the program titles its report after the folder that a path names.
            with open(os.path.join(folder, _CONFIG), "w", encoding="utf-8") as file:
                file.write(config + "\n")
            config = _CONFIG
        if config:
            argv += ["--config", config]
        return [*argv, "--workspace", workspace, "--log-format", "json", "--result-file", result_file]

    def _places(self, context: Any, has_s3: bool) -> tuple[str, str]:
        """Return the URL of the workspace, and that of the registry of models for a run without MLflow."""
        if self.workspace:
            return self.workspace, f"{self.workspace.rstrip('/').rpartition('/')[0]}/registry"
        base = self.root or ""
        root = base
        if not root:
            base = os.environ.get("SALESCAST_WORKSPACE_ROOT") or ("s3://salescast/runs" if has_s3 else os.path.join(_home(), "runs"))
            root = f"{base.rstrip('/')}/{_clean(self.dag_id)}"
        return f"{root.rstrip('/')}/{_clean(context['run_id'])}", f"{base.rstrip('/')}/registry"

    def _publish(self, context: Any, code: int, result: Mapping[str, Any] | None) -> None:
        assets = [outlet for outlet in self.outlets or () if isinstance(outlet, Asset)]
        if self.publishes is None and not assets:
            return
        if result is None:
            raise AirflowException(f"salescast {self.command} left no result to publish")
        # Flat, because Airflow 2 makes a set of an alias' extra.
        extra = {key: result[key] for key in ("workspace", "manifest") if result.get(key)}
        extra |= {f"metric.{name}": value for name, value in (result.get("metrics") or {}).items()}
        extra["mlflow_run_id"] = (result.get("mlflow") or {}).get("run_id")
        for asset in assets:
            context["outlet_events"][asset].extra = extra
        if self.publishes is not None and code == 0:
            context["outlet_events"][AssetAlias(f"{self.publishes.uri}-published")].add(self.publishes, extra=extra)

    def _push_links(self, context: Any, result: Mapping[str, Any] | None, s3: Any, mlflow: Any) -> None:
        """Also for a run that failed, which is when people want to look, from where the services may have other addresses."""
        if result is None:
            return
        url = (result.get("mlflow") or {}).get("url")
        console = mlflow.extra_dejson.get("console_url") if mlflow is not None else None
        if url and console:
            url = f"{console.rstrip('/')}/#{url.partition('#')[2]}"
        if url:
            context["ti"].xcom_push(key=MLFLOW_URL, value=url)
        workspace = result.get("workspace") or ""
        console = s3.extra_dejson.get("console_url") if s3 is not None else None
        if workspace.startswith("s3://") and console:
            bucket, _, prefix = workspace.removeprefix("s3://").partition("/")
            workspace = f"{console.rstrip('/')}/browser/{bucket}/{prefix}"
        if workspace.startswith(("http://", "https://")):
            context["ti"].xcom_push(key=WORKSPACE_URL, value=workspace)


def _home() -> str:
    """Return the folder of what is kept on this machine."""
    return os.path.join(os.environ.get("AIRFLOW_HOME", os.path.expanduser("~/airflow")), "salescast")


def _clean(name: str) -> str:
    """Return a name that is one folder on a disk and in a URL."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)
