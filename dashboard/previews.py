"""What-ifs in warm processes: kernels are loaded once, and no user waits for another's script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dashboard import processes
from dashboard.page_turns import TURNS
from dashboard.workspace import within
from simulator.errors import InputError, Problem

PREVIEW_REQUESTS = 350_000
"""Simulated requests on each side, over all topologies and months: one to two seconds."""
_WAIT_S = 180.0
"""A first answer may have to wait for kernels to be compiled."""


def pool() -> processes.Pool:
    """As many processes as cores but one, started by the first call."""
    return processes.pool("dashboard.preview_worker", processes.spare_cores(4))


def preview(folder: Path, stamp: str, sets: tuple[str, ...], visitor: str = "") -> dict[str, Any]:
    """What the run in `folder` gives with values set, beside itself: see `preview_worker.Previewer.answer`.

    Parameters
    ----------
    stamp : of the run's files
    visitor : who asks; visitors take turns

    Raises
    ------
    InputError : values that make no valid scenario, or the process was killed or took too long
    """
    with TURNS.aside():
        found = pool().ask({"folder": str(folder), "stamp": stamp, "sets": list(sets)}, _WAIT_S, visitor)
    if found is None:
        raise InputError(f"no answer within {_WAIT_S:g} s, or the process was killed; run it in full instead")
    if "problems" in found:
        raise InputError(*(within(folder, Problem(**problem)) for problem in found["problems"]))
    return found
