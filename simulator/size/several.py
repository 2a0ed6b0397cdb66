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


def close(
    meets: Meets, ranges: Sequence[Range], usd: Callable[[Point], float], is_worth: Meets, looks: int
) -> list[Point]:
    """Look at points that may cost less than the best as long as there are any: where one is refused, smaller ones are.

    Of the smallest points that are larger, in some number, than each that was refused, the one with the least bound is
    made as large as may still cost less; so that least bound rises. Where that one meets and smaller ones may cost less
    still, the largest between the two that is refused is looked for.

    Parameters
    ----------
    usd : bound of a point
    is_worth : whether a point may cost less than the best
    looks : bounds that are asked for, at most, of which each takes planning

    Returns
    -------
    The smallest of the points that are left, as the looks ended; none where all are closed
    """
    asked: set[Point] = set()

    def is_open(at: Point) -> bool:
        asked.add(at)
        return is_worth(at)

    least: list[Point] = [tuple(low for low, _ in ranges)]
    while least := [at for at in least if is_open(at)]:
        if len(asked) >= looks:
            return least
        at = min(least, key=lambda one: (usd(one), one))
        path = _enlarged(at, ranges, is_open)
        if not meets(path[-1]):
            least = _above(least, path[-1], ranges)
        elif is_worth(path[-1]):
            k = smallest(lambda k, path=path: meets(path[k]), 0, len(path) - 1, 0)  # type: ignore[misc]
            least = _above(least, path[max((k or 0) - 1, 0)], ranges)
    return []


def _enlarged(at: Point, ranges: Sequence[Range], is_open: Meets) -> list[Point]:
    """From a point on one more of a number each, the last first, as long as that is worth it."""
    path = [at]
    for k in reversed(range(len(ranges))):
        most = ranges[k][1]
        here = path[-1]
        if here[k] < most:
            dear = smallest(lambda n, k=k, here=here: not is_open(_with(here, k, n)), here[k] + 1, most, here[k] + 1)  # type: ignore[misc]
            path += [_with(here, k, n) for n in range(here[k] + 1, most + 1 if dear is None else dear)]
    return path


def _above(least: Sequence[Point], closed: Point, ranges: Sequence[Range]) -> list[Point]:
    """The smallest points that are, in some number, above one of which all smaller ones are closed."""
    found: set[Point] = set()
    for at in least:
        if any(a > b for a, b in zip(at, closed, strict=True)):
            found.add(at)
        else:
            found |= {_with(at, k, n + 1) for k, n in enumerate(closed) if n < ranges[k][1]}
    return [at for at in sorted(found) if not any(_below(other, at) for other in found)]


def _below(one: Point, other: Point) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
