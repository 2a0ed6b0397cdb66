"""Rows of a sweep's table: one for each topology of each point."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from simulator.decide.standing import BY_REPLICATION, CHANCE_COLUMNS
from simulator.decide.why import unmeasured_words
from simulator.results.bundle import finite
from simulator.run.evaluate import Evaluation
from simulator.scenario.short_names import short_names

_METRICS = (
    "slo_met",
    "slo_attainment",
    "slo_attainment_low",
    "slo_attainment_high",
    "served_share",
    "turns_served",
    "goodput_rps",
    "throughput_rps",
    "input_tokens_per_s",
    "output_tokens_per_s",
    "overflow_share",
)
_COSTS = (
    "usd_per_month",
    "usd_per_month_half_width",
    "usd_per_million_tokens",
    "usd_per_million_output_tokens",
    "usd_per_million_processed_tokens",
    "usd_per_thousand_requests",
    "capex_usd",
)
_SHARES = ("p50", "p95", "p99")


def figures(outcome: Evaluation) -> dict[str, Any]:
    """What a row says of an outcome: times in s, money in USD, NaN as None."""
    summary = outcome.summary
    metrics, cost = summary.metrics, summary.cost
    span = summary.replicas or (None, None)
    row = {name: metrics[name] for name in _METRICS}
    row |= {"slo_met": outcome.slo_met, "lasts_until": summary.lasts_until}
    for name in ("ttft", "tpot", "e2e"):
        row |= {f"{name}_{share}_s": metrics[f"{name}_s"][share] for share in _SHARES}
    row |= {"time_in_steps": summary.time_in_steps, "replicas_min": span[0], "replicas_max": span[1]}
    row |= {name: cost[name] for name in _COSTS}
    row |= {name: (cost["chance"] or {}).get(part) for name, part in CHANCE_COLUMNS.items()}
    bills = [one["usd_per_month"] for one in summary.replications]
    unknown = [(one["class"], one["period"]) for one in summary.unmeasured]
    row["not_known"] = unmeasured_words(unknown) if unknown else None
    row[BY_REPLICATION] = bills if len(bills) > 1 else None
    row["calibrated"] = summary.calibrated
    found: dict[str, Any] = finite(row)
    return found


def column(values: Sequence[Any]) -> list[Any]:
    """Values of an axis as one column: numbers, truth values or text as they are, a mixture as JSON."""
    kinds = {float if type(value) is int else type(value) for value in values}
    if len(kinds) == 1 and kinds <= {bool, float, str}:
        return list(values)
    return [json.dumps(value, ensure_ascii=False, sort_keys=True) for value in values]


def where(values: Mapping[str, Any]) -> str:
    """A point in words, as `tensor_parallel_size=2, seed=1`."""
    names = short_names([*values])
    return ", ".join(f"{names[path]}={value}" for path, value in values.items())
