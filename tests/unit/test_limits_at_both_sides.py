"""Limits of what is given and asked, each met exactly and passed by a little."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scenario_cases import chat, written

from simulator.errors import InputError
from simulator.perf.device import BatchLimits
from simulator.resolve.admissible import check_requests
from simulator.resolve.given import given_step_time
from simulator.schema.engine import Throughput

POOL = "t: {pools: [{name: p, site: lambda, gpu: h100-sxm, replicas: 2}]}"


def given(output: float, tpot_s: float | None, sequences: int) -> Any:
    settings = Throughput(output_tokens_per_s=output, tpot_s=tpot_s)
    limits = BatchLimits(512, sequences)
    bound: Any = SimpleNamespace(output_tokens_per_gpu_s=500.0)
    return given_step_time(settings, limits, bound, 2)


def test_a_throughput_may_be_all_that_published_peaks_allow() -> None:
    """500 tokens/s on each of 2 GPUs."""
    assert given(1000.0, None, 8).mean_step_s(8, 8, False) == pytest.approx(0.008)
    with pytest.raises(InputError, match=r"published peaks of 2 GPUs allow \(1,000\)"):
        given(1000.5, None, 8)


def test_sequences_may_be_just_as_many_as_make_the_throughput_at_the_least_time() -> None:
    """1,000 tokens/s at 0.25 s each: 250 sequences."""
    assert given(1000.0, 0.25, 250).least_step_s == 0.25
    with pytest.raises(InputError, match=r"max_num_seqs \(249\) are too few"):
        given(1000.0, 0.25, 249)


def test_as_many_requests_may_come_as_are_meant(tmp_path: Path) -> None:
    """15 requests/s over 60 s: 900."""
    loaded = written(tmp_path, chat(POOL, study="months: 1"), "run.max_requests=900")
    check_requests(loaded)
    fewer = written(tmp_path, chat(POOL, study="months: 1"), "run.max_requests=899")
    with pytest.raises(InputError, match=r"900 requests come in a replication, more than run.max_requests \(899\)"):
        check_requests(fewer)
