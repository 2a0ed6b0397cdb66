"""Of many numbers of a pool some are looked at, then those beside the best."""

from __future__ import annotations

import pytest

from simulator.size.settings import by_strides


def looked_at(usd: list[float]) -> list[int]:
    """Places that are looked at, in order, where each costs what it says; infinite is no size."""
    seen: list[int] = []

    def best() -> int | None:
        at = min(seen, key=lambda place: usd[place], default=None)
        return None if at is None or usd[at] == float("inf") else at

    for place in by_strides(len(usd), best):
        seen.append(place)
    assert len(set(seen)) == len(seen)
    return seen


@pytest.mark.parametrize("n", [0, 1, 2, 12, 23])
def test_of_few_places_each_is_looked_at(n: int) -> None:
    assert looked_at([1.0] * n) == [*range(n)]


@pytest.mark.parametrize("n", [24, 25, 60, 200, 1023])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.33, 0.5, 0.92, 1.0])
def test_the_lowest_of_many_is_found_by_few_looks(n: int, share: float) -> None:
    lowest = round(share * (n - 1))
    seen = looked_at([abs(place - lowest) for place in range(n)])
    assert lowest in seen
    assert {lowest - 1, lowest + 1} & set(range(n)) <= set(seen)
    assert len(seen) <= 24 + 4 * n.bit_length()


def test_a_step_that_hides_the_lowest_at_first_is_crossed() -> None:
    """Bills of whole instances of four: the lowest of 60 is the last of its step."""
    usd = [abs(place // 4 - 9) * 4 + 0.1 * (3 - place % 4) for place in range(60)]
    assert 39 in looked_at(usd)


def test_where_nothing_serves_all_some_are_looked_at() -> None:
    assert looked_at([float("inf")] * 60) == [*range(0, 60, 5)]
