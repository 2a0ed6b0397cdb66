"""Every page of a run with a currency shows amounts in it alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from parts import few
from streamlit.testing.v1 import AppTest

from dashboard.pages import PAGES
from simulator.results.bundle import read_bundle
from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario

Open = Callable[..., AppTest]
SCENARIO = Path(__file__).resolve().parents[1] / "data/scenarios/dashboard.yaml"
SETS = (
    "run.horizon_s=40",
    "run.warmup_s=5",
    "study.months=4",
    "study.load_steps=[{from_month: 3, load: 2}]",
    "topologies.own.pools[base].replicas=auto",
    "cost.draws=20",
    "currency={code: EUR, usd_per_unit: 2, date: 2026-11-20, source: ECB reference rate}",
)
SAYS_THE_RATE = "at 2 USD per EUR of 2026-11-20 (ECB reference rate)"
WITHOUT_AMOUNTS = ("start", "scenario", "calibration", "load", "latency", "engine", "sweep", "export")
CHANGES = {"what_if": {"what_if.rent": "2.0"}, "cost": {"cost.basis": "horizon", "cost.flow_basis": "present"}}
TOLD = (
    *("markdown", "caption", "info", "warning", "success", "error", "title", "header"),
    *("slider", "number_input", "selectbox", "segmented_control", "button", "expander", "text_input"),
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    simulate(load_scenario(SCENARIO, sets=SETS), folder, advise=True)
    return folder


def said(app: AppTest) -> Iterator[str]:
    """Everything that a page shows: words, names and helps of fields, tables with their columns, charts."""
    for kind in TOLD:
        for entry in app.get(kind):
            yield from (str(getattr(entry, name, "")) for name in ("value", "label", "help", "options"))
    for metric in app.metric:
        yield f"{metric.label} {metric.value} {metric.delta}"
    for table in app.dataframe:
        yield from map(str, table.value.columns)
        yield from (str(value) for value in table.value.to_numpy().ravel())
        yield table.proto.columns
    for chart in app.get("arrow_vega_lite_chart") or app.get("vega_lite_chart"):
        spec = json.loads(chart.proto.spec)
        spec.pop("$schema", None)
        yield json.dumps(spec)


@pytest.mark.parametrize(
    "view", few([page.view for page in PAGES], "overview", "cost", "break_even", "sizing", "pareto")
)
def test_no_page_shows_a_dollar(view: str, open_view: Open, runs: Path) -> None:
    app = open_view(view, **CHANGES.get(view, {}))
    assert not app.exception
    assert [error.value for error in app.error] == []
    whole = [text.replace("{}", "") for text in said(app)]
    dollars = [text for text in whole if "$" in text]
    assert [text[:200] for text in dollars] == []
    of_a_run = next(page.needs_run for page in PAGES if page.view == view)
    assert sum(SAYS_THE_RATE in text for text in whole if text.startswith("Amounts in EUR")) == of_a_run
    charted = [text for text in whole if text.startswith("{") and '"usd' in text]
    assert charted == []
    assert view in WITHOUT_AMOUNTS or any("EUR" in text for text in whole if not text.startswith("Amounts"))


def test_cards_have_the_bills_of_the_summary_divided_by_the_rate(open_view: Open, runs: Path) -> None:
    (folder,) = runs.iterdir()
    usd = {name: found["cost"]["usd_per_month"] for name, found in read_bundle(folder).summary["topologies"].items()}
    app = open_view("overview")
    shown = [metric.value for metric in app.metric if "EUR per month" in metric.label]
    assert [float(value.replace(",", "")) for value in shown] == pytest.approx(
        [usd[name] / 2 for name in read_bundle(folder).summary["order"]], abs=0.51
    )


def test_a_page_in_dollars_after_one_in_euros_is_in_dollars(open_view: Open, runs: Path) -> None:
    open_view("cost")
    plain = [one for one in SETS if not one.startswith("currency")]
    run = simulate(load_scenario(SCENARIO, sets=[*plain, "name=plain"]), runs)
    try:
        app = open_view("cost", run=run.bundle.name)
        assert not any("EUR" in text for text in said(app))
        assert any("$" in text for text in said(app))
    finally:
        shutil.rmtree(run.bundle)


def test_the_start_page_asks_for_the_rate_once_a_currency_is_chosen(open_view: Open, runs: Path) -> None:
    app = open_view("start")
    assert not any(field.key == "start.usd_per_unit" for field in app.number_input)
    app.selectbox(key="start.currency").set_value("EUR").run()
    assert any("a currency needs its rate" in error.value for error in app.error)
    app.number_input(key="start.usd_per_unit").set_value(1.08).run()
    app.text_input(key="start.rate_date").set_value("2026-11-20").run()
    app.text_input(key="start.rate_source").set_value("ECB").run()
    assert not app.error
    line = 'currency: {code: "EUR", usd_per_unit: 1.08, date: "2026-11-20", source: "ECB"}'
    assert line in app.code[0].value
