"""The gateway's tables of a fleet, and rows of requests: by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from simulator.engine.modes.rooms.arrays import MOST_PICTURES
from simulator.engine.state import NONE
from simulator.fleet.rows import RowLoader, to_pictures, to_rows
from simulator.fleet.tables import (
    call_table,
    cascade_table,
    class_table,
    closed_table,
    limit_table,
    opening_table,
    provider_table,
    routing_table,
    target_table,
)
from simulator.study.choices import TargetRouting
from simulator.study.fleet import CascadeSpec, ClassSpec, Opening, RoutingSpec, ServiceTier
from simulator.units import SECONDS_PER_WEEK
from simulator.workload.requests import ClosedLoop, make_extras, make_requests
from tests.fleet_cases import Source, fleet, pool, provider


def routed(kind: TargetRouting = TargetRouting.WEIGHTED, order: tuple[int, ...] = (0, 1), **more: Any) -> RoutingSpec:
    return RoutingSpec(kind, order, **more)


def test_limits_by_the_minute_are_rates_by_the_second_with_what_is_taken_away() -> None:
    first = provider(
        requests_per_minute=60.0, tokens_per_minute=1200.0, output_tokens_per_minute=30.0, taken=(10.0, 0.0, 0.0, 5.0)
    )
    table = limit_table(fleet(providers=(first, provider(requests_per_minute=6.0))))
    assert table["rate"][[0, 1, 3, 4]].tolist() == [1.0, 20.0, 0.5, 0.1]
    assert table["level"][[0, 1, 3, 4]].tolist() == [50.0, 1200.0, 25.0, 6.0]
    assert len(table) == 8


@pytest.mark.parametrize("place", range(4))
def test_a_bucket_is_full_at_first_and_the_others_are_none(place: int) -> None:
    """Requests, tokens, prompt and output tokens a minute."""
    limit = ("requests", "tokens", "input_tokens", "output_tokens")[place]
    table = limit_table(fleet(providers=(provider(**{f"{limit}_per_minute": 90.0}),)))
    assert table["rate"].tolist() == [1.5 * (k == place) for k in range(4)]
    assert table["level"].tolist() == [90.0 * (k == place) for k in range(4)]
    assert (table["asked"].tolist(), table["asked_squares"].tolist()) == ([0.0] * 4, [0.0] * 4)


def test_targets_stand_in_the_order_of_the_routing() -> None:
    plain = routing_table(fleet((pool("p"), pool("q")), routing=routed(order=(1, 0))))
    assert (plain["target"].tolist(), plain["cumulative_weight"].tolist()) == ([1, 0], [1.0, 2.0])
    for name in ("overflow_waiting", "overflow_kv", "overflow_outstanding", "max_complexity"):
        assert plain[name].tolist() == [math.inf] * 2
    said = {
        "weights": (0.25, 0.5),
        "overflow_waiting": (3.0, 4.0),
        "overflow_kv": (0.5, 0.75),
        "overflow_outstanding": (8.0, 9.0),
        "max_complexity": (0.1, 0.2),
    }
    table = routing_table(fleet((pool("p"), pool("q")), routing=routed(**said)))
    assert table["cumulative_weight"].tolist() == [0.25, 0.75]
    for name, values in said.items():
        if name != "weights":
            assert table[name].tolist() == list(values)


def test_the_two_targets_of_a_cascade() -> None:
    pools = (pool("p"), pool("q"))
    assert cascade_table(fleet(pools))["first"].tolist() == [NONE]
    cascade = CascadeSpec(0.25, 0.75, 1.5, True)
    (row,) = cascade_table(fleet(pools, routing=routed(TargetRouting.CASCADE, (1, 0), cascade=cascade)))
    assert (row["first"], row["second"]) == (1, 0)
    assert (row["share"], row["max_complexity"], row["check_s"], bool(row["streams"])) == (0.25, 0.75, 1.5, True)


def openings(clock_s: float, *starts_s: float, cycle_s: float = SECONDS_PER_WEEK) -> list[tuple[float, list[int]]]:
    """The k-th opening has the k-th of three targets alone."""
    rows = tuple(Opening(start, tuple(k == target for target in range(3))) for k, start in enumerate(starts_s))
    pools = tuple(pool(name) for name in "pqr")
    spec = replace(fleet(pools, routing=routed(order=(0, 1, 2), openings=rows, cycle_s=cycle_s)), clock_s=clock_s)
    table = opening_table(spec)
    starts = table["start_s"].reshape(-1, 3)
    assert (starts == starts[:, :1]).all()
    return [(float(start[0]), row.tolist()) for start, row in zip(starts, table["open"].reshape(-1, 3), strict=True)]


def test_openings_are_told_from_the_time_of_the_run_on() -> None:
    """At 100 s of a cycle of 1,000 s what begins at 50 s comes again after 950 s."""
    one, two, three = [1, 0, 0], [0, 1, 0], [0, 0, 1]
    assert openings(0.0, 0.0, 50.0) == [(0.0, one), (50.0, two)]
    found = openings(100.0, 0.0, 50.0, 300.0, cycle_s=1000.0)
    assert found == [(200.0, three), (900.0, one), (950.0, two)]
    assert openings(300.0, 0.0, 300.0, cycle_s=1000.0) == [(0.0, two), (700.0, one)]


def test_openings_that_never_come_again_begin_with_the_one_that_holds() -> None:
    one, two, three = [1, 0, 0], [0, 1, 0], [0, 0, 1]
    assert openings(100.0, 0.0, 50.0, 300.0, cycle_s=math.inf) == [(0.0, two), (200.0, three)]
    assert openings(50.0, 0.0, 50.0, cycle_s=math.inf) == [(0.0, two)]
    assert openings(10.0, 20.0, 50.0, cycle_s=math.inf) == [(0.0, one), (40.0, two)], "the first holds before it, too"


def test_without_openings_every_target_is_open_all_the_time() -> None:
    table = opening_table(replace(fleet((pool(), pool("q"))), clock_s=5.0))
    assert (table["open"].tolist(), len(set(table["start_s"].tolist()))) == ([1, 1], 1)


def test_calls_by_hour_class_and_band() -> None:
    """Two classes and at most three bands: six rows of each API, in each hour of a day if prices go by it."""
    bands = provider(price_bands=(0, 1000, 5000), tier_by_class=(ServiceTier(), ServiceTier(2.0, 3600.0)))
    one = provider(price_bands=(0,))
    spec = fleet(providers=(bands, one))
    table = call_table(spec).reshape(2, 1, 2, 3)
    never = np.iinfo(np.int64).max
    assert table["above_tokens"][0, 0].tolist() == [[0, 1000, 5000]] * 2
    assert table["above_tokens"][1, 0].tolist() == [[0, never, never]] * 2
    assert table["latency_factor"][:, 0, :, 0].tolist() == [[1.0, 2.0], [1.0, 1.0]]
    assert table["batch_window_s"][0, 0].tolist() == [[0.0] * 3, [3600.0] * 3]
    rows = provider_table(spec)
    assert (rows["n_bands"].tolist(), rows["n_hours"].tolist(), rows["first_call"].tolist()) == ([3, 3], [1, 1], [0, 6])
    daily = fleet(providers=(bands, replace(one, by_hour=True)))
    assert len(call_table(daily)) == 24 * 12
    rows = provider_table(daily)
    assert (rows["n_hours"].tolist(), rows["first_call"].tolist()) == ([24, 24], [0, 24 * 6])
    assert len(call_table(fleet((pool(),)))) == 0


def test_who_may_go_where_and_how_long_they_wait() -> None:
    classes = (ClassSpec("a", (True, False), timeout_s=5.0), ClassSpec("b", (True, True), max_retries=3))
    spec = fleet((pool("p"), pool("q")), classes=classes)
    assert target_table(spec)["allowed"].tolist() == [True, True, False, True], "by target, then by class"
    table = class_table(spec)
    assert (table["timeout_s"][0], table["max_retries"].tolist()) == (5.0, [classes[0].max_retries, 3])


def loop(n: int, segments: int) -> ClosedLoop:
    starts = np.minimum(np.arange(n + 1), segments)
    rows = make_requests(
        np.full(n, np.nan),
        np.full(n, 7),
        np.full(n, 3),
        segment_start=starts,
        segment_id=np.arange(segments),
        segment_tokens=np.full(segments, 5),
    )
    return ClosedLoop(np.zeros(1), rows)


def test_rows_of_closed_loops_stand_one_after_another() -> None:
    source = Source((), (loop(3, 2), loop(4, 4), loop(1, 1)))
    table = closed_table(source)
    assert (table["first_row"].tolist(), table["n_rows"].tolist()) == ([0, 3, 7], [3, 4, 1])
    loader = RowLoader(source.closed_loops)
    assert loader.closed_rows["segment_start"].tolist() == [0, 1, 2, 2, 3, 4, 5, 6]
    assert loader.closed_rows["n_segments"].tolist() == [1, 1, 0, 1, 1, 1, 1, 1]
    assert loader.segment_id.tolist() == [0, 1, 0, 1, 2, 3, 0, 0]
    assert loader.closed_rows["next_turn"].tolist() == [-1] * 8
    assert loader.longest_closed_tokens == 10
    assert RowLoader(()).longest_closed_tokens == 0


def test_rows_have_their_segments_and_pictures_at_their_places() -> None:
    requests = make_requests(
        np.array([0.0, 1.0, 2.0]),
        np.array([30, 20, 10]),
        np.array([3, 2, 1]),
        segment_start=np.array([0, 2, 2, 3]),
        segment_id=np.array([5, 6, 7]),
        segment_tokens=np.array([10, 20, 4]),
    )
    rows = to_rows(requests, 100)
    assert rows["segment_start"].tolist() == [100, 102, 102]
    assert (rows["n_segments"].tolist(), rows["listed_tokens"].tolist()) == ([2, 0, 1], [30, 0, 4])
    assert (rows["grammar_s"].tolist(), rows["acceptance"].tolist()) == ([-1.0] * 3, [-1.0] * 3)
    assert len(to_pictures(requests)) == 0
    extras = make_extras(
        3,
        adapter=np.array([0, 4, 0]),
        picture_start=np.array([0, 1, 1, 3]),
        picture_offset=np.array([2, 0, 6]),
        picture_tokens=np.array([4, 5, 3]),
        picture_content=np.array([8, 9, 8]),
    )
    rows = to_rows(replace(requests, extras=extras), 0, 50)
    assert (rows["first_picture"].tolist(), rows["n_pictures"].tolist()) == ([50, 51, 51], [1, 0, 2])
    assert rows["adapter"].tolist() == [0, 4, 0]
    found = to_pictures(replace(requests, extras=extras))
    assert [found[name].tolist() for name in ("offset", "tokens", "content")] == [[2, 0, 6], [4, 5, 3], [8, 9, 8]]


@pytest.mark.parametrize(("many", "refused"), [(MOST_PICTURES, False), (MOST_PICTURES + 1, True)])
def test_a_request_has_no_more_pictures_than_an_engine_tells_apart(many: int, refused: bool) -> None:
    columns = {f"picture_{name}": np.zeros(many, np.int64) for name in ("offset", "tokens", "content")}
    extras = make_extras(1, picture_start=np.array([0, many]), **columns)
    one = replace(make_requests(np.zeros(1), np.ones(1), np.ones(1)), extras=extras)
    if refused:
        with pytest.raises(ValueError, match="at most"):
            to_pictures(one)
    else:
        assert len(to_pictures(one)) == many
