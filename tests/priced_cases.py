"""Topologies billed from their months, and from replications of which all months are alike."""

from __future__ import annotations

import math
from collections.abc import Sequence

from simulator.bill.study import bill_study, study_usd_per_month
from simulator.bill.sums import mean
from simulator.decide.costed import Costed, month_uses
from simulator.simulate.one import Outcome
from simulator.simulate.priced import Priced, period_uses, priced_by, tokens_per_month, with_peaks
from simulator.study.bill import MonthUse
from simulator.study.decision import Walked
from simulator.study.terms import Terms
from simulator.study.usage import Usage
from simulator.units import HOURS_PER_MONTH


def costed(name: str, terms: Terms, walked: Sequence[Walked]) -> Costed:
    """The months of a topology with their bill, and that of each replication alone."""
    uses = month_uses(walked)
    replications = len(walked[0].shares[0].served.usages)
    alone = [mean(study_usd_per_month(terms, month_uses(walked, k))) for k in range(replications)]
    return Costed(name, terms, tuple(walked), uses, bill_study(terms, uses), tuple(alone))


def priced(outcomes: Sequence[Outcome], terms: Terms) -> Priced:
    """The replications of a topology, each month of the study used like the one that was simulated."""
    usages = with_peaks([outcome.usage for outcome in outcomes])
    return priced_by(
        outcomes,
        terms,
        study_months(usages, terms.months),
        lambda k: study_months([usages[k]], terms.months),
        lambda k: tokens_per_month(outcomes[k].metrics, terms.jobs_per_month),
    )


def study_months(usages: Sequence[Usage], months: float) -> tuple[MonthUse, ...]:
    """Months that are all alike, the usages standing for equal parts of each."""
    return (MonthUse(period_uses(HOURS_PER_MONTH, usages)),) * math.ceil(months)
