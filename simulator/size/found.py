"""How far a search goes, and what it found."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from simulator.errors import InputError, Problem
from simulator.metrics.intervals import paired_difference
from simulator.scenario.load import LoadedScenario
from simulator.size.trials import Tried, Word

MOST_REPLICAS = 64
"""Of each pool, unless told otherwise."""
UNFINISHED = "not finished"
_BEST_OF = "best of"
"""Claim of a search that time, or the points that it looks at, ended."""
_OPTION, _OF_SCENARIO = "--max-replicas", "run.max_replicas"
_REPLICATIONS_OF_AN_INTERVAL = 2


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a search goes.

    Attributes
    ----------
    max_replicas : of each pool
    max_trials : of each topology; None for as many as it takes
    seconds : of the wall clock for each topology; None for as long as it takes
    prune : whether what cannot cost less than the best that met is left out
    prove : whether what is smaller than a size that meets is closed one by one
    probe : whether the next larger size is tried though it cannot cost less, as a sign that more is not always better
    bound : what says `max_replicas`, and may be raised
    rough : whether no larger number of owned replicas is looked at after two that cost more, as of rented ones
    in_vain : settings beside the best of an autoscaler that are no better, in a row, after which no more are tried
    """

    max_replicas: int = MOST_REPLICAS
    max_trials: int | None = None
    seconds: float | None = None
    prune: bool = True
    prove: bool = True
    probe: bool = True
    bound: str = _OPTION
    rough: bool = False
    in_vain: int = 5


def checked_limits(max_replicas: int, seconds: float | None) -> Limits:
    """Limits as the command line gives them.

    Raises
    ------
    InputError : a number that is out of range
    """
    problems = []
    if max_replicas < 1:
        problems.append(Problem("must be at least 1", _OPTION, got=str(max_replicas)))
    if seconds is not None and not 0 < seconds < math.inf:
        problems.append(Problem("must be a positive number of seconds", "--search-seconds", got=str(seconds)))
    if problems:
        raise InputError(*problems)
    return Limits(max_replicas, seconds=seconds)


def bounded(limits: Limits | None, loaded: LoadedScenario) -> Limits:
    """The limits of a search, within what the scenario takes as meant of any pool.

    Raises
    ------
    InputError : more replicas were asked for than that, and than a search looks at unless told
    """
    found, most = limits or Limits(), loaded.scenario.run.max_replicas
    if found.max_replicas <= most:
        return found
    if found.max_replicas > MOST_REPLICAS:
        text = f"is above {_OF_SCENARIO} ({most}): set that higher if so many are meant"
        raise InputError(Problem(text, _OPTION, got=str(found.max_replicas)))
    return replace(found, max_replicas=most, bound=_OF_SCENARIO)


def best_of(tried: int) -> str:
    """The claim of a search that can prove nothing: the cheapest of so many points."""
    return f"{_BEST_OF} {tried} tried"


def is_best_of(claim: str) -> bool:
    """Whether it is that of `best_of`."""
    return claim.startswith(_BEST_OF)


@dataclass(frozen=True, slots=True)
class Search:
    """What a search found for one topology.

    Attributes
    ----------
    best : the cheapest that met; None if none did
    trail : every point that was looked at, in that order
    claim : proved, proved but for n skipped, minimal, best of n tried, or not finished
    least_usd : per month, what nothing that was left open costs less than: by time, by the points that it looks at, or
        by the most replicas; None where nothing is
    max_replicas, bound : of each pool, beyond which nothing was looked at, and what said so
    limited : pools of which more than that might cost less than the best
    """

    best: Tried | None
    trail: tuple[Tried, ...]
    claim: str
    least_usd: float | None = None
    max_replicas: int = MOST_REPLICAS
    bound: str = _OPTION
    limited: tuple[str, ...] = ()

    @property
    def is_finished(self) -> bool:
        """Whether it ended by itself."""
        return self.claim != UNFINISHED

    @property
    def gap_usd(self) -> float:
        """The best less what is left open; 0 where nothing is, or where nothing met."""
        if self.best is None or self.least_usd is None:
            return 0.0
        return max(self.best.usd_per_month - self.least_usd, 0.0)

    @property
    def tried(self) -> int:
        """Points that were simulated."""
        return sum(tried.word in ("met", "refused", "raced out", "open") for tried in self.trail)

    @property
    def equal(self) -> list[Tried]:
        """Others that met whose bill is the best's, or differs by less than their paired interval over replications."""
        best = self.best
        if best is None:
            return []
        return [tried for tried in self.by_word("met") if tried is not best and same_cost(tried, best)]

    def rows(self) -> list[dict[str, Any]]:
        """The trail, JSON-ready."""
        return [
            {
                "sizes": str(tried),
                "word": tried.word,
                "usd_per_month": tried.usd_per_month if tried.usd else None,
                "replications": len(tried.usd),
                "reason": tried.reason,
            }
            for tried in self.trail
        ]

    def without_outcomes(self) -> Search:
        """The same for whoever asks for no more than what was found: outcomes are large."""
        bare = {id(tried): replace(tried, outcomes=()) for tried in self.trail}
        best = None if self.best is None else bare[id(self.best)]
        return replace(self, best=best, trail=tuple(bare.values()))

    @property
    def falls(self) -> tuple[Tried, Tried] | None:
        """A point that met and a larger one that was refused, if there are any."""
        return falls(self.trail)

    @property
    def is_lucky(self) -> bool:
        """Whether more than the best was refused: that it met may be chance."""
        return self.best is not None and falls([self.best, *self.by_word("refused")]) is not None

    def by_word(self, word: Word) -> list[Tried]:
        """Points with this word."""
        return [tried for tried in self.trail if tried.word == word]


def falls(trail: Iterable[Tried]) -> tuple[Tried, Tried] | None:
    """A point that met and one with more replicas, in no pool fewer, that a trial refused: where more serve worse."""
    tried = list(trail)
    refused = [one for one in tried if one.refutation is not None]
    pairs = ((met, one) for met in tried if met.word == "met" for one in refused if _is_larger(one, met))
    return next(pairs, None)


def _is_larger(one: Tried, other: Tried) -> bool:
    """Whether it has no fewer replicas anywhere, by autoscalers of the same target on the same instances."""
    return one.point != other.point and all(
        type(a) is type(b)
        and a.instance == b.instance
        and getattr(a, "target", None) == getattr(b, "target", None)
        and getattr(a, "by_token", False) == getattr(b, "by_token", False)
        and a.least >= b.least
        and a.most >= b.most
        for a, b in zip(one.point, other.point, strict=True)
    )


def same_cost(one: Tried, other: Tried) -> bool:
    """Whether two bills are one, or differ by less than their paired interval over replications."""
    if len(one.usd) != len(other.usd):
        return False
    if len(one.usd) < _REPLICATIONS_OF_AN_INTERVAL:
        return one.costs_as(other.usd_per_month)
    mean, half_width = paired_difference(one.usd, other.usd)
    return abs(mean) <= half_width


class Interrupted(KeyboardInterrupt):
    """A search that was interrupted, with what it had found by then."""

    def __init__(self, found: Search) -> None:
        super().__init__()
        self.found = found
