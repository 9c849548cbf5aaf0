from __future__ import annotations

import datetime as dt
import gzip
import io
import math

import pandas as pd
import pytest

import data
from data import DAILY, DATE, SALES, DataError, Frequency, History, InvalidRows, Roles, check, read_table

ONE = Roles(("store",), ("promo",))
MAPPING = {DATE: "date", SALES: "sales", "store": "store", "promo": "promo"}


def load(text: str, roles: Roles = ONE) -> History:
    table = read_table("sales.csv", text.encode())
    mapping = {r: data.guess_column(r, table.columns) for r in (DATE, SALES, *roles.keys, *roles.plan)}
    return check(table, mapping, {}, roles)


def test_rows_are_read_and_ordered() -> None:
    history = load("\ufeffstore,date,sales,promo\nb,2026-01-02,2,0\nb,2026-01-01,1,1\na,2026-01-01T00:00:00,3.5,\n")
    assert history.series() == [("a",), ("b",)]
    assert list(history.of(("b",))[SALES]) == [1, 2]
    assert history.of(("a",))[DATE].iloc[0] == dt.date(2026, 1, 1)
    assert math.isnan(history.of(("a",))["promo"].iloc[0])


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_separators_and_decimal_commas(delimiter: str) -> None:
    text = "date,sales\n2026-01-01,1.5\n2026-01-02,2.5\n".replace(",", delimiter).replace(".", ",")
    assert list(load(text, Roles()).rows[SALES]) == [1.5, 2.5]


def test_rows_without_sales_after_the_last_are_the_plan() -> None:
    history = load("date,sales,promo\n2026-01-01,1,0\n2026-01-02,,0\n2026-01-03,3,0\n2026-01-04,,1\n2026-01-05,,0\n", Roles((), ("promo",)))
    assert len(history.rows) == 3
    assert list(history.plan["promo"]) == [1, 0]
    assert SALES not in history.plan
    assert any("which count as unknown: 1." in n for n in history.notes)


@pytest.mark.parametrize(
    ("cell", "column", "problem", "cure"),
    [
        ("31.01.2026,a,5,0", "date", "not a date", "YYYY-MM-DD"),
        ("2026-02-30,a,5,0", "date", "not a date", "YYYY-MM-DD"),
        ("0000-01-01,a,5,0", "date", "year", "1970"),
        ("9999-01-01,a,5,0", "date", "year", "2200"),
        (",a,5,0", "date", "not a date", "YYYY-MM-DD"),
        ("2026-01-02,a,many,0", "sales", "not a number", "digits"),
        ("2026-01-02,a,1e308,0", "sales", "too large", "1e15"),
        ("2026-01-02,a,1e999,0", "sales", "too large", "1e15"),
        ("2026-01-02,a,inf,0", "sales", "not a number", "digits"),
        ("2026-01-02,a,0x10,0", "sales", "not a number", "digits"),
        ("2026-01-02,a,5,yes", "promo", "not a number", "digits"),
        ("2026-01-02,,5,0", "store", "empty", "Name"),
        ("2026-01-01,a,5,0", "date", "twice", "one row per day"),
    ],
)
def test_a_wrong_cell_is_told_with_row_column_and_cure(cell: str, column: str, problem: str, cure: str) -> None:
    with pytest.raises(InvalidRows) as e:
        load(f"date,store,sales,promo\n2026-01-01,a,1,0\n\n{cell}\n")
    (finding,) = e.value.findings
    assert (finding.row, finding.column) == (4, column)
    assert problem in finding.problem
    assert cure in finding.cure


def test_many_wrong_cells_are_counted_and_the_first_shown() -> None:
    with pytest.raises(InvalidRows) as e:
        load("date,sales\n" + "".join(f"x{i},1\n" for i in range(1000)), Roles())
    assert e.value.count == 1000
    assert [f.row for f in e.value.findings] == list(range(2, 22))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"date,sales\n", "no data"),
        (b"date,sales\n2026-01-01\n", "Row 2 has 1 columns"),
        (b"date,date\n1,2\n", "Two columns are named"),
        (b"date,\n1,2\n", "Column 2 has no name"),
        (b'date,sales\n"2026-01-01,1\n', "not valid CSV"),
        ("date,sales\n2026-01-01,1\nStraße,2\n".encode("latin-1"), "Row 3"),
        (b"date,sales\n2026-01-01,\x00\n", "zero byte"),
        (b"\x1f\x8bnot gzip", "not a whole gzip file"),
        (gzip.compress(b"date,sales\n2026-01-01,1\n")[:-4], "not a whole gzip file"),
        (",".join(f"c{i}" for i in range(10_000)).encode() + b"\n", "10,000 columns"),
        (b"d" * 1000 + b"\n1\n", "longer than 100"),
        (b"x" * (data.MAX_FILE_BYTES + 1), "larger than 20 MB"),
    ],
)
def test_a_file_that_is_no_table_is_refused_with_a_cure(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as e:
        read_table("sales.csv", content)
    assert str(e.value).count(".") >= 1


def test_a_zip_bomb_is_not_unpacked() -> None:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=9) as f:
        for _ in range(200):
            f.write(b"\0" * (1 << 20))
    with pytest.raises(DataError, match="unpacks to more than"):
        read_table("bomb.csv.gz", packed.getvalue())


def test_too_many_rows_and_series_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "MAX_ROWS", 10)
    with pytest.raises(DataError, match="more than 10 rows"):
        load("date,sales\n" + "2026-01-01,1\n" * 11, Roles())
    monkeypatch.setattr(data, "MAX_ROWS", 1000)
    with pytest.raises(DataError, match="300 series"):
        load("store,date,sales\n" + "".join(f"s{i},2026-01-01,1\n" for i in range(300)), Roles(("store",)))


def test_missing_columns_are_named() -> None:
    with pytest.raises(DataError, match="Missing required columns") as e:
        load("day,amounts\n2026-01-01,1\n", Roles())
    assert "sales" in str(e.value)
    table = read_table("f", b"a,b\n2026-01-01,1\n")
    with pytest.raises(DataError, match="chosen twice"):
        check(table, {DATE: "a", SALES: "a"}, {}, Roles())
    mapped = check(table, {DATE: "a", SALES: "b", "store": None}, {"store": "mine"}, Roles(("store",)))
    assert mapped.series() == [("mine",)]


def test_no_sales_at_all_is_refused() -> None:
    with pytest.raises(DataError, match="No row has sales"):
        load("date,sales\n2026-01-01,\n", Roles())
    with pytest.raises(DataError, match="Series b has no sales"):
        load("store,date,sales\na,2026-01-01,1\nb,2026-01-01,\n", Roles(("store",)))


def test_the_grid_begins_as_a_week_and_is_checked() -> None:
    grid = data.manual_days(dt.date(2026, 1, 7))
    assert list(grid[SALES]) == [5000, 5100, 5200, 5300, 5400, 5500, 5600]
    history = data.from_grid(grid, Roles(("store",)), {"store": "store_001"})
    assert history.series() == [("store_001",)]
    assert history.rows[DATE].iloc[0] == dt.date(2026, 1, 1)
    for wrong in (None, -1.0, math.inf, 1e308):
        with pytest.raises(DataError, match="Day 3"):
            data.from_grid(grid.assign(sales=[1.0, 1.0, wrong, 1.0, 1.0, 1.0, 1.0]), Roles(), {})
    with pytest.raises(DataError, match="has no name"):
        data.from_grid(grid, Roles(("store",)), {"store": " "})


def test_a_sample_is_what_its_numbers_say() -> None:
    last = dt.date(2026, 1, 31)
    drawn = data.sample(1000, 5000, 0.2, 0.1, 7, last)
    assert drawn.equals(data.sample(1000, 5000, 0.2, 0.1, 7, last))
    assert not drawn.equals(data.sample(1000, 5000, 0.2, 0.1, 8, last))
    assert drawn[DATE].iloc[-1] == last
    assert drawn[SALES].mean() == pytest.approx(5000 * 1.05, rel=0.02)
    assert (data.sample(100, 100, 0.5, -0.5, 1, last)[SALES] >= 0).all()
    straight = data.sample(11, 1000, 0, 0.1, 1, last)[SALES]
    assert list(straight) == pytest.approx([1000 + 10 * i for i in range(11)])


@pytest.mark.parametrize("text", ["![x](http://a/b.png)", "<script>alert(1)</script>", "**b** _i_ $x$ :red[a]", "a\n# b"])
def test_plain_escapes_markdown(text: str) -> None:
    out = data.plain(text)
    assert "\n" not in out
    for mark in "![]()<>*_$:#":
        assert out.count(mark) == out.count("\\" + mark)


def test_frames_are_selected_by_all_keys() -> None:
    frame = pd.DataFrame({"a": ["x", "x", "y"], "b": ["1", "2", "1"]})
    assert list(data.select(frame, ("a", "b"), ("x", "2")).index) == [1]


def test_columns_that_are_missing_get_one_value() -> None:
    roles = Roles((), ("promo", "price"))
    history = load("date,sales,promo\n2026-01-01,1,0\n2026-01-02,,1\n", roles)
    assert data.missing_plan(history, roles) == ["price"]
    whole = data.complete(history, {"price": 2.5}, [], 0, DAILY)
    assert math.isnan(whole.rows["price"][0]), "of a known series the server knows it"
    whole = data.complete(history, {"price": 2.5}, history.series(), 0, DAILY)
    assert list(whole.rows["price"]) == [2.5]
    assert list(whole.plan["price"]) == [2.5]
    assert data.missing_plan(whole, roles) == []
    planned = data.complete(history, {"price": 2.5}, history.series(), 3, DAILY).plan
    assert list(planned["price"]) == [2.5] * 3
    assert list(planned["promo"].fillna(-1)) == [1, -1, -1], "what the plan does not say of other columns stays open"


def test_one_series_is_forecast_from_where_all_are() -> None:
    text = "store,date,sales,promo\na,2026-01-01,1,0\na,2026-01-03,,1\nb,2026-01-01,1,0\nb,2026-01-02,2,0\nc,2026-01-02,3,1\n"
    history = load(text)
    assert history.only(("c",)).series() == [("c",)]
    assert history.only(("a",)).series() == [("a",), ("b",)], "a is not sold on the last day"
    assert len(history.only(("a",)).plan) == 1


def test_totals_are_summed_up_by_date() -> None:
    text = (
        "store,item,date,sales\na,x,2026-01-01,1\na,y,2026-01-01,2\nb,x,2026-01-01,4\na,x,2026-01-02,\nb,x,2026-01-02,8\na,x,2026-01-03,1\n"
    )
    history = load(text, Roles(("store", "item")))
    assert list(history.total("all", "all")[SALES]) == [7, 8, 1]
    store = history.total("store", "a")
    assert list(store[SALES].fillna(-1)) == [3, -1, 1]
    assert store[DATE].iloc[0] == dt.date(2026, 1, 1)


@pytest.mark.parametrize(
    ("text", "unit", "floor", "after"),
    [
        ("D", "day", dt.date(2026, 1, 31), dt.date(2026, 2, 2)),
        ("W-THU", "week", dt.date(2026, 1, 29), dt.date(2026, 2, 12)),
        ("M", "month", dt.date(2026, 1, 1), dt.date(2026, 3, 1)),
    ],
)
def test_frequencies(text: str, unit: str, floor: dt.date, after: dt.date) -> None:
    every = Frequency.parse(text)
    assert every.unit == unit
    assert every.floor(dt.date(2026, 1, 31)) == floor
    assert every.step(floor, 2) == after
    assert every.step(after, -2) == floor
    drawn = data.sample(30, 100, 0.2, 0.1, 1, dt.date(2026, 1, 31), every)
    assert list(drawn[DATE]) == [every.step(floor, i - 29) for i in range(30)]
    grid = data.manual_days(dt.date(2026, 1, 31), frequency=every)
    assert list(data.from_grid(grid, Roles((), (), every), {}).rows[DATE]) == [every.step(floor, i - 6) for i in range(7)]


def test_dates_that_begin_no_week_or_month_are_told() -> None:
    text = "date,sales\n2026-01-01,1\n2026-01-08,2\n2026-01-09,3\n"
    for unit, count in (("W-THU", 1), ("M", 2), ("D", 0)):
        roles = Roles((), (), Frequency.parse(unit))
        if count:
            with pytest.raises(InvalidRows) as e:
                load(text, roles)
            assert e.value.count == count
            assert e.value.findings[-1].row == 4
        else:
            assert len(load(text, roles).rows) == 3


@pytest.mark.parametrize("text", ["D", "W-THU", "M", "ME", "QS-JAN", "QS-MAR", "QE-JAN", "QE-FEB", "YS-JAN", "YS-APR", "YE-JAN", "YE-OCT"])
def test_steps_of_a_frequency_partition_the_days(text: str) -> None:
    every = data.Frequency.parse(text)
    day = dt.date(2019, 11, 20)
    called = every.floor(day)
    for _ in range(900):
        day += dt.timedelta(days=1)
        now = every.floor(day)
        assert called <= now <= day
        assert now in (called, every.step(called, 1))
        assert every.floor(now) == now
        called = now
    assert every.step(every.step(called, 7), -7) == called


def test_frequencies_are_called_by_their_days() -> None:
    assert data.Frequency.parse("QE-JAN").step(dt.date(2023, 12, 31), 1) == dt.date(2024, 3, 31)
    assert data.Frequency.parse("YS-APR").floor(dt.date(2024, 3, 31)) == dt.date(2023, 4, 1)
    assert data.Frequency.parse("ME").rule() == "the last day of each month"
    with pytest.raises(ValueError, match="2W"):
        data.Frequency.parse("2W")
