"""The month that asks for the most, and the time that is left for sizes at other speeds, by hand."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from simulator.run import speeds as speeds_place
from simulator.run.binding import binding_month
from simulator.run.speeds import speeds
from simulator.size.found import Limits
from simulator.study.demand import MonthLoad


def rows(*requests: tuple[int, int, int]) -> Any:
    """Requests by class, prompt and output tokens."""
    class_id, isl, osl = (np.array(column, np.int64) for column in zip(*requests, strict=True))
    return SimpleNamespace(class_id=class_id, isl=isl, osl=osl)


@dataclass(frozen=True)
class Busy:
    """A period by what it has of each class."""

    load: tuple[float, float]

    def at(self, level: tuple[float, float]) -> Any:
        return SimpleNamespace(level=tuple(mine * grown for mine, grown in zip(self.load, level, strict=True)))


def loads(levels: dict[int, tuple[float, float]], periods: list[tuple[float, float]]) -> Any:
    """Two classes: 160 tokens of the first, 30 of the second, users who wait among them."""
    source = SimpleNamespace(
        chunks=lambda: iter([rows((0, 100, 20), (1, 10, 5)), rows((1, 5, 5))]),
        closed_loops=[SimpleNamespace(rows=rows((0, 30, 10), (1, 4, 1)))],
    )
    demand = SimpleNamespace(source=lambda number: source, classes=("a", "b"))

    busy: Any = tuple(map(Busy, periods))
    asked = {month: MonthLoad(level, busy) for month, level in levels.items()}
    horizon = SimpleNamespace(numbers=list(levels), asked=asked.__getitem__)
    return SimpleNamespace(horizon=horizon, demand=demand)


@pytest.mark.parametrize(
    ("levels", "periods", "month"),
    [
        ({3: (1.0, 1.0), 4: (1.0, 1.0)}, [(1.0, 1.0)], 3),
        ({1: (1.0, 1.0), 2: (1.5, 1.0), 3: (1.5, 1.0)}, [(1.0, 1.0)], 2),
        # 160 + 30 x 9 = 430 tokens against 160 x 2.6 + 30 = 446 and 160 x 2.5 + 30 = 430
        ({1: (1.0, 9.0), 2: (2.5, 1.0)}, [(1.0, 1.0)], 1),
        ({1: (1.0, 9.0), 2: (2.6, 1.0)}, [(1.0, 1.0)], 2),
        # in the second period the other class alone comes: 30 x 9 x 2 = 540
        ({1: (1.0, 9.0), 2: (2.6, 1.0)}, [(1.0, 1.0), (0.0, 2.0)], 1),
    ],
)
def test_the_month_that_asks_for_most_has_most_tokens_in_its_busiest_period(
    levels: dict[int, tuple[float, float]], periods: list[tuple[float, float]], month: int
) -> None:
    assert binding_month(loads(levels, periods)) == month


def test_sizes_at_other_speeds_share_the_time_and_what_comes_late_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now_s=100.0)
    asked: list[tuple[Any, ...]] = []

    def at_speeds(*given: Any) -> tuple[str, ...]:
        asked.append(given)
        clock.now_s += 6.0
        return (f"sizes of {given[1]}",)

    monkeypatch.setattr(speeds_place, "time", SimpleNamespace(monotonic=lambda: clock.now_s))
    monkeypatch.setattr(speeds_place, "at_speeds", at_speeds)
    monkeypatch.setattr(speeds_place, "expected_errors", lambda engines: engines)
    known = {"tpot": 0.1, "throughput": 0.2}
    planned: Any = [
        SimpleNamespace(name=name, engines=error)
        for name, error in zip("abcd", (known, None, known, known), strict=True)
    ]
    sizer: Any = SimpleNamespace(limits=Limits(max_trials=7), store="store")
    loaded: Any = SimpleNamespace(scenario=SimpleNamespace(topologies={name: name for name in "abcd"}))
    periods: Any = SimpleNamespace(
        of_sizes=lambda topology: SimpleNamespace(first_month=[f"period of {topology}"]),
        first_month=["period of the first month"],
    )
    found = speeds(loaded, planned, periods, sizer, 12.0)
    assert found == {"a": ("sizes of a",), "c": ("sizes of c",), "d": ()}, "of b no error is known"
    assert [given[:5] for given in asked] == [(loaded, name, [f"period of {name}"], "store", 0.2) for name in "ac"]
    assert [given[5] for given in asked] == [Limits(max_trials=7, seconds=left_s) for left_s in (12.0, 6.0)]
    sizer.limits = None
    speeds(loaded, planned[:1], periods, sizer, 3.0)
    assert asked[-1][5] == Limits(seconds=3.0)
    speeds(loaded, planned[:1], periods, sizer, 3.0, by_month=["a"])
    assert asked[-1][2] == ["period of the first month"]
