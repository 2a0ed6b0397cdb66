"""What prefix caching saves: lines beside the bill, not in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.bill.api import price_list
from simulator.bill.commitments import price_index
from simulator.bill.owned import site_owner
from simulator.bill.split import StepCost, work_seconds
from simulator.bill.sums import mean, total_usd
from simulator.bill.use import PoolUse, Use, study_uses
from simulator.study.bill import Bill, Line, MonthUse
from simulator.study.terms import ApiTerms, Terms
from simulator.units import TOKENS_PER_MILLION

_NOT_MACHINES = ("egress", "storage")


@dataclass(frozen=True, slots=True)
class PromptCost:
    """What a pool's step-time equation says of computing prompts, in seconds.

    Attributes
    ----------
    token_s : of a token in a step that prompts fill to its budget, F[t] / t
    pair_s : of a pair of a prompt's token and one before it
    steps : coefficients of all the work that the pool did
    """

    token_s: float
    pair_s: float
    steps: StepCost


def saved_share(work: NDArray[np.float64], cost: PromptCost) -> float:
    """GPU time that cached tokens would have taken / GPU time of the work that was done.

    A request of n cached tokens would have computed them, and their n (n + 1) / 2 pairs, first; requests of a class are
    taken to be alike. 0 where nothing was done.

    Parameters
    ----------
    work : shape (classes, 6), as `PoolUsage.work`
    """
    requests, cached = work[:, 0], work[:, 2]
    pairs = cached * (cached / np.maximum(requests, 1.0) + 1.0) / 2.0
    done_s = float(work_seconds(work, cost.steps).sum())
    saved_s = float((cost.token_s * cached + cost.pair_s * pairs).sum())
    return saved_s / done_s if done_s > 0 else 0.0


def prefix_caching_usd(
    terms: Terms, months: Sequence[MonthUse], bill: Bill, costs: Mapping[str, PromptCost]
) -> dict[str, float]:
    """USD of the mean month that the same topology would have cost more without prefix caching, by owner of lines.

    A token API would have charged cached tokens and cache writes as input. Machines would have been more in proportion
    to their GPU time: lines of a pool or site, traffic and storage apart, times `saved_share` (of a site its pools by
    busy GPU-hours). What is for the topology as a whole stays.

    Parameters
    ----------
    costs : by pool
    """
    found: dict[str, float] = {}
    for use, billed in zip(study_uses(terms, months), bill.months, strict=True):
        for owner, usd in _month_usd(terms, use, billed.lines, costs, billed.month).items():
            found[owner] = found.get(owner, 0.0) + usd * billed.length / terms.months
    return {owner: usd for owner, usd in found.items() if usd}


def _month_usd(
    terms: Terms, use: Use, lines: Sequence[Line], costs: Mapping[str, PromptCost], month: int
) -> dict[str, float]:
    found: dict[str, float] = {}
    shares = {name: saved_share(pool.work, costs[name]) for name, pool in use.pools.items() if name in costs}
    for offer in (offer for offer in terms.rented if month in offer.span):
        found[offer.pool] = _machines_usd(lines, offer.pool) * shares.get(offer.pool, 0.0)
    for site in (site for site in terms.owned if month in site.span):
        there = {name: use.pools[name] for name in site.pools if name in use.pools}
        found[site_owner(site)] = _machines_usd(lines, site_owner(site)) * _of_all(there, shares)
    for api in (api for api in terms.apis if month in api.span and api.provider in use.providers):
        usd = _api_usd(api, use.providers[api.provider].priced)
        found[api.provider] = usd * mean(price_index(terms.token_index, month))
    return found


def _of_all(pools: Mapping[str, PoolUse], shares: Mapping[str, float]) -> float:
    """Mean of the shares by busy GPU-hours."""
    hours = {name: pool.gpu_hours["busy"] for name, pool in pools.items()}
    whole = sum(hours.values())
    return sum(shares.get(name, 0.0) * busy for name, busy in hours.items()) / whole if whole > 0 else 0.0


def _machines_usd(lines: Sequence[Line], owner: str) -> float:
    return mean(total_usd(line for line in lines if line.owner == owner and line.category not in _NOT_MACHINES))


def _api_usd(api: ApiTerms, tokens: NDArray[np.float64]) -> float:
    """Cached tokens and cache writes at the price of input, less what they cost."""
    usd = 0.0
    for c, tier in enumerate(api.tier_by_class):
        for band, prices in enumerate(price_list(api, tier)):
            _, cached, written, _ = tokens[c, band]
            usd += cached * mean(prices.input - prices.cached_input) + written * mean(prices.input - prices.cache_write)
    return usd / TOKENS_PER_MILLION * (1.0 + mean(api.residency_premium))
