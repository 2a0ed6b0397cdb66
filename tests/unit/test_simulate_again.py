"""What goes by the clock in a window goes so in each window after it: by looking at every second of both."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from fleet_cases import fleet, pool, provider
from hypothesis import given
from hypothesis import strategies as st

from simulator.simulate.again import coming_again, mean_replicas
from simulator.study.choices import TargetRouting
from simulator.study.fleet import Opening, RoutingSpec
from simulator.study.schedule import Schedule

CYCLE_S, TIMES = 40, st.integers(0, 39)


def spans() -> st.SearchStrategy[list[tuple[float, float, int]]]:
    one = st.tuples(TIMES, st.integers(1, 15), st.integers(0, 4))
    return st.lists(one.map(lambda row: (float(row[0]), float(min(row[0] + row[1], CYCLE_S)), row[2])), max_size=3)


def is_open(rule: RoutingSpec, at_s: int) -> tuple[bool, ...]:
    """By going through the seconds up to this one from the opening that holds at first."""
    begins = {row.start_s: row.targets for row in rule.openings}
    if math.isinf(rule.cycle_s):
        found, seconds = rule.openings[0].targets, range(at_s + 1)
    else:
        found, seconds = rule.openings[-1].targets, range(at_s % int(rule.cycle_s) + 1)
    for second in seconds:
        found = begins.get(float(second), found)
    return found


@given(spans(), st.integers(1, 3), st.integers(0, 90), st.integers(1, 100))
def test_replicas_are_those_of_the_window_in_each(
    windows: list[tuple[float, float, int]], outside: int, clock_s: int, window_s: int
) -> None:
    schedule = Schedule(tuple(windows), outside, cycle_s=CYCLE_S)
    spec = replace(fleet((pool(schedule=schedule),)), clock_s=float(clock_s))
    found = coming_again(spec, window_s)
    (again,) = found.pools
    there = [schedule.replicas_at(clock_s + at_s) for at_s in range(window_s)]
    if again.schedule is None:
        assert set(there) == {again.replicas}
    else:
        assert [again.schedule.replicas_at(found.clock_s + at_s) for at_s in range(2 * window_s)] == 2 * there
    assert mean_replicas(coming_again(spec, window_s), window_s) == [pytest.approx(sum(there) / window_s)]


@given(
    st.lists(st.tuples(TIMES, st.booleans()), min_size=1, max_size=4, unique_by=lambda row: row[0]),
    st.integers(0, 90),
    st.integers(1, 100),
    st.sampled_from([float(CYCLE_S), math.inf]),
)
def test_targets_are_open_as_in_the_window_in_each(
    rows: list[tuple[int, bool]], clock_s: int, window_s: int, cycle_s: float
) -> None:
    openings = tuple(Opening(float(start_s), (to_pool, not to_pool)) for start_s, to_pool in sorted(rows))
    rule = RoutingSpec(TargetRouting.WEIGHTED, (0, 1), openings=openings, cycle_s=cycle_s)
    spec = replace(fleet((pool(),), providers=(provider(),), routing=rule), clock_s=float(clock_s))
    again = coming_again(spec, window_s)
    there = [is_open(rule, clock_s + at_s) for at_s in range(window_s)]
    assert [is_open(again.routing, int(again.clock_s) + at_s) for at_s in range(2 * window_s)] == 2 * there
    opened = sum(to_pool for to_pool, _ in there) / window_s
    assert mean_replicas(again, window_s) == [pytest.approx(spec.pools[0].replicas * opened)]


@given(spans(), st.integers(0, 3), st.booleans(), st.integers(0, 90), st.integers(1, 100))
def test_replicas_count_while_they_get_requests(
    windows: list[tuple[float, float, int]], outside: int, first: bool, clock_s: int, window_s: int
) -> None:
    """A pool that stands by day, and is open by day, has all of its replicas then: not a half of a half of them."""
    schedule = Schedule(tuple(windows), outside, cycle_s=CYCLE_S)
    openings = (Opening(0.0, (first, True)), Opening(CYCLE_S / 2, (not first, True)))
    rule = RoutingSpec(TargetRouting.WEIGHTED, (0, 1), openings=openings, cycle_s=CYCLE_S)
    spec = replace(fleet((pool(schedule=schedule), pool("q")), routing=rule), clock_s=float(clock_s))
    there = [
        schedule.replicas_at(clock_s + at_s) if ((clock_s + at_s) % CYCLE_S < CYCLE_S / 2) is first else 0
        for at_s in range(window_s)
    ]
    found = mean_replicas(coming_again(spec, window_s), window_s)
    assert found == [pytest.approx(sum(there) / window_s), pytest.approx(1)]


def test_a_pool_that_answers_what_another_hands_to_it_is_open_with_that_one() -> None:
    """Routing names no pool that only answers."""
    openings = (Opening(0.0, (True, False, False)), Opening(10.0, (False, False, True)))
    rule = RoutingSpec(TargetRouting.OVERFLOW, (0, 2), openings=openings, cycle_s=40.0)
    pools = (pool("prompts", 2, hands_to=1), pool("answers", 3), pool("night", 4))
    assert mean_replicas(coming_again(fleet(pools, routing=rule), 40.0), 40.0) == [0.5, 0.75, 3.0]
