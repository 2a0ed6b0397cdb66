"""What users and queues of a trial felt over its time: what a change of a run is looked at by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.fleet.records import Status
from simulator.simulate.demand import Demand
from simulator.simulate.key import outcome_key
from simulator.simulate.one import Outcome, Records, Subject, simulate_one
from simulator.simulate.store import Store

STRETCHES = 120
"""Into which the horizon is divided, of a second at least."""
_SHARE = 0.95
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class OverTime:
    """A trial by stretches of its time, arrays of equal length.

    Attributes
    ----------
    start_s : beginning of each stretch
    ttft_p95_s : within which 95 % of those that came in it had their first token, of those that were answered; else NaN
    waiting : requests that waited in all pools, mean of the samples in it; NaN without a sample
    lost : share of those that came in it which were lost; NaN where nothing came
    """

    start_s: Floats
    ttft_p95_s: Floats
    waiting: Floats
    lost: Floats

    def row(self, begin_s: float) -> dict[str, list[float]]:
        """Columns by name, in minutes of a run whose second `begin_s` is second 0 here."""
        return {
            "minutes": ((self.start_s + begin_s) / 60).tolist(),
            "ttft_p95_s": self.ttft_p95_s.tolist(),
            "waiting": self.waiting.tolist(),
            "lost_percent": (100 * self.lost).tolist(),
        }


def outcome_over_time(subject: Subject, demand: Demand, number: int, store: Store) -> tuple[Outcome, OverTime]:
    """Replication `number` of a fleet under a demand, and how it went; both from the store where they are there."""
    key = outcome_key(subject, demand, number)
    outcome, known = store.get(key), store.get(_key(key))
    if isinstance(outcome, Outcome) and isinstance(known, OverTime):
        return outcome, known
    kept: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []

    def keep(records: Records) -> None:
        answered = records[records["status"] == Status.COMPLETED]
        arrival_s = answered["arrival_s"].astype(np.float64)
        kept.append((arrival_s, answered["first_token_s"] - arrival_s))

    outcome = simulate_one(subject, demand, number, keep=keep)
    arrival_s, ttft_s = (np.concatenate([np.zeros(0), *(pair[k] for pair in kept)]) for k in (0, 1))
    found = over_time(outcome, outcome.metrics.end_s, arrival_s, ttft_s)
    store.put(key, outcome)
    store.put(_key(key), found)
    return outcome, found


def _key(key: str) -> str:
    return f"{key}-over-time"


def over_time(outcome: Outcome, horizon_s: float, arrival_s: Floats, ttft_s: Floats) -> OverTime:
    """A trial by stretches of its time.

    Parameters
    ----------
    arrival_s, ttft_s : of each request that was answered
    """
    count = int(np.clip(horizon_s, 1, STRETCHES))
    edges = np.linspace(0.0, horizon_s, count + 1)
    samples = outcome.run.samples
    times_s, number = np.unique(samples["time_s"], return_inverse=True)
    waiting = np.bincount(number, samples["waiting"], len(times_s))
    counts = outcome.demand.counts.sum(axis=1)
    periods_s = np.arange(len(counts)) * outcome.demand.period_s
    came, lost = (_sum(edges, periods_s, values) for values in (counts[:, 0], counts[:, 2:].sum(axis=1)))
    with np.errstate(invalid="ignore"):
        means = _sum(edges, times_s, waiting) / _sum(edges, times_s, np.ones(len(times_s)))
        return OverTime(edges[:-1], quantiles(edges, arrival_s, ttft_s, _SHARE), means, lost / came)


def quantiles(edges: Floats, at_s: Floats, values: Floats, share: float) -> Floats:
    """Of each stretch between edges, the least value that at least `share` of its values are not above; else NaN."""
    stretch = _stretch(edges, at_s)
    order = np.lexsort((values, stretch))
    stretch, ordered = stretch[order], values[order]
    first, last = (np.searchsorted(stretch, np.arange(len(edges) - 1), side) for side in ("left", "right"))
    place = first + np.maximum(np.ceil(share * (last - first)).astype(np.int64) - 1, 0)
    found = np.full(len(edges) - 1, np.nan)
    full = last > first
    found[full] = ordered[place[full]]
    return found


def _stretch(edges: Floats, at_s: NDArray[Any]) -> NDArray[np.int64]:
    return np.searchsorted(edges[1:-1], at_s, side="right").astype(np.int64)


def _sum(edges: Floats, at_s: NDArray[Any], values: NDArray[Any]) -> Floats:
    found: Floats = np.bincount(_stretch(edges, at_s), values, len(edges) - 1).astype(np.float64)
    return found
