"""Speaks to the forecasting server over HTTP: what models there are, and what they forecast."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import http.client
import json
import math
import os
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from data import DATE, SALES, Frequency, History, Roles

DEFAULT_SERVER = "http://127.0.0.1:8080"
STATE_SECONDS = 3.0
FORECAST_SECONDS = 60.0
MAX_ANSWER_BYTES = 64 << 20
MAX_LISTED = 10_000
# The code of a refusal to sum up what is asked for.
NO_TOTALS = "totals_not_calibrated"


class ServerError(Exception):
    """The server refused: what was wrong, and what to do."""

    def __init__(self, message: str, hint: str = "", status: int = 0, code: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.status = status
        self.code = code


class ServerAway(ServerError):
    """No server answers."""


@dataclass(frozen=True)
class Model:
    """A model that the server has open. levels are its quantiles; horizon is in steps of its frequency.

    series is how many series it was trained on; totals says that it can give intervals of sums of them.
    """

    name: str
    version: str
    horizon: int
    levels: tuple[float, ...]
    time: str
    target: str
    keys: tuple[str, ...]
    plan: tuple[str, ...]
    member: str
    aliases: tuple[str, ...]
    first: str
    last: str
    created: str
    series: int
    totals: bool
    frequency: Frequency

    def roles(self) -> Roles:
        """The columns that it reads besides date and sales."""
        return Roles(self.keys, self.plan, self.frequency)

    def interval_levels(self) -> list[int]:
        """The widths in percent of the intervals that the quantiles give, widest first."""
        found = set()
        for low in self.levels:
            high = 1 - low
            if low < 0.5 and any(math.isclose(high, level, abs_tol=1e-9) for level in self.levels):
                found.add(round(100 * (high - low)))
        return sorted(found, reverse=True)


@dataclass(frozen=True)
class Series:
    """The forecast of one series: point, quantiles by level and drivers by group, one value per date."""

    key: tuple[str, ...]
    dates: list[dt.date]
    point: list[float]
    quantiles: Mapping[float, list[float]] = field(default_factory=dict)
    drivers: Mapping[str, list[float]] = field(default_factory=dict)

    def band(self, level: int) -> tuple[list[float] | None, list[float] | None]:
        """The bounds of the interval level percent wide, None where the model gives none."""
        return self._quantile((100 - level) / 200), self._quantile((100 + level) / 200)

    def _quantile(self, level: float) -> list[float] | None:
        return next((v for q, v in self.quantiles.items() if math.isclose(q, level, abs_tol=1e-9)), None)


@dataclass(frozen=True)
class Known:
    """A series that a model knows. recent has its last days: date, sales and the planned columns, NaN where unknown."""

    key: tuple[str, ...]
    first: dt.date
    last: dt.date
    recent: pd.DataFrame


@dataclass(frozen=True)
class Forecast:
    """A model's answer.

    totals are sums of series by what they sum, ("all", "all") or a key and its value, with intervals of their own; each
    has those two as its key. no_totals says why there is none where they were asked for.
    """

    model: str
    version: str
    keys: tuple[str, ...]
    series: list[Series]
    notes: list[str]
    totals: list[Series] = field(default_factory=list)
    no_totals: str = ""


@dataclass(frozen=True)
class Change:
    """A what-if: the planned column has value on the days first to last."""

    column: str
    value: float
    first: dt.date
    last: dt.date


@dataclass(frozen=True)
class Difference:
    """What a change brings to one series, per date with its interval, and in all."""

    key: tuple[str, ...]
    point: list[float]
    lower: list[float]
    upper: list[float]
    total: float


@dataclass(frozen=True)
class WhatIf:
    """Both forecasts, and the difference of each series."""

    base: Forecast
    changed: Forecast
    differences: list[Difference]


class Client:
    """A server by its address. It holds no connection and may be used from several threads."""

    def __init__(self, address: str, token: str = "") -> None:
        parts = urllib.parse.urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"SALESCAST_SERVER is {address!r}; set it to an address as {DEFAULT_SERVER}")
        self.address = address.rstrip("/")
        self._parts = parts
        self._token = token

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Client:
        """The server in SALESCAST_SERVER, with the bearer token in SALESCAST_SERVE_TOKEN where it asks for one."""
        return cls(environ.get("SALESCAST_SERVER") or DEFAULT_SERVER, environ.get("SALESCAST_SERVE_TOKEN", ""))

    def models(self) -> tuple[list[Model], list[str]]:
        """The models that are open, and why newer ones could not be loaded."""
        with self._understanding():
            answer = self._call("GET", "/v1/models", None, STATE_SECONDS)
            failures = [f"{f.get('source', '')}: {f.get('message', '')}" for f in answer.get("failures") or ()]
            return [_model(m) for m in answer["models"]], failures

    def metrics(self, model: Model) -> dict[str, float]:
        """The figures of the model's backtest; none where it was not evaluated."""
        with self._understanding():
            answer = self._call("GET", "/v1/models/" + urllib.parse.quote(model.name), None, STATE_SECONDS)
            for one in (answer.get("metrics") or {}).get("models") or ():
                if one.get("model") == model.member:
                    return {k: float(v) for k, v in one["overall"].items() if isinstance(v, int | float)}
        return {}

    def series(self, model: Model, where: Sequence[str] = (), days: int = 0) -> tuple[list[Known], int]:
        """The series that the model knows, at most MAX_LISTED, with their last days of sales, and how many there are.

        where has the key values of the one that is wanted.
        """
        query = dict(zip(model.keys, where, strict=False)) | {"limit": 1 if where else MAX_LISTED, "days": days}
        path = f"/v1/models/{urllib.parse.quote(model.name)}/series?{urllib.parse.urlencode(query)}"
        with self._understanding():
            answer = self._call("GET", path, None, STATE_SECONDS)
            return [_known(model, one) for one in answer["series"]], int(answer["total"])

    def forecast(self, model: Model, history: History, horizon: int, drivers: bool = False, totals: bool = False) -> Forecast:
        """Forecasts horizon steps after the last sales, with all quantiles that the model has.

        totals asks for the sums of series with their intervals; a server that has none of these series' sums forecasts without.
        """
        body = _request(model, history, horizon)
        body |= {"drivers": drivers, "totals": totals}
        no_totals = ""
        with self._understanding():
            try:
                answer = self._call("POST", "/v1/forecast", body, FORECAST_SECONDS)
            except ServerError as e:
                if e.code != NO_TOTALS:
                    raise
                no_totals = str(e)
                answer = self._call("POST", "/v1/forecast", body | {"totals": False}, FORECAST_SECONDS)
            return dataclasses.replace(_forecast(model, answer), no_totals=no_totals)

    def whatif(self, model: Model, history: History, series: Series, changes: Sequence[Change], level: int) -> WhatIf:
        """Forecasts the days of series with the plan as it is, and with changes to the plan of that series.

        The interval of the difference is level percent wide.
        """
        body = _request(model, history, len(series.dates))
        body["changes"] = _changes(model, series, changes)
        body["quantiles"] = [q for q in model.levels if abs(q - 0.5) <= level / 200 + 1e-9]
        with self._understanding():
            answer = self._call("POST", "/v1/whatif", body, FORECAST_SECONDS)
            differences = [
                Difference(_key(model, d), _numbers(d["forecast"]), _numbers(d["lower"]), _numbers(d["upper"]), _numbers([d["total"]])[0])
                for d in answer["difference"]
            ]
            return WhatIf(_forecast(model, answer["base"]), _forecast(model, answer["changed"]), differences)

    @contextlib.contextmanager
    def _understanding(self) -> Iterator[None]:
        try:
            yield
        except (KeyError, TypeError, ValueError, AttributeError) as e:
            raise ServerError(
                f"The answer of {self.address} is not that of a forecasting server.", "Check the address in SALESCAST_SERVER."
            ) from e

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None, seconds: float) -> dict[str, Any]:
        kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(self._parts.hostname or "", self._parts.port, timeout=seconds)
        headers = {"Accept": "application/json"}
        if self._token:
            headers["Authorization"] = "Bearer " + self._token
        sent = None
        if body is not None:
            sent = json.dumps(body, allow_nan=False).encode()
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, self._parts.path.rstrip("/") + path, sent, headers)
            response = connection.getresponse()
            raw = response.read(MAX_ANSWER_BYTES + 1)
        except TimeoutError as e:
            raise ServerAway(
                f"The forecasting server at {self.address} did not answer within {seconds:g} seconds.",
                "Forecast fewer series or days, or look at the server's log.",
            ) from e
        except (OSError, http.client.HTTPException) as e:
            raise ServerAway(
                f"The forecasting server at {self.address} does not answer.",
                "Start it with: salescast serve. This page goes on by itself as soon as it is there.",
            ) from e
        finally:
            connection.close()
        if len(raw) > MAX_ANSWER_BYTES:
            raise ServerError("The server's answer is too large to show.", "Forecast fewer series or days.")
        try:
            answer = json.loads(raw)
        except ValueError:
            answer = None
        if response.status != 200:
            raise _refusal(response.status, answer)
        if not isinstance(answer, dict):
            raise ServerError(f"What answers at {self.address} is not a forecasting server.", "Check the address in SALESCAST_SERVER.")
        return answer


def _refusal(status: int, answer: object) -> ServerError:
    told = answer.get("error", answer) if isinstance(answer, dict) else {}
    if not isinstance(told, dict):
        told = {"message": str(told)}
    message, hint = str(told.get("message") or ""), str(told.get("hint") or "")
    if status in (401, 403):
        message = "The server does not accept this page's token."
        hint = "Set SALESCAST_SERVE_TOKEN to the server's token and start the page again."
    return ServerError(message or f"The server answered with status {status}.", hint, status, str(told.get("code") or ""))


def _model(m: Mapping[str, Any]) -> Model:
    return Model(
        name=str(m["name"]),
        version=str(m.get("version") or ""),
        horizon=int(m["horizon"]),
        levels=tuple(float(q) for q in m.get("quantiles") or ()),
        time=str(m.get("time") or DATE),
        target=str(m.get("target") or SALES),
        keys=tuple(m.get("keys") or ()),
        plan=tuple(m.get("known_future") or ()),
        member=str(m.get("model") or m["name"]),
        aliases=tuple(m.get("aliases") or ()),
        first=str(m.get("first") or ""),
        last=str(m.get("last") or ""),
        created=str(m.get("created") or ""),
        series=int(m.get("series") or 0),
        totals=m.get("kind") == "ensemble",
        frequency=Frequency.parse(str(m.get("frequency") or "D")),
    )


def _known(model: Model, one: Mapping[str, Any]) -> Known:
    dates = [dt.date.fromisoformat(d[:10]) for d in one.get("dates") or ()]
    recent = {DATE: dates, SALES: _numbers(one.get("sales") or ())}
    recent |= {str(c): _numbers(v) for c, v in (one.get("known_future") or {}).items()}
    first, last = (dt.date.fromisoformat(one[end][:10]) for end in ("first", "last"))
    return Known(_key(model, one), first, last, pd.DataFrame(recent))


def _request(model: Model, history: History, horizon: int) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": model.name,
        "horizon": horizon,
        "quantiles": list(model.levels),
        "history": _columns(history.rows, model),
    }
    if history.append:
        body["append"] = True
    if len(history.plan):
        body["plan"] = _columns(history.plan, model)
    return body


def _columns(frame: pd.DataFrame, model: Model) -> dict[str, list[Any]]:
    """The columns of frame that the model reads, under its own names, None for what is unknown."""
    own = {DATE: model.time, SALES: model.target}
    out: dict[str, list[Any]] = {}
    for name in frame.columns:
        if name not in (*own, *model.keys, *model.plan):
            continue
        values: Iterable[Any] = frame[name]
        if name == DATE:
            out[own[name]] = [day.isoformat() for day in values]
        elif name in model.keys:
            out[name] = [str(v) for v in values]
        else:
            out[own.get(name, name)] = [None if math.isnan(v) else float(v) for v in values]
    return out


def _changes(model: Model, series: Series, changes: Sequence[Change]) -> dict[str, list[Any]]:
    """Rows of the plan for every day that changes; what stays as planned is None."""
    days = [day for day in series.dates if any(c.first <= day <= c.last for c in changes)]
    out: dict[str, list[Any]] = {name: [value] * len(days) for name, value in zip(model.keys, series.key, strict=True)}
    out[model.time] = [day.isoformat() for day in days]
    for c in changes:
        out[c.column] = [c.value if c.first <= day <= c.last else None for day in days]
    return out


def _key(model: Model, named: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(named["id"].get(k, "")) for k in model.keys)


def _numbers(values: Iterable[float | None]) -> list[float]:
    """values with NaN for what the server does not know."""
    return [math.nan if v is None else float(v) for v in values]


def _forecast(model: Model, answer: Mapping[str, Any]) -> Forecast:
    series = [_series(_key(model, s), s) for s in answer["series"]]
    totals = [_series((str(t["level"]), str(t["value"])), t) for t in answer.get("totals") or ()]
    notes = [str(n) for n in answer.get("warnings") or ()]
    return Forecast(str(answer.get("model") or model.name), model.version, model.keys, series, notes, totals)


def _series(key: tuple[str, ...], one: Mapping[str, Any]) -> Series:
    return Series(
        key=key,
        dates=[dt.date.fromisoformat(d[:10]) for d in one["dates"]],
        point=_numbers(one["forecast"]),
        quantiles={float(q): _numbers(v) for q, v in (one.get("quantiles") or {}).items()},
        drivers={str(g): _numbers(v) for g, v in (one.get("drivers") or {}).items()},
    )
