"""The Load view on a run with cold starts, faults and outages, and on one without."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.settings import Settings
from simulator.results.bundle import Bundle, read_bundle
from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario

Open = Callable[..., AppTest]
SCENARIO = Path(__file__).resolve().parents[1] / "data/scenarios/troubled.yaml"
_QUIET = "Nothing was started, nothing failed."
_EVENTS = "cold starts, faults and outages"


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return read_bundle(simulate(load_scenario(SCENARIO), tmp_path_factory.mktemp("troubled")).bundle)


def rows(app: AppTest) -> list[dict[str, Any]]:
    """Rows of the chart from top to bottom, as Vega-Lite has them."""
    (chart,) = app.get("arrow_vega_lite_chart") or app.get("vega_lite_chart")
    found: list[dict[str, Any]] = json.loads(chart.proto.spec)["vconcat"]
    return found


@pytest.mark.parametrize("topology", ["rented", "hybrid"])
def test_what_failed_is_drawn_and_counted(
    open_view: Open, troubled: Bundle, monkeypatch: pytest.MonkeyPatch, topology: str
) -> None:
    place = str(troubled.path.parent)
    monkeypatch.setattr("dashboard.context.settings", lambda: Settings((place,), place))
    app = open_view("load", run=troubled.path.name, **{"load.topology": topology})
    assert not app.exception
    assert [error.value for error in app.error] == []
    assert app.selectbox(key="load.topology").value == topology
    assert rows(app)[-1]["title"]["text"] == _EVENTS
    assert _QUIET not in [caption.value for caption in app.caption]
    shown = next(table.value for table in app.dataframe if "failures" in table.value.columns)
    for pool in troubled.summary["topologies"][topology]["pools"]:
        (row,) = shown[shown["pool"] == pool["name"]].to_dict("records")
        for words, key in (
            ("launches", "launches"),
            ("failures", "failures"),
            ("spot reclaims", "reclaims"),
            ("stock-outs", "stockouts"),
            ("zone outages", "outages"),
        ):
            assert row[words] == pool[key]


def test_a_run_in_which_nothing_failed_says_so(open_view: Open) -> None:
    app = open_view("load", **{"load.topology": "own"})
    assert _QUIET in [caption.value for caption in app.caption]
    titles = [row["title"]["text"] for row in rows(app)]
    assert _EVENTS not in titles
    assert titles[0] == "requests arriving per s"
    assert rows(app)[0]["title"]["subtitle"].startswith("dashed")


def test_who_comes_next_sees_what_was_drawn_before(
    open_view: Open, troubled: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = str(troubled.path.parent)
    monkeypatch.setattr("dashboard.context.settings", lambda: Settings((place,), place))
    first = rows(open_view("load", run=troubled.path.name, **{"load.topology": "rented"}))
    monkeypatch.setattr("dashboard.views.load.load_over_time", lambda _: pytest.fail("drawn anew"))
    assert rows(open_view("load", run=troubled.path.name, **{"load.topology": "rented"})) == first
