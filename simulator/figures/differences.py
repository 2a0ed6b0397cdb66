"""Why two topologies differ, in words: each difference as a sentence with the share of every reason in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from simulator.bill.category import FACILITY_NETWORK, HARDWARE, MAINTENANCE, NETWORK_AND_STORAGE, SPACE
from simulator.bill.unused import UNUSED
from simulator.money import apart, converted, difference, digits, rounded, with_sign
from simulator.units import TOKENS_PER_MILLION

MOST_TOLD = 4
"""Reasons that are told one by one; the others together."""
_LEAST_SHARE = 0.01
_TOLD_CHANGE = 0.01
_GPU_HOURS = "GPU-hours"
_TOKENS = "tokens"
_PRICED = {_GPU_HOURS: (1.0, "each"), _TOKENS: (TOKENS_PER_MILLION, "per 1M")}
"""Units whose prices are told: of how many, in words."""
_LARGE = ((1e9, " bn"), (1e6, "M"))
_OWNED = (HARDWARE, NETWORK_AND_STORAGE, MAINTENANCE, SPACE, FACILITY_NETWORK)
_UNUSED_WORDS = {
    "idle": "GPUs that are idle",
    "spare": "GPUs that stand by as spares",
    "unused": "what is paid for and taken by nobody",
    "starting": "cold starts",
    "down": "GPUs that are down",
    "after the study": "commitments owed after the study",
}
_OTHERS = "the rest"
_SHARE_DIGITS = 4
"""Of shares of requests, as fractions."""


@dataclass(frozen=True, slots=True)
class CostLine:
    """One line of a bill per month.

    Attributes
    ----------
    owner, category, part, quantity, unit, usd : as in `study.bill.Line`
    """

    owner: str
    category: str
    part: str
    quantity: float
    unit: str
    usd: float


@dataclass(frozen=True, slots=True)
class Side:
    """What of a topology its differences are told from.

    Attributes
    ----------
    lines : of its bill
    launches_per_hour : of replicas, by pool
    seconds : of the mean answer, by what passes them
    lost_share : of the requests that came, by why they were lost
    """

    name: str
    lines: tuple[CostLine, ...]
    launches_per_hour: Mapping[str, float]
    seconds: Mapping[str, float]
    lost_share: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Reason:
    """A part of a difference.

    Attributes
    ----------
    amount : above 0, on the side that has more of it
    share : of all reasons on that side
    """

    words: str
    amount: float
    share: float


@dataclass(frozen=True, slots=True)
class Difference:
    """How one topology differs from another in one figure: sum(more) - sum(less) = amount.

    Attributes
    ----------
    figure : `usd_per_month`, `e2e_s` (mean) or `lost_share`
    amount : of the topology less the other's
    more, less : why it is higher, and what keeps it lower; the largest first
    text : the sentence
    """

    topology: str
    than: str
    figure: str
    amount: float
    more: tuple[Reason, ...]
    less: tuple[Reason, ...]
    text: str


def differences_in_words(one: Side, other: Side) -> tuple[Difference, ...]:
    """Cost, time of the mean answer and lost requests of `one` against `other`; what does not differ is left out."""
    found = (_cost(one, other), _time(one, other), _lost(one, other))
    return tuple(each for each in found if each.more or each.less)


def decompose(one: Mapping[str, float], other: Mapping[str, float]) -> tuple[tuple[Reason, ...], tuple[Reason, ...]]:
    """Parts that `one` has more of, and less of, than `other`: the largest first, with their shares on each side."""
    changes = {name: one.get(name, 0.0) - other.get(name, 0.0) for name in {**one, **other}}
    sides = ({n: v for n, v in changes.items() if v > 0}, {n: -v for n, v in changes.items() if v < 0})
    least = _LEAST_SHARE * max(math.fsum(side.values()) for side in sides)
    more, less = (_side(side, least) for side in sides)
    return more, less


def _side(amounts: Mapping[str, float], least: float) -> tuple[Reason, ...]:
    whole = math.fsum(amounts.values())
    if whole <= least:
        return (Reason(_OTHERS, whole, 1.0),) if whole > 0 else ()
    ranked = sorted(amounts.items(), key=lambda item: (-item[1], item[0]))
    told = [item for item in ranked[:MOST_TOLD] if item[1] >= least]
    if len(ranked) == len(told) + 1:
        told = ranked
    rest = math.fsum(amount for _, amount in ranked[len(told) :])
    return tuple(Reason(name, usd, usd / whole) for name, usd in [*told, *([(_OTHERS, rest)] if rest > 0 else [])])


def _cost(one: Side, other: Side) -> Difference:
    mine, theirs = _drivers(one), _drivers(other)
    amounts = [{key: math.fsum(line.usd for line in lines) for key, lines in side.items()} for side in (mine, theirs)]
    more, less = decompose(*amounts)
    bills = [math.fsum(side.values()) for side in amounts]
    quantities = {words: _quantity(mine.get(words, ()), theirs.get(words, ())) for words in mine}
    more = tuple(_with_facts(reason, quantities, one.launches_per_hour, other.launches_per_hour) for reason in more)
    less = tuple(_with_facts(reason, quantities, other.launches_per_hour, one.launches_per_hour) for reason in less)
    shown = apart(*bills)
    more_or_less = "more" if shown > 0 else "less"
    begin = f"{one.name} costs {difference(*bills)} a month {more_or_less} than {other.name}"
    if not shown:
        begin = f"{one.name} costs the same as {other.name}"
    both = _as_shown(_amount(more), _amount(less), shown)
    shows = any(apart(bills[1] + _amount(side), bills[1]) for side in (more, less))
    text = _sentence(begin, more, less, "it pays {} more", "{} less", _money, both) if shows else f"{begin}."
    return Difference(one.name, other.name, "usd_per_month", bills[0] - bills[1], more, less, text)


def _as_shown(more_usd: float, less_usd: float, shown: float) -> tuple[float, float]:
    """What is paid more and less in the currency that is shown, so that they differ by what both bills do as shown."""
    less = rounded(less_usd) if shown > 0 else rounded(more_usd) - shown
    return less + shown, less


def _money(value: float) -> str:
    return with_sign(digits(round(value, 9)))


def _drivers(side: Side) -> dict[str, list[CostLine]]:
    """Lines by what they are paid for; what nobody used is one of these, whatever it is made of."""
    found: dict[str, list[CostLine]] = {}
    for line in side.lines:
        words = line.category
        if line.part in UNUSED:
            words = _UNUSED_WORDS[line.part]
        elif line.unit == _TOKENS:
            words = f"{line.part} {line.category}"
        elif line.unit == _GPU_HOURS:
            words = f"{line.category} of busy GPUs" if line.category in _OWNED else f"GPU time {line.category}"
        found.setdefault(words, []).append(line)
    return found


def _with_facts(
    reason: Reason, quantities: Mapping[str, str], launches: Mapping[str, float], others: Mapping[str, float]
) -> Reason:
    """The reason with the figures behind it.

    Parameters
    ----------
    quantities : by words of the reason, of the topology that is told of, instead of the other's
    launches, others : of replicas per hour by pool, of the side that has more of the reason, and of the other
    """
    facts = quantities.get(reason.words, "")
    if reason.words == _UNUSED_WORDS["starting"]:
        facts = ", ".join(_launches(launches, others))
    return Reason(f"{reason.words} ({facts})", reason.amount, reason.share) if facts else reason


def _launches(mine: Mapping[str, float], theirs: Mapping[str, float]) -> Iterator[str]:
    """How often pools launch replicas, instead of how often those of the same name do."""
    for pool, rate in mine.items():
        rates = dict.fromkeys(_rate(each) for each in (rate, theirs.get(pool, 0.0)) if each)
        if rate:
            yield f"{pool} launches {' instead of '.join(rates)} replicas an hour"


def _quantity(mine: Sequence[CostLine], theirs: Sequence[CostLine]) -> str:
    """How much more of the same, and at what other price, where both sides have one unit of it."""
    lines = (*mine, *theirs)
    if not (mine and theirs) or len({(line.unit, line.category) for line in lines}) != 1:
        return ""
    unit = lines[0].unit
    one, other = (math.fsum(line.quantity for line in side) for side in (mine, theirs))
    if min(one, other) <= 0:
        return ""
    prices = [math.fsum(line.usd for line in side) / q for side, q in ((mine, one), (theirs, other))]
    parts = [_counted(one, other, unit)] if abs(one / other - 1) > _TOLD_CHANGE else []
    scale, per = _PRICED.get(unit, (0.0, ""))
    if scale and min(prices) > 0 and abs(prices[0] / prices[1] - 1) > _TOLD_CHANGE:
        told = [_money(converted(price) * scale) for price in prices]
        parts.append(f"at {told[0]} instead of {told[1]} {per}")
    return ", ".join(parts)


def _counted(one: float, other: float, unit: str) -> str:
    """Two quantities in one unit, of tokens in one with few digits."""
    if unit != _TOKENS:
        return f"{one:,.0f} {unit} instead of {other:,.0f}"
    scale, words = next(((scale, words) for scale, words in _LARGE if min(one, other) >= scale), (1.0, ""))
    digits = 0 if scale == 1.0 or min(one, other) >= 100 * scale else 2
    return f"{one / scale:,.{digits}f}{words} {unit} instead of {other / scale:,.{digits}f}{words}"


def _time(one: Side, other: Side) -> Difference:
    more, less = decompose(one.seconds, other.seconds)
    amount = math.fsum(one.seconds.values()) - math.fsum(other.seconds.values())
    differs = f"{_s(abs(amount))} {'longer' if amount > 0 else 'less'}"
    begin = f"The mean answer of {one.name} takes {differs} than that of {other.name}"
    if _s(abs(amount)) == _s(0.0):
        begin = f"The mean answer of {one.name} takes as long as that of {other.name}"
    shows = any(_s(_amount(side)) != _s(0.0) for side in (more, less))
    text = _sentence(begin, more, less, "{} more", "{} less", _s) if shows else f"{begin}."
    return Difference(one.name, other.name, "e2e_s", amount, more, less, text)


def _lost(one: Side, other: Side) -> Difference:
    more, less = decompose(one.lost_share, other.lost_share)
    sums = [math.fsum(side.lost_share.values()) for side in (one, other)]
    shown = [float(f"{share:.{_SHARE_DIGITS}f}") for share in sums]
    begin = f"{one.name} loses {_lost_words(sums[0])} of its requests, {other.name} {_lost_words(sums[1])}"
    fewer = float(f"{_amount(less):.{_SHARE_DIGITS}f}")
    more_shown = max(shown[0] - shown[1] + fewer, 0.0)
    text = _sentence(begin, more, less, "{} points more", "{} points fewer", _points, (more_shown, fewer))
    return Difference(one.name, other.name, "lost_share", sums[0] - sums[1], more, less, text)


def _sentence(
    begin: str,
    more: Sequence[Reason],
    less: Sequence[Reason],
    gain: str,
    loss: str,
    told: Callable[[float], str],
    amounts: tuple[float, float] | None = None,
) -> str:
    told_sides = [side for side in (more, less) if any(reason.words != _OTHERS for reason in side)]
    if len(told_sides) == 1:
        return f"{begin}: {_listed(told_sides[0])}."
    both = amounts or (_amount(more), _amount(less))
    parts = [
        f"{words.format(told(amount))} ({_listed(side)})"
        for words, side, amount in zip((gain, loss), (more, less), both, strict=True)
        if side in told_sides
    ]
    return f"{begin}: {' and '.join(parts)}." if parts else f"{begin}."


def _amount(side: Sequence[Reason]) -> float:
    return math.fsum(reason.amount for reason in side)


def _listed(side: Sequence[Reason]) -> str:
    """Shares as they add up to 100 %; those that round to nothing are not told."""
    if round(100 * side[0].share) == 100:
        return f"all of it {side[0].words}"
    return ", ".join(f"{reason.share:.0%} {reason.words}" for reason in side if round(100 * reason.share))


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _s(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1e3:,.0f} ms"
    return f"{seconds:.3g} s" if seconds < 100 else f"{seconds:,.0f} s"


def _lost_words(share: float) -> str:
    return f"{share:.{_SHARE_DIGITS - 2}%}" if share else "none"


def _points(share: float) -> str:
    return f"{100 * share:.{_SHARE_DIGITS - 2}f}"
