"""From a setting of an autoscaler on to those beside it, on a searcher that answers from what it is asked."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from simulator.resolve.sizes import Fixed, OpenPool, Scaled
from simulator.size import nearby
from simulator.size.nearby import descend
from simulator.size.trials import Tried

TARGETS = (1.0, 2.0, 4.0, 8.0)
BEGIN = Scaled(2, 6, 2.0)


class Searcher:
    """Keeps what it was asked, and the cheapest of it; every look costs a simulation."""

    def __init__(self, usd: Callable[[Any], float | None], begin: Any, scaler: tuple[Any, ...], in_vain: int) -> None:
        self._usd, self.asked = usd, [begin]
        self.limits = SimpleNamespace(max_replicas=8, in_vain=in_vain)
        pool = OpenPool(0, "p", 1, 1, owned=False, scaler=scaler)
        sized = SimpleNamespace(subject=SimpleNamespace(fleet=SimpleNamespace(pools=[SimpleNamespace(name="p")])))
        self.trials = SimpleNamespace(pools=[pool], demand=None, simulated=0, sized=lambda point: sized)
        self.best: Tried | None = Tried((begin,), "met", (usd(begin) or 100.0,))
        self.trail: dict[Any, Tried] = {(begin,): self.best}
        self.told: set[Any] = set()

    def excluded(self, point: Any) -> None:
        return None

    def close(self, point: Any, anew: bool = False) -> Tried:
        self.told.discard(point)
        self.asked.append(point[0])
        self.trials.simulated += 1
        usd = self._usd(point[0])
        found = Tried(point, "missed" if usd is None else "met", (usd or 0.0,))
        self.trail[point] = found
        if usd is not None and (self.best is None or usd < self.best.usd_per_month):
            self.best = found
        return found


def test_what_lighter_loads_alone_refused_is_looked_at_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few requests may have refused it there; what was simulated is not looked at twice."""
    monkeypatch.setattr(nearby, "targets", lambda *_: TARGETS)
    better = Scaled(3, 6, 2.0)
    for told, best in (({(better,)}, better), (set(), BEGIN)):
        found = Searcher(lambda size: 50.0 if size == better else 100.0, BEGIN, (None, None, None), 11)
        found.trail[better,] = Tried((better,), "refused")
        found.told = set(told)
        descend(found, 0)  # type: ignore[arg-type]
        assert found.best is not None
        assert found.best.point == (best,)


def searched(
    usd: Callable[[Any], float | None],
    monkeypatch: pytest.MonkeyPatch,
    begin: Any = BEGIN,
    scaler: tuple[Any, ...] = (None, None, None),
    in_vain: int = 11,
) -> Searcher:
    monkeypatch.setattr(nearby, "targets", lambda *_: TARGETS)
    found = Searcher(usd, begin, scaler, in_vain)
    descend(found, 0)  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize(
    "better",
    [
        *(Scaled(2, 6, 4.0), Scaled(1, 6, 2.0), Scaled(2, 5, 2.0)),
        *(Scaled(2, 7, 4.0), Scaled(1, 6, 1.0), Scaled(3, 6, 4.0)),
        *(Scaled(2, 6, 1.0), Scaled(2, 5, 1.0), Scaled(3, 5, 2.0), Scaled(3, 6, 2.0)),
    ],
)
def test_each_neighbour_is_looked_at_before_it_gives_up(better: Scaled, monkeypatch: pytest.MonkeyPatch) -> None:
    """A higher target, one fewer at least or at most; and what one of them needs or lets be of another."""
    found = searched(lambda size: 50.0 if size == better else 100.0, monkeypatch)
    assert found.best is not None
    assert found.best.point == (better,)


def test_what_saves_most_is_looked_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most one of the four between; then the target, the fewest and the most, each alone."""
    found = searched(lambda size: 100.0, monkeypatch)
    one_more = [Scaled(3, 6, 2.0), Scaled(2, 7, 4.0)]
    assert found.asked[:6] == [BEGIN, Scaled(2, 5, 2.0), Scaled(2, 6, 4.0), Scaled(1, 6, 2.0), *one_more]
    assert len(set(found.asked)) == len(found.asked)
    wide = searched(lambda size: 100.0, monkeypatch, Scaled(1, 8, 2.0))
    assert wide.asked[1] == Scaled(1, 7, 2.0)


@pytest.mark.parametrize("in_vain", [1, 3, 5])
def test_so_many_looks_in_vain_end_it(in_vain: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert searched(lambda size: 100.0, monkeypatch, in_vain=in_vain).trials.simulated == in_vain
    once = searched(lambda size: 50.0 if size == Scaled(2, 5, 2.0) else 100.0, monkeypatch, in_vain=in_vain)
    assert once.trials.simulated == 1 + in_vain, "counted anew from what is better"


@pytest.mark.parametrize(
    ("scaler", "moves"),
    [
        ((2, None, None), lambda size: size.least == 2),
        ((None, 6, None), lambda size: size.most == 6),
        ((None, None, 2.0), lambda size: size.target == 2.0),
    ],
)
def test_what_is_written_stays(scaler: Any, moves: Callable[[Any], bool], monkeypatch: pytest.MonkeyPatch) -> None:
    found = searched(lambda size: 100.0, monkeypatch, scaler=scaler)
    assert len(found.asked) > 3
    assert all(map(moves, found.asked))


def test_no_neighbour_is_beyond_what_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """One at least, fewer at least than at most, eight at most."""
    edge = searched(lambda size: 100.0, monkeypatch, Scaled(1, 8, 8.0))
    assert all(1 <= size.least < size.most <= 8 and size.target in TARGETS for size in edge.asked)
    near = searched(lambda size: 100.0, monkeypatch, Scaled(2, 3, 1.0))
    assert all(1 <= size.least < size.most <= 8 for size in near.asked)
    fixed = searched(lambda size: 100.0, monkeypatch, Fixed(3))
    assert fixed.asked == [Fixed(3)]
