"""What happened in the control plane: stays of replicas in their states, faults and outages, bounded in number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.fleet.lifecycle import (
    DOWN,
    FAILURE,
    LEAVING,
    RECLAIM,
    SERVING,
    STARTING,
    STOCK_OUT,
    PoolControl,
    Span,
)
from simulator.fleet.outages import OutageClock
from simulator.study.fleet import FleetSpec

STAGES = ("provision", "image", "weights", "engine")
"""Of a cold start, in order. A server in use needs no provision, a repaired one starts its engine alone, a spare that
stands in also fetches image and weights."""
ZONE_OUTAGE, PROVIDER_OUTAGE = "zone_outage", "provider_outage"
NO_CAPACITY, THROTTLING = "no_capacity", "throttling"
_SPANS = (ZONE_OUTAGE, PROVIDER_OUTAGE, NO_CAPACITY, THROTTLING)
KINDS = (*STAGES, SERVING, LEAVING, DOWN, FAILURE, RECLAIM, STOCK_OUT, *_SPANS)
"""Names of `kind`. A replica is paid for in its stages, while it serves, drains (leaving) and is repaired (down) if its
machine is owned."""

EVENT = np.dtype(
    [
        ("kind", np.int32),  # index into KINDS
        ("target", np.int32),  # pools first, then providers
        ("replica", np.int32),  # within the fleet; -1 for none, and where several were added up
        ("start_s", np.float64),
        ("end_s", np.float64),
        ("count", np.int64),  # events in this row: 1 unless there were too many
        ("replica_s", np.float64),  # billed time in it
    ],
    align=True,
)

MOST_EVENTS = 5_000
"""Rows of a topology; where there are more, events of a kind that begin in the same stretch of time become one."""
_MOST_STRETCHES = 360


def control_events(
    controls: Sequence[PoolControl],
    zones: Sequence[OutageClock],
    providers: Sequence[OutageClock],
    spec: FleetSpec,
    start_s: float,
    end_s: float,
) -> NDArray[Any]:
    """Events of [0, end_s] in order of their start, shape (n,), dtype EVENT.

    Billed time of the window that begins at `start_s` is in it once: per pool `replica_s` adds up to
    `PoolUsage.billed_s`.
    """
    rows: list[tuple[Any, ...]] = []
    for target, (control, zone) in enumerate(zip(controls, zones, strict=True)):
        rows += _pool_rows(target, control, start_s, end_s)
        rows += [(ZONE_OUTAGE, target, -1, *span, 0.0) for span in zone.spans_until(end_s)]
        rows += [(NO_CAPACITY, target, -1, *span, 0.0) for span in _until(control.spec.reliability.stock_outs, end_s)]
    for target, (provider, clock) in enumerate(zip(spec.providers, providers, strict=True), len(controls)):
        rows += [(PROVIDER_OUTAGE, target, -1, *span, 0.0) for span in clock.spans_until(end_s)]
        throttled = [(begin_s, over_s) for begin_s, over_s, _ in provider.throttling]
        rows += [(THROTTLING, target, -1, *span, 0.0) for span in _until(throttled, end_s)]
    found = np.zeros(len(rows), EVENT)
    numbers = {kind: number for number, kind in enumerate(KINDS)}
    for row, (kind, *values) in zip(found, rows, strict=True):
        row["kind"] = numbers[kind]
        row["target"], row["replica"], row["start_s"], row["end_s"], row["replica_s"] = values
    found["count"] = 1
    return bounded_events(found, end_s)


def _until(spans: Sequence[tuple[float, float]], end_s: float) -> list[tuple[float, float]]:
    """Spans as far as they lie before the end."""
    return [(begin_s, min(over_s, end_s)) for begin_s, over_s in spans if begin_s < end_s]


def bounded_events(events: NDArray[Any], end_s: float, most: int = MOST_EVENTS) -> NDArray[Any]:
    """Events in order of their start, merged by stretches of time where there are more than `most`.

    As long as the kinds and targets that occur together are no more than `most`, neither are the rows.
    """
    if len(events) > most:
        occurring = len(np.unique(events[["kind", "target"]]))
        events = merged_events(events, end_s, min(max(most // occurring, 1), _MOST_STRETCHES))
    return events[np.lexsort([events["replica"], events["kind"], events["target"], events["start_s"]])]


def _pool_rows(target: int, control: PoolControl, begin_s: float, end_s: float) -> Iterator[tuple[Any, ...]]:
    for span in control.spans(end_s):
        stages = _stages(span) if span.state == STARTING else [(span.state, span.start_s, span.end_s)]
        for kind, start_s, stage_end_s in stages:
            yield kind, target, span.replica, start_s, stage_end_s, max(stage_end_s - max(start_s, begin_s), 0.0)
    for kind, time_s, replica in control.ledger.marks:
        yield kind, target, replica, time_s, time_s, 0.0


def _stages(span: Span) -> list[tuple[str, float, float]]:
    """A start by its stages, as far as it got."""
    found = []
    begin_s = span.start_s
    for stage, length_s in zip(STAGES, span.stages, strict=True):
        until_s = span.end_s if stage == STAGES[-1] else min(begin_s + length_s, span.end_s)
        if until_s > begin_s:
            found.append((stage, begin_s, until_s))
        begin_s = until_s
    return found


def merged_events(events: NDArray[Any], end_s: float, stretches: int) -> NDArray[Any]:
    """At most one row of each kind and target in each stretch of time; counts and billed time stay what they were.

    Parameters
    ----------
    events : dtype EVENT
    stretches : equal parts of [0, end_s]; an event belongs to the one in which it starts
    """
    stretch = np.minimum((events["start_s"] / end_s * stretches).astype(np.int64), stretches - 1)
    key = (stretch * len(KINDS) + events["kind"]) * (int(events["target"].max(initial=0)) + 1) + events["target"]
    _, first, group = np.unique(key, return_index=True, return_inverse=True)
    found = events[first].copy()
    found["replica"] = -1
    found["end_s"] = found["start_s"]
    np.minimum.at(found["start_s"], group, events["start_s"])
    np.maximum.at(found["end_s"], group, events["end_s"])
    found["count"] = np.bincount(group, weights=events["count"]).astype(np.int64)
    found["replica_s"] = np.bincount(group, weights=events["replica_s"])
    return found
