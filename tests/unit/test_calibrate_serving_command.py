"""`calibrate serving` fits the rows that are given, leaves each out in turn, and writes both as catalog data."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from calibrate.serving.parameters import PARAMETERS, present_values
from simulator.catalog.quantity import DATA
from simulator.cli.main import _run


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[Any, ...]]:
    """What each part is asked; every value is fitted at twice what is expected of it."""
    found: dict[str, tuple[Any, ...]] = {}
    runs = SimpleNamespace(all=("all",), composed=("composed",))
    fitted = SimpleNamespace(values={one.name: 2 * one.start for one in PARAMETERS})

    def stand(module: str, name: str, answer: Any) -> None:
        def call(*given: Any) -> Any:
            found[name] = given
            return answer

        monkeypatch.setattr(import_module(module), name, call)

    stand("calibrate.serving.read", "read_tables", "tables")
    stand("calibrate.serving.select", "fit_runs", runs)
    stand("calibrate.serving.fit", "fit", fitted)
    stand("calibrate.serving.crossval", "cross_validate", "validation")
    stand("calibrate.serving.crossval", "error_groups", "groups")
    stand("calibrate.serving.crossval", "tables", "summaries")
    stand("calibrate.serving.publish", "write_overheads", None)
    stand("calibrate.serving.publish", "write_errors", None)
    found["expected"] = (runs, fitted)
    return found


def test_what_is_fitted_is_left_out_in_turn_and_written(
    asked: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "points.csv"
    table.write_text("", encoding="utf-8")
    arguments = ["calibrate", "serving", str(table), "--output", str(tmp_path), "--date", "2026-01-02"]
    assert _run([*arguments, "--rounds", "3", "--quiet"]) == 0
    runs, fitted = asked["expected"]
    assert asked["read_tables"] == ([table],)
    assert asked["fit_runs"] == ("tables",)
    composed, parameters, _, rounds, begin = asked["fit"]
    assert (composed, parameters, rounds, begin) == (runs.composed, PARAMETERS, 3, present_values())
    assert asked["cross_validate"] == (runs.all, runs.composed, fitted, PARAMETERS)
    assert asked["write_overheads"] == (fitted, PARAMETERS, "2026-01-02", tmp_path)
    assert asked["error_groups"] == ("validation",)
    assert asked["tables"] == ("validation", "groups")
    assert asked["write_errors"] == ("groups", "summaries", "2026-01-02", tmp_path)
    header, _, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["parameter", "expected", "fitted", "unit"]
    for row, one in zip(rows, PARAMETERS, strict=True):
        name, expected, value = row.split()[:3]
        assert name == one.name
        assert (float(expected), float(value)) == pytest.approx((one.start, 2 * one.start), rel=5e-3)


def test_the_catalog_is_what_is_written_unless_another_folder_is_named(asked: dict[str, Any], tmp_path: Path) -> None:
    table = tmp_path / "points.csv"
    table.write_text("", encoding="utf-8")
    assert _run(["calibrate", "serving", str(table), "--quiet"]) == 0
    assert asked["write_overheads"][-1] == asked["write_errors"][-1] == DATA
