"""A topology's trials and what they cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from simulator.bill.study import bill_study, settled_terms, study_usd_per_month
from simulator.bill.sums import mean, total_usd
from simulator.fleet.simulate import FleetRun
from simulator.metrics.accumulate import MetricAccumulator
from simulator.metrics.demand import Demand
from simulator.simulate.one import Outcome
from simulator.study.bill import Bill, MonthUse, PeriodUse, Tokens
from simulator.study.decision import Walked
from simulator.study.demand import Period
from simulator.study.terms import Terms
from simulator.study.usage import Usage
from simulator.units import HOURS_PER_MONTH, SECONDS_PER_HOUR


@dataclass(frozen=True, slots=True)
class Replication:
    """One simulation of one topology, and what its use alone would cost; hardware is that of all replications."""

    metrics: MetricAccumulator
    usage: Usage
    run: FleetRun
    demand: Demand
    usd_per_month: float
    tokens: Tokens


@dataclass(frozen=True, slots=True)
class Priced:
    """A topology's replications, and the bill of all of them.

    Attributes
    ----------
    terms : with the commitments that are entered
    months : of the study, each replication a period of every month
    tokens : mean over the replications
    walked : of each month, how it was served; empty where all months are alike
    """

    replications: tuple[Replication, ...]
    terms: Terms
    months: tuple[MonthUse, ...]
    bill: Bill
    tokens: Tokens
    walked: tuple[Walked, ...] = ()

    @property
    def usd_per_month(self) -> float:
        """Mean over months and replications."""
        return mean(total_usd(self.bill.lines))


def priced_by(
    outcomes: Sequence[Outcome],
    terms: Terms,
    months: tuple[MonthUse, ...],
    alone: Callable[[int], tuple[MonthUse, ...]],
    tokens: Callable[[int], Tokens],
    walked: tuple[Walked, ...] = (),
) -> Priced:
    """Price the months of a study, and each replication as if it were all of them.

    Parameters
    ----------
    months : with the use of all replications
    alone, tokens : months with the use of one replication, and its tokens in the mean month
    """
    settled = settled_terms(terms, months)
    usages = with_peaks([outcome.usage for outcome in outcomes])
    replications = tuple(
        Replication(
            outcome.metrics,
            usage,
            outcome.run,
            outcome.demand,
            mean(study_usd_per_month(settled, alone(k))),
            tokens(k),
        )
        for k, (outcome, usage) in enumerate(zip(outcomes, usages, strict=True))
    )
    each = [found.tokens for found in replications]
    mean_tokens = (math.fsum(getattr(found, name) for found in each) / len(each) for name in Tokens.__slots__)
    return Priced(replications, settled, months, bill_study(settled, months), Tokens(*mean_tokens), walked)


def usd_of_periods(parts: Sequence[tuple[Period, Sequence[Outcome]]], terms: Terms) -> tuple[float, ...]:
    """USD per month of each replication over the periods of a month, hardware and commitments being those of all."""
    uses = [(period, with_peaks([outcome.usage for outcome in outcomes])) for period, outcomes in parts]
    settled = settled_terms(terms, _months_of(uses, terms))
    return tuple(
        mean(study_usd_per_month(settled, _months_of([(p, used[k : k + 1]) for p, used in uses], terms)))
        for k in range(len(uses[0][1]))
    )


def usd_of_use(uses: Sequence[tuple[Period, Usage]], terms: Terms) -> float:
    """USD per month of one use of each period of a month."""
    months = _months_of([(period, [usage]) for period, usage in uses], terms)
    settled = settled_terms(terms, months)
    return mean(study_usd_per_month(settled, months))


def _months_of(uses: Sequence[tuple[Period, Sequence[Usage]]], terms: Terms) -> tuple[MonthUse, ...]:
    month = MonthUse(tuple(use for period, usages in uses for use in period_uses(period.hours, usages)))
    return (month,) * math.ceil(terms.months)


def period_uses(hours: float, usages: Sequence[Usage]) -> tuple[PeriodUse, ...]:
    """Uses of the replications that stand for equal parts of so many hours of a month."""
    return tuple(PeriodUse(usage, hours / len(usages), replication=k) for k, usage in enumerate(usages))


def with_peaks(usages: Sequence[Usage]) -> list[Usage]:
    """The same use with the peaks of all: whatever replication comes true, hardware is bought for each of them."""
    servers: dict[tuple[str, str], int] = {}
    for found in (found for usage in usages for found in usage.servers):
        key = found.site, found.gpu
        servers[key] = max(servers.get(key, 0), found.used)
    replicas = [max(usage.pools[k].peak_replicas for usage in usages) for k in range(len(usages[0].pools))]
    return [
        replace(
            usage,
            pools=tuple(replace(pool, peak_replicas=peak) for pool, peak in zip(usage.pools, replicas, strict=True)),
            servers=tuple(replace(found, used=servers[found.site, found.gpu]) for found in usage.servers),
        )
        for usage in usages
    ]


def tokens_per_month(metrics: MetricAccumulator, jobs: float = 0.0) -> Tokens:
    """Tokens of a month at the rates of the window: those that the table shows by the second; or of so many jobs."""
    seconds = jobs * (metrics.end_s - metrics.warmup_s) if jobs else HOURS_PER_MONTH * SECONDS_PER_HOUR
    rates = metrics.summary()
    names = ("input_tokens_per_s", "output_tokens_per_s", "processed_tokens_per_s", "answered_rps")
    prompts, output, processed, requests = (rates[name] * seconds for name in names)
    return Tokens(prompts + output, output, processed, requests)
