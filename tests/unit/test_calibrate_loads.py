"""Loads that are served on a real engine: all of it can be served, at the rate and with the lengths that were asked."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibrate.experiments.loads import Lengths, capacity_rps, default_lengths, poisson_load, trace_load
from calibrate.experiments.random_schedules import random_limits, random_requests
from simulator.engine.config import EngineConfig
from simulator.engine.reference.limits import can_serve
from simulator.engine.schedule_trace import config_from_limits
from simulator.errors import InputError
from simulator.perf.steptime import StepTime

CONFIG = EngineConfig(num_blocks=1001, block_size=16, max_model_len=4096, max_num_batched_tokens=2048, max_num_seqs=8)
LENGTHS = Lengths(256.0, 64.0, 0.7)


@pytest.mark.parametrize(("longest", "isl", "osl"), [(4096, 256, 64), (1024, 128, 64), (512, 64, 32)])
def test_lengths_fit_the_engine_unless_given(longest: int, isl: float, osl: float) -> None:
    assert default_lengths(replace(CONFIG, max_model_len=longest)) == Lengths(isl, osl, 0.7)


def test_a_poisson_load_has_the_rate_and_the_mean_lengths() -> None:
    load = poisson_load(CONFIG, LENGTHS, 1000.0, 20.0, seed=1, share=0.5)
    assert len(load.arrival_s) == pytest.approx(20_000, rel=0.03)
    assert (np.diff(load.arrival_s) >= 0).all()
    assert 0 <= load.arrival_s[0] < load.arrival_s[-1] < 20
    assert load.arrival_s.mean() == pytest.approx(10.0, rel=0.03)
    assert (load.isl.mean(), load.osl.mean()) == (pytest.approx(256, rel=0.03), pytest.approx(64, rel=0.03))
    assert load.isl.std() / load.isl.mean() == pytest.approx(0.7, rel=0.06)
    assert (load.label, load.rate_rps, load.share) == ("poisson", 1000.0, 0.5)
    first = load.requests()[0]
    assert first == {"arrival_s": load.arrival_s[0], "isl": int(load.isl[0]), "osl": int(load.osl[0])}
    assert len(poisson_load(CONFIG, LENGTHS, 1e-9, 1.0, seed=1).arrival_s) == 1
    assert poisson_load(CONFIG, LENGTHS, 5.0, 2.0, seed=1).isl.tolist() != (
        poisson_load(CONFIG, LENGTHS, 5.0, 2.0, seed=2).isl.tolist()
    )


@pytest.mark.parametrize(
    ("config", "longest"),
    [
        (replace(CONFIG, max_model_len=300), 300),
        (replace(CONFIG, num_blocks=11), 160),
        (replace(CONFIG, max_num_batched_tokens=200, enable_chunked_prefill=False), 200),
    ],
)
def test_lengths_beyond_the_engine_are_cut_to_its_longest(config: EngineConfig, longest: int) -> None:
    load = poisson_load(config, Lengths(400.0, 400.0, 1.0), 100.0, 5.0, seed=1)
    assert all(can_serve(config, isl, osl) for isl, osl in zip(load.isl.tolist(), load.osl.tolist(), strict=True))
    assert int((load.isl + load.osl).max()) == longest - 1
    assert (int(load.osl.max()), int(load.osl.min()) >= 1, int(load.isl.min()) >= 1) == (longest // 2, True, True)


def trace(folder: Path, rows: list[tuple[float, int, int]]) -> Path:
    file = folder / "t.jsonl"
    lines = [{"arrival_s": at, "input_tokens": isl, "output_tokens": osl} for at, isl, osl in rows]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def test_a_trace_is_replayed_at_another_rate_without_what_does_not_fit(tmp_path: Path) -> None:
    file = trace(tmp_path, [(10, 5000, 9), (20, 100, 10), (22, 200, 20), (26, 9000, 1), (30, 300, 30), (99, 1, 1)])
    load = trace_load(CONFIG, file, 0.5, 6.0, share=0.3)
    # three of 0.5/s in 6 s; their own rate is two gaps in 10 s, 0.2/s, so that gaps are 0.4 times as long
    assert load.arrival_s.tolist() == pytest.approx([0.0, 0.8, 4.0])
    assert (load.isl.tolist(), load.osl.tolist()) == ([100, 200, 300], [10, 20, 30])
    assert (load.label, load.rate_rps, load.share) == ("t.jsonl", 0.5, 0.3)
    assert len(trace_load(CONFIG, file, 0.01, 1.0).arrival_s) == 2, "two at least"
    assert len(trace_load(CONFIG, file, 100.0, 100.0).arrival_s) == 4


def test_a_trace_of_which_fewer_than_two_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fewer than two of its requests fit the engine"):
        trace_load(CONFIG, trace(tmp_path, [(0, 100, 10), (1, 9000, 1)]), 1.0, 10.0)


def test_the_capacity_is_what_a_full_engine_completes() -> None:
    """Each step takes 10 ms, and eight at a time make 20 tokens each: 8 of them in about 20 steps."""
    step = StepTime(np.full((1, 2049), 0.01), np.zeros(9), 0.0, 0.0, False, "flat")
    lengths = Lengths(10.0, 20.0, 1e-9)
    assert capacity_rps(CONFIG, step, lengths, seed=1) == pytest.approx(8 / (20 * 0.01), rel=0.1)


@pytest.mark.parametrize("number", range(40))
@pytest.mark.parametrize("for_engine", [True, False])
def test_random_engines_serve_what_is_drawn_for_them(number: int, for_engine: bool) -> None:
    limits = random_limits(7, number, for_engine)
    assert limits == random_limits(7, number, for_engine) != random_limits(8, number, for_engine)
    config = config_from_limits(limits)
    longest, blocks, size = (limits[name] for name in ("max_model_len", "num_gpu_blocks", "block_size"))
    assert 8 <= longest <= 4096
    assert 6 <= blocks <= 602
    assert 1 <= limits["max_num_seqs"] <= 64
    assert limits["max_num_seqs"] <= limits["max_num_batched_tokens"] <= max(64, longest) + 1500
    assert limits["enable_chunked_prefill"] or limits["max_num_batched_tokens"] >= longest
    assert 0 <= limits["long_prefill_token_threshold"] <= longest
    if for_engine:
        assert size in (32, 64, 128)
        assert longest <= max((blocks - 1) * size, 8)
    asked = random_requests(limits, 7, number)
    assert [one["id"] for one in asked] == list(range(len(asked)))
    assert 1 <= len(asked) < 60
    steps = [one["arrival_step"] for one in asked]
    assert steps == sorted(steps)
    for one in asked:
        assert can_serve(config, sum(length for _, length in one["prompt"]), one["osl"])
        assert all(length >= 1 for _, length in one["prompt"])
        assert one["priority"] in range(4)
        private = [segment for segment, _ in one["prompt"] if segment >= 10_000]
        assert private in ([], [one["prompt"][-1][0]])


def test_random_engines_differ_and_their_prompts_share_text() -> None:
    drawn = [random_limits(7, number, False) for number in range(60)]
    for name in ("enable_prefix_caching", "enable_chunked_prefill", "policy", "scheduler_reserve_full_isl"):
        assert len({limits[name] for limits in drawn}) == 2, name
    assert {limits["watermark"] for limits in drawn} == {0.0, 0.01, 0.05, 0.2, 0.5}
    assert 0.1 < np.mean([limits["long_prefill_token_threshold"] > 0 for limits in drawn]) < 0.6
    segments = [segment for one in random_requests(drawn[3], 7, 3) for segment, _ in one["prompt"]]
    shared = [segment for segment in segments if segment < 10_000]
    assert len(set(shared)) < len(shared)
