"""Searching three and more whole numbers for the cheapest point that meets: descents, what may cost less, exchanges."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from simulator.size.numbers import Point, Range, smallest

Meets = Callable[[Point], bool]


def descents(meets: Meets, ranges: Sequence[Range], guess: Point, dearest_first: Sequence[int]) -> None:
    """Look at each number alone, then from a point that meets down in several orders.

    Each number is once the last to fall, after all others, the dearest of these first: what one of them can do alone or
    with the fewest of the others is found whatever order they have.

    Parameters
    ----------
    meets : told every point that is looked at; it keeps the best
    dearest_first : places of the numbers, those of which one costs most first
    """
    low = tuple(least for least, _ in ranges)
    for k in reversed(dearest_first):
        smallest(lambda n, k=k: meets(_with(low, k, n)), *ranges[k], max(sum(guess), 1))  # type: ignore[misc]
    top = _together(meets, ranges, guess)
    if top is None:
        return
    for last in dearest_first:
        _descended(meets, ranges, top, [*(k for k in dearest_first if k != last), last])


def exchanges(meets: Meets, ranges: Sequence[Range], best: Callable[[], Point | None]) -> None:
    """As long as the best gets better: one or all of one number of it for the fewest more of another.

    Parameters
    ----------
    best : the cheapest point that met so far
    """
    at: Point | None = None
    while (now := best()) is not None and now != at:
        at = now
        for less, k in _less(at, ranges):
            if meets(less):
                _descended(meets, ranges, less, range(len(ranges)))
                continue
            for j, (_, high) in enumerate(ranges):
                if j != k and less[j] < high:
                    smallest(lambda n, j=j, less=less: meets(_with(less, j, n)), less[j] + 1, high, less[j] + 1)  # type: ignore[misc]


def _less(at: Point, ranges: Sequence[Range]) -> Iterator[tuple[Point, int]]:
    """Points with one less of a number, and with its fewest."""
    for k, (low, _) in enumerate(ranges):
        for n in {at[k] - 1, low}:
            if low <= n < at[k]:
                yield _with(at, k, n), k


def _together(meets: Meets, ranges: Sequence[Range], guess: Point) -> Point | None:
    """A point that meets: the guess, all numbers doubled until they are enough; None if the largest are not."""
    at = tuple(min(max(n, low), high) for n, (low, high) in zip(guess, ranges, strict=True))
    while not meets(at):
        larger = tuple(min(max(2 * n, 1), high) for n, (_, high) in zip(at, ranges, strict=True))
        if larger == at:
            return None
        at = larger
    return at


def _descended(meets: Meets, ranges: Sequence[Range], at: Point, order: Sequence[int]) -> Point:
    """Each number as far down as it goes, in this order, again until none falls."""
    before: Point = ()
    while at != before:
        before = at
        for k in order:
            n = smallest(lambda n, k=k, at=at: meets(_with(at, k, n)), ranges[k][0], at[k], at[k])  # type: ignore[misc]
            at = at if n is None else _with(at, k, n)
    return at


def _with(at: Point, k: int, n: int) -> Point:
    return (*at[:k], n, *at[k + 1 :])


def close(meets: Meets, ranges: Sequence[Range], worth: Meets, looks: int) -> None:
    """Look at points that may cost less than the best, the largest of these: where they are refused, smaller ones are.

    Parameters
    ----------
    worth : whether a point may cost less than the best
    looks : asked at most so often whether one is
    """
    refused: list[Point] = []
    left = looks

    def may_cost_less(at: Point) -> bool:
        nonlocal left
        left -= 1
        return left >= 0 and worth((*at, *(low for low, _ in ranges[len(at) :])))

    def last(at: Point) -> None:
        low, high = ranges[-1]
        n = low
        while n <= high and may_cost_less((*at, n)):
            n += 1
        for number in range(n - 1, low - 1, -1):
            point = (*at, number)
            if any(all(a <= b for a, b in zip(point, other, strict=True)) for other in refused):
                return
            if may_cost_less(point) and not meets(point):
                refused.append(point)
                return

    def larger(at: Point) -> None:
        """The numbers after these from their fewest on, as long as they are worth it."""
        if len(at) == len(ranges) - 1:
            return last(at)
        low, high = ranges[len(at)]
        for n in range(low, high + 1):
            if not may_cost_less((*at, n)):
                return None
            larger((*at, n))
        return None

    larger(())
