"""A small server that speaks as "salescast serve" does, for tests that need no model."""

from __future__ import annotations

import datetime as dt
import http.server
import json
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

UI = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(UI))


class FakeServer:
    """Forecasts the mean of the history, with bands 10 % wide per level; fails as told."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, Any, str]] = []
        self.refusal: tuple[int, dict[str, str]] | None = None
        self.models = [model("bakery/ensemble", 28), model("bakery/xgboost", 28), model("long/ensemble", 120, plan=())]
        self.version = "1"
        self.failures: list[dict[str, str]] = []
        self.known = [("B1", "P1"), ("B1", "P2"), ("=B2", "P3")]
        self.total = 0
        self.token = ""
        self.port = 0
        self._http: http.server.ThreadingHTTPServer | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(None)

            def do_POST(self) -> None:
                self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def _answer(self, body: Any) -> None:
                token = self.headers.get("Authorization", "")
                fake.requests.append((self.command, self.path, body, token))
                status, answer = fake.answer(self.path, body, token)
                raw = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: object) -> None:
                pass

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._http.server_port
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def stop(self) -> None:
        if self._http:
            self._http.shutdown()
            self._http.server_close()
            self._http = None

    def answer(self, path: str, body: Any, token: str) -> tuple[int, Any]:
        if self.token and token != "Bearer " + self.token:
            return 401, {"error": {"code": "unauthorized", "message": "the token is missing or wrong"}}
        if path == "/v1/models":
            return 200, {"models": [m | {"version": self.version} for m in self.models], "failures": self.failures}
        path, _, query = path.partition("?")
        for m in self.models:
            if path == f"/v1/models/{m['name']}/series":
                return 200, self._series(m, dict(urllib.parse.parse_qsl(query)))
            if path == "/v1/models/" + m["name"]:
                figures = {"wape": 0.31, "rmsse": 0.7, "coverage_95": 0.96}
                return 200, m | {"features": [], "metrics": {"models": [{"model": m["model"], "overall": figures}]}}
        unknown = set(body or {}) - {"model", "history", "append", "plan", "horizon", "quantiles", "drivers", "totals", "changes"}
        if unknown:
            return 400, {"error": {"code": "bad_request", "message": f"unknown field {unknown}"}}
        if self.refusal:
            return self.refusal[0], {"error": self.refusal[1]}
        if path == "/v1/forecast":
            answer = self._forecast(body, 1.0)
            if body["totals"] and not self._add_totals(body, answer):
                hint = "ask the ensemble, for all series of a store, of an item, or of all"
                message = "no total has all of its series in the answer"
                return 422, {"error": {"code": "totals_not_calibrated", "message": message, "hint": hint}}
            return 200, answer
        if path == "/v1/whatif":
            return 200, self._whatif(body)
        return 404, {"error": {"code": "not_found", "message": "there is nothing at this path"}}

    def _series(self, m: Any, query: dict[str, str]) -> Any:
        names = self.known if m["keys"] else [()]
        found = []
        for key in names:
            one = dict(zip(m["keys"], key, strict=True))
            if all(query.get(k, v) == v for k, v in one.items()):
                found.append({"id": one, "first": "2016-01-02", "last": "2019-04-30"})
        for one in found:
            days = int(query["days"])
            dates = [dt.date(2019, 4, 30) - dt.timedelta(days=days - 1 - i) for i in range(days)]
            one |= {"dates": [d.isoformat() for d in dates], "sales": [None if i == days - 3 else 280 - days + i for i in range(days)]}
            one["known_future"] = {k: [3.5 if k == "price" else 0] * days for k in m["known_future"]}
        return {"model": m["model"], "total": self.total or len(found), "series": found[: int(query["limit"])]}

    def _add_totals(self, body: Any, answer: Any) -> bool:
        """Adds the sums whose known series are all in the answer, each with an interval 10 % wide."""
        m = next(m for m in self.models if m["name"] == body["model"])
        series = {tuple(s["id"].values()): s for s in answer["series"]}
        sums = [("all", "all"), *((k, v) for i, k in enumerate(m["keys"]) for v in sorted({key[i] for key in self.known}))]
        answer["totals"] = []
        for level, value in sums:
            parts = [key for key in self.known if level == "all" or key[m["keys"].index(level)] == value]
            if all(key in series for key in parts):
                point = [sum(values) for values in zip(*(series[key]["forecast"] for key in parts), strict=True)]
                quantiles = {str(q): [p * (1 + 0.1 * (q - 0.5)) for p in point] for q in body["quantiles"]}
                dates = answer["series"][0]["dates"]
                answer["totals"].append({"level": level, "value": value, "dates": dates, "forecast": point, "quantiles": quantiles})
        return bool(answer["totals"])

    def _whatif(self, body: Any) -> Any:
        base, changed = self._forecast(body, 1.0), self._forecast(body, 1.5)
        differences = []
        for one, two in zip(base["series"], changed["series"], strict=True):
            delta = [y - x for x, y in zip(one["forecast"], two["forecast"], strict=True)]
            bounds = {"lower": [d * 0.9 for d in delta], "upper": [d * 1.1 for d in delta]}
            differences.append({"id": one["id"], "forecast": delta, "total": sum(delta), **bounds})
        return {"base": base, "changed": changed, "difference": differences}

    def _forecast(self, body: Any, factor: float) -> Any:
        columns = body["history"]
        m = next(m for m in self.models if m["name"] == body["model"])
        sold: dict[tuple[str, ...], list[float]] = {}
        for i, value in enumerate(columns["sales"]):
            sold.setdefault(tuple(columns[k][i] for k in m["keys"]), []).append(value or 0.0)
        end = max(dt.date.fromisoformat(d) for d in columns["date"])
        horizon = body["horizon"]
        series = []
        for key, values in sold.items():
            mean = factor * sum(values) / len(values)
            one: dict[str, Any] = {
                "id": dict(zip(m["keys"], key, strict=True)),
                "origin": end.isoformat(),
                "dates": [(end + dt.timedelta(days=h + 1)).isoformat() for h in range(horizon)],
                "forecast": [mean + h / 3 for h in range(horizon)],
                "quantiles": {str(q): [(mean + h / 3) * (1 + 0.4 * (q - 0.5)) for h in range(horizon)] for q in body["quantiles"]},
            }
            if body.get("drivers"):
                one["drivers"] = {"base": [mean - 50] * horizon, "weekday": [50 + h / 3 for h in range(horizon)]}
            series.append(one)
        return {
            "model": body["model"],
            "horizon": horizon,
            "series": series,
            "warnings": ["the plan does not say promo: what is usual is assumed"],
        }


def model(name: str, horizon: int, keys: tuple[str, ...] = ("store", "item"), plan: tuple[str, ...] = ("promo", "price")) -> dict[str, Any]:
    return {
        "name": name,
        "horizon": horizon,
        "quantiles": [0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975],
        "time": "date",
        "target": "sales",
        "keys": list(keys),
        "known_future": list(plan),
        "model": name.rsplit("/", 1)[-1],
        "kind": "ensemble" if name.endswith("ensemble") else "trees",
        "frequency": "D",
        "series": 3,
        "created": "2026-11-23T22:15:19.831554619Z",
        "first": "2016-01-02",
        "last": "2019-04-30",
    }


@pytest.fixture
def server() -> Iterator[FakeServer]:
    fake = FakeServer()
    fake.start()
    yield fake
    fake.stop()
