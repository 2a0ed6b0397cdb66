"""How the trace files of a run were read, and which of their rows nobody serves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from simulator.resolve.demand import workload_spec
from simulator.scenario.load import LoadedScenario
from simulator.schema.workload import Trace
from simulator.workload.reading import rows_left_out
from simulator.workload.replay import file_read
from simulator.workload.spec import Trace as TraceSpec


def traces_read(loaded: LoadedScenario, until_s: float) -> list[dict[str, Any]]:
    """Each trace file, as a summary holds it.

    Parameters
    ----------
    until_s : of the workload, up to which its rows were read

    Returns
    -------
    rows : `file` as it is written, `classes` that replay it, `rows` of the file, `read_as` as `servecast traces` has it
    """
    scenario = loaded.scenario
    found: dict[tuple[str, TraceSpec], list[str]] = {}
    specs = workload_spec(scenario, loaded.path.parent).classes
    for cls, spec in zip(scenario.workload.classes, specs, strict=True):
        if isinstance(cls.arrivals, Trace) and isinstance(spec.arrivals, TraceSpec):
            found.setdefault((Path(cls.arrivals.file).as_posix(), spec.arrivals), []).append(cls.name)
    rows = []
    for (file, trace), classes in found.items():
        read, count = file_read(trace, until_s)
        rows.append({"file": file, "classes": classes, "rows": count, "read_as": asdict(read)})
    return rows


def left_out_words(traces: list[dict[str, Any]]) -> list[str]:
    """What is left out of each trace, over the whole file; folders are those of whoever ran it, and left out too."""
    told = []
    for trace in traces:
        counts: Mapping[str, int] = rows_left_out(trace["read_as"])
        for what, count in counts.items():
            told.append(f"{count:,} of {trace['rows']:,} rows of {Path(trace['file']).name} are left out: {what}")
    return told
