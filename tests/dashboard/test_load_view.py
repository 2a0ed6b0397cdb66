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
_QUIET = "No replica was started, and none failed, and no request was lost."
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
    shown = next(table.value for table in app.dataframe if "peak replicas" in table.value.columns)
    for pool in troubled.summary["topologies"][topology]["pools"]:
        (row,) = shown[shown["pool"] == pool["name"]].to_dict("records")
        for words, key in (
            ("launches", "launches"),
            ("failures", "failures"),
            ("spot reclaims", "reclaims"),
            ("stock-outs", "stockouts"),
            ("zone outages", "outages"),
        ):
            assert row.get(words, 0) == pool[key]


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


def test_a_run_that_lost_requests_without_any_event_does_not_say_that_nothing_was_lost(
    open_view: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten requests wait at most a tenth of a second for a replica that serves one at a time."""
    sets = ["engine.batching=one_at_a_time", "workload.classes[chat].timeout_s=0.1"]
    quiet = SCENARIO.with_name("small.yaml")
    run = read_bundle(simulate(load_scenario(quiet, sets=sets), tmp_path).bundle)
    (name, *_) = run.summary["topologies"]
    monkeypatch.setattr("dashboard.context.settings", lambda: Settings((str(tmp_path),), str(tmp_path)))
    app = open_view("load", run=run.path.name, **{"load.topology": name})
    captions = [caption.value for caption in app.caption]
    assert "No replica was started, and none failed; requests were lost all the same." in captions
    assert _QUIET not in captions


def test_all_topologies_of_another_run_are_shown_unless_some_were_chosen(
    open_view: Open, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a run of `own` and `mixed` to one of `own` and `more`: who saw all sees all, who chose `own` sees that."""
    sets = [
        "topologies.mixed=null",
        "topologies.more={pools: [{name: p, site: datacentre, gpu: h100-sxm, replicas: 2, billing: owned}]}",
    ]
    other = read_bundle(simulate(load_scenario(SCENARIO.with_name("small.yaml"), sets=sets), tmp_path).bundle)
    places = (str(runs), str(tmp_path))
    monkeypatch.setattr("dashboard.context.settings", lambda: Settings(places, str(tmp_path)))
    (first,) = runs.glob("small-*")
    for chosen, shown in ((None, {"own", "more"}), (["own"], {"own"})):
        app = open_view("load", run=first.name)
        if chosen:
            app.multiselect(key="topologies").set_value(chosen).run()
        app.selectbox(key="run").select(other.path.name).run()
        assert set(app.multiselect(key="topologies").value) == shown


def test_a_run_of_hours_is_shown_by_the_hour(open_view: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Three hours from Tuesday at six: the second of them is what the link names."""
    rare = [f"workload.classes[{name}].arrivals.rate_rps=0.01" for name in ("chat", "secret")]
    sets = ["run.horizon_s=10800", "run.start=tue 6:00", "run.replications=1", *rare]
    found = simulate(load_scenario(SCENARIO.with_name("small.yaml"), sets=sets), tmp_path).bundle
    monkeypatch.setattr("dashboard.context.settings", lambda: Settings((str(tmp_path),), str(tmp_path)))
    app = open_view("load", run=found.name, **{"load.topology": "own", "load.window": ["1", "2"]})
    assert [error.value for error in app.error] == []
    (slider,) = app.slider
    assert slider.label == "Shown hours"
    assert slider.max == pytest.approx(3, abs=0.1)
    assert "From Tue 07:00 to Tue 08:00." in [caption.value for caption in app.caption]
    encoding = rows(app)[0].get("encoding") or rows(app)[0]["layer"][0]["encoding"]
    assert encoding["x"]["scale"]["domain"] == [60.0, 120.0]
