"""Errors to expect of forecasts, from the cross-validation on published serving results."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from simulator.catalog.overheads import penalty_seq_s
from simulator.catalog.quantity import Entry, Source, read_yaml
from simulator.perf.steptime import ExpectedError

FILE = "expected_errors.yaml"
TITLES = {"ttft": "TTFT", "tpot": "TPOT", "tpot_full": "TPOT of a full server", "throughput": "throughput"}
"""Metrics of which an error is known, as they are called."""
LEAST_ROWS = 10
"""Measured points that a group needs to be heard: of fewer no error tells nine of ten cases."""
LEAST_MODELS = 3
"""Models that a GPU needs to speak for itself: points of one or two say little of what another model is off by."""


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
    cross_validation : summaries by fold, regime and metric
    """

    basis: Source
    groups: tuple[ErrorGroup, ...]
    cross_validation: dict[str, Any]

    @property
    def fitted(self) -> str:
        """Day of the fit, and of the forecasts whose errors these are."""
        day = penalty_seq_s().date
        return f"fit of {day}" if day == self.basis.date else f"fit of {day}, errors of {self.basis.date}"


@lru_cache
def error_table() -> ErrorTable:
    """The catalog's table."""
    return ErrorTable.model_validate(read_yaml(FILE))


def expected_error(
    gpu_name: str, experts: bool, like: str | None = None, among: Sequence[ErrorGroup] | None = None
) -> ExpectedError:
    """Error to expect for a model that was not measured, on the GPU called `gpu_name`.

    By metric: from the same GPU with other models left out in turn, where that has points of `LEAST_MODELS` models;
    else the larger of that and of what all GPUs have with whole GPUs left out in turn; else TPOT's.

    Parameters
    ----------
    like : measured GPU whose kernels stand in, which the error is no less than
    among : groups to look in; the catalog's unless given
    """
    kind = "experts" if experts else "dense"
    groups = {(group.gpu, group.kind): group for group in (error_table().groups if among is None else among)}
    names = [name for name in (gpu_name, like, "other") if name is not None]
    known = [group for name in names if (group := groups.get((name, kind))) is not None]
    errors: dict[str, float] = {}
    words: dict[str, list[str]] = {}
    for metric, title in TITLES.items():
        heard = _heard(known, metric, gpu_name) or _heard(known, "tpot", gpu_name)
        errors[metric] = max(measured.error or 0.0 for _, measured in heard)
        errors[f"{metric}_p90"] = max(measured.p90 or 0.0 for _, measured in heard)
        words.setdefault(" and ".join(_in_words(group, measured) for group, measured in heard), []).append(title)
    rests_on = [f"{', '.join(titles)} from {text}" for text, titles in words.items()]
    return ExpectedError(**errors, basis="; ".join([*rests_on, error_table().fitted]))


def _heard(groups: Sequence[ErrorGroup], metric: str, gpu_name: str) -> list[tuple[ErrorGroup, Measured]]:
    """Those of the groups with an error; the GPU's own alone where it speaks for itself."""
    found = [(group, measured) for group in groups if (measured := _of(group, metric)).error is not None]
    speaks = bool(found) and found[0][0].gpu == gpu_name and found[0][1].models >= LEAST_MODELS
    return found[:1] if speaks else found


def _of(group: ErrorGroup, metric: str) -> Measured:
    found: Measured = getattr(group, metric)
    return found


def _in_words(group: ErrorGroup, measured: Measured) -> str:
    models = f"{measured.models} {group.kind} model{'s' if measured.models != 1 else ''}"
    points = f"{measured.rows} published points of {models}"
    if group.gpu == "other":
        others = f"{measured.gpus} other GPU{'s' if measured.gpus != 1 else ''}"
        return f"{points} on {others}, each GPU left out in turn"
    return f"{points} on {group.gpu}, each model left out in turn"
