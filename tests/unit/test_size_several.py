"""Three and more open numbers: the cheapest point is found whatever order they stand in."""

from __future__ import annotations

import itertools
import math
import random
from typing import Any

import pytest

from simulator.size.several import _less, close, descents, exchanges

MOST = 7
Point = tuple[int, ...]


def found(capacity: list[float], usd: list[float], load: float, looks: int = 400) -> tuple[float, int, float]:
    """Cost of the best point, how many were simulated (not those that cost no less than the best), and what is left.

    That is the least cost of a point that was not closed; infinite where all were.
    """
    known: dict[Point, bool] = {}
    best: list[tuple[float, Point]] = []

    def costs(at: Point) -> float:
        return sum(n * one for n, one in zip(at, usd, strict=True))

    def worth(at: Point) -> bool:
        return not best or costs(at) < best[-1][0]

    def meets(at: Point) -> bool:
        if at in known:
            return known[at]
        if not worth(at):
            return True
        known[at] = sum(n * one for n, one in zip(at, capacity, strict=True)) >= load
        if known[at]:
            best.append((costs(at), at))
        return known[at]

    ranges = [(0, MOST)] * len(usd)
    dearest_first = sorted(range(len(usd)), key=usd.__getitem__, reverse=True)
    guess = tuple(max(round(load / one / len(usd)), 1) for one in capacity)
    descents(meets, ranges, guess, dearest_first)
    left = close(meets, ranges, costs, worth, looks)
    exchanges(meets, ranges, lambda: best[-1][1] if best else None)
    return best[-1][0], len(known), min(map(costs, left), default=math.inf)


@pytest.mark.parametrize("usd", list(itertools.permutations([1.36, 3.28, 40.18])))
def test_the_dearest_is_not_left_over(usd: tuple[float, ...]) -> None:
    """Two single GPUs do what an instance of eight does."""
    capacity = [{1.36: 1.0, 3.28: 3.0, 40.18: 3.0}[one] for one in usd]
    assert found(capacity, list(usd), 2.0)[0] == pytest.approx(2 * 1.36)
    assert found(capacity, list(usd), 2.0, looks=0)[0] == pytest.approx(2 * 1.36)


def test_as_cheap_as_every_point_tried_one_by_one() -> None:
    trials = cut = 0
    for seed in range(60):
        draw = random.Random(seed)
        count = draw.choice([3, 3, 4])
        capacity = [draw.uniform(0.5, 4.0) for _ in range(count)]
        usd = [one * draw.uniform(0.6, 2.5) for one in capacity]
        load = draw.uniform(1.0, 10.0)
        least = min(
            sum(n * one for n, one in zip(at, usd, strict=True))
            for at in itertools.product(range(MOST + 1), repeat=count)
            if sum(n * one for n, one in zip(at, capacity, strict=True)) >= load
        )
        cost, simulated, left = found(capacity, usd, load, looks=10_000)
        assert (cost, left) == (pytest.approx(least), math.inf), seed
        trials += simulated
        early, _, left = found(capacity, usd, load, looks=12)
        assert min(early, left) <= least * (1 + 1e-12), seed
        cut += left < early
    assert trials < 60 * 40
    assert cut > 10, "few looks leave something open"


def test_what_is_left_costs_the_more_the_longer_it_looks() -> None:
    """Of the smallest points that are open the cheapest is closed first, so the gap is as small as it can be said."""
    capacity, usd = [1.0, 1.1, 1.3], [1.0, 1.2, 1.5]
    left = [found(capacity, usd, 12.4, looks)[2] for looks in (1, 40, 120, 10_000)]
    assert left == sorted(left)
    assert left[0] == 0
    assert left[-1] == math.inf
    assert 0 < left[1] < math.inf


def test_what_may_cost_least_is_looked_at_first() -> None:
    """Nothing meets, and 6.5 may be paid for n of 1.5 and others of 1 each: the least bound that is left rises."""
    asked: list[Point] = []

    def costs(at: Point) -> float:
        return 1.5 * at[0] + at[1] + at[2]

    def meets(at: Point) -> bool:
        asked.append(at)
        return False

    assert close(meets, [(1, 9)] * 3, costs, lambda at: costs(at) <= 6.5, 400) == []
    assert asked[:4] == [(1, 1, 4), (1, 2, 3), (2, 1, 2), (1, 3, 2)]
    affordable = [at for at in itertools.product(range(1, 10), repeat=3) if costs(at) <= 6.5]
    assert all(any(all(a <= b for a, b in zip(at, one, strict=True)) for one in asked) for at in affordable)


def test_less_of_a_number_is_one_less_and_its_fewest() -> None:
    """In place of (3, 5, 2): nothing below the fewest, and nothing twice."""
    found = sorted(_less((3, 5, 2), [(0, 9), (4, 9), (2, 9)]))
    assert found == [((0, 5, 2), 0), ((2, 5, 2), 0), ((3, 4, 2), 1)]


@pytest.mark.parametrize(
    ("needs", "better"),
    [
        (lambda at: 2 * at[0] + 2 * at[1] >= 4, (1, 1)),
        (lambda at: 2 * at[0] + at[1] >= 4, (1, 2)),
        (lambda at: 2 * at[0] + at[1] >= 4.5, (1, 3)),
    ],
)
def test_one_of_a_number_is_exchanged_for_the_fewest_more_of_another(needs: Any, better: Point) -> None:
    """From (2, 1), where the other costs a quarter: one, two and three of it do what one of the first did."""
    asked: dict[Point, bool] = {}

    def meets(at: Point) -> bool:
        asked[at] = needs(at)
        return asked[at]

    def best() -> Point:
        met = [at for at, met in asked.items() if met]
        return min([(2, 1), *met], key=lambda at: at[0] + at[1] / 4)

    exchanges(meets, [(1, MOST), (0, MOST)], best)
    assert best() == better
    one = {n: met for (first, n), met in asked.items() if first == 1}
    assert not any(met for n, met in one.items() if n < better[1])
    assert max(one) <= better[1] + 1, "each look is a simulation: beyond the fewest only the next one"
