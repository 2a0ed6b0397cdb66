"""Sweeps in the browser: what is chosen is what is swept, and what came of it is shown."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import jobs
from dashboard.components.main_values import main_values
from simulator.results.bundle import Bundle
from simulator.scenario.load import load_scenario
from simulator.scenario.set_lines import path_text
from simulator.sweep.grid import read_sweep
from simulator.sweep.sweep import run_sweep

Open = Callable[..., AppTest]
RATE = "workload.classes[chat].arrivals.rate_rps"
SIZE = "topologies.own.pools[base].replicas"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the view asks for, which is not begun."""
    found: list[dict[str, Any]] = []

    def start(out: Path, place: str, text: str, *_: Any, grid: list[str], **__: Any) -> str:
        found.append({"place": place, "text": text, "grid": grid})
        return "none"

    monkeypatch.setattr(jobs, "start", start)
    return found


def test_the_chosen_keys_and_values_are_swept(open_view: Open, asked: list[dict[str, Any]], tmp_path: Path) -> None:
    app = open_view("sweep")
    assert [error.value for error in app.error] == []
    assert app.selectbox(key="sweep.path.0").value == RATE
    assert app.text_input(key=f"sweep.values.0.{RATE}").value == "2, 4, 6, 8"
    app.selectbox(key="sweep.path.1").set_value(SIZE).run()
    assert any("8 points, 3 topologies" in caption.value for caption in app.caption)
    app.text_input(key=f"sweep.values.1.{SIZE}").set_value("1, 3, 5").run()
    app.button(key="sweep.run").click().run()
    (given,) = asked
    assert (given["place"], given["grid"]) == ("small.yaml", [f"{RATE}=2, 4, 6, 8", f"{SIZE}=1, 3, 5"])
    (tmp_path / "small.yaml").write_text(given["text"])
    assert len(read_sweep(tmp_path / "small.yaml", given["grid"]).points()) == 12


@pytest.mark.parametrize("values", ["", "[1", ", ,"])
def test_what_cannot_be_read_is_told_and_not_begun(open_view: Open, values: str) -> None:
    app = open_view("sweep")
    app.text_input(key=f"sweep.values.0.{RATE}").set_value(values).run()
    assert len(app.error) == 1
    assert app.button(key="sweep.run").disabled
    assert not app.exception


def test_one_key_twice_and_too_many_points_are_refused(open_view: Open) -> None:
    app = open_view("sweep")
    app.selectbox(key="sweep.path.1").set_value(RATE).run()
    assert "varied twice" in app.error[0].value
    assert app.button(key="sweep.run").disabled
    app.selectbox(key="sweep.path.1").set_value(None).run()
    app.text_input(key=f"sweep.values.0.{RATE}").set_value(", ".join(map(str, range(1, 102)))).run()
    assert app.button(key="sweep.run").disabled
    assert "At most 100 points" in app.warning[0].value


def test_every_offered_path_names_its_value(bundle: Bundle) -> None:
    loaded = load_scenario(bundle.scenario_file)
    for value in main_values(loaded):
        path = path_text(loaded.document.data, value.steps)
        changed = load_scenario(bundle.scenario_file, sets=[f"{path}={value.value}"])
        assert changed.scenario == loaded.scenario, path
    assert RATE in {path_text(loaded.document.data, value.steps) for value in main_values(loaded)}


def test_what_came_of_a_sweep_is_shown(open_view: Open, bundle: Bundle, runs: Path) -> None:
    sets = ["run.replications=1"]
    found = run_sweep(read_sweep(bundle.scenario_file, [f"{RATE}=2,900", f"{SIZE}=1,2"], sets=sets), runs, jobs=1)
    try:
        app = open_view("sweep")
        assert [error.value for error in app.error] == []
        assert app.selectbox(key="sweep.shown").value == found.bundle.name
        shown = next(frame.value for frame in app.dataframe if "SLO met" in frame.value.columns)
        assert len(shown) == len(found.table) == 12
        assert set(shown["rate_rps"]) == {"2", "900"}
    finally:
        shutil.rmtree(found.bundle)
