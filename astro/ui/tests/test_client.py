from __future__ import annotations

import datetime as dt

import pytest
from conftest import FakeServer

from client import Change, Client, ServerAway, ServerError
from data import History, Roles, check, read_table

TEXT = b"store,item,date,sales,promo\n<b>,x,2026-01-01,1,0\n<b>,x,2026-01-02,,1\n<b>,x,2026-01-03,2,0\n<b>,x,2026-01-04,,1\n"


def history() -> History:
    names = {n: n for n in ("store", "item", "date", "sales", "promo")}
    return check(read_table("f", TEXT), names, {}, Roles(("store", "item"), ("promo", "price")))


def test_what_is_asked_and_answered(server: FakeServer) -> None:
    client = Client(server.address + "/", "secret")
    models, failures = client.models()
    assert [m.name for m in models] == ["bakery/ensemble", "bakery/xgboost", "long/ensemble"]
    assert failures == []
    assert models[0].interval_levels() == [95, 80, 50]
    assert client.metrics(models[0])["wape"] == 0.31
    forecast = client.forecast(models[0], history(), 3, drivers=True)
    method, path, body, token = server.requests[-1]
    assert (method, path, token) == ("POST", "/v1/forecast", "Bearer secret")
    assert body["history"]["sales"] == [1, None, 2]
    assert body["plan"] == {"store": ["<b>"], "item": ["x"], "date": ["2026-01-04"], "promo": [1]}
    (series,) = forecast.series
    assert series.key == ("<b>", "x")
    assert series.dates[0] == dt.date(2026, 1, 4)
    lower, upper = series.band(95)
    assert lower
    assert upper
    assert lower[0] < series.point[0] < upper[0]
    assert series.band(33) == (None, None)


def test_changes_are_rows_of_the_days_that_change(server: FakeServer) -> None:
    client = Client(server.address)
    model = client.models()[0][0]
    (series,) = client.forecast(model, history(), 3).series
    changes = [
        Change("promo", 1, dt.date(2026, 1, 4), dt.date(2026, 1, 5)),
        Change("price", 2.5, dt.date(2026, 1, 5), dt.date(2026, 1, 5)),
    ]
    answer = client.whatif(model, history(), series, changes, 80)
    assert server.requests[-1][2]["changes"] == {
        "store": ["<b>", "<b>"],
        "item": ["x", "x"],
        "date": ["2026-01-04", "2026-01-05"],
        "promo": [1, 1],
        "price": [None, 2.5],
    }
    assert server.requests[-1][2]["quantiles"] == [0.1, 0.25, 0.5, 0.75, 0.9], "the interval of the difference is 80 % wide"
    (difference,) = answer.differences
    gain = sum(answer.changed.series[0].point) - sum(answer.base.series[0].point)
    assert difference.total == pytest.approx(gain)


def test_totals_are_asked_for_and_done_without(server: FakeServer) -> None:
    client = Client(server.address)
    model = client.models()[0][0]
    server.known = [("<b>", "x")]
    answer = client.forecast(model, history(), 3, totals=True)
    assert [t.key for t in answer.totals] == [("all", "all"), ("store", "<b>"), ("item", "x")]
    assert answer.totals[0].point == answer.series[0].point
    server.known = [("<b>", "x"), ("c", "x")]
    assert [t.key for t in client.forecast(model, history(), 3, totals=True).totals] == [("store", "<b>")]
    server.known = [("c", "x")]
    answer = client.forecast(model, history(), 3, totals=True)
    assert answer.totals == []
    assert "no total has all" in answer.no_totals
    assert len(answer.series) == 1


def test_a_server_that_is_away_is_said(server: FakeServer) -> None:
    server.stop()
    with pytest.raises(ServerAway, match="does not answer") as e:
        Client(server.address).models()
    assert "salescast serve" in e.value.hint


def test_refusals_are_told_with_their_hint(server: FakeServer) -> None:
    client = Client(server.address)
    model = client.models()[0][0]
    server.refusal = (422, {"code": "plan_missing", "message": "no plan", "hint": "send it"})
    with pytest.raises(ServerError, match="no plan") as e:
        client.forecast(model, history(), 3)
    assert (e.value.hint, e.value.status, e.value.code) == ("send it", 422, "plan_missing")
    server.token = "other"
    with pytest.raises(ServerError, match="token") as e:
        client.models()
    assert "SALESCAST_SERVE_TOKEN" in e.value.hint


def test_another_server_is_recognised(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for answer in ([], {}, {"models": 1}, {"models": [{}]}, {"models": ["x"]}):
        monkeypatch.setattr(server, "answer", lambda *_, answer=answer: (200, answer))
        with pytest.raises(ServerError, match="forecasting server"):
            Client(server.address).models()


@pytest.mark.parametrize("address", ["", "localhost:8000", "ftp://x", "http://"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="SALESCAST_SERVER"):
        Client(address)


def test_the_environment_names_server_and_token(server: FakeServer) -> None:
    server.token = "t"
    client = Client.from_environment({"SALESCAST_SERVER": server.address, "SALESCAST_SERVE_TOKEN": "t"})
    assert len(client.models()[0]) == 3
