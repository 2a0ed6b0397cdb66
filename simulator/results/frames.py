"""Tidy tables of what a summary and a decision say: a row each, a unit at the end of each name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Row = dict[str, Any]
_METRICS = ("slo_met", "slo_attainment", "arrived", "served_share", "cached_share", "goodput_rps")
_COSTS = (
    "usd_per_month",
    "usd_per_million_tokens",
    "usd_per_million_output_tokens",
    "usd_per_thousand_requests",
    "unused_share",
    "npv_usd",
)
_LATENCIES, _SHARES = ("ttft_s", "tpot_s", "e2e_s"), ("p50", "p90", "p95", "p99")


def topologies(summary: Mapping[str, Any], decision: Mapping[str, Any]) -> Iterator[Row]:
    """A row for each topology: whether it meets the SLO, money, latency."""
    winners = () if decision["withheld_by"] else decision["winners"]
    for name in summary["order"]:
        found = summary["topologies"][name]
        metrics, cost = found["metrics"], found["cost"]
        row: Row = {"topology": name, **{key: metrics[key] for key in _METRICS}, **{key: cost[key] for key in _COSTS}}
        for metric in _LATENCIES:
            row |= {f"{metric.removesuffix('_s')}_{share}_s": metrics[metric][share] for share in _SHARES}
        yield row | {"lasts_until": found["lasts_until"], "is_cheapest": name in winners}


def pools(summary: Mapping[str, Any], decision: Mapping[str, Any]) -> Iterator[Row]:
    """A row for each pool: hardware, limits of its engine, means over the replications."""
    yield from _listed(summary, "pools", "pool")


def providers(summary: Mapping[str, Any], decision: Mapping[str, Any]) -> Iterator[Row]:
    """A row for each token API that a topology calls."""
    yield from _listed(summary, "providers", "provider")


def replications(summary: Mapping[str, Any], decision: Mapping[str, Any]) -> Iterator[Row]:
    """A row for each topology and replication."""
    for name in summary["order"]:
        for number, found in enumerate(summary["topologies"][name]["replications"]):
            yield {"topology": name, "replication": number, **_plain(found)}


def slo_terms(summary: Mapping[str, Any], decision: Mapping[str, Any]) -> Iterator[Row]:
    """A row for each topology and term of the SLO."""
    for name in summary["order"]:
        for found in summary["topologies"][name]["metrics"]["slo_terms"]:
            yield {"topology": name, **_plain(found)}


def months(summary: Mapping[str, Any], decision: Mapping[str, Any]) -> Iterator[Row]:
    """A row for each topology and month of the study."""
    for name in summary["order"]:
        for found in decision["topologies"][name]["months"]:
            yield {"topology": name, **_plain(found), "replicas": sum(found["replicas"])}


def _listed(summary: Mapping[str, Any], key: str, word: str) -> Iterator[Row]:
    for name in summary["order"]:
        for found in summary["topologies"][name][key]:
            yield {"topology": name, word: found["name"], **_plain(found, "name")}


def _plain(found: Mapping[str, Any], *without: str) -> Row:
    return {key: value for key, value in found.items() if key not in without and not isinstance(value, dict | list)}


FRAMES: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], Iterator[Row]]] = {
    "topologies": topologies,
    "pools": pools,
    "providers": providers,
    "replications": replications,
    "slo_terms": slo_terms,
    "months": months,
}
"""By the name of the table."""
