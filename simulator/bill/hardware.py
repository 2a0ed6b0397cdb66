"""Servers of one's own as they are bought, replaced and sold: payments, and what an early sale loses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from simulator.bill.annuity import MONTHS_PER_YEAR, annual_usd
from simulator.bill.owned import Servers, site_owner
from simulator.bill.parts import one_line
from simulator.bill.sums import total
from simulator.study.bill import Line
from simulator.study.terms import Money, OwnedSite, ServerKind


def hardware_payments_usd(
    site: OwnedSite, servers: Sequence[Servers], months: float, at_months: NDArray[np.float64]
) -> list[Money]:
    """Purchases, replacements and resale at each of `at_months`.

    Servers are bought and installed at the start of the month in which they first stand, replaced at the end of each
    life for their price less what the old ones bring, and sold at the end of their span, or of the study, for what
    their age gives.
    """
    kind, end = site.server, site.span.ends(months)
    price = _price_usd(kind)
    life_months = _life_months(kind)
    paid: list[Money] = [0.0] * len(at_months)
    for start, new in _purchases(servers):
        for k, at in enumerate(at_months):
            if at == start:
                paid[k] = paid[k] + new * (price + kind.install_usd)
            elif start < at < end and at == int(at):
                due = (at - start) % life_months == 0
                paid[k] = paid[k] + new * (price * (1.0 - kind.residual_share) + kind.install_usd) * _plain(due)
            if at == end:
                paid[k] = paid[k] - new * price * _sold_share(site, end < months, end - start)
    return paid


def sold_early_lines(site: OwnedSite, servers: Sequence[Servers], discount_rate: Money) -> list[Line]:
    """What servers lose when their span ends before their life: what the annuity has not yet paid off, less the sale.

    B(t) = C(1+r)^t - A((1+r)^t - 1)/r after t years of the yearly payment A for price and installation C.
    """
    kind, end = site.server, site.span.last
    if end is None:
        return []
    price = _price_usd(kind)
    yearly = annual_usd(price, kind.residual_share, discount_rate, kind.life_years)
    yearly = yearly + annual_usd(kind.install_usd, 0.0, discount_rate, kind.life_years)
    lost: list[Money] = []
    for start, new in _purchases(servers):
        years = _age_months(kind, end - start) / MONTHS_PER_YEAR
        book = _book_usd(price + kind.install_usd, yearly, discount_rate, years)
        lost.append(new * (book - price * _sold_share(site, True, end - start)))
    count = sum(new for _, new in _purchases(servers))
    found = one_line(site_owner(site), "hardware", "sold early", count, "servers", total(lost), "bought")
    return [replace(line, prepaid_share=1.0, site=site.site) for line in found]


def _book_usd(usd: Money, yearly: Money, rate: Money, years: Money) -> Money:
    """What is left to pay off after so many years."""
    r = np.asarray(rate, dtype=np.float64)
    grown = (1.0 + r) ** years
    paid = np.where(r > 0, (grown - 1.0) / np.where(r > 0, r, 1.0), years)
    return _plain(np.asarray(usd * grown - yearly * paid, dtype=np.float64))


def _purchases(servers: Sequence[Servers]) -> list[tuple[int, int]]:
    """(months after which they are bought, how many) of servers that come beside those that stand."""
    found, there = [], 0
    for start, month in enumerate(servers):
        if month.bought > there:
            found.append((start, month.bought - there))
        there = month.bought
    return found


def _price_usd(kind: ServerKind) -> Money:
    return kind.capex_usd * (1.0 + kind.network_storage_share)


def _life_months(kind: ServerKind) -> NDArray[np.float64]:
    return np.round(np.asarray(kind.life_years, dtype=np.float64) * MONTHS_PER_YEAR)


def _age_months(kind: ServerKind, months: float) -> NDArray[np.float64]:
    """Age of a server that is replaced at the end of each life, after so many months."""
    age = np.mod(months, _life_months(kind))
    return np.where(age == 0, _life_months(kind), age)


def _sold_share(site: OwnedSite, is_early: bool, months: float) -> Money:
    if is_early and site.sold_share is not None:
        return site.sold_share
    kind = site.server
    return resale_share(kind, kind.life_years * _plain(_age_months(kind, months) / _life_months(kind)))


def resale_share(kind: ServerKind, age_years: Money) -> Money:
    """What a server of that age is sold for, as a share of its price: linear between 1 at age 0, the ages known, and
    the residual at the end of its life."""
    ages, lives, residuals = np.broadcast_arrays(
        *(np.asarray(values, dtype=np.float64) for values in (age_years, kind.life_years, kind.residual_share))
    )
    shares = [np.broadcast_to(np.asarray(share, dtype=np.float64), ages.shape) for _, share in kind.resale_share_by_age]
    found = np.empty(ages.shape)
    for place in np.ndindex(ages.shape):
        known = [
            (age, float(share[place]))
            for (age, _), share in zip(kind.resale_share_by_age, shares, strict=True)
            if age < lives[place]
        ]
        x, y = zip((0.0, 1.0), *known, (float(lives[place]), float(residuals[place])), strict=True)
        found[place] = np.interp(ages[place], x, y)
    return found if found.ndim else float(found)


def _plain(values: NDArray[np.float64] | NDArray[np.bool_]) -> Money:
    found = np.asarray(values, dtype=np.float64)
    return found if found.ndim else float(found)
