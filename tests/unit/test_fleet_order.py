"""A fleet of three pools that was simulated in a circle's order: second, third, first; what is left behind is told."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from simulator.fleet.order import Order, _given
from simulator.fleet.records import RECORD


def test_rows_stand_where_their_numbers_say() -> None:
    """Row 0 is that of pool 1, row 1 that of pool 2, row 2 that of pool 0."""
    assert _given(("of 1", "of 2", "of 0"), (1, 2, 0)) == ("of 0", "of 1", "of 2")
    assert _given(("of 2", "of 0", "of 1"), (2, 0, 1)) == ("of 0", "of 1", "of 2")
    assert _given(("only",), (0,)) == ("only",)
    assert _given((), ()) == ()


def test_records_have_the_numbers_of_the_fleet_as_it_was_given() -> None:
    """Pools 1, 2 and 0 with 2, 1 and 3 places: theirs are replicas 3 and 4, 5, and 0 to 2; APIs stand behind."""
    order = Order((1, 2, 0, 4, 3), (2, 1, 3))
    assert not order.is_given
    records = np.zeros(8, RECORD)
    records["target"] = [0, 0, 1, 2, 2, 3, 4, -1]
    records["prefill_target"] = [-1, 2, 0, 1, -1, -1, -1, -1]
    records["replica"] = [0, 1, 2, 3, 5, -1, -1, -1]
    told = order.records(records)
    assert told["target"].tolist() == [1, 1, 2, 0, 0, 4, 3, -1]
    assert told["prefill_target"].tolist() == [-1, 0, 1, 2, -1, -1, -1, -1]
    assert told["replica"].tolist() == [3, 4, 5, 0, 2, -1, -1, -1]


def test_a_fleet_in_its_own_order_is_left_as_it_is() -> None:
    order = Order((0, 1, 2), (2, 1, 3))
    records = np.zeros(3, RECORD)
    records["target"], records["replica"] = [0, 1, 2], [1, 2, 5]
    assert order.is_given
    assert order.records(records)["replica"].tolist() == [1, 2, 5]
    run: Any = object()
    assert order.run(run) is run


@dataclass
class Stay:
    replica: int


@dataclass
class PoolUse:
    name: str
    stays: tuple[Stay, ...]


@dataclass
class Use:
    pools: tuple[PoolUse, ...]
    providers: tuple[str, ...]


@dataclass
class Run:
    usage: Use
    samples: dict[str, Any]
    balances: tuple[str, ...]
    events: Any


def test_a_run_is_told_in_the_order_of_the_fleet() -> None:
    """Events by time, then pool, kind and replica; samples by time, then pool."""
    events = np.zeros(4, [("start_s", float), ("kind", int), ("target", int), ("replica", int)])
    events["start_s"], events["target"], events["replica"] = [5.0, 5.0, 1.0, 5.0], [0, 2, 1, 2], [1, 5, 2, 3]
    run: Any = Run(
        Use(
            (PoolUse("b", (Stay(0), Stay(1))), PoolUse("c", (Stay(2),)), PoolUse("a", (Stay(5),))),
            ("y", "x"),
        ),
        {"pool": np.array([0, 1, 2]), "time_s": np.array([3.0, 2.0, 3.0]), "ready": np.array([2, 1, 3])},
        ("of b", "of c", "of a"),
        events,
    )
    told: Any = Order((1, 2, 0, 4, 3), (2, 1, 3)).run(run)
    assert [(one.name, [stay.replica for stay in one.stays]) for one in told.usage.pools] == [
        ("a", [2]),
        ("b", [3, 4]),
        ("c", [5]),
    ]
    assert told.usage.providers == ("x", "y")
    assert told.balances == ("of a", "of b", "of c")
    rows = SimpleNamespace(**told.samples)
    assert list(zip(rows.time_s.tolist(), rows.pool.tolist(), rows.ready.tolist(), strict=True)) == [
        (2.0, 2, 1),
        (3.0, 0, 3),
        (3.0, 1, 2),
    ]
    assert told.events[["start_s", "target", "replica"]].tolist() == [
        (1.0, 2, 5),
        (5.0, 0, 0),
        (5.0, 0, 2),
        (5.0, 1, 4),
    ]
