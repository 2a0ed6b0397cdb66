"""A live watch of made-up readings: what arrived, how long answers waited, what is noise; each figure by hand."""

from __future__ import annotations

from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from calibrate.live.drift import Drift, Slice, _ttft_excess, estimate, slices
from calibrate.live.histogram import Histogram
from calibrate.live.poll import Gap
from calibrate.live.report import corrected_profile, watch_value, yaml_text
from calibrate.live.scrape import Snapshot
from calibrate.live.twin import Twin, _row, compare, server_config, simulate_twin
from calibrate.live.window import Observation, Window, observe
from simulator.engine.config import EngineConfig
from simulator.errors import InputError
from simulator.perf.steptime import constant_step_time
from simulator.workload.requests import make_requests

CONFIG = EngineConfig(100, block_size=16, max_num_seqs=1, max_num_batched_tokens=64, max_model_len=512)


def histogram(values: list[float], edges: tuple[float, ...] = (0.1, 1.0, np.inf)) -> Histogram:
    cumulative = np.array([sum(value <= edge for value in values) for edge in edges], np.float64)
    return Histogram(np.array(edges), cumulative, float(sum(values)))


def reading(time_s: float, finished: float, running: float, waiting: float, seen: list[float]) -> Snapshot:
    gauges = {"running": running, "waiting": waiting, "kv_usage": 0.01 * time_s}
    return Snapshot(time_s, {"finished": finished}, gauges, {"ttft_s": histogram(seen)}, {"block_size": "16"})


def test_arrivals_are_what_finished_and_how_many_more_are_there() -> None:
    """10 finished, and of 7 that were there 12 are: 15 came. Then 8 finish, of 12 none is left, and 4 did not come."""
    first = reading(0.0, 100, 3, 4, [0.05])
    second = reading(10.0, 110, 8, 4, [0.05, 0.5, 0.5])
    third = reading(25.0, 118, 0, 0, [0.05, 0.5, 0.5, 2.0])
    found = observe([first, second, third])
    assert [window.arrivals for window in found.windows] == [15.0, 0.0]
    assert [(window.start_s, window.end_s, window.duration_s) for window in found.windows] == [
        *((0.0, 10.0, 10.0), (10.0, 25.0, 15.0)),
    ]
    assert [window.counters for window in found.windows] == [{"finished": 10}, {"finished": 8}]
    assert [(window.running, window.waiting, window.kv_usage) for window in found.windows] == [
        (8, 4, 0.1),
        (0, 0, 0.25),
    ]
    assert [window.histograms["ttft_s"].cumulative.tolist() for window in found.windows] == [[0, 2, 2], [0, 0, 1]]
    assert (found.duration_s, found.arrivals, found.counter("finished")) == (25.0, 15.0, 18)
    assert found.histogram("ttft_s").mean == pytest.approx((0.5 + 0.5 + 2.0) / 3)
    assert (found.gaps, found.cache) == ((), {"block_size": "16"})


def test_what_interrupts_a_watch_is_told_and_spanned_by_no_window() -> None:
    readings = [reading(10.0 * k, 100 + k, 0, 0, [0.05]) for k in range(4)]
    restarted = reading(40.0, 3, 0, 0, [])
    gap = Gap(15.0, "no answer")
    found = observe([readings[0], gap, readings[1], readings[2], readings[2], restarted, gap, Gap(50.0, "later")])
    assert [(window.start_s, window.end_s) for window in found.windows] == [(10.0, 20.0)]
    assert found.gaps == (
        *((0.0, 10.0, "no answer"), (20.0, 40.0, "the server was restarted")),
        (40.0, 50.0, "no answer"),
    )
    assert observe([gap]).gaps == ()


def test_the_twin_tells_waiting_from_prefill_and_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two requests come at once, one is served at a time: 3 steps of 0.1 s each, of which the first is the prompt's."""
    requests = make_requests(np.zeros(2), np.array([20, 20]), np.array([3, 3]))
    monkeypatch.setattr(import_module("calibrate.live.twin"), "twin_requests", lambda observation, seed: requests)
    twin = simulate_twin(SimpleNamespace(), CONFIG, constant_step_time(0.1, 64, 1), 0)  # type: ignore[arg-type]
    found = {name: sorted(np.round(values, 6).tolist()) for name, values in twin.latencies_s.items()}
    assert found["queue_s"] == pytest.approx([0.0, 0.3])
    assert found["prefill_s"] == pytest.approx([0.1, 0.1])
    assert found["ttft_s"] == pytest.approx([0.1, 0.4])
    assert found["e2e_s"] == pytest.approx([0.3, 0.6])
    assert found["tpot_s"] == found["itl_s"] == pytest.approx([0.1, 0.1])
    assert (twin.osl.tolist(), twin.preemptions, twin.hit_share) == ([3, 3], 0, 0.0)


def twin_of(ttft_s: list[float], osl: list[int] | None = None, itl_s: list[float] | None = None) -> Twin:
    n = len(ttft_s)
    latencies = {name: np.array(ttft_s) for name in ("ttft_s", "tpot_s", "e2e_s", "queue_s", "prefill_s")}
    latencies["itl_s"] = np.array(itl_s or ttft_s)
    lengths = np.array(osl or [2] * n, np.int32)
    return Twin(np.zeros(n), np.arange(n, dtype=np.float64), lengths, latencies, 0, 0.0)


def seen(values: dict[str, list[float]], edges: tuple[float, ...] = (0.1, 0.2, 1.0, np.inf)) -> Observation:
    histograms = {name: histogram(values.get(name, []), edges) for name in ("ttft_s", "itl_s")}
    others = {name: histogram([], edges) for name in ("tpot_s", "e2e_s", "queue_s", "prefill_s")}
    return Observation((Window(0.0, 10.0, 0.0, {}, histograms | others, 0.0, 0.0, 0.0),), (), {})


@pytest.mark.parametrize(
    ("measured_s", "excess_s"), [(0.219, None), (0.225, 0.025), (0.181, None), (0.175, -0.025), (0.2, None)]
)
def test_an_excess_within_the_noise_is_not_told(measured_s: float, excess_s: float | None) -> None:
    """100 answers of 0.1 or 0.3 s have a mean of 0.2 s, known to two standard errors of 0.01 s."""
    found = _ttft_excess(seen({"ttft_s": [measured_s] * 3}), twin_of([0.1, 0.3] * 50))
    assert found == (None if excess_s is None else pytest.approx(excess_s))
    assert _ttft_excess(seen({"ttft_s": [1.0]}), twin_of([np.nan])) is None


def test_means_and_quantiles_of_gaps_count_each_gap() -> None:
    twin = twin_of([0.5, 0.1, 0.2], osl=[1, 2, 10], itl_s=[np.nan, 0.1, 0.2])
    assert twin.mean_s("itl_s") == pytest.approx((0.1 + 9 * 0.2) / 10)
    assert twin.mean_s("ttft_s") == pytest.approx(0.8 / 3)
    assert [twin.quantile_s("itl_s", q) for q in (0.05, 0.1, 0.11, 1.0)] == [0.1, 0.1, 0.2, 0.2]
    assert [twin.quantile_s("ttft_s", q) for q in (0.3, 0.5, 0.9)] == [0.1, 0.2, 0.5]
    nothing = twin_of([0.5], osl=[1], itl_s=[np.nan])
    assert np.isnan(nothing.mean_s("itl_s"))
    assert np.isnan(nothing.quantile_s("itl_s", 0.5))
    assert np.isnan(twin_of([np.nan]).mean_s("ttft_s"))


@pytest.mark.parametrize(("predicted", "error"), [(0.15, 0.0), (0.1, 0.0), (0.2, 0.0), (0.25, 0.25), (0.05, -0.5)])
def test_a_quantile_is_off_by_what_lies_outside_of_its_bucket(predicted: float, error: float) -> None:
    row = _row("ttft_s", "p50", 0.1, 0.2, predicted)
    assert row["error"] == pytest.approx(error)
    assert row["bound"] == pytest.approx(0.05 / 0.15), "half of the bucket's width over its middle"
    assert (row["measured_low"], row["measured_high"], row["predicted"]) == (0.1, 0.2, predicted)


def test_what_buckets_of_vllm_hide_is_what_the_page_says() -> None:
    """Bounds of `vllm:time_to_first_token_seconds` from 5 ms to 160 s (vllm/v1/metrics/loggers.py)."""
    edges_s = [0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0]
    bounds = [_row("ttft_s", "p50", *edges, edges[0])["bound"] for edges in pairwise([*edges_s, 160.0])]
    least, most = min(bounds), max(bounds)
    page = (Path(__file__).resolve().parents[2] / "docs/model/live.md").read_text("utf-8")
    told = f"{200 * least:.0f} to {200 * most:.0f} % of their middle wide, so ±{100 * least:.0f} to ±{100 * most:.0f} %"
    assert told in page


def test_an_open_bucket_bounds_nothing() -> None:
    row = _row("ttft_s", "p99", 1.0, np.inf, 3.0)
    assert row["error"] == 0.0
    assert np.isnan(row["bound"])
    assert np.isnan(_row("ttft_s", "p99", 0.0, 0.0, 3.0)["error"])
    assert np.isnan(_row("ttft_s", "p99", 0.1, 0.2, np.nan)["error"])


def test_each_statistic_of_each_latency_is_compared_but_for_those_below_a_millisecond() -> None:
    rows = compare(
        seen({"ttft_s": [0.15] * 9 + [0.5], "itl_s": [0.0001]}, (0.0005, 0.2, 1.0, np.inf)), twin_of([0.12] * 4)
    )
    by_name = {(row["metric"], row["statistic"]): row for row in rows}
    assert by_name["ttft_s", "mean"]["measured_low"] == pytest.approx((9 * 0.15 + 0.5) / 10)
    assert by_name["ttft_s", "mean"]["error"] == pytest.approx(0.12 / 0.185 - 1)
    assert [by_name["ttft_s", name]["measured_high"] for name in ("p50", "p90", "p99")] == [0.2, 0.2, 1.0]
    quiet = compare(seen({"ttft_s": [0.0001] * 5}, (0.0005, 1.0, np.inf)), twin_of([0.0002] * 4))
    assert not [row for row in quiet if row["metric"] == "ttft_s"]


@pytest.mark.parametrize(
    ("cache", "changes"),
    [
        ({}, {}),
        ({"num_gpu_blocks": "77", "block_size": "32"}, {"num_blocks": 77, "block_size": 32}),
        ({"num_gpu_blocks": "None"}, {}),
        ({"enable_prefix_caching": "True"}, {"enable_prefix_caching": True}),
        ({"enable_prefix_caching": "False"}, {"enable_prefix_caching": False}),
    ],
)
def test_the_engine_has_the_cache_that_the_server_says(cache: dict[str, str], changes: dict[str, Any]) -> None:
    found = server_config(CONFIG, cache)
    assert {name: getattr(found, name) for name in changes} == changes
    kept = {"num_blocks": 100, "block_size": 16, "enable_prefix_caching": True} | changes
    assert {name: getattr(found, name) for name in kept} == kept


@pytest.mark.parametrize(
    ("text", "holds"),
    [("1", True), ("49999999", True), ("0", False), ("50000000", False), ("-1", False), ("1.5", False), ("٣", False)],
)
def test_a_count_of_blocks_is_one_that_a_machine_can_have(text: str, holds: bool) -> None:
    if holds:
        assert server_config(CONFIG, {"num_gpu_blocks": text}).num_blocks == int(text)
    else:
        with pytest.raises(InputError, match="num_gpu_blocks"):
            server_config(CONFIG, {"num_gpu_blocks": text})


def watch(gap_s: float, windows: int = 4, gaps: int = 300) -> Observation:
    """Answers of 31 tokens in each of some windows of 10 s, with these gaps between their tokens."""
    each = Histogram(np.array([np.inf]), np.array([float(gaps)]), gaps * gap_s)
    nothing = Histogram(np.array([np.inf]), np.array([1.0]), 0.1)
    return Observation(
        tuple(
            Window(10.0 * k, 10.0 * k + 10, 10.0, {}, {"itl_s": each, "ttft_s": nothing}, 0.0, 0.0, 0.0)
            for k in range(windows)
        ),
        (),
        {},
    )


def served(factor: float, windows: int = 4) -> Twin:
    """Ten answers of 31 tokens in each window; a gap takes 0.02 s at factor 1."""
    finish_s = np.repeat(10.0 * np.arange(windows), 10) + np.tile(np.arange(10.0), windows)
    n = len(finish_s)
    latencies = {"itl_s": np.full(n, 0.02 * factor), "ttft_s": np.full(n, 0.1)}
    return Twin(finish_s, finish_s, np.full(n, 31, np.int32), latencies, 0, 0.0)


@pytest.mark.parametrize(
    ("gap_s", "threshold", "significant"),
    [(0.024, 0.1, True), (0.024, 0.3, False), (0.016, 0.1, True), (0.02, 0.0, False)],
)
def test_the_drift_is_the_factor_at_which_gaps_are_those_measured(
    gap_s: float, threshold: float, significant: bool
) -> None:
    found = estimate(watch(gap_s), served, threshold=threshold, seed=1)
    assert found.factor == pytest.approx(gap_s / 0.02)
    assert (found.low, found.high) == (pytest.approx(gap_s / 0.02), pytest.approx(gap_s / 0.02)), "all slices are alike"
    assert found.significant == significant
    assert [one.ratio for one in found.slices] == pytest.approx([gap_s / 0.02] * 4), "with the profile as it is"


def test_windows_are_joined_until_a_slice_has_gaps_enough() -> None:
    few = slices(watch(0.024, gaps=100), served(1.0))
    assert [(one.start_s, one.end_s, one.gaps) for one in few] == [(0.0, 20.0, 200), (20.0, 40.0, 200)]
    assert few[0].measured_s == pytest.approx(0.024)
    assert few[0].predicted_s == pytest.approx(0.02)
    assert estimate(watch(0.024, windows=1), served, threshold=0.1, seed=1).high == float("inf"), (
        "one slice says nothing"
    )
    silent = estimate(watch(0.0), served, threshold=0.1, seed=1)
    assert (silent.factor, silent.low, silent.high, silent.significant) == (1.0, 0.0, float("inf"), False)


def test_a_watch_is_told_with_its_fullest_cache_and_the_share_by_which_each_slice_drifts() -> None:
    """220 requests come in 20 s, a quarter of whose prompts is found in the cache."""
    counters = {"finished": 100.0, "preemptions": 2.0, "prefix_queries": 200.0, "prefix_hits": 50.0}
    seen = {name: histogram([0.5] * 100) for name in ("isl", "osl", "itl_s")}
    windows = tuple(
        Window(10.0 * k, 10.0 * k + 10, 110.0, counters, seen, usage, 0.0, 0.0) for k, usage in enumerate((0.7, 0.3))
    )
    observation = Observation(windows, ((20.0, 25.0, "no answer"),), {})
    drift = Drift(1.2, 1.1, 1.3, None, (Slice(0.0, 20.0, 200.0, 0.024, 0.02),), True)
    told = watch_value(observation, [{"metric": "ttft_s"}], drift)
    assert (told["duration_s"], told["preemptions"], told["kv_usage_max"]) == (20.0, 4.0, 0.7)
    assert told["gaps"] == [{"from": 20.0, "to": 25.0, "reason": "no answer"}]
    assert told["comparison"] == [{"metric": "ttft_s"}]
    assert list(told["load"].values())[:4] == [11.0, 0.5, 0.5, 0.25]
    assert told["drift"]["slices"][0]["ratio"] == pytest.approx(1.2)


@pytest.mark.parametrize(("excess_s", "overhead_s"), [(None, 0.01), (0.02, 0.03), (-0.05, 0.0)])
def test_a_profile_is_corrected_by_the_drift_of_its_times(excess_s: float | None, overhead_s: float) -> None:
    value = {
        "name": "measured",
        "coefficients": {"token_s": 1e-5, "sharpness": 4.0},
        "between_steps_s": 0.001,
        "between_sequence_s": 0.0001,
        "request_overhead_s": 0.01,
        "kept": "as it is",
    }
    drift = Drift(1.5, 1.4, 1.6, excess_s, (), True)
    found = corrected_profile(value, drift, "watch.json")
    assert found["name"] == "measured (live)"
    assert found["coefficients"] == {"token_s": pytest.approx(1.5e-5), "sharpness": 4.0}
    assert found["between_steps_s"] == pytest.approx(0.0015)
    assert found["between_sequence_s"] == pytest.approx(0.00015)
    assert found["request_overhead_s"] == pytest.approx(overhead_s)
    assert found["kept"] == "as it is"
    assert found["correction_from_live"] == {
        "factor": 1.5,
        "low": 1.4,
        "high": 1.6,
        "ttft_excess_s": excess_s,
        "recording": "watch.json",
    }
    assert yaml_text({"a": 1}) == "a: 1\n"
