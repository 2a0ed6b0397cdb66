"""The simulator under the load that the server saw, and both side by side."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrate.live.load import twin_requests
from calibrate.live.window import Observation
from simulator.engine.config import EngineConfig
from simulator.errors import InputError
from simulator.fleet.records import Status
from simulator.fleet.single import run_single
from simulator.perf.steptime import StepTime

METRICS = ("ttft_s", "tpot_s", "itl_s", "e2e_s", "queue_s", "prefill_s")
"""Latencies that the server's metrics and the simulation both have."""
_QUANTILES = (0.5, 0.9, 0.99)
LEAST_S = 0.001
"""Differences below it are those of clocks and loops, not of steps."""
MOST_BLOCKS = 50_000_000
"""KV blocks of one replica that a server may say it has; no machine has the memory for more."""


@dataclass(frozen=True, slots=True)
class Twin:
    """Completed requests of the simulation.

    Attributes
    ----------
    arrival_s, finish_s, osl : by request
    latencies_s : by metric and request; NaN where undefined (TPOT of one token)
    preemptions, hit_share : totals of the run
    """

    arrival_s: NDArray[np.float64]
    finish_s: NDArray[np.float64]
    osl: NDArray[np.int32]
    latencies_s: dict[str, NDArray[np.float64]]
    preemptions: int
    hit_share: float

    def mean_s(self, metric: str) -> float:
        """Mean as the server counts it: over requests; for ITL over gaps."""
        values = self.latencies_s[metric]
        if metric == "itl_s":
            gaps = np.maximum(self.osl - 1, 0)
            return float((np.nan_to_num(values) * gaps).sum() / gaps.sum()) if gaps.any() else float("nan")
        return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")

    def quantile_s(self, metric: str, q: float) -> float:
        """Quantile over requests; for ITL over gaps, each request's at its own mean."""
        values = self.latencies_s[metric]
        weights = np.maximum(self.osl - 1, 0) if metric == "itl_s" else np.ones(len(values))
        kept = np.isfinite(values) & (weights > 0)
        if not kept.any():
            return float("nan")
        order = np.argsort(values[kept], kind="stable")
        reached = np.cumsum(weights[kept][order])
        return float(values[kept][order][np.searchsorted(reached, q * reached[-1])])


def simulate_twin(observation: Observation, config: EngineConfig, step_time: StepTime, seed: int) -> Twin:
    """Serve requests like those seen on one replica."""
    requests = twin_requests(observation, seed)
    records = run_single(config, step_time, requests).records
    done = records[records["status"] == Status.COMPLETED]
    ttft_s = done["first_token_s"] - done["arrival_s"]
    e2e_s = done["finish_s"] - done["arrival_s"]
    gaps = (done["osl"] - 1).astype(np.float64)
    tpot_s = np.divide(e2e_s - ttft_s, gaps, out=np.full(len(done), np.nan), where=gaps > 0)
    prompt_tokens = float(done["isl"].sum())
    return Twin(
        done["arrival_s"].copy(),
        done["finish_s"].copy(),
        done["osl"].copy(),
        {
            "ttft_s": ttft_s,
            "tpot_s": tpot_s,
            "itl_s": tpot_s,
            "e2e_s": e2e_s,
            "queue_s": done["scheduled_s"] - done["arrival_s"],
            "prefill_s": done["first_token_s"] - step_time.request_overhead_s - done["scheduled_s"],
        },
        int(records["preemptions"].sum()),
        float(done["cached_tokens"].sum()) / prompt_tokens if prompt_tokens else 0.0,
    )


def server_config(config: EngineConfig, cache: dict[str, str]) -> EngineConfig:
    """The profile's engine with the KV cache that the server reports."""
    changes: dict[str, Any] = {}
    for label, name in (("num_gpu_blocks", "num_blocks"), ("block_size", "block_size")):
        if cache.get(label, "None") != "None":
            changes[name] = _count(label, cache[label])
    if "enable_prefix_caching" in cache:
        changes["enable_prefix_caching"] = cache["enable_prefix_caching"] == "True"
    return replace(config, **changes)


def _count(label: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < MOST_BLOCKS):
        raise InputError(f"the server says of its KV cache: {label} is {text!r}")
    return int(text)


def compare(observation: Observation, twin: Twin) -> list[dict[str, Any]]:
    """Measured against predicted, one row a metric and statistic.

    A mean is exact on both sides. A measured quantile is only known to lie in a bucket: `error` is then the distance
    to the nearer end of it, 0 inside, and `bound` is half the bucket's width over its middle: what the buckets hide.
    A statistic that is below a millisecond on both sides is left out: its relative error says nothing.
    """
    rows: list[dict[str, Any]] = []
    for metric in METRICS:
        measured = observation.histogram(metric)
        rows.append(_row(metric, "mean", measured.mean, measured.mean, twin.mean_s(metric)))
        for q in _QUANTILES:
            low, high = measured.quantile_bounds(q)
            rows.append(_row(metric, f"p{100 * q:g}", low, high, twin.quantile_s(metric, q)))
    return [row for row in rows if max(row["measured_high"], row["predicted"]) >= LEAST_S]


def _row(metric: str, statistic: str, low: float, high: float, predicted: float) -> dict[str, Any]:
    nearest = float(np.clip(predicted, low, high)) if np.isfinite(predicted) else float("nan")
    middle = (low + high) / 2
    return {
        "metric": metric,
        "statistic": statistic,
        "measured_low": low,
        "measured_high": high,
        "predicted": predicted,
        "error": predicted / nearest - 1.0 if nearest else float("nan"),
        "bound": (high - low) / 2 / middle if middle and np.isfinite(middle) else float("nan"),
    }
