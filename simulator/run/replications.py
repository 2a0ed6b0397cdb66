"""The replications of a topology, written to the bundle as they are simulated."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from simulator.fleet.records import RECORD
from simulator.resolve.topology import PlannedTopology
from simulator.results.bundle import BundleWriter
from simulator.run.tables import demand_frame, events_frame, fleet_frame, request_frame
from simulator.simulate.demand import Demand
from simulator.simulate.key import outcome_key
from simulator.simulate.one import Keep, Outcome, Progress, Records, Subject, simulate_one, subject_of
from simulator.simulate.rows import Rows
from simulator.simulate.store import Store
from simulator.simulate.stored import stored_outcome

_ROWS_AT_ONCE = 65536
"""Requests that are written to a bundle together."""


class _RequestRows:
    """Rows of `requests.parquet` of one replication, written in blocks."""

    def __init__(self, bundle: BundleWriter, topology: PlannedTopology, number: int) -> None:
        self._bundle, self._topology, self._number = bundle, topology, number
        self._rows: list[Records] = []

    def keep(self, records: Records) -> None:
        self._rows.append(records)
        if sum(map(len, self._rows)) >= _ROWS_AT_ONCE:
            self.write()

    def write(self) -> None:
        """Write what has come since the last block."""
        if self._rows:
            frame = request_frame(np.concatenate(self._rows), self._topology, self._number)
            self._bundle.append("requests.parquet", frame.astype({"topology": "str"}))
            self._rows.clear()


def simulate_into(
    bundle: BundleWriter,
    topology: PlannedTopology,
    demand: Demand,
    keep_requests: bool,
    store: Store,
    kept: Rows | None,
    progress: Callable[[int, float], None],
) -> list[Outcome]:
    """Simulate every replication of a topology; its requests, samples, demand and events go to the bundle.

    Parameters
    ----------
    store : of outcomes without rows: what is there is not simulated again where no requests are kept
    kept : requests of outcomes that are in the store: these are not simulated again either
    progress : called with the replication and the simulated time
    """
    done = []
    for number in range(demand.replications):

        def tick(now: float, number: int = number) -> None:
            progress(number, now)

        if keep_requests:
            rows = _RequestRows(bundle, topology, number)
            outcome = _with_rows(subject_of(topology), demand, number, rows.keep, store, kept, tick)
            rows.write()
            nothing = request_frame(np.empty(0, RECORD), topology, number)
            bundle.append("requests.parquet", nothing.astype({"topology": "str"}))
        else:
            outcome = stored_outcome(subject_of(topology), demand, number, store, tick)
        bundle.append("fleet.parquet", fleet_frame(outcome.run, topology, number))
        bundle.append("demand.parquet", demand_frame(outcome.demand, topology, number))
        bundle.append("events.parquet", events_frame(outcome.run, topology, number))
        done.append(outcome)
    return done


def _with_rows(
    subject: Subject,
    demand: Demand,
    number: int,
    keep: Keep,
    store: Store,
    kept: Rows | None,
    progress: Progress,
) -> Outcome:
    key = outcome_key(subject, demand, number)
    known, blocks = store.get(key), kept.of(key) if kept else None
    if isinstance(known, Outcome) and blocks is not None:
        for records in blocks:
            keep(records)
        return known
    outcome = simulate_one(subject, demand, number, keep=keep, progress=progress)
    store.put(key, outcome)
    return outcome


def kept_outcome(
    subject: Subject,
    demand: Demand,
    number: int,
    store: Store,
    rows: Rows | None,
    progress: Progress | None = None,
) -> Outcome:
    """A replication of what is shown, its requests kept for whoever writes them."""
    if rows is None:
        return stored_outcome(subject, demand, number, store, progress)
    key = outcome_key(subject, demand, number)
    known = store.get(key)
    if isinstance(known, Outcome) and rows.has(key):
        return known
    with rows.taking(key) as keep:
        outcome = simulate_one(subject, demand, number, keep=keep, progress=progress)
    store.put(key, outcome)
    return outcome
