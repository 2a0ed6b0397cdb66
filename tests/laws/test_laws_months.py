"""Months of a study against an analytic fleet: it meets the SLO while its load is at most what its replicas carry."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.decide.capacity import capacity
from simulator.decide.levels import STEP, nodes
from simulator.decide.months import lasts_until, walk
from simulator.study.decision import Served, Sizes
from simulator.study.demand import Growth, Horizon, Level, Load, MonthLoad, Period


class Fleet:
    """Each replica carries a load of `each`; trials are counted."""

    def __init__(self, each: float = 1.0) -> None:
        self.each = each
        self.tried: list[tuple[Sizes, Load]] = []

    def __call__(self, sizes: Sizes, load: Load, asked: MonthLoad) -> Served:
        self.tried.append((sizes, load))
        return Served(sum(load.level) <= sum(sizes) * self.each + 1e-12, 1.0, "chat: p99 of TTFT", ())

    def search(self, asked: MonthLoad, before: Sizes | None) -> Sizes | None:
        most = max(sum(period.at(asked.level).level) for period in asked.periods)
        return (math.ceil(most / self.each - 1e-12),)


def _horizon(growth: float, months: float = 36, **more: object) -> Horizon:
    return Horizon(months, (Growth(growth),), **more)  # type: ignore[arg-type]


@given(st.floats(-0.7, 4.0), st.integers(1, 60), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_a_fixed_fleet_fails_in_the_month_in_which_load_passes_capacity(growth: float, months: int, n: int) -> None:
    horizon = _horizon(growth, months)
    fleet = Fleet(0.5)
    walked = walk(horizon, fleet, (n,))
    for month in walked:
        assert month.meets == (horizon.level(month.month)[0] <= n * 0.5 + 1e-12)
        assert sum(share.hours for share in month.shares) == pytest.approx(730)
    misses = [month.month for month in walked if not month.meets]
    assert lasts_until(walked) == (misses[0] - 1 if misses else None)
    assert len(fleet.tried) == len(set(fleet.tried)), "no trial is made twice"


def test_growth_of_100_percent_on_a_fleet_at_half_load_lasts_twelve_months() -> None:
    fleet = Fleet()
    walked = walk(Horizon(36, (Growth(1.0),)), fleet, (2,))
    assert lasts_until(walked) == 13, "month 13 has exactly twice the load, which two replicas carry"
    assert [month.meets for month in walked] == [True] * 13 + [False] * 23


def test_without_growth_one_trial_serves_all_months() -> None:
    fleet = Fleet()
    walked = walk(_horizon(0.0), fleet, (1,))
    assert len(fleet.tried) == 1
    assert len(walked) == 36
    assert lasts_until(walked) is None


def test_nodes_are_few_and_the_border_is_found_by_halving() -> None:
    fleet = Fleet(2**0.9 / 1)
    walk(_horizon(2 ** (1 / 3) - 1), fleet, (1,))
    assert len(fleet.tried) <= 10 + 3


@given(st.lists(st.floats(0.2, 5.0), min_size=1, max_size=30), st.lists(st.floats(0.2, 5.0), min_size=1, max_size=30))
@settings(max_examples=80, deadline=None)
def test_months_lie_between_their_nodes(a: list[float], b: list[float]) -> None:
    levels = list(zip(a, b, strict=False))
    found = nodes(levels)
    assert found[0] == 0
    assert len(found) == 1 or found[-1] == len(levels) - 1
    for index, level in enumerate(levels):
        low = levels[max(node for node in found if node <= index)]
        high = levels[min((node for node in found if node >= index), default=0)]
        for x, y, z in zip(low, level, high, strict=True):
            assert min(x, z) <= y <= max(x, z)
            if index not in found and len(found) > 1:
                assert max(x, z) <= min(x, z) * (1 + STEP) * (1 + 1e-12)


@given(st.floats(0.0, 3.0), st.integers(2, 48))
@settings(max_examples=40, deadline=None)
def test_sizes_that_grow_always_meet_and_owned_ones_do_not_shrink(growth: float, months: int) -> None:
    horizon = _horizon(growth, months)
    fleet = Fleet()
    walked = walk(horizon, fleet, (1,), fleet.search, (True,))
    assert all(month.meets for month in walked)
    sizes = [month.sizes[0] for month in walked]
    assert sizes == sorted(sizes)
    assert sizes == [math.ceil(horizon.level(month.month)[0] - 1e-12) for month in walked], "no month has more"


@given(st.floats(-0.9, 3.0), st.integers(2, 48), st.floats(1.0, 8.0))
@settings(max_examples=40, deadline=None)
def test_rented_sizes_are_what_each_month_needs(growth: float, months: int, first: float) -> None:
    horizon = Horizon(months, (Growth(growth, ((1, first),)),))
    fleet = Fleet()
    walked = walk(horizon, fleet, (math.ceil(first),), fleet.search, (False,))
    assert all(month.meets for month in walked)
    assert [month.sizes[0] for month in walked] == [math.ceil(month.level[0] - 1e-12) for month in walked]


def test_owned_hardware_stays_where_the_load_falls_and_rented_does_not() -> None:
    growth = Growth(steps=((1, 3.0), (5, 1.0)))
    horizon = Horizon(8, (growth,))
    fleet = Fleet()
    owned = walk(horizon, fleet, (1,), fleet.search, (True,))
    rented = walk(horizon, fleet, (1,), fleet.search, (False,))
    assert [month.sizes[0] for month in owned] == [3] * 8
    assert [month.sizes[0] for month in rented] == [3] * 4 + [1] * 4


def test_each_period_is_judged_by_itself_and_has_its_hours() -> None:
    periods = (
        Period("ordinary", 650.0, (0.5,)),
        Period("peak", 80.0, (1.8,), months=(11, 12)),
        Period("rest", 80.0, (0.4,), months=tuple(range(1, 11))),
    )
    horizon = Horizon(12, (Growth(),), periods, first_month=1)
    walked = walk(horizon, Fleet(), (1,))
    assert [month.meets for month in walked] == [True] * 10 + [False] * 2
    assert lasts_until(walked) == 10
    for month in walked:
        assert sum(share.hours for share in month.shares) == pytest.approx(730)
    assert {share.period.name for share in walked[-1].shares} == {"ordinary", "peak"}


@given(
    st.floats(-0.5, 1.0),
    st.sets(st.integers(1, 12), min_size=1, max_size=11),
    st.integers(1, 12),
    st.floats(1.2, 6.0),
)
@settings(max_examples=40, deadline=None)
def test_a_season_is_sized_in_its_own_months(growth: float, season: set[int], first: int, most: float) -> None:
    """What is rented for it goes with it; what is owned comes with it and stays. A fixed fleet fails in it alone."""
    periods = Period("ordinary", 650.0), Period("peak", 80.0, (most,), months=tuple(sorted(season)))
    rest = Period("rest", 80.0, months=tuple(sorted({*range(1, 13)} - season)))
    horizon = Horizon(30, (Growth(growth),), (*periods, rest), first_month=first)
    need = [
        math.ceil(horizon.level(k)[0] * (most if (first + k - 2) % 12 + 1 in season else 1.0) - 1e-12)
        for k in horizon.numbers
    ]
    fleet = Fleet()
    rented = walk(horizon, fleet, (need[0],), fleet.search, (False,))
    assert [month.sizes[0] for month in rented] == need
    owned = walk(horizon, fleet, (need[0],), fleet.search, (True,))
    assert [month.sizes[0] for month in owned] == list(itertools.accumulate(need, max))
    fixed = walk(horizon, fleet, (2,))
    assert [month.meets for month in fixed] == [n <= 2 for n in need]
    assert all(month.meets for month in (*rented, *owned))


@given(
    st.lists(st.tuples(st.integers(2, 40), st.sampled_from([0.5, 1.0, 2.0, 3.0, 5.0])), max_size=6),
    st.integers(3, 14),
    st.integers(20, 44),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_each_server_that_was_bought_stands_for_a_life_of_its_own(
    steps: list[tuple[int, float]], life: int, months: int, seasonal: bool
) -> None:
    """Server by server: what is worn goes unless the month needs it, and what is missing is bought."""
    periods = (Period("peak", 730.0, (3.0,), months=(11, 12)), Period("rest", 730.0, months=tuple(range(1, 11))))
    growth = Growth(steps=((1, 2.0), *sorted(dict(steps).items())))
    horizon = Horizon(months, (growth,), periods if seasonal else (Period("all", 730.0),), first_month=1)
    need = [math.ceil(max(one.at(horizon.level(k)).level[0] for one in horizon.periods_of(k))) for k in horizon.numbers]

    def after(sizes: Sequence[int]) -> list[int]:
        """Months after which servers are worn, as they are after some months."""
        worn: list[int] = []
        for k, n in enumerate(sizes):
            worn = [end for end in worn if end > k]
            worn += [k + life] * max(n - len(worn), 0)
        return worn

    def standing(so_far: Sequence[Sizes]) -> Sizes:
        return (sum(end > len(so_far) for end in after([sizes[0] for sizes in so_far])),)

    expected: list[int] = []
    for n in need:
        expected.append(max(n, standing([(size,) for size in expected])[0]))
    falls = any(b < a for a, b in itertools.pairwise(need))
    fleet = Fleet()
    walked = walk(horizon, fleet, (need[0],), fleet.search, (True,), standing=standing)
    assert [month.sizes[0] for month in walked] == (expected if falls else list(itertools.accumulate(need, max)))
    assert all(month.meets for month in walked)


def test_a_table_by_month_is_followed_exactly() -> None:
    horizon = Horizon(6, (Growth(steps=((2, 1.5), (4, 4.0), (6, 0.5))),))
    walked = walk(horizon, Fleet(), (3,))
    assert [month.level[0] for month in walked] == [1.0, 1.5, 1.5, 4.0, 4.0, 0.5]
    assert [month.meets for month in walked] == [True, True, True, False, False, True]
    assert lasts_until(walked) == 3


def test_a_study_may_end_within_a_month() -> None:
    assert list(_horizon(0.0, 2.5).numbers) == [1, 2, 3]
    assert list(_horizon(0.0, 3).numbers) == [1, 2, 3]


def test_a_node_that_no_size_serves_keeps_its_fleet_and_fails() -> None:
    fleet = Fleet()

    def search(asked: MonthLoad, before: Sizes | None) -> Sizes | None:
        found = fleet.search(asked, before)
        return found if found and found[0] <= 2 else None

    walked = walk(_horizon(1.0, 24), fleet, (1,), search, (True,))
    assert lasts_until(walked) == 13
    assert walked[-1].sizes == (2,)


def test_a_month_whose_neighbours_sizes_miss_is_searched_for_itself() -> None:
    """Settings of an autoscaler that meet the load they were found for and no other, as where one starts too late."""
    horizon = _horizon(1.0, 36)
    fits: dict[Level, Sizes] = {}

    def trial(sizes: Sizes, load: Load, asked: MonthLoad) -> Served:
        return Served(fits.get(load.level) == sizes, 1.0, "", ())

    def search(asked: MonthLoad, before: Sizes | None) -> Sizes | None:
        fits[asked.level] = (3 + len(fits) % 2,)
        return fits[asked.level]

    walked = walk(horizon, trial, (3,), search, (False,))
    assert all(month.meets for month in walked)
    assert len(fits) == len({month.level for month in walked})


def test_an_autoscaler_that_misses_between_two_loads_that_it_meets_is_searched_for_there() -> None:
    """At the nodes of a load that grows by a half in two years 2 do, in the fifth month 3: as one that starts late."""
    horizon = _horizon(0.25, 24)
    odd = horizon.level(5)

    def trial(sizes: Sizes, load: Load, asked: MonthLoad) -> Served:
        return Served(sizes == ((3,) if load.level == odd else (2,)), 1.0, "", ())

    def search(asked: MonthLoad, before: Sizes | None) -> Sizes | None:
        return (3,) if asked.level == odd else (2,)

    walked = walk(horizon, trial, (2,), search, (False,), scales=lambda asked: True)
    assert all(month.meets for month in walked)
    assert [month.month for month in walked if month.sizes == (3,)] == [5]


@pytest.mark.parametrize("scales", [False, True])
def test_an_autoscaler_that_is_written_is_tried_between_two_loads_that_it_meets(scales: bool) -> None:
    """It misses in month 5 of a load that grows by a half in two years, between nodes that it meets."""
    horizon = _horizon(0.25, 24)
    odd = horizon.level(5)
    tried: set[Level] = set()

    def trial(sizes: Sizes, load: Load, asked: MonthLoad) -> Served:
        tried.add(load.level)
        return Served(load.level != odd, 0.5 if load.level == odd else 1.0, "late" if load.level == odd else "", ())

    walked = walk(horizon, trial, (2,), scales=lambda asked: scales)
    assert [month.month for month in walked if not month.meets] == ([5] if scales else [])
    assert lasts_until(walked) == (4 if scales else None)
    assert (walked[4].binding, walked[4].attainment) == (("late", 0.5) if scales else ("", 1.0))
    assert (tried == {horizon.level(month) for month in horizon.numbers}) == scales


def test_a_month_between_in_which_a_class_by_chance_has_no_request_is_as_its_neighbours() -> None:
    """No request is measured in month 5, so that it tells nothing of a written autoscaler, which meets it beside."""
    horizon = _horizon(0.25, 24)
    odd = horizon.level(5)

    def trial(sizes: Sizes, load: Load, asked: MonthLoad) -> Served:
        return Served(None if load.level == odd else True, 1.0, "", ())

    walked = walk(horizon, trial, (2,), scales=lambda asked: True)
    assert all(month.meets is True for month in walked)
    assert len({share.hours for share in walked[4].shares}) == 2


def test_the_month_that_no_size_serves_any_more_is_found_between_nodes() -> None:
    fleet = Fleet()
    searched: list[Level] = []

    def search(asked: MonthLoad, before: Sizes | None) -> Sizes | None:
        searched.append(asked.level)
        return fleet.search(asked, before) if sum(asked.level) <= 2.3 else None

    horizon = _horizon(1.0, 24)
    walked = walk(horizon, fleet, (1,), search, (False,))
    last = max(month for month in horizon.numbers if horizon.level(month)[0] <= 2.3)
    assert lasts_until(walked) == last == 15
    assert [month.sizes for month in walked[12:15]] == [(2,), (3,), (3,)]


@given(st.floats(0.02, 60.0), st.floats(1.01, 3.0))
@settings(max_examples=60, deadline=None)
def test_capacity_is_found_to_two_percent(true: float, first: float) -> None:
    found = capacity(lambda factor: factor <= true, true >= 1, first)
    assert found.factor <= true < found.fails_at <= found.factor * 1.02 * (1 + 1e-12)
    assert found.used_share_low < 1 / true <= found.used_share_high <= found.used_share_low * 1.021


@given(st.floats(0.02, 60.0), st.floats(1.01, 3.0))
@settings(max_examples=60, deadline=None)
def test_a_few_trials_leave_a_wider_span_of_the_same_capacity(true: float, first: float) -> None:
    """An estimate never says what more trials contradict."""
    spans = [capacity(lambda factor: factor <= true, true >= 1, first, n) for n in (0, 1, 2, 4, 8, None)]
    for n, wide in zip((0, 1, 2, 4, 8), spans[:-1], strict=True):
        assert len(wide.tried) <= n + 1
        assert wide.factor <= true < wide.fails_at
    for wide, narrow in itertools.pairwise(spans):
        assert wide.factor <= narrow.factor <= narrow.fails_at <= wide.fails_at


def test_capacity_without_bounds() -> None:
    assert capacity(lambda factor: True, True).fails_at == math.inf
    none = capacity(lambda factor: False, False)
    assert none.factor == 0.0
    assert none.used_share_high == math.inf
    assert np.isclose(none.fails_at, 1 / 64)
