"""Draws history, forecasts and drivers with Plotly."""

from __future__ import annotations

import datetime as dt
import html
import itertools
import math
from collections.abc import Iterable, Sequence

import pandas as pd
import plotly.graph_objects as go

from client import Difference, Series
from data import DATE, SALES, Frequency, History

# Colours that hold against a white and a dark ground, and are told apart by people who see colours differently.
HISTORY = "#7f8c9b"
FORECAST = "#1f83d6"
OTHER = "#e08214"
LESS = "#c2543d"
# So many steps of history are drawn; so many of them, or twice the forecast, are in sight at first.
SHOWN_DAYS, FEWEST_SHOWN = 180, 56
# What the server calls a group of features where people would say it otherwise.
GROUPS = {"identity": "series"}
# The height of Plotly's bar of buttons, which stands above the drawing and not over its first values.
BAR = 36


def safe(name: str) -> str:
    """name as Plotly shows it literally; Plotly reads HTML tags in texts."""
    return html.escape(name, quote=False).replace("$", "&#36;")


def label(key: Sequence[str]) -> str:
    """The name of a series as one text."""
    return " / ".join(key) or "sales"


def _layout(figure: go.Figure, height: int, **more: object) -> go.Figure:
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": BAR, "b": 8},
        hovermode="x unified",
        hoverlabel={"namelength": -1},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        separators=".,",
        **more,
    )
    return figure


def _band(figure: go.Figure, series: Series, level: int, colour: str, name: str) -> None:
    lower, upper = series.band(level)
    if not lower or not upper:
        return
    fill = "rgba({},{},{},0.3)".format(*(int(colour[i : i + 2], 16) for i in (1, 3, 5)))
    line = {"width": 0, "color": colour}
    common = {"x": series.dates, "mode": "lines", "line": line, "legendgroup": name}
    figure.add_scatter(y=upper, name="upper", showlegend=False, hovertemplate="%{y:,.1f}", **common)
    figure.add_scatter(y=lower, name="lower", showlegend=False, hovertemplate="%{y:,.1f}", **common)
    figure.add_scatter(
        x=[*series.dates, *reversed(series.dates)],
        y=[*upper, *reversed(lower)],
        fill="toself", fillcolor=fill, line={"width": 0}, mode="lines", name=name, legendgroup=name, hoverinfo="skip",
    )  # fmt: skip


def forecast_chart(history: pd.DataFrame, series: Series, level: int, frequency: Frequency) -> go.Figure:
    """The last steps of history, the forecast after them and its band, hover by day; older ones are reached by zooming out."""
    recent = history.tail(SHOWN_DAYS)
    figure = go.Figure()
    figure.add_scatter(
        x=recent[DATE], y=recent[SALES], name="History", mode="lines" if len(recent) > 1 else "markers",
        line={"color": HISTORY, "width": 1.5}, hovertemplate="%{y:,.1f}",
    )  # fmt: skip
    _band(figure, series, level, FORECAST, f"{level} % interval")
    figure.add_scatter(
        x=series.dates, y=series.point, name="Forecast",
        mode="lines+markers" if len(series.dates) <= 45 else "lines",
        line={"color": FORECAST, "width": 2.5}, marker={"size": 5}, hovertemplate="%{y:,.1f}",
    )  # fmt: skip
    shown = None
    if len(recent):
        figure.add_vline(x=recent[DATE].iloc[-1], line={"color": HISTORY, "dash": "dot", "width": 1})
        days = frequency.length * max(FEWEST_SHOWN, 2 * len(series.dates))
        first = max(recent[DATE].iloc[0], recent[DATE].iloc[-1] - dt.timedelta(days=days))
        recent = recent[recent[DATE] >= first]
        shown = [first, series.dates[-1] + dt.timedelta(days=frequency.length)]
    lower, upper = series.band(level)
    return _layout(
        figure, 400, xaxis={"range": shown},
        yaxis={"title": f"sales per {frequency.unit}", "range": _span(recent[SALES], series.point, lower or (), upper or ())},
    )  # fmt: skip


def _span(*lines: Iterable[float]) -> list[float]:
    """The range of an axis from 0, or less, to all of lines."""
    values = [v for line in lines for v in line if not math.isnan(v)]
    low, high = min([0.0, *values]), max([0.0, *values])
    room = 0.05 * (high - low)
    return [low - (room if low < 0 else 0), high + (room or 1)]


def two_charts(before: Series, after: Series, level: int) -> tuple[go.Figure, go.Figure]:
    """Both forecasts of a what-if on the same scale."""
    span = _span(*(line for s in (before, after) for line in (s.point, *(bound or () for bound in s.band(level)))))
    figures = []
    for series, colour, name in ((before, FORECAST, "As planned"), (after, OTHER, "What if")):
        figure = go.Figure()
        _band(figure, series, level, colour, f"{level} % interval")
        figure.add_scatter(
            x=series.dates, y=series.point, name=name, mode="lines+markers",
            line={"color": colour, "width": 2.5}, marker={"size": 5}, hovertemplate="%{y:,.1f}",
        )  # fmt: skip
        figures.append(_layout(figure, 300, yaxis={"range": span}))
    return figures[0], figures[1]


def difference_chart(dates: Sequence[dt.date], difference: Difference, unit: str) -> go.Figure:
    """What a change brings on each date, with its interval."""
    above, below = ([abs(b - p) for p, b in zip(difference.point, bound, strict=True)] for bound in (difference.upper, difference.lower))
    figure = go.Figure()
    figure.add_bar(
        x=dates, y=difference.point, name="Difference", marker={"color": [OTHER if v >= 0 else LESS for v in difference.point]},
        error_y={"type": "data", "array": above, "arrayminus": below, "symmetric": False, "color": HISTORY, "thickness": 1.2},
        customdata=list(zip(difference.lower, difference.upper, strict=True)),
        hovertemplate="%{y:+,.1f}, from %{customdata[0]:+,.1f} to %{customdata[1]:+,.1f}",
    )  # fmt: skip
    return _layout(figure, 240, showlegend=False, yaxis={"title": f"difference per {unit}"})


def drivers_chart(series: Series, day: int) -> go.Figure:
    """What each group of features brings to one day's forecast, from the base over the greatest to the forecast."""
    small = 5e-4 * abs(series.point[day])
    names = [n for n, values in series.drivers.items() if not math.isnan(values[day]) and abs(values[day]) > small]
    names.sort(key=lambda n: (n != "base", -abs(series.drivers[n][day])))
    values = [series.drivers[n][day] for n in names]
    rest = series.point[day] - sum(values)
    if abs(rest) > small:
        names, values = [*names, "other"], [*values, rest]
    figure = go.Figure(
        go.Waterfall(
            orientation="h",
            y=[*(safe(GROUPS.get(n, n)) for n in names), "forecast"],
            x=[*values, series.point[day]],
            measure=["relative"] * len(names) + ["total"],
            text=[f"{v:+,.1f}" if i else f"{v:,.1f}" for i, v in enumerate(values)] + [f"{series.point[day]:,.1f}"],
            textposition="auto",
            cliponaxis=False,
            increasing={"marker": {"color": FORECAST}},
            decreasing={"marker": {"color": LESS}},
            totals={"marker": {"color": HISTORY}},
            connector={"line": {"color": HISTORY, "width": 1, "dash": "dot"}},
            hovertemplate="%{y}: %{delta:,.1f}<extra></extra>",
        )
    )
    steps = list(itertools.accumulate(values))
    low, high = min([0.0, *steps]), max([0.0, *steps])
    room = 0.12 * (high - low or 1)  # for the numbers beside the bars
    reach = [low - (room if low < 0 else 0), high + room]
    _layout(figure, 90 + BAR + 34 * (len(names) + 1), showlegend=False, xaxis={"range": reach}, yaxis={"autorange": "reversed"})
    return figure.update_layout(hovermode="closest")


def models_chart(forecasts: Sequence[tuple[str, Series]]) -> go.Figure:
    """What several models forecast of one series, by their names, one line each."""
    colours = [FORECAST, OTHER, "#4d9221", "#8e5bb5", "#c2543d", "#20a39e", "#8c6d31", HISTORY]
    figure = go.Figure()
    for i, (name, series) in enumerate(forecasts):
        figure.add_scatter(
            x=series.dates, y=series.point, name=safe(name), mode="lines",
            line={"color": colours[i % len(colours)], "width": 2}, hovertemplate="%{y:,.1f}",
        )  # fmt: skip
    return _layout(figure, 320, yaxis={"rangemode": "tozero"})


def sample_chart(history: History) -> go.Figure:
    """A drawn sample."""
    figure = go.Figure()
    figure.add_scatter(
        x=history.rows[DATE], y=history.rows[SALES], name="Sample", mode="lines",
        line={"color": HISTORY, "width": 1.5}, hovertemplate="%{y:,.1f}",
    )  # fmt: skip
    return _layout(figure, 220, showlegend=False)
