"""Rows that the fit rests on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibrate.serving.fit import Runs
from calibrate.serving.forecast import prepare_runs
from calibrate.serving.measured import ClosedLoop, MeasuredRow
from calibrate.serving.names import NotSupported
from calibrate.serving.read import ServingTable
from calibrate.serving.trial import composed

MOST_PER_SERIES = 5
"""Rows of one series that are fitted on, spread evenly over it; a series weighs the same however long it is."""


@dataclass(frozen=True, slots=True)
class FitRuns:
    """All rows that can be simulated, and those among them that are fitted on, without repetition of the same."""

    all: tuple[Runs, ...]
    composed: tuple[Runs, ...]


def fit_runs(table: ServingTable) -> FitRuns:
    """Prepare the rows; those whose step time is composed of kernels are fitted on, thinned where a series is long."""
    every: list[Runs] = []
    for row in table.rows:
        try:
            every.append(prepare_runs(row))
        except NotSupported:
            continue
    series: dict[tuple[object, ...], list[Runs]] = {}
    for runs in every:
        if composed(runs[0]):
            series.setdefault(_series(runs[0].row), []).append(runs)
    chosen: list[Runs] = []
    for members in series.values():
        n = min(len(members), MOST_PER_SERIES)
        chosen += [members[k] for k in np.unique(np.linspace(0, len(members) - 1, n).round().astype(int))]
    return FitRuns(tuple(every), tuple(chosen))


def _series(row: MeasuredRow) -> tuple[object, ...]:
    length = (row.isl > 4 * row.osl, isinstance(row.load, ClosedLoop))
    return row.dataset, row.model, row.gpu, row.tp, row.dtype, *length
