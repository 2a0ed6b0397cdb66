"""Times in seconds so long that milliseconds were likely meant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from simulator.schema.topology import Topology
from simulator.schema.workload import RequestClass

LONGEST_S = {"ttft_s": 100.0, "tpot_s": 2.0, "e2e_s": 7200.0}
"""Limits of an SLO that no one who waits for an answer means, in seconds."""
LONGEST_WAIT_S = 7200.0
"""Of a client that goes on waiting."""
LONGEST_NETWORK_S = 5.0
"""From a gateway to a replica."""
_SECONDS_PER_MS = 1e-3
_MEANT_S = 3600.0
"""Whole multiples of it are meant: nobody has a limit of so many whole hours by chance."""
Found = tuple[str, str, Any]


def class_unit_problems(path: str, cls: RequestClass) -> Iterator[Found]:
    """Limits that nobody waits for, as milliseconds taken for seconds are."""
    if cls.service_tier not in ("standard", "priority") or cls.arrivals.kind == "job":
        return
    who = "Who can wait so long has service_tier flex"
    for term, most_s in LONGEST_S.items():
        for percentile, limit_s in getattr(cls.slo, term).items():
            yield from _too_long(f"{path}.slo.{term}.{percentile}", limit_s, most_s, who)
    yield from _too_long(f"{path}.timeout_s", cls.timeout_s, LONGEST_WAIT_S, who)


def topology_unit_problems(path: str, topology: Topology) -> Iterator[Found]:
    """Speeds of token APIs and delays of networks that would be useless, were they meant in seconds."""
    for k, pool in enumerate(topology.pools):
        if pool.network_s is not None:
            yield from _too_long(f"{path}.pools[{k}].network_s", pool.network_s, LONGEST_NETWORK_S)
    for k, provider in enumerate(topology.providers):
        for term in ("ttft_s", "tpot_s"):
            if (latency := getattr(provider, term)) is not None:
                yield from _too_long(f"{path}.providers[{k}].{term}.median", latency.median, LONGEST_S[term])


def _too_long(path: str, value_s: float, most_s: float, who: str = "") -> Iterator[Found]:
    if value_s >= most_s and value_s % _MEANT_S:
        long = f"{value_s:g} s" if value_s < 30 else f"{value_s / 60:.3g} minutes"
        text = f"is {long}: did you mean {value_s:g} ms, {value_s * _SECONDS_PER_MS:g}?"
        yield path, f"{text} {who}".strip(), value_s
