"""Rented GPUs: whole instances, on demand by the hour of day, or committed for a term."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from simulator.bill.category import COMMITTED, EGRESS, STORAGE, by_hour
from simulator.bill.clock import at_prices
from simulator.bill.commitments import Term
from simulator.bill.parts import at_site, held_by_nobody, one_line, shared_out
from simulator.bill.sums import mean, total
from simulator.bill.use import PoolUse
from simulator.bill.volume import mean_factor
from simulator.study.bill import Line
from simulator.study.terms import Money, RentedTerms
from simulator.units import HOURS_PER_MONTH, month_words

BYTES_PER_GB = 1e9
"""Clouds bill traffic and volumes by decimal gigabytes."""


def rented_lines(terms: RentedTerms, use: PoolUse, running: Sequence[Term], on_demand_index: Money) -> list[Line]:
    """Lines of a month of one pool.

    Commitments pay for the first instances at any time, used or not, one after the other; those above are on demand, at
    the price of their hour of day and of the volume of the month. GPU-hours of instances that no replica holds, and of
    time that is billed beyond the end of a stay, are `unused`.

    Parameters
    ----------
    running : terms that are paid in the month
    """
    hours = use.instance_hours
    committed = sum(term.instances for term in running)
    above = hours[committed:].sum(axis=0)
    billed, on_demand = math.fsum(hours.ravel()), math.fsum(above)
    share = on_demand / billed if billed > 0 else 0.0
    bought = billed * terms.gpus_per_instance
    parts = use.gpu_hours | {"unused": held_by_nobody(bought, use.gpu_hours.values())}
    usd = at_prices(above, terms.usd_per_instance_hour) * on_demand_index
    usd = usd * mean_factor(terms.volume, on_demand * terms.gpus_per_instance)
    lines = shared_out(terms.pool, by_hour(terms.tier), usd, {part: h * share for part, h in parts.items()}, "by_use")
    below = 0
    for i in range(len(terms.commitments)):
        count = sum(term.instances for term in running if term.commitment == i)
        share = math.fsum(hours[below : below + count].ravel()) / billed if billed > 0 else 0.0
        lines += _committed_lines(terms, i, running, {part: h * share for part, h in parts.items()})
        below += count
    return at_site([*lines, *_data_lines(terms, use)], terms.site)


def left_over_lines(terms: RentedTerms, running: Sequence[Term]) -> list[Line]:
    """A month of commitments that outlast the span of their offer: paid, and used by nobody."""
    lines: list[Line] = []
    for i in range(len(terms.commitments)):
        lines += _committed_lines(terms, i, running, {})
    return at_site(lines, terms.site)


def _committed_lines(
    terms: RentedTerms, commitment: int, running: Sequence[Term], covered: Mapping[str, float]
) -> list[Line]:
    """What one commitment costs in a month, shared out over the GPU-hours that it covers; the rest is unused."""
    mine = [term for term in running if term.commitment == commitment]
    bought = sum(term.instances for term in mine) * HOURS_PER_MONTH * terms.gpus_per_instance
    unused = covered.get("unused", 0.0) + held_by_nobody(bought, covered.values())
    usd = total(term.usd / term.months for term in mine)
    shares = {term.upfront_share for term in mine}
    upfront = shares.pop() if len(shares) == 1 else _upfront_share(mine)
    parts = {**covered, "unused": unused}
    return shared_out(terms.pool, committed_category(terms, commitment), usd, parts, "committed", upfront)


def _upfront_share(terms: Sequence[Term]) -> float:
    """Of terms that began at several shares, by what they cost in a month."""
    usd = [mean(term.usd) / term.months for term in terms]
    paid = math.fsum(cost * term.upfront_share for cost, term in zip(usd, terms, strict=True))
    return paid / math.fsum(usd) if paid else 0.0


def committed_category(terms: RentedTerms, commitment: int) -> str:
    """What the lines of a commitment are called: by its term where there are several."""
    months = terms.commitments[commitment].term_months
    return COMMITTED if len(terms.commitments) == 1 else f"{COMMITTED} {month_words(months)}"


def _data_lines(terms: RentedTerms, use: PoolUse) -> list[Line]:
    """Egress of the delivered output tokens, and storage."""
    bytes_out = use.output_tokens * terms.egress_bytes_per_output_token
    egress = bytes_out * terms.egress_usd_per_gb / BYTES_PER_GB
    storage = terms.storage_gb * terms.storage_usd_per_gb_month
    return [
        *one_line(terms.pool, EGRESS, "output tokens", mean(bytes_out) / BYTES_PER_GB, "GB", egress, "by_use"),
        *one_line(terms.pool, STORAGE, "volumes", mean(terms.storage_gb), "GB", storage, "by_month"),
    ]
