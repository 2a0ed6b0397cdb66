"""The bill of a study: each month's lines, payments, and what is still owed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from simulator.bill.api import api_lines
from simulator.bill.cash import month_lengths, npv_usd, payment_times, stacked, term_running_usd
from simulator.bill.category import COMMITTED_UNITS, HARDWARE
from simulator.bill.commitments import PaidTerm, Term, price_index, settled, terms_of
from simulator.bill.credits import Up, credit_lines
from simulator.bill.hardware import hardware_payments_usd, sold_early_lines
from simulator.bill.minimum import minimum_lines
from simulator.bill.owned import owned_lines, servers_of_sites
from simulator.bill.parts import one_line
from simulator.bill.power import is_by_month
from simulator.bill.purchases import Servers, prices
from simulator.bill.rented import committed_category, left_over_lines, rented_lines
from simulator.bill.staff import fee_lines, share_lines, staff_lines
from simulator.bill.sums import nothing, total, total_usd
from simulator.bill.taxes import rate, tax_lines
from simulator.bill.units import UnitTerm, owed_unit_lines, unit_lines, unit_terms
from simulator.bill.use import Use, study_uses
from simulator.errors import InputError, Problem
from simulator.study.bill import Bill, Line, MonthBill, MonthUse
from simulator.study.terms import ApiTerms, Money, OwnedSite, RentedTerms, Span, Terms


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is decided before any month is billed: servers of each site by month, and terms begun of each offer, and of
    units of throughput.
    """

    servers: tuple[tuple[Servers, ...], ...]
    begun: tuple[tuple[Term, ...], ...]
    units: tuple[UnitTerm, ...]


@dataclass(frozen=True, slots=True)
class _Billed:
    """Lines of each month, and the part of a whole month that each one is."""

    terms: Terms
    plan: _Plan
    lines: Sequence[tuple[Line, ...]]
    lengths: Sequence[float]


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
    billed = _billed(terms, months)
    return _with_payments(billed.terms, billed.plan, billed.lines, billed.lengths)


def study_usd_per_month(terms: Terms, months: Sequence[MonthUse]) -> Money:
    """USD of the mean month of `bill_study`, for those who ask for no payments; its arguments and errors."""
    billed = _billed(terms, months)
    return total_usd(_mean_month(billed.lines, billed.lengths))


def _billed(terms: Terms, months: Sequence[MonthUse]) -> _Billed:
    lengths = month_lengths(terms.months)
    if len(months) != len(lengths):
        problem = f"a study of {terms.months:g} months needs the use of {len(lengths)}"
        raise InputError(Problem(problem, path="months", got=str(len(months))))
    uses = study_uses(terms, months)
    terms = _settled(terms, uses, lengths)
    plan = _plan(terms, uses)
    owed = _owed_later(terms, plan)
    sold = {month: _sold_early(terms, plan, month) for month in range(1, len(uses) + 1)}
    by_key: dict[tuple[object, ...], tuple[Line, ...]] = {}
    lines: list[tuple[Line, ...]] = []
    spans, paying = terms.spans, _paying_for_carbon(terms)
    for k, use in enumerate(uses):
        rows = _price_months(terms, plan, spans, paying, k)
        key = (id(use), *(there[k].bought for there in plan.servers), *rows, bool(sold[k + 1]) * k)
        if key not in by_key:
            by_key[key] = _month_lines(terms, use, k, plan, [*owed, *sold[k + 1]])
        lines.append(by_key[key])
    return _Billed(terms, plan, lines, lengths)


def settled_terms(terms: Terms, months: Sequence[MonthUse]) -> Terms:
    """The terms with the commitments that are entered: as written, or as they are worth it."""
    if not any(offer.commitments for offer in terms.rented):
        return terms
    return _settled(terms, study_uses(terms, months), month_lengths(terms.months))


def has_open_commitments(terms: Terms) -> bool:
    """Whether some commitments are as many as are worth it, which other prices change."""
    return any(found.instances is None for offer in terms.rented for found in offer.commitments)


def recommitted(terms: Terms, months: Sequence[MonthUse]) -> Terms:
    """The terms with as many commitments as are worth it at their prices, where that is open; others as they are."""
    if not has_open_commitments(terms):
        return terms
    offers = tuple(
        replace(
            offer,
            commitments=tuple(
                replace(found, begins=None) if found.instances is None else found for found in offer.commitments
            ),
        )
        for offer in terms.rented
    )
    return settled_terms(replace(terms, rented=offers), months)


def with_commitments_of(terms: Terms, other: Terms) -> Terms:
    """The terms with the commitments that `other`, settled ones with the same offers, enters."""
    offers = tuple(
        replace(
            offer,
            commitments=tuple(
                replace(mine, begins=theirs.begins)
                for mine, theirs in zip(offer.commitments, found.commitments, strict=True)
            ),
        )
        for offer, found in zip(terms.rented, other.rented, strict=True)
    )
    return replace(terms, rented=offers)


def _settled(terms: Terms, uses: Sequence[Use], lengths: Sequence[float]) -> Terms:
    offers = tuple(
        settled(offer, uses, lengths, terms.rental_index, terms.discount_rate_per_year)
        if any(found.begins is None for found in offer.commitments)
        else offer
        for offer in terms.rented
    )
    return replace(terms, rented=offers)


def _plan(terms: Terms, uses: Sequence[Use]) -> _Plan:
    return _Plan(
        servers_of_sites(terms, uses),
        tuple(terms_of(offer, terms.rental_index) for offer in terms.rented),
        unit_terms(terms),
    )


def _paying_for_carbon(terms: Terms) -> list[OwnedSite]:
    """Sites where some facility pays for it."""
    return [
        site for site in terms.owned if not all(nothing(one.facility.co2_usd_per_tonne) for one in (site, *site.later))
    ]


def _price_months(
    terms: Terms, plan: _Plan, spans: Sequence[Span], paying: Sequence[OwnedSite], k: int
) -> list[object]:
    """What month k + 1 is priced by: rows of the indices, and terms by commitment, row and instances."""
    last = len(terms.rental_index) - 1
    rows: list[object] = [min(k + 1, last)] if terms.rented else []
    rows += [
        tuple(
            (term.commitment, min(term.start, last), offer.at(term.start + 1).span.first, term.instances)
            for term in begun
            if term.runs_in(k)
        )
        for offer, begun in zip(terms.rented, plan.begun, strict=True)
    ]
    rows += [k for site in terms.owned if len(prices(site)) > 1]
    at = (site.at(k + 1).facility for site in paying)
    priced = (place for place in at if not nothing(place.co2_usd_per_tonne))
    rows += [terms.calendar_month(k + 1) for place in priced if is_by_month(place.co2_kg_per_kwh)]
    rows += [k + 1 in span for span in spans] + [term.runs_in(k) for term in plan.units]
    return rows + ([min(k + 1, len(terms.token_index) - 1)] if terms.apis else [])


def _month_lines(terms: Terms, use: Use, k: int, plan: _Plan, more: Sequence[Line]) -> tuple[Line, ...]:
    month = k + 1
    lines: list[Line] = []
    for i, site in enumerate(terms.owned):
        if month in site.span:
            lines += owned_lines(terms, i, use, plan.servers[i], k)
    now = price_index(terms.rental_index, month)
    for offer, begun in zip(terms.rented, plan.begun, strict=True):
        running = [term for term in begun if term.runs_in(k)]
        if month in offer.span:
            lines += rented_lines(offer.at(month), use.pools[offer.pool], running, now)
        else:
            lines += left_over_lines(offer, running)
    for api in terms.apis:
        if month in api.span:
            lines += api_lines(api, use.providers[api.provider], price_index(terms.token_index, month))
    lines += unit_lines(terms, use, k, plan.units)
    agreed: list[RentedTerms | ApiTerms] = [offer.at(month) for offer in terms.rented if month in offer.span]
    agreed += [api for api in terms.apis if month in api.span]
    lines += [line for one in agreed for line in minimum_lines(one, lines)]
    lines += [line for one in agreed for line in credit_lines(one, _up(use, one), lines)]
    servers = sum(there[k].bought for there in plan.servers)
    share = use.share if terms.owned else 1.0
    for staff in terms.staff:
        if month in staff.span:
            lines += staff_lines(terms.topology, staff, servers, use.peak_replicas, share)
    lines += fee_lines(terms, use.peak_replicas, use.peak_gpus, use.requests, month)
    lines += more
    lines += share_lines(terms.topology, [fee for fee in terms.fees if month in fee.span], lines)
    return (*lines, *tax_lines(terms, lines, month))


def _up(use: Use, offer: RentedTerms | ApiTerms) -> Up:
    return use.pools[offer.pool].up if isinstance(offer, RentedTerms) else use.providers[offer.provider].up


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
    for offer, begun in zip(terms.rented, plan.begun, strict=True):
        for i in range(len(offer.commitments)):
            later = [
                (term, max(term.start + term.months - terms.months, 0.0)) for term in begun if term.commitment == i
            ]
            usd = total(term.usd * (beyond / term.months) / terms.months for term, beyond in later)
            quantity = math.fsum(beyond / terms.months * term.instances for term, beyond in later)
            category = committed_category(offer, i)
            found = one_line(offer.pool, category, "after the study", quantity, "instance-months", usd, "committed")
            lines += [replace(line, prepaid_share=1.0, site=offer.site) for line in found]
    return lines + owed_unit_lines(plan.units, terms.months)


def _with_payments(terms: Terms, plan: _Plan, lines: Sequence[tuple[Line, ...]], lengths: Sequence[float]) -> Bill:
    begun = _with_taxes(terms, plan)
    at = payment_times(terms.months, max((term.start + term.months for term in begun), default=0))
    once: list[list[Money]] = [[0.0] for _ in at]
    running: list[list[Money]] = [[0.0] for _ in at]
    for fee in terms.fees:
        taxed = 1.0 + rate(terms.taxes, fee.name, fee.span.first)
        once[int(np.searchsorted(at, fee.span.first - 1))].append(fee.usd_once * taxed)
    capex: list[Money] = [0.0]
    bought = () if terms.jobs_per_month else zip(terms.owned, plan.servers, strict=True)
    for site, servers in bought:
        bare = hardware_payments_usd(site, servers, terms.months, at)
        months = [min(int(time) + 1, len(lengths)) for time in at]
        payments = [usd * (1.0 + rate(terms.taxes, HARDWARE, k)) for usd, k in zip(bare, months, strict=True)]
        capex.append(payments[0])
        for k, usd in enumerate(payments):
            once[k].append(usd)
    for term in begun:
        once[int(np.searchsorted(at, term.start))].append(term.usd * term.upfront_share)
        rest = term.usd * (1.0 - term.upfront_share)
        for k, part in enumerate(term_running_usd(term.start, term.months, rest, at)):
            running[k].append(part)
    for k, (month, share) in enumerate(zip(lines, lengths, strict=True)):
        running[k + 1].append(total_usd(month, "by_month", "by_use") * share)
    both = stacked([total(parts) for parts in (*once, *running)])
    once_usd, running_usd = both[: len(at)], both[len(at) :]
    paid = once_usd + running_usd
    billed = tuple(
        MonthBill(k + 1, share, month, paid[k + 1], _liability_usd(begun, float(at[k + 1])))
        for k, (month, share) in enumerate(zip(lines, lengths, strict=True))
    )
    npv = npv_usd(paid, at, terms.discount_rate_per_year)
    return Bill(_mean_month(lines, lengths), billed, at, once_usd, running_usd, total(capex), npv)


def _with_taxes(terms: Terms, plan: _Plan) -> list[PaidTerm]:
    """Terms that begin, with the taxes of the month in which each does."""
    named: list[tuple[str, PaidTerm]] = [
        (committed_category(offer, term.commitment), term)
        for offer, begun in zip(terms.rented, plan.begun, strict=True)
        for term in begun
    ]
    named += [(COMMITTED_UNITS, term) for term in plan.units]
    return [replace(term, usd=term.usd * (1.0 + rate(terms.taxes, name, term.start + 1))) for name, term in named]


def _liability_usd(begun: Sequence[PaidTerm], at: float) -> Money:
    """What terms that have begun before `at` still cost after it."""
    return total(
        term.usd * ((1.0 - term.upfront_share) * (term.start + term.months - at) / term.months)
        for term in begun
        if term.start < at < term.start + term.months
    )


def _mean_month(lines: Sequence[tuple[Line, ...]], lengths: Sequence[float]) -> tuple[Line, ...]:
    """Mean of the months' lines by length, in order of appearance; a line that a month does not have is 0 in it."""
    if all(month is lines[0] for month in lines):
        return lines[0]
    whole = math.fsum(lengths)
    found: dict[tuple[str, str, str, str], list[tuple[Line, float]]] = {}
    for month, length in zip(lines, lengths, strict=True):
        for line in month:
            found.setdefault((line.owner, line.category, line.part, line.site), []).append((line, length / whole))
    return tuple(
        replace(
            parts[0][0],
            quantity=math.fsum(line.quantity * share for line, share in parts),
            usd=total(line.usd * share for line, share in parts),
        )
        for parts in found.values()
    )
