"""Searches of made-up fleets, of which more replicas may serve worse: that is seen, and nothing rests on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from simulator.resolve.sizes import Fixed, OpenPool, Scaled
from simulator.simulate.refusal import Refutation
from simulator.size.found import Limits, Search, falls
from simulator.size.search import search
from simulator.size.trials import Tried

Meets = Callable[..., bool]
REFUSED = Refutation("chat", "ttft p95 ≤ 1 s", 99, 1, 0.1, 0, 1.0)
"""By far: within the first tenth of the requests."""


class Made:
    """Trials of which the number of replicas alone decides; each costs $100."""

    hopeless = ""

    def __init__(self, meets: Meets, pools: int) -> None:
        self.pools = tuple(OpenPool(k, f"p{k}", 0 if pools > 1 else 1, 1, False) for k in range(pools))
        self.meets, self.simulated = meets, 0

    def least(self, k: int, point: Any) -> int:
        return 0

    def bound_usd(self, point: Any) -> float:
        return 100.0 * sum(size.most for size in point)

    def least_usd(self) -> float:
        return 0.0

    def __call__(self, point: Any, best: Any = None, replications: Any = None) -> Tried:
        self.simulated += 1
        if self.meets(*(size.most for size in point)):
            return Tried(point, "met", (self.bound_usd(point),))
        return Tried(point, "refused", refutation=REFUSED, reason=str(REFUSED))


def found(meets: Meets, guess: tuple[int, ...], most: int = 40) -> Search:
    trials: Any = Made(meets, len(guess))
    return search(trials, Limits(most), guess=guess)


@pytest.mark.parametrize("guess", [1, 3, 5, 9])
def test_a_hole_above_a_number_that_meets_is_seen_and_the_least_number_is_found(guess: int) -> None:
    """Three do and four do not: the search goes past four, and comes back to three."""
    told = found(lambda n: n >= 3 and n != 4, (guess,))
    assert str(told.best) == "3"
    assert told.falls is not None
    assert tuple(map(str, told.falls)) == ("3", "4")
    assert told.claim == "proved"


def test_nothing_is_skipped_where_a_larger_number_fails() -> None:
    """Twenty-five miss by far, so smaller ones would be skipped; of these nineteen do."""
    told = found(lambda n: n in (19, 28) or n >= 30, (28,))
    assert str(told.best) == "19"
    assert told.falls is not None
    assert not told.by_word("skipped")
    plain = found(lambda n: n >= 28, (28,))
    assert plain.falls is None
    assert plain.by_word("skipped")
    assert plain.claim.startswith("proved but for ")


@pytest.mark.parametrize(("hole", "claim"), [(None, "minimal"), ((4, 0), "best of ")])
def test_of_two_numbers_a_hole_takes_the_proof_away(hole: tuple[int, int] | None, claim: str) -> None:
    told = found(lambda a, b: 2 * a + b >= 6 and (a, b) != hole, (3, 0), most=8)
    assert told.best is not None
    assert told.claim.startswith(claim)
    assert (told.falls is None) == (hole is None)


def test_what_is_larger() -> None:
    """In no pool fewer, on the same instances, with the same target; what was not refused by a trial says nothing."""

    def tried(word: Any, *point: Any) -> Tried:
        return Tried(point, word, refutation=REFUSED if word == "refused" else None)

    met = tried("met", Fixed(2), Scaled(1, 4, 8.0))
    for other in (
        tried("refused", Fixed(1), Scaled(1, 9, 8.0)),
        tried("refused", Fixed(3), Scaled(1, 9, 9.0)),
        tried("refused", Fixed(3, "large"), Scaled(1, 4, 8.0)),
        tried("refused", Fixed(9), Fixed(9)),
        Tried((Fixed(3), Scaled(1, 4, 8.0)), "refused", reason="a price that is not known"),
        tried("excluded", Fixed(3), Scaled(1, 4, 8.0)),
    ):
        assert falls([met, other]) is None
    larger = tried("refused", Fixed(2), Scaled(1, 5, 8.0))
    assert falls([larger, met]) == (met, larger)


@pytest.mark.parametrize(("rough", "owned", "looked_at"), [(False, True, 8), (True, True, 4), (False, False, 4)])
def test_larger_numbers_on_a_server_that_stands_are_left_in_a_rough_search(
    rough: bool, owned: bool, looked_at: int
) -> None:
    """Two meet; three and four cost a dollar more each, and no bound tells what those up to eight cost."""

    class OnAServer(Made):
        def bound_usd(self, point: Any) -> float:
            return 50.0 if point[0].most <= 8 else 1000.0

        def __call__(self, point: Any, best: Any = None, replications: Any = None) -> Tried:
            tried = super().__call__(point, best, replications)
            return Tried(point, tried.word, (100.0 + point[0].most,)) if tried.word == "met" else tried

    trials: Any = OnAServer(lambda n: n >= 2, 1)
    trials.pools = (OpenPool(0, "p", 1, 1, owned),)
    told = search(trials, Limits(40, rough=rough), guess=(2,))
    assert str(told.best) == "2"
    assert trials.simulated == looked_at
    assert (told.claim == "proved") is not (trials.simulated < 8)
