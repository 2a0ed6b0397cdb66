"""Three and more open numbers: the cheapest point is found whatever order they stand in."""

from __future__ import annotations

import itertools
import random

import pytest

from simulator.size.several import close, descents, exchanges

MOST = 7
Point = tuple[int, ...]


def found(capacity: list[float], usd: list[float], load: float, looks: int = 400) -> tuple[float, int]:
    """Cost of the best point, and how many were simulated: those that cost no less than the best are not."""
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
    close(meets, ranges, worth, looks)
    exchanges(meets, ranges, lambda: best[-1][1] if best else None)
    return best[-1][0], len(known)


@pytest.mark.parametrize("usd", list(itertools.permutations([1.36, 3.28, 40.18])))
def test_the_dearest_is_not_left_over(usd: tuple[float, ...]) -> None:
    """Two single GPUs do what an instance of eight does."""
    capacity = [{1.36: 1.0, 3.28: 3.0, 40.18: 3.0}[one] for one in usd]
    assert found(capacity, list(usd), 2.0)[0] == pytest.approx(2 * 1.36)
    assert found(capacity, list(usd), 2.0, looks=0)[0] == pytest.approx(2 * 1.36)


def test_as_cheap_as_every_point_tried_one_by_one() -> None:
    trials = 0
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
        cost, simulated = found(capacity, usd, load)
        assert cost <= 1.01 * least, seed
        trials += simulated
    assert trials < 60 * 40
