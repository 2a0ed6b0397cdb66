"""What a fit leaves out it is scored on, and nothing else; series of published rows weigh by the root of their rows."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from calibrate.fit.points import join
from calibrate.recording.run import read_run
from calibrate.serving.score import BELOW

RECORDED = Path(__file__).parents[1] / "data/vllm-runs/small-llama-cpu.json"


def test_corrections_are_chosen_by_points_that_their_fit_did_not_see(monkeypatch: pytest.MonkeyPatch) -> None:
    place = import_module("calibrate.fit.fit")
    points = join(read_run(RECORDED).steps)
    seen: list[set[float]] = []

    def solve(own: Any, _: Any) -> Any:
        return SimpleNamespace(coefficients=own.steps)

    def predict_s(own: Any, left: Any) -> Any:
        fitted, scored = ({*map(tuple, np.column_stack([of.duration_s, of.tokens]))} for of in (own, left))
        assert not fitted & scored
        assert len(own.tokens) + len(left.tokens) == len(points.repeats)
        seen.append(scored)
        return left.duration_s

    monkeypatch.setattr(place, "solve", solve)
    monkeypatch.setattr(place, "predict_s", predict_s)
    monkeypatch.setattr(place, "correct", lambda own, *_: SimpleNamespace(coefficients=own.steps))
    monkeypatch.setattr(place, "_knots", lambda _: [8.0])
    place._choose(points, (), 3)
    folds = seen[: place._FOLDS]
    assert sum(map(len, folds)) == len(set.union(*folds)), "each point is left out once"
    assert len(set.union(*folds)) == len({*map(tuple, np.column_stack([points.steps.duration_s, points.steps.tokens]))})


def test_a_series_weighs_as_the_root_of_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    place = import_module("calibrate.serving.fit")
    monkeypatch.setattr(place, "regime", lambda row, forecast: BELOW)
    monkeypatch.setattr(place, "source_of", lambda row: {})

    def run(model: str) -> tuple[Any, ...]:
        row = SimpleNamespace(dataset="d", model=model, gpu="g", tp=1, dtype="bf16", figures={("tpot", "mean"): 0.01})
        return (SimpleNamespace(row=row),)

    runs = [*(run("often") for _ in range(4)), run("once")]
    keys = place.residual_keys(runs, [SimpleNamespace(figures={("tpot", "mean"): 0.02})] * 5)
    assert [(k, metric, stat) for k, metric, stat, _ in keys] == [(k, "tpot", "mean") for k in range(5)]
    assert [weight for *_, weight in keys] == pytest.approx([0.5] * 4 + [1.0])
