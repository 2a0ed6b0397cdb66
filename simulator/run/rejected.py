"""What targets take at most, where some of the requests that were sent to them were more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from simulator.run.storms import stormed
from simulator.size.reasons import takes_words
from simulator.study.choices import LIMITS
from simulator.study.fleet import FleetSpec
from simulator.study.usage import Usage


def limits_of_rejected(fleet: FleetSpec, metrics: Mapping[str, Any], usages: Sequence[Usage]) -> list[str]:
    """The limit behind each reason for which requests were rejected, with the key that sets it.

    Parameters
    ----------
    metrics : of the topology, with its `reasons` by status
    """
    whys = metrics["reasons"].get("rejected", {})
    words: dict[str, Callable[[FleetSpec], str]] = {
        "too_long": takes_words,
        "queue_full": _waiting_words,
        "rate_limit": partial(_rate_words, usages=usages),
    }
    return [f"rejected ({why.replace('_', ' ')}): {told(fleet)}" for why, told in words.items() if whys.get(why)]


def _waiting_words(fleet: FleetSpec) -> str:
    parts = [
        f"{pool.name} at most {pool.max_waiting_per_replica:,}" for pool in fleet.pools if pool.max_waiting_per_replica
    ]
    return f"of requests that wait at each replica, {', '.join(parts)} (max_waiting_per_replica)"


def _rate_words(fleet: FleetSpec, usages: Sequence[Usage]) -> str:
    parts = []
    for api in fleet.providers:
        limits = [f"{limit:,.10g} {what}" for what, limit in zip(LIMITS, api.limits_per_minute, strict=True) if limit]
        if stormed(api, usages):
            parts.append(f"{api.name} answers 429 in the times of its throttling, whatever its limits are")
        if limits:
            wait = f"no call waits longer than {api.max_wait_s:,.10g} s for it (max_wait_s)"
            parts.append(f"{api.name} takes {', '.join(limits)} a minute, and {wait}")
    return "; ".join(parts)
