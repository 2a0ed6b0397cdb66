"""Rows of tables that a fit of kernels looks at, and what is left of the error, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from kernel_tables import PEAKS

from calibrate.kernels import fit as place
from calibrate.kernels.attention import _rows, fallback_factor
from calibrate.kernels.experts import _points, exchange_messages
from calibrate.kernels.fit import Residuals, fit_log, residuals, rounded
from calibrate.kernels.gemm import Format, _serving_shapes


def test_errors_are_of_the_modelled_over_the_measured_time() -> None:
    found = residuals(np.array([1.1, 1.6, 3.0]), np.array([1.0, 2.0, 3.0]), {"m": np.array([4.0, 1.0, 9.0])})
    assert found.points == 3
    assert (found.median_abs, found.p90_abs, found.bias) == (
        pytest.approx(0.1),
        pytest.approx(0.18),
        pytest.approx(0.0, abs=1e-15),
    )
    assert found.ranges == {"m": [1.0, 9.0]}


def test_figures_of_a_file_have_six_digits() -> None:
    assert (rounded(1.23456789), rounded(-1234567.8), rounded(0.0)) == (1.23457, -1234570.0, 0.0)
    found = Residuals(7, 0.123456789, 1.0, -0.0000123456789, {"m": [1.0, 2.0]}).record()
    assert found == {"points": 7, "median_abs": 0.123457, "p90_abs": 1.0, "bias": -1.23457e-05, "ranges": {"m": [1, 2]}}


@pytest.mark.parametrize(("points", "looked_at"), [(5, 5), (10, 10), (11, 6), (20, 10), (21, 7)])
def test_a_fit_looks_at_some_thousand_points_evenly(
    points: int, looked_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "MOST_POINTS", 10)
    seen: set[tuple[int, ...]] = set()

    def model(parameters: Any, at: Any) -> Any:
        seen.add(tuple(at.tolist()))
        return parameters[0] * (at + 1.0)

    found = fit_log(model, 3.0 * (np.arange(points) + 1.0), [1.0], [0.0], [10.0])
    assert found == pytest.approx([3.0], rel=1e-6)
    ((places),) = seen
    assert len(places) == looked_at
    assert places == tuple(range(0, points, places[1]))


def test_a_start_beyond_its_bounds_begins_at_them() -> None:
    measured = np.full(4, 5.0)
    found = fit_log(lambda p, at: np.full(len(at), p[0]), measured, [50.0], [0.0], [4.0])
    assert found == pytest.approx([4.0], rel=1e-3), "as near as it may come"


def exchanged(phase: str, us: float, tokens: int = 4, group: int = 8, topk: int = 2) -> dict[str, Any]:
    known = {"comm_backend": "a", "phase": phase, "ep_size": group, "hidden_size": 16, "topk": topk}
    return {**known, "num_tokens": tokens, "transmit_us": us}


def test_an_exchange_takes_the_mean_of_both_ways_by_the_quickest_backend() -> None:
    table = pd.DataFrame(
        [
            exchanged("dispatch", 10.0),
            exchanged("dispatch", 6.0),
            exchanged("combine", 4.0),
            exchanged("combine", 8.0),
            exchanged("dispatch", 9.0, tokens=32),
            exchanged("dispatch", 1.0, group=4),
        ]
    )
    found = exchange_messages(table, 8, 0.5)
    assert found["message_size"].tolist() == [4 * 2 * 16 * 0.5, 32 * 2 * 16 * 0.5]
    assert found["latency_s"].tolist() == pytest.approx([5e-6, 9e-6])


def experts(tokens: int, latency_s: float, **other: Any) -> dict[str, Any]:
    known = {"num_tokens": tokens, "hidden_size": 64, "inter_size": 512, "topk": 8, "num_experts": 64}
    return {
        **known,
        "moe_tp_size": 1,
        "moe_ep_size": 1,
        "distribution": "balanced",
        "latency_s": latency_s,
        **other,
    }


def test_experts_are_those_of_serving_balanced_with_few_tokens_and_skewed_with_many() -> None:
    skewed = {"distribution": "power_law_1.01"}
    kept = [
        experts(511, 1.0),
        experts(512, 2.0, **skewed),
        experts(1, 3.0, topk=10),
        experts(2, 4.0, moe_tp_size=4),
        experts(3, 5.0, inter_size=1024, moe_tp_size=8),
    ]
    left_out = [
        experts(511, 0.1, **skewed),
        experts(512, 0.1),
        experts(1, 0.1, topk=11),
        experts(4, 0.1, inter_size=1856),
        experts(2, 0.1, inter_size=1024, moe_tp_size=9),
        experts(2, 0.1, moe_ep_size=2),
        experts(2, 0.1, inter_size=508, moe_tp_size=4),
        experts(511, 1.5),
    ]
    assert sorted(_points(pd.DataFrame(kept + left_out))["latency_s"]) == [1.0, 2.0, 3.0, 4.0, 5.0]
    alone = pd.DataFrame([experts(1, 1.0, **skewed), experts(512, 2.0, **skewed), experts(512, 3.0, distribution="b")])
    assert sorted(_points(alone)["latency_s"]) == [1.0, 2.0], "skewed ones throughout, where none is balanced"


def test_products_are_of_shapes_that_serving_meets_and_streams() -> None:
    """Of 16-bit weights 2 n k bytes move, and activations in and out; 0.95 of 2 TB/s are from a cache."""
    moved = 2.0 * 512 * 16384 + 4 * (2.0 * 16384 + 2.0 * 512)
    shapes = [
        (4, 512, 16384, moved / (0.94 * 2e12)),
        (4, 512, 16384, 1.0),
        (5, 512, 16384, moved / (0.97 * 2e12)),
        (4, 511, 16384, 1.0),
        (4, 512, 511, 1.0),
        (4, 512, 16385, 1.0),
        (4, 512, 512, 2.0),
    ]
    table = pd.DataFrame(shapes, columns=["m", "n", "k", "latency_s"])
    found = _serving_shapes(table, Format(2.0, 2.0, PEAKS))
    assert found[["m", "n", "k"]].to_numpy().tolist() == [[4, 512, 512], [4, 512, 16384]]
    assert found["latency_s"].tolist() == [2.0, moved / (0.94 * 2e12)]


def test_attention_is_of_whole_groups_of_heads_without_windows() -> None:
    def row(latency_s: float, **other: Any) -> dict[str, Any]:
        known = {"batch_size": 1, "num_heads": 16, "num_key_value_heads": 1, "head_dim": 128, "isl": 64}
        return {**known, "kv_cache_dtype": "fp8", "window_size": 0, "latency_s": latency_s, **other}

    kept = [row(1.0), row(3.0, num_heads=4, num_key_value_heads=4), row(4.0, isl=65)]
    left_out = [
        row(2.0),
        row(0.1, head_dim=64),
        row(0.1, kv_cache_dtype="bfloat16"),
        row(0.1, window_size=128),
        row(0.1, num_heads=17),
        row(0.1, num_heads=3),
        row(0.1, num_heads=9, num_key_value_heads=2),
    ]
    table = pd.DataFrame(kept + left_out)
    assert sorted(_rows(table, 128, "fp8")["latency_s"]) == [1.0, 3.0, 4.0]
    assert len(_rows(table.drop(columns="window_size"), 128, "fp8")) == 3
    assert sorted(_rows(table.drop(columns="window_size"), 128, "fp8")["latency_s"]) == [0.1, 3.0, 4.0]


def test_the_triton_kernel_is_held_against_the_own_one_on_the_same_long_prompts() -> None:
    def row(kernel: str, latency_s: float, isl: int = 4096, **other: Any) -> dict[str, Any]:
        known = {"batch_size": 1, "num_heads": 8, "num_key_value_heads": 1, "head_dim": 128, "window_size": 0}
        return {**known, "isl": isl, "kernel_source": kernel, "latency_s": latency_s, **other}

    slow, own = "vllm_triton_attn", "vllm_flash_attn_fa2"
    rows = [row(own, 2.0), row(slow, 5.0), row(slow, 3.0), row(own, 2.5), row(own, 1.0, 8192), row(slow, 2.5, 8192)]
    rows += [row(slow, 7.0, 16384), row(own, 1.0, 4095), row(slow, 9.0, 4095), row(slow, 1.0, window_size=4)]
    assert fallback_factor(pd.DataFrame(rows)) == 2.0, "the median of 1.5 and 2.5"
    assert fallback_factor(pd.DataFrame(rows[:1])) is None
