"""The decision: the cheapest that meets the SLO, by how much and how surely, why not the others, what would flip it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from simulator.bill.sums import mean
from simulator.decide.costed import Costed
from simulator.decide.flips import money_flips
from simulator.decide.months import alike
from simulator.decide.rivals import rank, share_together
from simulator.decide.why import AS_PERCENT, UNMEASURED, bindings, flips_sentence, more_words, sentence, sure_words
from simulator.money import difference, money
from simulator.study.decision import Flip, Ranking, Verdict
from simulator.units import month_words

_NOISE = 5e-4
"""Share of a present value within which two are taken as one."""
_AS_MUCH = 5e-3
"""Share of today's bill within which another one is as much."""


def decide(
    found: Sequence[Costed],
    cheapest_in: Mapping[str, NDArray[np.bool_]] | None = None,
    flips: Sequence[Flip] = (),
    today_usd: float | None = None,
    budget: str = "",
) -> Verdict:
    """Compare topologies of one study.

    Parameters
    ----------
    cheapest_in : of those that meet the SLO, the paired draws in which no other of them costs less
    flips : by further trials; one of a price stands for the one at sizes that stay
    today_usd : what is paid a month now, where that was said
    budget : what a budget buys, in words
    """
    contenders = [one.contender for one in found]
    ranking = rank(contenders)
    usd = {one.name: one.usd_per_month for one in found}
    rest = [name for name in ranking.order if name not in ranking.winners]
    margin = usd[rest[0]] - usd[ranking.order[0]] if rest else math.nan
    drawn = cheapest_in or {}
    share = share_together(drawn, ranking.winners)
    sure = sure_words(ranking, share, max(map(len, drawn.values()), default=0))
    why = bindings(found, ranking)
    searched = {flip.assumption: flip for flip in flips}
    every = (*(searched.pop(flip.assumption, flip) for flip in money_flips(found)), *searched.values())
    said = sentence(contenders, sure)
    twins = {name for name, _ in ranking.same}
    reasons = [f"{one.text}." for one in why if one.topology not in twins and one.kind != UNMEASURED]
    beside = "" if today_usd is None else today_words(found, ranking, today_usd)
    parts = [said, beside, budget, *reasons, present_value_words(found, ranking), flips_sentence(every, ranking)]
    return Verdict(
        ranking,
        margin,
        share,
        tuple((one.name, one.lasts_until) for one in found),
        why,
        every,
        " ".join(part for part in parts if part),
    )


def today_words(found: Sequence[Costed], ranking: Ranking, today_usd: float) -> str:
    """What is paid a month now, and what the first of the winners costs beside it."""
    paid = f"Today {money(today_usd)} a month is paid"
    first = next((one for one in found if one.name in ranking.order[:1]), None)
    if first is None:
        return f"{paid}."
    when = "" if alike(first.walked) else " in the mean of its months"
    return f"{paid}: {first.name} costs {_beside(first.usd_per_month, today_usd)}{when}."


def _beside(usd: float, today_usd: float) -> str:
    times, gap = usd / today_usd, difference(usd, today_usd)
    if abs(times - 1) < _AS_MUCH:
        return "as much"
    if times >= AS_PERCENT:
        return f"{gap} more{more_words(times)}"
    return f"{gap} ({abs(times - 1):.0%}) {'more' if times > 1 else 'less'}"


def present_value_words(found: Sequence[Costed], ranking: Ranking) -> str:
    """Who of those that meet the SLO costs less than the winner in present value; empty where the winner costs least.

    The lines of a month spread hardware over its life by the year, payments fall due by the month and hardware is sold
    for what its age gives: bills that lie close may change their order.
    """
    npv_usd = {one.name: mean(one.bill.npv_usd) for one in found if one.name in ranking.order}
    if not npv_usd:
        return ""
    first = min((name for name in ranking.order if name in ranking.winners), key=npv_usd.__getitem__)
    least = min(ranking.order, key=npv_usd.__getitem__)
    if npv_usd[first] - npv_usd[least] <= _NOISE * abs(npv_usd[first]):
        return ""
    months = next(one.terms.months for one in found if one.name == least)
    return (
        f"In present value of all payments, what is sold at the end taken off, {least} costs less than {first}: "
        f"{money(npv_usd[least])} against {money(npv_usd[first])} over {month_words(months)}."
    )
