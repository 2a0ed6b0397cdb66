"""What was simulated is not simulated again, and what is written of it is the same to the byte."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario
from simulator.simulate.store import Store

SIZED = Path(__file__).resolve().parents[1] / "data/scenarios/sized.yaml"


def test_a_run_without_rows_is_read_from_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sets = ["run.horizon_s=20", "topologies.own.pools[base].replicas=auto", "study={months: 4, growth_per_year: 3}"]
    loaded = load_scenario(SIZED, sets=sets)
    first = simulate(loaded, tmp_path / "first", store=Store(tmp_path / "trials"))

    def never(*_: object, **__: object) -> None:
        raise AssertionError("simulated again")

    monkeypatch.setattr(import_module("simulator.simulate.one"), "simulate_fleet", never)
    again = simulate(loaded, tmp_path / "again", store=Store(tmp_path / "trials"))
    files = sorted(file.name for file in first.bundle.iterdir() if file.name != "timing.json")
    assert files == sorted(file.name for file in again.bundle.iterdir() if file.name != "timing.json")
    for file in files:
        assert (first.bundle / file).read_bytes() == (again.bundle / file).read_bytes(), file
