from __future__ import annotations

import csv
import datetime as dt
import io
import math

import pytest

from client import Forecast, Series
from data import Roles, check, guess_column, read_table
from export import example_csv, file_name, forecast_csv, neutral, total_csv, written

DAYS = [dt.date(2026, 1, 1), dt.date(2026, 1, 2)]


def forecast(*names: str) -> Forecast:
    quantiles = {0.025: [0.1, 0.2], 0.975: [1 / 3, 2e10]}
    return Forecast("m", "1", ("store",), [Series((n,), DAYS, [0.1 + 0.2, 5.0], quantiles) for n in names], [])


def test_one_series_has_four_columns_and_its_numbers() -> None:
    rows = list(csv.reader(io.StringIO(forecast_csv(forecast("a"), 95).decode())))
    assert rows[0] == ["date", "predicted_sales", "lower_bound", "upper_bound"]
    assert rows[1] == ["2026-01-01", "0.3", "0.1", "0.3333"]
    assert len(rows) == 3


def test_several_series_are_named_and_formulas_are_text() -> None:
    names = ["=cmd|' /C calc'!A0", "+1", "@SUM(A1)", "-2", "\t=1", "  =1", 'a,"b"\n=c', "plain"]
    rows = list(csv.reader(io.StringIO(forecast_csv(forecast(*names), 80).decode())))
    assert rows[0] == ["store", "date", "predicted_sales", "lower_bound", "upper_bound"]
    assert [r[0] for r in rows[1::2]] == ["'" + n for n in names[:6]] + names[6:]
    assert all(r[3] == "" for r in rows[1:]), "the model has no interval 80 % wide"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", " ="])
def test_neutral(start: str) -> None:
    assert neutral(start + "x") == "'" + start + "x"
    assert neutral("x" + start) == "x" + start


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (-0.0, "0"), (12.0, "12"), (5163.123456789, "5163.12"), (2e10, "20000000000"), (1 / 3, "0.3333"),
        (0.00123456, "0.001235"), (-45.678, "-45.68"), (1e-12, "0"), (9.999999, "10"), (math.nan, ""),
    ],
)  # fmt: skip
def test_numbers_have_the_digits_that_a_forecast_can_mean(value: float, text: str) -> None:
    assert written(value) == text


def test_file_name() -> None:
    assert file_name(dt.datetime(2026, 1, 2, 3, 4, 5)) == "sales_forecast_20260102_030405.csv"


def test_a_total_has_its_numbers_alone() -> None:
    (series,) = forecast("all").series
    assert total_csv(series, 95) == forecast_csv(forecast("all"), 95)


def test_the_example_is_a_file_that_can_be_read() -> None:
    roles = Roles(("store",))
    table = read_table("f", example_csv(roles, dt.date(2026, 1, 3)).removesuffix("…").encode())
    history = check(table, {role: guess_column(role, table.columns) for role in ("date", "sales", "store")}, {}, roles)
    assert history.series() == [("store_001",)]
    assert len(history.rows) == 3
