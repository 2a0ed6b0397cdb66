"""The months of a topology and what they cost."""

from __future__ import annotations

import math
from collections.abc import Sequence

from simulator.bill.cash import month_lengths
from simulator.bill.spans import as_in_first_month
from simulator.bill.study import study_usd_per_month
from simulator.bill.sums import mean
from simulator.decide.costed import month_uses
from simulator.simulate.one import Outcome
from simulator.simulate.priced import Priced, priced_by
from simulator.study.bill import Tokens
from simulator.study.decision import Walked
from simulator.study.terms import Terms


def priced_months(outcomes: Sequence[Outcome], terms: Terms, walked: Sequence[Walked]) -> Priced:
    """Price the months of a topology.

    Parameters
    ----------
    outcomes : its replications at the scenario's own load
    """
    return priced_by(
        outcomes,
        terms,
        month_uses(walked),
        lambda k: month_uses(walked, k),
        lambda k: mean_tokens(walked, terms.months, k),
        tuple(walked),
    )


def first_month_usd(found: Priced) -> tuple[float, ...]:
    """USD of the first month by replication, as if all months were like it."""
    months, terms = math.ceil(found.terms.months), as_in_first_month(found.terms)
    return tuple(
        mean(study_usd_per_month(terms, month_uses(found.walked[:1], k) * months))
        for k in range(len(found.replications))
    )


def mean_tokens(walked: Sequence[Walked], study_months: float, replication: int) -> Tokens:
    """Tokens of the mean month of one replication; a month that the study ends in counts by its length, as in bills."""
    parts = [
        (length * share.hours, share.served.tokens[replication])
        for month, length in zip(walked, month_lengths(study_months), strict=True)
        for share in month.shares
    ]
    hours = math.fsum(hours for hours, _ in parts)
    return Tokens(*(math.fsum(h * getattr(found, name) for h, found in parts) / hours for name in Tokens.__slots__))
