"""What users and queues of a trial felt over its time: what a change of a run is looked at by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    edges_s : where stretches begin, and where the last one ends: one more than there are stretches
    ttft_p95_s : within which 95 % of those that came in it had their first token, of those that were answered; else NaN
    waiting : requests that waited in all pools, mean of the samples in it; NaN without a sample
    lost : share of those that came in it which were lost; NaN where nothing came
    """

    edges_s: Floats
    ttft_p95_s: Floats
    waiting: Floats
    lost: Floats


def row_over_time(felt: Sequence[OverTime], begin_s: float) -> dict[str, list[float]]:
    """Columns by name: means over replications, in minutes of a run whose second `begin_s` is second 0 here.

    Each is the mean of those that have a value then, NaN where none has; of several replications there are the smallest
    and the largest, too, as `…_low` and `…_high`. Where they end at different times, as jobs do, stretches are those of
    the longest.
    """
    edges_s = max((one.edges_s for one in felt), key=lambda edges: float(edges[-1]))
    middle_s = (edges_s[:-1] + edges_s[1:]) / 2
    row = {"minutes": ((edges_s[:-1] + begin_s) / 60).tolist()}
    columns: dict[str, Callable[[OverTime], Floats]] = {
        "ttft_p95_s": lambda one: one.ttft_p95_s,
        "waiting": lambda one: one.waiting,
        "lost_percent": lambda one: 100 * one.lost,
    }
    for name, column in columns.items():
        grid = np.array([_at(middle_s, one.edges_s, column(one)) for one in felt])
        with np.errstate(invalid="ignore"):
            row[name] = (np.nansum(grid, axis=0) / np.sum(~np.isnan(grid), axis=0)).tolist()
        if len(felt) > 1:
            row[f"{name}_low"] = np.fmin.reduce(grid).tolist()
            row[f"{name}_high"] = np.fmax.reduce(grid).tolist()
    return row


def _at(times_s: Floats, edges_s: Floats, values: Floats) -> Floats:
    """The values of the stretches that hold these times; NaN after the last."""
    return np.where(times_s < edges_s[-1], values[_stretch(edges_s, times_s)], np.nan)


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
        return OverTime(edges, quantiles(edges, arrival_s, ttft_s, _SHARE), means, lost / came)


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
