"""Memory of the CPU: what is evicted, what is counted, when copies are done; by hand and by plain models."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.engine.modes.offload.copies import CopyWorker, Job, Orders
from simulator.engine.modes.offload.spec import Offload
from simulator.engine.modes.offload.tier import PENDING, Access, CpuTier, Key
from simulator.engine.reference.request import Request


def keys(*contents: int) -> list[Key]:
    return [(0, content) for content in contents]


def positions(met: Sequence[Key]) -> dict[Key, int]:
    return {key: k for k, key in enumerate(met)}


def store(tier: CpuTier, *contents: int) -> list[int] | None:
    """A request that stores these chunks and ends; what was stored."""
    access = tier.access(None)
    stored = tier.begins_store(keys(*contents), access, positions(keys(*contents)))
    if stored is None:
        return None
    tier.ends_store(stored)
    tier.request_ended(access, positions(keys(*contents)))
    return [content for _, content in stored]


def held(tier: CpuTier, most: int = 40) -> set[int]:
    return {content for content in range(most) if tier.users((0, content)) is not None}


def test_ends_of_sequences_are_evicted_before_their_beginnings() -> None:
    tier = CpuTier(Offload(4))
    assert store(tier, 1, 2, 3, 4) == [1, 2, 3, 4]
    assert store(tier, 5, 6) == [5, 6]
    assert held(tier) == {1, 2, 5, 6}


def test_a_chunk_met_again_is_used_when_the_request_has_ended() -> None:
    tier = CpuTier(Offload(3))
    store(tier, 1)
    store(tier, 2)
    store(tier, 3)
    assert store(tier, 1) == []
    store(tier, 4)
    assert held(tier) == {1, 3, 4}


@pytest.mark.parametrize(("at_once", "left"), [(False, {2, 3, 4}), (True, {1, 3, 4})])
def test_a_chunk_met_again_is_used_at_once_or_when_the_request_has_ended(at_once: bool, left: set[int]) -> None:
    tier = CpuTier(Offload(3), at_once)
    for content in (1, 2, 3):
        store(tier, content)
    reader = tier.access(None)
    tier.begins_load(keys(1), reader, positions(keys(1)))
    tier.ends_load(keys(1))
    store(tier, 4)
    assert held(tier) == left


def test_all_that_a_request_meets_at_once_is_used_when_it_met_the_first_of_it() -> None:
    tier = CpuTier(Offload(4), True)
    early, late = tier.access(None), tier.access(None)
    of_early = {(0, 1): 1, (0, 2): 2, (0, 3): 3}
    for access, key, where in ((early, (0, 1), of_early), (late, (0, 9), {(0, 9): 1}), (early, (0, 2), of_early)):
        tier.ends_store(tier.begins_store([key], access, where) or [])
    assert tier.begins_store([(0, 3)], early, of_early) == [(0, 3)]
    assert store(tier, 5) == [5]
    assert held(tier) == {1, 3, 5, 9}


def test_what_is_stored_or_loaded_now_stays_and_nothing_changes_where_that_leaves_no_room() -> None:
    tier = CpuTier(Offload(3))
    store(tier, 1)
    reader, writer = tier.access(None), tier.access(None)
    tier.begins_load(keys(1), reader, positions(keys(1)))
    assert tier.begins_store(keys(2, 3), writer, positions(keys(2, 3))) == keys(2, 3)
    assert tier.users((0, 2)) == PENDING
    assert store(tier, 4) is None
    assert held(tier) == {1, 2, 3}
    tier.ends_load(keys(1))
    assert store(tier, 4) == [4]
    assert held(tier) == {2, 3, 4}


def test_chunks_are_stored_once_they_were_offered_so_often_of_those_that_are_counted() -> None:
    tier = CpuTier(Offload(9, store_threshold=2, tracked=2))
    assert [store(tier, 1), store(tier, 2), store(tier, 1)] == [[], [], [1]]
    assert store(tier, 3) == []
    assert store(tier, 2) == []
    assert store(tier, 3) == [3]


def test_a_reset_forgets_chunks_and_what_requests_met_but_not_how_often_chunks_were_offered() -> None:
    tier = CpuTier(Offload(4, store_threshold=2))
    store(tier, 1)
    assert store(tier, 1) == [1]
    access = tier.access(None)
    tier.begins_load(keys(1), access, positions(keys(1)))
    tier.reset()
    assert held(tier) == set()
    assert tier.access(access) is not access
    assert store(tier, 1) == [1]


def test_what_a_request_met_before_a_reset_does_not_count_after_it() -> None:
    tier = CpuTier(Offload(2))
    early = tier.access(None)
    tier.ends_store(tier.begins_store(keys(1), early, positions(keys(1))) or [])
    tier.reset()
    store(tier, 1)
    store(tier, 2)
    tier.request_ended(early, positions(keys(1)))
    store(tier, 3)
    assert held(tier) == {2, 3}


def test_a_request_that_meets_what_it_stored_itself_has_not_used_it_again() -> None:
    tier = CpuTier(Offload(2, adaptive=True))
    own = tier.access(None)
    tier.ends_store(tier.begins_store(keys(1), own, positions(keys(1))) or [])
    assert tier.begins_store(keys(1), own, positions(keys(1))) == []
    tier.request_ended(own, positions(keys(1)))
    store(tier, 2)
    store(tier, 3)
    assert held(tier) == {2, 3}


def test_adaptive_replacement_keeps_what_was_used_again_while_much_is_used_once() -> None:
    scan = list(range(10, 30))
    kept = {}
    for adaptive in (False, True):
        tier = CpuTier(Offload(4, adaptive=adaptive))
        store(tier, 1)
        store(tier, 1)
        for content in scan:
            store(tier, content)
        kept[adaptive] = 1 in held(tier)
    assert kept == {False: False, True: True}


class PlainArc:
    """Adaptive replacement as vLLM writes it down, for chunks that are never read or written meanwhile."""

    def __init__(self, capacity: int) -> None:
        self.capacity, self.target = capacity, 0.0
        self.once: list[int] = []
        self.again: list[int] = []
        self.lost_once: list[int] = []
        self.lost_again: list[int] = []

    def offer(self, content: int) -> None:
        if content in self.once + self.again:
            (self.once if content in self.once else self.again).remove(content)
            self.again.append(content)
            return
        once, again = len(self.lost_once), len(self.lost_again)
        if content in self.lost_once:
            self.target = min(self.target + max(1, again / once), self.capacity)
        elif content in self.lost_again:
            self.target = max(self.target - max(1, once / again), 0)
        for lost in (self.lost_once, self.lost_again):
            if content in lost:
                lost.remove(content)
                lost.append(content)
        if len(self.once) + len(self.again) == self.capacity:
            first = self.once and (len(self.once) >= int(self.target) or not self.again)
            (self.lost_once if first else self.lost_again).append((self.once if first else self.again).pop(0))
            self.lost_once, self.lost_again = (
                lost[max(0, len(lost) - self.capacity) :] for lost in (self.lost_once, self.lost_again)
            )
        for lost in (self.lost_once, self.lost_again):
            if content in lost:
                lost.remove(content)
        self.once.append(content)


@given(st.lists(st.integers(0, 9), max_size=80), st.integers(1, 6))
def test_one_chunk_at_a_time_is_the_textbook(offers: list[int], capacity: int) -> None:
    recent: list[int] = []
    arc = PlainArc(capacity)
    tiers = {adaptive: CpuTier(Offload(capacity, adaptive=adaptive)) for adaptive in (False, True)}
    for content in offers:
        for tier in tiers.values():
            store(tier, content)
        arc.offer(content)
        recent = [*(other for other in recent if other != content), content][-capacity:]
        assert held(tiers[False]) == set(recent)
        assert held(tiers[True]) == {*arc.once, *arc.again}


@given(
    st.lists(st.tuples(st.lists(st.integers(0, 12), min_size=1, max_size=5, unique=True), st.booleans()), max_size=40),
    st.integers(1, 6),
    st.booleans(),
    st.booleans(),
)
def test_room_is_never_exceeded_and_what_is_in_use_never_given_up(
    calls: list[tuple[list[int], bool]], capacity: int, adaptive: bool, at_once: bool
) -> None:
    tier = CpuTier(Offload(capacity, adaptive=adaptive), at_once)
    reading: list[list[Key]] = []
    access: Access = tier.access(None)
    for contents, reads in calls:
        ready = [key for key in keys(*contents) if (tier.users(key) or 0) >= 0 and tier.users(key) is not None]
        if reads and ready:
            tier.begins_load(ready, access, positions(ready))
            reading.append(ready)
        elif reading and reads:
            tier.ends_load(reading.pop(0))
        else:
            store(tier, *contents)
        assert len(held(tier)) <= capacity
        assert all(tier.users(key) == sum(key in each for each in reading) for each in reading for key in each)


@pytest.fixture
def request_() -> Request:
    return Request(0, 0.0, isl=8, osl=2)


def test_a_load_begins_with_its_step_a_store_with_the_next(request_: Request) -> None:
    load = Job(0, request_, False, (), ())
    kept = Job(1, request_, True, (), ())
    worker = CopyWorker(lambda job: 1)
    assert worker.compute(Orders(loads=[load], stores=[kept])) == []
    assert worker.compute(Orders()) == [load]
    assert worker.compute(Orders()) == [kept]
    assert worker.compute(Orders()) == []


def test_a_step_waits_for_copies_whose_blocks_it_gives_away(request_: Request) -> None:
    old, new, done = (Job(k, request_, True, (), ()) for k in range(3))
    worker = CopyWorker(lambda job: 9)
    assert worker.compute(Orders(stores=[old])) == []
    assert worker.compute(Orders(stores=[new], flushed={old, new, done})) == [old, new]
