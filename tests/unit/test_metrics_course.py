"""A queue that grows from window to window is no fleet's SLO met, however long the limit and the drain."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fleet_cases import fleet, pool
from numpy.typing import NDArray

from simulator.fleet.records import RECORD, Status
from simulator.metrics.accumulate import MetricAccumulator
from simulator.metrics.course import Course, left_waiting
from simulator.metrics.slo import ClassSlo, SloTerm, late_words
from simulator.perf.bounds import TokenBound
from simulator.simulate.demand import Demand
from simulator.simulate.one import Subject, simulate_one
from simulator.simulate.refusal import try_fleet
from simulator.size.reasons import shortfall
from simulator.workload.spec import ClassWorkload, ClosedLoopArrivals, Constant, Poisson, WorkloadSpec

BOUND = TokenBound(1e12, 1e12)
ALL_SOON = SloTerm("e2e_s", 0.95, 1e6)


def queued(came_s: Any, scheduled_s: Any, finish_s: float = 1e4, tokens: int = 10) -> NDArray[np.void]:
    records = np.zeros(len(came_s), RECORD)
    records["arrival_s"], records["scheduled_s"], records["finish_s"] = came_s, scheduled_s, finish_s
    records["isl"], records["osl"], records["prefill_target"] = tokens - 1, 1, -1
    return records


def through(*batches: NDArray[np.void], start_s: float = 0.0, end_s: float = 100.0) -> Course:
    found = Course(start_s, end_s)
    for records in batches:
        found.add(records)
    return found


def test_more_comes_in_every_part_than_is_begun() -> None:
    """200 come, one each 0.5 s, and one is begun each 0.6 s: 167 of them in the window, 33 > 1.5·√200 wait."""
    found = through(queued(np.arange(200) * 0.5, np.arange(200) * 0.6))
    assert (found.begun, found.grown, found.grown_tokens, found.came) == (167, 33, 330, 200)
    assert found.parts.tolist() == [420, 420, 410, 420]
    assert found.grows


@pytest.mark.parametrize(
    ("came_s", "begun_s", "told"),
    [
        (-1.0, 0.0, (1, -1, 0)),  # waits at the beginning, in which it is begun
        (-1.0, 100.0, (0, 0, 0)),  # waits at both ends
        (0.0, 0.0, (1, 0, 1)),
        (0.0, 100.0, (0, 1, 1)),
        (100.0, 100.0, (0, 0, 0)),  # comes when the window is over
    ],
)
def test_who_is_begun_just_at_an_end_of_the_window_is_counted_once(
    came_s: float, begun_s: float, told: tuple[int, int, int]
) -> None:
    found = through(queued(np.array([came_s]), np.array([begun_s])))
    assert (found.begun, found.grown, found.came) == told


@pytest.mark.parametrize(("waiting", "grows"), [(15, False), (16, True)])
def test_a_queue_of_so_few_is_chance(waiting: int, grows: bool) -> None:
    """100 come: up to 1.5·√100 = 15 of them may wait."""
    scheduled_s = np.concatenate([np.linspace(0.0, 99.0, 100 - waiting), np.full(waiting, 101.0)])
    assert through(queued(np.zeros(100), scheduled_s)).grows is grows


@pytest.mark.parametrize(("waiting", "left"), [(10, 0.0), (11, 0.11)])
def test_a_bill_leaves_out_what_waits_beyond_chance(waiting: int, left: float) -> None:
    """100 come: up to √100 = 10 may wait. Of two replications 200 come: 11 are below √200, 20 and 22 are not."""
    scheduled_s = np.concatenate([np.linspace(0.0, 99.0, 100 - waiting), np.full(waiting, 101.0)])
    course, none = through(queued(np.zeros(100), scheduled_s)), through(queued(np.zeros(100), np.zeros(100)))
    chat = ClassSlo("chat", (ALL_SOON,))
    assert left_waiting([chat], [[course]]) == course.left == pytest.approx(left)
    assert left_waiting([chat], [[course], [none]]) == 0.0
    assert left_waiting([chat, replace(chat, is_open=False)], [[none, course]]) == 0.0
    assert left_waiting([chat], [[course], [course]]) == pytest.approx(waiting / 100)


@pytest.mark.parametrize(("late", "grows"), [(89, False), (90, False), (91, True)])
def test_a_burst_at_the_end_fits_into_the_next_window(late: int, grows: bool) -> None:
    """20 in each of three parts; then 50 of a burst are begun, so four parts have room for 200 of all."""
    early = queued(np.arange(60) * 1.25, np.arange(60) * 1.25)
    burst = queued(np.full(late + 50, 80.0), np.concatenate([np.full(50, 90.0), np.full(late, 110.0)]))
    assert through(early, burst).grows is grows


def test_who_waited_at_the_start_is_not_new() -> None:
    """40 wait at both ends; 60 come and are begun."""
    early = queued(np.zeros(40), np.linspace(10.0, 99.0, 40))
    late = queued(np.linspace(11.0, 99.0, 60), np.concatenate([np.linspace(12.0, 99.0, 20), np.full(40, 120.0)]))
    found = through(early, late, start_s=10.0)
    assert (found.begun, found.grown, found.came) == (60, 0, 60)
    assert not found.grows


def test_who_left_before_the_end_does_not_wait_and_who_never_began_does() -> None:
    left = through(queued(np.zeros(50), np.full(50, np.nan), finish_s=60.0))
    cut = through(queued(np.zeros(50), np.full(50, np.nan), finish_s=300.0))
    assert (left.grown, left.came, left.grows) == (0, 0, False)
    assert (cut.grown, cut.came, cut.grows) == (50, 50, True)


def test_who_waits_between_prefill_and_decode_is_not_begun() -> None:
    """Prompts are computed as they come, and a first token follows each 0.6 s: 33 of 200 wait for theirs."""
    records = queued(np.arange(200) * 0.5, np.arange(200) * 0.5)
    records["first_token_s"] = np.arange(200) * 0.6
    assert not through(records).grows
    records["prefill_target"] = 0
    found = through(records)
    assert (found.begun, found.grown, found.grows) == (167, 33, True)
    records["first_token_s"][167:] = np.nan
    assert (through(records).begun, through(records).grown) == (167, 33)


def test_replications_are_judged_together() -> None:
    """12 of 100 are chance, 24 of 200 are not."""
    scheduled_s = np.concatenate([np.linspace(0.0, 99.0, 88), np.full(12, 101.0)])
    one, other = (through(queued(np.zeros(100), scheduled_s)) for _ in range(2))
    assert not one.grows
    one.merge(other)
    assert (one.begun, one.grown, one.grown_tokens, one.parts.sum()) == (176, 24, 240, 1760)
    assert one.grows


def test_a_growing_queue_is_a_term_that_is_missed() -> None:
    records = queued(np.arange(200) * 0.5, np.arange(200) * 0.6)
    records["status"], records["generated"] = Status.COMPLETED, 1
    records["first_token_s"] = records["finish_s"]
    records["checked_s"] = records["prefilled_s"] = records["transferred_s"] = np.nan
    found = MetricAccumulator((ClassSlo("jobs", (ALL_SOON,)),), 0.0, 100.0, ("p",))
    found.add(records)
    row = found.terms()[-1]
    assert (row["term"], row["share"], row["of"], row["met"]) == ("begun as they come", 167 / 200, 200, False)
    assert late_words(row) == "the queue grows: 16.5% of what comes in the window still waits when it ends"
    summary = found.summary()
    assert summary["slo_met"] is False
    assert summary["binding_term"] == row
    assert summary["slo_attainment"] == 1.0
    assert shortfall(found) == f"jobs: {late_words(row)}"
    assert row["allowance_used"] == pytest.approx(200 / 167)
    strict = MetricAccumulator((ClassSlo("jobs", (SloTerm("e2e_s", 0.5, 1.0),)),), 0.0, 100.0, ("p",))
    strict.add(records)
    assert strict.summary()["binding_term"]["term"] == "e2e p50 ≤ 1 s"
    waiting = MetricAccumulator((ClassSlo("users", (ALL_SOON,), is_open=False),), 0.0, 100.0, ("p",))
    waiting.add(records)
    assert [row["met"] for row in waiting.terms()] == [True, True]


def asked(arrivals: Any, is_open: bool = True) -> Demand:
    """Answers of 20 steps of 50 ms, 8 at a time: a replica begins 8 a second at most. What is left has time to end."""
    classes = (ClassWorkload("a", arrivals, isl=Constant(10), osl=Constant(20)),)
    return Demand((ClassSlo("a", (ALL_SOON,), is_open=is_open),), WorkloadSpec(classes), 1000.0, 50.0, 400.0, 3, 2)


def subject(replicas: int) -> Subject:
    spec = fleet((pool(replicas=replicas),))
    return Subject(replace(spec, classes=spec.classes[:1]), (BOUND,))


@pytest.mark.parametrize(("rate_rps", "replicas", "meets"), [(7.2, 1, True), (8.6, 1, False), (8.6, 2, True)])
def test_a_fleet_meets_a_long_limit_if_it_begins_what_comes(rate_rps: float, replicas: int, meets: bool) -> None:
    tried = try_fleet(subject(replicas), asked(Poisson(rate_rps)))
    assert (tried.refutation is None) is meets
    if tried.refutation is not None:
        assert tried.refutation.term == "begun as they come"
        assert str(tried.refutation).startswith("a: the queue grows: ")
        assert all(one.metrics.total.served.kept == one.metrics.total.served.of for one in tried.outcomes)


def test_users_who_wait_for_their_answers_do_not_queue_up() -> None:
    demand = asked(ClosedLoopArrivals(400, 1.0), is_open=False)
    assert try_fleet(subject(1), demand).refutation is None
    assert not simulate_one(subject(1), demand, 0).metrics.courses[0].grows


@pytest.mark.parametrize(
    ("found", "fills"),
    [
        ((100, 140, 145, 151), (0.5, 0.755)),
        ((100, 140, 140, 151), None),
        ((100, 101, 105, 109), None),
        ((0,) * 4, None),
    ],
)
def test_a_prefix_cache_fills_where_its_hits_rise_in_every_quarter(found: tuple[int, ...], fills: Any) -> None:
    """A prompt of 200 tokens in each quarter."""
    records = queued(np.array([5.0, 30.0, 55.0, 80.0]), np.array([5.0, 30.0, 55.0, 80.0]), tokens=201)
    records["cached_tokens"] = found
    whole = through(records)
    assert whole.fills == fills
    whole.merge(through(records))
    assert whole.fills == fills


def test_nothing_is_known_of_hits_where_a_quarter_had_no_prompt() -> None:
    records = queued(np.array([5.0, 30.0, 80.0]), np.array([5.0, 30.0, 80.0]), tokens=201)
    records["cached_tokens"] = [0, 100, 190]
    assert through(records).fills is None


def test_a_trial_of_two_replications_tells_how_far_it_is() -> None:
    told: list[float] = []
    try_fleet(subject(1), asked(Poisson(2.0)), progress=told.append)
    assert told == sorted(told)
    first = [share for share in told if share < 0.5]
    assert len({round(share, 3) for share in first}) > 3, "between begin and end of the first"
    assert first[0] < 0.3
    assert told[-1] == pytest.approx(1.0)
