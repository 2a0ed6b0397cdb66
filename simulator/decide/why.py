"""The verdict in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from simulator.bill.sums import mean
from simulator.decide.rivals import rank
from simulator.metrics.slo import share_words
from simulator.money import difference, money, sign
from simulator.study.decision import NOT_FINISHED, TIME_ENDED, Binding, Contender, Flip, Ranking, Unmeasured

if TYPE_CHECKING:
    from simulator.decide.costed import Costed

AS_PERCENT, _SAID = 10.0, 1_000.0
"""Multiples of a bill below which another is told in percent, and is told at all."""
_AS_GOOD_AS_EQUAL = 1.05
"""Bills within chance of each other are called the same up to this ratio of them."""
_BELOW_ERRORS = 1.001
"""Ratio of two bills up to which their order is no reason to choose, where either rests on a forecast."""
_AS_MUCH_WORK = 1.05
"""Multiple of the requests from which bills are told to be for other work, however far apart they are."""
_TOLD, _TOLD_ALONE = 3, 2
"""Flips of what moves for all alike, and of one contract alone, that are told."""
_ALIKE = 0.005
"""Share by which the multiples of two flips differ that say the same."""
_UNLIKE = 0.01
"""Share by which numbers of requests differ that are not the same traffic."""


UNMEASURED: Literal["unmeasured"] = "unmeasured"
"""What keeps a topology from the verdict of which too little was measured."""


def not_known(found: Iterable[Unmeasured]) -> str:
    """There is no verdict where nothing was measured."""
    return f"No verdict: {unmeasured_words(found)}; a longer run.horizon_s has some."


def unmeasured_words(found: Iterable[Unmeasured]) -> str:
    """Of which classes nothing was measured, and in which periods."""
    classes: dict[str, list[str]] = {}
    for name, period in dict.fromkeys(found):
        classes.setdefault(period, []).append(name)
    where = {period: f"was measured in {period}" if period else "came in the window" for period in classes}
    return "no request of " + ", nor of ".join(f"{listed(names)} {where[period]}" for period, names in classes.items())


def sentence(contenders: Sequence[Contender], sure: str = "") -> str:
    """Who is cheapest among those that meet the SLO, by how much, and who is not in the race.

    Parameters
    ----------
    sure : in how many draws the winner is cheapest, said after the margin
    """
    ranking = rank(contenders)
    by_name = {one.name: one for one in contenders}
    if not ranking.order:
        unmeasured = [one for found in contenders for one in found.unmeasured]
        return not_known(unmeasured) if unmeasured else _nobody(ranking, by_name)
    parts = [
        _first(ranking, by_name),
        *_edges(ranking, by_name),
        *_next(ranking, by_name, sure),
        *_rest(ranking, by_name),
    ]
    return "; ".join(part for part in parts if part) + "." + _unlike([by_name[name] for name in ranking.order])


def unlike(arrived: Iterable[int]) -> tuple[int, int] | None:
    """The fewest and the most requests that came to topologies, where these are not the same work."""
    counts = list(arrived)
    if not counts or max(counts) <= (1 + _UNLIKE) * min(counts):
        return None
    return min(counts), max(counts)


def _unlike(among: Sequence[Contender]) -> str:
    """That bills of different numbers of requests do not say who serves for less, where that can turn the order.

    Parameters
    ----------
    among : in their order
    """
    found = unlike(one.arrived for one in among if one.arrived)
    if found is None:
        return ""
    fewest, most = found
    best_usd, next_usd = (one.usd_per_month for one in among[:2])
    if best_usd * (most / fewest) <= min(next_usd, best_usd * _AS_MUCH_WORK):
        return ""
    return (
        f" These bills are not for the same work: {fewest:,} to {most:,} requests came, as sessions and waiting users "
        f"go on when they are answered; compare {sign()} per 1M tokens."
    )


def _nobody(ranking: Ranking, by_name: dict[str, Contender]) -> str:
    if ranking.closest is None:
        return "Nothing to compare."
    best = by_name[ranking.closest]
    equal = sorted(one.name for one in by_name.values() if one is not best and _as_close(one, best))
    names, s = all_of([best.name, *equal]), "" if equal else "s"
    if best.lasts_until:
        text = f"No topology meets the SLO in every month; {names} last{s} longest, until month {best.lasts_until}"
    elif not best.attainment:
        text = "No topology meets the SLO, for any request"
    else:
        over = ", as a mean over the hours of all periods" if best.over_periods else ""
        share, but = _closeness(best)
        text = f"No topology meets the SLO; {names} come{s} closest with {share} of the requests{over}{but}"
        text += f"; without {best.cause} {best.name} meets it" if best.cause else ""
    return text + _unfinished([one for one in by_name.values() if one.least_usd is not None]) + "."


def _as_close(one: Contender, best: Contender) -> bool:
    """Whether what is said of the one that comes closest is true of another, too."""
    if best.lasts_until:
        return one.lasts_until == best.lasts_until
    return not one.lasts_until and (one.attainment, one.missed) == (best.attainment, best.missed)


def _closeness(best: Contender) -> tuple[str, str]:
    """Its share, never rounded up to all of them, and what is missed by more than single requests, as a queue grows."""
    if best.attainment >= 1.0:
        return "all", f" within their limits, but {best.missed}" if best.missed else ""
    share, shown = share_words(best.attainment, 1), f"{best.attainment:.1%}"
    return share, f"; {best.missed}" if share != shown and best.missed else ""


def _unfinished(open_: Sequence[Contender]) -> str:
    return f"; the search of {listed([one.name for one in open_])} was not finished" if open_ else ""


def _first(ranking: Ranking, by_name: dict[str, Contender]) -> str:
    best = by_name[ranking.order[0]]
    if ranking.withheld_by:
        open_ = [by_name[name] for name in ranking.withheld_by]
        gaps = listed([f"{one.name} from {money(one.least_usd or 0.0)}" for one in open_])
        return (
            f"No verdict: {best.name} meets the SLO for {usd(best)}, but sizes that would cost less are not excluded "
            f"({gaps})"
        )
    copies = dict(ranking.same)
    others = [name for name in ranking.winners if name != best.name and name not in copies]
    text = f"{best.name}: the cheapest topology that meets the SLO, {usd(best)}"
    return text + _as_cheap([by_name[name] for name in others], best)


def _as_cheap(others: Sequence[Contender], best: Contender) -> str:
    """Other winners: those whose bills are as good as equal, and those that few replications do not tell apart."""
    one_alone, replications = best.chance is not None, len(best.usd_by_replication)
    noise = " within the noise of the replications" if replications > 1 else ""
    noise = " within the noise of one replication" if one_alone else noise
    near = [one for one in others if one.usd_per_month <= _AS_GOOD_AS_EQUAL * best.usd_per_month]
    far = [one for one in others if one not in near]
    text = f"; {_bills(near)} {'costs' if len(near) == 1 else 'cost'} the same{noise}" if near else ""
    if far:
        few = "one replication does" if one_alone else f"{replications} replications do"
        text += f"; {_bills(far)} may cost as little: {few} not tell (more run.replications, or a longer run.horizon_s)"
    return text


def _bills(among: Sequence[Contender]) -> str:
    return listed([f"{one.name} ({usd(one)})" for one in among])


def _edges(ranking: Ranking, by_name: dict[str, Contender]) -> list[str]:
    """Winners whose size hardly keeps the SLO; the same fleet under another name is not said again."""
    copies = dict(ranking.same)
    winners = [by_name[name] for name in ranking.winners if name not in copies]
    return [f"{one.name} is {one.edge}" for one in winners if one.edge]


def _next(ranking: Ranking, by_name: dict[str, Contender], sure: str) -> list[str]:
    best = by_name[ranking.order[0]]
    rest = [name for name in ranking.order if name not in ranking.winners]
    if not rest:
        return []
    second = by_name[rest[0]]
    more = more_words(second.usd_per_month / best.usd_per_month) if best.usd_per_month > 0 else ""
    text = f"next is {second.name} at {money(second.usd_per_month)}{more}"
    if second.usd_per_month < _BELOW_ERRORS * best.usd_per_month and (best.forecast or second.forecast):
        return [f"{text}, far less than the error of any forecast or estimate behind the two"]
    return [text, sure]


def more_words(times: float) -> str:
    """By how much more, in words; beside a bill of next to nothing a multiple says nothing."""
    if times < AS_PERCENT:
        more = 100 * (times - 1)
        return f" (+{more:.0f}%)" if more >= 1 else f" (+{more:.1g}%)"
    return f" ({times:,.0f} times as much)" if times < _SAID else ""


def _rest(ranking: Ranking, by_name: dict[str, Contender]) -> list[str]:
    found = [f"{name} is the same fleet as {first}" for name, first in ranking.same]
    missing = [name for name in ranking.missing if by_name[name].least_usd is None]
    unknown = [name for name in ranking.missing if name not in missing]
    for cause, names in _by_cause(missing, by_name).items():
        why = f" because of {cause}" if cause else ""
        found.append(f"{listed(names)} {'misses' if len(names) == 1 else 'miss'} the SLO{why}")
    if unknown:
        found.append(f"of {listed(unknown)} no size was found as far as was searched")
    found += [
        f"whether {one.name} meets it is not known, as {unmeasured_words(one.unmeasured)}"
        for one in by_name.values()
        if one.unmeasured
    ]
    return found


def _by_cause(names: Sequence[str], by_name: dict[str, Contender]) -> dict[str, list[str]]:
    """Topologies by what befell them, those that miss the SLO without that first."""
    found: dict[str, list[str]] = {}
    for name in sorted(names, key=lambda name: bool(by_name[name].cause)):
        found.setdefault(by_name[name].cause, []).append(name)
    return found


def sure_words(ranking: Ranking, share: float, draws: int) -> str:
    """In how many draws the winners are cheapest, counted together; empty where there is no rival, or no draw."""
    copies = dict(ranking.same)
    if not math.isfinite(share) or set(ranking.order) <= {*ranking.winners}:
        return ""
    names = list(ranking.winners)
    if len(names) == 1:
        of = "the sizes that were found" if ranking.withheld_by else "these"
        return f"cheapest of {of} in {share:.0%} of {draws:,} draws"
    alike = " (the same fleet)" if len([name for name in names if name not in copies]) == 1 else ""
    of = " of the sizes that were found" if ranking.withheld_by else ""
    return f"{' and '.join(names)}{alike} together cheapest{of} in {share:.0%} of {draws:,} draws"


def usd(one: Contender) -> str:
    return f"{money(one.usd_per_month)} per month"


def listed(names: Sequence[str]) -> str:
    return ", ".join(names)


def all_of(names: Sequence[str]) -> str:
    """Names with `and` before the last one."""
    return " and ".join(part for part in (listed(names[:-1]), names[-1]) if part)


def bindings(found: Sequence[Costed], ranking: Ranking) -> tuple[Binding, ...]:
    """What keeps each topology that is not among the winners from being one."""
    by_name = {one.name: one for one in found}
    winner = by_name[ranking.order[0]] if ranking.order else None
    return tuple(_binding(one, winner) for one in found if one.name not in ranking.winners)


def _binding(one: Costed, winner: Costed | None) -> Binding:
    if not one.meets:
        return _missed(one)
    assert winner is not None, "a topology that meets has a winner at most as dear"
    ours, theirs = _by_category(one), _by_category(winner)
    excess = {name: usd - theirs.get(name, 0.0) for name, usd in ours.items()}
    line = max(excess, key=excess.__getitem__)
    more = difference(one.usd_per_month, winner.usd_per_month)
    text = (
        f"{one.name} costs {more} a month more than {winner.name}; its largest excess is {line}, "
        f"{money(ours[line])} of {money(one.usd_per_month)}"
    )
    return Binding(one.name, "cost", line, text)


def _missed(one: Costed) -> Binding:
    if one.unmeasured:
        words = unmeasured_words(one.unmeasured)
        return Binding(one.name, UNMEASURED, words, f"{one.name}: not known, as {words}")
    failed = next(month for month in one.walked if month.meets is False)
    if failed.binding == NOT_FINISHED:
        when = f" in month {failed.month}" if len({month.level for month in one.walked}) > 1 else ""
        return Binding(one.name, "search", failed.binding, f"{one.name}{when}: {failed.binding}")
    if one.lasts_until:
        text = f"{one.name} meets the SLO until month {one.lasts_until}; in month {failed.month} {failed.binding}"
    elif len({month.level for month in one.walked}) > 1:
        when = "in month 1" if any(month.meets for month in one.walked) else "from month 1 on"
        text = f"{one.name} misses the SLO {when}: {failed.binding}"
    else:
        text = f"{one.name}: {failed.binding}"
    return Binding(one.name, "slo", failed.binding, text)


def _by_category(one: Costed) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for line in one.bill.lines:
        found.setdefault(line.category, []).append(mean(line.usd))
    return {name: math.fsum(values) for name, values in found.items()}


def flip_words(flip: Flip) -> str:
    """One flip as a sentence without its stop."""
    about = "" if flip.sure else "about "
    what = f"{flip.assumption} alone" if flip.alone else flip.assumption
    if flip.factor is None and flip.words:
        return f"{what}: not searched, as {flip.words}"
    if flip.factor is None:
        low, high = flip.beyond
        return f"{what}: no other winner from × {low:g} to × {high:g}"
    return f"{what} at {about}{flip.words or f'× {_multiple(flip.factor)}'}{_surely(flip)}: {flip.winner}"


def _surely(flip: Flip) -> str:
    """From where a run says that another is the cheapest, where up to there it says that they cost the same."""
    if flip.clear is None or flip.factor is None:
        return f" ({flip.untold})" if flip.untold else ""
    if not flip.clear:
        return f" (within chance as far as × {flip.beyond[flip.factor > 1]:g})"
    clear = _multiple(flip.clear)
    return "" if clear == _multiple(flip.factor) else f" (beyond chance from {flip.clear_words or f'× {clear}'})"


def _multiple(factor: float) -> str:
    """With as many digits as tell it from 1, down to the precision of searched prices."""
    shown = f"{factor:.2f}"
    return shown if float(shown) != 1 else f"{factor:.3f}"


def flips_sentence(flips: Sequence[Flip], ranking: Ranking) -> str:
    """The nearest flips, nearest first, then those of one contract alone that say more.

    Of equal bills a price may still make one the only winner.
    """
    near = _nearest(flip for flip in flips if not flip.alone)
    alone = _nearest(flip for flip in flips if flip.alone and not any(_says_the_same(flip, one) for one in near))
    said = []
    if not near and any(flip.words != TIME_ENDED for flip in flips):
        copies = dict(ranking.same)
        equal = [name for name in ranking.winners if name not in copies]
        change = "changes the winner" if len(equal) < 2 else f"makes any but {' and '.join(equal)} the cheapest"
        change = "changes who is cheapest of the sizes that were found" if ranking.withheld_by else change
        said.append(f"No price within a factor of ten, moved for all alike, {change}.")
    told = [*near[:_TOLD], *alone[:_TOLD_ALONE]]
    if told:
        it = "the order of the sizes that were found" if ranking.withheld_by else "it"
        said.append(f"What would flip {it}: {'; '.join(map(flip_words, told))}.")
    if unknown := [flip.assumption for flip in flips if flip.words == TIME_ENDED]:
        said.append(f"Not searched, as {TIME_ENDED}: {listed(unknown)}.")
    return " ".join(said)


def _nearest(flips: Iterable[Flip]) -> list[Flip]:
    return sorted((flip for flip in flips if flip.factor), key=lambda flip: abs(math.log(flip.factor or 1.0)))


def _says_the_same(alone: Flip, one: Flip) -> bool:
    """Whether a contract alone has to move as far as all of its kind for the same winner."""
    apart = abs(math.log((alone.factor or 1.0) / (one.factor or 1.0)))
    return apart < _ALIKE and alone.winner == one.winner
