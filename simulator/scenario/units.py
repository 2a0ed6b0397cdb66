"""Times in seconds so long that milliseconds were likely meant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from simulator.schema.topology import Topology
from simulator.schema.workload import RequestClass
from simulator.units import SECONDS_PER_HOUR

LONGEST_S = {"ttft_s": 100.0, "tpot_s": 2.0}
"""Limits of an SLO that no one who waits for an answer means, in seconds."""
LONGEST_WAIT_S = 7200.0
"""For a whole answer, unless whole hours are given, which milliseconds rarely are."""
LONGEST_NETWORK_S = 5.0
"""From a gateway to a replica."""
_SECONDS_PER_MS = 1e-3
Found = tuple[str, str, Any]


def class_unit_problems(path: str, cls: RequestClass) -> Iterator[Found]:
    """Limits that nobody waits for, as milliseconds taken for seconds are."""
    if cls.service_tier not in ("standard", "priority") or cls.arrivals.kind == "job":
        return
    who = "Who can wait so long has service_tier flex"
    for term, most_s in LONGEST_S.items():
        for percentile, limit_s in getattr(cls.slo, term).items():
            yield from _too_long(f"{path}.slo.{term}.{percentile}", limit_s, most_s, who)
    waits = {f"slo.e2e_s.{percentile}": limit_s for percentile, limit_s in cls.slo.e2e_s.items()}
    for where, wait_s in {**waits, "timeout_s": cls.timeout_s}.items():
        if wait_s % SECONDS_PER_HOUR:
            yield from _too_long(f"{path}.{where}", wait_s, LONGEST_WAIT_S, who)


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
    if value_s >= most_s:
        long = f"{value_s:g} s" if value_s < 30 else f"{value_s / 60:.3g} minutes"
        text = f"is {long}: did you mean {value_s:g} ms? Those are {value_s * _SECONDS_PER_MS:g}"
        yield path, f"{text}. {who}" if who else text, value_s
