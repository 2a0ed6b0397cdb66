"""What sources say of their set-up beyond the columns, and the engine's defaults by version (data/sources.yaml)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from calibrate.serving.measured import MeasuredRow
from calibrate.serving.names import fits, read_data
from simulator.catalog.gpus import gpu
from simulator.schema.hardware import HardwareSettings, LinkSettings
from simulator.units import BYTES_PER_GIB

LARGE_MEMORY_GIB = 70
"""vLLM gives GPUs of at least this memory larger default limits."""
NEWEST = (99, 0, 0)
"""A version that is not stated is taken as the newest."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How lengths spread around their mean: `uniform` between shares of it, lognormal with a cv (0: constant), or by
    `quantiles` at `shares`.

    Attributes
    ----------
    rank_correlation : of a request's length with its prompt's
    """

    kind: str
    low: float
    high: float
    cv: float
    min_tokens: int
    max_tokens: int
    shares: tuple[float, ...] = ()
    quantiles: tuple[float, ...] = ()
    rank_correlation: float = 0.0


def source_of(row: MeasuredRow) -> Mapping[str, Any]:
    """What is known of the row's source; empty for one that is not in the data file."""
    names = ("dataset", "source_path", "gpu", "model", "dtype", "engine_version", "measured_on")
    return known_source({name: getattr(row, name) for name in names})


def own_hardware(row: MeasuredRow) -> HardwareSettings | None:
    """What the source says of its machine's links, where these are not as in the tables; else None."""
    links = source_of(row).get("links")
    return None if links is None else HardwareSettings(links=LinkSettings.model_validate(links))


def known_source(columns: Mapping[str, str]) -> Mapping[str, Any]:
    """First entry of the data file whose `when` fits the columns; empty where none does."""
    for entry in read_data("sources.yaml")["sources"]:
        if fits(columns, entry["when"]):
            found: Mapping[str, Any] = entry
            return found
    return {}


def length_spreads(row: MeasuredRow, cv_scale: float = 1.0) -> tuple[Spread, Spread]:
    """Spread of prompt and of output lengths; `cv_scale` widens or narrows them, to see what the choice does."""
    told = source_of(row).get("lengths")
    if told:
        spread = Spread(told["kind"], told["low"], told["high"], 0.0, 1, 10**7)
        return spread, spread
    lengths = read_data("sources.yaml")["lengths"]
    columns = row.dataset.lower(), row.workload.lower()
    kind = next((name for name in lengths if any(text.startswith(name) for text in columns)), "other")
    known = [_spread(lengths[kind], side, cv_scale) for side in ("isl", "osl")]
    stated = [_spread(lengths["other"], side, cv_scale) for side in ("isl", "osl")]
    own = [row.isl_cv, row.osl_cv]
    isl, osl = (
        one if cv is None else replace(other, cv=cv * cv_scale)
        for one, other, cv in zip(known, stated, own, strict=True)
    )
    return isl, osl


def _spread(kind: Mapping[str, Any], side: str, cv_scale: float) -> Spread:
    """Spread of a data set's prompts or outputs; where their quantiles are known, `cv_scale` is a power of the ratios
    to the middle one."""
    entry = kind[side]
    plain = Spread("lognormal", 1, 1, entry["cv"] * cv_scale, entry["min"], entry["max"])
    if "quantiles" not in entry:
        return plain
    tokens = np.array(entry["quantiles"], np.float64)
    ratios = (tokens / np.interp(0.5, kind["shares"], tokens)) ** cv_scale
    return replace(
        plain,
        kind="quantiles",
        shares=tuple(kind["shares"]),
        quantiles=tuple(ratios.tolist()),
        rank_correlation=kind["rank_correlation"] if side == "osl" else 0.0,
    )


def version_numbers(text: str) -> tuple[int, ...]:
    """Leading numbers of a version, as (0, 8, 5); the newest where there are none."""
    found = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", text.strip())
    return tuple(int(part or 0) for part in found.groups()) if found else NEWEST


def engine_limits(row: MeasuredRow) -> dict[str, float]:
    """Limits of the engine: stated in the row, else by its source, else the API server's defaults of its version."""
    version = version_numbers(row.engine_version)
    entries = read_data("sources.yaml")["engine"]
    fitting = [entry for entry in entries if version_numbers(entry["from_version"]) <= version]
    entry = fitting[0] if fitting else entries[-1]
    memory_gib = gpu(row.gpu).device.memory_bytes / BYTES_PER_GIB
    small = memory_gib < LARGE_MEMORY_GIB or row.gpu.startswith(tuple(entry["small_gpus"]))
    limits = {"gpu_mem_util": entry["gpu_mem_util"], **entry["small" if small else "large"]}
    source = source_of(row)
    if "tokens_per_isl" in source:
        limits["max_num_batched_tokens"] = source["tokens_per_isl"] * row.isl
    return {**limits, **source.get("limits", {}), **row.limits}


def engine_version(row: MeasuredRow) -> str | None:
    """Version of the engine: as stated, else by the day of the measurement where the source has that; None for the
    newest."""
    if version_numbers(row.engine_version) != NEWEST:
        return row.engine_version
    for entry in source_of(row).get("versions", ()) if row.measured_on else ():
        if row.measured_on <= entry["until"]:
            return str(entry["version"])
    return None


def async_scheduling(row: MeasuredRow) -> bool | None:
    """Whether the host works beside the GPU: as the row or its source states; None for the version's default."""
    stated: bool | None = source_of(row).get("async_scheduling")
    return stated if row.async_scheduling is None else row.async_scheduling
