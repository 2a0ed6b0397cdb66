"""The months of a topology and what they cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

from simulator.bill.study import bill_study, committed_instances, with_commitments
from simulator.bill.sums import mean, total_usd
from simulator.decide.costed import month_uses
from simulator.simulate.one import Outcome
from simulator.simulate.priced import Priced, Replication, with_peaks
from simulator.study.bill import Tokens
from simulator.study.decision import Walked
from simulator.study.terms import Terms


def priced_months(outcomes: Sequence[Outcome], terms: Terms, walked: Sequence[Walked]) -> Priced:
    """Price the months of a topology.

    Parameters
    ----------
    outcomes : its replications at the scenario's own load
    """
    months = month_uses(walked)
    settled = with_commitments(terms, committed_instances(terms, months))
    bill = bill_study(settled, months)
    usages = with_peaks([outcome.usage for outcome in outcomes])
    replications = tuple(
        Replication(
            outcome.metrics,
            usage,
            outcome.run,
            outcome.demand,
            mean(total_usd(bill_study(settled, month_uses(walked, k)).lines)),
            mean_tokens(walked, k),
        )
        for k, (outcome, usage) in enumerate(zip(outcomes, usages, strict=True))
    )
    each = [found.tokens for found in replications]
    tokens = (math.fsum(getattr(found, name) for found in each) / len(each) for name in Tokens.__slots__)
    return Priced(replications, settled, months, bill, Tokens(*tokens), tuple(walked))


def mean_tokens(walked: Sequence[Walked], replication: int) -> Tokens:
    """Tokens of the mean month of one replication."""
    parts = [(share.hours, share.served.tokens[replication]) for month in walked for share in month.shares]
    hours = math.fsum(hours for hours, _ in parts)
    return Tokens(*(math.fsum(h * getattr(found, name) for h, found in parts) / hours for name in Tokens.__slots__))
