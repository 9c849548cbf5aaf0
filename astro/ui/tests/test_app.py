from __future__ import annotations

import csv
import datetime as dt
import io

import pytest
from conftest import UI, FakeServer, model
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Selectbox

BASE = dt.date(2026, 1, 1)


def sales(stores: list[str], days: int = 60, extra: str = "") -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["store", "item", "date", "sales", "promo"])
    for store in stores:
        for i in range(days):
            writer.writerow([store, "bread", BASE + dt.timedelta(days=i), 100 + i % 7, i % 2])
    return (out.getvalue() + extra).encode()


@pytest.fixture
def app(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("SALESCAST_SERVER", server.address)
    monkeypatch.delenv("SALESCAST_SERVE_TOKEN", raising=False)
    monkeypatch.syspath_prepend(str(UI))
    return AppTest.from_file(str(UI / "app.py"), default_timeout=30).run()


def click(app: AppTest, tab: str) -> AppTest:
    return app.button(f"forecast_{tab}").click().run()


def upload(app: AppTest, content: bytes, name: str = "sales.csv") -> AppTest:
    return app.file_uploader("file").upload(name, content, "text/csv").run()


def model_box(app: AppTest) -> Selectbox:
    return next(s for s in app.selectbox if s.label == "Model")


def texts(app: AppTest) -> str:
    parts = [*app.error, *app.warning, *app.success, *app.info, *app.caption, *app.markdown]
    return "\n".join(str(p.value) for p in parts).replace("\\", "")


def metric(app: AppTest, name: str) -> str:
    return next(m.value for m in app.metric if m.label == name)


def test_the_sidebar_is_what_the_server_says(app: AppTest) -> None:
    assert not app.exception
    assert "3 models" in app.sidebar.success[0].value
    assert model_box(app).options == ["ensemble · bakery, version 1", "xgboost · bakery, version 1", "ensemble · long, version 1"]
    assert (app.slider("horizon_day_28").min, app.slider("horizon_day_28").max, app.slider("horizon_day_28").value) == (1, 28, 28)
    model_box(app).select("long/ensemble").run()
    assert (app.slider("horizon_day_90").max, app.slider("horizon_day_90").value) == (90, 30)
    app.slider("horizon_day_90").set_value(60).run()
    model_box(app).select("bakery/xgboost").run()
    assert app.slider("horizon_day_28").value == 28
    model_box(app).select("long/ensemble").run()
    assert app.slider("horizon_day_90").value == 60, "what was wished comes back with a model that allows it"


def test_manual_and_sample_survive_every_click(app: AppTest, server: FakeServer) -> None:
    app.radio("manual_kind").set_value("New").run()
    click(app, "manual")
    assert not app.exception
    assert metric(app, "Forecast period") == "28 days"
    assert server.requests[-1][2]["history"]["sales"] == [5000 + 100 * i for i in range(7)]
    assert server.requests[-1][2]["history"]["promo"] == [0] * 7
    assert server.requests[-1][2]["history"]["price"] == [3.5] * 7, "what is usual in the model's own data"
    assert server.requests[-1][2]["plan"]["price"] == [3.5] * 28, "of a new series in the future too"
    app.number_input("sample_days").set_value(100).run()
    assert metric(app, "Forecast period") == "28 days"
    click(app, "sample")
    assert len(server.requests[-1][2]["history"]["sales"]) == 100
    model_box(app).select("bakery/xgboost").run()
    assert metric(app, "Model used") == "xgboost"
    assert app.number_input("sample_days").value == 100
    assert app.text_input("manual_store").value == "store_001"
    asked = len([r for r in server.requests if r[1] == "/v1/forecast"])
    app.radio("level_95_80_50").set_value(80).run()
    model_box(app).select("bakery/ensemble").run()
    model_box(app).select("bakery/xgboost").run()
    assert len([r for r in server.requests if r[1] == "/v1/forecast"]) == asked, "the same question is asked once"


def test_a_known_series_is_continued(app: AppTest, server: FakeServer) -> None:
    assert app.selectbox("known_store").options == ["B1", "=B2"]
    assert app.selectbox("known_item").options == ["P1", "P2"]
    assert "B1 / P1 is known from 2016-01-02 to 2019-04-30" in texts(app)
    assert "Nothing is entered yet" in texts(app)
    click(app, "manual")
    body = server.requests[-1][2]
    assert body["append"] is True
    assert (body["history"]["date"], body["history"]["sales"]) == (["2019-04-30"], [279]), "what is known already, and no week made up"
    assert set(body["history"]) == {"store", "item", "date", "sales"}, "the plan is the stored one"
    assert body["history"]["item"] == ["P1"]
    assert "lack what the model reads" not in str([e.label for e in app.expander])
    app.checkbox("whatif_price_on").check().run()
    assert next(n for n in app.number_input if n.label == "Price").value == 3.5, "the last stored price"
    assert server.requests[-1][2]["append"] is True
    app.selectbox("known_store").select("=B2").run()
    assert not app.exception
    assert app.selectbox("known_item").options == ["P3"]
    assert server.requests[-1][2]["history"]["store"] == ["=B2"]
    app.radio("manual_kind").set_value("New").run()
    app.text_input("manual_store").set_value("corner").run()
    app.radio("manual_kind").set_value("Known to the model").run()
    assert app.selectbox("known_store").value == "=B2", "what is hidden for a while is not forgotten"
    app.radio("manual_kind").set_value("New").run()
    assert app.text_input("manual_store").value == "corner"
    asked = [r[1] for r in server.requests].count("/v1/models/bakery/ensemble/series?limit=10000&days=0")
    assert asked == 1, "the list is asked for once"


def test_the_plan_of_a_known_series_is_the_servers(app: AppTest, server: FakeServer) -> None:
    known = sales(["B1"]).replace(b",bread,", b",P1,").replace(b",promo", b",rain")
    upload(app, known)
    click(app, "upload")
    assert not app.exception
    assert not [e.label for e in app.expander if "lack what the model reads" in e.label]
    assert "price" not in next(r for r in reversed(server.requests) if r[1] == "/v1/forecast")[2]["history"]
    upload(app, known + sales(["new"]).split(b"\n", 1)[1])
    assert [e.label for e in app.expander if "lack what the model reads" in e.label]
    body = next(r for r in reversed(server.requests) if r[1] == "/v1/forecast")[2]
    assert body["history"]["price"] == [None] * 60 + [3.5] * 60
    assert body["plan"]["store"] == ["new"] * 28


def test_one_record_is_one(app: AppTest) -> None:
    upload(app, b"date,sales,store,item\n2026-01-01,5,a,b\n")
    assert "Loaded 1 record:" in texts(app)


def test_a_list_of_series_that_is_cut_is_said(app: AppTest, server: FakeServer) -> None:
    server.total, server.version = 12_345, "2"
    app.run()
    assert "The first 3 of 12,345 series are offered" in texts(app)


def test_a_server_without_a_list_leaves_new_series(app: AppTest, server: FakeServer) -> None:
    server.known, server.version = [], "2"
    app.run()
    assert "Choose a new one" in texts(app)
    assert app.button("forecast_manual").disabled
    app.radio("manual_kind").set_value("New").run()
    assert not app.button("forecast_manual").disabled


def test_an_upload_is_forecast_by_series(app: AppTest, server: FakeServer) -> None:
    upload(app, sales(["a", "<script>alert(1)</script>", "=cmd"]))
    assert "Loaded 180 records" in texts(app)
    click(app, "upload")
    assert not app.exception
    assert len(app.selectbox("series_upload").options) == 3
    app.selectbox("series_upload").select_index(1).run()
    total = float(metric(app, "Total forecast").replace(",", ""))
    mean = sum(100 + i % 7 for i in range(60)) / 60
    assert total == pytest.approx(sum(mean + h / 3 for h in range(28)), abs=1)
    assert app.file_uploader("file").value


def test_other_column_names_are_mapped(app: AppTest) -> None:
    upload(app, b"when,how many,shop\n" + b"".join(b"2026-01-%02d,5,s\n" % d for d in range(1, 31)))
    assert "Missing required columns" in texts(app)
    for role, column in (("date", "when"), ("sales", "how many")):
        next(s for s in app.selectbox if s.label == role).select(column).run()
    assert "Loaded 30 records" in texts(app)
    click(app, "upload")
    assert metric(app, "Daily average") == "9.5"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (sales(["a"], extra="a,bread,yesterday,5,0\n"), "1 cell cannot be used"),
        (b"", "is empty"),
        (b",".join(b"c%d" % i for i in range(10_000)), "10,000 columns"),
        (b"date,sales\n2026-01-01\n", "Row 2 has 1 columns"),
    ],
)
def test_a_bad_file_is_told_and_a_good_one_follows(app: AppTest, content: bytes, message: str) -> None:
    upload(app, content)
    assert message in texts(app)
    assert app.button("forecast_upload").disabled
    upload(app, sales(["a"]))
    assert message not in texts(app)
    assert not app.button("forecast_upload").disabled


def test_a_server_that_goes_is_said_and_its_return_needs_no_reload(app: AppTest, server: FakeServer) -> None:
    click(app, "sample")
    server.stop()
    app.slider("horizon_day_28").set_value(7).run()
    assert "does not answer" in texts(app)
    assert not app.exception
    server.start()
    app.run()
    assert "does not answer" not in texts(app)
    assert metric(app, "Forecast period") == "7 days"


def test_a_page_that_starts_before_its_server(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.stop()
    monkeypatch.setenv("SALESCAST_SERVER", server.address)
    monkeypatch.syspath_prepend(str(UI))
    app = AppTest.from_file(str(UI / "app.py"), default_timeout=30).run()
    assert "does not answer" in texts(app)
    assert app.button("forecast_sample").disabled
    server.start()
    app.run()
    assert not app.button("forecast_sample").disabled


def test_a_refusal_is_a_sentence_with_its_cure(app: AppTest, server: FakeServer) -> None:
    server.refusal = (422, {"code": "x", "message": "no ![x](http://a)", "hint": "send <b>it</b>"})
    click(app, "sample")
    assert "No ![x](http://a). Send <b>it</b>." in texts(app)
    assert "![x](" not in app.error[0].value
    server.refusal = None
    app.run()
    assert metric(app, "Forecast period") == "28 days"


def test_a_model_that_stays_what_it_was_is_said(app: AppTest, server: FakeServer) -> None:
    server.failures = [{"source": "bakery", "message": "the registry cannot be asked for sales: try again"}]
    app.run()
    assert "the one that is there answers" in texts(app)
    assert "bakery: the registry cannot be asked for sales" in texts(app)
    assert "3 models" in app.sidebar.success[0].value
    server.failures = []
    app.run()
    assert "the one that is there answers" not in texts(app)


def test_a_new_version_answers_anew(app: AppTest, server: FakeServer) -> None:
    click(app, "sample")
    asked = len([r for r in server.requests if r[1] == "/v1/forecast"])
    server.version = "2"
    app.run()
    assert len([r for r in server.requests if r[1] == "/v1/forecast"]) == asked + 2, "the forecast and its drivers"


def test_models_are_compared(app: AppTest) -> None:
    click(app, "sample")
    app.toggle("compare").set_value(True).run()
    assert not app.exception
    table = app.dataframe[-1].value
    assert list(table["Model"]) == ["ensemble · bakery ◀", "xgboost · bakery", "ensemble · long"], "what all have is not repeated"
    assert list(table["WAPE"]) == [0.31] * 3


def test_models_that_read_other_columns_are_left_out_of_the_comparison(app: AppTest, server: FakeServer) -> None:
    server.models += [model("chain/ensemble", 28, keys=("shop",)), model("weeks/ensemble", 28) | {"frequency": "W-THU"}]
    app.run()
    click(app, "sample")
    app.toggle("compare").set_value(True).run()
    assert not app.exception
    assert len(app.dataframe[-1].value) == 3
    assert "2 of the server's models are left out" in texts(app)


def test_totals_are_those_of_the_server(app: AppTest, server: FakeServer) -> None:
    upload(app, sales(["B1"]).replace(b",bread,", b",P1,") + sales(["B1"]).replace(b",bread,", b",P2,").split(b"\n", 1)[1])
    click(app, "upload")
    assert not app.exception
    assert app.selectbox("series_upload").options == ["store B1, all its series together", "B1 / P1", "B1 / P2"]
    assert [b.label for b in app.get("download_button")] == ["Download this total", "Download CSV of all series"]
    total = float(metric(app, "Total forecast").replace(",", ""))
    assert total == pytest.approx(sum(2 * (sum(100 + i % 7 for i in range(60)) / 60 + h / 3) for h in range(28)), abs=1)
    assert "Choose one series above" in texts(app)
    assert "without an interval" not in texts(app)
    app.selectbox("series_upload").select_index(1).run()
    assert float(metric(app, "Total forecast").replace(",", "")) == pytest.approx(total / 2, abs=1)
    drivers = server.requests[-1][2]
    assert drivers["drivers"]
    assert set(drivers["history"]["item"]) == {"P1", "P2"}
    model_box(app).select("bakery/xgboost").run()
    assert app.selectbox("series_upload").options == ["B1 / P1", "B1 / P2"]
    assert "without an interval: single models have none" in texts(app)


def test_of_many_series_one_is_explained(app: AppTest, server: FakeServer) -> None:
    upload(app, sales([f"s{i}" for i in range(21)]))
    click(app, "upload")
    assert not app.exception
    assert server.requests[-1][2]["drivers"]
    assert set(server.requests[-1][2]["history"]["store"]) == {"s0"}
    assert "the other series of your data" in texts(app)
    app.radio("whatif_promo").set_value("On").run()
    assert set(server.requests[-1][2]["changes"]["store"]) == {"s0"}
    assert len(set(server.requests[-1][2]["history"]["store"])) == 21, "as planned is as forecast"


def test_a_total_that_the_server_cannot_give_is_said(app: AppTest, server: FakeServer) -> None:
    upload(app, sales(["a", "b"]))
    click(app, "upload")
    assert app.selectbox("series_upload").options == ["a / bread", "b / bread"]
    assert "All 2 series together" in texts(app)
    assert "without an interval: no total has all of its series in the answer" in texts(app)
    assert [r[2]["totals"] for r in server.requests if r[1] == "/v1/forecast"] == [True, False, False]


def test_a_model_of_weeks_speaks_of_weeks(app: AppTest, server: FakeServer) -> None:
    server.models = [model("weeks/ensemble", 8) | {"frequency": "W-THU"}]
    app.run()
    assert app.slider("horizon_week_8").label == "Forecast weeks"
    click(app, "sample")
    assert not app.exception
    assert metric(app, "Forecast period") == "8 weeks"
    assert metric(app, "Weekly average")
    assert {dt.date.fromisoformat(d).weekday() for d in server.requests[-1][2]["history"]["date"]} == {3}
    upload(app, sales(["a"]))
    assert "cells cannot be used" in texts(app)
    assert "use the Thursday on which the week begins" in app.dataframe[0].value["cure"][0]
    app.radio("manual_kind").set_value("New").run()
    click(app, "manual")
    assert {dt.date.fromisoformat(d).weekday() for d in server.requests[-1][2]["history"]["date"]} == {3}


def test_what_if_stands_side_by_side(app: AppTest, server: FakeServer) -> None:
    click(app, "sample")
    app.radio("whatif_promo").set_value("On").run()
    app.checkbox("whatif_price_on").check().run()
    assert not app.exception
    changes = server.requests[-1][2]["changes"]
    assert set(changes["promo"]) == {1}
    assert set(changes["price"]) == {3.5}
    assert len(changes["date"]) == 28
    assert next(m for m in app.metric if m.label == "With the change").delta.startswith("+")
    model_box(app).select("long/ensemble").run()
    assert "without promotions and prices" in texts(app)


def test_a_model_without_keys_or_intervals_or_future(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.models = [model("one/ensemble", 1, keys=(), plan=()) | {"quantiles": []}]
    monkeypatch.setenv("SALESCAST_SERVER", server.address)
    monkeypatch.syspath_prepend(str(UI))
    app = AppTest.from_file(str(UI / "app.py"), default_timeout=30).run()
    click(app, "manual")
    assert not app.exception
    assert server.requests[-1][2]["append"] is True
    assert metric(app, "Forecast period") == "1 day"
    assert "gives no intervals" in texts(app)
