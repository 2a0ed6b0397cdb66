"""What further trials tell: capacity, break-even by volume, and flips of load, growth and service levels."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from simulator.decide.break_even import volume
from simulator.decide.capacity import capacity
from simulator.decide.flips import Winners, named, smallest_change
from simulator.decide.rivals import least
from simulator.study.decision import BreakEven, Capacity, Crossing, Flip

LOAD_REACH = 16.0
SLO_REACH = 4.0
STEP_REACH = 2.0
DRAFT_REACH = 4.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What a topology is asked, as multiples of today's.

    Attributes
    ----------
    load, limits : requests of all classes, and every latency limit
    steps : time of every engine step: how far the forecast of the speed is off
    acceptance : of drafted tokens, up to certainty
    """

    topology: str
    load: float = 1.0
    limits: float = 1.0
    steps: float = 1.0
    acceptance: float = 1.0


@dataclass(frozen=True, slots=True)
class Answered:
    """Whether a topology meets the SLO so, for how much, and tokens delivered; None where no allowed size does."""

    meets: bool
    usd_per_month: float | None
    tokens_per_month: float | None = None


class OutOfTime(Exception):
    """The time for further trials is over."""


@dataclass
class Explorer:
    """Asks each question once, as long as there is time.

    Parameters
    ----------
    serve : the topology at its best size under what is asked
    stays : the same with the size that it has now
    limit_s : wall-clock time for all questions together
    """

    serve: Callable[[Asked], Answered]
    stays: Callable[[Asked], Answered]
    limit_s: float
    known: dict[tuple[bool, Asked], Answered] = field(default_factory=dict)
    started_s: float = field(default_factory=time.monotonic)

    def best(self, asked: Asked) -> Answered:
        return self._ask(True, asked)

    def same(self, asked: Asked) -> Answered:
        return self._ask(False, asked)

    def _ask(self, resized: bool, asked: Asked) -> Answered:
        if (resized, asked) not in self.known:
            if time.monotonic() - self.started_s > self.limit_s:
                raise OutOfTime
            self.known[resized, asked] = (self.serve if resized else self.stays)(asked)
        return self.known[resized, asked]


def capacities(explorer: Explorer, names: Sequence[str]) -> dict[str, Capacity]:
    """Of each topology at its size; those for which the time was too short are left out."""
    found: dict[str, Capacity] = {}
    for name in names:
        try:
            found[name] = capacity(lambda load, name=name: explorer.same(Asked(name, load)).meets)  # type: ignore[misc]
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
            found.append(replace(pair, volume=_with_tokens(explorer, pair.topology, crossing)))
        except OutOfTime:
            found.append(pair)
    return found


def _with_tokens(explorer: Explorer, name: str, found: Crossing) -> Crossing:
    """Tokens at the crossing, by those of the nearest multiple that was tried."""
    at = found.factor
    if at is None:
        return found
    known = [factor for factor, usd, _ in found.tried if math.isfinite(usd)]
    nearest = min(known, key=lambda factor: abs(math.log(factor / at)))
    tokens = explorer.best(Asked(name, nearest)).tokens_per_month
    return replace(found, tokens_per_month=None if tokens is None else tokens * at / nearest)


def trial_flips(
    explorer: Explorer,
    names: Sequence[str],
    capacities: dict[str, Capacity],
    months: float,
    growth: float,
    engines: Collection[str] = (),
    drafts: Mapping[str, float] | None = None,
    today: Winners = frozenset(),
) -> list[Flip]:
    """Flips of volume, latency limits, speed, acceptance and growth; what time cuts off is left out.

    An error of the speed, or of the acceptance, moves the SLO or the size; prices stay.

    Parameters
    ----------
    engines : topologies with engines that are simulated
    drafts : acceptance of drafted tokens of the topologies that have any
    today : the winners of the verdict; those at today's load unless given. Further trials are of the first month
        alone: where it has other winners than the study, nothing is searched
    """
    found: list[Flip] = []
    drafts = drafts or {}
    questions: list[tuple[str, float, Callable[[str, float], Asked]]] = [
        ("volume", LOAD_REACH, lambda name, factor: Asked(name, load=factor)),
        ("latency limits of the SLO", SLO_REACH, lambda name, factor: Asked(name, limits=factor)),
    ]
    if engines:
        questions.append(
            (
                "time of engine steps",
                STEP_REACH,
                lambda name, factor: Asked(name, steps=factor if name in engines else 1.0),
            )
        )
    if drafts:
        questions.append(
            (
                "acceptance of drafts",
                DRAFT_REACH,
                lambda name, factor: Asked(name, acceptance=factor if name in drafts else 1.0),
            )
        )
    for assumption, reach, ask in questions:

        def winners(factor: float, ask: Callable[[str, float], Asked] = ask) -> Winners:
            usd = {
                name: answer.usd_per_month
                for name in names
                if (answer := explorer.best(ask(name, factor))).meets and answer.usd_per_month is not None
            }
            return least(usd)

        try:
            now = winners(1.0)
            if today and not now & today:
                words = f"in the first month alone {named(now, names)} is cheapest"
                found.append(Flip(assumption, None, None, (1.0, 1.0), words=words))
                continue
            at = smallest_change(winners, today or now, reach)
        except OutOfTime:
            continue
        words = _acceptances(drafts, at) if assumption == "acceptance of drafts" and at is not None else ""
        then = None if at is None else named(winners(at), names)
        found.append(Flip(assumption, at, then, (1 / reach, reach), words=words))
    try:
        flip = growth_flip(explorer, names, capacities, months, growth)
    except OutOfTime:
        flip = None
    return found if flip is None else [*found, flip]


def _acceptances(drafts: Mapping[str, float], factor: float) -> str:
    """The changed acceptances, where a multiple says little."""
    return ", ".join(
        f"{min(own * factor, 1.0):.2f} (now {own:.2f}{f' in {name}' if len(drafts) > 1 else ''})"
        for name, own in drafts.items()
    )


def growth_flip(
    explorer: Explorer, names: Sequence[str], capacities: dict[str, Capacity], months: float, growth: float
) -> Flip | None:
    """Growth per year from which the winner's fleet, as it is, no longer serves the last month: (1 + g) as a factor.

    A fleet of capacity c lasts H months at a growth of c^(12/(H - 1)) - 1. Who wins then is the cheapest of those that
    last longer, at today's bills.
    """
    last = math.ceil(months) - 1
    usd = {
        name: answer.usd_per_month
        for name in names
        if (answer := explorer.same(Asked(name))).meets and answer.usd_per_month is not None
    }
    if not usd or last < 1:
        return None
    winner = min(usd, key=usd.__getitem__)
    if winner not in capacities or not math.isfinite(capacities[winner].fails_at):
        return None
    limit = capacities[winner].factor
    rate = limit ** (12 / last) - 1
    longer = {
        name: cost
        for name, cost in usd.items()
        if name != winner and name in capacities and capacities[name].factor > limit
    }
    then = min(longer, key=longer.__getitem__) if longer else "none of them"
    words = f"{rate:.0%} (now {growth:.0%})"
    return Flip("growth per year", (1 + rate) / (1 + growth), then, (0.0, math.inf), False, words)
