"""The bill of a study: each month's lines, payments, and what is still owed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from simulator.bill.api import api_lines
from simulator.bill.cash import month_lengths, npv_usd, payment_times, stacked, term_running_usd
from simulator.bill.hardware import hardware_payments_usd, sold_early_lines
from simulator.bill.owned import Servers, owned_lines, servers_by_month
from simulator.bill.parts import one_line
from simulator.bill.rented import (
    best_commitment,
    committed_usd,
    left_over_lines,
    price_index,
    rented_lines,
    term_start,
)
from simulator.bill.staff import fee_lines, share_lines, staff_lines
from simulator.bill.sums import total, total_usd
from simulator.bill.use import Use, study_uses
from simulator.errors import InputError, Problem
from simulator.study.bill import Bill, Line, MonthBill, MonthUse
from simulator.study.terms import Money, Terms


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is decided before any month is billed: servers of each site by month, and instances committed by offer."""

    servers: tuple[tuple[Servers, ...], ...]
    committed: tuple[int, ...]


def bill_study(terms: Terms, months: Sequence[MonthUse]) -> Bill:
    """Price what a topology uses in each month of a study; prices may be draws.

    Lines that go with the use are the weighted sum over the month's periods, fixed ones take the largest of them.
    Months that share one `MonthUse` share one computation.

    Parameters
    ----------
    terms : prices, and the length of the study
    months : use of each month, ceil(terms.months) of them

    Raises
    ------
    InputError : another number of months; periods that do not make a month; use without a price
    """
    lengths = month_lengths(terms.months)
    if len(months) != len(lengths):
        problem = f"a study of {terms.months:g} months needs the use of {len(lengths)}"
        raise InputError(Problem(problem, path="months", got=str(len(months))))
    uses = study_uses(terms, months)
    plan = _plan(terms, uses, lengths)
    owed = _owed_later(terms, plan)
    sold = {month: _sold_early(terms, plan, month) for month in range(1, len(uses) + 1)}
    by_key: dict[tuple[int, ...], tuple[Line, ...]] = {}
    lines: list[tuple[Line, ...]] = []
    for k, use in enumerate(uses):
        key = (id(use), *(there[k].bought for there in plan.servers), *_price_months(terms, k), bool(sold[k + 1]) * k)
        if key not in by_key:
            by_key[key] = _month_lines(terms, use, k, plan, [*owed, *sold[k + 1]])
        lines.append(by_key[key])
    return _with_payments(terms, plan, lines, lengths)


def committed_instances(terms: Terms, months: Sequence[MonthUse]) -> tuple[int, ...]:
    """Instances that are committed, by offer of `terms.rented`: as written, or as many as are worth it."""
    return _plan(terms, study_uses(terms, months), month_lengths(terms.months)).committed


def with_commitments(terms: Terms, counts: Sequence[int]) -> Terms:
    """The terms with as many instances committed, by offer of `terms.rented`; offers without a commitment stay."""
    offers = tuple(
        offer if offer.commitment is None else replace(offer, commitment=replace(offer.commitment, instances=count))
        for offer, count in zip(terms.rented, counts, strict=True)
    )
    return replace(terms, rented=offers)


def _plan(terms: Terms, uses: Sequence[Use], lengths: Sequence[float]) -> _Plan:
    servers = tuple(
        tuple(servers_by_month(site, [use.sites[k].used for use in uses])) for k, site in enumerate(terms.owned)
    )
    committed = []
    for offer in terms.rented:
        if offer.commitment is None:
            committed.append(0)
        elif offer.commitment.instances is not None:
            committed.append(offer.commitment.instances)
        else:
            committed.append(best_commitment(offer, uses, lengths, terms.rental_index))
    return _Plan(servers, tuple(committed))


def _price_months(terms: Terms, k: int) -> list[int]:
    """Rows of the indices that month k + 1 is priced by; equal rows, equal prices."""
    last = len(terms.rental_index) - 1
    rows = [min(k + 1, last)] if terms.rented else []
    begun = [term_start(offer, terms.months, k + 1) for offer in terms.rented]
    rows += [-1 if start is None else min(start, last) for start in begun]
    rows += [k + 1 in span for span in terms.spans]
    return rows + ([min(k + 1, len(terms.token_index) - 1)] if terms.apis else [])


def _month_lines(terms: Terms, use: Use, k: int, plan: _Plan, more: Sequence[Line]) -> tuple[Line, ...]:
    month = k + 1
    lines: list[Line] = []
    for i, site in enumerate(terms.owned):
        if month in site.span:
            lines += owned_lines(site, i, use, plan.servers[i][k], terms.discount_rate_per_year)
    now = price_index(terms.rental_index, month)
    for offer, committed in zip(terms.rented, plan.committed, strict=True):
        start = term_start(offer, terms.months, month)
        begun = price_index(terms.rental_index, start or 0)
        if month in offer.span:
            lines += rented_lines(offer, use.pools[offer.pool], committed, now, begun)
        elif start is not None:
            lines += left_over_lines(offer, committed, begun)
    for api in terms.apis:
        if month in api.span:
            lines += api_lines(api, use.providers[api.provider], price_index(terms.token_index, month))
    servers = sum(there[k].bought for there in plan.servers)
    lines += staff_lines(terms.topology, terms.staff, servers, use.peak_replicas, month)
    lines += fee_lines(terms, use.peak_replicas)
    lines += more
    return (*lines, *share_lines(terms.topology, terms.fees, lines))


def _sold_early(terms: Terms, plan: _Plan, month: int) -> list[Line]:
    """What servers that were sold at the start of a month have lost beyond what was written off by then."""
    return [
        line
        for site, servers in zip(terms.owned, plan.servers, strict=True)
        if site.span.last == month - 1
        for line in sold_early_lines(site, servers, terms.discount_rate_per_year)
    ]


def _owed_later(terms: Terms, plan: _Plan) -> list[Line]:
    """What commitments cost after the study, spread over it: nobody uses them then, yet they are paid."""
    lines: list[Line] = []
    for offer, committed in zip(terms.rented, plan.committed, strict=True):
        for start, length, usd in committed_usd(offer, committed, terms.months, terms.rental_index):
            later = start + length - terms.months
            if later > 0:
                share = usd * (later / length) / terms.months
                quantity = later / terms.months * committed
                found = one_line(
                    offer.pool, "committed", "after the study", quantity, "instance-months", share, "committed"
                )
                lines += [replace(line, prepaid_share=1.0) for line in found]
    return lines


def _with_payments(terms: Terms, plan: _Plan, lines: Sequence[tuple[Line, ...]], lengths: Sequence[float]) -> Bill:
    begun = [
        (offer.commitment.upfront_share if offer.commitment else 0.0, *term)
        for offer, committed in zip(terms.rented, plan.committed, strict=True)
        for term in committed_usd(offer, committed, terms.months, terms.rental_index)
    ]
    at = payment_times(terms.months, max((start + length for _, start, length, _ in begun), default=0))
    once: list[list[Money]] = [[0.0] for _ in at]
    running: list[list[Money]] = [[0.0] for _ in at]
    for fee in terms.fees:
        once[int(np.searchsorted(at, fee.after_months))].append(fee.usd_once)
    capex: list[Money] = [0.0]
    for site, servers in zip(terms.owned, plan.servers, strict=True):
        payments = hardware_payments_usd(site, servers, terms.months, at)
        capex.append(payments[0])
        for k, usd in enumerate(payments):
            once[k].append(usd)
    for upfront, start, length, usd in begun:
        once[int(np.searchsorted(at, start))].append(usd * upfront)
        for k, part in enumerate(term_running_usd(start, length, usd * (1.0 - upfront), at)):
            running[k].append(part)
    for k, (month, share) in enumerate(zip(lines, lengths, strict=True)):
        running[k + 1].append(total_usd(month, "by_month", "by_use") * share)
    both = stacked([total(parts) for parts in (*once, *running)])
    once_usd, running_usd = both[: len(at)], both[len(at) :]
    paid = once_usd + running_usd
    months = tuple(
        MonthBill(k + 1, share, month, paid[k + 1], _liability_usd(begun, float(at[k + 1])))
        for k, (month, share) in enumerate(zip(lines, lengths, strict=True))
    )
    npv = npv_usd(paid, at, terms.discount_rate_per_year)
    return Bill(_mean_month(lines, lengths), months, at, once_usd, running_usd, total(capex), npv)


def _liability_usd(begun: Sequence[tuple[float, int, int, Money]], at: float) -> Money:
    """What terms that have begun before `at` still cost after it."""
    return total(
        usd * ((1.0 - upfront) * (start + length - at) / length)
        for upfront, start, length, usd in begun
        if start < at < start + length
    )


def _mean_month(lines: Sequence[tuple[Line, ...]], lengths: Sequence[float]) -> tuple[Line, ...]:
    """Mean of the months' lines by length, in order of appearance; a line that a month does not have is 0 in it."""
    if all(month is lines[0] for month in lines):
        return lines[0]
    whole = math.fsum(lengths)
    found: dict[tuple[str, str, str], list[tuple[Line, float]]] = {}
    for month, length in zip(lines, lengths, strict=True):
        for line in month:
            found.setdefault((line.owner, line.category, line.part), []).append((line, length / whole))
    return tuple(
        replace(
            parts[0][0],
            quantity=math.fsum(line.quantity * share for line, share in parts),
            usd=total(line.usd * share for line, share in parts),
        )
        for parts in found.values()
    )
