"""Reads sales from uploads, the manual grid and the sample generator, and checks them before anything is sent."""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import gzip
import io
import math
import random
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

MAX_FILE_BYTES = 20 << 20
MAX_TEXT_BYTES = 40 << 20
MAX_ROWS = 200_000
MAX_COLUMNS = 100
MAX_SERIES = 200
MAX_NAME = 100
MAX_NUMBER = 1e15
FIRST_YEAR, LAST_YEAR = 1970, 2200
SHOWN_FINDINGS = 20

DATE = "date"
SALES = "sales"

SYNONYMS: dict[str, tuple[str, ...]] = {
    DATE: ("date", "day", "ds", "datum", "timestamp", "time"),
    SALES: ("sales", "y", "quantity", "quantity_sold", "amount", "revenue", "units", "target", "demand"),
    "store": ("store", "store_id", "shop", "branch"),
    "item": ("item", "item_id", "product", "product_id", "sku"),
    "promo": ("promo", "promotion", "has_promotion", "onpromotion", "deal"),
    "price": ("price", "unit_price", "sell_price"),
}


@dataclass(frozen=True)
class Frequency:
    """The regular days of a model: every day, one weekday of every week, or the first or last day of every month, quarter or year.

    anchor is the weekday (0 is Monday), or the month, of those since January, that a quarter or a year begins with.
    """

    unit: str = "day"
    anchor: int = 0
    end: bool = False

    @classmethod
    def parse(cls, text: str) -> Frequency:
        """Reads D, W-MON to W-SUN, M, ME, and QS, QE, YS and YE with a month, as in QS-JAN."""
        unit, _, anchor = text.partition("-")
        if text in ("D", "M", "ME"):
            return cls("day" if text == "D" else "month", end=text == "ME")
        if unit == "W" and anchor in _WEEKDAYS:
            return cls("week", _WEEKDAYS.index(anchor))
        if unit in ("QS", "QE", "YS", "YE") and anchor in _MONTHS:
            return cls("quarter" if unit[0] == "Q" else "year", _MONTHS.index(anchor), unit[1] == "E")
        raise ValueError(f"frequency {text!r} is not D, W-MON to W-SUN, M, Q or Y")

    @property
    def months(self) -> int:
        """The months of a step; 0 of days and weeks."""
        return {"month": 1, "quarter": 3, "year": 12}.get(self.unit, 0)

    @property
    def length(self) -> int:
        """The days of a step, roughly."""
        return {"day": 1, "week": 7, "month": 30, "quarter": 91, "year": 365}[self.unit]

    @property
    def season(self) -> int:
        """The steps of the wave that the sample draws: a week of days, a year of weeks, months or quarters, a decade of years."""
        return {"day": 7, "week": 52, "month": 12, "quarter": 4, "year": 10}[self.unit]

    def _called(self, ordinal: int) -> dt.date:
        """The day by which the step of an ordinal, counted in steps of months, is called."""
        first = ordinal * self.months + self.anchor + (self.months if self.end else 0)
        day = dt.date(first // 12, first % 12 + 1, 1)
        return day - dt.timedelta(days=1) if self.end else day

    def _ordinal(self, day: dt.date) -> int:
        return (12 * day.year + day.month - 1 - self.anchor) // self.months

    def floor(self, day: dt.date) -> dt.date:
        """The last regular day up to day."""
        if self.unit == "week":
            return day - dt.timedelta(days=(day.weekday() - self.anchor) % 7)
        if not self.months:
            return day
        called = self._called(self._ordinal(day))
        return called if called <= day else self._called(self._ordinal(day) - 1)

    def step(self, day: dt.date, count: int) -> dt.date:
        """The regular day count steps after a regular day, before it where count is negative."""
        if self.months:
            return self._called(self._ordinal(day) + count)
        return day + dt.timedelta(days=count * self.length)

    def position(self, day: dt.date) -> int:
        """The steps of a regular day since the wave of the sample began."""
        if self.months:
            return self._ordinal(day) % self.season
        return day.toordinal() // 7 if self.unit == "week" else day.weekday()

    def steps(self, count: int) -> str:
        """count as 1 day, 2 weeks."""
        return f"{count:,} {self.unit}{'s' if count != 1 else ''}"

    def rule(self) -> str:
        """Which days are regular, to be said after "use"; empty where all are."""
        if self.months:
            return f"the {'last' if self.end else 'first'} day of each {self.unit}"
        return f"the {_DAYS[self.anchor]} on which the week begins" if self.unit == "week" else ""


DAILY = Frequency()
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class DataError(Exception):
    """What is wrong with the data and what to do about it, fit to be shown."""


@dataclass(frozen=True)
class Finding:
    """Something wrong in one cell: the line of the file, the column, what it is and the cure."""

    row: int
    column: str
    problem: str
    cure: str


class InvalidRows(DataError):
    """Rows that cannot be used; findings holds the first of them, count all."""

    def __init__(self, findings: Sequence[Finding], count: int) -> None:
        super().__init__(f"{count:,} cell{'s' if count != 1 else ''} cannot be used. Mend the file and upload it again.")
        self.findings = list(findings)
        self.count = count


@dataclass(frozen=True)
class Table:
    """A file as it was read: text cells by column, and the line on which each row stands."""

    cells: pd.DataFrame
    lines: list[int]

    @property
    def columns(self) -> list[str]:
        return list(self.cells.columns)


@dataclass(frozen=True)
class Roles:
    """The columns that a model expects besides date and sales: keys name a series, plan is known in advance."""

    keys: tuple[str, ...] = ()
    plan: tuple[str, ...] = ()
    frequency: Frequency = DAILY


@dataclass(frozen=True)
class History:
    """Checked sales.

    rows has the keys as text, date as datetime.date, sales as float and the planned columns as float, NaN where
    unknown, ordered by series and date. plan has the same columns less sales, for dates after the last sales of all.
    Where append is set, rows continue what the model knows of the one series; stored has the last days of that.
    """

    rows: pd.DataFrame
    plan: pd.DataFrame
    keys: tuple[str, ...]
    notes: list[str] = field(default_factory=list)
    append: bool = False
    stored: pd.DataFrame | None = None

    def series(self) -> list[tuple[str, ...]]:
        """The names of the series, in the order of rows."""
        if not self.keys:
            return [()]
        return list(self.rows[list(self.keys)].drop_duplicates().itertuples(index=False, name=None))

    def of(self, series: tuple[str, ...]) -> pd.DataFrame:
        """The rows of one series, after the stored ones that they continue; what they leave open is as stored."""
        rows = select(self.rows, self.keys, series)
        if self.stored is None or not len(self.stored):
            return rows
        stored = self.stored[(self.stored[DATE] < rows[DATE].iloc[0]) | self.stored[DATE].isin(rows[DATE])]
        return rows.set_index(DATE).combine_first(stored.set_index(DATE)).reset_index()

    def only(self, series: tuple[str, ...]) -> History:
        """What it takes to forecast one series from where all are.

        That is its history and plan, and another series that is sold to the end where it is not: all begin after the last sales.
        """
        sold = self.rows[self.rows[SALES].notna()]
        last = sold.loc[sold[DATE] == sold[DATE].max(), list(self.keys)]
        kept = [series]
        if self.keys and not len(select(last, self.keys, series)):
            kept.append(tuple(last.iloc[0]))
        rows, plan = (pd.concat([select(f, self.keys, k) for k in kept], ignore_index=True) for f in (self.rows, self.plan))
        return dataclasses.replace(self, rows=rows, plan=plan)

    def total(self, level: str, value: str) -> pd.DataFrame:
        """The sales of all series, or of those whose key level has value, summed up by date; NaN where none is known."""
        rows = self.rows[self.rows[level] == value] if level in self.keys else self.rows
        return rows.groupby(DATE, sort=True)[SALES].sum(min_count=1).reset_index()


def select(frame: pd.DataFrame, keys: Sequence[str], series: Sequence[str]) -> pd.DataFrame:
    """The rows of frame whose keys are those of series."""
    for key, value in zip(keys, series, strict=True):
        frame = frame[frame[key] == value]
    return frame


def read_table(name: str, content: bytes) -> Table:
    """Reads a CSV, packed with gzip or not, never unpacking more than MAX_TEXT_BYTES."""
    text = _text(name, content)
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [c.strip() for c in next(reader, [])]
        _check_header(header)
        rows: list[list[str]] = []
        lines: list[int] = []
        line = reader.line_num
        for row in reader:
            line, before = reader.line_num, line + 1
            if not any(c.strip() for c in row):
                continue
            if len(row) != len(header):
                raise DataError(
                    f"Row {before} has {len(row)} columns, the first row has {len(header)}. "
                    "Put text that holds a separator into double quotes."
                )
            if len(rows) == MAX_ROWS:
                raise DataError(f"The file has more than {MAX_ROWS:,} rows. Split it, or leave out old years.")
            rows.append(row)
            lines.append(before)
    except csv.Error as e:
        raise DataError(f"Row {reader.line_num + 1} is not valid CSV: {e}. Check the quotes there.") from e
    if not rows:
        raise DataError("The file has a first row and no data. Add a row for each day.")
    return Table(pd.DataFrame(rows, columns=header, dtype=str), lines)


def _text(name: str, content: bytes) -> str:
    if len(content) > MAX_FILE_BYTES:
        raise DataError(f"{name} is larger than {MAX_FILE_BYTES >> 20} MB. Split it, or leave out old years.")
    if content[:2] == b"\x1f\x8b":
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(content)) as packed:
                content = packed.read(MAX_TEXT_BYTES + 1)
        except (OSError, EOFError, zlib.error) as e:
            raise DataError(f"{name} is not a whole gzip file: {e}. Pack it again, or upload the plain CSV.") from e
        if len(content) > MAX_TEXT_BYTES:
            raise DataError(f"{name} unpacks to more than {MAX_TEXT_BYTES >> 20} MB. Split it, or leave out old years.")
    if not content.strip():
        raise DataError(f"{name} is empty. Its first row names the columns: date,sales")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        row = content.count(b"\n", 0, e.start) + 1
        raise DataError(f"Row {row} of {name} is not UTF-8 text. Save the file as CSV UTF-8.") from e
    if "\x00" in text:
        row = text.count("\n", 0, text.index("\x00")) + 1
        raise DataError(f"Row {row} of {name} holds a zero byte. Save the file as plain CSV.")
    return text


def _check_header(header: list[str]) -> None:
    if len(header) > MAX_COLUMNS:
        raise DataError(
            f"The file has {len(header):,} columns; at most {MAX_COLUMNS} are read. "
            "Write one row per day and series, with the columns date and sales."
        )
    seen: set[str] = set()
    for i, name in enumerate(header, 1):
        if not name:
            raise DataError(f"Column {i} has no name. Name every column in the first row.")
        if len(name) > MAX_NAME:
            raise DataError(f"The name of column {i} is longer than {MAX_NAME} characters. Is the first row a header?")
        if name in seen:
            raise DataError(f"Two columns are named {name!r}. Rename one of them.")
        seen.add(name)


def guess_column(role: str, columns: Sequence[str]) -> str | None:
    """The column that plays a role by its name, None where there is none."""
    lower = {c.lower(): c for c in reversed(columns)}
    names = (role.lower(), *next((s for s in SYNONYMS.values() if role.lower() in s), ()))
    return next((lower[n] for n in names if n in lower), None)


def check(table: Table, mapping: Mapping[str, str | None], constants: Mapping[str, str], roles: Roles) -> History:
    """Checks a table whose columns mapping names by role; a key without a column has the value in constants.

    Raises DataError, or InvalidRows with the cells that are wrong.
    """
    missing = [role for role in (DATE, SALES) if not mapping.get(role)]
    if missing:
        raise DataError(f"Missing required columns: {missing}. Choose which columns of the file they are.")
    used = [c for c in mapping.values() if c]
    twice = sorted({c for c in used if used.count(c) > 1})
    if twice:
        raise DataError(f"Column {twice[0]!r} is chosen twice. Choose another column for one of them.")

    faults = _Faults(table)
    out: dict[str, pd.Series] = {}
    for key in roles.keys:
        column = mapping.get(key)
        if column:
            out[key] = _names(faults, column, table.cells[column])
        else:
            out[key] = pd.Series([constants.get(key, "").strip() or "new"] * len(table.cells))
    out[DATE] = _dates(faults, mapping[DATE] or "", table.cells[mapping[DATE]], roles.frequency)
    out[SALES] = _numbers(faults, mapping[SALES] or "", table.cells[mapping[SALES]])
    for name in roles.plan:
        column = mapping.get(name)
        if column:
            out[name] = _numbers(faults, column, table.cells[column])
    frame = pd.DataFrame(out)
    faults.duplicates(frame, [*roles.keys, DATE], mapping[DATE] or "")
    faults.stop()
    return arrange(frame, roles.keys)


class _Faults:
    """Counts what is wrong and keeps the first of it."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.count = 0
        self.kept: list[Finding] = []

    def add(self, wrong: pd.Series, column: str, cells: pd.Series, problem: str, cure: str) -> None:
        where = wrong[wrong].index
        self.count += len(where)
        for i in where[:SHOWN_FINDINGS]:
            cell = str(cells[i])
            shown = cell if len(cell) <= 40 else cell[:40] + "…"
            self.kept.append(Finding(self.table.lines[i], column, problem.format(cell=f"“{shown}”"), cure))

    def duplicates(self, frame: pd.DataFrame, by: list[str], column: str) -> None:
        known = frame[frame[DATE].notna()]
        again = known.duplicated(by).reindex(frame.index, fill_value=False)
        cure = "Keep one row per day" + (" and series" if len(by) > 1 else "") + ", or choose the columns that tell series apart."
        self.add(again, column, frame[DATE], "{cell} is there twice", cure)

    def stop(self) -> None:
        if self.count:
            raise InvalidRows(sorted(self.kept, key=lambda f: f.row)[:SHOWN_FINDINGS], self.count)


def _names(faults: _Faults, column: str, cells: pd.Series) -> pd.Series:
    names = cells.str.strip()
    faults.add(names == "", column, cells, "the name is empty", "Name the series in every row.")
    faults.add(names.str.len() > MAX_NAME, column, cells, "{cell} is too long", f"Use at most {MAX_NAME} characters.")
    return names


def _dates(faults: _Faults, column: str, cells: pd.Series, frequency: Frequency) -> pd.Series:
    text = cells.str.strip().str.replace(r"[T ]00:00(:00)?$", "", regex=True)
    right = text.str.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
    parsed = pd.to_datetime(text.where(right), format="%Y-%m-%d", errors="coerce")
    year = pd.to_numeric(text.where(right).str[:4], errors="coerce")
    outside = right & ~year.between(FIRST_YEAR, LAST_YEAR)
    faults.add(outside, column, cells, "the year of {cell} is out of range", f"Use years {FIRST_YEAR} to {LAST_YEAR}.")
    faults.add(parsed.isna() & ~outside, column, cells, "{cell} is not a date", "Write YYYY-MM-DD, as 2026-01-31.")
    days = parsed.where(~outside).dt.date
    if frequency == DAILY:
        return days
    irregular = days.map(lambda day: not pd.isna(day) and frequency.floor(day) != day).astype(bool)
    cure = f"The model forecasts {frequency.unit}s: use {frequency.rule()}, with the sales of the whole {frequency.unit}."
    faults.add(irregular, column, cells, f"{{cell}} is not that of a {frequency.unit}", cure)
    return days


def _numbers(faults: _Faults, column: str, cells: pd.Series) -> pd.Series:
    text = cells.str.strip()
    comma = text.str.fullmatch(r"-?[0-9]+,[0-9]{1,2}")
    text = text.where(~comma, text.str.replace(",", ".", regex=False))
    empty = text.str.lower().isin(["", "nan", "null", "na"])
    plain = text.str.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
    values = pd.to_numeric(text.where(plain), errors="coerce").astype(float)
    large = values.abs() > MAX_NUMBER
    faults.add(large, column, cells, "{cell} is too large", "Numbers lie between -1e15 and 1e15.")
    faults.add(~plain & ~empty, column, cells, "{cell} is not a number", "Write digits, with a point before decimals and no units.")
    return values.where(~large)


def arrange(frame: pd.DataFrame, keys: tuple[str, ...]) -> History:
    """Orders checked rows; days without sales after the last sales of all become the plan."""
    frame = frame.sort_values([*keys, DATE], kind="stable", ignore_index=True)
    sold = frame[SALES].notna()
    if not sold.any():
        raise DataError("No row has sales. Fill the sales of the days that are past.")
    if keys:
        unsold = ~sold.groupby([frame[k] for k in keys]).transform("any")
        if unsold.any():
            name = " / ".join(str(frame.loc[unsold, k].iloc[0]) for k in keys)
            raise DataError(f"Series {name} has no sales at all. Leave it out, or fill its sales.")
    future = frame[DATE] > frame.loc[sold, DATE].max()
    rows = frame[~future].reset_index(drop=True)
    plan = frame[future].drop(columns=SALES).reset_index(drop=True)
    history = History(rows, plan, keys)
    count = len(history.series())
    if count > MAX_SERIES:
        raise DataError(f"The file has {count:,} series; at most {MAX_SERIES} are forecast at once. Split it.")
    gaps = int(rows[SALES].isna().sum())
    if gaps:
        history.notes.append(f"Rows without sales, which count as unknown: {gaps:,}.")
    if len(plan):
        history.notes.append(f"Rows after the last sales, taken as the plan: {len(plan):,}.")
    return history


def missing_plan(history: History, roles: Roles) -> list[str]:
    """The planned columns that a model reads and the history lacks; a history that is continued has its own."""
    return [] if history.append else [name for name in roles.plan if name not in history.rows]


def complete(history: History, values: Mapping[str, float], new: Sequence[tuple[str, ...]], horizon: int, frequency: Frequency) -> History:
    """history with columns that have one value on all days of the series that are new, and on horizon steps after the last sales.

    Those of the others are with the server.
    """
    plan = history.plan
    if horizon:
        begin = history.rows.loc[history.rows[SALES].notna(), DATE].max()
        days = [frequency.step(begin, i + 1) for i in range(horizon)]
        own = [*history.keys, DATE]
        rows = pd.DataFrame([(*key, day) for key in new for day in days], columns=own)
        plan = rows if not len(plan) else plan.merge(rows, how="outer", on=own)
    return dataclasses.replace(
        history, rows=_assigned(history.rows, history.keys, values, new), plan=_assigned(plan, history.keys, values, new)
    )


def _assigned(frame: pd.DataFrame, keys: Sequence[str], values: Mapping[str, float], series: Sequence[tuple[str, ...]]) -> pd.DataFrame:
    """frame with columns that have one value in the rows of series, and none in others."""
    chosen = set(series)
    named = zip(*(frame[k] for k in keys), strict=True) if keys else [()] * len(frame)
    own = pd.Series([key in chosen for key in named], index=frame.index, dtype=bool)
    return frame.assign(**{name: own.map({True: value, False: math.nan}).astype(float) for name, value in values.items()})


def manual_days(last: dt.date, count: int = 7, frequency: Frequency = DAILY) -> pd.DataFrame:
    """The manual grid as it is at first: count days up to last."""
    days = [frequency.step(frequency.floor(last), i + 1 - count) for i in range(count)]
    return pd.DataFrame({DATE: days, SALES: [5000.0 + 100 * i for i in range(count)]})


def entered(grid: pd.DataFrame) -> pd.DataFrame:
    """The days of a grid up to the last that has sales."""
    known = [i for i, v in enumerate(grid[SALES]) if v is not None and not pd.isna(v)]
    return grid.head(known[-1] + 1 if known else 0)


def last_known(stored: pd.DataFrame) -> pd.DataFrame:
    """The last day of stored sales that is known: what continues a history with it changes nothing."""
    return stored.loc[stored[SALES].notna(), [DATE, SALES]].tail(1)


def from_grid(grid: pd.DataFrame, roles: Roles, names: Mapping[str, str]) -> History:
    """Checks the manual grid."""
    for i, (day, value) in enumerate(zip(grid[DATE], grid[SALES], strict=True), 1):
        if value is None or pd.isna(value):
            raise DataError(f"Day {i} ({day}) has no sales. Enter a number, 0 when the store was closed.")
        if not math.isfinite(value) or not 0 <= value <= MAX_NUMBER:
            raise DataError(f"Day {i} ({day}): {value:g} is not between 0 and 1e15. Enter the day's sales.")
    return arrange(_named(grid, roles, names), roles.keys)


def sample(
    days: int, average: float, volatility: float, trend: float, seed: int, last: dt.date, frequency: Frequency = DAILY
) -> pd.DataFrame:
    """Draws sales: average with a straight trend up to the share trend, a wave of a week (of a year if not daily) and normal noise.

    volatility and trend are shares of the average; the wave is volatility high, the noise half of it. Never below 0.
    """
    draw = random.Random(seed)
    rows = []
    last = frequency.floor(last)
    for i in range(days):
        day = frequency.step(last, i + 1 - days)
        level = 1 + trend * i / max(1, days - 1)
        wave = volatility * math.sin(2 * math.pi * frequency.position(day) / frequency.season)
        rows.append((day, round(max(0.0, average * (level + wave + draw.gauss(0, volatility / 2))), 2)))
    return pd.DataFrame(rows, columns=[DATE, SALES])


def from_sample(drawn: pd.DataFrame, roles: Roles, names: Mapping[str, str]) -> History:
    """A drawn sample as history of one series."""
    return arrange(_named(drawn, roles, names), roles.keys)


def _named(frame: pd.DataFrame, roles: Roles, names: Mapping[str, str]) -> pd.DataFrame:
    frame = frame.copy()
    for i, key in enumerate(roles.keys):
        name = names.get(key, "").strip()
        if not name:
            raise DataError(f"The {key} has no name. Enter one, as {key}_001.")
        if len(name) > MAX_NAME:
            raise DataError(f"The name of the {key} is longer than {MAX_NAME} characters. Shorten it.")
        frame.insert(i, key, name)
    return frame


_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&])")


def plain(text: str) -> str:
    """text so that Markdown shows it as it is: names and messages must not become links, pictures or formulas."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))
