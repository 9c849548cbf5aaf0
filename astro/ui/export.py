"""The forecast as a CSV file: the numbers of the chart, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import datetime as dt
import io
import math
from collections.abc import Sequence

from client import Forecast, Series
from data import Roles

# A spreadsheet takes a cell that starts so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def neutral(cell: str) -> str:
    """cell as text to a spreadsheet: a leading apostrophe keeps it from being a formula."""
    return "'" + cell if cell.lstrip(" ").startswith(_FORMULA) or cell.startswith(_FORMULA) else cell


def forecast_csv(forecast: Forecast, level: int) -> bytes:
    """Columns date, predicted_sales, lower_bound and upper_bound, after the keys where there are several series.

    Bounds are empty where the model gives no interval. Numbers have as many digits as a forecast can mean.
    """
    keys = forecast.keys if len(forecast.series) > 1 else ()
    return _csv(keys, [(series.key if keys else (), series) for series in forecast.series], level)


def total_csv(total: Series, level: int) -> bytes:
    """The columns of forecast_csv without keys, for one total."""
    return _csv((), [((), total)], level)


def example_csv(roles: Roles, last: dt.date) -> str:
    """The first rows of a file that the page reads."""
    every = roles.frequency
    rows = [",".join([*roles.keys, "date", "sales"])]
    for i, sales in enumerate((151, 162, 148)):
        rows.append(",".join([*(f"{k}_001" for k in roles.keys), every.step(every.floor(last), i - 2).isoformat(), str(sales)]))
    return "\n".join([*rows, "…"])


def _csv(keys: Sequence[str], rows: Sequence[tuple[Sequence[str], Series]], level: int) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*map(neutral, keys), "date", "predicted_sales", "lower_bound", "upper_bound"])
    for key, series in rows:
        lower, upper = series.band(level)
        for i, day in enumerate(series.dates):
            numbers = (series.point[i], lower[i] if lower else math.nan, upper[i] if upper else math.nan)
            writer.writerow([*map(neutral, key), day.isoformat(), *map(written, numbers)])
    return out.getvalue().encode()


def written(value: float) -> str:
    """value with two decimals, or four digits where it is small; empty where it is not known."""
    if math.isnan(value):
        return ""
    small = math.floor(math.log10(abs(value))) if value else 0
    if not value or small < -6:
        return "0"
    return f"{value:.{max(2, 3 - small)}f}".rstrip("0").rstrip(".")


def file_name(now: dt.datetime) -> str:
    """sales_forecast_YYYYMMDD_HHMMSS.csv"""
    return f"sales_forecast_{now:%Y%m%d_%H%M%S}.csv"
