"""Searching whole numbers for the smallest that meets something which more of them help, by few trials."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

Point = tuple[int, ...]
Range = tuple[int, int]
"""Smallest and largest number allowed, both included."""


def smallest(meets: Callable[[int], bool], low: int, high: int, guess: int) -> int | None:
    """Smallest number from `low` to `high` that meets, by exponential bracketing from `guess` and bisection.

    `meets` may be noisy around the border. The answer meets, one less does not (or is below `low`), and where the next
    number is allowed it meets as well, unless none above it does.

    Returns
    -------
    None if `high` does not meet
    """
    guess = min(max(guess, low), high)
    fails, holds = _bracket(meets, low, high, guess)
    if holds > high:
        return None
    while holds - fails > 1:
        middle = (fails + holds) // 2
        if meets(middle):
            holds = middle
        else:
            fails = middle
    return _steady(meets, holds, high)


def _bracket(meets: Callable[[int], bool], low: int, high: int, guess: int) -> Range:
    """A number that fails (or low - 1) and a larger one that meets (or high + 1), the distance doubling each time."""
    fails, holds, at, step = low - 1, high + 1, guess, 1
    if meets(at):
        while at >= low and meets(at):
            holds, at, step = at, max(at - step, low - 1), 2 * step
        return at, holds
    while not meets(at):
        fails = at
        if at == high:
            return fails, holds
        at, step = min(at + step, high), 2 * step
    return fails, at


def _steady(meets: Callable[[int], bool], found: int, high: int) -> int:
    """The first number from `found` on that meets and whose successor meets too; `found` if there is none."""
    at = found
    while at < high and not meets(at + 1):
        at += 2
        while at <= high and not meets(at):
            at += 1
    return at if at <= high else found


def minimal_points(meets: Callable[[Point], bool], ranges: Sequence[Range], guess: Point) -> list[Point]:
    """Points of one or two whole numbers that meet, and that fail once any of their numbers is one smaller.

    Two numbers are first searched alone, the other one at its smallest. Between these two points the search walks down
    the border of what meets: the larger the first number, the smaller the second.

    Returns
    -------
    Sorted; empty if none was found
    """
    if len(ranges) == 1:
        best = smallest(lambda n: meets((n,)), *ranges[0], guess[0])
        return [] if best is None else [(best,)]
    (low, high), (low_2, high_2) = ranges
    first_alone = smallest(lambda x: meets((x, low_2)), low, high, sum(guess))
    second_alone = smallest(lambda y: meets((low, y)), low_2, high_2, sum(guess))
    found: set[Point] = set() if second_alone is None else {(low, second_alone)}
    found |= set() if first_alone is None else {(first_alone, low_2)}
    found |= {_settled(meets, point, ranges) for point in _between(meets, ranges, guess, first_alone, second_alone)}
    return sorted(found)


def _between(
    meets: Callable[[Point], bool],
    ranges: Sequence[Range],
    guess: Point,
    first_alone: int | None,
    second_alone: int | None,
) -> Iterator[Point]:
    """For each first number above its smallest, the smallest second one, as long as more of the first spares some."""
    (low, high), (low_2, high_2) = ranges
    start: int | None = low
    if second_alone is None:
        start = smallest(lambda x: meets((x, high_2)), low, high, guess[0])
    least = smallest(lambda y: meets((high, y)), low_2, high_2, guess[1]) if first_alone is None else low_2 + 1
    if start is None or least is None:
        return
    ceiling = high_2 if second_alone is None else second_alone
    near = min(ceiling - 1, sum(guess))
    for x in range(max(start, low + 1), high + 1 if first_alone is None else first_alone):
        y = smallest(lambda y, x=x: meets((x, y)), low_2, ceiling, near)  # type: ignore[misc]
        if y is None:
            continue
        yield x, y
        ceiling, near = y, y - 1
        if y <= least:
            return


def _settled(meets: Callable[[Point], bool], point: Point, ranges: Sequence[Range]) -> Point:
    """The point, made smaller one by one as long as a smaller one meets."""
    smaller = next((each for each in _one_less(point, ranges) if meets(each)), None)
    return point if smaller is None else _settled(meets, smaller, ranges)


def _one_less(point: Point, ranges: Sequence[Range]) -> Iterator[Point]:
    for k, (low, _) in enumerate(ranges):
        if point[k] > low:
            yield (*point[:k], point[k] - 1, *point[k + 1 :])
