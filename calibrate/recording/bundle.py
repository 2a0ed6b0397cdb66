"""Reads measured steps: a `vllm-run/1` file, or the folder that `servecast calibrate profile` leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrate.recording.run import Recording, device_name, engine_config, read_run
from calibrate.recording.shape import MOST_S, Described
from calibrate.recording.steps import steps_from_batches
from simulator.errors import InputError, Problem
from simulator.results.inputs import input_json
from simulator.schema.checked import checked

STEPS, META = "steps.parquet", "meta.json"
_COLUMNS = ("step", "tag", "repeat", "dur_s", "gap_s", "tokens", "computed_before")


def read_steps(source: Path) -> tuple[Recording, list[Path]]:
    """Measured steps with what was measured, and the files that were read.

    Raises
    ------
    InputError : neither of the two formats, or a broken one
    """
    if not source.is_dir():
        return read_run(source), [source]
    meta_path, steps_path = source / META, source / STEPS
    said = checked(Described, input_json(meta_path), meta_path)
    return _recording(source, said, meta_path, steps_path), [meta_path, steps_path]


def missing_points(source: Path) -> tuple[int, int] | None:
    """Points that were measured, and those of the design, where a profile is not complete.

    Raises
    ------
    InputError : its `meta.json` does not say
    """
    if not source.is_dir():
        return None
    meta = input_json(source / META)
    try:
        if meta.get("status", "complete") == "complete":
            return None
        design = meta["design"]
        return int(meta["points"]["measured"]), int(design["points"]) * int(design["repeats"])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(Problem("does not say how much of its design was measured", str(source / META))) from error


def _recording(source: Path, said: Described, meta_path: Path, steps_path: Path) -> Recording:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(steps_path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(Problem(f"cannot be read: {error}", str(steps_path))) from error
    missing = [name for name in _COLUMNS if name not in table.column_names]
    if missing:
        raise InputError(Problem(f"lacks the columns {', '.join(missing)}", str(steps_path)))
    if not table.num_rows:
        raise InputError(Problem("has no steps", str(steps_path)))
    column = {name: _numbers(table, name, steps_path) for name in _COLUMNS if name != "tag"}
    first = np.flatnonzero(np.diff(column["step"], prepend=column["step"][0] - 1))
    pairs = np.column_stack([column["tokens"], column["computed_before"]]).tolist()
    ends = [*first[1:].tolist(), table.num_rows]
    batches = [pairs[begin:end] for begin, end in zip(first.tolist(), ends, strict=True)]
    return Recording(
        str(source),
        said.model,
        said.vllm_version,
        device_name(said.device),
        engine_config(said.config, meta_path),
        said.capture_sizes,
        steps_from_batches(column["dur_s"][first], batches, column["gap_s"][first].tolist()),
        (),
    )


def _numbers(table: Any, name: str, file: Path) -> NDArray[np.float64]:
    """A column of `steps.parquet`: counts, or times of which only gaps may be unknown."""
    import pyarrow as pa

    try:
        values = table.column(name).cast(pa.float64()).to_numpy()
    except pa.ArrowException as error:
        raise InputError(Problem(f"{name} must be numbers", str(file))) from error
    least = np.nextafter(0.0, 1.0) if name == "dur_s" else 0.0
    if not np.where(np.isnan(values), name == "gap_s", (values >= least) & (values <= MOST_S)).all():
        raise InputError(Problem(f"{name} must be numbers from {'above ' if least else ''}0 to {MOST_S:g}", str(file)))
    return np.asarray(values, np.float64)
