"""The page: what is asked on the left and in the tabs, what the server answers below them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import pandas as pd
import streamlit as st

import charts
import export
from client import Change, Client, Forecast, Known, Model, Series, ServerAway, ServerError
from data import (
    DATE,
    MAX_FILE_BYTES,
    SALES,
    DataError,
    History,
    InvalidRows,
    Roles,
    Table,
    check,
    complete,
    from_grid,
    from_sample,
    guess_column,
    manual_days,
    missing_plan,
    plain,
    read_table,
    sample,
    week_after,
)

T = TypeVar("T")

LONGEST, USUAL = 90, 30
STATE_EVERY = 4.0
EXPLAINED_SERIES = 20
KEPT_ANSWERS = 24
NO_COLUMN = "(none)"


def main() -> None:
    st.set_page_config(page_title="Sales Forecast Inference", page_icon=":material/monitoring:", layout="wide")
    state = st.session_state
    state.setdefault("answers", {})
    state.setdefault("models", [])
    try:
        client = Client.from_environment()
    except ValueError as e:
        st.error(plain(str(e)))
        st.stop()
    with st.sidebar:
        server_state(client)
        model, horizon, level = choices()

    st.title("Sales Forecast Inference")
    if state.get("away"):
        failure(state.away)
    elif not model:
        st.info(
            "The server has no model yet. Train one with `salescast run`, "
            "and start `salescast serve` with its workspace or its registered name."
        )
    tabs = st.tabs(["Upload", "Manual", "Sample"])
    roles = Roles(model.keys, model.plan) if model else Roles()
    histories: dict[str, History | None] = {}
    bodies: Sequence[Callable[[Roles], History | None]] = (upload_tab, functools.partial(manual_tab, client, model), sample_tab)
    for tab, name, body in zip(tabs, ("upload", "manual", "sample"), bodies, strict=True):
        with tab:
            histories[name] = body(roles)
            if st.button(
                "Forecast", key=f"forecast_{name}", type="primary", disabled=not model or not histories[name],
                help=None if model else "No model is loaded.",
            ):  # fmt: skip
                state.source = name
    source = state.get("source")
    if not source or not model:
        return
    st.divider()
    history = histories[source]
    if history is None:
        st.info(f"The data of the tab {source.capitalize()} cannot be used as they are now. Mend them there, or forecast from another tab.")
        return
    result(client, model, completed(history, roles), horizon, level, source)


# The sidebar.


@st.fragment(run_every=STATE_EVERY)
def server_state(client: Client) -> None:
    """Says how the server is, and runs the page anew when that changes."""
    state = st.session_state
    before = (state.get("away") and str(state.away), state.models)
    failures: list[str] = []
    try:
        state.models, failures = client.models()
        state.away = None
    except ServerError as e:
        state.away = e
    if state.away:
        st.error("Server away" if isinstance(state.away, ServerAway) else "Server refuses", icon=":material/cloud_off:")
    else:
        count = len(state.models)
        st.success(f"Server ready, {count} model{'s' if count != 1 else ''}", icon=":material/cloud_done:")
    for failure in failures:
        st.warning(plain(f"A newer model could not be loaded, the older one answers. {sentence(failure)}"))
    after = (state.away and str(state.away), state.models)
    if state.get("seen") and before != after:
        st.rerun(scope="app")
    state.seen = True


def choices() -> tuple[Model | None, int, int]:
    """Model, horizon and interval level. What was wished is kept where a model does not allow it."""
    state = st.session_state
    models: Sequence[Model] = state.models
    if not models:
        st.selectbox("Model", ["No model is loaded"], disabled=True)
        return None, st.slider("Forecast days", 1, LONGEST, USUAL, disabled=True, key="horizon_none"), 95
    by_name = {m.name: m for m in models}
    if state.get("model") not in by_name:
        state.model = models[0].name
    chosen = by_name[st.selectbox("Model", list(by_name), key="model", format_func=title)]
    about = [*(f"@{a}" for a in chosen.aliases), f"version {chosen.version}" if chosen.version else ""]
    if chosen.last:
        about.append(f"learned from {chosen.first} to {chosen.last}")
    st.caption(plain(", ".join(a for a in about if a)))
    longest = min(LONGEST, chosen.horizon)
    horizon = longest
    if longest > 1:
        key = f"horizon_{longest}"
        horizon = st.slider(
            "Forecast days", 1, longest, min(longest, state.get("wanted_horizon", USUAL)), key=key,
            on_change=remember, args=("wanted_horizon", key),
        )  # fmt: skip
    if longest < LONGEST:
        st.caption(f"This model was trained to forecast {longest} days at most.")
    levels = chosen.interval_levels()
    level = 95
    if levels:
        key = "level_" + "_".join(map(str, levels))
        wanted = state.get("wanted_level", 95)
        level = st.radio(
            "Interval", levels, index=levels.index(wanted) if wanted in levels else 0, key=key, horizontal=True,
            format_func=lambda v: f"{v} %", help="The share of days whose sales are to lie within the band.",
            on_change=remember, args=("wanted_level", key),
        )  # fmt: skip
    else:
        st.caption("This model gives no intervals: its history was too short to measure them.")
    return chosen, horizon, level


def remember(wish: str, widget: str) -> None:
    """Keeps what was wished for models that allow it."""
    st.session_state[wish] = st.session_state[widget]


def title(name: str) -> str:
    """bakery/ensemble as people read it."""
    source, _, member = name.rpartition("/")
    return f"{member} · {source}" if source else member


def failure(error: ServerError) -> None:
    st.error(plain(f"{sentence(str(error))} {sentence(error.hint)}".strip()))


def sentence(text: str) -> str:
    text = text.strip()
    if not text:
        return ""
    text = text[0].upper() + text[1:]
    return text if text[-1] in ".!?" else text + "."


# The tabs.


def upload_tab(roles: Roles) -> History | None:
    """A file, its columns and the first rows."""
    known = ", ".join(f"`{k}`" for k in roles.keys)
    st.caption(
        f"A CSV (or csv.gz) of at most {MAX_FILE_BYTES >> 20} MB (leave out old years of a larger one) with the columns `date` and `sales`"
        + (f"; where it has several series, {known}" if known else "")
        + ". Rows after the last sales, with sales left empty, say what is planned."
    )
    file = st.file_uploader("Sales as CSV", type=["csv", "gz"], key="file")
    state = st.session_state
    if file is None:
        state.pop("upload", None)
        return None
    if state.get("upload", {}).get("id") != file.file_id:
        state.upload = {"id": file.file_id}
        try:
            state.upload["table"] = read_table(file.name, file.getvalue())
        except DataError as e:
            state.upload["error"] = str(e)
    if "error" in state.upload:
        st.error(plain(state.upload["error"]))
        return None
    table: Table = state.upload["table"]
    mapping, constants = columns_of(table, roles, file.file_id)
    history = checked(table, mapping, constants, roles)
    st.caption("The first rows")
    st.dataframe(table.cells.head(5), hide_index=True, width="stretch")
    return history


def columns_of(table: Table, roles: Roles, file: str) -> tuple[dict[str, str | None], dict[str, str]]:
    """Which column plays which role; guessed by name, to be corrected."""
    guesses = {role: guess_column(role, table.columns) for role in (DATE, SALES, *roles.keys, *roles.plan)}
    mapping: dict[str, str | None] = {}
    constants: dict[str, str] = {}
    unsure = any(guesses[r] is None for r in (DATE, SALES, *roles.keys))
    with st.expander("Columns", expanded=unsure):
        for row in batches(list(guesses), 3):
            for place, role in zip(st.columns(3), row, strict=False):
                options = [NO_COLUMN, *table.columns]
                guess = guesses[role]
                picked = place.selectbox(role, options, options.index(guess) if guess else 0, key=f"column_{file}_{role}")
                mapping[role] = None if picked == NO_COLUMN else picked
                if role in roles.keys and picked == NO_COLUMN:
                    constants[role] = place.text_input(f"The {role} of all rows", f"{role}_001", max_chars=100, key=f"constant_{role}")
    return mapping, constants


def checked(table: Table, mapping: Mapping[str, str | None], constants: Mapping[str, str], roles: Roles) -> History | None:
    """The file as history, or what is wrong with it; checked once for the same choices."""
    upload = st.session_state.upload
    asked = (tuple(sorted(mapping.items(), key=str)), tuple(constants.items()), roles)
    if upload.get("asked") != asked:
        upload["asked"] = asked
        try:
            upload["history"] = check(table, mapping, constants, roles)
        except DataError as e:
            upload["history"] = e
    history = upload["history"]
    if isinstance(history, DataError):
        st.error(plain(str(history)))
        if isinstance(history, InvalidRows):
            rows = [{"row": f.row, "column": f.column, "problem": f.problem, "cure": f.cure} for f in history.findings]
            st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch")
            if history.count > len(rows):
                st.caption(f"The first {len(rows)} of {history.count:,} are shown.")
        return None
    count = len(history.series())
    days = history.rows[DATE]
    st.success(f"Loaded {len(history.rows):,} records: {count} series, {days.min()} to {days.max()}.")
    for note in history.notes:
        st.caption(note)
    return history


KNOWN, NEW = "Known to the model", "New"


def manual_tab(client: Client, model: Model | None, roles: Roles) -> History | None:
    """A week of one series: after what the model knows of it, or of a new one alone."""
    kind = st.radio("Series", [KNOWN, NEW], horizontal=True, key="manual_kind")
    if kind == NEW or model is None:
        names = key_names(roles, "manual")
        grid = week("new", yesterday(), dt.date(1970, 1, 7), list(manual_days(yesterday())[SALES]))
        return grid_history(grid, roles, names)
    listed = known_series(client, model)
    if isinstance(listed, ServerError):
        failure(listed)
        return None
    known = pick_series(roles, *listed)
    recent = last_days(client, model, known) if known else None
    if known is None or recent is None:
        st.info("The series cannot be read from the server now. Choose a new one, or upload its sales.")
        return None
    st.caption(
        plain(
            f"{charts.label(known.key)} is known from {known.first} to {known.last}. The week below is added to that history, "
            "and its promotions, prices and holidays are as stored; a day that is in both counts as it is here. "
            "It is filled in with the last week known: put what was sold in its place."
        )
    )
    mine = hashlib.sha256(repr((known.key, known.last)).encode()).hexdigest()[:12]
    grid = week(mine, known.last + dt.timedelta(days=7), known.first + dt.timedelta(days=6), week_after(recent))
    history = grid_history(grid, roles, dict(zip(roles.keys, known.key, strict=True)))
    return history and dataclasses.replace(history, append=True, stored=recent)


def known_series(client: Client, model: Model) -> tuple[list[Known], int] | ServerError:
    """The series of a model and how many there are, asked once per version."""
    kept = st.session_state.setdefault("known", {})
    if (model.name, model.version) not in kept:
        try:
            kept[model.name, model.version] = client.series(model)
        except ServerError as e:
            return e
    return kept[model.name, model.version]


def pick_series(roles: Roles, listed: Sequence[Known], total: int) -> Known | None:
    """One of the known series, chosen key by key."""
    if not listed:
        return None
    left = list(listed)
    places = st.columns(max(1, len(roles.keys)))
    for i, (place, key) in enumerate(zip(places, roles.keys, strict=False)):
        names = list(dict.fromkeys(s.key[i] for s in left))
        widget = f"known_{key}"
        restore(widget, names[0], names)
        name = keep(widget, place.selectbox(key_title(key), names, key=widget))
        left = [s for s in left if s.key[i] == name]
    if total > len(listed):
        st.caption(f"The first {len(listed):,} of {total:,} series are offered. Upload the sales of others.")
    return left[0] if left else None


def last_days(client: Client, model: Model, known: Known) -> pd.DataFrame | None:
    """What the model knows of a series' last days, asked once per version."""
    kept = st.session_state.setdefault("recent", {})
    asked = (model.name, model.version, known.key)
    if asked not in kept:
        try:
            found, _ = client.series(model, known.key, charts.SHOWN_DAYS)
        except ServerError:
            return None
        while len(kept) >= KEPT_ANSWERS:
            kept.pop(next(iter(kept)))
        kept[asked] = found[0].recent if found else None
    return kept[asked]


def week(name: str, last: dt.date, earliest: dt.date, sales: list[float]) -> pd.DataFrame | None:
    """The grid of a week that ends on a day of choice; it holds what was entered while other series are shown."""
    grids = st.session_state.setdefault("grids", {})
    mine = grids.setdefault(name, {"last": last, "sales": sales})
    day = st.date_input("Last day", mine["last"], earliest, dt.date(2200, 1, 1), key=f"manual_last_{name}")
    if not isinstance(day, dt.date):
        return None
    days = list(manual_days(day)[DATE])
    key = f"manual_grid_{name}"
    if mine.get("days") != days or key not in st.session_state:
        mine |= {"last": day, "days": days, "first_sales": mine["sales"]}
    edited = st.data_editor(
        pd.DataFrame({SALES: mine["first_sales"]}, index=pd.Index([f"{d:%a} {d}" for d in days], name="day")),
        column_config={SALES: st.column_config.NumberColumn("Sales", min_value=0.0, required=True, format="%.2f")},
        num_rows="fixed", width="stretch", disabled=["day"], key=key,
    )  # fmt: skip
    mine["sales"] = list(edited[SALES])
    return pd.DataFrame({DATE: days, SALES: mine["sales"]})


def grid_history(grid: pd.DataFrame | None, roles: Roles, names: Mapping[str, str]) -> History | None:
    if grid is None:
        return None
    try:
        return from_grid(grid, roles, names)
    except DataError as e:
        st.error(plain(str(e)))
        return None


def sample_tab(roles: Roles) -> History | None:
    """Drawn sales to try the page with."""
    names = key_names(roles, "sample")
    first, second = st.columns(2)
    days = first.number_input("Days", 7, 1500, 60, key="sample_days")
    average = second.number_input("Average", 100.0, 1e9, 5000.0, 100.0, key="sample_average")
    volatility = first.slider("Volatility, %", 0, 50, 20, key="sample_volatility")
    trend = second.slider("Trend over the period, %", -50, 50, 10, key="sample_trend")
    seed = first.number_input("Seed", 0, 2**31 - 1, 42, key="sample_seed", help="The same seed draws the same sales.")
    last = second.date_input("Last day", yesterday(), dt.date(1975, 1, 1), dt.date(2200, 1, 1), key="sample_last")
    if not isinstance(last, dt.date):
        return None
    try:
        history = from_sample(sample(int(days), average, volatility / 100, trend / 100, int(seed), last), roles, names)
    except DataError as e:
        st.error(plain(str(e)))
        return None
    st.plotly_chart(charts.sample_chart(history), width="stretch", key="sample_chart", config=CHART)
    return history


def yesterday() -> dt.date:
    return dt.date.today() - dt.timedelta(days=1)


def key_title(key: str) -> str:
    return key.replace("_", " ").capitalize()


def key_names(roles: Roles, tab: str) -> dict[str, str]:
    """The name of the one series of a tab."""
    if not roles.keys:
        return {}
    names = {}
    for place, key in zip(st.columns(len(roles.keys)), roles.keys, strict=True):
        widget = f"{tab}_{key}"
        restore(widget, f"{key}_001")
        names[key] = keep(widget, place.text_input(key_title(key), max_chars=100, key=widget))
    return names


def restore(widget: str, usual: object, allowed: Sequence[object] | None = None) -> None:
    """Gives a widget that was away what it held last: Streamlit forgets widgets that are not shown."""
    state = st.session_state
    value = state[widget] if widget in state else state.setdefault("kept", {}).get(widget, usual)
    state[widget] = value if allowed is None or value in allowed else usual


def keep(widget: str, value: T) -> T:
    """Remembers what a widget holds for restore."""
    st.session_state.setdefault("kept", {})[widget] = value
    return value


def completed(history: History, roles: Roles) -> History:
    """history with the planned columns that it lacks, each with one value that can be changed."""
    missing = missing_plan(history, roles)
    if not missing:
        return history
    values = {}
    with st.expander(plain(f"Your data lack what the model reads: {', '.join(missing)}")):
        st.caption("Each is taken to have the same value on all days, past and future. 0 is no promotion and no holiday.")
        for row in batches(missing, 4):
            for place, name in zip(st.columns(4), row, strict=False):
                usual = 1.0 if name == guess_column("price", [name]) else 0.0
                widget = f"constant_plan_{name}"
                restore(widget, usual)
                values[name] = float(keep(widget, place.number_input(name, key=widget)))
    return complete(history, values)


# The result.

CHART = {"displaylogo": False, "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"], "responsive": True}


def result(client: Client, model: Model, history: History, horizon: int, level: int, source: str) -> None:
    """Everything about one forecast."""
    forecast = ask(client, model, history, horizon)
    if isinstance(forecast, ServerError):
        failure(forecast)
        return
    if not forecast.series:
        st.warning("The server forecast no series. Check that the history has recent sales.")
        return
    labels = [charts.label(s.key) for s in forecast.series]
    at = 0
    if len(labels) > 1:
        at = st.selectbox("Series", range(len(labels)), format_func=labels.__getitem__, key=f"series_{source}")
    series = forecast.series[at]
    past = history.of(series.key)

    totals(forecast, series, model)
    for note in forecast.notes:
        st.caption(plain(sentence(note)))
    st.plotly_chart(charts.forecast_chart(past, series, level), width="stretch", key="chart", config=CHART)
    st.download_button(
        "Download CSV", export.forecast_csv(forecast, level), export.file_name(dt.datetime.now()), "text/csv",
        icon=":material/download:", on_click="ignore", key="download",
    )  # fmt: skip

    st.subheader("Drivers")
    drivers(series)
    st.subheader("Models")
    comparison(client, model, history, horizon, at)
    st.subheader("What if")
    whatif(client, model, history, forecast, level, at)


def ask(client: Client, model: Model, history: History, horizon: int) -> Forecast | ServerError:
    """The server's answer, asked once for the same question. Refusals are not kept."""
    answers = st.session_state.answers
    sold = pd.util.hash_pandas_object(history.rows, index=False).sum()
    planned = pd.util.hash_pandas_object(history.plan, index=False).sum() if len(history.plan) else 0
    key = (model.name, model.version, horizon, history.append, len(history.rows), int(sold), int(planned))
    if key not in answers:
        try:
            with st.spinner("Forecasting"):
                answer = client.forecast(model, history, horizon, drivers=len(history.series()) <= EXPLAINED_SERIES)
        except ServerError as e:
            return e
        while len(answers) >= KEPT_ANSWERS:
            answers.pop(next(iter(answers)))
        answers[key] = answer
    return answers[key]


def totals(forecast: Forecast, series: Series, model: Model) -> None:
    total = sum_of(series)
    for place, (name, value) in zip(
        st.columns(4),
        (
            ("Total forecast", f"{total:,.0f}"),
            ("Daily average", f"{total / len(series.point):,.1f}"),
            ("Forecast period", f"{len(series.point)} day{'s' if len(series.point) != 1 else ''}"),
            ("Model used", model.member),
        ),
        strict=True,
    ):
        place.metric(name, value)
    text = f"{series.dates[0]} to {series.dates[-1]}."
    if len(forecast.series) > 1:
        text += f" All {len(forecast.series)} series together: {math.fsum(map(sum_of, forecast.series)):,.0f}."
    if series.quantiles:
        text += (
            " The bounds are of single days. They cannot be added up to bounds of the total, as days err partly together and partly apart."
        )
    st.caption(text)


def drivers(series: Series) -> None:
    if not series.drivers:
        st.caption(f"This model does not explain this forecast. Trees explain up to {EXPLAINED_SERIES} series at once.")
        return
    names = [f"{d:%a} {d}" for d in series.dates]
    day = st.selectbox("Day", range(len(names)), format_func=names.__getitem__, key=f"day_{len(names)}")
    st.plotly_chart(charts.drivers_chart(series, day), width="stretch", key="drivers", config=CHART)
    st.caption("What each group of features adds to or takes from the model's base, in sales of that day.")


SHOWN_METRICS = {"wape": "WAPE", "rmsse": "RMSSE", "bias": "bias", "coverage_95": "coverage of 95 %"}


def measured(client: Client, model: Model) -> dict[str, float]:
    """What the model's backtest says of it, asked once per version."""
    kept = st.session_state.setdefault("metrics", {})
    if (model.name, model.version) not in kept:
        try:
            found = client.metrics(model)
        except ServerError:
            return {}
        kept[model.name, model.version] = {title: found[name] for name, title in SHOWN_METRICS.items() if name in found}
    return kept[model.name, model.version]


def comparison(client: Client, chosen: Model, history: History, horizon: int, at: int) -> None:
    models: Sequence[Model] = st.session_state.models
    if len(models) < 2:
        st.caption("The server has one model. Start it with several to compare them.")
        return
    if not st.toggle("Compare all models", key="compare"):
        return
    rows, forecasts = [], []
    for model in models:
        answer = ask(client, model, history, min(horizon, model.horizon))
        row: dict[str, object] = {"model": title(model.name) + (" ◀" if model.name == chosen.name else "")}
        if isinstance(answer, ServerError):
            row["note"] = str(answer)
        else:
            point = answer.series[at].point
            forecasts.append(answer)
            total = sum_of(answer.series[at])
            row |= {"total": total, "mean": total / len(point), "min": min(point), "max": max(point)}
        rows.append(row | measured(client, model))
    st.plotly_chart(
        charts.models_chart([(title(f.model), f.series[at]) for f in forecasts]), width="stretch", key="models_chart", config=CHART
    )
    table = pd.DataFrame(rows)
    sums = ("total", "mean", "min", "max")
    formats = {
        c: st.column_config.NumberColumn(format="%.1f" if c in sums else "%.4f") for c in table.columns if c not in ("model", "note")
    }
    st.dataframe(table, hide_index=True, width="stretch", column_config=formats)


def whatif(client: Client, model: Model, history: History, forecast: Forecast, level: int, at: int) -> None:
    promo, price = guess_column("promo", model.plan), guess_column("price", model.plan)
    if not promo and not price:
        st.caption("This model was trained without promotions and prices, so it cannot say what they would change.")
        return
    days = forecast.series[at].dates
    first, last = days[0], days[-1]
    if len(days) > 1:
        first, last = st.select_slider("Days to change", days, (first, last), key=f"whatif_days_{first}_{last}")
    places = iter(st.columns(2))
    changes = []
    if promo:
        wish = next(places).radio("Promotion", ["As planned", "On", "Off"], horizontal=True, key="whatif_promo")
        if wish != "As planned":
            changes.append(Change(promo, float(wish == "On"), first, last))
    if price:
        place = next(places)
        usual = last_price(history, price)
        if place.checkbox("Change the price", key="whatif_price_on"):
            value = place.number_input("Price", 0.0, 1e9, usual, key="whatif_price")
            changes.append(Change(price, value, first, last))
    if not changes:
        st.caption("Choose a change to see both forecasts side by side.")
        return
    try:
        answer = client.whatif(model, history, forecast, changes)
    except ServerError as e:
        failure(e)
        return
    shown = answer.base.series[at].key
    base = next(s for s in answer.base.series if s.key == shown)
    changed = next(s for s in answer.changed.series if s.key == shown)
    difference = next((d for d in answer.differences if d.key == shown), None)
    left, right = st.columns(2)
    figures = charts.two_charts(base, changed, level)
    for place, name, series, figure in ((left, "As planned", base, figures[0]), (right, "With the change", changed, figures[1])):
        if series is changed and difference and not math.isnan(difference.total):
            place.metric(name, number(sum_of(series), 0), f"{difference.total:+,.0f}")
        else:
            place.metric(name, number(sum_of(series), 0), "total", delta_color="off", delta_arrow="off")
        place.plotly_chart(figure, width="stretch", key=f"whatif_{name}", config=CHART)
    if difference:
        gain, low, high = (number(v, 0) for v in (difference.total, sum(difference.lower), sum(difference.upper)))
        st.caption(f"The change brings {gain} sales; between {low} and {high} where all days err in the same direction.")


def last_price(history: History, column: str) -> float:
    source = history.rows if column in history.rows or history.stored is None else history.stored
    known = source[column].dropna() if column in source else pd.Series(dtype=float)
    return float(known.iloc[-1]) if len(known) else 1.0


def sum_of(series: Series) -> float:
    """The total of the days that the server forecast."""
    return math.fsum(v for v in series.point if not math.isnan(v))


def number(value: float, decimals: int) -> str:
    return "–" if math.isnan(value) else f"{value:,.{decimals}f}"


def batches(items: Sequence[str], size: int) -> list[Sequence[str]]:
    return [items[i : i + size] for i in range(0, len(items), size)]


main()
