"""Random schedules: within what vLLM takes, and the same of a seed in every version, so that one can be drawn again."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import Any

import pytest

from calibrate.experiments.random_schedules import _fit, random_limits, random_requests
from simulator.engine.config import EngineConfig


@cache
def drawn(for_engine: bool) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    limits = [random_limits(23, number, for_engine) for number in range(40)]
    return [(one, random_requests(one, 23, number)) for number, one in enumerate(limits)]


@pytest.mark.parametrize(("for_engine", "digest"), [(False, "36f109f7c6d99eaa"), (True, "0b0627693163e866")])
def test_a_seed_draws_what_it_drew_before(for_engine: bool, digest: str) -> None:
    text = json.dumps(drawn(for_engine), sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == digest, "recordings of before name other engines"


def test_limits_are_within_what_an_engine_takes() -> None:
    for for_engine in (False, True):
        for limits, _ in drawn(for_engine):
            capacity = (limits["num_gpu_blocks"] - 1) * limits["block_size"]
            assert 6 <= limits["num_gpu_blocks"] <= 602
            assert 8 <= limits["max_model_len"] <= min(4096, max(8, (1.0 if for_engine else 1.5) * capacity))
            least = 1 if limits["enable_chunked_prefill"] else limits["max_model_len"]
            assert limits["max_num_batched_tokens"] >= max(limits["max_num_seqs"], least)
            assert 0 <= limits["long_prefill_token_threshold"] <= limits["max_model_len"]
            assert not for_engine or limits["block_size"] in (32, 64, 128)
    for name in ("enable_chunked_prefill", "enable_prefix_caching", "policy", "scheduler_reserve_full_isl"):
        assert len({limits[name] for limits, _ in drawn(False)}) == 2, "both are drawn"


def test_requests_arrive_in_the_order_of_their_numbers_and_share_beginnings() -> None:
    for limits, requests in [*drawn(False), *drawn(True)]:
        assert [row["id"] for row in requests] == list(range(len(requests)))
        steps = [row["arrival_step"] for row in requests]
        assert steps == sorted(steps)
        longest = limits["max_model_len"]
        assert all(sum(tokens for _, tokens in row["prompt"]) + row["osl"] <= longest for row in requests)
        own = [segment for row in requests for segment, _ in row["prompt"] if segment >= 10_000]
        assert len(own) == len(set(own)), "nobody else has it"
    everyone = [row for _, requests in drawn(False) for row in requests]
    assert any(row["prompt"][0][0] < 10_000 for row in everyone)


def test_a_request_is_cut_to_what_the_engine_can_serve_its_output_first() -> None:
    config = EngineConfig(num_blocks=100, block_size=4, max_num_batched_tokens=64, max_num_seqs=4, max_model_len=20)
    assert _fit(config, [[1, 6], [10_000, 6]], 8) == ([[1, 6], [10_000, 6]], 8), "20 tokens fit"
    assert _fit(config, [[1, 6], [10_000, 6]], 9) == ([[1, 6], [10_000, 6]], 4)
    assert _fit(config, [[1, 6], [10_000, 30]], 9) == ([[1, 6]], 1), "without its own part"
    assert _fit(config, [[1, 70]], 1) == ([[1, 17]], 1), "halved until it fits"
