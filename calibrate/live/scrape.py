"""Reads one page of a vLLM server's `/metrics`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from calibrate.live.fetch import fetch_lines, shown
from calibrate.live.histogram import Histogram, from_json
from simulator.errors import InputError, Problem

HISTOGRAMS = {
    "ttft_s": "vllm:time_to_first_token_seconds",
    "itl_s": "vllm:inter_token_latency_seconds",
    "tpot_s": "vllm:request_time_per_output_token_seconds",
    "e2e_s": "vllm:e2e_request_latency_seconds",
    "queue_s": "vllm:request_queue_time_seconds",
    "prefill_s": "vllm:request_prefill_time_seconds",
    "isl": "vllm:request_prompt_tokens",
    "osl": "vllm:request_generation_tokens",
}
GAUGES = {
    "running": "vllm:num_requests_running",
    "waiting": "vllm:num_requests_waiting",
    "kv_usage": "vllm:kv_cache_usage_perc",
}
COUNTERS = {
    "prompt_tokens": "vllm:prompt_tokens_total",
    "generation_tokens": "vllm:generation_tokens_total",
    "prefix_queries": "vllm:prefix_cache_queries_total",
    "prefix_hits": "vllm:prefix_cache_hits_total",
    "preemptions": "vllm:num_preemptions_total",
    "finished": "vllm:request_success_total",
}
"""Our names and those of vLLM 0.32; a counter is the sum over the labels of its series (engines, finish reasons)."""

MOST_COUNTED = 1e15
"""Tokens, requests or seconds that a server can have counted."""
_PREFIX = "vllm:"
_CACHE_INFO = "vllm:cache_config_info"
_CACHE_LABELS = ("block_size", "num_gpu_blocks", "enable_prefix_caching")
_ADDED_GAUGES = ("running", "waiting")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One reading of the metrics.

    Attributes
    ----------
    time_s : when it was read, Unix time
    counters, gauges, histograms : by our names (`COUNTERS`, `GAUGES`, `HISTOGRAMS`)
    cache : labels of `cache_config_info` that the comparison needs, as vLLM writes them
    """

    time_s: float
    counters: dict[str, float]
    gauges: dict[str, float]
    histograms: dict[str, Histogram]
    cache: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """One line of a recording."""
        return {
            "time_s": self.time_s,
            "counters": self.counters,
            "gauges": self.gauges,
            "histograms": {name: histogram.as_json() for name, histogram in self.histograms.items()},
            "cache": self.cache,
        }


def snapshot_from_json(value: dict[str, Any]) -> Snapshot:
    """The inverse of `Snapshot.as_json`.

    Raises
    ------
    ValueError, KeyError, TypeError, AttributeError : it is no such value
    """
    snapshot = Snapshot(
        float(value["time_s"]),
        {str(name): float(entry) for name, entry in value["counters"].items()},
        {str(name): float(entry) for name, entry in value["gauges"].items()},
        {str(name): from_json(entry) for name, entry in value["histograms"].items()},
        {str(name): str(entry) for name, entry in value["cache"].items()},
    )
    check(snapshot)
    return snapshot


def scrape(url: str, timeout_s: float) -> str:
    """The series of vLLM on a metrics page; OSError as `fetch_lines`."""
    return fetch_lines(url, _PREFIX, timeout_s)


def parse(text: str, time_s: float, model: str | None = None) -> Snapshot:
    """Read a metrics page; several engines of one model are added up.

    Parameters
    ----------
    model : label `model_name` to keep; needed only where a server has several

    Raises
    ------
    InputError : the page has several models and none was named, lacks series that vLLM 0.32 writes, or has values that
        no server counts
    """
    from prometheus_client.parser import text_string_to_metric_families

    try:
        families = text_string_to_metric_families(text)
        samples = [sample._replace(value=_number(sample.value)) for family in families for sample in family.samples]
    except ValueError as error:
        raise InputError(f"this is not a Prometheus metrics page: {shown(error)}") from error
    own = [sample for sample in samples if sample.name.startswith(_PREFIX)]
    models = sorted({sample.labels["model_name"] for sample in own if "model_name" in sample.labels})
    names = shown(", ".join(models))
    if model is None and len(models) > 1:
        raise InputError(Problem(f"the server has several models; name one: {names}", path="--model"))
    if model is not None and model not in models:
        raise InputError(Problem(f"the server has no such model; it has {names}", "--model", got=model))
    kept = [sample for sample in own if model is None or sample.labels.get("model_name", model) == model]
    _check_series(kept)
    snapshot = Snapshot(
        time_s,
        {name: _sum(kept, series) for name, series in COUNTERS.items()},
        {name: _gauge(kept, name, series) for name, series in GAUGES.items()},
        {name: _histogram(kept, series) for name, series in HISTOGRAMS.items()},
        _cache(kept),
    )
    try:
        check(snapshot)
    except ValueError as error:
        raise InputError(f"the page counts what no server can: {error}") from error
    return snapshot


def check(snapshot: Snapshot) -> None:
    """Refuse values that cannot be counts, times or shares, wherever they come from.

    Raises
    ------
    ValueError : a value that is not finite, negative or beyond `MOST_COUNTED`, or buckets that do not rise to infinity
    """
    for kind, values, names in (("counter", snapshot.counters, COUNTERS), ("gauge", snapshot.gauges, GAUGES)):
        if set(values) != set(names):
            raise ValueError(f"{kind}s must be {', '.join(names)}")
        for name, value in values.items():
            if not 0 <= value <= MOST_COUNTED:
                raise ValueError(f"{names[name]} is {value:g}")
    if set(snapshot.histograms) != set(HISTOGRAMS):
        raise ValueError(f"histograms must be {', '.join(HISTOGRAMS)}")
    for name, found in snapshot.histograms.items():
        edges, cumulative = found.edges, found.cumulative
        rises = len(edges) == len(cumulative) > 0 and edges[-1] == math.inf and bool(np.all(edges[1:] > edges[:-1]))
        if not (rises and (len(edges) == 1 or 0 <= edges[0] <= edges[-2] <= MOST_COUNTED)):
            raise ValueError(f"the buckets of {HISTOGRAMS[name]} do not rise to infinity")
        if not (cumulative[0] >= 0 and cumulative[-1] <= MOST_COUNTED and np.all(cumulative[1:] >= cumulative[:-1])):
            raise ValueError(f"the buckets of {HISTOGRAMS[name]} do not add up")
        if not 0 <= found.total <= MOST_COUNTED:
            raise ValueError(f"{HISTOGRAMS[name]}_sum is {found.total:g}")
    if not math.isfinite(snapshot.time_s):
        raise ValueError("the time is not finite")


def _check_series(samples: list[Any]) -> None:
    present = {sample.name for sample in samples}
    wanted = [*COUNTERS.values(), *GAUGES.values(), *(f"{name}_bucket" for name in HISTOGRAMS.values())]
    missing = [name.removesuffix("_bucket") for name in wanted if name not in present]
    if not present:
        raise InputError("the page has no series of vLLM: is this the /metrics address of a vLLM server?")
    if missing:
        raise InputError(
            "the server's metrics are not those of vLLM 0.32; missing: "
            f"{', '.join(missing)}; run a vLLM version that writes them"
        )


def _number(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _sum(samples: Iterable[Any], name: str) -> float:
    return float(sum(sample.value for sample in samples if sample.name == name))


def _gauge(samples: Iterable[Any], name: str, series: str) -> float:
    values = [sample.value for sample in samples if sample.name == series]
    return float(sum(values) if name in _ADDED_GAUGES else np.mean(values))


def _histogram(samples: Iterable[Any], name: str) -> Histogram:
    buckets: dict[float, float] = {}
    total = 0.0
    for sample in samples:
        if sample.name == f"{name}_bucket":
            edge = _edge(sample.labels.get("le", ""))
            buckets[edge] = buckets.get(edge, 0.0) + sample.value
        elif sample.name == f"{name}_sum":
            total += sample.value
    edges = np.array(sorted(buckets))
    return Histogram(edges, np.array([buckets[edge] for edge in edges.tolist()]), total)


def _edge(text: str) -> float:
    try:
        edge = float(text)
    except ValueError:
        edge = math.nan
    if math.isnan(edge):
        raise InputError(f"the upper end of a bucket is no number: {shown(text)!r}")
    return edge


def _cache(samples: Iterable[Any]) -> dict[str, str]:
    for sample in samples:
        if sample.name == _CACHE_INFO:
            return {label: shown(sample.labels[label]) for label in _CACHE_LABELS if label in sample.labels}
    return {}
