"""The next size of one that holds only just: one more replica, or group of them, wherever there is one."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.resolve.sizes import Fixed, OpenPool, Scaled
from simulator.size.answer import _next_size
from simulator.size.trials import Point, Tried, Word


class Asked:
    """Trials that keep what they were asked, and answer with one word."""

    def __init__(self, word: Word, *steps: int) -> None:
        self.word, self.asked = word, list[Point]()
        self.pools = [OpenPool(k, f"p{k}", 1, step, owned=False) for k, step in enumerate(steps)]

    def __call__(self, point: Point) -> Tried:
        self.asked.append(point)
        return Tried(point, self.word, (20.0,))


@pytest.mark.parametrize(
    ("point", "steps", "following"),
    [
        ((Fixed(3),), (1,), (Fixed(4),)),
        ((Fixed(4), Fixed(0)), (2, 1), (Fixed(6), Fixed(0))),
        ((Fixed(3), Fixed(8)), (1, 8), (Fixed(4), Fixed(16))),
        ((Scaled(1, 4, 9.0), Fixed(2)), (1, 1), (Scaled(2, 5, 9.0), Fixed(3))),
    ],
)
def test_the_next_size_has_a_group_more_in_each_pool_that_has_any(
    point: Point, steps: tuple[int, ...], following: Point
) -> None:
    trials: Any = Asked("met", *steps)
    found = _next_size(trials, Tried(point, "met", (10.0,)))
    assert trials.asked == [following]
    assert found is not None
    assert (found.point, found.usd_per_month) == (following, 20.0)
    for word in ("refused", "excluded"):
        assert _next_size(Asked(word, *steps), Tried(point, "met", (10.0,))) is None  # type: ignore[arg-type]
