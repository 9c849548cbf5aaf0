"""The forecast as a CSV file: the numbers of the chart, safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import datetime as dt
import io
import math

from client import Forecast

# A spreadsheet takes a cell that starts so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def neutral(cell: str) -> str:
    """cell as text to a spreadsheet: a leading apostrophe keeps it from being a formula."""
    return "'" + cell if cell.lstrip(" ").startswith(_FORMULA) or cell.startswith(_FORMULA) else cell


def forecast_csv(forecast: Forecast, level: int) -> bytes:
    """Columns date, predicted_sales, lower_bound and upper_bound, after the keys where there are several series.

    Bounds are empty where the model gives no interval. Numbers are written whole, as the chart has them.
    """
    keys = list(forecast.keys) if len(forecast.series) > 1 else []
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*(neutral(k) for k in keys), "date", "predicted_sales", "lower_bound", "upper_bound"])
    for series in forecast.series:
        lower, upper = series.band(level)
        names = [neutral(n) for n in series.key] if keys else []
        for i, day in enumerate(series.dates):
            numbers = (series.point[i], lower[i] if lower else math.nan, upper[i] if upper else math.nan)
            writer.writerow([*names, day.isoformat(), *("" if math.isnan(n) else repr(n) for n in numbers)])
    return out.getvalue().encode()


def file_name(now: dt.datetime) -> str:
    """sales_forecast_YYYYMMDD_HHMMSS.csv"""
    return f"sales_forecast_{now:%Y%m%d_%H%M%S}.csv"
