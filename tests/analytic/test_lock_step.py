"""Ranks that share experts step together: by hand, and against a plain program of the rule."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from simulator.engine.config import EngineConfig
from simulator.engine.modes.spec import Flight, Modes, Waves
from simulator.fleet.single import run_replicas
from simulator.perf.steptime import StepTime, constant_step_time
from simulator.study.choices import ReplicaRouting, TargetRouting
from simulator.study.fleet import ClassSpec, FleetSpec, PoolSpec, RoutingSpec
from simulator.workload.requests import make_requests

pytestmark = pytest.mark.rare_kernels
BUDGET, SEQS = 1024, 16
MS = 1.0 / 1024
"""A step takes one a token: times are exact."""


def steps(shared: float) -> StepTime:
    """A share of the time is for the tokens of all ranks."""
    times = np.arange(BUDGET + 1) * MS
    return replace(constant_step_time(0.0, BUDGET, SEQS), token_time_s=times[None], shared_time_s=times * shared)


def served(
    requests: list[tuple[float, int, int]], ranks: int, modes: Modes, groups: int = 1, shared: float = 0.0
) -> NDArray[Any]:
    """Records by request; request k goes to replica k mod n."""
    config = EngineConfig(
        num_blocks=100_000,
        block_size=16,
        max_num_batched_tokens=BUDGET,
        max_num_seqs=SEQS,
        max_model_len=100_000,
        enable_prefix_caching=False,
        modes=modes,
    )
    n = ranks * groups
    power = np.concatenate([[0.0], np.ones(SEQS)])
    pool = PoolSpec("ranks", "", 1, n, config, steps(shared), power, routing=ReplicaRouting.ROUND_ROBIN)
    spec = FleetSpec("ranks", (pool,), (), RoutingSpec(TargetRouting.WEIGHTED, (0,)), (ClassSpec("all", (True,)),))
    arrival, isl, osl = (np.array(column) for column in zip(*requests, strict=True))
    run = run_replicas(spec, make_requests(arrival.astype(np.float64), isl, osl))
    return run.records[np.argsort(run.records["request"])]


def together(depth: int = 1, ranks: int = 2) -> Modes:
    flight = Flight(depth=2, asynchronous=True) if depth == 2 else None
    return Modes(flight=flight, waves=Waves(ranks, lock_step=True))


def test_a_short_prompt_waits_for_the_long_one_of_the_other_rank() -> None:
    """100 and 1,000 tokens at once: both have their first token after 1,000; then both decode a token a step."""
    found = served([(0.0, 100, 4), (0.0, 1000, 3)], 2, together())
    assert found["first_token_s"].tolist() == [1000 * MS, 1000 * MS]
    assert found["finish_s"].tolist() == [1003 * MS, 1002 * MS]
    alone = served([(0.0, 100, 4), (0.0, 1000, 3)], 2, Modes())
    assert alone["first_token_s"].tolist() == [100 * MS, 1000 * MS]


def test_a_rank_that_was_idle_joins_the_next_common_step() -> None:
    """What comes to it meanwhile begins with that step, together."""
    found = served([(0.0, 1000, 3), (10 * MS, 50, 1), (990 * MS, 8, 9), (20 * MS, 60, 2)], 2, together())
    assert found["first_token_s"].tolist()[:2] == [1000 * MS, 1110 * MS], "50 + 60 tokens beside a decode and a prompt"
    assert found["first_token_s"][3] == 1110 * MS


def test_what_all_ranks_share_goes_by_the_tokens_of_all() -> None:
    """500 for the longer prompt itself, and half of the mean of 100 and 1,000; then each step is one token long."""
    for depth in (1, 2):
        found = served([(0.0, 100, 4), (0.0, 1000, 3)], 2, together(depth), shared=0.5)
        assert found["first_token_s"].tolist() == [775 * MS, 775 * MS]
        assert found["finish_s"].tolist() == [778 * MS, 777 * MS]
    alone = served([(0.0, 100, 4)], 2, together(), shared=0.5)
    assert alone["first_token_s"].tolist() == [75 * MS], "50 of its own and half of 50, the mean"


def test_groups_of_ranks_do_not_wait_for_each_other() -> None:
    found = served([(0.0, 100, 2), (0.0, 200, 2), (0.0, 300, 2), (0.0, 1000, 2)], 2, together(), groups=2)
    assert found["first_token_s"].tolist() == [200 * MS, 200 * MS, 1000 * MS, 1000 * MS]


def test_plans_made_ahead_wait_for_the_longest_part_too() -> None:
    """With asynchronous plans both ranks decode one step, in which a prompt of 500 comes to the second."""
    requests = [(0.0, 100, 40), (0.0, 100, 40), (110.5 * MS, 1, 2), (110.5 * MS, 500, 2)]
    found = served(requests, 2, together(depth=2))
    apart = served(requests, 2, Modes(flight=Flight(depth=2, asynchronous=True)))
    gap = found["finish_s"] - found["first_token_s"]
    assert gap[0] == gap[1] > 500 * MS, "the first rank's request waits for the prompt of the second"
    assert apart["finish_s"][0] - apart["first_token_s"][0] < 100 * MS
    assert found["finish_s"][0] == found["finish_s"][1]


@dataclass
class _Request:
    number: int
    prompt: int
    answer: int
    computed: int = 0
    given: int = 0


def oracle(requests: list[tuple[float, int, int]], ranks: int) -> tuple[list[float], list[float]]:
    """First and last token of each: common steps, each rank first its running requests, then those that wait."""
    coming = deque((at, k % ranks, _Request(k, isl, osl)) for k, (at, isl, osl) in enumerate(requests))
    waiting: list[deque[_Request]] = [deque() for _ in range(ranks)]
    running: list[list[_Request]] = [[] for _ in range(ranks)]
    first, last = [0.0] * len(requests), [0.0] * len(requests)
    now = 0.0
    while coming or any(waiting) or any(running):
        if not any(waiting) and not any(running):
            now = max(now, coming[0][0])
        while coming and coming[0][0] <= now:
            _, rank, request = coming.popleft()
            waiting[rank].append(request)
        longest, plans = 0, []
        for rank in range(ranks):
            left = BUDGET
            for request in running[rank]:
                tokens = min(request.prompt + request.given - request.computed, left)
                plans.append((rank, request, tokens))
                left -= tokens
            while waiting[rank] and left and len(running[rank]) < SEQS:
                request = waiting[rank].popleft()
                running[rank].append(request)
                tokens = min(request.prompt, left)
                plans.append((rank, request, tokens))
                left -= tokens
            longest = max(longest, BUDGET - left)
        now += longest * MS
        for rank, request, tokens in plans:
            request.computed += tokens
            if tokens and request.computed == request.prompt + request.given:
                request.given += 1
                first[request.number] = first[request.number] or now
                if request.given == request.answer:
                    last[request.number] = now
                    running[rank].remove(request)
    return first, last


REQUESTS = st.lists(
    st.tuples(st.integers(0, 4000), st.integers(1, 1500), st.integers(1, 30)), min_size=1, max_size=30
).map(lambda rows: sorted((at * MS, isl, osl) for at, isl, osl in rows))


@settings(deadline=None, max_examples=40)
@given(REQUESTS, st.integers(1, 4))
def test_ranks_step_as_the_plain_program_has_it(requests: list[tuple[float, int, int]], ranks: int) -> None:
    found = served(requests, ranks, together(ranks=ranks))
    first, last = oracle(requests, ranks)
    assert found["first_token_s"].tolist() == first
    assert found["finish_s"].tolist() == last


@settings(deadline=None, max_examples=20)
@given(REQUESTS, st.integers(2, 4), st.sampled_from([1, 2]))
def test_nobody_is_served_earlier_with_others_to_wait_for(
    requests: list[tuple[float, int, int]], ranks: int, depth: int
) -> None:
    """Everything ends, with as many tokens; the last of all no earlier than without waiting."""
    found = served(requests, ranks, together(depth, ranks))
    flight = Flight(depth=2, asynchronous=True) if depth == 2 else None
    apart = served(requests, ranks, Modes(flight=flight))
    assert found["osl"].tolist() == apart["osl"].tolist()
    assert found["finish_s"].max() >= apart["finish_s"].max()
