"""A topology's months with their bill: what is compared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.bill.owned import servers_of_sites
from simulator.bill.sums import mean, total_usd
from simulator.bill.use import study_uses
from simulator.decide.months import first_missed, lasts_until, unmeasured
from simulator.simulate.priced import period_uses
from simulator.study.bill import Bill, MonthUse, PeriodUse
from simulator.study.decision import Chance, Contender, Month, Trail, Unmeasured, Walked
from simulator.study.terms import Terms

FIXED = Trail("fixed", 1)


@dataclass(frozen=True, slots=True)
class Costed:
    """One topology over the months of a study, at its best.

    Attributes
    ----------
    uses : of each month, all replications together; months of equal use share one object
    bill : of these
    usd_by_replication : mean USD per month of each replication alone
    fleet : key of what runs and what is paid, without names; empty where it is not known
    chance : in the bill of a single replication
    arrived : requests that came in the window, over all replications; 0 where that is not known
    """

    name: str
    terms: Terms
    walked: tuple[Walked, ...]
    uses: tuple[MonthUse, ...]
    bill: Bill
    usd_by_replication: tuple[float, ...]
    trail: Trail = FIXED
    fleet: str = ""
    chance: Chance | None = None
    arrived: int = 0

    @property
    def usd_per_month(self) -> float:
        return mean(total_usd(self.bill.lines))

    @property
    def meets(self) -> bool:
        return all(month.meets for month in self.walked)

    @property
    def lasts_until(self) -> int | None:
        return lasts_until(self.walked)

    @property
    def unmeasured(self) -> tuple[Unmeasured, ...]:
        return unmeasured(self.walked)

    @property
    def contender(self) -> Contender:
        missed = first_missed(self.walked)
        return Contender(
            self.name,
            self.meets,
            self.usd_per_month,
            self.usd_by_replication,
            self.walked[0].attainment,
            self.fleet,
            self.trail.least_usd,
            self.lasts_until or 0,
            self.trail.edge,
            self.chance,
            len({share.period.name for share in self.walked[0].shares}) > 1,
            self.arrived,
            missed.binding if missed else "",
            bool(self.terms.owned or self.terms.rented),
            self.unmeasured,
            missed.cause if missed else "",
        )


def month_uses(walked: Sequence[Walked], replication: int | None = None) -> tuple[MonthUse, ...]:
    """Use of each month, of one replication or of all with equal weight."""
    known: dict[tuple[tuple[int, float], ...], MonthUse] = {}
    found: list[MonthUse] = []
    for month in walked:
        key = tuple((id(share.served), share.hours) for share in month.shares)
        if key not in known:
            known[key] = _month_use(month, replication)
        found.append(known[key])
    return tuple(found)


def _month_use(month: Walked, replication: int | None) -> MonthUse:
    periods: list[PeriodUse] = []
    for share in month.shares:
        usages = share.served.usages if replication is None else share.served.usages[replication : replication + 1]
        periods += period_uses(share.hours, usages)
    return MonthUse(tuple(periods))


def months(found: Costed) -> tuple[Month, ...]:
    """What each month says: SLO met or not, servers there, ordered and arriving, cost."""
    uses = study_uses(found.terms, found.uses)
    sites = [[there.bought for there in site] for site in servers_of_sites(found.terms, uses)]
    arriving = [np.maximum(np.diff(bought, prepend=0), 0) for bought in sites]
    ordered = [0] * len(uses)
    for site, new in zip(found.terms.owned, arriving, strict=True):
        for k, count in enumerate(new.tolist()):
            ordered[max(k - math.ceil(site.at(k + 1).server.lead_months), 0)] += count
    rows: list[Month] = []
    for k, (month, bill) in enumerate(zip(found.walked, found.bill.months, strict=True)):
        pools = len(month.sizes) - len(month.units)
        rows.append(
            Month(
                month.month,
                month.level,
                month.sizes[:pools],
                sum(bought[k] for bought in sites),
                ordered[k],
                sum(int(new[k]) for new in arriving),
                month.meets,
                month.attainment,
                month.binding,
                mean(total_usd(bill.lines)),
                mean(bill.paid_usd),
                mean(bill.liability_usd),
                month.event,
                dict(zip(month.units, month.sizes[pools:], strict=True)),
            )
        )
    return tuple(rows)
