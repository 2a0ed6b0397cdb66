"""Rows that the fit rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calibrate.serving.fit import Runs
from calibrate.serving.forecast import prepare_runs
from calibrate.serving.measured import ClosedLoop, MeasuredRow
from calibrate.serving.names import NotSupported
from calibrate.serving.read import ServingTable
from calibrate.serving.sources import source_of
from calibrate.serving.trial import composed

MOST_PER_SERIES = 3
"""Rows of one series that are fitted on, spread evenly over it; a series weighs the same however long it is."""


@dataclass(frozen=True, slots=True)
class FitRuns:
    """All rows that can be simulated, and those among them that are fitted on, without repetition of the same."""

    all: tuple[Runs, ...]
    composed: tuple[Runs, ...]


def fit_runs(table: ServingTable) -> FitRuns:
    """Prepare the rows; those whose step time is composed of kernels are fitted on, thinned where a series is long,
    unless their source is one to compare with only."""
    every: list[Runs] = []
    for row in table.rows:
        try:
            every.append(prepare_runs(row))
        except NotSupported:
            continue
    fitted = [runs for runs in every if composed(runs[0]) and "not_fitted" not in source_of(runs[0].row)]
    return FitRuns(tuple(every), tuple(thinned(fitted, MOST_PER_SERIES)))


def thinned(every: Sequence[Runs], most: int) -> list[Runs]:
    """At most so many rows of each series."""
    series: dict[tuple[object, ...], list[Runs]] = {}
    for runs in every:
        series.setdefault(_series(runs[0].row), []).append(runs)
    return [runs for members in series.values() for runs in spread(members, most)]


def spread(members: Sequence[Runs], most: int) -> list[Runs]:
    """At most so many of them, evenly."""
    places = np.linspace(0, len(members) - 1, min(len(members), most)).round().astype(int)
    return [members[k] for k in np.unique(places)]


def _series(row: MeasuredRow) -> tuple[object, ...]:
    length = (row.isl > 4 * row.osl, isinstance(row.load, ClosedLoop))
    return row.dataset, row.model, row.gpu, row.tp, row.dtype, *length
