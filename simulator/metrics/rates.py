"""Rates of the window: what happened from the end of the warm-up to the horizon, by its length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.fleet.records import Status
from simulator.study.usage import PoolUsage


@dataclass(slots=True)
class Throughput:
    """What happened to the requests of one class, or of all, within [start_s, end_s], whenever they arrived.

    Attributes
    ----------
    n_pools : targets that are pools, the first ones; the others are token APIs
    completed, good : requests that were completed, and those within all limits of their class
    input_tokens : prompts of these
    output_tokens : tokens that were streamed, evenly from a request's first to its last one
    answered : requests that were completed, by the ledger of the bill: those of token APIs by the time of their calls,
        however late the answer comes
    """

    start_s: float
    end_s: float
    n_pools: int
    completed: int = 0
    good: int = 0
    input_tokens: int = 0
    output_tokens: float = 0.0
    answered: int = 0

    def add(self, records: NDArray[Any], good: NDArray[np.bool_]) -> None:
        """Count a batch of ended requests."""
        done = records["status"] == Status.COMPLETED
        ended = self._within(records["finish_s"])
        self.completed += int((done & ended).sum())
        by_pool, made_s = records["target"] < self.n_pools, records["scheduled_s"]
        made = (made_s >= self.start_s) & (made_s < self.end_s) & (done | (records["status"] == Status.UNFINISHED))
        self.answered += int(np.where(by_pool, done & ended, made).sum())
        self.good += int((good & ended).sum())
        self.input_tokens += int(records["isl"][done & ended].sum())
        self.output_tokens += float(streamed_tokens(records, self.start_s, self.end_s).sum())

    def _within(self, times_s: NDArray[np.float64]) -> NDArray[np.bool_]:
        return np.asarray((times_s >= self.start_s) & (times_s <= self.end_s))

    def merge(self, other: Throughput) -> None:
        for name in ("completed", "good", "input_tokens", "output_tokens", "answered"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


def streamed_tokens(records: NDArray[Any], start_s: float, end_s: float) -> NDArray[np.float64]:
    """Tokens of each request that came within the window, if they came evenly from the first to the last.

    n·|[first, last] ∩ window| / (last - first); all or none for a request whose tokens came at one instant.
    """
    first = np.where(records["generated"] > 0, records["first_token_s"], np.nan)
    span = records["finish_s"] - first
    common = np.clip(np.minimum(records["finish_s"], end_s) - np.maximum(first, start_s), 0.0, None)
    at_once = (first >= start_s) & (first <= end_s)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(span > 0, common / span, at_once)
    return np.asarray(np.where(np.isnan(first), 0.0, records["generated"] * share))


def token_rates(
    processed: NDArray[np.int64],
    delivered: NDArray[np.int64],
    total: Throughput,
    classes: Sequence[Throughput],
    window_s: float,
) -> tuple[dict[str, float], list[dict[str, float]]]:
    """Tokens per second over all requests, and delivered ones by class.

    Tokens are those of the ledger of the window, so tokens per second times a month are the tokens that the bill is
    shared over. They are split over the classes as the streams of their requests are.

    Parameters
    ----------
    processed, delivered : shape (targets, 3) and (targets, 2), as `Usage` has them
    window_s : length of the window, times the number of replications
    """
    counted = processed.sum(axis=0)
    found = dict(zip(("input", "output"), delivered.sum(axis=0).tolist(), strict=True))
    rates = {f"{kind}_tokens_per_s": tokens / window_s for kind, tokens in found.items()}
    by_class = []
    for one in classes:
        shares = {kind: _share(getattr(one, f"{kind}_tokens"), getattr(total, f"{kind}_tokens")) for kind in found}
        by_class.append({f"{kind}_tokens_per_s": shares[kind] * rates[f"{kind}_tokens_per_s"] for kind in found})
    rates["processed_tokens_per_s"] = float(counted[0] + counted[2]) / window_s
    return rates, by_class


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def time_in_steps(pools: Sequence[PoolUsage]) -> float:
    """GPU-seconds with a step running / GPU-seconds of ready replicas; NaN where none was ready."""
    busy = sum(pool.busy_s * pool.gpus_per_replica for pool in pools)
    ready = sum((pool.busy_s + pool.idle_s) * pool.gpus_per_replica for pool in pools)
    return busy / ready if ready else float("nan")
