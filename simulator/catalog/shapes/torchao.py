"""Formats of checkpoints that torchao wrote: one for all linear layers, or by the names of modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from simulator.catalog.shapes.module_names import Ignored
from simulator.errors import InputError, Problem
from simulator.memory.shape import Matrix
from simulator.memory.weights import Format

Chosen = Callable[[Matrix], Format | None]
BY_MODULE = "ModuleFqnToConfig"
GROUP = 128
"""Weights of a group where an `Int4WeightOnlyConfig` does not say."""
_ROWS = {
    "Int8WeightOnlyConfig": Format("w8a16", 1.0, (1, 0), 2.0),
    "Int8DynamicActivationInt8WeightConfig": Format("int8", 1.0, (1, 0), 2.0),
    "Float8WeightOnlyConfig": Format("w8a16", 1.0, (1, 0), 4.0),
    "Float8DynamicActivationFloat8WeightConfig": Format("fp8", 1.0, (1, 0), 4.0),
}
"""Kinds of eight bits, with a scale for each row."""


def torchao(section: Mapping[str, Any], file: str | None) -> Chosen:
    """Formats by `quant_type`. Experts and embeddings stay in 16 bit (`TorchAOConfig.get_quant_method`, vLLM 0.33.0).

    Raises
    ------
    InputError : no `quant_type.default`, or a kind that is not known here
    """
    path = "quantization_config.quant_type.default"
    given = section.get("quant_type")
    default = given.get("default") if isinstance(given, Mapping) else None
    if not isinstance(default, Mapping):
        raise InputError(Problem("torchao's kind of quantisation is missing", file=file, path=path, got="nothing"))
    if default.get("_type") != BY_MODULE:
        uniform = _format(default, path, file)
        return lambda matrix: uniform if _is_linear(matrix) else None
    listed = (default.get("_data") or {}).get("module_fqn_to_config") or {}
    formats = {
        str(name): None if each is None else _format(each, f"{path}._data.module_fqn_to_config.{name}", file)
        for name, each in listed.items()
    }
    fallback = formats.pop("_default", None)
    modules = [(Ignored([name]), found) for name, found in formats.items()]

    def chosen(matrix: Matrix) -> Format | None:
        if not _is_linear(matrix):
            return None
        return next((found for names, found in modules if matrix.name in names), fallback)

    return chosen


def _is_linear(matrix: Matrix) -> bool:
    return matrix.cut not in ("experts", "vocab")


def _format(kind: Any, path: str, file: str | None) -> Format:
    """Format of one kind.

    Raises
    ------
    InputError : a kind that is not known here, as those that keep four bits in a byte
    """
    name = str(kind.get("_type")) if isinstance(kind, Mapping) else str(kind)
    if name == "Int4WeightOnlyConfig":
        group = int((kind.get("_data") or {}).get("group_size") or GROUP)
        return Format("int4", 0.5, (1, group), 4.0)
    if name in _ROWS:
        return _ROWS[name]
    known = ", ".join(("Int4WeightOnlyConfig", *_ROWS, BY_MODULE))
    raise InputError(Problem(f"unknown kind of torchao; known are {known}", file=file, path=path, got=name))
