"""Tables of a bundle that do not grow with the number of requests: what views and reports read instead of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from simulator.fleet.events import KINDS
from simulator.fleet.records import Status
from simulator.fleet.simulate import FleetRun
from simulator.metrics.accumulate import MetricAccumulator
from simulator.metrics.demand import COUNTS, Demand
from simulator.metrics.slo import METRICS
from simulator.resolve.topology import PlannedTopology
from simulator.simulate.one import target_names

_SHARES = np.unique(np.concatenate([np.linspace(0.0, 0.98, 99), 1 - np.geomspace(0.02, 1e-4, 40)])).round(6)
"""Shares at which a distribution is kept: every percent, and finer towards the slowest."""


def latency_frame(topology: str, metrics: MetricAccumulator) -> pd.DataFrame:
    """Rows of `latency.parquet`: the distribution function of each class and metric.

    Columns: `topology`, `class`, `metric` (`ttft_s`, `tpot_s`, …), `share` and `value_s`: that share of the values is
    at most `value_s`. Classes without values have no rows.
    """
    found = [
        (slo.name, metric, tally.sketches[metric].values_at(_SHARES))
        for slo, tally in zip(metrics.classes, metrics.by_class, strict=True)
        for metric in METRICS
        if tally.sketches[metric].n
    ]
    names, kinds, values_s = zip(*found, strict=True) if found else ((), (), ())
    frame = pd.DataFrame(
        {
            "class": np.repeat(np.array(names, object), len(_SHARES)),
            "metric": np.repeat(np.array(kinds, object), len(_SHARES)),
            "share": np.tile(_SHARES, len(found)),
            "value_s": np.concatenate([_SHARES[:0], *values_s]),
        }
    )
    frame.insert(0, "topology", topology)
    return frame


def request_frame(records: NDArray[Any], planned: PlannedTopology, number: int) -> pd.DataFrame:
    """Rows of `requests.parquet`: the records with names instead of indices."""
    frame = pd.DataFrame({name: records[name] for name in records.dtype.names or ()})
    for column, labels in (
        ("class_id", [cls.name for cls in planned.fleet.classes]),
        ("status", [status.name.lower() for status in Status]),
        ("target", target_names(planned)),
        ("prefill_target", target_names(planned)),
    ):
        frame[column] = pd.array([*labels, ""], dtype="str").take(records[column])
    frame.insert(0, "replication", number)
    frame.insert(0, "topology", planned.name)
    return frame.rename(columns={"class_id": "class"})


def fleet_frame(run: FleetRun, planned: PlannedTopology, number: int) -> pd.DataFrame:
    """Rows of `fleet.parquet`: the samples of all pools."""
    frame = pd.DataFrame(run.samples)
    frame["pool"] = [planned.fleet.pools[k].name for k in frame["pool"]]
    frame.insert(0, "replication", number)
    frame.insert(0, "topology", planned.name)
    return frame


def demand_frame(demand: Demand, planned: PlannedTopology, number: int) -> pd.DataFrame:
    """Rows of `demand.parquet`: requests by time of arrival and target, one for each period and target.

    Columns: `topology`, `replication`, `time_s` and `period_s` (start and length of the period), `target` (that had the
    request last; empty for none), `arrived`, `overflowed` and, by why they were lost, those of `metrics.demand.LOST`.
    """
    periods, targets, _ = demand.counts.shape
    frame = pd.DataFrame(demand.counts.reshape(-1, len(COUNTS)), columns=list(COUNTS))
    frame.insert(0, "time_s", np.repeat(np.arange(periods) * demand.period_s, targets))
    frame.insert(1, "period_s", demand.period_s)
    frame.insert(2, "target", [*target_names(planned), ""] * periods)
    return _numbered(frame, planned, number)


def events_frame(run: FleetRun, planned: PlannedTopology, number: int) -> pd.DataFrame:
    """Rows of `events.parquet`: what happened to replicas, pools and providers (`simulator.fleet.events`).

    Columns: `topology`, `replication`, `target` (pool or provider), `replica` (-1 for none or several), `kind`,
    `start_s`, `end_s`, `count` (events in the row) and `replica_s` (billed time in it).
    """
    events = run.events
    frame = pd.DataFrame({name: events[name] for name in events.dtype.names or ()})
    frame["kind"] = np.array(KINDS, object)[events["kind"]].astype(str)
    frame["target"] = np.array(target_names(planned), object)[events["target"]].astype(str)
    columns = ["target", "replica", "kind", "start_s", "end_s", "count", "replica_s"]
    return _numbered(frame[columns], planned, number)


def _numbered(frame: pd.DataFrame, planned: PlannedTopology, number: int) -> pd.DataFrame:
    frame.insert(0, "replication", number)
    frame.insert(0, "topology", planned.name)
    return frame
