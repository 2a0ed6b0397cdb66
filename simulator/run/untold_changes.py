"""What an autoscaled pool pays where a month goes between periods of which nobody knows when they are, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from simulator.bill.between import between
from simulator.bill.clock import at_prices
from simulator.bill.sums import mean, total
from simulator.money import money
from simulator.simulate.priced import period_uses
from simulator.study.bill import PeriodUse
from simulator.study.decision import Share, Walked
from simulator.study.terms import RentedTerms, Terms
from simulator.units import HOURS_PER_MONTH, SECONDS_PER_HOUR


def untold_changes(terms: Terms, walked: Sequence[Walked]) -> list[str]:
    """Autoscaled pools that launch, or keep, what no bill has: between periods that say no days or hours.

    Parameters
    ----------
    walked : months, each as it was served
    """
    if terms.jobs_per_month:
        return []
    return [
        words
        for month in walked
        for offer in terms.rented
        if month.month in offer.span
        for words in _of_offer(offer.at(month.month), _untold(month))
    ]


def _untold(month: Walked) -> dict[str, list[Share]]:
    """Periods by name that do not say when they are; of one alone the times are known, as the others leave them."""
    found: dict[str, list[Share]] = {}
    for share in month.shares:
        if share.hours > 0 and not (share.period.when and share.period.when.holds_s):
            found.setdefault(share.period.name, []).append(share)
    return found if len(found) > 1 else {}


def _of_offer(offer: RentedTerms, untold: dict[str, list[Share]]) -> Iterator[str]:
    usd = _round_usd(offer, list(untold.values())) if offer.following and untold else 0.0
    if usd > 0:
        yield (
            f"{offer.pool}: what it launches and keeps between {', '.join(untold)} is in no bill, as these periods do "
            f"not say when they are: {money(usd)} each time that a month goes through all of them (give their days "
            "or hours)"
        )


def _round_usd(offer: RentedTerms, kinds: Sequence[Sequence[Share]]) -> float:
    """USD of one way through the periods, one after another."""
    hours = sum(share.hours for kind in kinds for share in kind)
    cycle_s = HOURS_PER_MONTH * SECONDS_PER_HOUR
    uses: list[PeriodUse] = []
    begin_s = 0.0
    for kind in kinds:
        end_s = begin_s + sum(share.hours for share in kind) / hours * cycle_s
        for share in kind:
            for use in period_uses(share.hours, share.served.usages):
                when = replace(use.usage.when, holds_s=((begin_s, end_s),), cycle_s=cycle_s)
                uses.append(replace(use, usage=replace(use.usage, when=when)))
        begin_s = end_s
    found = between(offer, uses)
    table, hours_of = found.instance_hours, {"starting": found.starting_hours, "idle": found.idle_hours}
    paid = 1.0 - sum(hours_of[state] for state in hours_of if state in offer.free) / (sum(hours_of.values()) or 1.0)
    return paid * mean(
        total(at_prices(row, offer.usd_per_instance_hour) for row in np.atleast_2d(table)) if len(table) else 0.0
    )
