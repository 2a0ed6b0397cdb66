"""The stream of requests: order, independence of chunk size and of other classes, sessions, prefixes, closed loops."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import InputError
from simulator.workload.requests import ClosedLoop, Requests, RequestSource, make_requests
from simulator.workload.rows import cut, merge
from simulator.workload.source import CLOSED_LOOP_ROWS, build_source
from simulator.workload.spec import (
    ClassWorkload,
    ClosedLoopArrivals,
    Constant,
    Gamma,
    Lognormal,
    Poisson,
    Prefixes,
    Profile,
    Schedule,
    Sessions,
    Spike,
    Trace,
    Uniform,
    WorkloadSpec,
)

ROOT = Path(__file__).resolve().parents[2]
ISL, OSL = Lognormal(300.0, 1.0), Lognormal(100.0, 1.0)
CHAT = ClassWorkload(
    "chat", Poisson(3.0), ISL, OSL, Prefixes(5, Uniform(50, 400), share=0.5, zipf=1.0), complexity=Uniform(0.2, 0.8)
)
TALK = ClassWorkload("talk", Sessions(2.0, Uniform(1, 4), 5.0, Uniform(10, 90), system_tokens=64), osl=OSL, priority=2)
BATCH = ClassWorkload("batch", Schedule(2.0, spikes=(Spike(5.0, 10.0, 3.0),), cv=2.0), ISL, OSL, priority=5)
DOCS = ClassWorkload("docs", Profile(ROOT / "scenarios/traffic/mooncake-synthetic.json", 0.5))
REPLAY = ClassWorkload("replay", Trace(ROOT / "tests/data/traces/mooncake.jsonl", loop=True, rate_scale=0.7))
MIXED = WorkloadSpec((CHAT, TALK, BATCH, DOCS, REPLAY))

Row = tuple[Any, ...]


def row_of(requests: Requests, row: int) -> Row:
    span = slice(requests.segment_start[row], requests.segment_start[row + 1])
    columns = ("isl", "osl", "class_id", "priority", "complexity", "session_id", "think_s", "output_continues")
    return (
        *(getattr(requests, name)[row].item() for name in columns),
        tuple(requests.segment_id[span].tolist()),
        tuple(requests.segment_tokens[span].tolist()),
    )


def chain_of(requests: Requests, row: int) -> Iterator[int]:
    while row >= 0:
        yield row
        row = int(requests.next_turn[row])


def canonical(source: RequestSource) -> list[tuple[float, tuple[Row, ...]]]:
    """Open rows in order, each with all its turns: what a source says, however it is chunked."""
    return [
        (chunk.arrival_s[row].item(), tuple(row_of(chunk, turn) for turn in chain_of(chunk, row)))
        for chunk in source.chunks()
        for row in range(chunk.n_open)
    ]


@pytest.fixture(scope="module")
def mixed() -> list[tuple[float, tuple[Row, ...]]]:
    return canonical(build_source(MIXED, 40.0, seed=3))


@settings(max_examples=12, deadline=None)
@given(chunk_requests=st.integers(1, 600))
def test_requests_do_not_depend_on_the_chunk_size(
    mixed: list[tuple[float, tuple[Row, ...]]], chunk_requests: int
) -> None:
    source = build_source(MIXED, 40.0, seed=3, chunk_requests=chunk_requests)
    assert canonical(source) == mixed
    sizes = [chunk.n_open for chunk in source.chunks()]
    assert all(size == chunk_requests for size in sizes[:-1])
    assert 0 < sizes[-1] <= chunk_requests


def test_chunks_begin_again_at_every_call() -> None:
    source = build_source(MIXED, 20.0, seed=3)
    assert canonical(source) == canonical(source)


def test_requests_come_in_order_and_before_the_horizon(mixed: list[tuple[float, tuple[Row, ...]]]) -> None:
    times = [time for time, _ in mixed]
    assert all(a <= b for a, b in pairwise(times))
    assert times[0] >= 0
    assert times[-1] < 40.0


def test_merging_neither_loses_nor_invents_requests(mixed: list[tuple[float, tuple[Row, ...]]]) -> None:
    """Each class alone, at its place among empty ones, yields exactly its part of the mixture."""
    idle = Poisson(1e-12)
    for place, workload in enumerate(MIXED.classes):
        others = [
            workload if k == place else ClassWorkload(f"idle {k}", idle, ISL, OSL) for k in range(len(MIXED.classes))
        ]
        alone = canonical(build_source(WorkloadSpec(tuple(others)), 40.0, seed=3))
        assert alone == [entry for entry in mixed if entry[1][0][2] == place]


def test_seed_and_place_decide_the_draws_and_names_do_not() -> None:
    def first(names: tuple[str, ...], seed: int, place: int = 0) -> float:
        spec = WorkloadSpec(tuple(ClassWorkload(name, Poisson(5.0), ISL, OSL) for name in names))
        drawn = canonical(build_source(spec, 10.0, seed))
        return next(entry[0] for entry in drawn if entry[1][0][2] == place)

    assert first(("chat",), 1) == first(("talk",), 1) == first(("talk", "chat"), 1)
    assert len({first(("chat",), 1), first(("chat",), 2), first(("chat", "talk"), 1, place=1)}) == 3


def test_content_is_unique_to_its_class(mixed: list[tuple[float, tuple[Row, ...]]]) -> None:
    owners: dict[int, set[int]] = {}
    for _, turns in mixed:
        for row in turns:
            for segment in row[-2]:
                owners.setdefault(segment, set()).add(row[2])
    assert {len(classes) for classes in owners.values()} == {1}
    assert {next(iter(classes)) for classes in owners.values()} == {0, 1, 3, 4}


def test_segments_never_exceed_the_prompt(mixed: list[tuple[float, tuple[Row, ...]]]) -> None:
    rows = [row for _, turns in mixed for row in turns]
    assert all(sum(row[-1]) <= row[0] and row[0] >= 1 and row[1] >= 1 for row in rows)
    assert all(tokens > 0 for row in rows for tokens in row[-1])


def test_priority_and_complexity_are_those_of_the_class(mixed: list[tuple[float, tuple[Row, ...]]]) -> None:
    rows = [row for _, turns in mixed for row in turns]
    assert {(row[2], row[3]) for row in rows} == {(0, 0), (1, 2), (2, 5), (3, 0), (4, 0)}
    complexity = np.array([row[4] for row in rows if row[2] == 0])
    assert complexity.min() >= np.float32(0.2)
    assert complexity.max() <= np.float32(0.8)
    assert complexity.std() > 0.1
    assert {row[4] for row in rows if row[2] != 0} == {0.0}


def session_chunk(system_tokens: int) -> Requests:
    talk = ClassWorkload("talk", Sessions(30.0, Uniform(1, 6), 8.0, Uniform(10, 90), system_tokens), osl=OSL)
    (chunk,) = build_source(WorkloadSpec((talk,)), 200.0, 7, chunk_requests=10**6).chunks()
    return chunk


@pytest.mark.parametrize("system_tokens", [0, 40])
def test_each_turn_repeats_the_conversation_and_adds_to_it(system_tokens: int) -> None:
    chunk = session_chunk(system_tokens)
    system = [(0, system_tokens)] if system_tokens else []
    for first in range(chunk.n_open):
        said = 0
        for turn in chain_of(chunk, first):
            assert chunk.session_id[turn] == chunk.session_id[first]
            assert chunk.output_continues[turn]
            span = slice(chunk.segment_start[turn], chunk.segment_start[turn + 1])
            conversation = int(chunk.isl[turn]) - system_tokens
            assert 10 <= conversation - said <= 90
            assert list(zip(chunk.segment_id[span], chunk.segment_tokens[span], strict=True)) == [
                *system,
                (1 + chunk.session_id[first], conversation),
            ]
            said = conversation + int(chunk.osl[turn])


def test_each_follow_up_has_exactly_one_parent_and_no_time_of_its_own() -> None:
    chunk = session_chunk(40)
    children = chunk.next_turn[chunk.next_turn >= 0]
    np.testing.assert_array_equal(np.sort(children), np.arange(chunk.n_open, len(chunk)))
    assert np.isnan(chunk.arrival_s[chunk.n_open :]).all()
    assert not np.isnan(chunk.arrival_s[: chunk.n_open]).any()
    assert (chunk.think_s[: chunk.n_open] == 0).all()
    pauses = chunk.think_s[chunk.n_open :]
    assert pauses.mean() == pytest.approx(8.0, abs=4 * 8.0 / np.sqrt(len(pauses)))
    assert len(np.unique(chunk.session_id)) == chunk.n_open


def test_rate_of_sessions_counts_all_turns() -> None:
    chunk = session_chunk(0)
    assert chunk.n_open / 200.0 == pytest.approx(30.0 / 3.5, rel=4 / np.sqrt(chunk.n_open))
    assert len(chunk) / 200.0 == pytest.approx(30.0, rel=0.1)


def test_prefix_groups_have_their_share_popularity_and_fixed_length() -> None:
    prefixes = Prefixes(4, Uniform(100, 200), share=0.6, zipf=1.0)
    workload = ClassWorkload("chat", Poisson(200.0), Constant(150), OSL, prefixes)
    (chunk,) = build_source(WorkloadSpec((workload,)), 100.0, 1).chunks()
    counts = np.diff(chunk.segment_start)
    assert set(counts.tolist()) == {0, 1}
    assert counts.mean() == pytest.approx(0.6, abs=4 * np.sqrt(0.24 / len(chunk)))
    weights = 1 / np.arange(1, 5)
    shares = np.bincount(chunk.segment_id, minlength=4) / len(chunk.segment_id)
    np.testing.assert_allclose(shares, weights / weights.sum(), atol=4 * np.sqrt(0.25 / len(chunk.segment_id)))
    lengths = [np.unique(chunk.segment_tokens[chunk.segment_id == group]) for group in range(4)]
    assert all(len(length) == 1 and 100 <= length[0] <= 150 for length in lengths)


def test_even_prefix_groups_are_even_and_reach_every_prompt() -> None:
    workload = ClassWorkload("chat", Poisson(200.0), Constant(150), OSL, Prefixes(10, Constant(100)))
    (chunk,) = build_source(WorkloadSpec((workload,)), 100.0, 1).chunks()
    assert len(chunk.segment_id) == len(chunk)
    counts = np.bincount(chunk.segment_id)
    assert np.abs(counts - len(chunk) / 10).max() < 4 * np.sqrt(len(chunk) * 0.09)


def test_closed_loop_has_users_and_rows_but_no_clock() -> None:
    loop = ClassWorkload("users", ClosedLoopArrivals(8, think_s=2.0), ISL, OSL, Prefixes(2, Constant(16)))
    source = build_source(WorkloadSpec((CHAT, loop)), 30.0, 1)
    assert {row[2] for _, turns in canonical(source) for row in turns} == {0}
    (users,) = source.closed_loops
    assert len(users.start_s) == 8
    assert len(users.rows) == CLOSED_LOOP_ROWS
    assert users.rows.think_s.mean() == pytest.approx(2.0, rel=0.05)
    assert users.rows.think_s.std() == pytest.approx(2.0, rel=0.05)
    assert users.rows.n_open == 0
    assert set(users.rows.class_id.tolist()) == {1}
    assert users.rows.isl.mean() == pytest.approx(300.0, rel=0.05)
    assert source.class_names == ("chat", "users")


def test_users_who_do_not_think_all_start_at_once_and_more_of_them_are_others_beside_the_same() -> None:
    def users(concurrency: int, think_s: float) -> ClosedLoop:
        loop = ClassWorkload("users", ClosedLoopArrivals(concurrency, think_s), ISL, OSL)
        return build_source(WorkloadSpec((loop,)), 30.0, 1).closed_loops[0]

    assert not users(8, 0.0).start_s.any()
    assert not users(8, 0.0).rows.think_s.any()
    np.testing.assert_array_equal(users(12, 2.0).start_s[:8], users(8, 2.0).start_s)
    np.testing.assert_array_equal(users(12, 2.0).rows.think_s, users(8, 2.0).rows.think_s)


def test_only_closed_loops_make_no_chunk() -> None:
    loop = ClassWorkload("users", ClosedLoopArrivals(2), ISL, OSL)
    assert list(build_source(WorkloadSpec((loop,)), 30.0, 1).chunks()) == []


def test_a_long_stream_starts_at_once() -> None:
    """A year at 1000 requests/s is 31.5 billion requests; only what is asked for is drawn."""
    spec = WorkloadSpec((CHAT, ClassWorkload("bulk", Gamma(1000.0, 2.0), ISL, OSL)))
    chunks = build_source(spec, 365 * 86400.0, 1, chunk_requests=5000).chunks()
    assert [next(chunks).n_open for _ in range(8)] == [5000] * 8


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Poisson(-1.0), "poisson.rate_rps"),
        (lambda: Poisson(float("nan")), "poisson.rate_rps"),
        (lambda: Gamma(1.0, -0.1), "gamma.cv"),
        (lambda: Schedule(1.0, hourly=(1.0,) * 23), "schedule.hourly"),
        (lambda: Prefixes(2, Constant(5), share=1.2), "prefixes.share"),
        (lambda: ClosedLoopArrivals(0), "closed_loop.concurrency"),
        (lambda: ClassWorkload("a", Poisson(1.0), osl=OSL), "class a: isl"),
        (lambda: ClassWorkload("a", Poisson(1.0), ISL), "class a: osl"),
        (lambda: ClassWorkload("a", Poisson(1.0), ISL, OSL, complexity=1.5), "class a: complexity"),
        (lambda: ClassWorkload("a", Sessions(1.0, Constant(2), 1.0), osl=OSL), "class a: isl"),
        (lambda: ClassWorkload("a", TALK.arrivals, ISL, OSL, CHAT.prefixes), "class a: prefixes"),
        (lambda: WorkloadSpec((CHAT, CHAT)), "more than once: chat"),
        (lambda: build_source(MIXED, float("inf"), 1), "horizon_s"),
        (lambda: build_source(MIXED, 1.0, 1, chunk_requests=0), "chunk_requests"),
    ],
)
def test_impossible_workloads_are_refused(make: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()  # type: ignore[operator]


@pytest.mark.parametrize("workload", [CHAT, TALK, REPLAY])
def test_stop_tokens_end_their_share_of_the_answers_and_change_nothing_else(workload: ClassWorkload) -> None:
    def drawn(share: float) -> Requests:
        spec = WorkloadSpec((replace(workload, stop_token_share=share),))
        return next(iter(build_source(spec, 400.0, 3).chunks()))

    none, some, every = (drawn(share) for share in (0.0, 0.7, 1.0))
    assert not none.stops.any()
    assert every.stops.all()
    assert abs(some.stops.mean() - 0.7) < 4 * np.sqrt(0.21 / len(some))
    assert (some.osl == none.osl).all()
    assert np.array_equal(some.arrival_s, none.arrival_s, equal_nan=True)


def contents(requests: Requests) -> list[tuple[int, ...]]:
    return [row_of(requests, row)[-2] for row in range(len(requests))]


@pytest.mark.parametrize("workload", [CHAT, TALK, DOCS, REPLAY])
def test_salts_keep_tenants_apart_and_change_nothing_else(workload: ClassWorkload) -> None:
    """Each salted text belongs to one text, each conversation to one salt."""

    def drawn(salts: int) -> Requests:
        spec = WorkloadSpec((replace(workload, cache_salts=salts),))
        return next(iter(build_source(spec, 400.0, 3, 2_000).chunks()))

    plain, apart = drawn(1), drawn(3)
    assert np.array_equal(plain.isl, apart.isl)
    assert np.array_equal(plain.segment_tokens, apart.segment_tokens)
    of_plain = dict(zip(apart.segment_id.tolist(), plain.segment_id.tolist(), strict=True))
    assert [of_plain[text] for text in apart.segment_id.tolist()] == plain.segment_id.tolist()
    salts = apart.segment_id % 3
    pieces = np.unique(np.stack([plain.segment_id, salts]), axis=1)
    shared = plain.segment_id == np.bincount(plain.segment_id).argmax()
    assert len(set(salts[shared].tolist())) > 1
    assert set(salts.tolist()) == {0, 1, 2}
    assert len(np.unique(apart.segment_id)) == pieces.shape[1]
    by_session: dict[int, set[int]] = {}
    for row in np.flatnonzero(apart.session_id >= 0).tolist():
        span = slice(apart.segment_start[row], apart.segment_start[row + 1])
        by_session.setdefault(int(apart.session_id[row]), set()).update((apart.segment_id[span] % 3).tolist())
    assert all(len(of_one) <= 1 for of_one in by_session.values())


@pytest.mark.parametrize("workload", [CHAT, DOCS, REPLAY])
def test_answers_of_one_request_have_its_whole_prompt_in_common(workload: ClassWorkload) -> None:
    def drawn(n: int, chunk: int = 10_000) -> Requests:
        source = build_source(WorkloadSpec((replace(workload, n=n),)), 60.0, 3, chunk)
        return next(iter(source.chunks()))

    one, three = drawn(1), drawn(3)
    assert len(three) == 3 * len(one)
    for name in ("arrival_s", "isl", "osl"):
        assert np.array_equal(getattr(three, name), np.repeat(getattr(one, name), 3))
    of_all = contents(three)
    for first in range(0, len(three), 3):
        assert of_all[first] == of_all[first + 1] == of_all[first + 2]
        tokens = sum(row_of(three, first)[-1])
        assert tokens == three.isl[first]
    assert {text for content in contents(one) for text in content} <= {text for content in of_all for text in content}
    assert len(np.unique(three.session_id)) <= len(one)
    assert (three.session_id >= 0).all()
    cut = drawn(3, 50)
    assert np.array_equal(cut.segment_id, three.segment_id[: len(cut.segment_id)])


def test_several_answers_need_requests_that_nothing_follows() -> None:
    with pytest.raises(InputError, match="class talk: n"):
        replace(TALK, n=2)


@given(
    st.lists(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=4), max_size=4), min_size=1, max_size=6),
    st.booleans(),
)
def test_merged_streams_are_all_rows_in_order(steps: list[list[list[int]]], one_block: bool) -> None:
    """Rows of one time stand in the order of their streams, as long as no stream's block ends at that very time."""
    streams, wanted = [], []
    for k, blocks in enumerate(steps):
        ends = np.cumsum([len(block) for block in blocks])[: 0 if one_block else -1]
        gaps = [gap for block in blocks for gap in block]
        times = np.cumsum(gaps) + (0.0 if one_block else k / 16)
        rows = make_requests(times, np.full(len(times), k + 1), np.arange(len(times)) + 1)
        streams.append([cut(rows, *pair) for pair in pairwise([0, *ends, len(rows)])] if gaps else [])
        wanted += [(at, k + 1, n + 1) for n, at in enumerate(times.tolist())]
    pieces = list(merge(streams))
    found = [
        row for one in pieces for row in zip(*(c.tolist() for c in (one.arrival_s, one.isl, one.osl)), strict=True)
    ]
    assert found == sorted(wanted)
