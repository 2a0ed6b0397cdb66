"""What is asked and billed between two loads whose sizes are known, and records that nobody will ask for any more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scenario_cases import chat, written

from simulator.fleet.records import RECORD
from simulator.resolve.sizes import Fixed, OpenPool, Scaled, Size
from simulator.resolve.topology import plan_topology
from simulator.run.growth import AtLevel, _between, _between_usd
from simulator.run.loads import loads_of
from simulator.run.written_instances import _forget
from simulator.simulate.one import subject_of
from simulator.simulate.rows import Rows
from simulator.simulate.stored import outcome_key
from simulator.size.trials import Tried
from simulator.study.demand import MonthLoad

SCALER = OpenPool(0, "p", 1, 1, owned=False, scaler=(None, None, None))
MOST_ALONE = replace(SCALER, scaler=(1, None, 9.0))
FIXED = replace(SCALER, scaler=None)


def tried(*sizes: Size, usd: float = 10.0) -> Tried:
    return Tried(sizes, "met", (usd,))


def at(*level: float, best: Tried | None) -> AtLevel:
    return AtLevel(MonthLoad(level), best, 0.0, ())


@pytest.mark.parametrize(
    ("low", "high", "half"),
    [
        (Scaled(2, 5, 4.0), Scaled(6, 9, 8.0), Scaled(4, 7, 8.0)),
        (Scaled(1, 4, 4.0), Scaled(4, 7, 2.0, "h100x2"), Scaled(2, 6, 2.0, "h100x2")),
        (Scaled(3, 8, 4.0), Scaled(3, 8, 4.0), Scaled(3, 8, 4.0)),
    ],
)
def test_between_two_loads_are_fewest_rounded_down_most_rounded_up_and_the_target_of_the_heavier(
    low: Scaled, high: Scaled, half: Scaled
) -> None:
    assert _between([SCALER], at(1.0, best=tried(low)), tried(high)) == ((half,), (high,))


LOW, HIGH = Scaled(2, 5, 4.0), Scaled(6, 9, 8.0)


@pytest.mark.parametrize(
    ("pools", "last", "then"),
    [
        ([SCALER, SCALER], at(1.0, best=tried(LOW, LOW)), tried(HIGH, HIGH)),
        ([], at(1.0, best=tried()), tried()),
        ([MOST_ALONE], at(1.0, best=tried(LOW)), tried(HIGH)),
        ([FIXED], at(1.0, best=tried(Fixed(2))), tried(Fixed(6))),
        ([SCALER], at(1.0, best=tried(Fixed(0))), tried(HIGH)),
        ([SCALER], at(1.0, best=tried(LOW)), tried(Fixed(0))),
        ([SCALER], at(1.0, best=None), tried(HIGH)),
        ([SCALER], None, tried(HIGH)),
        ([SCALER], at(1.0, best=tried(LOW)), None),
    ],
)
def test_nothing_lies_between_fixed_numbers_several_pools_or_loads_without_a_size(
    pools: Any, last: AtLevel | None, then: Tried | None
) -> None:
    assert _between(pools, last, then) == ()


@pytest.mark.parametrize(
    ("level", "usd"),
    [((1.0, 1.0), 100.0), ((1.0, 3.0), 150.0), ((2.0, 4.0), 200.0), ((3.0, 3.0), 200.0), ((2.5, 2.5), 175.0)],
)
def test_a_bill_between_rises_evenly_with_the_load_of_all_classes(level: tuple[float, float], usd: float) -> None:
    """From $100 at a load of 2 to $200 at 6: $25 for each 1 more."""
    low, high = at(1.0, 1.0, best=tried(LOW, usd=100.0)), at(2.0, 4.0, best=tried(HIGH, usd=200.0))
    assert _between_usd(MonthLoad(level), low, high) == pytest.approx(usd)


def test_a_bill_between_two_equal_loads_is_that_of_the_first() -> None:
    low, high = at(1.0, 3.0, best=tried(LOW, usd=100.0)), at(3.0, 1.0, best=tried(HIGH, usd=200.0))
    assert _between_usd(MonthLoad((2.0, 2.0)), low, high) == 100.0


def test_requests_of_a_topology_that_nobody_asks_for_are_dropped_and_no_others(tmp_path: Path) -> None:
    pools = [
        f"{name}: {{pools: [{{name: p, site: lambda, gpu: h100-sxm, replicas: {n}}}]}}"
        for name, n in zip("ab", (1, 2), strict=True)
    ]
    loaded = written(tmp_path, chat(*pools, study="months: 1", replications=2))
    periods = loads_of(loaded).first_month
    (one,) = periods
    keys = {
        name: [outcome_key(subject_of(plan_topology(loaded, name)), one.demand, k) for k in (0, 1)] for name in "ab"
    }
    rows = Rows(tmp_path / "rows", one.period)
    rows.folder.mkdir()
    for each in (*keys["a"], *keys["b"]):
        with rows.taking(each) as keep:
            keep(np.zeros(1, RECORD))
    _forget(loaded, "a", periods, None)
    _forget(loaded, "a", periods, replace(rows, period=replace(one.period, name="another")))
    assert all(map(rows.has, (*keys["a"], *keys["b"])))
    _forget(loaded, "a", periods, rows)
    assert [rows.has(key) for key in keys["a"]] == [False, False]
    assert [rows.has(key) for key in keys["b"]] == [True, True]
