"""What the exit code and the result file of the binary mean to Airflow. Both are API of salescast; see `salescast --help`."""

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from salescast_airflow.sdk import AirflowException, AirflowFailException, AirflowSkipException

SUCCEEDED = frozenset({0, 10, 11})  # 10: the gate refused the candidate, 11: drift was found; the result says so
SKIPPED = 99
INPUT_MISSING = 66
HOPELESS = frozenset({64, 65, INPUT_MISSING, 77, 78})  # usage, data, missing input, permission, configuration: a retry changes nothing

# The binary bounds its result to 16 KiB; whatever is larger was not written by it.
MAX_RESULT = 64 << 10


def read_result(path: str) -> dict[str, Any] | None:
    """Return the result object in the file, or None if there is no file. A malformed one is a ValueError."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_RESULT + 1)
    except FileNotFoundError:
        return None
    if len(data) > MAX_RESULT:
        raise ValueError(f"the result is larger than {MAX_RESULT} bytes")
    result = json.loads(data, parse_constant=_refuse)
    if not isinstance(result, dict):
        raise ValueError("the result is not an object")
    return result


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"the result has {constant}, which is not JSON")


def judge(command: str, code: int, result: Mapping[str, Any] | None) -> None:
    """Return normally if the task succeeded, else raise what Airflow does next: fail, skip or retry."""
    if code in SUCCEEDED:
        return
    message = f"salescast {command} " + (f"was killed by signal {-code}" if code < 0 else f"exited {code}")
    error = (result or {}).get("error") or {}
    if error.get("message"):
        message += f": {error['message']}"
    if error.get("hint"):
        message += f" (hint: {error['hint']})"
    if code == SKIPPED:
        raise AirflowSkipException(message)
    if code in HOPELESS:
        raise AirflowFailException(message)
    if code == -9:
        message += ", probably because memory ran out; the log says what it used last"
    raise AirflowException(message)
