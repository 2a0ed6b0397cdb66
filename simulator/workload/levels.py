"""The same workload with more or fewer requests, at their own clock: what a month of growth or a period asks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError, Problem
from simulator.workload.jobs import NEVER, JobWorkload, scaled_job
from simulator.workload.requests import Requests
from simulator.workload.rows import select
from simulator.workload.spec import (
    Arrivals,
    ClassWorkload,
    ClosedLoopArrivals,
    Constant,
    Gamma,
    Poisson,
    Profile,
    Schedule,
    Sessions,
    WorkloadSpec,
)


def at_level(spec: WorkloadSpec, factors: Sequence[float]) -> WorkloadSpec:
    """The workload with the arrivals of each class multiplied; nothing moves in time.

    Rates and sessions are multiplied by rate, jobs by their requests, the users of a closed loop in whole users (at
    least one), the rows of a trace one by one (`repeat_rows`). A factor of 1 changes nothing, with 0 nobody comes.

    Parameters
    ----------
    factors : by class, at least 0

    Raises
    ------
    InputError : not a factor for each class, or one that is not a number of at least 0
    """
    if len(factors) != len(spec.classes):
        raise InputError(
            Problem(f"needs {len(spec.classes)} factors, one a class", path="level", got=str(len(factors)))
        )
    bad = [factor for factor in factors if not (math.isfinite(factor) and factor >= 0)]
    if bad:
        raise InputError(Problem("must be a number of at least 0", path="level", got=f"{bad[0]:g}"))
    return WorkloadSpec(tuple(_at(cls, factor) for cls, factor in zip(spec.classes, factors, strict=True)))


def _at(cls: ClassWorkload, factor: float) -> ClassWorkload:
    if factor == 1.0:
        return cls
    if factor == 0.0:
        return _nobody(cls)
    if isinstance(cls, JobWorkload):
        return scaled_job(cls, factor)
    return replace(cls, arrivals=_scaled(cls.arrivals, factor))


def _nobody(cls: ClassWorkload) -> ClassWorkload:
    """The class without any request, so that it keeps its place."""
    kept = {one.name: getattr(cls, one.name) for one in fields(ClassWorkload)}
    any_length = Constant(1)
    kept |= {"arrivals": NEVER, "isl": cls.isl or any_length, "osl": cls.osl or any_length}
    return ClassWorkload(**kept)


def at_clock(spec: WorkloadSpec, clock_s: float) -> WorkloadSpec:
    """The workload with rates that follow the hour as if its second 0 were at `clock_s`; nobody stays nobody."""
    return WorkloadSpec(tuple(_at_clock(cls, clock_s) for cls in spec.classes))


def _at_clock(cls: ClassWorkload, clock_s: float) -> ClassWorkload:
    if not isinstance(cls.arrivals, Schedule) or cls.arrivals == NEVER:
        return cls
    return replace(cls, arrivals=replace(cls.arrivals, clock_s=clock_s))


def _scaled(arrivals: Arrivals, factor: float) -> Arrivals:
    match arrivals:
        case Poisson() | Gamma() | Schedule() | Sessions():
            return replace(arrivals, rate_rps=arrivals.rate_rps * factor)
        case Profile():
            return replace(arrivals, rate_scale=arrivals.rate_scale * factor)
        case ClosedLoopArrivals():
            return replace(arrivals, concurrency=max(math.floor(arrivals.concurrency * factor + 0.5), 1))
        case _:
            return replace(arrivals, row_factor=arrivals.row_factor * factor)


def repeat_rows(rows: Requests, factor: float) -> Requests:
    """Rows of a trace kept or repeated by their number, at their own times.

    Row i is there floor((i + 1) f) - floor(i f) times; rows of one session go together and count as one, by the place
    of their first. Repetitions stand evenly between the row and the next one, and their content is that of other users:
    they share among themselves what the originals share.

    Parameters
    ----------
    rows : all open, in order of arrival
    """
    if factor == 1.0 or not len(rows):
        return rows
    unit = _units(rows.session_id)
    n = np.arange(int(unit.max()) + 1)
    times = (np.floor((n + 1) * factor) - np.floor(n * factor)).astype(np.int64)
    if not times.any():
        times[0] = 1
    copies = times[unit]
    kept = np.repeat(np.arange(len(rows)), copies)
    number = np.arange(len(kept)) - np.repeat(np.cumsum(copies) - copies, copies)
    arrival_s = rows.arrival_s[kept] + number / copies[kept] * _gaps_s(rows.arrival_s)[kept]
    order = np.argsort(arrival_s, kind="stable")
    kept, number = kept[order], number[order]
    picked = select(rows, kept)
    texts, sessions = int(rows.segment_id.max(initial=-1)) + 1, int(rows.session_id.max(initial=-1)) + 1
    owner = np.repeat(number, np.diff(picked.segment_start))
    return replace(
        picked,
        arrival_s=arrival_s[order],
        segment_id=picked.segment_id + owner * texts,
        session_id=np.where(picked.session_id >= 0, picked.session_id + number * sessions, -1),
    )


def _gaps_s(arrival_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """From each row to the next; the last has the mean gap."""
    mean = (arrival_s[-1] - arrival_s[0]) / max(len(arrival_s) - 1, 1)
    return np.append(np.diff(arrival_s), mean)


def _units(session_id: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of each row's session by the place of its first row; a row without one is alone."""
    key = np.where(session_id >= 0, session_id, -1 - np.arange(len(session_id)))
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]
