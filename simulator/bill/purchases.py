"""Servers by the price at which they were bought: an event changes the price of later purchases alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulator.bill.sums import total
from simulator.study.terms import Money, OwnedSite, ServerKind
from simulator.units import MONTHS_PER_YEAR

_PAID = ("capex_usd", "network_storage_share", "install_usd", "life_years", "residual_share")
"""With the resale by age, what goes with a purchase."""


@dataclass(frozen=True, slots=True)
class Servers:
    """Servers of a site in a month.

    Attributes
    ----------
    bought : those there, and those of them that are spare
    needed : with their spares; what is above them stands until the end of its life
    """

    bought: int
    spare: int
    needed: int


@dataclass(frozen=True, slots=True)
class Lot:
    """Servers that came at one time, with those that replace them.

    Attributes
    ----------
    start : month after which they come
    until : month after which they are gone, since they are at the end of their life and not needed; None: of the span
    """

    start: int
    count: int
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """Servers that came at one time, as they, or those that have replaced them since, are in a month.

    Attributes
    ----------
    kinds : they are of, with the share of each: 1 or 0, one or by draw, as a draw may replace them sooner
    bought : month after which those that are there were bought, one or by draw
    """

    kinds: tuple[tuple[ServerKind, Money], ...]
    bought: Money


def lots(site: OwnedSite, needed: Sequence[int]) -> list[Lot]:
    """Servers as they come and go: further ones in the month that needs them, none before the end of its life.

    Of those at the end of their life so many are replaced as the month needs beside the others; what a later one needs
    it buys. Of lives by draw the mean says when that is asked, since one decides before one knows.

    Parameters
    ----------
    needed : of each month, spares among them; none before and after the span of the site
    """
    there, gone = _bought(site, needed)
    return sorted([*gone, *(lot for lot, _ in there)], key=lambda lot: (lot.start, lot.until is None, lot.until or 0))


def in_life(site: OwnedSite, needed: Sequence[int]) -> int:
    """Servers that stand after these months and are not at the end of their life then; arguments as `lots` has them."""
    there, _ = _bought(site, needed)
    return sum(lot.count for lot, end in there if end > len(needed))


def _bought(site: OwnedSite, needed: Sequence[int]) -> tuple[list[tuple[Lot, int]], list[Lot]]:
    """What is there at the end, with the month after which it is at the end of its life, and what is gone."""
    kinds, first = prices(site), site.span.first - 1
    lives = [_mean_life(kind) for _, kind in kinds]
    last = len(needed) if site.span.last is None else min(site.span.last, len(needed))
    there: list[tuple[Lot, int]] = []
    gone: list[Lot] = []
    for k in range(first, last):
        due = [lot for lot, end in there if end == k]
        there = [(lot, end) for lot, end in there if end != k]
        missing = needed[k] - sum(lot.count for lot, _ in there)
        end = k + lives[_price_in(kinds, k + 1)]
        for lot in due:
            kept = min(lot.count, max(missing, 0))
            missing -= kept
            if kept:
                there.append((replace(lot, count=kept), end))
            if kept < lot.count:
                gone.append(replace(lot, count=lot.count - kept, until=k))
        if missing > 0:
            there.append((Lot(k, missing), end))
    return there, gone


def lots_of(site: OwnedSite, servers: Sequence[Servers]) -> list[Lot]:
    """As `lots`, of servers that are known by month."""
    return lots(site, [month.needed for month in servers])


def held(site: OwnedSite, start: int, until: float) -> Iterator[tuple[int, Money, Held, Held]]:
    """Servers that came after month `start`, in every month up to `until`: the month after which it begins, the share
    that is replaced then (1 or 0, one or by draw), what was there before, and what is there in it.

    They are replaced at the end of each life, by servers of the price of that month, as long as they are needed.
    """
    kinds = prices(site)
    new = _price_in(kinds, start + 1)
    now = Held(tuple((kind, float(i == new)) for i, (_, kind) in enumerate(kinds)), float(start))
    yield start, 0.0, now, now
    for k in range(start + 1, math.ceil(until)):
        lives = total(share * life_months(kind) for kind, share in now.kinds)
        due = _plain(np.asarray(k - now.bought == lives))
        new = _price_in(kinds, k + 1)
        then = tuple((kind, share * (1.0 - due) + due * float(i == new)) for i, (kind, share) in enumerate(now.kinds))
        before, now = now, Held(then, now.bought * (1.0 - due) + k * due)
        yield k, due, before, now


def of_price(site: OwnedSite, servers: Sequence[Servers], k: int) -> list[tuple[ServerKind, Money]]:
    """Servers that are there in month k + 1 of each price, one number or by draw."""
    kinds = prices(site)
    if len(kinds) == 1:
        return [(site.server, servers[k].bought)]
    standing = [lot for lot in lots_of(site, servers) if lot.start <= k and (lot.until is None or lot.until > k)]
    there = [(lot.count, list(held(site, lot.start, k + 1.0))[-1][-1].kinds) for lot in standing]
    return [(kind, total(count * shares[i][1] for count, shares in there)) for i, (_, kind) in enumerate(kinds)]


def prices(site: OwnedSite) -> list[tuple[int, ServerKind]]:
    """The site's servers at each of the prices that events make of them, and the month from which on it is paid."""
    found = [(site.span.first, site.server)]
    for one in site.later:
        if not _equal(one.server, found[-1][1]):
            found.append((one.span.first, one.server))
    return found


def _price_in(kinds: Sequence[tuple[int, ServerKind]], month: int) -> int:
    return max((i for i, (first, _) in enumerate(kinds) if first <= month), default=0)


def _equal(one: ServerKind, other: ServerKind) -> bool:
    """Whether they cost the same; prices may be arrays of draws."""
    if one is other:
        return True
    rows = [
        [*(getattr(kind, name) for name in _PAID), *(part for pair in kind.resale_share_by_age for part in pair)]
        for kind in (one, other)
    ]
    return len(rows[0]) == len(rows[1]) and all(np.array_equal(a, b) for a, b in zip(*rows, strict=True))


def price_usd(kind: ServerKind) -> Money:
    """One server, with network and storage."""
    return kind.capex_usd * (1.0 + kind.network_storage_share)


def life_months(kind: ServerKind) -> NDArray[np.float64]:
    """Whole months after which a server is replaced."""
    return np.round(np.asarray(kind.life_years, dtype=np.float64) * MONTHS_PER_YEAR)


def _mean_life(kind: ServerKind) -> int:
    """Whole months after which it is at the end of its life, of lives by draw in the mean."""
    return max(round(float(np.mean(life_months(kind)))), 1)


def _plain(values: NDArray[np.bool_]) -> Money:
    found = np.asarray(values, dtype=np.float64)
    return found if found.ndim else float(found)
