"""Rate limits of token APIs so near to what is asked of them that chance decides whether they hold it back."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from simulator.resolve.apis import bought_units
from simulator.schema.provider import Provider
from simulator.study.choices import LIMITS, TargetRouting
from simulator.study.fleet import FleetSpec, ProviderSpec
from simulator.study.usage import Usage
from simulator.units import SECONDS_PER_MINUTE

_NORMAL = NormalDist().inv_cdf(0.975)
_TOKENS = LIMITS.index("tokens")


def near_limits(fleet: FleetSpec, usages: Sequence[Usage], dispersion: float, by_chance: Sequence[bool]) -> list[str]:
    """Limits within the 95 % interval of what is asked of them a minute, in words.

    N calls whose numbers have the index of dispersion I ask for x each, their mean rate m is known to
    m · √((I + v) / N), where v is the squared coefficient of variation of x. What is asked counts requests that were
    given up for a limit, too: what calls take is what it lets through.

    Nothing is told of a target that others take over from: what its limit keeps away is theirs, and it is used up to it
    as often as it is full. Nor where chance has no part in how many come.

    Parameters
    ----------
    usages : of all replications
    dispersion : index of it of the numbers that arrive: 1 at random times, more in bursts
    by_chance : of each class, whether chance decides how many of its requests come
    """
    minutes = math.fsum(usage.span_s for usage in usages) / SECONDS_PER_MINUTE
    found: list[str] = []
    for k, provider in enumerate(fleet.providers):
        used = [usage.providers[k] for usage in usages]
        calls = np.sum([one.calls + one.failed_calls for one in used], axis=(0, 2))
        if calls[np.array(by_chance)].any() and not _is_relieved(fleet, len(fleet.pools) + k):
            found += _of_provider(provider, np.sum([one.asked for one in used], axis=0), minutes, dispersion)
    return found


def other_units(
    fleet: FleetSpec, providers: Sequence[Provider], usages: Sequence[Usage], sized: Collection[str] = ()
) -> tuple[list[str], list[str]]:
    """Units of throughput that would let through what is asked a minute on average, where fewer and more are bought.

    Minutes that ask for more than the average want more units: a run at that number tells. Nothing is told of a target
    that others take over from.

    Parameters
    ----------
    usages : of all replications
    sized : names of token APIs whose units were searched: of them nothing is told
    """
    minutes = math.fsum(usage.span_s for usage in usages) / SECONDS_PER_MINUTE
    fewer, more = list[str](), list[str]()
    for k, provider in enumerate(providers):
        if provider.name in sized:
            continue
        per_unit, units = provider.tokens_per_minute_per_unit, bought_units(provider)
        if not per_unit or not units or provider.tokens_per_minute or _is_relieved(fleet, len(fleet.pools) + k):
            continue
        asked = math.fsum(float(usage.providers[k].asked[_TOKENS, 0]) for usage in usages) / minutes
        least = max(math.ceil(asked / per_unit), 1)
        if asked and least not in (math.floor(units), math.ceil(units)):
            (more if units > least else fewer).append(
                f"{provider.name}: {_told(asked)} tokens a minute are asked for on average, which {least:,} units let "
                f"through, and {units:,g} are bought (provisioned_units={least} is the least to try, more for minutes "
                "above the average)"
            )
    return fewer, more


def _of_provider(
    provider: ProviderSpec, asked: NDArray[np.float64], minutes: float, dispersion: float
) -> Iterator[str]:
    calls = float(asked[0, 0])
    for what, limit, (total, squares) in zip(LIMITS, provider.limits_per_minute, asked.tolist(), strict=True):
        if not limit or not total:
            continue
        mean = total / minutes
        varies = max(calls * squares / total**2 - 1.0, 0.0)
        half_width = _NORMAL * mean * math.sqrt((dispersion + varies) / calls)
        if abs(mean - limit) < half_width:
            yield (
                f"{provider.name}: {_told(mean)} {what} a minute are asked for, of a limit of {_told(limit)}, and by "
                f"chance {_told(mean - half_width)} to {_told(mean + half_width)} might be: whether the limit holds "
                "the load back is left to chance (more run.replications, or a longer run.horizon_s, show it)"
            )


def _is_relieved(fleet: FleetSpec, target: int) -> bool:
    """Whether each class that it may serve has another target behind it in an overflow."""
    if fleet.routing.kind != TargetRouting.OVERFLOW:
        return False
    behind = fleet.routing.order[fleet.routing.order.index(target) + 1 :] if target in fleet.routing.order else ()
    return all(any(cls.allowed[k] for k in behind) for cls in fleet.classes if cls.allowed[target])


def _told(number: float) -> str:
    return f"{number:,.0f}" if number >= 1_000 else f"{number:.4g}"
