"""What keeps the figures from being taken as they are stands above them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.settings import Settings
from simulator.catalog.titles import in_titles
from simulator.resolve.topology import plan_topologies
from simulator.run.simulate import simulate
from simulator.run.trust import doubts
from simulator.scenario.load import load_scenario

SCENARIO = Path(__file__).resolve().parents[1] / "data/scenarios/dashboard.yaml"


def test_a_queue_that_only_grows_is_told_above_the_figures(
    open_view: Callable[..., AppTest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowded = [
        "workload.classes[chat].arrivals.rate_rps=400",
        "run.horizon_s=20",
        "run.replications=1",
        "run.drain_s=1",
    ]
    found = simulate(load_scenario(SCENARIO, sets=[*crowded, "run.warmup_s=0"]), tmp_path)
    monkeypatch.setattr("dashboard.context.settings", lambda: Settings((str(tmp_path),), str(tmp_path)))
    app = open_view("overview", run=found.bundle.name)
    assert any("own" in error.value and "unstable" in error.value for error in app.error)
    assert any("requests unfinished" in error.value for error in app.error)


def test_doubts_in_step_times_are_told_in_overview_and_calibration(
    open_view: Callable[..., AppTest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = ["run.horizon_s=20", "run.warmup_s=0", "run.replications=1"]
    unlike = ["gpu=l4", "price_usd_per_gpu_hour=0.8"]
    sets = [*short, *(f"topologies.cloud.pools[rented].{value}" for value in unlike)]
    loaded = load_scenario(SCENARIO, sets=sets)
    said = {text for planned in plan_topologies(loaded) for text in doubts(planned.engines)}
    assert said
    found = simulate(loaded, tmp_path)
    monkeypatch.setattr("dashboard.context.settings", lambda: Settings((str(tmp_path),), str(tmp_path)))
    for view in ("overview", "calibration"):
        shown = [warning.value.partition(": ")[2] for warning in open_view(view, run=found.bundle.name).warning]
        assert set(shown) == {in_titles(text) for text in said} != said


def test_a_quiet_run_has_no_alarm(open_view: Callable[..., AppTest]) -> None:
    assert not open_view("overview").error


def test_baseline_and_topologies_come_from_the_address(open_view: Callable[..., AppTest]) -> None:
    app = open_view("overview", baseline="cloud", topologies="cloud")
    assert app.selectbox(key="baseline").value == "cloud"
    assert app.multiselect(key="topologies").value == ["cloud"]
    sizes, figures = (app.dataframe[k].value for k in (0, 1))
    assert sizes["topology"].tolist() == ["cloud"]
    assert list(figures.columns) == ["figure", "cloud"]
    wrong = open_view("overview", baseline="nobody", topologies="nothing")
    assert not wrong.error
    assert wrong.selectbox(key="baseline").value == "own"
    assert wrong.multiselect(key="topologies").value == ["own", "cloud", "api"]
