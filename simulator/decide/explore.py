"""What further trials tell: capacity, break-even by volume, and flips of load, growth and service levels."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

from simulator.decide.assumptions import GROWTH, VOLUME, Question
from simulator.decide.beyond_chance import beyond_chance
from simulator.decide.break_even import volume
from simulator.decide.capacity import capacity
from simulator.decide.flips import Winners, as_today, change_from, change_within, crossing, named
from simulator.decide.rivals import least
from simulator.study.decision import (
    NOT_TOLD,
    ONE_REPLICATION,
    TIME_ENDED,
    BreakEven,
    Capacity,
    Contender,
    Crossing,
    Flip,
)
from simulator.units import MONTHS_PER_YEAR

ESTIMATE_TRIALS = 2
"""Trials by which the capacity of a fleet is estimated where no time is given for more."""
_STEPS_BEYOND, _NEAR = 10, 0.02
"""On the way from a flip to where it is beyond chance, and how near that is: each place is a search of sizes."""
_LOADS_PER_DOUBLING = 4
"""Loads between two doublings at which growing months are asked for."""
_GUESS_SHARE = 0.5
"""Of the time for the flip of growth, what the guess of it may take."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a topology is asked, as multiples of today's.

    Attributes
    ----------
    load, limits : requests of all classes, and every latency limit
    steps : time of every engine step: how far the forecast of the speed is off
    acceptance : of drafted tokens, up to certainty
    passed_on : answers that a cascade's check does not let pass, up to all
    growth : 1 + g, by which the load grows in a year
    """

    topology: str
    load: float = 1.0
    limits: float = 1.0
    steps: float = 1.0
    acceptance: float = 1.0
    passed_on: float = 1.0
    growth: float = 1.0


@dataclass(frozen=True, slots=True)
class Answered:
    """Whether a topology meets the SLO so, for how much, and tokens delivered; None where no allowed size does.

    Attributes
    ----------
    missed : which term it misses; empty where that is not known
    usd_by_replication : the bill of each; empty where that is not known
    """

    meets: bool
    usd_per_month: float | None
    tokens_per_month: float | None = None
    missed: str = ""
    usd_by_replication: tuple[float, ...] = ()


class OutOfTime(Exception):
    """The time for further trials is over."""


Serve = Callable[[Asked, float], Answered]
"""How a topology answers what is asked, in so much wall-clock time at most; `OutOfTime` where that is over before."""


@dataclass
class Explorer:
    """Asks each question once, as long as there is time.

    Parameters
    ----------
    serve : the topology at its best size under what is asked
    stays : the same with the size that it has now
    limit_s : wall-clock time for all questions together
    """

    serve: Serve
    stays: Serve
    limit_s: float
    known: dict[tuple[bool, Asked], Answered] = field(default_factory=dict)
    started_s: float = field(default_factory=time.monotonic)

    @property
    def left_s(self) -> float:
        """Wall-clock time that is left."""
        return self.limit_s - (time.monotonic() - self.started_s)

    def within(self, share: float) -> Explorer:
        """The same, with what is known, for a share of the time that is left."""
        if share >= 1.0 or not math.isfinite(self.limit_s):
            return self
        return replace(self, limit_s=self.limit_s - (1.0 - share) * max(self.left_s, 0.0))

    def check(self) -> None:
        """Raise `OutOfTime` where none is left."""
        if self.left_s < 0:
            raise OutOfTime

    def best(self, asked: Asked) -> Answered:
        return self._ask(True, asked)

    def same(self, asked: Asked) -> Answered:
        return self._ask(False, asked)

    def _ask(self, resized: bool, asked: Asked) -> Answered:
        if (resized, asked) not in self.known:
            self.check()
            self.known[resized, asked] = (self.serve if resized else self.stays)(asked, self.left_s)
        return self.known[resized, asked]


def capacities(explorer: Explorer, firsts: Mapping[str, float], trials: int | None = None) -> dict[str, Capacity]:
    """Of each topology at its size; those for which the time was too short are left out.

    Parameters
    ----------
    firsts : by topology, the multiple of the load that is tried first
    trials : at most; None for as many as it takes
    """
    found: dict[str, Capacity] = {}
    for name, first in firsts.items():

        def meets(load: float, name: str = name) -> bool:
            return explorer.same(Asked(name, load)).meets

        try:
            carried = capacity(meets, meets(1.0), first, trials)
            fails = math.isfinite(carried.fails_at)
            missed = explorer.same(Asked(name, carried.fails_at)).missed if fails else ""
            found[name] = replace(carried, missed=missed)
        except OutOfTime:
            break
    return found


def with_volumes(explorer: Explorer, pairs: Sequence[BreakEven]) -> list[BreakEven]:
    """Break-evens with the volume from which they hold, each side at its best size there."""

    def cost(name: str) -> Callable[[float], float | None]:
        def at(load: float) -> float | None:
            found = explorer.best(Asked(name, load))
            return found.usd_per_month if found.meets else None

        return at

    found: list[BreakEven] = []
    for pair in pairs:
        try:
            crossing = volume(cost(pair.topology), cost(pair.rival))
            found.append(replace(pair, volume=_with_tokens(explorer, (pair.topology, pair.rival), crossing)))
        except OutOfTime:
            found.append(pair)
    return found


def _with_tokens(explorer: Explorer, names: Sequence[str], found: Crossing) -> Crossing:
    """Tokens at the crossing, by the mean of both sides at the nearest multiple at which both are known."""
    at = found.factor
    known = [factor for factor, *usd in found.tried if all(map(math.isfinite, usd))]
    if at is None or not known:
        return found
    nearest = min(known, key=lambda factor: abs(math.log(factor / at)))
    tokens = [explorer.best(Asked(name, nearest)).tokens_per_month for name in names]
    told = [one for one in tokens if one is not None]
    return replace(found, tokens_per_month=math.fsum(told) / len(told) * at / nearest if told else None)


def trial_flips(
    study: Explorer,
    names: Sequence[str],
    today: Winners,
    asked: Sequence[Question],
    ladder: Ladder | None = None,
) -> list[Flip]:
    """Flips of volume, latency limits, speed, acceptance of drafts and answers, and growth; what time cuts off says so.

    Where nobody meets the SLO today a flip is where somebody begins to. Of such, and of those where nobody does any
    more, no bills are compared, so that chance in bills says nothing of them.

    Each question has an equal part of the time, and what those before it left. Each topology is at its best size in
    every month under what is asked. An error of the speed, or of the acceptance, moves SLO or size; prices stay.

    Parameters
    ----------
    study : answers for all months of the study together
    today : the winners of the verdict
    ladder : guesses the flip of growth where that alone makes months differ
    """
    found: list[Flip] = []
    for k, one in enumerate(asked):
        part = study.within(1 / (len(asked) - k))
        guessing = ladder if one.assumption == GROWTH else None
        try:
            found.append(
                _guessed_flip(part, guessing, names, today, one) if guessing else _flip(part, names, today, one)
            )
        except OutOfTime:
            found.append(_cut_off(one.assumption))
    return found


def _guessed_flip(study: Explorer, ladder: Ladder, names: Sequence[str], today: Winners, question: Question) -> Flip:
    """The flip of growth: looked for from the ladder's guess on, and about that where time ends on the way.

    None where the ladder has none; without a guess where it has another winner today.
    """
    reach = question.reach
    guess: tuple[float, float] | None = None
    part = replace(ladder, explorer=ladder.explorer.within(_GUESS_SHARE))
    with suppress(OutOfTime):
        if as_today(part.winners(names, 1.0), today):
            guess = change_within(partial(part.winners, names), today, reach)
            if guess is None:
                return Flip(question.assumption, None, None, (1 / reach, reach))
    try:
        return _flip(study, names, today, question, guess)
    except OutOfTime:
        if guess is None:
            raise
        then = named(part.winners(names, guess[1]), names)
        return Flip(question.assumption, guess[1], then, (1 / reach, reach), sure=False, words=question.words(guess[1]))


def _flip(
    explorer: Explorer,
    names: Sequence[str],
    today: Winners,
    question: Question,
    guess: tuple[float, float] | None = None,
) -> Flip:
    assumption, reach = question.assumption, question.reach

    def ask(name: str, factor: float) -> Asked:
        return question.ask(Asked(name), factor)

    def winners(factor: float) -> Winners:
        return _least(explorer, (ask(name, factor) for name in names))

    now = winners(1.0)
    if not as_today(now, today):
        what = "costs less" if now and today else "meets the SLO"
        words = f"{named(now, names)} {what} at sizes that are searched anew"
        return Flip(assumption, None, None, (1.0, 1.0), words=words)
    within = change_from(guess, winners, today, reach) if guess else change_within(winners, today, reach)
    if within is None:
        return Flip(assumption, None, None, (1 / reach, reach))
    at, then = within[1], winners(within[1])
    if assumption in (VOLUME, GROWTH):
        at = _where_bills_cross(explorer, ask, *within, today, then)
    asking = [partial(_contender, explorer, ask, name) for name in names]
    clear, untold = _beyond_chance(asking, today, at, reach) if today and then else (at, "")
    told, from_where = question.words(at), question.value(clear) if clear else ""
    return Flip(
        *(assumption, at, named(then, names), (1 / reach, reach)),
        words=told,
        clear=clear,
        untold=untold,
        clear_words=from_where,
    )


def _beyond_chance(
    found: Sequence[Callable[[float], Contender]], today: Winners, at: float, reach: float
) -> tuple[float | None, str]:
    """From where a flip is beyond chance, or why that is not told: several replications tell it, one cannot."""
    if any(len(one(1.0).usd_by_replication) == 1 for one in found):
        return None, ONE_REPLICATION
    with suppress(OutOfTime):
        return beyond_chance(found, today, at, reach, _STEPS_BEYOND, _NEAR), ""
    return None, NOT_TOLD


def _contender(explorer: Explorer, ask: Callable[[str, float], Asked], name: str, factor: float) -> Contender:
    found = explorer.best(ask(name, factor))
    usd = math.nan if found.usd_per_month is None else found.usd_per_month
    return Contender(name, found.meets and found.usd_per_month is not None, usd, found.usd_by_replication)


def _cut_off(assumption: str) -> Flip:
    return Flip(assumption, None, None, (1.0, 1.0), words=TIME_ENDED)


def _least(explorer: Explorer, asked: Iterable[Asked]) -> Winners:
    """The cheapest of those that meet what is asked of them, each at its best size."""
    answers = ((one.topology, explorer.best(one)) for one in asked)
    return least({name: a.usd_per_month for name, a in answers if a.meets and a.usd_per_month is not None})


def _where_bills_cross(
    explorer: Explorer, ask: Callable[[str, float], Asked], near: float, far: float, today: Winners, then: Winners
) -> float:
    """The multiple between two at which those who win beyond it begin to cost less than today's winners.

    Of volume as break-even finds it.
    """

    def usd(names: Winners, factor: float) -> float:
        answers = (explorer.best(ask(name, factor)) for name in names)
        return min((a.usd_per_month for a in answers if a.meets and a.usd_per_month is not None), default=math.inf)

    costs = [(factor, usd(today, factor), usd(then, factor)) for factor in (near, far)]
    return crossing(*costs)


def _between_loads(explorer: Explorer, name: str, load: float, most: float) -> float | None:
    """USD per month at a load by those of the ladder on both sides of it; None where one is too much.

    Parameters
    ----------
    most : the largest load that is asked for, itself and not the one of the ladder above it
    """
    step = _LOADS_PER_DOUBLING * math.log2(load)
    low, high = (2 ** (edge(step) / _LOADS_PER_DOUBLING) for edge in (math.floor, math.ceil))
    high = min(high, most)
    usd: list[float] = []
    for at in dict.fromkeys((high, low)):
        answer = explorer.best(Asked(name, load=at))
        if not answer.meets or answer.usd_per_month is None:
            return None
        usd.append(answer.usd_per_month)
    return usd[0] if len(usd) == 1 else usd[1] + (usd[0] - usd[1]) * (load - low) / (high - low)


@dataclass(frozen=True, slots=True)
class Ladder:
    """A study whose months differ by nothing but growth, and of which no month costs by what another had.

    Attributes
    ----------
    explorer : answers for the first month, of whose load each other month asks a multiple
    growth : per year
    """

    explorer: Explorer
    months: float
    growth: float

    def winners(self, names: Sequence[str], factor: float) -> Winners:
        """The cheapest over the months of the study where 1 + g is multiplied.

        A month costs what each topology costs at its best size under that month's load: between two of a ladder of
        four loads a doubling, a straight line. A topology that the largest load is too much for is out.
        """
        per_year = (1 + self.growth) * factor
        found = {name: self._usd(name, per_year) for name in names}
        return least({name: cost for name, cost in found.items() if cost is not None})

    def _usd(self, name: str, per_year: float) -> float | None:
        paid: list[float] = []
        last = math.ceil(self.months) - 1
        most = max(per_year ** (last / MONTHS_PER_YEAR), 1.0)
        for month in range(last, -1, -1) if per_year > 1.0 else range(last + 1):
            cost = _between_loads(self.explorer, name, min(per_year ** (month / MONTHS_PER_YEAR), most), most)
            if cost is None:
                return None
            paid.append(cost)
        return math.fsum(paid) / len(paid)
