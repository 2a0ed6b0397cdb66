"""Prompt caches of token APIs: what a call finds is what a plain dictionary of beginnings holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fleet_cases import Source, evenly, fleet, provider, serve
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from simulator.fleet.state import CALL_CACHED, CALL_INPUT, CALL_OUTPUT, CALL_WRITE, CALLS
from simulator.rng import stream
from simulator.study.fleet import ClassSpec, PromptCache
from simulator.workload.requests import Requests, make_requests
from simulator.workload.rows import cut
from simulator.workload.source import build_source
from simulator.workload.spec import ClassWorkload, Constant, Poisson, Prefixes, Sessions, WorkloadSpec

CALM = {"ttft_median_s": 0.5, "ttft_sigma": 0.0, "tpot_median_s": 0.01, "tpot_sigma": 0.0, "error_probability": 0.0}


def contents(requests: Requests, row: int) -> list[tuple[int, int]]:
    """What others can share of a prompt, token by token: (text, place in it)."""
    span = range(int(requests.segment_start[row]), int(requests.segment_start[row + 1]))
    return [(int(requests.segment_id[k]), j) for k in span for j in range(int(requests.segment_tokens[k]))]


def twin(requests: Requests, order: list[int], called_s: NDArray[Any], cache: PromptCache) -> list[tuple[int, int]]:
    """Tokens found and tokens written by each call: a dictionary from whole-step beginnings to their last use."""
    last_s: dict[tuple[tuple[int, int], ...], float] = {}
    result = []
    for row, now in zip(order, called_s.tolist(), strict=True):
        text = contents(requests, row)
        steps = [tuple(text[:end]) for end in range(cache.step_tokens, len(text) + 1, cache.step_tokens)]
        found = 0
        for beginning in steps:
            if now - last_s.get(beginning, -np.inf) > cache.life_s:
                break
            found = len(beginning)
        kept = len(steps) * cache.step_tokens
        if found < cache.least_tokens or requests.isl[row] < cache.least_tokens:
            found = 0
        if requests.isl[row] >= cache.least_tokens:
            last_s |= dict.fromkeys(steps, now)
        written = kept - found if cache.writes and kept >= cache.least_tokens and kept > 0 else 0
        result.append((found, written))
    return result


@st.composite
def prompts(draw: st.DrawFn) -> Requests:
    """Prompts that begin with a few texts in turn, some cut short, some longer than what they share."""
    n = draw(st.integers(1, 25))
    lists = [
        draw(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([1, 3, 7, 12, 20])), min_size=0, max_size=4))
        for _ in range(n)
    ]
    shared = np.array([sum(tokens for _, tokens in row) for row in lists])
    private = np.array([draw(st.sampled_from([0, 0, 1, 9])) for _ in range(n)])
    gaps = np.array([draw(st.sampled_from([0.0, 0.5, 2.0, 7.0])) for _ in range(n)])
    return make_requests(
        np.cumsum(gaps),
        np.maximum(shared + private, 1),
        np.full(n, 3),
        segment_start=np.concatenate([[0], np.cumsum([len(row) for row in lists])]),
        segment_id=np.array([name for row in lists for name, _ in row], np.int64),
        segment_tokens=np.array([tokens for row in lists for _, tokens in row], np.int64),
    )


@settings(max_examples=150, deadline=None)
@given(
    prompts(),
    st.sampled_from([1.0, 2.0, 7.0, 100.0]),
    st.sampled_from([0, 1, 8, 20]),
    st.sampled_from([1, 4, 8]),
    st.booleans(),
    st.integers(1, 30),
)
def test_a_call_finds_what_a_dictionary_of_beginnings_holds(
    requests: Requests, life_s: float, least: int, step: int, writes: bool, chunk: int
) -> None:
    cache = PromptCache(life_s, least, step, writes)
    n = len(requests)
    parts = tuple(cut(requests, first, min(first + chunk, n)) for first in range(0, n, chunk))
    run = serve(fleet((), (provider(**CALM, cache=cache),)), Source(parts))
    records = run.by_arrival
    expected = twin(requests, list(range(n)), records["scheduled_s"], cache)
    assert records["cached_tokens"].tolist() == [found for found, _ in expected]
    counts = run.plane.calls()[0].sum(axis=(0, 1))
    assert counts[CALL_CACHED] == sum(found for found, _ in expected)
    assert counts[CALL_WRITE] == sum(written for _, written in expected)
    assert counts[CALL_INPUT] + counts[CALL_CACHED] + counts[CALL_WRITE] == requests.isl.sum()
    assert (counts[CALL_OUTPUT], counts[CALLS]) == (3 * n, n)


def test_memory_is_bounded_by_what_is_alive() -> None:
    """20,000 texts that are told once each, 10 alive at a time."""
    n = 20_000
    requests = evenly(
        n, 1.0, 40, 2, segment_start=np.arange(n + 1), segment_id=np.arange(n), segment_tokens=np.full(n, 40)
    )
    run = serve(fleet((), (provider(**CALM, cache=PromptCache(10.0)),)), requests)
    assert not run.records["cached_tokens"].any()
    assert len(run.plane.fleet.memory) <= 3 * 2048


def test_each_provider_has_a_memory_of_its_own() -> None:
    n = 40
    columns = {"segment_start": np.arange(n + 1), "segment_id": np.full(n, 5), "segment_tokens": np.full(n, 30)}
    cache = PromptCache(1e6)
    two = (provider(**CALM, cache=cache), provider(**CALM, cache=cache))
    records = serve(fleet((), two), evenly(n, 1.0, 40, 2, **columns)).by_arrival
    for target in (0, 1):
        assert records["cached_tokens"][records["target"] == target].tolist()[:2] == [0, 30]


def test_what_the_cache_holds_takes_no_time_to_read() -> None:
    columns = {"segment_start": np.arange(3), "segment_id": np.full(2, 5), "segment_tokens": np.full(2, 30)}
    api = provider(**CALM, ttft_s_per_input_token=0.1, cache=PromptCache(1e6))
    records = serve(fleet((), (api,)), evenly(2, 50.0, 40, 2, **columns)).by_arrival
    assert records["first_token_s"] - records["arrival_s"] == pytest.approx([0.5 + 4.0, 0.5 + 1.0])


def test_beginnings_count_in_single_tokens_unless_steps_are_told() -> None:
    columns = {"segment_start": np.arange(3), "segment_id": np.full(2, 5), "segment_tokens": np.full(2, 31)}
    records = serve(fleet((), (provider(**CALM, cache=PromptCache(1e6)),)), evenly(2, 1.0, 40, 2, **columns)).by_arrival
    assert records["cached_tokens"].tolist() == [0, 31]


ONE_CLASS = (ClassSpec("a", (True,)),)


def test_prefix_groups_pay_for_whole_steps_of_what_they_share() -> None:
    """2 requests/s of 2,512 tokens that share 2,000, of which 15 steps of 128 are cached: 1,920 each but the first."""
    workload = ClassWorkload("a", Poisson(2.0), Constant(2512), Constant(10), Prefixes(1, Constant(2000)))
    source = build_source(WorkloadSpec((workload,)), 600.0, 1)
    cache = PromptCache(600.0, 1024, 128)
    run = serve(fleet((), (provider(**CALM, cache=cache),), classes=ONE_CLASS), Source(tuple(source.chunks())))
    cached = run.by_arrival["cached_tokens"]
    assert cached[0] == 0
    assert set(cached[1:].tolist()) == {1920}


def test_each_turn_of_a_session_finds_the_prompts_before_it() -> None:
    """A turn's prompt holds all before it: what the last prompt had is found, its answer is not."""
    sessions = Sessions(0.2, Constant(5), 3.0, Constant(50), 20)
    workload = ClassWorkload("a", sessions, None, Constant(30))
    source = build_source(WorkloadSpec((workload,)), 400.0, 2)
    run = serve(
        fleet((), (provider(**CALM, cache=PromptCache(1e6)),), classes=ONE_CLASS), Source(tuple(source.chunks()))
    )
    records = run.by_arrival
    assert set(records["isl"].tolist()) == {70, 150, 230, 310, 390}
    later = records["isl"] > 70
    assert (records["cached_tokens"][later] == records["isl"][later] - 80).all()
    assert (records["cached_tokens"][~later][1:] == 20).all()


def test_twice_the_life_never_finds_less() -> None:
    rng = stream(3, "prompt cache")
    n = 300
    group = rng.integers(0, 8, n)
    columns = {"segment_start": np.arange(n + 1), "segment_id": group, "segment_tokens": rng.integers(1, 60, n)}
    found = [
        serve(fleet((), (provider(**CALM, cache=PromptCache(life_s)),)), evenly(n, 1.0, 60, 2, **columns)).by_arrival
        for life_s in (4.0, 8.0, 16.0)
    ]
    assert (found[0]["cached_tokens"] <= found[1]["cached_tokens"]).all()
    assert found[0]["cached_tokens"].sum() < found[1]["cached_tokens"].sum() < found[2]["cached_tokens"].sum()
