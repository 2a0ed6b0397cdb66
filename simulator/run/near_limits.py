"""Rate limits of token APIs so near to what is asked of them that chance decides whether they hold it back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import NormalDist

import numpy as np

from simulator.fleet.records import Reason
from simulator.metrics.accumulate import Tally
from simulator.study.choices import TargetRouting
from simulator.study.fleet import LIMITS, FleetSpec, ProviderSpec
from simulator.study.usage import ProviderUsage, Usage

_NORMAL = NormalDist().inv_cdf(0.975)
_SECONDS_PER_MINUTE = 60.0


def near_limits(fleet: FleetSpec, usages: Sequence[Usage], tally: Tally, dispersion: float) -> list[str]:
    """Limits above the mean rate and within its 95 % interval, in words.

    Batches are not counted, as no limit by the minute holds for them. Nothing is told of a target that others take over
    from: what its limit keeps away is theirs, and it is used up to it as often as it is full. Nor where calls were
    refused for a limit: it holds the load back for certain, and what is used is what it lets through.

    Parameters
    ----------
    usages : of all replications
    tally : of all requests, for how far their tokens vary
    dispersion : index of it of the numbers that arrive: 1 at random times, more in bursts
    """
    if tally.reasons[:, Reason.RATE_LIMIT].any():
        return []
    minutes = math.fsum(usage.span_s for usage in usages) / _SECONDS_PER_MINUTE
    tokens = tally.input_tokens + tally.output_tokens
    varies = max(tally.completed * tally.squared_tokens / tokens**2 - 1.0, 0.0) if tokens else 0.0
    return [
        text
        for k, provider in enumerate(fleet.providers)
        if not _is_relieved(fleet, len(fleet.pools) + k)
        for text in _of_provider(provider, [usage.providers[k] for usage in usages], minutes, dispersion, varies)
    ]


def _of_provider(
    provider: ProviderSpec, usages: Sequence[ProviderUsage], minutes: float, dispersion: float, varies: float
) -> Iterator[str]:
    tiers = provider.tier_by_class
    prompt = np.array((1.0, provider.cached_weight, 1.0, 0.0))
    answer = np.array((0.0, 0.0, 0.0, 1.0))
    calls, asked = 0.0, np.zeros(len(LIMITS))
    for used in usages:
        limited = [c for c in range(len(used.calls)) if not tiers or tiers[c].batch_window_s == 0.0]
        calls += float(used.calls[limited].sum() + used.failed_calls[limited].sum())
        tokens = used.tokens[limited] + used.failed_tokens[limited]
        weights = (prompt + provider.output_weight * answer, prompt, answer)
        asked[1:] += [float((tokens * weight).sum()) for weight in weights]
    if not calls:
        return
    asked[0] = calls
    for what, limit, total in zip(LIMITS, provider.limits_per_minute, asked.tolist(), strict=True):
        mean = total / minutes
        half_width = _NORMAL * mean * math.sqrt((dispersion + (varies if what != "requests" else 0.0)) / calls)
        if mean < limit < mean + half_width:
            yield (
                f"{provider.name}: on average {_told(mean)} of the {_told(limit)} {what} a minute that it lets through "
                f"are used, and as many as {_told(mean + half_width)} might be: whether that holds the load back is "
                "left to chance (more run.replications, or a longer run.horizon_s, show it)"
            )


def _is_relieved(fleet: FleetSpec, target: int) -> bool:
    """Whether each class that it may serve has another target behind it in an overflow."""
    if fleet.routing.kind != TargetRouting.OVERFLOW:
        return False
    behind = fleet.routing.order[fleet.routing.order.index(target) + 1 :] if target in fleet.routing.order else ()
    return all(any(cls.allowed[k] for k in behind) for cls in fleet.classes if cls.allowed[target])


def _told(number: float) -> str:
    return f"{number:,.0f}" if number >= 1_000 else f"{number:.4g}"
