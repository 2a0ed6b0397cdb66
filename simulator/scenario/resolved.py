"""Prints a scenario with everything filled in and the origin of each value beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from simulator.scenario.document import Origin, join
from simulator.scenario.load import LoadedScenario
from simulator.scenario.references import Reference
from simulator.schema.base import Settings
from simulator.schema.scenario import Scenario
from simulator.schema.workload import Job

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_./-]*")


def resolved_yaml(loaded: LoadedScenario, files: Sequence[Reference] = ()) -> str:
    """The merged scenario as YAML; each value carries a comment: where it was written, or that it is a default.

    Parameters
    ----------
    files : what the scenario names, for a file that lies in a run bundle: they are named by their copies there
    """
    data = resolved_data(loaded, files)
    lines = _lines(_Comments(loaded, files), data, "", 0)
    return "\n".join(lines) + "\n"


def resolved_data(loaded: LoadedScenario, files: Sequence[Reference] = ()) -> dict[str, Any]:
    """The merged scenario with all defaults, as it would be written; it says the same wherever it is loaded.

    A pool's engine section holds the differences from the scenario's when it is written, and all of it here.
    """
    unstated = {"currency"} if loaded.scenario.currency is None else None
    data: dict[str, Any] = loaded.scenario.model_dump(mode="json", exclude=unstated)
    _leave_open(loaded.scenario, data)
    for name, topology in loaded.scenario.topologies.items():
        for k, pool in enumerate(topology.pools):
            if pool.engine is not None:
                own = pool.engine.model_dump(mode="json", include=pool.engine.model_fields_set)
                data["topologies"][name]["pools"][k]["engine"] = {**data["engine"], **own}
    copies = {file.path: file.copy for file in files if file.copy is not None}
    return _replaced(data, "", copies) if copies else data


def _leave_open(scenario: Scenario, data: dict[str, Any]) -> None:
    """Take away what nobody wrote where to write it means something else: of jobs, and of batches beside others."""
    classes = scenario.workload.classes
    for cls, found in zip(classes, data["workload"]["classes"], strict=True):
        if isinstance(cls.arrivals, Job):
            _drop(found["slo"], "served", cls.slo)
            _drop(found["arrivals"], "per_month", cls.arrivals)
        if cls.service_tier == "batch":
            _drop(found, "priority", cls)
    if any(cls.service_tier == "batch" for cls in classes):
        _drop(data["engine"], "scheduling_policy", scenario.engine)
    if all(isinstance(cls.arrivals, Job) for cls in classes):
        for name, topology in scenario.topologies.items():
            for k, provider in enumerate(topology.providers):
                _drop(data["topologies"][name]["providers"][k], "max_wait_s", provider)


def _drop(found: dict[str, Any], key: str, settings: Settings) -> None:
    if key not in settings.model_fields_set:
        del found[key]


def _replaced(node: Any, path: str, values: dict[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: _replaced(value, join(path, key), values) for key, value in node.items()}
    if isinstance(node, list):
        return [_replaced(value, join(path, k), values) for k, value in enumerate(node)]
    return values.get(path, node)


class _Comments:
    """What is said of the origin of each value."""

    def __init__(self, loaded: LoadedScenario, files: Sequence[Reference]) -> None:
        self._loaded = loaded
        self._files = {file.path: file for file in files}

    def __call__(self, path: str) -> str:
        """Origin of a value, on one line."""
        origin = " ".join(str(_named(self._origin(path)) or "default").split())
        file = self._files.get(path)
        if file is None:
            return origin
        kept = f"copy of {file.written}" if file.copy else f"not copied: {file.size_bytes} bytes"
        return f"{origin}, {kept}, sha256 {file.sha256}"

    def _origin(self, path: str) -> Origin | None:
        """Where the value was written; a pool's engine takes what it does not give from the scenario's."""
        own = self._loaded.origin(path)
        pool, engine, key = path.rpartition("].engine.")
        if own is not None or not engine:
            return own
        written = f"{pool}].engine.{re.split(r'[.[]', key)[0]}"
        return None if self._loaded.origin(written) else self._loaded.origin(f"engine.{key}")


def _named(origin: Origin | None) -> Origin | None:
    """Where the value was written, by the file's name alone where its folder is that of one machine."""
    if origin is None or not Path(origin.file).is_absolute():
        return origin
    return replace(origin, file=Path(origin.file).name)


def _lines(comments: _Comments, node: Any, path: str, depth: int) -> list[str]:
    pad = "  " * depth
    lines: list[str] = []
    items = list(node.items()) if isinstance(node, dict) else list(enumerate(node))
    for key, value in items:
        where = join(path, key)
        if isinstance(value, dict | list) and value:
            inner = _lines(comments, value, where, depth + 1)
            if isinstance(key, int):
                first = inner[0].removeprefix("  " * (depth + 1))
                lines += [f"{pad}- {first}", *inner[1:]]
            else:
                lines += [f"{pad}{_key(key)}:", *inner]
        else:
            head = f"{pad}-" if isinstance(key, int) else f"{pad}{_key(key)}:"
            lines.append(f"{head} {json.dumps(value, ensure_ascii=False)}  # {comments(where)}")
    return lines


def _key(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) else json.dumps(key, ensure_ascii=False)
