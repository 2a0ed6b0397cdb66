"""Which settings of an autoscaler are asked for, and in what order, followed by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from simulator.resolve.sizes import Fixed, OpenPool, Scaled
from simulator.size import settings as module
from simulator.size.settings import _Asked, _every_number, _fewest, _fewest_enough, _grid, settings
from simulator.size.trials import Tried

TARGETS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)


class Asked:
    """A searcher that keeps what it was asked; `word` answers from fewest, most and target."""

    def __init__(self, word: Any, usd: Any = lambda size: 10.0, best_usd: float | None = None) -> None:
        self.asked: list[Any] = []
        self._word, self._usd = word, usd
        self.best = None if best_usd is None else Tried((), "met", (best_usd,))
        self.limits = SimpleNamespace(max_replicas=64)
        self.lighter = SimpleNamespace(best=())
        fleet = SimpleNamespace(pools=[SimpleNamespace(name="fixed"), SimpleNamespace(name="p")])
        subject = SimpleNamespace(subject=SimpleNamespace(fleet=fleet))
        pool = OpenPool(0, "p", 1, 1, owned=False, scaler=(None, None, None))
        self.trials = SimpleNamespace(pools=[pool], demand=None, sized=lambda point: subject)
        self.trail: dict[Any, Tried] = {}

    def close(self, point: Any) -> Tried:
        if point not in self.trail:
            self.asked.append(point[0])
            self.trail[point] = Tried(point, self._word(point[0]), (self._usd(point[0]),))
        return self.trail[point]


def scaler(searcher: Asked, fewest: int | None, most: int | None, target: float | None) -> None:
    searcher.trials.pools = [OpenPool(0, "p", 1, 1, owned=False, scaler=(fewest, most, target))]


@pytest.mark.parametrize(
    ("begin", "largest", "order"),
    [
        (2, 5, [2, 3, 5]),
        (2, 2, [2, 3]),
        (0, 4, [0, 1, 3, 5, 4]),
        (1, 3, [1, 2, 4, 3]),
        (4, 0, [4, "quickest", 3, 1, 0]),
        (5, 2, [5, "quickest", 4, 2, 3]),
        (0, 0, [0, 1]),
        (3, -1, [3, "quickest"]),
        (5, 5, [5]),
    ],
)
def test_the_largest_target_is_found_in_steps_that_double(begin: int, largest: int, order: list[Any]) -> None:
    searcher = Asked(
        lambda size: "met" if largest >= 0 and (size.most == 9 or size.target <= TARGETS[largest]) else "refused"
    )
    asked = _Asked(searcher, TARGETS, begin)  # type: ignore[arg-type]
    found = asked.largest(lambda target: (Scaled(1, 5, target),), 5, (Scaled(1, 9, TARGETS[0]),))
    seen = ["quickest" if size.most == 9 else TARGETS.index(size.target) for size in searcher.asked]
    assert seen == order
    if largest < 0:
        assert (found, asked.enough, asked.dear) == (None, {}, False)
    else:
        assert found is not None
        assert found.point == (Scaled(1, 5, TARGETS[largest]),)
        assert (asked.enough, asked.begin) == ({5: largest}, largest)


def test_a_target_goes_on_from_where_the_same_most_was_enough_before() -> None:
    searcher = Asked(lambda size: "met" if size.target <= 4.0 + 4.0 * (size.least - 1) else "refused")
    asked = _Asked(searcher, TARGETS, 0, enough={5: 2, 8: 4})  # type: ignore[arg-type]
    found = asked.largest(lambda target: (Scaled(2, 5, target),), 5, (Scaled(2, 9, 1.0),))
    assert found is not None
    assert [(size.least, size.target) for size in searcher.asked] == [(2, 4.0), (2, 8.0), (2, 32.0), (2, 16.0)]
    assert asked.enough == {5: 3, 8: 4}


def test_what_costs_no_less_ends_all_that_is_left() -> None:
    """The second target is excluded by its cost: the first stays the largest that is known."""
    searcher = Asked(lambda size: "met" if size.target < 4.0 else "excluded")
    asked = _Asked(searcher, TARGETS, 1)  # type: ignore[arg-type]
    found = asked.largest(lambda target: (Scaled(1, 5, target),), 5, (Scaled(1, 9, 1.0),))
    assert found is not None
    assert (found.point, asked.dear) == ((Scaled(1, 5, 2.0),), True)
    assert [size.target for size in searcher.asked] == [2.0, 4.0]


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of n replicas has 4 requests in flight."""
    monkeypatch.setattr(module, "targets", lambda spec, demand, n: TARGETS if spec.name == "p" else ())
    monkeypatch.setattr(module, "requests_in_flight", lambda spec, demand, n: 4 if spec.name == "p" else 1)


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize(("most_replicas", "wider"), [(64, 8), (8, 8), (7, 7), (5, 5), (3, 5)])
def test_where_all_is_too_slow_each_number_is_asked_for_with_half_as_many_again(most_replicas: int, wider: int) -> None:
    searcher = Asked(lambda size: "refused")
    searcher.limits.max_replicas = most_replicas
    _grid(searcher, 0, (Fixed(0),), 5, 1)  # type: ignore[arg-type]
    narrow = {(least, 5, 4.0) for least in (1, 2, 3, 4)}
    wide = {(least, wider, target) for least in (1, 2, 3, 4, 5) for target in (4.0, 1.0) if (least, wider) != (5, 5)}
    assert {(size.least, size.most, size.target) for size in searcher.asked} == narrow | wide


@pytest.mark.usefixtures("held")
def test_wider_limits_are_not_asked_for_where_the_replicas_are_enough() -> None:
    searcher = Asked(lambda size: "met" if size.target <= 8.0 else "refused")
    _grid(searcher, 0, (Fixed(0),), 4, 2)  # type: ignore[arg-type]
    assert {(size.least, size.most) for size in searcher.asked} == {(2, 4), (3, 4), (4, 6)}
    assert [size.target for size in searcher.asked[:3]] == [4.0, 8.0, 32.0]


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize(
    ("usd", "last"),
    [
        ({1: 12.0, 2: 12.0}, 2),
        ({1: 12.0, 2: 10.0, 3: 12.0, 4: 12.0}, 4),
        ({1: 10.0, 2: 12.0, 3: 9.0, 4: 11.0, 5: 11.0}, 5),
        ({}, 6),
    ],
)
def test_two_numbers_in_a_row_that_cost_more_end_the_grid(usd: dict[int, float], last: int) -> None:
    searcher = Asked(lambda size: "met", lambda size: usd.get(size.least, 10.0), best_usd=10.0)
    _grid(searcher, 0, (Fixed(0),), 6, 1)  # type: ignore[arg-type]
    assert max(size.least for size in searcher.asked) == last


@pytest.mark.usefixtures("held")
def test_a_number_that_costs_too_much_ends_the_grid_at_once() -> None:
    searcher = Asked(lambda size: "excluded" if size.least > 1 else "met")
    _grid(searcher, 0, (Fixed(0),), 6, 1)  # type: ignore[arg-type]
    assert [size.least for size in searcher.asked if size.least > 1] == [2]


@pytest.mark.usefixtures("held")
def test_written_settings_are_the_only_ones_that_are_asked_for() -> None:
    searcher = Asked(lambda size: "refused")
    scaler(searcher, 2, 7, 3.0)
    _grid(searcher, 0, (Fixed(0),), 5, 1)  # type: ignore[arg-type]
    assert searcher.asked == [Scaled(2, 7, 3.0)]
    searcher = Asked(lambda size: "refused")
    scaler(searcher, 8, 7, 3.0)
    _grid(searcher, 0, (Fixed(0),), 5, 1)  # type: ignore[arg-type]
    assert searcher.asked == [], "more at least than at most"
    searcher = Asked(lambda size: "refused")
    scaler(searcher, 3, 3, 2.0)
    _grid(searcher, 0, (Fixed(0),), 5, 1)  # type: ignore[arg-type]
    assert searcher.asked == [Scaled(3, 3, 2.0)], "always as many, and fewer than are enough"


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize(
    ("known", "first"),
    [
        (Scaled(4, 5, 2.0), (3, 2.0)),
        (Scaled(1, 5, 16.0), (1, 4.0)),
        (Scaled(9, 9, 1.5), (4, 1.0)),
        (Scaled(1, 5, 0.5), (1, 1.0)),
        (Fixed(4), (1, 4.0)),
    ],
)
def test_a_lighter_load_tells_where_to_begin(known: Any, first: tuple[int, float]) -> None:
    searcher = Asked(lambda size: "refused")
    searcher.lighter.best = (known,)
    _grid(searcher, 0, (Fixed(0),), 5, 1)  # type: ignore[arg-type]
    assert (searcher.asked[0].least, searcher.asked[0].target) == first


def trail(*rows: tuple[Any, Any, str, tuple[float, ...]]) -> Any:
    every = {(a, b): Tried((a, b), word, usd) for a, b, word, usd in rows}  # type: ignore[arg-type]
    return SimpleNamespace(trail=every)


def test_the_fewest_that_may_be_enough_beside_each_number() -> None:
    """Beside 1: three ran and met it, five too. Beside 2: four were too dear to run, but six fell short; so eight."""
    searcher = trail(
        (Fixed(1), Fixed(2), "refused", ()),
        (Fixed(1), Fixed(3), "met", (9.0,)),
        (Fixed(1), Fixed(5), "met", (12.0,)),
        (Fixed(2), Fixed(4), "excluded", ()),
        (Fixed(2), Fixed(6), "refused", ()),
        (Fixed(2), Fixed(8), "excluded", ()),
        (Fixed(3), Fixed(0), "excluded", ()),
        (Fixed(4), Fixed(7), "refused", ()),
        (Fixed(5), Scaled(1, 2, 4.0), "met", (1.0,)),
    )
    found = _fewest_enough(searcher, 1)
    assert found == {(Fixed(1), Fixed(0)): 3, (Fixed(2), Fixed(0)): 8, (Fixed(3), Fixed(0)): 0}
    same = trail((Fixed(6), Fixed(1), "excluded", ()), (Fixed(6), Fixed(2), "refused", ()))
    assert _fewest_enough(same, 0) == {(Fixed(0), Fixed(1)): 6}, "beside another number of the other"


@pytest.mark.parametrize(
    ("fewest", "low", "owned", "idle_s", "found"),
    [
        (3, 1, False, (9e9, 0.0), 3),
        (None, 1, False, (0.0, 600.0), 0),
        (None, 1, False, (600.0, 0.0), 0),
        (None, 1, False, (599.0, 599.0), 1),
        (None, 0, False, (0.0, 0.0), 0),
        (None, 2, True, (9e9, 9e9), 2),
        (None, 2, False, None, 2),
    ],
)
def test_none_at_least_where_all_were_idle_as_long_as_it_looks_back(
    fewest: int | None, low: int, owned: bool, idle_s: tuple[float, float] | None, found: int
) -> None:
    """Two replicas over a window of 300 s: 600 s in all, in either period."""
    searcher = Asked(lambda size: "met")
    searcher.trials.pools = [OpenPool(0, "p", low, 1, owned=owned, scaler=(fewest, None, None))]
    other = SimpleNamespace(name="fixed", autoscaler=SimpleNamespace(down_window_s=1.0))
    scaled = SimpleNamespace(name="p", autoscaler=SimpleNamespace(down_window_s=300.0))
    sized = SimpleNamespace(subject=SimpleNamespace(fleet=SimpleNamespace(pools=[other, scaled])))
    searcher.trials.sized = lambda point: sized
    if idle_s is not None:
        busy = SimpleNamespace(idle_s=9e9)
        periods = [
            (SimpleNamespace(usage=SimpleNamespace(pools=[busy, SimpleNamespace(idle_s=one)])),) for one in idle_s
        ]
        searcher.trail = {(Fixed(2),): Tried((Fixed(2),), "met", (1.0,), tuple(periods))}  # type: ignore[arg-type]
    assert _fewest(searcher, 0, (Fixed(0),), 2) == found  # type: ignore[arg-type]


def test_three_pools_are_looked_at_with_most_of_the_others_first() -> None:
    pools = [OpenPool(k, f"p{k}", 0, 1, owned=False) for k in range(3)]
    searcher: Any = SimpleNamespace(trials=SimpleNamespace(pools=pools))
    few, many = (Fixed(0), Fixed(1), Fixed(0)), (Fixed(2), Fixed(3), Fixed(0))
    assert _every_number(searcher, 2, {few: 4, many: 1}) == [(many, 1), (few, 4)]


def test_numbers_beside_an_autoscaler_stay_within_the_most() -> None:
    pools = [OpenPool(k, f"p{k}", 1, 1, owned=False) for k in range(2)]
    searcher: Any = SimpleNamespace(trials=SimpleNamespace(pools=pools), limits=SimpleNamespace(max_replicas=3))
    found = _every_number(searcher, 0, {(Fixed(0), Fixed(6)): 0})
    assert found == [((Fixed(0), Fixed(n)), min(6 - n, 3)) for n in (6, 5, 4, 3, 2, 1)]
    pools[1] = OpenPool(1, "p1", 0, 1, owned=False, closed=True)
    assert _every_number(searcher, 0, {(Fixed(0), Fixed(0)): 2}) == [((Fixed(0), Fixed(0)), 2)], "of a closed one none"


def test_a_grid_is_looked_at_only_where_fewer_may_do(monkeypatch: pytest.MonkeyPatch) -> None:
    grids: list[Any] = []
    monkeypatch.setattr(module, "_grid", lambda searcher, k, others, n, fewest: grids.append((others[0].most, n)))
    searcher = Asked(lambda size: "met")
    searcher.trials.pools = [OpenPool(k, f"p{k}", 0, 1, owned=False) for k in range(2)]
    searcher.trials.pools += [OpenPool(2, "p", 1, 1, owned=False, scaler=(2, None, None))]
    for one, n in ((1, 3), (2, 2), (3, 1), (4, 0)):
        point = (Fixed(one), Fixed(0), Fixed(n))
        searcher.trail[point] = Tried(point, "met", (1.0,))
    settings(searcher, 2)  # type: ignore[arg-type]
    assert grids == [(1, 3)]
