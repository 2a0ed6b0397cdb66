"""What prefix caching, batching and quantisation save: lines beside the bill, not in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.bill.api import price_list
from simulator.bill.category import EGRESS, MINIMUM_SPEND, SERVICE_CREDIT, STORAGE
from simulator.bill.commitments import price_index
from simulator.bill.credits import credited_share
from simulator.bill.gpu_time import Engine, alone_share, cached_share, plain_share
from simulator.bill.minimum import saved_usd
from simulator.bill.owned import site_owner
from simulator.bill.sums import mean, total_usd
from simulator.bill.taxes import with_taxes
from simulator.bill.use import PoolUse, Use, study_uses
from simulator.study.bill import Bill, Line, MonthUse
from simulator.study.terms import ApiTerms, Tax, Terms
from simulator.units import TOKENS_PER_MILLION

_NOT_MACHINES = (EGRESS, STORAGE, MINIMUM_SPEND, SERVICE_CREDIT)
_TOKENS = "tokens"
_LEAST_SHARE = 1e-9
"""Shares below it are the rounding of equal times."""


Share = Callable[[PoolUse, Engine], float]
"""GPU time that a month's work of a pool would take more in another way / GPU time that it takes."""


@dataclass(frozen=True, slots=True)
class Savings:
    """USD of the mean month that the same topology would cost more, by owner of lines; each for itself.

    Attributes
    ----------
    prefix_caching : without prompt caches: machines by the GPU time of computing what they hold, token APIs at the
        price of input
    batching : one request at a time
    quantisation : with weights and KV cache in 16 bit
    """

    prefix_caching: dict[str, float]
    batching: dict[str, float]
    quantisation: dict[str, float]


def savings_usd(terms: Terms, months: Sequence[MonthUse], bill: Bill, engines: Mapping[str, Engine]) -> Savings:
    """What is saved, beside the bill. Savings overlap: they do not add up.

    Machines would have been more in proportion to their GPU time: lines of a pool or site, traffic and storage apart,
    times the share (of a site that of its pools by busy GPU-hours), with the taxes on them. What is for the topology as
    a whole stays.

    Parameters
    ----------
    engines : by pool
    """
    shares: tuple[Share, ...] = (cached_share, alone_share, plain_share)
    found: list[dict[str, float]] = [{} for _ in shares]
    for use, billed in zip(study_uses(terms, months), bill.months, strict=True):
        for k, share in enumerate(shares):
            usd = _machines_saved_usd(terms, use, billed.lines, engines, share, billed.month)
            if share is cached_share:
                usd |= _apis_saved_usd(terms, use, billed.lines, billed.month)
            for owner, value in usd.items():
                taxed = value * _with_tax(billed.lines, owner, terms.taxes, billed.month)
                found[k][owner] = found[k].get(owner, 0.0) + taxed * billed.length / terms.months
    return Savings(*({owner: usd for owner, usd in one.items() if usd} for one in found))


def _machines_saved_usd(
    terms: Terms, use: Use, lines: Sequence[Line], engines: Mapping[str, Engine], share: Share, month: int
) -> dict[str, float]:
    found: dict[str, float] = {}
    shares = {name: share(pool, engines[name]) for name, pool in use.pools.items() if name in engines}
    shares = {name: value for name, value in shares.items() if abs(value) > _LEAST_SHARE}
    for offer in (offer for offer in terms.rented if month in offer.span):
        now, up = offer.at(month), use.pools[offer.pool].up
        more_usd = saved_usd(now, lines, _machines_usd(lines, offer.pool) * shares.get(offer.pool, 0.0))
        found[offer.pool] = more_usd * (1.0 - credited_share(now.credits, up))
    for site in (site for site in terms.owned if month in site.span):
        there = {name: use.pools[name] for name in site.pools if name in use.pools}
        found[site_owner(site)] = _machines_usd(lines, site_owner(site)) * _of_all(there, shares)
    return found


def _apis_saved_usd(terms: Terms, use: Use, lines: Sequence[Line], month: int) -> dict[str, float]:
    """Cached tokens and cache writes at the price of input, less what they cost; nothing of a spend that is agreed."""
    found = {}
    for api in (api for api in terms.apis if month in api.span and api.provider in use.providers):
        saved = _api_usd(api, use.providers[api.provider].priced) * mean(price_index(terms.token_index, month))
        up = use.providers[api.provider].up
        found[api.provider] = saved_usd(api, lines, saved) * (1.0 - credited_share(api.credits, up))
    return found


def _of_all(pools: Mapping[str, PoolUse], shares: Mapping[str, float]) -> float:
    """Mean of the shares by busy GPU-hours."""
    hours = {name: pool.gpu_hours["busy"] for name, pool in pools.items()}
    whole = sum(hours.values())
    return sum(shares.get(name, 0.0) * busy for name, busy in hours.items()) / whole if whole > 0 else 0.0


def _with_tax(lines: Sequence[Line], owner: str, taxes: Sequence[Tax], month: int) -> float:
    """What machines, or tokens, of an owner cost with the taxes on them, as a multiple of what they do without."""
    mine = [line for line in lines if line.owner == owner and line.category not in _NOT_MACHINES]
    paid = [line for line in mine if line.unit == _TOKENS] or mine
    usd = mean(total_usd(paid))
    return mean(total_usd(with_taxes(paid, taxes, month))) / usd if usd else 1.0


def _machines_usd(lines: Sequence[Line], owner: str) -> float:
    return mean(total_usd(line for line in lines if line.owner == owner and line.category not in _NOT_MACHINES))


def _api_usd(api: ApiTerms, tokens: NDArray[np.float64]) -> float:
    usd = 0.0
    for c, tier in enumerate(api.tier_by_class):
        for band, prices in enumerate(price_list(api, tier)):
            _, cached, written, _ = tokens[c, band]
            usd += cached * mean(prices.input - prices.cached_input) + written * mean(prices.input - prices.cache_write)
    return usd / TOKENS_PER_MILLION * (1.0 + mean(api.residency_premium))
