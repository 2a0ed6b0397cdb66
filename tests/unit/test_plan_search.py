"""Searches for the smallest that meets: against brute force, with and without noise at the border."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.size.numbers import minimal_points, smallest


class Counted:
    """A predicate that counts the numbers it was asked for."""

    def __init__(self, answers: dict[int, bool]) -> None:
        self.answers, self.asked = answers, set[int]()

    def __call__(self, n: int) -> bool:
        self.asked.add(n)
        return self.answers[n]


@given(low=st.integers(0, 3), span=st.integers(0, 60), border=st.integers(0, 70), guess=st.integers(-5, 90))
def test_the_smallest_of_a_monotone_predicate(low: int, span: int, border: int, guess: int) -> None:
    high = low + span
    counted = Counted({n: n >= border for n in range(low, high + 1)})
    expected = next((n for n in range(low, high + 1) if n >= border), None)
    assert smallest(counted, low, high, guess) == expected


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_trials_grow_with_the_logarithm_of_the_distance(border: int, guess: int) -> None:
    asked = set[int]()

    def meets(n: int) -> bool:
        asked.add(n)
        return n >= border

    assert smallest(meets, 1, 10**6, guess) == border
    assert len(asked) <= 2 * (abs(border - guess) + 2).bit_length() + 3


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.integers(0, 5), st.integers(0, 20))
def test_noise_at_the_border_leaves_an_answer_whose_neighbour_below_fails(
    noise: list[bool], before: int, guess: int
) -> None:
    pattern = [False] * before + noise + [True, True]
    answers = dict(enumerate(pattern, start=1))
    high = len(pattern)
    best = smallest(answers.__getitem__, 1, high, guess)
    assert best is not None
    assert answers[best]
    assert best == 1 or not answers[best - 1]
    assert best == high or answers[best + 1]


def test_a_number_whose_successor_fails_is_taken_only_if_nothing_above_meets() -> None:
    assert smallest(lambda n: n in (3, 8), 1, 8, 3) == 8
    assert smallest(lambda n: n == 3, 1, 8, 3) == 3
    assert smallest(lambda n: n == 3, 1, 8, 8) is None


@st.composite
def staircases(draw: st.DrawFn) -> dict[tuple[int, int], bool]:
    """Upper sets of a grid: a point that meets is followed only by points that meet."""
    width, height = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    corners = draw(st.lists(st.tuples(st.integers(0, width), st.integers(0, height)), max_size=4))
    grid = itertools.product(range(width), range(height))
    return {(x, y): any(x >= a and y >= b for a, b in corners) for x, y in grid}


@settings(max_examples=300)
@given(staircases(), st.integers(0, 7), st.integers(0, 7))
def test_all_minimal_points_of_a_staircase(grid: dict[tuple[int, int], bool], x: int, y: int) -> None:
    ranges = [(0, max(p[0] for p in grid)), (0, max(p[1] for p in grid))]
    minimal = sorted(
        p
        for p, meets in grid.items()
        if meets and not any(grid.get(q, False) for q in ((p[0] - 1, p[1]), (p[0], p[1] - 1)))
    )
    assert minimal_points(grid.__getitem__, ranges, (x, y)) == minimal


@settings(max_examples=300)
@given(st.lists(st.booleans(), min_size=16, max_size=16))
def test_a_noisy_plane_gives_only_minimal_points(noise: list[bool]) -> None:
    grid = {(x, y): x + y >= 8 or (x + y >= 4 and noise[4 * (x % 4) + y % 4]) for x in range(7) for y in range(7)}
    found = minimal_points(grid.__getitem__, [(0, 6), (0, 6)], (3, 3))
    assert found
    for x, y in found:
        assert grid[x, y]
        assert not grid.get((x - 1, y), False)
        assert not grid.get((x, y - 1), False)
