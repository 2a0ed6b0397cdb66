"""Errors to expect of forecasts, from the cross-validation on published serving results."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from simulator.catalog.quantity import Entry, Source, read_yaml
from simulator.perf.steptime import ExpectedError

FILE = "expected_errors.yaml"
LEAST_ROWS = 5
"""Measured points that a group needs to speak for itself."""


class ErrorGroup(Entry):
    """Median absolute relative errors of a group of measured points; None for a metric with too few of them.

    TPOT and TTFT are those below saturation; throughput is that of saturated servers, where it is the server's own.

    Attributes
    ----------
    gpu : catalog name, or `other` for GPUs without measurements
    kind : `dense` or `experts`
    rows : measured points of TPOT below saturation
    """

    gpu: str
    kind: str
    rows: int
    models: int
    tpot: float | None
    ttft: float | None
    throughput: float | None


class ErrorTable(Entry):
    """All groups with what they rest on; `cross_validation` has the summaries by fold, regime and metric."""

    basis: Source
    groups: tuple[ErrorGroup, ...]
    cross_validation: dict[str, Any]


@lru_cache
def error_table() -> ErrorTable:
    """The catalog's table."""
    return ErrorTable.model_validate(read_yaml(FILE))


def expected_error(gpu_name: str, experts: bool) -> ExpectedError:
    """Error to expect for a model that was not measured, on the GPU called `gpu_name`.

    From the same GPU with other models left out in turn; else, for a GPU or kind of model with too few points, from
    whole GPUs left out in turn.
    """
    kind = "experts" if experts else "dense"
    groups = {(group.gpu, group.kind): group for group in error_table().groups}
    other = groups["other", kind]
    group = groups.get((gpu_name, kind))
    if group is None or group.tpot is None:
        words = f"{other.rows} published points of {kind} models on other GPUs, each GPU left out in turn"
        return _error(group or other, other, words)
    words = f"{group.rows} published points of {group.models} {kind} models on {gpu_name}, each model left out in turn"
    return _error(group, other, words)


def _error(group: ErrorGroup, other: ErrorGroup, words: str) -> ExpectedError:
    """The group's errors, the wider group's where a metric has too few points, TPOT's where that has none either."""
    tpot = other.tpot if group.tpot is None else group.tpot
    assert tpot is not None

    def known(metric: str) -> float:
        own = getattr(group, metric)
        value = getattr(other, metric) if own is None else own
        return float(tpot if value is None else value)

    return ExpectedError(known("ttft"), known("tpot"), known("throughput"), words)
