"""Units of throughput that a token API sells, by the hour or for a term: which terms begin when, and what they cost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from simulator.bill.category import COMMITTED_UNITS, UNITS_BY_HOUR
from simulator.bill.commitments import PaidTerm, price_index
from simulator.bill.parts import at_site, one_line
from simulator.bill.sums import mean, total
from simulator.bill.use import ProviderUse, Use
from simulator.study.bill import Line
from simulator.study.terms import ApiTerms, Money, Terms
from simulator.units import HOURS_PER_MONTH, MINUTES_PER_HOUR

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitTerm(PaidTerm):
    """Units that are bought for one term."""

    provider: str
    site: str
    units: float


def unit_terms(terms: Terms) -> tuple[UnitTerm, ...]:
    """Terms that begin within the study.

    They are renewed as long as the study lasts, each at the price of the month in which it begins. Where an event
    writes another number, length or price, what runs is paid to its end, and so many units begin a term as are
    missing from what is wanted then.
    """
    found: list[UnitTerm] = []
    for name in dict.fromkeys(api.provider for api in terms.apis):
        lists = [_price_list(terms, name, k) for k in range(math.ceil(terms.months))]
        wanted = [(0.0, 0) if api is None else (api.provisioned_units, api.unit_term_months) for api in lists]
        for start, months, units in begun_terms(wanted):
            api = lists[start]
            assert api is not None
            price = api.usd_per_unit_hour * price_index(terms.token_index, start)
            found.append(
                UnitTerm(
                    provider=name,
                    site=api.site,
                    units=units,
                    start=start,
                    months=months,
                    usd=units * HOURS_PER_MONTH * months * price,
                    upfront_share=api.unit_upfront_share,
                )
            )
    return tuple(found)


def begun_terms(wanted: Sequence[tuple[float, int]]) -> list[tuple[int, int, float]]:
    """First month, from 0 on, length and units of each term that begins.

    Parameters
    ----------
    wanted : of each month, units and the months of the term for which they are bought; 0 by the hour
    """
    begun: list[tuple[int, int, float]] = []
    for k, (units, months) in enumerate(wanted):
        missing = units - _running_units(begun, k)
        if months and missing > _ROUNDING:
            begun.append((k, months, missing))
    return begun


def units_there(wanted: Sequence[tuple[float, int]]) -> list[float]:
    """Units that are paid for in each month, and let tokens through: those of terms that run, others on top of them.

    Parameters
    ----------
    wanted : as `begun_terms` takes it
    """
    begun = begun_terms(wanted)
    return [max(units, _running_units(begun, k)) for k, (units, _) in enumerate(wanted)]


def _running_units(begun: Iterable[tuple[int, int, float]], k: int) -> float:
    return math.fsum(units for start, months, units in begun if start <= k < start + months)


def unit_lines(terms: Terms, use: Use, k: int, begun: Sequence[UnitTerm]) -> list[Line]:
    """Month k + 1 of all units: those of terms that run, and on top of them what is bought by the hour.

    Where it is known what they let through, what no token took is apart, and so is what outlasts the use of a provider.
    """
    lines: list[Line] = []
    for name in dict.fromkeys(api.provider for api in terms.apis):
        running, api = _running(begun, name, k), _price_list(terms, name, k)
        if api is None:
            lines += _committed_lines(running, 0.0)
        else:
            lines += _lines(api, use.providers[name], running, price_index(terms.token_index, k + 1))
    return lines


def _price_list(terms: Terms, provider: str, k: int) -> ApiTerms | None:
    return next((api for api in terms.apis if api.provider == provider and k + 1 in api.span), None)


def _lines(api: ApiTerms, use: ProviderUse, running: Sequence[UnitTerm], index: Money) -> list[Line]:
    committed = _units(running)
    by_hour = 0.0 if api.unit_term_months else max(api.provisioned_units - committed, 0.0)
    taken = 1.0
    if committed + by_hour and api.unit_tokens_per_minute:
        minutes = (committed + by_hour) * HOURS_PER_MONTH * MINUTES_PER_HOUR
        tokens = float(((use.tokens + use.failed_tokens) * np.array(api.unit_token_weights)).sum())
        taken = min(tokens / (minutes * api.unit_tokens_per_minute), 1.0)
    hours, lines = by_hour * HOURS_PER_MONTH, _committed_lines(running, taken)
    for part, share in _parts(taken):
        usd = hours * share * api.usd_per_unit_hour * index
        found = one_line(api.provider, UNITS_BY_HOUR, part, hours * share, "unit-hours", usd, "by_month")
        lines += at_site(found, api.site)
    return lines


def owed_unit_lines(begun: Sequence[UnitTerm], months: float) -> list[Line]:
    """What terms cost after the study, spread over it: nobody uses them then, yet they are paid."""
    lines: list[Line] = []
    for name in dict.fromkeys(term.provider for term in begun):
        later = [(term, max(term.start + term.months - months, 0.0)) for term in begun if term.provider == name]
        usd = total(term.usd * (beyond / term.months) / months for term, beyond in later)
        quantity = math.fsum(beyond / months * term.units for term, beyond in later)
        found = one_line(name, COMMITTED_UNITS, "after the study", quantity, "unit-months", usd, "committed")
        lines += [replace(line, prepaid_share=1.0, site=later[0][0].site) for line in found]
    return lines


def _running(begun: Iterable[UnitTerm], provider: str, k: int) -> list[UnitTerm]:
    return [term for term in begun if term.provider == provider and term.runs_in(k)]


def _units(running: Iterable[UnitTerm]) -> float:
    return math.fsum(term.units for term in running)


def _parts(taken: float) -> tuple[tuple[str, float], ...]:
    return ("units", taken), ("unused", 1.0 - taken)


def _committed_lines(running: Sequence[UnitTerm], taken: float) -> list[Line]:
    if not running:
        return []
    usd = total(term.usd / term.months for term in running)
    paid = math.fsum(mean(term.usd) / term.months for term in running)
    upfront = math.fsum(mean(term.usd) / term.months * term.upfront_share for term in running)
    hours = _units(running) * HOURS_PER_MONTH
    lines: list[Line] = []
    for part, share in _parts(taken):
        lines += one_line(
            running[0].provider, COMMITTED_UNITS, part, hours * share, "unit-hours", usd * share, "committed"
        )
    return at_site([replace(line, prepaid_share=upfront / paid) for line in lines], running[0].site)
