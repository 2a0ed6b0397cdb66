"""Servers of one's own as they are bought, replaced and sold: payments, and what an early sale loses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from simulator.bill.annuity import annual_usd
from simulator.bill.category import HARDWARE
from simulator.bill.owned import site_owner
from simulator.bill.parts import one_line
from simulator.bill.purchases import Servers, held, life_months, lots_of, price_usd
from simulator.bill.sums import total
from simulator.study.bill import Line
from simulator.study.terms import Money, OwnedSite, ServerKind
from simulator.units import MONTHS_PER_YEAR


def hardware_payments_usd(
    site: OwnedSite, servers: Sequence[Servers], months: float, at_months: NDArray[np.float64]
) -> list[Money]:
    """Purchases, replacements and resale at each of `at_months`.

    Servers are bought and installed at the start of the month in which they first stand, replaced at the end of each
    life, as far as they are needed then, for the price of that month less what the old ones bring, and sold at the end
    of a life after which they are not needed, of their span, or of the study, for what their age gives.
    """
    place = {float(at): k for k, at in enumerate(at_months)}
    paid: list[Money] = [0.0] * len(at_months)
    for lot in lots_of(site, servers):
        start, new = lot.start, lot.count
        end = site.span.ends(months) if lot.until is None else float(lot.until)
        for month, due, before, now in held(site, start, end):
            if month == start:
                usd = total(share * (price_usd(kind) + kind.install_usd) for kind, share in now.kinds)
            else:
                usd = due * total(share * (price_usd(kind) + kind.install_usd) for kind, share in now.kinds)
                usd = usd - due * total(share * price_usd(kind) * kind.residual_share for kind, share in before.kinds)
            paid[place[month]] = paid[place[month]] + new * usd
        sold = total(
            share * price_usd(kind) * _sold_share(site, kind, lot.until is None and end < months, end - now.bought)
            for kind, share in now.kinds
        )
        paid[place[end]] = paid[place[end]] - new * sold
    return paid


def sold_early_lines(site: OwnedSite, servers: Sequence[Servers], discount_rate: Money) -> list[Line]:
    """What servers lose when their span ends before their life: what the annuity has not yet paid off, less the sale.

    B(t) = C(1+r)^t - A((1+r)^t - 1)/r after t years of the yearly payment A for price and installation C.
    """
    end = site.span.last
    if end is None:
        return []

    def lost_usd(kind: ServerKind, age_months: Money) -> Money:
        price = price_usd(kind)
        yearly = annual_usd(price, kind.residual_share, discount_rate, kind.life_years)
        yearly = yearly + annual_usd(kind.install_usd, 0.0, discount_rate, kind.life_years)
        book = _book_usd(price + kind.install_usd, yearly, discount_rate, age_months / MONTHS_PER_YEAR)
        return book - price * _sold_share(site, kind, True, age_months)

    lost: list[Money] = []
    standing = [lot for lot in lots_of(site, servers) if lot.until is None]
    for lot in standing:
        *_, (_, _, _, now) = held(site, lot.start, end)
        lost += [lot.count * share * lost_usd(kind, end - now.bought) for kind, share in now.kinds]
    count = sum(lot.count for lot in standing)
    found = one_line(site_owner(site), HARDWARE, "sold early", count, "servers", total(lost), "bought")
    return [replace(line, prepaid_share=1.0, site=site.site) for line in found]


def _book_usd(usd: Money, yearly: Money, rate: Money, years: Money) -> Money:
    """What is left to pay off after so many years."""
    r = np.asarray(rate, dtype=np.float64)
    grown = (1.0 + r) ** years
    paid = np.where(r > 0, (grown - 1.0) / np.where(r > 0, r, 1.0), years)
    return _plain(np.asarray(usd * grown - yearly * paid, dtype=np.float64))


def _sold_share(site: OwnedSite, kind: ServerKind, is_early: bool, age_months: Money) -> Money:
    if is_early and site.sold_share is not None:
        return site.sold_share
    return resale_share(kind, kind.life_years * _plain(np.asarray(age_months / life_months(kind))))


def resale_share(kind: ServerKind, age_years: Money) -> Money:
    """What a server of that age is sold for, as a share of its price: linear between the ages known, with 1 at age 0
    unless that is known, and the residual at the end of its life."""
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
        new = () if known and known[0][0] == 0.0 else ((0.0, 1.0),)
        x, y = zip(*new, *known, (float(lives[place]), float(residuals[place])), strict=True)
        found[place] = np.interp(ages[place], x, y)
    return found if found.ndim else float(found)


def _plain(values: NDArray[np.float64]) -> Money:
    found = np.asarray(values, dtype=np.float64)
    return found if found.ndim else float(found)
