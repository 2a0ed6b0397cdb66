"""Scores of published results that are made up: regimes at their borders, requests in flight, errors, knees."""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from calibrate.serving import score
from calibrate.serving.forecast import _served
from calibrate.serving.knee import Knee, knees
from calibrate.serving.measured import Burst, ClosedLoop, Figures, OpenLoop
from calibrate.serving.score import (
    BELOW,
    BURST,
    LEVELS,
    SATURATED,
    by_metric,
    counts,
    grouped,
    in_flight,
    regime,
    summary,
)
from simulator.perf.steptime import constant_step_time
from simulator.workload.requests import make_requests


def row(load: Any, figures: Figures | None = None, **given: Any) -> Any:
    base = {"isl": 100.0, "osl": 20.0, "generated_tokens": 20, "num_requests": 1000, "row_id": "r", "place": "f:1"}
    base |= {"dataset": "d", "model": "m", "gpu": "h100", "gpus": 1, "tp": 1, "dtype": "bf16", "workload": "w"}
    return SimpleNamespace(load=load, figures=figures or {}, engine_version="", **{**base, **given})


def forecast(
    figures: dict[tuple[str, str], float] | None = None, kv_tokens: int = 1100, alone_ttft_s: float = 0.3
) -> Any:
    return SimpleNamespace(figures=figures or {}, kv_tokens=kv_tokens, alone_ttft_s=alone_ttft_s)


def open_loop(rate_rps: float) -> OpenLoop:
    return OpenLoop(rate_rps, "poisson")


REQUESTS, E2E, TTFT, TPOT = ("throughput", "requests"), ("e2e", "mean"), ("ttft", "mean"), ("tpot", "mean")


@pytest.mark.parametrize(
    ("load", "figures", "given", "found"),
    [
        (Burst(), {}, {}, BURST),
        (ClosedLoop(10), {}, {}, BELOW),  # 10 users hold 100 + 20/2 tokens each: 1,100
        (ClosedLoop(11), {}, {}, SATURATED),
        (ClosedLoop(10), {}, {"num_requests": 20}, BELOW),  # half of them are sent at once
        (ClosedLoop(10), {}, {"num_requests": 19}, BURST),
        (ClosedLoop(11), {}, {"num_requests": 21}, BURST),
        (ClosedLoop(10), {}, {"num_requests": None}, BELOW),
        (open_loop(2.0), {TTFT: 1.5}, {}, BELOW),  # five times 0.3 s
        (open_loop(2.0), {TTFT: 1.51}, {}, SATURATED),
        (open_loop(2.0), {("ttft", "p50"): 1.51}, {}, SATURATED),
        (open_loop(2.0), {TTFT: 0.1, ("ttft", "p50"): 9.0}, {}, BELOW),
        # of 2 a second 1.86 are enough, where 500 s are more than five times the stay of 99 s
        (open_loop(2.0), {REQUESTS: 1.86, E2E: 99.0}, {}, BELOW),
        (open_loop(2.0), {REQUESTS: 1.85, E2E: 99.0}, {}, SATURATED),
        (open_loop(2.0), {REQUESTS: 1.85, E2E: 100.0}, {}, BELOW),
        (open_loop(2.0), {REQUESTS: 1.0, E2E: 9.0}, {"num_requests": None}, BELOW),
        (open_loop(2.0), {REQUESTS: 1.0}, {}, BELOW),
        (
            open_loop(2.0),
            {REQUESTS: 1.0, TTFT: 0.5, TPOT: 5.0},
            {},
            SATURATED,
        ),
        (open_loop(2.0), {REQUESTS: 1.0, TTFT: 0.5, TPOT: 5.3}, {}, BELOW),
    ],
)
def test_the_regime_of_a_row(load: Any, figures: Any, given: dict[str, Any], found: str) -> None:
    assert regime(row(load, figures, **given), forecast()) == found


def test_a_short_ttft_is_no_queue_however_many_times_it_is_that_of_one() -> None:
    assert regime(row(open_loop(2.0), {TTFT: 1.0}), forecast(alone_ttft_s=0.01)) == BELOW
    assert regime(row(open_loop(2.0), {TTFT: 1.01}), forecast(alone_ttft_s=0.01)) == SATURATED


@pytest.mark.parametrize(
    ("load", "figures", "found"),
    [
        (ClosedLoop(7), {REQUESTS: 9.0}, 7.0),
        (open_loop(9.0), {REQUESTS: 2.0, E2E: 3.0}, 6.0),
        (open_loop(9.0), {("throughput", "output"): 40.0, E2E: 3.0}, 6.0),
        (
            open_loop(9.0),
            {REQUESTS: 2.0, ("ttft", "p50"): 0.5, ("tpot", "p50"): 0.1},
            2 * (0.5 + 19 * 0.1),
        ),
        (open_loop(9.0), {REQUESTS: 2.0}, None),
        (open_loop(9.0), {E2E: 3.0}, None),
    ],
)
def test_requests_in_flight_are_the_rate_times_the_stay(load: Any, figures: Any, found: float | None) -> None:
    value = in_flight(row(load, figures))
    assert np.isnan(value) if found is None else value == pytest.approx(found)


def lines(*rows: tuple[str, str, float, bool]) -> pd.DataFrame:
    columns = ["metric", "regime", "error", "within"]
    return pd.DataFrame(list(rows), columns=columns).assign(gpu=["a", "b"] * (len(rows) // 2) + ["a"] * (len(rows) % 2))


def test_errors_are_summed_up() -> None:
    table = lines(*(("tpot", BELOW, error, error < 0.25) for error in (-0.1, 0.2, 0.3, -0.2, 0.0)))
    assert summary(table) == {
        "rows": 5,
        "median_abs_error": pytest.approx(0.2),
        "p90_abs_error": pytest.approx(0.26),
        "bias": pytest.approx(0.0),
        "coverage": pytest.approx(0.8),
    }
    assert summary(table[:0]) == {"rows": 0}


def test_places_in_a_queue_are_not_scored() -> None:
    assert [counts(metric, BELOW) for metric in ("ttft", "tpot", "throughput", "e2e")] == [True] * 4
    assert [counts(metric, SATURATED) for metric in ("ttft", "tpot", "throughput", "e2e")] == [False, True, True, False]
    table = lines(("ttft", SATURATED, 9.0, False), ("tpot", SATURATED, 0.1, True), ("ttft", BELOW, 0.5, True))
    found = by_metric(table)
    assert {name: (one["rows"], one["median_abs_error"]) for name, one in found.items()} == {
        "ttft": (1, 0.5),
        "tpot": (1, 0.1),
    }
    by_gpu = grouped(table, "gpu")
    assert {gpu: sorted(found) for gpu, found in by_gpu.items()} == {"a": ["ttft"], "b": ["tpot"]}
    assert sorted(grouped(table, lambda part: part["regime"])) == sorted([BELOW, SATURATED])


def test_tpot_of_a_full_server_is_held_against_an_error_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    known = SimpleNamespace(tpot_p90=0.1, tpot_full_p90=0.5, ttft_p90=0.3, throughput_p90=0.2)
    monkeypatch.setattr(score, "expected_error", lambda gpu, experts: known)
    one = row(Burst(), model="llama-3.1-8b", gpu="h100-sxm")
    of = {regime: [score.stated_p90(one, m, regime) for m in score.SCORED] for regime in (BELOW, SATURATED, BURST)}
    assert list(score.SCORED) == ["ttft", "tpot", "throughput", "e2e"]
    assert of[BELOW] == [0.3, 0.1, 0.2, 0.1]
    assert of[SATURATED] == of[BURST] == [0.3, 0.5, 0.2, 0.5]


def test_a_row_has_an_error_for_each_metric_by_the_first_statistic_that_both_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(score, "stated_p90", lambda row, metric, regime_name: 0.1)
    monkeypatch.setattr(score, "source_of", lambda row: {"statistic": "p50"} if row.dataset == "vague" else {})
    figures = {("ttft", "p50"): 0.2, TTFT: 0.5, TPOT: 0.01, ("e2e", "p50"): 2.0}
    told = {TTFT: 0.45, TPOT: 0.0111, E2E: 1.0}
    one = score.score(row(open_loop(2.0), figures), forecast(told))
    (ttft, tpot) = score.frame([one]).to_dict("records")
    assert (ttft["metric"], ttft["statistic"], ttft["measured"], ttft["simulated"]) == ("ttft", "mean", 0.5, 0.45)
    assert (ttft["error"], ttft["within"]) == (pytest.approx(-0.1), True)
    assert (tpot["error"], tpot["within"]) == (pytest.approx(0.11), False)
    assert (ttft["row_id"], ttft["load"], ttft["amount"], ttft["regime"]) == ("r", "OpenLoop", 2.0, BELOW)
    assert (ttft["documented"], ttft["compared_only"]) == (True, False)
    (vague, _) = score.frame([score.score(row(open_loop(2.0), figures, dataset="vague"), forecast(told))]).to_dict(
        "records"
    )
    assert not vague["documented"]


@pytest.mark.parametrize(("users", "level"), [(3, 0), (4, 1), (15, 1), (16, 2), (64, 3), (255, 3), (256, 4), (9999, 4)])
def test_levels_of_load_begin_at_their_lower_bound(users: int, level: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score, "source_of", lambda row: {})
    one = score.score(row(ClosedLoop(users)), forecast())
    assert score._names(one)["level"] == score.level_titles()[level]
    assert len(score.level_titles()) == len(LEVELS) - 1


def at(rate_rps: float, measured_s: float, simulated_s: float, **given: Any) -> Any:
    figures, told = ({("ttft", "p50"): seconds} for seconds in (measured_s, simulated_s))
    return score.Scored(row(open_loop(rate_rps), figures, **given), forecast(told), BELOW, 1.0)


def test_a_knee_is_the_first_rate_beyond_twice_the_ttft_of_the_lowest() -> None:
    series = [at(4.0, 0.21, 0.5), at(1.0, 0.1, 0.2), at(8.0, 0.9, 0.1), at(2.0, 0.2, 0.4)]
    (found,) = knees([*series, at(1.0, 9.0, 9.0, gpu="l4"), at(2.0, 9.0, 9.0, gpu="l4")])
    assert found == Knee("d m h100 tp1 bf16 w", (1.0, 2.0, 4.0, 8.0), 2, 2)
    assert found.steps_apart == 0
    (flat,) = knees([at(rate, 0.1, 0.1 * rate) for rate in (1.0, 2.0, 4.0)])
    assert (flat.measured, flat.simulated, flat.steps_apart) == (3, 2, 1)
    users = [score.Scored(row(ClosedLoop(n), {("ttft", "p50"): 1.0}), forecast(), BELOW, 1.0) for n in (1, 2, 3)]
    assert knees(users) == []


def test_requests_come_to_the_server_when_the_api_process_has_heard_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two at once the engine hears when both have taken the process 0.5 s; of a later turn 0.5 s after it came."""
    asked: list[tuple[list[float], list[float]]] = []

    def run_single(config: Any, step_time: Any, requests: Any, replicas: int) -> Any:
        asked.append((requests.arrival_s.tolist(), requests.think_s.tolist()))
        records = np.zeros(len(requests), [("arrival_s", float), ("request", int)])
        records["arrival_s"] = np.where(np.isnan(requests.arrival_s), 90.0, requests.arrival_s)
        records["request"] = np.arange(len(requests))
        return SimpleNamespace(records=records[::-1].copy())

    monkeypatch.setattr(import_module("calibrate.serving.forecast"), "run_single", run_single)
    arrival_s = np.array([0.0, 0.0, 5.0, np.nan])
    turns = {"next_turn": np.array([3, -1, -1, -1]), "think_s": np.array([0.0, 0.0, 0.0, 2.0])}
    requests = make_requests(arrival_s, np.full(4, 9), np.full(4, 2), session_id=np.array([0, 1, 2, 0]), **turns)
    case: Any = SimpleNamespace(
        row=SimpleNamespace(dp=1), traffic=SimpleNamespace(requests=requests), engine=SimpleNamespace(config=None)
    )
    step = constant_step_time(0.1, 64, 1)
    assert _served(case, step, 0.5)["arrival_s"].tolist() == [89.5, 5.0, 0.0, 0.0]
    came, pauses = asked.pop()
    assert came[:3] == pytest.approx([1.0, 1.0, 5.5])
    assert pauses == [0.0, 0.0, 0.0, 2.5]
    assert _served(case, step, 0.0)["arrival_s"].tolist() == [90.0, 5.0, 0.0, 0.0]
    assert asked.pop()[1] == [0.0, 0.0, 0.0, 2.0]
