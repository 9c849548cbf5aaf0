"""What the server answers: the forecast and its totals, what drives it, what other models say, and what a change would bring."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import pandas as pd
import streamlit as st

import charts
import export
from client import Change, Client, Forecast, Model, Series, ServerError, WhatIf
from data import History, guess_column, plain

T = TypeVar("T")

KEPT_ANSWERS = 24
EXPLAINED_SERIES = 20
CHART = {"displaylogo": False, "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"], "responsive": True}
ALL = "all"


@dataclass(frozen=True)
class Shown:
    """What is shown of an answer: one series, or a total of several, with the sales before it."""

    label: str
    series: Series
    past: pd.DataFrame
    total: bool = False


def show(client: Client, model: Model, history: History, horizon: int, level: int, source: str) -> None:
    """Everything about one forecast."""
    forecast = ask(client, model, history, horizon)
    if isinstance(forecast, ServerError):
        failure(forecast)
        return
    if not forecast.series:
        st.warning("The server forecast no series. Check that the history has recent sales.")
        return
    names = {"upload": "the uploaded sales", "manual": "the sales entered", "sample": "the sample"}
    st.subheader(f"Forecast of {names[source]}")
    choice = choose(model, forecast, history, source)
    metrics(forecast, choice.series, model)
    for note in forecast.notes:
        st.caption(plain(sentence(note)))
    figure = charts.forecast_chart(choice.past, choice.series, level, model.frequency)
    st.plotly_chart(figure, width="stretch", key="chart", config=CHART)
    downloads(forecast, choice, level)
    if choice.total:
        st.caption("Choose one series above to see what drives it, to compare models and to ask what if.")
        return
    st.subheader("Drivers")
    drivers(client, model, history, choice.series)
    st.subheader("Models")
    comparison(client, model, history, choice.series)
    st.subheader("What if")
    whatif(client, model, history, choice.series, level)


def once(question: object, answer: Callable[[], T]) -> T | ServerError:
    """The server's answer, asked once for the same question. Refusals are not kept."""
    answers = st.session_state.setdefault("answers", {})
    if question not in answers:
        try:
            with st.spinner("Forecasting"):
                found = answer()
        except ServerError as e:
            return e
        while len(answers) >= KEPT_ANSWERS:
            answers.pop(next(iter(answers)))
        answers[question] = found
    return answers[question]


def ask(client: Client, model: Model, history: History, horizon: int, drivers: bool = False) -> Forecast | ServerError:
    """The forecast, with totals where there are several series and the model has their intervals."""
    totals = model.totals and len(history.series()) > 1 and not drivers
    return once(
        (question(model, history), horizon, drivers), lambda: client.forecast(model, history, horizon, drivers=drivers, totals=totals)
    )


def question(model: Model, history: History) -> tuple[object, ...]:
    """What tells a model's version and a history from all others."""
    sold, planned = (
        int(pd.util.hash_pandas_object(frame, index=False).sum()) if len(frame) else 0 for frame in (history.rows, history.plan)
    )
    return (model.name, model.version, history.append, len(history.rows), sold, planned)


def choose(model: Model, forecast: Forecast, history: History, source: str) -> Shown:
    """The total or series that is picked; there is nothing to pick of a single one."""
    found: dict[tuple[str, ...], Shown] = {}
    if len(forecast.series) > 1:
        for total in forecast.totals:
            name, value = total.key
            if name == ALL:
                label = f"All {model.series:,} series together"
            elif sum(s.key[forecast.keys.index(name)] == value for s in forecast.series) > 1:
                label = f"{name} {value}, all its series together"
            else:
                continue
            found["total", name, value] = Shown(label, total, history.total(name, value), total=True)
    for series in forecast.series:
        found["series", *series.key] = Shown(charts.label(series.key), series, history.of(series.key))
    options = list(found)
    if len(options) == 1:
        return found[options[0]]
    widget = f"series_{source}"
    if st.session_state.get(widget) not in options:
        st.session_state.pop(widget, None)
    return found[st.selectbox("Series", options, format_func=lambda o: found[o].label, key=widget)]


def metrics(forecast: Forecast, series: Series, model: Model) -> None:
    """Total and average of what is shown, and the total of all series."""
    total, unit = sum_of(series), model.frequency.unit
    with st.container(horizontal=True, gap="medium"):
        for name, value in (
            ("Total forecast", number(total, 0)),
            (
                {"day": "Daily", "week": "Weekly", "month": "Monthly", "quarter": "Quarterly", "year": "Yearly"}[unit] + " average",
                number(total / len(series.point), 1),
            ),
            ("Forecast period", model.frequency.steps(len(series.point))),
            ("Model used", model.member),
        ):
            st.metric(name, value, width="content")
    text = f"{series.dates[0]} to {series.dates[-1]}."
    if series.quantiles:
        text += (
            f" The bounds are of single {unit}s. They cannot be added up to bounds of the total, "
            f"as {unit}s err partly together and partly apart."
        )
    count = len(forecast.series)
    if count > 1 and not forecast.totals:
        why = forecast.no_totals or "single models have none, the ensemble has"
        together = number(math.fsum(map(sum_of, forecast.series)), 0)
        text += f" All {count} series together: {together}, without an interval: {why}."
    st.caption(plain(text))


def downloads(forecast: Forecast, choice: Shown, level: int) -> None:
    """The numbers of all series as a file, and those of a total that is shown."""
    name = export.file_name(dt.datetime.now())
    with st.container(horizontal=True):
        if choice.total:
            st.download_button(
                "Download this total", export.total_csv(choice.series, level), name, "text/csv",
                icon=":material/download:", on_click="ignore", key="download_total",
            )  # fmt: skip
        st.download_button(
            "Download CSV of all series" if choice.total else "Download CSV", export.forecast_csv(forecast, level), name, "text/csv",
            icon=":material/download:", on_click="ignore", key="download",
        )  # fmt: skip


def drivers(client: Client, model: Model, history: History, series: Series) -> None:
    """What each group of features brings to a chosen day."""
    # To explain all series takes long. Of many, one is explained as it is forecast alone; what the others change is the chart's "other".
    alone = len(history.series()) > EXPLAINED_SERIES
    answer = ask(client, model, history.only(series.key) if alone else history, len(series.dates), drivers=True)
    if isinstance(answer, ServerError):
        failure(answer)
        return
    found = next((s.drivers for s in answer.series if s.key == series.key), {})
    explained = dataclasses.replace(series, drivers=found)
    if not explained.drivers:
        st.caption("This model does not explain this forecast: only trees can be explained.")
        return
    names = [f"{d:%a} {d}" for d in explained.dates]
    unit = model.frequency.unit
    day = st.selectbox(unit.capitalize(), range(len(names)), format_func=names.__getitem__, key=f"day_{names[0]}_{len(names)}")
    st.plotly_chart(charts.drivers_chart(explained, day), width="stretch", key="drivers", config=CHART)
    st.caption(
        f"What each group of features adds to or takes from the model's base, in sales of that {unit}, the greatest first. "
        "“Series” is what the model has learned of this very one."
        + (" “Other” is what the other series of your data change." if alone else "")
    )


# The figures of a backtest that are shown: title, format, what it means.
METRICS = {
    "wape": ("WAPE", "percent", "How much the backtest's forecasts were off, as a share of all sales."),
    "rmsse": ("RMSSE", "%.3f", "The error against that of a naive forecast: below 1 is better than naive."),
    "bias": ("Bias", "percent", "Above 0 too much was forecast, below 0 too little."),
    "coverage_95": ("Coverage of 95 %", "percent", "How many of the backtest's sales lay within the 95 % interval."),
}


def measured(client: Client, model: Model) -> Mapping[str, float]:
    """What the model's backtest says of it, asked once per version."""
    kept = st.session_state.setdefault("metrics", {})
    if (model.name, model.version) not in kept:
        try:
            kept[model.name, model.version] = client.metrics(model)
        except ServerError:
            return {}
    return kept[model.name, model.version]


def comparison(client: Client, chosen: Model, history: History, series: Series) -> None:
    """The models of the server that read the same columns, on the same history."""
    served: Sequence[Model] = st.session_state.models
    models = [m for m in served if m.keys == chosen.keys and m.frequency == chosen.frequency]
    others = len(served) - len(models)
    left_out = f"{others} of the server's models are left out: they name series otherwise or have another frequency." if others else ""
    if len(models) < 2:
        st.caption(left_out or "The server has one model. Start it with several to compare them.")
        return
    if not st.toggle("Compare all models", key="compare"):
        return
    rows, answered, lines, silent = [], [], [], []
    for model, short in zip(models, titles(models), strict=True):
        row: dict[str, object] = {"Model": short + (" ◀" if model.name == chosen.name else "")}
        answer = ask(client, model, history, min(len(series.dates), model.horizon))
        found = None if isinstance(answer, ServerError) else next((s for s in answer.series if s.key == series.key), None)
        if found:
            answered.append(model)
            lines.append(found)
            total = sum_of(found)
            row |= {"Total": total, "Mean": total / len(found.point), "Min": min(found.point), "Max": max(found.point)}
        elif isinstance(answer, ServerError):
            silent.append(f"{short} does not forecast these sales: {sentence(str(answer))}")
        figures = measured(client, model)
        rows.append(row | {METRICS[name][0]: figures[name] for name in METRICS if name in figures})
    st.plotly_chart(charts.models_chart(list(zip(titles(answered), lines, strict=True))), width="stretch", key="models_chart", config=CHART)
    sums = {c: st.column_config.NumberColumn(format="%,.1f") for c in ("Total", "Mean", "Min", "Max")}
    about = {name: st.column_config.NumberColumn(format=form, help=help) for name, form, help in METRICS.values()}
    st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch", column_config=sums | about)
    st.caption(plain(" ".join(["WAPE, RMSSE, bias and coverage are those of the models' backtests.", left_out, *silent])))


def whatif(client: Client, model: Model, history: History, series: Series, level: int) -> None:
    """The forecast with another promotion or price beside the one as planned, and the difference."""
    changes = asked_changes(model, history, series)
    if changes is None:
        st.caption("This model was trained without promotions and prices, so it cannot say what they would change.")
        return
    if not changes:
        st.caption("Choose a change to see both forecasts side by side.")
        return
    answer: WhatIf | ServerError = once(
        (question(model, history), series.key, len(series.dates), level, tuple(changes)),
        lambda: client.whatif(model, history, series, changes, level),
    )
    if isinstance(answer, ServerError):
        failure(answer)
        return
    base, changed = (next(s for s in f.series if s.key == series.key) for f in (answer.base, answer.changed))
    difference = next(d for d in answer.differences if d.key == series.key)
    figures = charts.two_charts(base, changed, level)
    gain = "no difference" if abs(difference.total) < 0.5 else f"{difference.total:+,.0f}"
    for place, name, one, figure in zip(st.columns(2), ("As planned", "With the change"), (base, changed), figures, strict=True):
        if one is changed:
            same = gain == "no difference"
            place.metric(name, number(sum_of(one), 0), gain, delta_color="off" if same else "normal", delta_arrow="off" if same else "auto")
        else:
            place.metric(name, number(sum_of(one), 0), "total", delta_color="off", delta_arrow="off")
        place.plotly_chart(figure, width="stretch", key=f"whatif_{name}", config=CHART)
    unit = model.frequency.unit
    st.plotly_chart(charts.difference_chart(base.dates, difference, unit), width="stretch", key="whatif_difference", config=CHART)
    text = f"What the change brings each {unit}"
    if series.quantiles:
        text += f", with its {level} % interval: what makes one forecast wrong makes the other wrong in the same direction"
    st.caption(text + ".")


def asked_changes(model: Model, history: History, series: Series) -> list[Change] | None:
    """What is to change, None where the model reads neither promotions nor prices."""
    promo, price = guess_column("promo", model.plan), guess_column("price", model.plan)
    if not promo and not price:
        return None
    days = series.dates
    first, last = days[0], days[-1]
    if len(days) > 1:
        first, last = st.select_slider(
            f"{model.frequency.unit.capitalize()}s to change", days, (first, last), key=f"whatif_days_{first}_{last}"
        )
    places = iter(st.columns(2))
    changes = []
    if promo:
        wish = next(places).radio("Promotion", ["As planned", "On", "Off"], horizontal=True, key="whatif_promo")
        if wish != "As planned":
            changes.append(Change(promo, float(wish == "On"), first, last))
    if price:
        place = next(places)
        usual = last_price(history, price, series)
        if place.checkbox("Change the price", key="whatif_price_on"):
            value = place.number_input(
                "Price", 0.0, 1e9, usual, max(0.01, round(usual / 20, 2)), key=f"whatif_price_{'/'.join(series.key)}",
                help="It is the last price known until you change it; a step is a twentieth of that.",
            )  # fmt: skip
            changes.append(Change(price, value, first, last))
    return changes


def last_price(history: History, column: str, series: Series) -> float:
    """The last price of a series that is known, 1 where none is."""
    past = history.of(series.key)
    known = past[column].dropna() if column in past else pd.Series(dtype=float)
    return float(known.iloc[-1]) if len(known) else 1.0


# How things are said.


def title(model: Model, source: bool = True, version: bool = True) -> str:
    """bakery/ensemble as people read it, with its version where that is a number of a registry; or less of it."""
    origin, _, member = model.name.rpartition("/")
    text = f"{member} · {origin}" if origin and source else member
    return f"{text}, version {model.version}" if model.version.isdigit() and version else text


def titles(models: Sequence[Model]) -> list[str]:
    """The shortest titles that tell models apart: what all have is not repeated beside each."""
    for source, version in ((False, False), (True, False), (False, True), (True, True)):
        short = [title(m, source, version) for m in models]
        if len(set(short)) == len(models):
            break
    return short


def failure(error: ServerError) -> None:
    """A refusal and its cure."""
    st.error(plain(f"{sentence(str(error))} {sentence(error.hint)}".strip()))


def sentence(text: str) -> str:
    """text with a capital and a full stop."""
    text = text.strip()
    if not text:
        return ""
    text = text[0].upper() + text[1:]
    return text if text[-1] in ".!?" else text + "."


def sum_of(series: Series) -> float:
    """The total of the days that the server forecast."""
    return math.fsum(v for v in series.point if not math.isnan(v))


def number(value: float, decimals: int) -> str:
    """value with separators, a dash where it is not known."""
    return "–" if math.isnan(value) else f"{value:,.{decimals}f}"
