"""Draws history, forecasts and drivers with Plotly."""

from __future__ import annotations

import datetime as dt
import html
import math
from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from client import Series
from data import DATE, SALES, History

# Colours that hold against a white and a dark ground, and are told apart by people who see colours differently.
HISTORY = "#7f8c9b"
FORECAST = "#1f83d6"
OTHER = "#e08214"
LESS = "#c2543d"
# So much history is drawn; so much of it, or twice the forecast, is in sight at first.
SHOWN_DAYS, FEWEST_SHOWN = 180, 56


def safe(name: str) -> str:
    """name as Plotly shows it literally; Plotly reads HTML tags in texts."""
    return html.escape(name, quote=False).replace("$", "&#36;")


def label(key: Sequence[str]) -> str:
    """The name of a series as one text."""
    return " / ".join(key) or "sales"


def _layout(figure: go.Figure, height: int, **more: object) -> go.Figure:
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        hovermode="x unified",
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


def forecast_chart(history: pd.DataFrame, series: Series, level: int) -> go.Figure:
    """The last days of history, the forecast after them and its band, hover by day; older days are reached by zooming out."""
    recent = history.tail(SHOWN_DAYS)
    figure = go.Figure()
    figure.add_scatter(
        x=recent[DATE], y=recent[SALES], name="History", mode="lines",
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
        days = max(FEWEST_SHOWN, 2 * len(series.dates))
        first = max(recent[DATE].iloc[0], recent[DATE].iloc[-1] - dt.timedelta(days=days))
        shown = [first, series.dates[-1] + dt.timedelta(days=1)]
    return _layout(figure, 400, xaxis={"range": shown}, yaxis={"title": "sales per day", "rangemode": "tozero"})


def two_charts(before: Series, after: Series, level: int) -> tuple[go.Figure, go.Figure]:
    """Both forecasts of a what-if on the same scale."""
    lines = [line for s in (before, after) for line in (s.point, s.band(level)[1] or [])]
    top = max((v for line in lines for v in line if not math.isnan(v)), default=0.0)
    figures = []
    for series, colour, name in ((before, FORECAST, "As planned"), (after, OTHER, "What if")):
        figure = go.Figure()
        _band(figure, series, level, colour, f"{level} % interval")
        figure.add_scatter(
            x=series.dates, y=series.point, name=name, mode="lines+markers",
            line={"color": colour, "width": 2.5}, marker={"size": 5}, hovertemplate="%{y:,.1f}",
        )  # fmt: skip
        figures.append(_layout(figure, 300, yaxis={"range": [0, top * 1.05 or 1]}))
    return figures[0], figures[1]


def drivers_chart(series: Series, day: int) -> go.Figure:
    """What each group of features brings to one day's forecast, from the level to the forecast."""
    small = 5e-4 * abs(series.point[day])
    names = [n for n, values in series.drivers.items() if not math.isnan(values[day]) and abs(values[day]) > small]
    values = [series.drivers[n][day] for n in names]
    rest = series.point[day] - sum(values)
    if abs(rest) > small:
        names, values = [*names, "other"], [*values, rest]
    figure = go.Figure(
        go.Waterfall(
            orientation="h",
            y=[*(safe(n) for n in names), "forecast"],
            x=[*values, series.point[day]],
            measure=["relative"] * len(names) + ["total"],
            text=[f"{v:+,.1f}" if i else f"{v:,.1f}" for i, v in enumerate(values)] + [f"{series.point[day]:,.1f}"],
            textposition="auto",
            increasing={"marker": {"color": FORECAST}},
            decreasing={"marker": {"color": LESS}},
            totals={"marker": {"color": HISTORY}},
            connector={"line": {"color": HISTORY, "width": 1, "dash": "dot"}},
            hovertemplate="%{y}: %{delta:,.1f}<extra></extra>",
        )
    )
    _layout(figure, 90 + 34 * (len(names) + 1), showlegend=False, yaxis={"autorange": "reversed"})
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
