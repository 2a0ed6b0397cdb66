"""The one format of weights that the step time takes a checkpoint's matrices for."""

from __future__ import annotations

from simulator.catalog.precisions import aliases, precisions
from simulator.catalog.shapes.quantization import formats_of
from simulator.errors import InputError, Problem
from simulator.memory.shape import ModelShape


def shares_of(shape: ModelShape, file: str | None) -> dict[str, float]:
    """Formats of a checkpoint's quantised matrices as `precisions.yaml` names them, with their shares of the values;
    empty where none is quantised.

    Raises
    ------
    InputError : a format whose step time is not known, or MXFP4 for other matrices than experts
    """
    if not shape.quantization:
        return {}
    format_of = formats_of(shape.quantization, file)
    values: dict[str, int] = {}
    wrong: set[str] = set()
    for matrix in shape.matrices:
        found = None if matrix.plain or matrix.cut == "vocab" else format_of(matrix)
        if found is None:
            continue
        name = aliases().get(found.name, found.name)
        if name not in precisions() or (precisions()[name].experts_only and matrix.cut != "experts"):
            wrong.add(found.name)
        values[name] = values.get(name, 0) + matrix.parameters
    if wrong or (len(values) > 1 and any(precisions()[name].experts_only for name in values)):
        raise InputError(
            Problem(
                "no step time is known for a checkpoint of this format; known are "
                f"{', '.join(sorted(precisions()))}, mxfp4 for experts alone and without another format",
                file=file,
                path="quantization_config",
                got=", ".join(sorted(wrong or values)),
            )
        )
    total = sum(values.values())
    return {name: count / total for name, count in sorted(values.items())}


def precision_of(shape: ModelShape, file: str | None) -> str:
    """Name of the format of most of a checkpoint's quantised weights.

    Raises
    ------
    InputError : a format whose step time is not known
    """
    shares = shares_of(shape, file)
    return max(shares, key=lambda name: shares[name]) if shares else "bf16"


def notes_of_mixture(shape: ModelShape, file: str | None) -> tuple[str, ...]:
    """The warning of a run with weights of several formats, of which the step time knows one."""
    shares = shares_of(shape, file)
    if len(shares) < 2:
        return ()
    parts = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
    return (
        f"{shape.name}: its weights are of several formats ({parts} of the quantised values); memory is planned matrix "
        f"by matrix, step times take all for {precision_of(shape, file)}: they are a guess",
    )
