"""Service level objectives of a class, and which requests meet them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.fleet.records import Status

METRICS = ("ttft_s", "tpot_s", "e2e_s", "queue_s")


@dataclass(frozen=True, slots=True)
class SloTerm:
    """At least the share `quantile` of the arrived requests has `metric` within `limit_s`."""

    metric: str
    quantile: float
    limit_s: float

    def __str__(self) -> str:
        return f"{self.metric.removesuffix('_s')} p{self.quantile * 100:g} ≤ {self.limit_s:g} s"


@dataclass(frozen=True, slots=True)
class ClassSlo:
    """All terms of one class; a class without terms is met by completing."""

    name: str
    terms: tuple[SloTerm, ...] = ()


def begin_s(records: NDArray[Any]) -> NDArray[np.float64]:
    """When a request came to the target that served it: on arrival, or after a cascade's check of the first answer."""
    return np.asarray(np.fmax(records["arrival_s"], records["checked_s"]))


def latencies(records: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """TTFT, TPOT, E2E and queueing time by record, in s; NaN where a request has none.

    TTFT = first token - arrival, E2E = end - arrival, TPOT = (E2E - TTFT) / (OSL - 1), undefined for one token.
    """
    completed = records["status"] == Status.COMPLETED
    ttft = np.where(completed, records["first_token_s"] - records["arrival_s"], np.nan)
    e2e = np.where(completed, records["finish_s"] - records["arrival_s"], np.nan)
    gaps = np.where(records["generated"] > 1, records["generated"] - 1.0, np.nan)
    queue = np.where(completed, np.fmax(records["scheduled_s"] - begin_s(records), 0.0), np.nan)
    return {"ttft_s": ttft, "tpot_s": (e2e - ttft) / gaps, "e2e_s": e2e, "queue_s": queue}


def within(records: NDArray[Any], values: dict[str, NDArray[np.float64]], term: SloTerm) -> NDArray[np.bool_]:
    """Which requests keep the term's limit. An undefined TPOT keeps it; a request that was not completed never does."""
    completed = records["status"] == Status.COMPLETED
    value = values[term.metric]
    undefined = np.isnan(value) & (term.metric == "tpot_s")
    return np.asarray(completed & (undefined | (value <= term.limit_s)))
