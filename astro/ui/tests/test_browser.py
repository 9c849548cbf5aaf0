"""Drives the page with Chromium, over the real server where SALESCAST_BIN names the binary, else over the small one.

Pictures are written to SALESCAST_PICTURES, a temporary folder unless set.
"""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import gzip
import io
import os
import random
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import UI, FakeServer
from playwright.sync_api import Browser, Page, expect, sync_playwright

from client import Change, Client, Forecast
from data import check, from_grid, last_known, manual_days, read_table
from export import written

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
EXAMPLE = UI.parent.parent / "examples" / "bakery"
expect.set_options(timeout=30_000)
SCRIPT = "<img src=x onerror=document.title='owned'>"


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            assert process.poll() is None, f"the process behind {url} ended with {process.returncode}"
            time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")


class RealServer:
    """salescast serve over the bakery example and a chain with prices."""

    def __init__(self, binary: str, workspace: Path, chain: Path) -> None:
        self.binary, self.chain = binary, chain
        self.register()
        registered = "models:/sales_forecast_ensemble"
        models = ["--model", str(workspace), "--model", f"chain={registered}@challenger", "--model", f"first={registered}/1"]
        self.command = [binary, "serve", *models, "--set", f"register.folder={chain}/registry", "--poll", "1s", "--listen"]
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"

    def register(self, *more: str) -> None:
        """Trains the chain's model and makes it the newest version; the status is 10 where the gate does not promote it."""
        to = ["--set", "register.enabled=true", "--set", f"register.folder={self.chain}/registry", *more]
        subprocess.run([self.binary, "run", str(self.chain), "--workspace", str(self.chain / "run"), *to], timeout=600)

    def start(self) -> None:
        self.process = subprocess.Popen([*self.command, f"127.0.0.1:{self.port}"], stderr=subprocess.DEVNULL)
        wait_for(self.address + "/ping", self.process)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


def chain(folder: Path) -> None:
    """Writes a chain of four series that sell more when they are cheap, with what salescast is told of it."""
    draw = random.Random(1)
    with (folder / "sales.csv").open("w") as f:
        f.write("store,item,date,sales,price,promo\n")
        for s, usual in enumerate((2.0, 3.0, 4.0, 5.0)):
            price = usual
            for i in range(400):
                day = dt.date(2025, 1, 1) + dt.timedelta(days=i)
                price = usual * draw.choice((0.5, 0.75, 1.0, 1.25)) if i % 7 == 0 else price
                promo = int(draw.random() < 0.1)
                sales = 100 * usual / price * (1 + 0.3 * promo + 0.05 * day.weekday()) + draw.gauss(0, 3)
                f.write(f"s{s // 2},i{s % 2},{day},{sales:.1f},{price},{promo}\n")
    (folder / "salescast.yaml").write_text(
        "data: {source: sales.csv, keys: [store, item], time: date, target: sales, frequency: D, known_future: [price, promo]}\n"
        "forecast: {horizon: 28}\nbacktest: {origins: 1}\npreset: fast\nmodels: [lightgbm]\n"
    )


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer | FakeServer]:
    binary = os.environ.get("SALESCAST_BIN")
    one: RealServer | FakeServer = FakeServer()
    if binary:
        workspace = Path(os.environ.get("SALESCAST_WORKSPACE") or tmp_path_factory.mktemp("run") / "bakery")
        if not (workspace / "ensemble" / "manifest.json").exists():
            subprocess.run([binary, "run", str(EXAMPLE), "--workspace", str(workspace)], check=True, timeout=600)
        folder = tmp_path_factory.mktemp("chain")
        chain(folder)
        one = RealServer(binary, workspace, folder)
    one.start()
    yield one
    one.stop()


@pytest.fixture(scope="module")
def address(served: RealServer | FakeServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    log = (tmp_path_factory.mktemp("page") / "log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)],
        cwd=UI, env=os.environ | {"SALESCAST_SERVER": served.address}, stdout=log, stderr=log,
    )  # fmt: skip
    wait_for(f"http://127.0.0.1:{port}/_stcore/health", process)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(20)
    log.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as p:
        chromium = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    one = browser.new_page(viewport={"width": 1280, "height": 1000}, accept_downloads=True)
    one.set_default_timeout(30_000)
    one.goto(address)
    expect(one.get_by_text("Server ready")).to_be_visible()
    yield one
    assert one.title() == "Sales Forecast Inference", "nothing from the data was run"
    one.close()


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def forecast(page: Page) -> None:
    page.get_by_role("button", name="Forecast", exact=True).locator("visible=true").click()
    expect(page.get_by_role("button", name="Download CSV")).to_be_visible()
    settled(page)


def settled(page: Page) -> None:
    page.wait_for_timeout(300)
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0)


def upload(page: Page, content: bytes, name: str = "sales.csv") -> None:
    page.locator("input[type=file]").set_input_files({"name": name, "mimeType": "text/csv", "buffer": content})


def bakery(series: list[tuple[str, str]], named: dict[tuple[str, str], tuple[str, str]] | None = None) -> bytes:
    """Series of the example as CSV, under other names where named."""
    out = io.StringIO()
    with gzip.open(EXAMPLE / "bakery_daily.csv.gz", "rt", newline="") as f:
        reader = csv.DictReader(f)
        writer = csv.DictWriter(out, reader.fieldnames or [], lineterminator="\n")
        writer.writeheader()
        for row in reader:
            key = (row["store"], row["item"])
            if key in series:
                row["store"], row["item"] = (named or {}).get(key, key)
                writer.writerow(row)
    return out.getvalue().encode()


def first_series(count: int) -> list[tuple[str, str]]:
    with gzip.open(EXAMPLE / "bakery_daily.csv.gz", "rt", newline="") as f:
        return list(dict.fromkeys((r["store"], r["item"]) for r in csv.DictReader(f)))[:count]


def picture(page: Page, name: str) -> None:
    folder = Path(os.environ.get("SALESCAST_PICTURES") or "/tmp/salescast-pictures")
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / f"{name}.png", full_page=True)


def downloaded(page: Page, button: str = "Download CSV") -> list[list[str]]:
    """The rows of the CSV that the button gives."""
    with page.expect_download() as download:
        page.get_by_role("button", name=button).click()
    assert dt.datetime.strptime(download.value.suggested_filename, "sales_forecast_%Y%m%d_%H%M%S.csv")
    return list(csv.reader(io.StringIO(Path(download.value.path()).read_text())))


def lines(forecast: Forecast, named: bool) -> list[list[str | float]]:
    """What the file is to hold of the server's answer, its numbers as they are written."""
    out: list[list[str | float]] = []
    for series in forecast.series:
        lower, upper = series.band(95)
        assert lower
        assert upper
        for day, *numbers in zip(series.dates, series.point, lower, upper, strict=True):
            out.append([*(series.key if named else ()), day.isoformat(), *(float(written(n)) for n in numbers)])
    return out


def numbers(row: list[str]) -> list[str | float]:
    """A row of the file with numbers for its last three cells."""
    return [*(c.removeprefix("'") for c in row[:-3]), *map(float, row[-3:])]


def drawn(page: Page, name: str) -> list[float]:
    """The numbers of a line of the first chart, as the browser has them."""
    found = page.evaluate(
        """name => Array.from(document.querySelectorAll('.js-plotly-plot'), p => p._fullData)
            .flat().filter(t => t.name === name).map(t => Array.from(t.y))""",
        name,
    )
    return [float(v) for v in found[0]] if found else []


def wait_drawn(page: Page, name: str, values: list[float]) -> None:
    """Waits until a line of the first chart has these numbers: an entry takes a moment to reach the server."""
    for _ in range(300):
        if page.locator(".js-plotly-plot").count() and drawn(page, name) == values:
            settled(page)
            return
        page.wait_for_timeout(100)
    assert drawn(page, name) == values


def test_the_file_that_is_downloaded_has_the_numbers_of_the_server_and_of_the_chart(page: Page, served: RealServer | FakeServer) -> None:
    one, two = first_series(2)
    content = bakery([one, two], {two: ("=cmd|' /C calc'!A0", SCRIPT)})
    upload(page, content)
    expect(page.get_by_text("Loaded 2,430 records")).to_be_visible()
    forecast(page)
    client = Client(served.address)
    model = client.models()[0][0]
    table = read_table("f", content)
    known = {n: n if n in table.columns else None for n in ("date", "sales", *model.keys, *model.plan)}
    answer = client.forecast(model, check(table, known, {}, model.roles()), 28)
    wait_drawn(page, "Forecast", answer.series[0].point)
    rows = downloaded(page)
    assert rows[0] == ["store", "item", "date", "predicted_sales", "lower_bound", "upper_bound"]
    assert [numbers(r) for r in rows[1:]] == lines(answer, named=True)
    assert any(r[0].startswith("'=cmd") for r in rows), "a formula is text"
    shown = [r for r in rows[1:] if numbers(r)[0] == answer.series[0].key[0]]
    for name, column in (("Forecast", 3), ("lower", 4), ("upper", 5)):
        assert [float(written(v)) for v in drawn(page, name)] == [float(r[column]) for r in shown], f"{name} is drawn as it is written"
    pick_series(page, "B002 / P101")
    expect(page.get_by_role("button", name="Download CSV")).to_be_visible()


def test_a_total_is_that_of_the_server(page: Page, served: RealServer | FakeServer) -> None:
    keys = first_series(3)
    assert len({store for store, _ in keys}) == 1, "all items of a store"
    if isinstance(served, FakeServer):
        served.known = keys
    content = bakery(keys)
    upload(page, content)
    expect(page.get_by_text("Loaded 3,645 records")).to_be_visible()
    forecast(page)
    store = f"store {keys[0][0]}"
    pick_series(page, store)

    client = Client(served.address)
    model = client.models()[0][0]
    table = read_table("f", content)
    known = {n: n for n in ("date", "sales", *model.keys, *model.plan) if n in table.columns}
    history = check(table, known, {}, model.roles())
    answer = client.forecast(model, history, 28, totals=True)
    total = next(t for t in answer.totals if t.key == ("store", keys[0][0]))
    for day, point in enumerate(total.point):
        assert point == pytest.approx(sum(s.point[day] for s in answer.series))
    lower, upper = total.band(95)
    assert lower
    assert upper
    for name, values in (("Forecast", total.point), ("lower", lower), ("upper", upper)):
        wait_drawn(page, name, values)
    rows = downloaded(page, "Download this total")
    assert [numbers(r) for r in rows[1:]] == [
        [str(day), *(float(written(n)) for n in row)] for day, *row in zip(total.dates, total.point, lower, upper, strict=True)
    ]
    assert downloaded(page, "Download CSV of all series")[1][0] == keys[0][0]
    pick_series(page, " / ".join(keys[1]))
    wait_drawn(page, "Forecast", answer.series[1].point)
    expect(page.get_by_text("What each group of features adds")).to_be_visible()


def pick_series(page: Page, name: str) -> None:
    choice = page.get_by_role("combobox", name="Series")
    choice.scroll_into_view_if_needed()
    settled(page)  # scrolling closes the list
    choice.click()
    page.keyboard.type(name)  # the list has those in sight alone
    page.get_by_role("option").filter(has_text=name).first.click()
    settled(page)


def test_bad_files_are_told_and_a_good_one_follows(page: Page, tmp_path: Path) -> None:
    head = b"store,item,date,sales\n"
    bomb = io.BytesIO()
    with gzip.GzipFile(fileobj=bomb, mode="wb") as f:
        for _ in range(100):
            f.write(b"\0" * (1 << 20))
    for name, content, message in (
        ("dates.csv", head + b"a,b,01.02.2026,5\na,b,0000-01-01,1e308\n", "3 cells cannot be used"),
        ("wide.csv", b",".join(b"c%d" % i for i in range(10_000)) + b"\n", "10,000 columns"),
        ("bomb.csv.gz", bomb.getvalue(), "unpacks to more than 40 MB"),
        ("empty.csv", b"", "is empty"),
        ("nan.csv", head + b"a,b,2026-01-01,NaN\n", "No row has sales"),
    ):
        upload(page, content, name)
        expect(page.get_by_text(message).first).to_be_visible()
        expect(page.get_by_role("button", name="Forecast", exact=True).locator("visible=true")).to_be_disabled()
    huge = tmp_path / "huge.csv"
    with huge.open("wb") as f:
        f.truncate(200 << 20)
    page.locator("input[type=file]").set_input_files(huge)
    expect(page.get_by_text("must be 20.0MB or smaller").first).to_be_visible()
    expect(page.get_by_text("at most 20 MB: leave out old years of a larger file")).to_be_visible()
    page.get_by_role("button", name="Remove huge.csv").click()
    upload(page, bakery(first_series(1)))
    expect(page.get_by_text("Loaded 1,215 records")).to_be_visible()


def test_data_survive_tabs_and_models(page: Page) -> None:
    tab(page, "Sample")
    page.get_by_label("Days", exact=True).fill("400")
    page.get_by_label("Days", exact=True).press("Enter")
    forecast(page)
    tab(page, "Manual")
    page.get_by_text("New", exact=True).click()
    settled(page)
    expect(page.get_by_test_id("stDataFrame").locator("visible=true")).to_be_visible()
    store = page.get_by_role("textbox", name="Store").locator("visible=true")  # of a known series it is a list
    store.fill("corner")
    store.press("Enter")
    settled(page)
    expect(store).to_have_value("corner")
    tab(page, "Upload")
    page.get_by_role("combobox", name="Model").click()
    page.get_by_role("option", name="xgboost").first.click()
    settled(page)
    expect(page.get_by_test_id("stMetricValue").get_by_text("xgboost")).to_be_visible()
    tab(page, "Sample")
    expect(page.get_by_label("Days", exact=True)).to_have_value("400")
    tab(page, "Manual")
    expect(store).to_have_value("corner")
    forecast(page)
    expect(page.get_by_test_id("stMetricValue").get_by_text("28 days")).to_be_visible()


def test_a_known_series_is_continued_in_the_grid_with_the_keyboard(page: Page, served: RealServer | FakeServer) -> None:
    tab(page, "Manual")
    expect(page.get_by_text("is known from").first).to_be_visible()
    client = Client(served.address)
    model = client.models()[0][0]
    known, _ = client.series(model)
    other = next(k for k in known if k.key[0] == known[0].key[0] and k.key != known[0].key)
    page.get_by_role("combobox", name="Item").locator("visible=true").click()
    page.get_by_role("option", name=other.key[1]).click()
    expect(page.get_by_text(" / ".join(other.key) + " is known from")).to_be_visible()
    settled(page)
    grid = page.get_by_test_id("stDataFrame").locator("visible=true").locator("canvas").first
    grid.scroll_into_view_if_needed()
    box = grid.bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] * 0.7, box["y"] + 52)
    entered = [123.5, 0.0, 77.0]
    for value in entered:
        page.keyboard.press("Enter")
        editor = page.locator("#portal input")
        expect(editor).to_be_focused()
        page.keyboard.press("Control+A")
        page.keyboard.type(str(value), delay=20)
        page.keyboard.press("Enter")
        expect(editor).to_have_count(0)
        settled(page)
    forecast(page)

    week = manual_days(other.last + dt.timedelta(days=3), 3).assign(sales=entered)
    names = dict(zip(model.keys, other.key, strict=True))
    asked = dataclasses.replace(from_grid(week, model.roles(), names), append=True)
    answer = client.forecast(model, asked, 28)
    assert answer.series[0].dates[0] == other.last + dt.timedelta(days=4)
    wait_drawn(page, "Forecast", answer.series[0].point)
    rows = downloaded(page)
    assert rows[0] == ["date", "predicted_sales", "lower_bound", "upper_bound"]
    assert [numbers(r) for r in rows[1:]] == lines(answer, named=False)
    assert len(drawn(page, "History")) > 150, "the stored history is drawn before the week"
    tab(page, "Sample")
    forecast(page)
    tab(page, "Manual")
    page.get_by_text("New", exact=True).click()
    settled(page)
    page.get_by_text("Known to the model", exact=True).click()
    settled(page)
    forecast(page)
    wait_drawn(page, "Forecast", answer.series[0].point)
    assert downloaded(page) == rows, "the week is as it was entered"


def test_the_keyboard_is_enough(page: Page) -> None:
    tab(page, "Upload")
    page.get_by_role("tab", name="Upload").focus()
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Days", exact=True)).to_be_visible()
    button = page.get_by_role("button", name="Forecast", exact=True).locator("visible=true")
    for _ in range(40):
        page.keyboard.press("Tab")
        if button.evaluate("e => e === document.activeElement"):
            break
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Download CSV")).to_be_visible()
    page.get_by_role("slider", name="Forecast days").focus()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    expect(page.get_by_test_id("stMetricValue").get_by_text("25 days")).to_be_visible()
    page.get_by_role("radio", name="80 %").locator("visible=true").press("Space")


def test_what_if_a_promotion_stands_side_by_side(page: Page) -> None:
    upload(page, bakery(first_series(1)))
    forecast(page)
    page.get_by_text("On", exact=True).click()
    expect(page.get_by_text("With the change")).to_be_visible()
    expect(page.get_by_text("As planned").last).to_be_visible()


def test_what_if_the_price_is_that_of_the_server(page: Page, served: RealServer | FakeServer) -> None:
    client = Client(served.address)
    model = next(m for m in client.models()[0] if m.name == ("chain/ensemble" if isinstance(served, RealServer) else "bakery/ensemble"))
    if isinstance(served, RealServer):
        page.get_by_role("combobox", name="Model").click()
        page.get_by_role("option", name="ensemble · chain, version").click()
        settled(page)
    tab(page, "Manual")
    known, _ = client.series(model)
    expect(page.get_by_text(" / ".join(known[0].key) + " is known from")).to_be_visible()
    forecast(page)
    page.get_by_text("Change the price").click()
    field = page.get_by_label("Price", exact=True)
    recent = client.series(model, known[0].key, 180)[0][0].recent
    last = float(recent["price"].dropna().iloc[-1])
    expect(field).to_have_value(f"{last:.2f}")
    field.fill(f"{last / 2:.2f}")
    field.press("Enter")

    names = dict(zip(model.keys, known[0].key, strict=True))
    asked = dataclasses.replace(from_grid(last_known(recent), model.roles(), names), append=True)
    (series,) = client.forecast(model, asked, 28).series
    change = Change("price", float(f"{last / 2:.2f}"), series.dates[0], series.dates[-1])
    answer = client.whatif(model, asked, series, [change], 95)
    (difference,) = answer.differences
    assert answer.base.series[0].point == series.point, "as planned is as forecast"
    assert difference.total > 0, "half the price sells more"
    delta = page.get_by_test_id("stMetricDelta").get_by_text(f"{difference.total:+,.0f}", exact=True)
    expect(delta).to_be_visible()
    wait_drawn(page, "What if", answer.changed.series[0].point)
    wait_drawn(page, "As planned", series.point)
    wait_drawn(page, "Difference", difference.point)
    picture(page, "what-if-price")


def test_a_newer_version_is_taken_over_without_a_reload(page: Page, served: RealServer | FakeServer) -> None:
    chosen = page.get_by_role("combobox", name="Model")
    if isinstance(served, RealServer):
        chosen.click()
        page.get_by_role("option", name="ensemble · chain, version 1").click()
    expect(chosen).to_have_value(re.compile("ensemble · .*, version 1"))
    tab(page, "Sample")
    forecast(page)
    before = drawn(page, "Forecast")
    if isinstance(served, RealServer):
        served.register("--set", "seed=7")
    else:
        served.version = "2"
    expect(chosen).to_have_value(re.compile("ensemble · .*, version 2"))
    settled(page)
    expect(page.get_by_role("button", name="Download CSV")).to_be_visible()
    if isinstance(served, FakeServer):
        return
    assert drawn(page, "Forecast") != before
    chosen.click()
    page.get_by_role("option", name="ensemble · first, version 1").click()
    wait_drawn(page, "Forecast", before)


def test_a_server_that_returns_is_found_without_a_reload(page: Page, served: RealServer | FakeServer) -> None:
    tab(page, "Sample")
    forecast(page)
    served.stop()
    try:
        expect(page.get_by_text("Server away")).to_be_visible(timeout=8_000)
        expect(page.get_by_text("does not answer").first).to_be_visible()
        expect(page.get_by_label("Days", exact=True)).to_be_visible()
    finally:
        served.start()
    expect(page.get_by_text("Server ready")).to_be_visible()
    expect(page.get_by_label("Days", exact=True)).to_be_visible()
    expect(page.get_by_text("does not answer")).to_have_count(0)
    expect(page.get_by_role("button", name="Download CSV")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_pictures(browser: Browser, address: str, width: int, scheme: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme="dark" if scheme == "dark" else "light")
    page.set_default_timeout(30_000)
    page.goto(address)
    expect(page.get_by_role("tab", name="Upload")).to_be_visible()
    upload(page, bakery(first_series(2)))
    expect(page.get_by_text("Loaded 2,430 records")).to_be_visible()
    forecast(page)
    page.get_by_text("Compare all models").click()
    settled(page)
    page.get_by_text("On", exact=True).click()
    expect(page.get_by_text("With the change")).to_be_visible()
    settled(page)
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width, "nothing is wider than the window"
    height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size({"width": width, "height": int(height) + 50})
    page.wait_for_timeout(1500)
    picture(page, f"page-{width}-{scheme}")
    page.close()
