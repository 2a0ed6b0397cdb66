"""Errors to expect of forecasts, from the cross-validation on published serving results."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from simulator.catalog.quantity import Entry, Source, read_yaml
from simulator.perf.steptime import ExpectedError

FILE = "expected_errors.yaml"
TITLES = {"ttft": "TTFT", "tpot": "TPOT", "tpot_full": "TPOT of a full server", "throughput": "throughput"}
"""Metrics of which an error is known, as they are called."""
LEAST_ROWS = 5
"""Measured points that a group needs to speak for itself."""


class Measured(Entry):
    """Absolute relative error of one metric in the median and in nine of ten cases, and what it rests on; None for
    fewer than `LEAST_ROWS` points."""

    error: float | None
    p90: float | None
    rows: int
    models: int
    gpus: int


class ErrorGroup(Entry):
    """Errors of a group of measured points by metric.

    TPOT and TTFT are those below saturation, `tpot_full` is TPOT of saturated servers and bursts; throughput is that of
    saturated servers, where it is the server's own.

    Attributes
    ----------
    gpu : catalog name, or `other` for GPUs without measurements
    kind : `dense` or `experts`
    """

    gpu: str
    kind: str
    tpot: Measured
    tpot_full: Measured
    ttft: Measured
    throughput: Measured


class ErrorTable(Entry):
    """All groups with what they rest on.

    Attributes
    ----------
    simulated_since : what the simulated engine does since, which the fit did not have
    cross_validation : summaries by fold, regime and metric
    """

    basis: Source
    simulated_since: tuple[str, ...] = ()
    groups: tuple[ErrorGroup, ...]
    cross_validation: dict[str, Any]

    @property
    def fitted(self) -> str:
        """Day of the fit, and what it is older than."""
        older = f", before {' and '.join(self.simulated_since)}" if self.simulated_since else ""
        return f"fit of {self.basis.date}{older}"


@lru_cache
def error_table() -> ErrorTable:
    """The catalog's table."""
    return ErrorTable.model_validate(read_yaml(FILE))


def expected_error(gpu_name: str, experts: bool) -> ExpectedError:
    """Error to expect for a model that was not measured, on the GPU called `gpu_name`.

    By metric: from the same GPU with other models left out in turn; else, where that has too few points, from all GPUs
    with whole GPUs left out in turn; else TPOT's.
    """
    kind = "experts" if experts else "dense"
    groups = {(group.gpu, group.kind): group for group in error_table().groups}
    known = [group for name in (gpu_name, "other") if (group := groups.get((name, kind))) is not None]
    found = _first(known, "tpot")
    errors: dict[str, float] = {}
    words: dict[str, list[str]] = {}
    for metric, title in TITLES.items():
        error, p90, basis = _first(known, metric) if any(_has(group, metric) for group in known) else found
        errors |= {metric: error, f"{metric}_p90": p90}
        words.setdefault(basis, []).append(title)
    rests_on = [f"{', '.join(names)} from {text}" for text, names in words.items()]
    return ExpectedError(**errors, basis="; ".join([*rests_on, error_table().fitted]))


def _has(group: ErrorGroup, metric: str) -> bool:
    return getattr(group, metric).error is not None


def _first(groups: Sequence[ErrorGroup], metric: str) -> tuple[float, float, str]:
    """Errors of the first group that has them, and what they rest on in words."""
    group = next(group for group in groups if _has(group, metric))
    measured: Measured = getattr(group, metric)
    assert measured.error is not None
    assert measured.p90 is not None
    models = f"{measured.models} {group.kind} model{'s' if measured.models != 1 else ''}"
    points = f"{measured.rows} published points of {models}"
    if group.gpu == "other":
        others = f"{measured.gpus} other GPU{'s' if measured.gpus != 1 else ''}"
        return measured.error, measured.p90, f"{points} on {others}, each GPU left out in turn"
    return measured.error, measured.p90, f"{points} on {group.gpu}, each model left out in turn"
