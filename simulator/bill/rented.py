"""Rented GPUs: whole instances, on demand by the hour of day, or committed for a term."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simulator.bill.clock import at_prices
from simulator.bill.parts import one_line, shared_out
from simulator.bill.sums import mean, total
from simulator.bill.use import PoolUse, Use
from simulator.study.bill import Line
from simulator.study.terms import Money, RentedTerms
from simulator.units import HOURS_PER_MONTH

_ROUNDING = 1e-9
BYTES_PER_GB = 1e9
"""Clouds bill traffic and volumes by decimal gigabytes."""


def price_index(index: NDArray[np.float64], month: int) -> Money:
    """Price in a month as a multiple of today's, one or by draw; an index of one month holds for all."""
    found = index[min(month, len(index) - 1)]
    return found if isinstance(found, np.ndarray) else float(found)


def rented_lines(
    terms: RentedTerms, use: PoolUse, committed: int, on_demand_index: Money, commitment_index: Money
) -> list[Line]:
    """Lines of a month of one pool.

    The commitment pays for the first `committed` instances at any time, used or not; those above are on demand, at the
    price of their hour of day. GPU-hours of instances that no replica holds, and of time that is billed beyond the end
    of a stay, are `unused`.
    """
    hours = use.instance_hours
    above = hours[committed:].sum(axis=0)
    billed, on_demand = math.fsum(hours.ravel()), math.fsum(above)
    share = on_demand / billed if billed > 0 else 0.0
    free = max(0.0, billed * terms.gpus_per_instance - math.fsum(use.gpu_hours.values()))
    parts = use.gpu_hours | {"unused": free}
    category = "on demand" if terms.tier.startswith("reserved") else terms.tier.replace("_", " ")
    usd = at_prices(above, terms.usd_per_instance_hour) * on_demand_index
    lines = shared_out(terms.pool, category, usd, {part: h * share for part, h in parts.items()}, "by_use")
    if terms.commitment is not None and committed:
        covered = {part: h * (1.0 - share) for part, h in parts.items()}
        rest = committed * HOURS_PER_MONTH * terms.gpus_per_instance - math.fsum(covered.values())
        covered["unused"] += max(0.0, rest)
        usd = committed * HOURS_PER_MONTH * terms.commitment.usd_per_instance_hour * commitment_index
        lines += shared_out(terms.pool, "committed", usd, covered, "committed", terms.commitment.upfront_share)
    return lines + _data_lines(terms, use)


def left_over_lines(terms: RentedTerms, committed: int, index: Money) -> list[Line]:
    """A month of a commitment that outlasts the span of its offer: paid, and used by nobody."""
    if terms.commitment is None or not committed:
        return []
    hours = committed * HOURS_PER_MONTH
    usd = hours * terms.commitment.usd_per_instance_hour * index
    unused = {"unused": hours * terms.gpus_per_instance}
    return shared_out(terms.pool, "committed", usd, unused, "committed", terms.commitment.upfront_share)


def _data_lines(terms: RentedTerms, use: PoolUse) -> list[Line]:
    """Egress of the delivered output tokens, and storage."""
    bytes_out = use.output_tokens * terms.egress_bytes_per_output_token
    egress = bytes_out * terms.egress_usd_per_gb / BYTES_PER_GB
    storage = terms.storage_gb * terms.storage_usd_per_gb_month
    return [
        *one_line(terms.pool, "egress", "output tokens", mean(bytes_out) / BYTES_PER_GB, "GB", egress, "by_use"),
        *one_line(terms.pool, "storage", "volumes", mean(terms.storage_gb), "GB", storage, "by_month"),
    ]


def term_starts(terms: RentedTerms, months: float) -> list[int]:
    """Months after which a term begins: it is renewed as long as the study and the span of the offer last."""
    if terms.commitment is None:
        return []
    return list(range(terms.span.first - 1, math.ceil(terms.span.ends(months)), terms.commitment.term_months))


def term_start(terms: RentedTerms, months: float, month: int) -> int | None:
    """Months after which the term began that is paid in month `month`, from 1 on; None where there is none."""
    if terms.commitment is None:
        return None
    length = terms.commitment.term_months
    return next((start for start in term_starts(terms, months) if start < month <= start + length), None)


def best_commitment(
    terms: RentedTerms, uses: Sequence[Use], lengths: Sequence[float], index: NDArray[np.float64]
) -> int:
    """Instances to commit: the k-th if its hours over the study cost more on demand than its terms, to their end.

    Parameters
    ----------
    uses, lengths : of each month of the study, and how much of it belongs to it
    index : `Terms.rental_index`; draws decide by their mean, since one commits before one knows the prices
    """
    commitment = terms.commitment
    if commitment is None:
        return 0
    starts = term_starts(terms, math.fsum(lengths))
    term_usd = HOURS_PER_MONTH * commitment.term_months * commitment.usd_per_instance_hour
    committed_usd = mean(total(term_usd * price_index(index, start) for start in starts))
    hours = [(k, use.pools[terms.pool].instance_hours) for k, use in enumerate(uses) if k + 1 in terms.span]
    count = 0
    while True:
        paid = [
            at_prices(there[count], terms.usd_per_instance_hour) * lengths[k] * price_index(index, k + 1)
            for k, there in hours
            if count < len(there)
        ]
        if not paid or mean(total(paid)) <= committed_usd * (1.0 + _ROUNDING):
            return count
        count += 1


def committed_usd(
    terms: RentedTerms, committed: int, months: float, index: NDArray[np.float64]
) -> list[tuple[int, int, Money]]:
    """(month after which it begins, its months, USD of the whole term) of each term."""
    commitment = terms.commitment
    if commitment is None or committed == 0:
        return []
    usd = committed * HOURS_PER_MONTH * commitment.term_months * commitment.usd_per_instance_hour
    return [(start, commitment.term_months, usd * price_index(index, start)) for start in term_starts(terms, months)]
