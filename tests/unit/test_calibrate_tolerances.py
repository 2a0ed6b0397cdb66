"""Calibration's yes and no at both sides of each tolerance, and errors by regime, for figures that are made up."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from calibrate.commands.tolerances import Tolerances
from calibrate.experiments.core_schedules import CoreRecording
from calibrate.experiments.validation import _same_engine
from calibrate.fit.fit import _between, by_regime
from calibrate.serving.traffic import _scaled
from calibrate.validate.compare import Comparison, Row, Tolerance, _limits, compare_run
from calibrate.validate.simulate import Served, hand_over_s
from simulator.errors import InputError

RAW, CORRECTED = Tolerance(0.1, 0.2, 0.3), Tolerance(0.01, 0.02, 0.03)


def row(**given: Any) -> Row:
    return replace(Row("ttft", "p50", 1.0, 1.0, 1.0, 0.25, 0.125), **given)


@pytest.mark.parametrize(
    ("given", "within"),
    [
        ({}, True),
        ({"raw": 1.25}, True),
        ({"raw": 1.2501}, False),
        ({"raw": 0.75}, True),
        ({"raw": 0.7499}, False),
        ({"corrected": 1.125}, True),
        ({"corrected": 1.1251}, False),
        ({"corrected": 0.8749}, False),
        ({"raw": 9.0, "tolerance_raw": None}, True),
        ({"corrected": 9.0, "tolerance_corrected": None}, True),
        ({"raw": float("nan")}, False),
    ],
)
def test_both_errors_are_within_their_tolerances(given: dict[str, Any], within: bool) -> None:
    assert row(**given).within is within
    both = Comparison(1.0, 1, 1.0, 1.0, (row(), row(**given)), {})
    assert both.within is within


@pytest.mark.parametrize(
    ("metric", "q", "limits"),
    [
        ("ttft", 50, (0.2, 0.02)),
        ("ttft", 99, (0.3, 0.03)),
        ("tpot", 50, (0.2, 0.02)),
        ("tpot", 99, (0.3, 0.03)),
        ("ttft", 90, (None, None)),
        ("itl", 50, (None, None)),
        ("e2e", 99, (None, None)),
    ],
)
def test_medians_and_tails_have_tolerances_of_their_own(
    metric: str, q: int, limits: tuple[float | None, float | None]
) -> None:
    assert _limits(metric, q, RAW, CORRECTED) == limits


@pytest.mark.parametrize(
    ("slowness", "drift", "said"),
    [
        (1.04, 1.04, None),
        (1.3, 1.1, "decode steps took 30 % longer than profiled"),
        (0.8, 0.9, "decode steps took 20 % shorter than profiled"),
    ],
)
def test_steps_that_are_further_off_than_a_machine_drifts_are_told(
    slowness: float, drift: float, said: str | None
) -> None:
    remark = Comparison(1.0, 1, slowness, drift, (), {}).remark
    assert remark is None if said is None else remark is not None and remark.startswith(said)
    assert said is None or ("during the run" in str(remark)) == (slowness > 1)


def served(scale: float, nothing: str = "") -> Served:
    values = {name: scale * np.array([0.1, 0.2, 0.3]) for name in ("ttft_s", "tpot_s", "gaps_s", "e2e_s")}
    if nothing:
        values[nothing] = np.full(3, np.nan)
    return SimpleNamespace(output_tokens_per_s=100.0 / scale, **values)  # type: ignore[return-value]


def compared(monkeypatch: pytest.MonkeyPatch, slowness: float, nothing: str = "") -> Comparison:
    """What was measured takes 1.2 of what is simulated; scaled steps take what they are scaled by."""
    place = import_module("calibrate.validate.compare")
    monkeypatch.setattr(place, "measured", lambda run: served(1.2, nothing))
    monkeypatch.setattr(place, "measured_slowness", lambda *_: slowness)
    monkeypatch.setattr(place, "simulate", lambda run, config, step: (served(step.factor), None))
    step = SimpleNamespace(factor=1.0, scaled=lambda drift: SimpleNamespace(factor=drift))
    run = SimpleNamespace(rate_rps=2.0, isl=np.ones(7))
    return compare_run(run, None, step, None, RAW, CORRECTED)  # type: ignore[arg-type]


def test_a_run_is_compared_as_it_is_and_with_the_drift_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    found = compared(monkeypatch, 1.04)
    rows = {(one.metric, one.statistic): one for one in found.rows}
    assert (found.rate_rps, found.requests, found.slowness, found.drift) == (2.0, 7, 1.04, 1.04)
    first = rows["throughput", "mean"]
    assert (first.measured, first.raw, first.corrected) == pytest.approx((100 / 1.2, 100.0, 100 / 1.04))
    assert (first.tolerance_raw, first.tolerance_corrected) == (0.1, 0.01)
    median = rows["ttft", "p50"]
    assert (median.measured, median.raw, median.corrected) == pytest.approx((0.24, 0.2, 0.208))
    assert (median.raw_error, median.corrected_error) == pytest.approx((1 / 1.2 - 1, 1.04 / 1.2 - 1))
    assert rows["itl", "p90"].measured == pytest.approx(1.2 * 0.28)
    assert set(rows) == {("throughput", "mean")} | {
        (metric, f"p{q}") for metric in ("ttft", "tpot", "itl", "e2e") for q in (50, 90, 99)
    }
    assert sorted(found.samples) == ["drift-corrected", "measured", "simulated"]
    assert {one.metric for one in compared(monkeypatch, 1.0, "tpot_s").rows} == {"throughput", "ttft", "itl", "e2e"}


@pytest.mark.parametrize(("slowness", "beyond"), [(3.0, True), (0.3, True), (1.0, False)])
def test_no_more_than_a_machine_drifts_is_corrected(
    slowness: float, beyond: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = compared(monkeypatch, slowness)
    bound = import_module("calibrate.validate.compare").DRIFT_BOUND
    assert found.drift == min(max(slowness, 1 - bound), 1 + bound)
    assert (found.remark is not None) == beyond


def test_errors_of_a_fit_are_told_by_regime(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 11 steps of a regime the errors are -50 to 50 %: median 0.3 in size, 0.5 at nine of ten, no bias."""
    errors = np.array([*np.linspace(-0.5, 0.5, 11), 0.1])
    monkeypatch.setattr(import_module("calibrate.fit.fit"), "predict_s", lambda *_: 1 + errors)
    steps = SimpleNamespace(duration_s=np.ones(12), regime=np.array([1] * 11 + [2]))
    found = by_regime(SimpleNamespace(coefficients=None), steps)  # type: ignore[arg-type]
    first, second = found.values()
    assert len(found) == 2, "a regime without steps is left out"
    assert [tuple(vars_of(one)) for one in (first, second)] == [
        (11, pytest.approx(0.3), pytest.approx(0.5), pytest.approx(0.0)),
        (1, pytest.approx(0.1), pytest.approx(0.1), pytest.approx(0.1)),
    ]


def vars_of(one: Any) -> list[Any]:
    return [getattr(one, name) for name in one.__dataclass_fields__]


@pytest.mark.parametrize(("base_s", "each_s"), [(2e-3, 0.0), (2e-3, 1e-4), (0.0, 1e-4)])
def test_what_passes_between_steps_is_a_line_in_the_sequences_of_the_step_before(base_s: float, each_s: float) -> None:
    sequences = np.array([1, 8, 64, 2, 32, 16, 4, 128])
    gap_s = np.array([9.0, *(base_s + each_s * sequences[:-1])])
    gap_s[3] = np.nan
    found = _between(SimpleNamespace(gap_s=gap_s, sequences=sequences))  # type: ignore[arg-type]
    assert found == (pytest.approx(base_s, abs=1e-6), pytest.approx(each_s, abs=1e-8))
    nothing = SimpleNamespace(gap_s=np.full(8, np.nan), sequences=sequences)
    assert _between(nothing) == (0.0, 0.0)  # type: ignore[arg-type]


MODEL = {"model_type": "llama", "hidden_size": 64, "vocab_size": 100, "other": 1}


@pytest.mark.parametrize(
    ("given", "differ"),
    [
        ({}, []),
        ({"device": "l4"}, ["device"]),
        ({"vllm_version": "0.31"}, ["vllm_version"]),
        ({"model": {**MODEL, "other": 2}}, []),
        ({"model": {**MODEL, "hidden_size": 65}, "device": "l4"}, ["model", "device"]),
    ],
)
def test_a_profile_of_another_engine_is_refused_by_what_differs(given: dict[str, Any], differ: list[str]) -> None:
    recording: Any = SimpleNamespace(**{"model": MODEL, "device": "h100", "vllm_version": "0.32"} | given)
    profile: Any = SimpleNamespace(model=MODEL, value={"device": "h100", "vllm_version": "0.32"})
    if not differ:
        _same_engine(profile, "p.json", recording)  # type: ignore[arg-type]
        return
    with pytest.raises(InputError) as refused:
        _same_engine(profile, "p.json", recording)  # type: ignore[arg-type]
    assert [problem.path for problem in refused.value.problems] == differ
    assert ("l4" in str(refused.value)) == ("device" in differ)


def test_one_check_that_differs_is_enough() -> None:
    same, other = (SimpleNamespace(first_difference=found) for found in (None, {"step": 3}))
    assert not CoreRecording((), checks=(same, same)).differs  # type: ignore[arg-type]
    assert CoreRecording((), checks=(same, other)).differs  # type: ignore[arg-type]
    assert not CoreRecording(()).differs


@pytest.mark.parametrize(("low", "high"), [(1.0, 1e9), (80.0, 1e9), (1.0, 150.0), (80.0, 200.0)])
def test_lengths_between_bounds_have_the_mean(low: float, high: float) -> None:
    found = _scaled(np.exp(np.linspace(-2.0, 2.0, 101)), 100.0, low, high)
    assert found.mean() == pytest.approx(100.0, rel=1e-3)
    assert (found.min() >= low, found.max() <= high) == (True, True)
    assert (np.diff(found) >= 0).all()


def test_a_request_at_an_idle_engine_waits_for_its_step() -> None:
    """Steps from 1, 3 and 5 s on of half a second: 0.2, 0.1 and 1 s before them; within one, or behind all, none is."""
    run: Any = SimpleNamespace(
        step_start_s=np.array([1.0, 3.0, 5.0]),
        step_duration_s=np.full(3, 0.5),
        arrival_s=np.array([0.8, 1.2, 2.9, 4.0, 9.0]),
    )
    assert hand_over_s(run) == pytest.approx(0.2)
    run.arrival_s = np.array([0.8, 2.9])
    assert hand_over_s(run) == pytest.approx(0.15)
    run.arrival_s = np.array([1.2, 9.0])
    assert hand_over_s(run) == 0.0
    run.step_start_s = run.step_duration_s = np.zeros(0)
    assert hand_over_s(run) == 0.0


def test_tolerances_that_nobody_gives_are_those_of_the_page() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/calibration.md").read_text("utf-8")
    (told,) = re.findall(r"machine's speed: (\d+), (\d+) and (\d+) %, raw (\d+), (\d+) and (\d+) % unless given", page)
    given = Tolerances()
    usual = (given.throughput, given.median, given.p99, given.raw_throughput, given.raw_median, given.raw_p99)
    assert usual == pytest.approx([int(percent) / 100 for percent in told])
    assert (given.corrected, given.raw) == (Tolerance(0.05, 0.1, 0.2), Tolerance(0.15, 0.15, 0.3))
